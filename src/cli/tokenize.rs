//! `shardmill tokenize`.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use shardmill::show;
use shardmill::{Stats, UnitShare, repair, tokenize, tokenize_units};

use crate::cli::args::{OutputArgs, StdoutArgs};
use crate::cli::failure::{Failure, Result};
use crate::cli::inputs::{CorpusArgs, say_of_corpus};
use crate::cli::made::{dataset_line, describe_dataset};
use crate::cli::output::{pace, print_json, run_info, summary};
use crate::cli::progress::Progress;
use crate::cli::tokenize_options::{Tokenization, TokenizeOptions};
use crate::cli::{bad, human, interrupt};

pub(crate) const HELP: &str = "\
INPUT is a file, a directory (with all files in it, at any depth), a quoted glob, a FIFO, a URL of \
an object or of a prefix that ends in / (if the program was built with the feature remote), or - \
for standard input. Text, JSON Lines (.jsonl), CSV (.csv, .tsv), Parquet (.parquet) and Arrow \
(.arrow, .feather) are read, all but the last two also in gzip (.gz), zstd (.zst), xz (.xz) and \
bzip2 (.bz2). Links are followed; hidden files are left out. Token ids are \
exactly those of the tokenizer's own library. DIR appears only when it is complete.

Examples:
  shardmill tokenize books/ web.jsonl --out out
  shardmill tokenize 'crawl/*.jsonl.gz' --text-field body --out out \\
      --tokenizer o200k_base
  shardmill tokenize site/ --include '*.{md,txt}' --exclude drafts --out out
  lz4 -dc web.jsonl.lz4 | shardmill tokenize - --input-format jsonl --out out

To resume an interrupted run, run the same command again.";

#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
    /// Make only units whose index modulo N is I; run `finish` to publish
    #[arg(long, value_name = "I/N", value_parser = share)]
    units: Option<UnitShare>,
    /// Rebuild the damaged shards of DIR and keep the others
    #[arg(long, conflicts_with = "units")]
    repair: bool,
    #[command(flatten)]
    tokenize: TokenizeOptions,
}

pub(crate) fn run(args: &TokenizeArgs) -> Result<()> {
    let job = Tokenization::new(&args.corpus, &args.tokenize, &args.output)?;
    let out = &args.output.out;
    let stats = Arc::new(Stats::default());
    interrupt::stops(&stats, out)?;
    if let Some(share) = args.units {
        return run_units(args, &job, share, &stats);
    }
    let progress = Progress::show("tokenize", &stats);
    let make = if args.repair { repair } else { tokenize };
    let done = make(
        &job.corpus,
        &job.tokenizer,
        &job.config,
        out,
        &run_info(out),
        &stats,
    );
    drop(progress);
    let done = done.map_err(|error| Failure::Unfinished {
        error,
        out: out.clone(),
    })?;
    if args.stdout.json {
        let mut said = describe_dataset(out, &done);
        said["inputs"] = json!(job.corpus.report());
        print_json(&said)?;
    }
    say_of_corpus(&job.corpus);
    bad::name_first(&done, out, Some(&job.corpus));
    summary(&dataset_line(out, &done));
    Ok(())
}

/// Makes a share of the units.
fn run_units(
    args: &TokenizeArgs,
    job: &Tokenization,
    share: UnitShare,
    stats: &Arc<Stats>,
) -> Result<()> {
    let started = Instant::now();
    let out = &args.output.out;
    let progress = Progress::show("tokenize", stats);
    let done = tokenize_units(&job.corpus, &job.tokenizer, &job.config, share, out, stats);
    drop(progress);
    let done = done.map_err(|error| Failure::Unfinished {
        error,
        out: out.clone(),
    })?;
    let Some(done) = done else {
        if args.stdout.json {
            print_json(&json!({
                "out": out.to_string_lossy(),
                "was_there": true,
                "inputs": job.corpus.report(),
            }))?;
        }
        say_of_corpus(&job.corpus);
        summary(&format!(
            "{}: was there already, left as it is",
            show::name(out)
        ));
        return Ok(());
    };
    let time = started.elapsed();
    if args.stdout.json {
        print_json(&json!({
            "out": out.to_string_lossy(),
            "was_there": false,
            "units": done.units,
            "units_done_before": done.taken_over.units,
            "bad_records": done.bad_counts,
            "all_units": done.partial,
            "inputs": job.corpus.report(),
            "seconds": time.as_secs_f64(),
        }))?;
    }
    say_of_corpus(&job.corpus);
    bad::name(&done.bad_records, Some(&job.corpus));
    let all = done.partial.units;
    let next = match all - done.partial.done.len() as u64 {
        0 => "none left, run `shardmill finish` to publish".to_owned(),
        left => format!("{} of {} left", human::count(left), human::count(all)),
    };
    summary(&format!(
        "{}: {} ({} done before){}; {next}; {} in {}",
        show::name(out),
        human::counted(done.units, "unit"),
        human::count(done.taken_over.units),
        bad::clause(&done.bad_counts),
        human::bytes(done.bytes),
        pace(time, done.bytes, done.making_time)
    ));
    Ok(())
}

fn share(typed: &str) -> std::result::Result<UnitShare, String> {
    let numbers = typed.split_once('/');
    let share =
        numbers.and_then(|(index, of)| UnitShare::new(index.parse().ok()?, of.parse().ok()?).ok());
    share.ok_or_else(|| "a part is I/N with I from 0 to N - 1, such as 0/2".to_owned())
}
