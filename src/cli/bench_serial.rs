//! `shardmill bench serial`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use shardmill::bench::{SerialConfig, SerialReport, measure_serial};

use crate::cli::args::{StdoutArgs, TokenizerArgs};
use crate::cli::failure::Result;
use crate::cli::human;
use crate::cli::output::{print_json, print_lines, summary};

pub(crate) const HELP: &str = "\
Tokenizes the input on one thread and prints the times of the fastest run. Some parts are done by one \
thread at a time, for all threads or for a unit. They limit how many threads are of use, so that \
limit is printed for several numbers of threads.

Example:
  shardmill bench serial corpus.txt --dir /dev/shm";

#[derive(Debug, Args)]
pub(crate) struct SerialArgs {
    /// File or directory to tokenize, of about 100 MB
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    #[command(flatten)]
    tokenizer: TokenizerArgs,
    /// Directory to write a dataset in, which is removed at the end; best in memory
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// How often to tokenize the input
    #[arg(long, value_name = "N", default_value_t = 5)]
    repetitions: usize,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

pub(crate) fn run(args: &SerialArgs) -> Result<()> {
    let mut config = SerialConfig::new(&args.input);
    config.encoding.clone_from(&args.tokenizer.name);
    config.dir.clone_from(&args.dir);
    config.repetitions = args.repetitions;
    let started = Instant::now();
    let report = measure_serial(&config)?;
    if args.stdout.json {
        print_json(&json!(report))?;
    } else {
        print_lines(table(&report))?;
    }
    let runs = human::counted(report.repetitions as u64 + 1, "run");
    summary(&format!("{runs} in {}", human::seconds(started.elapsed())));
    Ok(())
}

/// The report for people.
fn table(report: &SerialReport) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{} in {}, {}, one thread",
            human::bytes(report.bytes),
            human::counted(report.files, "file"),
            report.encoding
        ),
        String::new(),
        "  s/GB  part".to_owned(),
    ];
    let parts = [
        (report.work, "all work in the thread pool; of this:"),
        (report.encode, "documents to ids"),
        (report.feed_lock, "under the lock of all threads"),
        (report.unit_lock, "under the lock of a unit"),
        (report.cut, "cutting a unit into chunks"),
        (report.write, "writing the ids of a unit"),
        (report.hash, "hashing the ids of a unit"),
        (
            report.ledger,
            "writing the records of a unit and hashing its input",
        ),
        (
            report.unit_files,
            "creating and completing the files of units",
        ),
    ];
    lines.extend(parts.map(|(seconds, part)| format!("{seconds:6.4}  {part}")));
    let outside = report.outside_seconds * 1e3;
    lines.push(String::new());
    lines.push(format!("{outside:.1} ms outside the thread pool"));
    lines.push(String::new());
    lines.push("threads  limit, GB/s  share of the threads  units at a time".to_owned());
    lines.extend(report.limits.iter().map(|limit| {
        format!(
            "{:7}  {:11.1}  {:18.0} %  {:15}",
            limit.threads,
            limit.gb_per_second,
            100.0 * limit.share,
            limit.units
        )
    }));
    lines
}
