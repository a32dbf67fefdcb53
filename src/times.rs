//! Where the time of a run goes, for [`measure_serial`](crate::bench::measure_serial).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A part of a run that is timed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// Everything in the thread pool.
    Pool,
    /// Documents to ids.
    Encode,
    /// Under the lock that all threads share.
    Feed,
    /// Under the lock that the threads of one unit share.
    Unit,
    /// Cutting a unit into chunks.
    Cut,
    /// Writing ids.
    Write,
    /// Hashing ids.
    Hash,
    /// Writing records and hashing input.
    Ledger,
    /// Creating and completing the files of units.
    Files,
}

impl Part {
    /// The number of parts.
    const COUNT: usize = Self::Files as usize + 1;
}

/// The time spent in each part, summed over all threads.
#[derive(Debug, Default)]
pub(crate) struct Times([AtomicU64; Part::COUNT]);

impl Times {
    /// Calls `f` and adds the time it takes to `part`.
    pub(crate) fn time<T>(&self, part: Part, f: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = f();
        // More than 500 years do not fit.
        let nanoseconds = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0[part as usize].fetch_add(nanoseconds, Ordering::Relaxed);
        result
    }

    /// The time spent in `part` so far.
    pub(crate) fn of(&self, part: Part) -> Duration {
        Duration::from_nanos(self.0[part as usize].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_by_part() {
        let times = Times::default();
        let sleep = || std::thread::sleep(Duration::from_millis(2));
        times.time(Part::Files, sleep);
        times.time(Part::Files, sleep);
        assert!(times.of(Part::Files) >= Duration::from_millis(4));
        assert_eq!(times.of(Part::Pool), Duration::ZERO);
    }
}
