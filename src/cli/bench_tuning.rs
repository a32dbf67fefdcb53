//! `shardmill bench gather-tuning`.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use shardmill::Stats;
use shardmill::bench::{GatherSetting, TunedShape, TuningConfig, TuningReport, measure_tuning};

use crate::cli::args::StdoutArgs;
use crate::cli::failure::Result;
use crate::cli::human;
use crate::cli::output::{print_json, print_lines, summary};
use crate::cli::progress::Progress;

pub(crate) const HELP: &str = "\
Adds learned positions to f32 rows, in sequences of 1024, with every setting that could be the \
fastest on some processor, and compares the default with the best. A setting is the order (by token \
or by position), elements of a piece x pieces that are prefetched ahead, and the hint by which \
position rows are prefetched. All settings take their turn in 3 rounds after a warm-up; the fastest \
3 and the default, in 9 more, whose medians are shown. --json has all settings. No setting changes \
the output. Run it on an idle machine.

Examples:
  shardmill bench gather-tuning
  shardmill bench gather-tuning --threads 8 --dims 256,768 --json";

#[derive(Debug, Args)]
pub(crate) struct TuningArgs {
    /// Embedding dimensions to measure
    #[arg(long, value_name = "N,...", value_delimiter = ',',
        default_values_t = [128, 256, 768, 1024, 4096])]
    dims: Vec<usize>,
    /// Bytes of f32 output; should exceed the CPU caches
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = human::parse_size)]
    size: u64,
    /// Number of threads to measure, in addition to one [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

pub(crate) fn run(args: &TuningArgs) -> Result<()> {
    let mut config = TuningConfig::default();
    config.dims.clone_from(&args.dims);
    config.size_bytes = args.size;
    config.threads = args.threads.unwrap_or(config.threads);
    let started = Instant::now();
    let stats = Arc::new(Stats::default());
    let progress = Progress::count("bench gather-tuning", &stats);
    let report = measure_tuning(&config, &stats);
    drop(progress);
    let report = report?;
    if args.stdout.json {
        let mut value = json!(report);
        value["seconds"] = json!(started.elapsed().as_secs_f64());
        print_json(&value)?;
    } else {
        print_lines(table(&report))?;
    }
    let settings: usize = report.shapes.iter().map(|shape| shape.samples.len()).sum();
    let time = human::seconds(started.elapsed());
    summary(&format!("{settings} settings in {time}"));
    Ok(())
}

/// The report for people.
fn table(report: &TuningReport) -> Vec<String> {
    let mut lines = vec![
        format!("{} instructions; GB/s of output, median", report.level),
        String::new(),
        row(["dim", "to", "threads", "default", "best", "share"])
            + &format!("  {:<25}{}", "default setting", "best setting"),
    ];
    lines.extend(report.shapes.iter().map(line));
    if let Some(worst) = report.worst() {
        let what = &worst.default.what;
        lines.push(String::new());
        lines.push(format!(
            "smallest share: {:.0} %, dim {} to {} on {}",
            100.0 * worst.share,
            what.dim,
            what.dtype.name(),
            human::counted(worst.default.threads as u64, "thread")
        ));
    }
    lines
}

fn line(shape: &TunedShape) -> String {
    let (default, best) = (&shape.default, &shape.best);
    let rate = |rate: f64| format!("{:.1}", rate / 1e9);
    let best_setting = if best.what.is_default {
        "the default".to_owned()
    } else {
        setting(&best.what)
    };
    let cells = row([
        &default.what.dim.to_string(),
        default.what.dtype.name(),
        &default.threads.to_string(),
        &rate(default.rate()),
        &rate(best.rate()),
        &format!("{:.0} %", 100.0 * shape.share),
    ]);
    format!("{cells}  {:<25}{best_setting}", setting(&default.what))
}

fn row([dim, dtype, threads, default, best, share]: [&str; 6]) -> String {
    format!("{dim:>5}  {dtype:<4}  {threads:>7}  {default:>7}  {best:>5}  {share:>5}")
}

/// `position 1024 x 3 nta`.
fn setting(setting: &GatherSetting) -> String {
    let order = setting.order.trim_end_matches("_major");
    let GatherSetting {
        piece_elements,
        pieces_ahead,
        position_hint,
        ..
    } = setting;
    format!("{order} {piece_elements} x {pieces_ahead} {position_hint}")
}
