//! Describes the dataset or the embeddings that were made, for people and for `--json`.

use std::path::Path;

use serde_json::{Value, json};
use shardmill::dataset::Side;
use shardmill::embed::EmbedOutcome;
use shardmill::pipeline::Outcome;
use shardmill::{Manifest, show};

use crate::cli::coverage::Coverage;
use crate::cli::output::pace;
use crate::cli::{bad, human};

/// Describes the dataset that was made, for `--json`.
pub(crate) fn describe_dataset(out: &Path, done: &Outcome) -> Value {
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
        "kept_fields": kept_found(manifest),
        // Also in the totals, if there are any.
        "bad_records": manifest.totals.bad_records,
        "seconds": done.time.as_secs_f64(),
    })
}

/// Describes the dataset that was made, for people.
pub(crate) fn dataset_line(out: &Path, done: &Outcome) -> String {
    let what = dataset_contents(out, done);
    if done.was_there {
        return format!("{what}; was there already, left as it is");
    }
    let totals = &done.manifest.totals;
    let made = totals.source_bytes.saturating_sub(done.taken_over.bytes);
    format!("{what} in {}", pace(done.time, made, done.making_time))
}

/// Describes the contents of a dataset, for people.
pub(crate) fn dataset_contents(out: &Path, done: &Outcome) -> String {
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
    let outside = match totals.outside_limits.total() {
        0 => String::new(),
        n => format!(", {} outside of the limits", human::counted(n, "document")),
    };
    let nowhere = nowhere(manifest);
    let others = match totals.other_side {
        0 => String::new(),
        n => {
            let side = manifest.settings.split.map(|split| split.side);
            let purpose = match side {
                Some(Side::Validation) => "training",
                _ => "validation",
            };
            format!(", {} left for {purpose}", human::counted(n, "document"))
        }
    };
    format!(
        "{}: {}, {}{before}, {} from {}{nowhere}{others}{outside}{invalid}{}",
        show::name(out),
        human::counted(totals.tokens, "token"),
        human::counted(manifest.shards.len() as u64, "shard"),
        human::counted(totals.documents, "document"),
        human::bytes(totals.source_bytes),
        bad::clause(&totals.bad_records),
    )
}

/// `, no field 'urll' in any`: which of the kept fields no document has.
fn nowhere(manifest: &Manifest) -> String {
    let kept = manifest.settings.kept_fields();
    let nowhere = kept.filter(|(key, _)| manifest.fields_found(key) == 0);
    let nowhere: Vec<_> = nowhere.map(|(_, name)| name).collect();
    match (manifest.totals.documents, &*nowhere) {
        (0, _) | (_, []) => String::new(),
        (_, [name]) => format!(", no field '{}' in any", show::shortened(name)),
        (_, [name, more @ ..]) => {
            let name = show::shortened(name);
            let more = human::count(more.len() as u64);
            format!(", no field '{name}' and {more} more in any")
        }
    }
}

/// The number of documents in which each kept field is, for `--json`.
fn kept_found(manifest: &Manifest) -> Value {
    let kept = manifest.settings.kept_fields();
    kept.map(|(key, _)| (key.to_owned(), manifest.fields_found(key).into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Describes the embeddings that were made, for `--json`.
pub(crate) fn describe_embeddings(out: &Path, done: &EmbedOutcome) -> Value {
    json!({
        "out": out.to_string_lossy(),
        "was_there": done.was_there,
        "record": done.record,
        "bytes": done.record.bytes(),
        "tokens_in_no_window": done.record.n_left_out_tokens(),
        "tokens_in_several_windows": done.repeated_tokens,
        "seconds": done.time.as_secs_f64(),
    })
}

/// Describes the embeddings that were made, for people.
pub(crate) fn embeddings_line(out: &Path, done: &EmbedOutcome) -> String {
    let [windows, seq_len, dim] = done.record.shape();
    let what = format!(
        "{}: embeddings of {}{}, {seq_len} x {dim} {}, {}",
        show::name(out),
        human::counted(windows, "window"),
        Coverage::of(done),
        done.record.dtype().name(),
        human::bytes(done.record.bytes()),
    );
    if done.was_there {
        format!("{what}; was there already, left as it is")
    } else {
        format!(
            "{what} in {}",
            pace(done.time, done.record.bytes(), done.time)
        )
    }
}
