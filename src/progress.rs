//! The progress of a run, for display.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::times::{Part, Times};

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
    /// Where the time goes, if that is measured.
    times: Option<Box<Times>>,
}

impl Stats {
    /// Counters that also measure where the time goes.
    pub(crate) fn timed() -> Self {
        Self {
            times: Some(Box::default()),
            ..Self::default()
        }
    }

    /// Calls `f`, and measures it as `part` if times are measured.
    pub(crate) fn time<T>(&self, part: Part, f: impl FnOnce() -> T) -> T {
        match &self.times {
            Some(times) => times.time(part, f),
            None => f(),
        }
    }

    /// The time spent in `part`; zero if times are not measured.
    pub(crate) fn time_of(&self, part: Part) -> Duration {
        self.times
            .as_ref()
            .map_or(Duration::ZERO, |times| times.of(part))
    }

    /// The amount of work: bytes of input when tokenizing, bytes of output when embedding; 0 while
    /// unknown.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The amount done, in the same unit.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The part of [`done`](Self::done) that was reused from an earlier run, and took no time of
    /// this run.
    pub fn taken_over(&self) -> u64 {
        self.taken_over.load(Ordering::Relaxed)
    }

    /// The number of the run's current step. The counters restart at 0 with each step.
    pub fn step(&self) -> u64 {
        self.step.load(Ordering::Relaxed)
    }

    /// Makes the run end soon, with [`Error::Stopped`](crate::Error::Stopped). What is finished
    /// stays for the next run.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// The flag that [`stop`](Self::stop) sets, for readers that wait.
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

    /// Counts work that is reused from an earlier run.
    pub(crate) fn take_over(&self, by: u64) {
        self.taken_over.fetch_add(by, Ordering::Relaxed);
        self.advance(by);
    }
}
