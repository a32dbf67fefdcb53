//! Measures a rate.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::Result;

/// The minimum and the maximum number of repetitions.
const MIN_REPETITIONS: usize = 5;
const MAX_REPETITIONS: usize = 25;

/// Beyond the minimum, no repetition starts after this time.
const BUDGET: Duration = Duration::from_millis(100);

/// The repetitions of one timed operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Sample<T> {
    /// What was timed.
    #[serde(flatten)]
    pub what: T,
    /// The number of threads used.
    pub threads: usize,
    /// The number of bytes moved or produced in each repetition.
    pub bytes: u64,
    /// The number of repetitions, not counting a warm-up.
    pub repetitions: usize,
    /// The median time.
    pub median_seconds: f64,
    /// The shortest time.
    pub min_seconds: f64,
    /// The longest time.
    pub max_seconds: f64,
}

impl<T> Sample<T> {
    /// Times `once`, which moves `bytes`.
    pub(super) fn take(
        what: T,
        threads: usize,
        bytes: u64,
        mut once: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        once()?;
        let mut times = Vec::with_capacity(MAX_REPETITIONS);
        let begun = Instant::now();
        while times.len() < MIN_REPETITIONS
            || (times.len() < MAX_REPETITIONS && begun.elapsed() < BUDGET)
        {
            let started = Instant::now();
            once()?;
            times.push(started.elapsed());
        }
        Ok(Self::of(what, threads, bytes, times))
    }

    /// The sample of what moved `bytes` in each of `times`, of which there is at least one.
    pub(super) fn of(what: T, threads: usize, bytes: u64, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let seconds = |index: usize| times[index].as_secs_f64().max(1e-9);
        Self {
            what,
            threads,
            bytes,
            repetitions: times.len(),
            median_seconds: seconds(times.len() / 2),
            min_seconds: seconds(0),
            max_seconds: seconds(times.len() - 1),
        }
    }

    /// Bytes per second, by the median time.
    pub fn rate(&self) -> f64 {
        self.rate_in(self.median_seconds)
    }

    /// Bytes per second, by the longest and by the shortest time.
    pub fn rates(&self) -> [f64; 2] {
        [self.max_seconds, self.min_seconds].map(|seconds| self.rate_in(seconds))
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate of a few digits")]
    fn rate_in(&self, seconds: f64) -> f64 {
        self.bytes as f64 / seconds
    }
}

/// Splits `count` items into up to `parts` shares that differ by at most one; none is empty.
pub(super) fn shares(count: usize, parts: usize) -> impl Iterator<Item = usize> {
    let parts = parts.clamp(1, count.max(1));
    (0..parts).map(move |part| count / parts + usize::from(part < count % parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_does_not_count() {
        let mut calls = 0;
        let sample = Sample::take("a sleep", 1, 1000, || {
            // The first call is long, the second the longest of the others.
            let long = [80, 30].get(calls).copied().unwrap_or(10);
            std::thread::sleep(Duration::from_millis(long));
            calls += 1;
            Ok(())
        });
        let sample = sample.unwrap();
        assert_eq!(calls, sample.repetitions + 1);
        assert!(sample.repetitions >= MIN_REPETITIONS);
        assert!(sample.min_seconds >= 0.01 && sample.min_seconds <= sample.median_seconds);
        assert!((0.03..0.08).contains(&sample.max_seconds), "{sample:?}");
        let [slowest, fastest] = sample.rates();
        assert!(slowest <= sample.rate() && sample.rate() <= fastest && fastest <= 100_000.0);
    }

    #[test]
    fn an_error_ends_it() {
        let error = || Err(crate::error::Error::shape("no"));
        assert!(Sample::take((), 1, 1, error).is_err());
    }
}
