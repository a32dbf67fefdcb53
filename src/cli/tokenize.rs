//! `shardmill tokenize`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};
use shardmill::show;
use shardmill::{Outcome, Stats, UnitShare, repair, tokenize, tokenize_units};

use crate::cli::args::TokenizeArgs;
use crate::cli::config::{Tokenization, say_of_corpus};
use crate::cli::exit::Unfinished;
use crate::cli::output::{pace, print_json, run_info, summary};
use crate::cli::progress::Progress;
use crate::cli::{bad, human, interrupt};

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
        &job.encoding,
        &job.config,
        out,
        &run_info(out),
        &stats,
    );
    drop(progress);
    let done = done.map_err(|error| Unfinished {
        error,
        out: out.clone(),
    })?;
    if args.output.json {
        let mut said = describe(out, &done);
        said["inputs"] = json!(job.corpus.report());
        print_json(&said)?;
    }
    say_of_corpus(&job.corpus);
    bad::name_first(&done, out, Some(&job.corpus));
    summary(&line(out, &done));
    Ok(())
}

/// Makes a part of the units.
fn run_units(
    args: &TokenizeArgs,
    job: &Tokenization,
    share: UnitShare,
    stats: &Arc<Stats>,
) -> Result<()> {
    let started = Instant::now();
    let out = &args.output.out;
    let progress = Progress::show("tokenize", stats);
    let done = tokenize_units(&job.corpus, &job.encoding, &job.config, share, out, stats);
    drop(progress);
    let done = done.map_err(|error| Unfinished {
        error,
        out: out.clone(),
    })?;
    let Some(done) = done else {
        if args.output.json {
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
    if args.output.json {
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

/// What was made, for `--json`.
pub(crate) fn describe(out: &Path, done: &Outcome) -> Value {
    let manifest = &done.manifest;
    json!({
        "out": out.to_string_lossy(),
        "was_there": done.was_there,
        "units_done_before": done.taken_over.units,
        "dataset_id": manifest.dataset_id,
        "encoding": manifest.encoding.name,
        "n_vocab": manifest.encoding.n_vocab,
        "sources": manifest.sources.len(),
        "shards": manifest.shards.len(),
        "totals": manifest.totals,
        // In the totals too, where there are some.
        "bad_records": manifest.totals.bad_records,
        "seconds": done.time.as_secs_f64(),
    })
}

/// What was made, for people.
pub(crate) fn line(out: &Path, done: &Outcome) -> String {
    let what = contents(out, done);
    if done.was_there {
        return format!("{what}; was there already, left as it is");
    }
    let totals = &done.manifest.totals;
    let made = totals.source_bytes.saturating_sub(done.taken_over.bytes);
    format!("{what} in {}", pace(done.time, made, done.making_time))
}

/// What is in a dataset, for people.
pub(crate) fn contents(out: &Path, done: &Outcome) -> String {
    let manifest = &done.manifest;
    let totals = &manifest.totals;
    let before = match done.taken_over.units {
        0 => String::new(),
        n => format!(" ({} done before)", human::count(n)),
    };
    let invalid = match totals.invalid_sequences {
        0 => String::new(),
        n => format!(", {} of invalid UTF-8", human::counted(n, "sequence")),
    };
    format!(
        "{}: {}, {}{before}, {} from {}{invalid}{}",
        show::name(out),
        human::counted(totals.tokens, "token"),
        human::counted(manifest.shards.len() as u64, "shard"),
        human::counted(totals.documents, "document"),
        human::bytes(totals.source_bytes),
        bad::clause(&totals.bad_records),
    )
}
