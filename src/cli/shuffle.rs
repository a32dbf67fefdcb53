//! `shardmill shuffle`.

use std::sync::Arc;

use clap::Args;
use serde_json::json;
use shardmill::shuffle::{ShuffleConfig, ShuffleOutcome, shuffle};
use shardmill::{Stats, TokenStore, show};

use crate::cli::args::{DatasetArgs, OutputArgs, StdoutArgs};
use crate::cli::failure::Result;
use crate::cli::human::parse_seed;
use crate::cli::output::{pace, print_json, run_info, summary};
use crate::cli::progress::Progress;
use crate::cli::{human, interrupt};

pub(crate) const HELP: &str = "\
The whole dataset is verified, then each document is copied to its place in the new order, which \
depends on the seed and the number of documents alone; then the checksums are compared again. The new dataset has as many shards, and each \
document still names its source.

Example:
  shardmill shuffle out --seed 123 --out shuffled";

#[derive(Debug, Args)]
pub(crate) struct ShuffleArgs {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Which order: a number from -2^63 to 2^64 - 1; the same seed means the same order
    #[arg(long, value_name = "SEED", value_parser = parse_seed, allow_negative_numbers = true)]
    seed: u64,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

pub(crate) fn run(args: &ShuffleArgs) -> Result<()> {
    args.output.check_dataset()?;
    let out = &args.output.out;
    let store = TokenStore::open(&args.dataset.dir)?;
    let mut config = ShuffleConfig::default();
    config.seed = args.seed;
    config.threads = args.output.threads.or(config.threads);
    config.durability = args.output.publish.durability;
    config.overwrite = args.output.publish.overwrite;
    let stats = Arc::new(Stats::default());
    interrupt::stops(&stats, out)?;
    let progress = Progress::show("shuffle", &stats);
    let done = shuffle(&store, &config, out, &run_info(out), &stats);
    drop(progress);
    let done = done?;
    let ShuffleOutcome {
        manifest,
        was_there,
        time,
    } = &done;
    if args.stdout.json {
        print_json(&json!({
            "out": out.to_string_lossy(),
            "was_there": was_there,
            "dataset_id": manifest.dataset_id,
            "shuffled": manifest.shuffled,
            "shards": manifest.shards.len(),
            "totals": manifest.totals,
            "seconds": time.as_secs_f64(),
        }))?;
    }
    let what = format!(
        "{}: {} in a new order, {}, {}",
        show::name(out),
        human::counted(manifest.totals.documents, "document"),
        human::counted(manifest.totals.tokens, "token"),
        human::counted(manifest.shards.len() as u64, "shard"),
    );
    summary(&if *was_there {
        format!("{what}; was there already, left as it is")
    } else {
        let bytes: u64 = manifest.shards.iter().map(|shard| shard.bytes).sum();
        format!("{what}, in {}", pace(*time, bytes, *time))
    });
    Ok(())
}
