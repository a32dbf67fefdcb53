//! `shardmill finish`.

use std::sync::Arc;

use anyhow::Result;
use shardmill::{Stats, TokenizeConfig, finish};

use crate::cli::args::FinishArgs;
use crate::cli::output::{print_json, run_info, summary};
use crate::cli::progress::Progress;
use crate::cli::tokenize::{describe, line};
use crate::cli::{bad, interrupt};

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
    summary(&line(out, &done));
    Ok(())
}
