//! The outcome of a run.

use std::time::Duration;

use crate::dataset::{DoneUnit, Manifest};

/// What [`tokenize`](crate::tokenize) did.
#[derive(Debug)]
pub struct Outcome {
    /// The dataset's manifest.
    pub manifest: Manifest,
    /// Whether the output already existed, exactly as requested, and was left as it is.
    pub was_there: bool,
    /// What was reused from an earlier run that did not finish.
    pub taken_over: TakenOver,
    /// How long it took.
    pub time: Duration,
    /// How long it took to make what was not reused.
    pub making_time: Duration,
}

/// Finished units of an earlier run that were reused as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TakenOver {
    /// The number of units.
    pub units: u64,
    /// The number of corpus bytes that they were made from.
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
