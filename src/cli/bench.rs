//! `shardmill bench`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Subcommand};
use serde_json::json;
use shardmill::bench::{BenchConfig, BenchReport, Ceiling, Sample, measure};
use shardmill::{Level, Stats};

use crate::cli::args::{StdoutArgs, TokenizerArgs, level};
use crate::cli::failure::Result;
use crate::cli::human;
use crate::cli::output::{print_json, print_lines, summary};
use crate::cli::progress::Progress;
use crate::cli::{bench_serial, bench_tuning};

pub(crate) const HELP: &str = "\
Each rate is the median of 5 or more repetitions after a warm-up, followed by the slowest and the \
fastest. Tokenizing starts with empty caches; gathering refills one buffer. Run it on an idle \
machine.

Examples:
  shardmill bench
  shardmill bench corpus.txt --tokenizer o200k_base --dir /data --json
  shardmill bench serial corpus.txt
  shardmill bench gather-tuning";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// Text to measure with, up to 64 MiB [default: generated text; for gathering,
    /// Zipf-distributed ids, which repeat less]
    #[arg(value_name = "INPUT")]
    input: Option<PathBuf>,
    #[command(flatten)]
    tokenizer: TokenizerArgs,
    /// Directory on the disk to measure; no file is left there
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Embedding dimensions to measure
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [256, 768, 4096])]
    dims: Vec<usize>,
    /// Bytes of memory to fill; should exceed the CPU caches
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = human::parse_size)]
    size: u64,
    /// Number of threads to measure, in addition to one [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// SIMD level to use [default: the best available]
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    simd: Option<Level>,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measure what limits the number of threads that are of use
    #[command(after_help = bench_serial::HELP)]
    Serial(bench_serial::SerialArgs),
    /// Measure the settings of gathering that depend on the processor
    #[command(after_help = bench_tuning::HELP)]
    GatherTuning(bench_tuning::TuningArgs),
}

impl BenchArgs {
    /// Whether a command in this one was given `--json`.
    pub(crate) fn inner_has_json(&self) -> bool {
        match &self.what {
            None => false,
            Some(What::Serial(args)) => args.stdout.json,
            Some(What::GatherTuning(args)) => args.stdout.json,
        }
    }
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        None => {}
        Some(What::Serial(args)) => return bench_serial::run(args),
        Some(What::GatherTuning(args)) => return bench_tuning::run(args),
    }
    let mut config = BenchConfig::default();
    config.input.clone_from(&args.input);
    config.encoding.clone_from(&args.tokenizer.name);
    config.dir.clone_from(&args.dir);
    config.dims.clone_from(&args.dims);
    config.size_bytes = args.size;
    config.threads = args.threads.unwrap_or(config.threads);
    config.level = args.simd.unwrap_or(config.level);
    let started = Instant::now();
    let stats = Arc::new(Stats::default());
    let progress = Progress::count("bench", &stats);
    let report = measure(&config, &stats);
    drop(progress);
    let report = report?;
    if args.stdout.json {
        let mut value = json!(report);
        value["seconds"] = json!(started.elapsed().as_secs_f64());
        print_json(&value)?;
    } else {
        print_lines(table(&report))?;
    }
    let time = human::seconds(started.elapsed());
    summary(&format!("{} rates in {time}", stats.total()));
    Ok(())
}

/// The report for people.
fn table(report: &BenchReport) -> Vec<String> {
    let mut lines = vec![format!(
        "{} instructions; GB/s, median (slowest to fastest)",
        report.level
    )];
    let counts: Vec<_> = [1, report.threads].into_iter().collect();
    let counts = &counts[..if report.threads == 1 { 1 } else { 2 }];
    let names = counts
        .iter()
        .map(|threads| human::counted(*threads as u64, "thread"));
    lines.push(String::new());
    lines.push(row("ceiling", names.clone()));
    for ceiling in Ceiling::ALL {
        let samples = counts
            .iter()
            .filter_map(|threads| report.ceiling(ceiling, *threads));
        lines.push(row(ceiling.name(), samples.map(spread)));
    }
    lines.push(String::new());
    lines.push(row("tokenize, share of copy", names.clone()));
    let samples = report.tokenize.iter();
    let label = report
        .tokenize
        .first()
        .map(|sample| format!("{}, {}", sample.what.encoding, human::bytes(sample.bytes)));
    let shares = samples.map(|sample| {
        format!(
            "{} {}",
            spread(sample),
            share(report, Ceiling::Copy, sample)
        )
    });
    lines.push(row(&label.unwrap_or_default(), shares));
    lines.push(String::new());
    lines.push(row("gather, share of streaming store", names));
    for samples in report.gather.chunks(counts.len()) {
        let what = &samples[0].what;
        let label = format!(
            "{:>4} to {:<4} dim {}",
            what.table_dtype.name(),
            what.dtype.name(),
            what.dim
        );
        let cells = samples.iter().map(|sample| {
            let share = share(report, Ceiling::StreamingStore, sample);
            format!("{} {share}", spread(sample))
        });
        lines.push(row(&label, cells));
    }
    lines
}

fn row(label: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<_> = cells.map(|cell| format!("{cell:<28}")).collect();
    format!("{label:<34}{}", cells.concat())
        .trim_end()
        .to_owned()
}

/// `12.3 (11.0 to 12.9)`.
fn spread<T>(sample: &Sample<T>) -> String {
    let [slowest, fastest] = sample.rates().map(|rate| rate / 1e9);
    let rate = sample.rate() / 1e9;
    let digits = if fastest < 1.0 { 3 } else { 1 };
    format!("{rate:.digits$} ({slowest:.digits$} to {fastest:.digits$})")
}

/// `75 %` of a ceiling on as many threads.
fn share<T>(report: &BenchReport, ceiling: Ceiling, sample: &Sample<T>) -> String {
    let ceiling = report.ceiling(ceiling, sample.threads);
    ceiling.map_or(String::new(), |ceiling| {
        format!("{:.0} %", 100.0 * sample.rate() / ceiling.rate())
    })
}
