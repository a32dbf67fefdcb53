//! `shardmill finish`.

use std::sync::Arc;

use anyhow::Result;
use shardmill::{Stats, TokenizeConfig, finish};

use crate::cli::args::FinishArgs;
use crate::cli::output::{pace, print_json, run_info, summary};
use crate::cli::progress::Progress;
use crate::cli::tokenize::{contents, describe, line};
use crate::cli::{bad, human, interrupt};

pub(crate) fn run(args: &FinishArgs) -> Result<()> {
    let out = &args.dataset;
    let stats = Arc::new(Stats::default());
    interrupt::stops(&stats, out)?;
    let progress = Progress::show("finish", &stats);
    let done = finish(
        out,
        args.overwrite,
        args.durability,
        args.threads.unwrap_or(TokenizeConfig::default().threads),
        &run_info(out),
        &stats,
    );
    drop(progress);
    let done = done?;
    if args.json {
        print_json(&describe(out, &done))?;
    }
    bad::name_first(&done, out, None);
    let shards = done.manifest.shards.iter();
    let bytes: u64 = shards.map(|shard| shard.bytes + shard.docs_bytes).sum();
    summary(&if done.was_there {
        line(out, &done)
    } else {
        let pace = pace(done.time, bytes, done.time);
        format!(
            "{}; {} checked in {pace}",
            contents(out, &done),
            human::bytes(bytes)
        )
    });
    Ok(())
}
