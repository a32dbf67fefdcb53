//! The progress of a run, for display.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters that a run updates and a display reads, from any thread.
///
/// ```
/// let stats = shardmill::Stats::default();
/// assert_eq!((stats.done(), stats.total()), (0, 0));
/// ```
#[derive(Debug, Default)]
pub struct Stats {
    total: AtomicU64,
    done: AtomicU64,
    taken_over: AtomicU64,
    step: AtomicU64,
    is_stopped: Arc<AtomicBool>,
}

impl Stats {
    /// What there is to do: bytes of input when tokenizing, bytes of output when embedding; 0
    /// while it is not known.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// What is done of it, in the same unit.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// What of [`done`](Self::done) an earlier run had done: its time is not this run's.
    pub fn taken_over(&self) -> u64 {
        self.taken_over.load(Ordering::Relaxed)
    }

    /// Which step of the run this is. Each has counters of its own, which begin at 0.
    pub fn step(&self) -> u64 {
        self.step.load(Ordering::Relaxed)
    }

    /// Makes the run end soon, with [`Error::Stopped`](crate::Error::Stopped); what is finished
    /// of it stays for the next run.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// What [`stop`](Self::stop) sets, for readers that wait.
    pub(crate) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_stopped)
    }

    pub(crate) fn begin(&self, total: u64) {
        self.step.fetch_add(1, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.taken_over.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, by: u64) {
        self.done.fetch_add(by, Ordering::Relaxed);
    }

    /// Counts what an earlier run had done.
    pub(crate) fn take_over(&self, by: u64) {
        self.taken_over.fetch_add(by, Ordering::Relaxed);
        self.advance(by);
    }
}
