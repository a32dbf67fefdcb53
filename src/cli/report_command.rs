//! `shardmill report`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use shardmill::page::{PageOutcome, check_out, html, write_page};
use shardmill::show;
use shardmill::{Report, Stats, TokenStore, Tokenizer};

use crate::cli::args::{DatasetArgs, PublishArgs, StdoutArgs, TokenizerFileArgs};
use crate::cli::failure::{Failure, Result};
use crate::cli::output::{pace, print, print_json, summary};
use crate::cli::progress::Progress;
use crate::cli::threads::start_threads;
use crate::cli::{human, interrupt, made_with};

pub(crate) const HELP: &str = "\
The page shows sources, lengths of documents, bytes per token, the most frequent tokens, how much \
of the vocabulary occurs, and what was left out. It is one file without scripts, and the same for \
the same dataset. The whole dataset is read and its checksums are checked, in bounded memory.

Examples:
  shardmill report out --out report.html
  shardmill report out --out - > report.html";

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// File to create, whose name must end in .html; - for standard output
    #[arg(long, value_name = "FILE.html")]
    out: PathBuf,
    /// The file, directory or Hub id of the tokenizer, if it is not built in; without it, the page
    /// has ids only
    #[arg(long, value_name = "NAME|PATH")]
    tokenizer: Option<String>,
    #[command(flatten)]
    file: TokenizerFileArgs,
    #[command(flatten)]
    publish: PublishArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

impl ReportArgs {
    /// Whether the page goes to standard output.
    pub(crate) fn is_to_stdout(&self) -> bool {
        self.out == Path::new("-")
    }
}

pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    if args.stdout.json && args.is_to_stdout() {
        return Err(Failure::Usage {
            option: "--json",
            what: "and --out - both write to standard output; leave one out".to_owned(),
        });
    }
    if !args.is_to_stdout() {
        check_out(&args.out)?;
    }
    let started = Instant::now();
    let store = TokenStore::open(&args.dataset.dir)?;
    let tokenizer = tokenizer(args, &store)?;
    start_threads()?;
    let stats = Arc::new(Stats::default());
    interrupt::stops(&stats, &args.out)?;
    let progress = Progress::show("report", &stats);
    let report = Report::of(&store, tokenizer.as_ref(), &stats);
    drop(progress);
    let report = report?;
    let read = stats.done();
    if args.is_to_stdout() {
        return print(&html(&report));
    }
    let publish = &args.publish;
    let done = write_page(&report, &args.out, publish.overwrite, publish.durability)?;
    let time = started.elapsed();
    if args.stdout.json {
        print_json(&json!({
            "out": args.out.to_string_lossy(),
            "was_there": done.was_there,
            "bytes": done.bytes,
            "report": report,
            "seconds": time.as_secs_f64(),
        }))?;
    }
    summary(&line(&args.out, &report, &done, read, time));
    Ok(())
}

/// The tokenizer of the dataset; `None`, with a notice, if it is a file that is not there any more.
fn tokenizer(args: &ReportArgs, store: &TokenStore) -> Result<Option<Tokenizer>> {
    let name = args.tokenizer.as_deref();
    match made_with::tokenizer(name, &args.file, store) {
        Ok(tokenizer) => Ok(Some(tokenizer)),
        Err(Failure::Usage { .. }) if name.is_none() => {
            summary(&format!(
                "the page has ids only: --tokenizer is needed for their texts, because the dataset \
                 was made with {}, which is not built in",
                store.manifest().encoding.name
            ));
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Describes what was made, for people.
fn line(out: &Path, report: &Report, done: &PageOutcome, read: u64, time: Duration) -> String {
    let what = format!(
        "{}: {} of {}, {}",
        show::name(out),
        human::counted(report.totals.tokens, "token"),
        human::counted(report.totals.documents, "document"),
        human::bytes(done.bytes),
    );
    let pace = pace(time, read, time);
    if done.was_there {
        format!("{what}; was there already, left as it is")
    } else {
        format!("{what}; {} read in {pace}", human::bytes(read))
    }
}
