//! `shardmill finish`.

use std::sync::Arc;

use clap::Args;
use shardmill::{Stats, TokenizeConfig, finish};

use crate::cli::args::{DirArgs, PublishArgs, StdoutArgs, ThreadsArgs};
use crate::cli::failure::Result;
use crate::cli::made::{dataset_contents, dataset_line, describe_dataset};
use crate::cli::output::{pace, print_json, run_info, summary};
use crate::cli::progress::Progress;
use crate::cli::{bad, human, interrupt};

pub(crate) const HELP: &str = "\
Reads DIR.partial, not the inputs, and lists the missing units, if any.

Example, for any number of processes or machines that see the same files:
  shardmill tokenize books/ --out out --units 0/2
  shardmill tokenize books/ --out out --units 1/2
  shardmill finish out";

#[derive(Debug, Args)]
pub(crate) struct FinishArgs {
    #[command(flatten)]
    dataset: DirArgs,
    #[command(flatten)]
    publish: PublishArgs,
    #[command(flatten)]
    threads: ThreadsArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

pub(crate) fn run(args: &FinishArgs) -> Result<()> {
    let out = &args.dataset.dir;
    let stats = Arc::new(Stats::default());
    interrupt::stops(&stats, out)?;
    let progress = Progress::show("finish", &stats);
    let done = finish(
        out,
        args.publish.overwrite,
        args.publish.durability,
        args.threads.or(TokenizeConfig::default().threads),
        &run_info(out),
        &stats,
    );
    drop(progress);
    let done = done?;
    if args.stdout.json {
        print_json(&describe_dataset(out, &done))?;
    }
    bad::name_first(&done, out, None);
    let shards = done.manifest.shards.iter();
    let bytes: u64 = shards.map(|shard| shard.bytes + shard.docs_bytes).sum();
    summary(&if done.was_there {
        dataset_line(out, &done)
    } else {
        let pace = pace(done.time, bytes, done.time);
        format!(
            "{}; {} checked in {pace}",
            dataset_contents(out, &done),
            human::bytes(bytes)
        )
    });
    Ok(())
}
