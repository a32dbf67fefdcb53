//! Reports, for people, the records that were left out.

use std::path::Path;

use shardmill::Corpus;
use shardmill::dataset::{BadCounts, BadRecord, bad_records};
use shardmill::document::BadKind;
use shardmill::pipeline::Outcome;

use crate::cli::human;
use crate::cli::output::summary;

/// How many records are listed; the rest are only counted.
const NAMED: usize = 5;

/// `, 3 bad records left out (2 broken JSON, 1 missing field)`, or nothing if there are none.
pub(crate) fn clause(bad: &BadCounts) -> String {
    if bad.total() == 0 {
        return String::new();
    }
    format!(", {} left out", counts(bad))
}

/// `3 bad records (2 broken JSON, 1 missing field)`, and how many lines they take up if that is more.
pub(crate) fn counts(bad: &BadCounts) -> String {
    let kinds = BadKind::ALL.map(|kind| (bad.get(kind), kind.words()));
    let kinds: Vec<_> = kinds
        .iter()
        .filter(|&&(count, _)| count > 0)
        .map(|&(count, words)| format!("{} {words}", human::count(count)))
        .collect();
    let lines = match bad.more_lines {
        0 => String::new(),
        more => format!(
            " on {} lines",
            human::count(bad.total().saturating_add(more))
        ),
    };
    format!(
        "{} ({}){lines}",
        human::counted(bad.total(), "bad record"),
        kinds.join(", ")
    )
}

/// Lists the first records that a dataset leaves out, and says where all are listed.
pub(crate) fn name_first(done: &Outcome, out: &Path, corpus: Option<&Corpus>) {
    let bad = &done.manifest.totals.bad_records;
    if bad.total() == 0 {
        return;
    }
    // The dataset is done, but by now another one may be in its place.
    let records = bad_records(out, NAMED).unwrap_or_default();
    name(&records, corpus);
    let more = bad.total().saturating_sub(records.len() as u64);
    if more > 0 {
        summary(&format!(
            "left out: {} more; all are in {}",
            human::count(more),
            out.join("shard-*.bad.jsonl").display()
        ));
    }
}

/// Lists the first of the records that are left out.
pub(crate) fn name(records: &[BadRecord], corpus: Option<&Corpus>) {
    for record in records.iter().take(NAMED) {
        let path = corpus.map(|corpus| corpus.path_of(record.source as usize));
        let path = path.map_or_else(|| record.name.clone(), |path| path.display().to_string());
        let place = match (record.line, record.row) {
            (Some(line), _) if record.lines > 1 => {
                format!("lines {line} to {}", line.saturating_add(record.lines - 1))
            }
            (Some(line), _) => format!("line {line}"),
            (None, Some(row)) => format!("row {row}"),
            (None, None) => format!("byte {}", record.byte_start),
        };
        summary(&format!("left out: {path}: {place}: {}", record.message));
    }
}
