//! The outcome of a run.

use std::time::Duration;

use crate::dataset::{DoneUnit, Manifest};

/// What [`tokenize`](crate::tokenize) did.
#[derive(Debug)]
pub struct Outcome {
    /// The dataset's manifest.
    pub manifest: Manifest,
    /// Whether the output was there already, just as asked for, and was left as it is.
    pub was_there: bool,
    /// What an earlier run, that did not come to its end, had done of it.
    pub taken_over: TakenOver,
    /// How long it took.
    pub time: Duration,
    /// How long it took to make what was not taken over.
    pub making_time: Duration,
}

/// Finished units of an earlier run that were used as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TakenOver {
    /// How many.
    pub units: u64,
    /// Bytes of the corpus that they were made from.
    pub bytes: u64,
}

impl TakenOver {
    pub(super) fn of(done: &[(usize, DoneUnit)]) -> Self {
        Self {
            units: done.len() as u64,
            bytes: done.iter().map(|(_, unit)| unit.source_bytes()).sum(),
        }
    }
}
