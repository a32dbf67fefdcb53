//! `shardmill embed`.

use std::io::{BufWriter, stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};
use shardmill::{
    EmbedConfig, EmbedOutcome, Error, LeftOut, Stats, StreamSink, TokenStore, embed, embed_to,
};

use crate::cli::args::EmbedArgs;
use crate::cli::config::embed_config;
use crate::cli::human;
use crate::cli::output::{pace, print_json, run_info, summary};
use crate::cli::progress::Progress;

pub(crate) fn run(args: &EmbedArgs) -> Result<()> {
    let config = embed_config(&args.embed, &args.output);
    config.validate()?;
    let to_stdout = args.output.out == Path::new("-");
    if to_stdout && args.output.json {
        return Err(Error::Config {
            field: "--json",
            what: "and --out - both write to standard output; leave one out".to_owned(),
        }
        .into());
    }
    let store = TokenStore::open(&args.dataset)?;
    let stats = Arc::new(Stats::default());
    if to_stdout {
        return stream(&store, &config, &stats);
    }
    let out = &args.output.out;
    let progress = Progress::show("embed", &stats);
    let done = embed(&store, &config, out, &run_info(out), &stats);
    drop(progress);
    let done = done?;
    if args.output.json {
        print_json(&describe(out, &done))?;
    }
    summary(&line(out, &done));
    Ok(())
}

/// Writes headerless rows to standard output.
fn stream(store: &TokenStore, config: &EmbedConfig, stats: &Arc<Stats>) -> Result<()> {
    let started = Instant::now();
    let progress = Progress::show("embed", stats);
    let mut sink = StreamSink::new(BufWriter::new(stdout().lock()), "standard output");
    let record = embed_to(store, config, &mut sink, stats);
    drop(progress);
    let record = record?;
    let [windows, seq_len, dim] = record.shape();
    summary(&format!(
        "standard output: {}{} of {seq_len} x {dim} {} in {}",
        human::counted(windows, "window"),
        record.left_out().map_or(String::new(), within_documents),
        config.dtype.name(),
        pace(stats.done(), started.elapsed())
    ));
    Ok(())
}

/// What was made, for `--json`.
pub(crate) fn describe(out: &Path, done: &EmbedOutcome) -> Value {
    json!({
        "out": out.to_string_lossy(),
        "was_there": done.was_there,
        "record": done.record,
        "bytes": done.record.bytes(),
        "seconds": done.time.as_secs_f64(),
    })
}

/// What windows within documents leave out, for people.
pub(crate) fn within_documents(left_out: LeftOut) -> String {
    format!(
        " within documents ({} and {} in none)",
        human::counted(left_out.documents, "document"),
        human::counted(left_out.tokens, "token"),
    )
}

/// What was made, for people.
pub(crate) fn line(out: &Path, done: &EmbedOutcome) -> String {
    let [windows, seq_len, dim] = done.record.shape();
    let what = format!(
        "{}: embeddings of {}{}, {seq_len} x {dim} {}, {}",
        out.display(),
        human::counted(windows, "window"),
        done.record
            .left_out()
            .map_or(String::new(), within_documents),
        done.record.dtype().name(),
        human::bytes(done.record.bytes()),
    );
    if done.was_there {
        format!("{what}; was there already, left as it is")
    } else {
        format!("{what} in {}", pace(done.record.bytes(), done.time))
    }
}
