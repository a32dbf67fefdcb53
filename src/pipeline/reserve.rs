//! Threads beyond the CPUs: as many of them work as the CPUs have room for.
//!
//! More threads than CPUs are of use while some wait for storage. While none does, they push each
//! other's tables out of the caches, and a run takes longer than with fewer. So they measure how
//! much CPU time the process uses. While that is all it could, fewer and fewer of them work. While it
//! is not, more of them do: all at once if threads wait often, else one after the other, since other
//! processes, or the host of a virtual machine, may have the CPUs. A thread that rests holds no chunk,
//! so the output does not depend on this.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shardmill_core::system::{Used, used};

/// For how long use is measured at least: the usual period of a container's quota.
const WINDOW: Duration = Duration::from_millis(100);

/// In every so many windows, one thread more than the CPUs shows whether there are more of them.
const PROBE_EVERY: u32 = 10;

/// A process that waits so often in a second waits for storage, or for a decoder.
const OFTEN: u128 = 1000;

/// What is read within this time is read at once.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Thousandths of a CPU: the unit of use.
const CPU: usize = 1000;

/// Says which threads rest; shared by all threads.
#[derive(Debug)]
pub(super) struct Reserve {
    /// The number of threads that never rest.
    always: AtomicUsize,
    state: Mutex<State>,
    /// Notified when more threads may work, or when there is nothing left to do.
    called: Condvar,
}

#[derive(Debug)]
struct State {
    usage: Usage,
    is_over: bool,
}

impl Reserve {
    /// For a run with `threads` threads that may use `cpus` CPUs.
    pub(super) fn new(threads: usize, cpus: usize) -> Self {
        Self {
            always: AtomicUsize::new(cpus),
            state: Mutex::new(State {
                usage: Usage::new(threads, cpus),
                is_over: false,
            }),
            called: Condvar::new(),
        }
    }

    /// Returns when thread `index` can be of use, or when there is nothing left to do.
    pub(super) fn wait_until_needed(&self, index: usize) {
        if index < self.always.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        loop {
            let before = state.usage.working();
            if let Some(now) = Reading::now() {
                state.usage.look(now);
            }
            let always = state.usage.threads_for_cpus();
            self.always.store(always, Ordering::Relaxed);
            let working = state.usage.working();
            if working > before {
                self.called.notify_all();
            }
            if index < working || state.is_over {
                return;
            }
            // Each looks again by itself: any other may be at work for long.
            let woken = self.called.wait_timeout(state, WINDOW);
            (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends all rest, for good.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.called.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many CPUs the process uses, and how many threads that calls for.
#[derive(Debug)]
struct Usage {
    threads: usize,
    /// The use that is possible: of the CPUs that the system counts, or more if there was more. A
    /// container may have half a CPU that the system does not count, and get more CPUs later.
    possible: usize,
    /// How many threads work beyond those that fill the CPUs if none waits.
    extra: usize,
    /// After how many more windows one thread more is tried.
    until_probe: u32,
    /// `None` before the first look: all before it is done by one thread.
    last: Option<Reading>,
}

impl Usage {
    fn new(threads: usize, cpus: usize) -> Self {
        Self {
            threads,
            possible: cpus * CPU,
            extra: 0,
            until_probe: 0,
            last: None,
        }
    }

    /// Measures use since the last look, unless that was just now.
    fn look(&mut self, now: Reading) {
        let Some(last) = self.last else {
            self.last = Some(now);
            return;
        };
        let elapsed = now.at.saturating_duration_since(last.at);
        if elapsed < WINDOW {
            return;
        }
        self.last = Some(now);
        let used = now.used.cpu_time.saturating_sub(last.used.cpu_time);
        let used = used.as_nanos() * CPU as u128 / elapsed.as_nanos();
        let used = usize::try_from(used).unwrap_or(usize::MAX);
        let waits = now.used.waits.saturating_sub(last.used.waits);
        let waits_often = u128::from(waits) * 1000 > OFTEN * elapsed.as_millis();
        // The system counts the time of a thread on another CPU from tick to tick.
        let margin = CPU / 8 + self.possible / 32;
        if used > self.possible.saturating_add(margin) {
            self.possible = used;
            self.until_probe = 0;
        }
        if used < self.possible - margin {
            let more = if waits_often { self.threads } else { 1 };
            self.extra = (self.extra + more).min(self.threads);
        } else if self.extra > 0 {
            self.extra /= 2;
        } else if self.until_probe == 0 {
            self.extra = 1;
            self.until_probe = PROBE_EVERY;
        } else {
            self.until_probe -= 1;
        }
    }

    /// How many threads fill the CPUs if none waits. An eighth of a CPU is not worth a thread.
    fn threads_for_cpus(&self) -> usize {
        (self.possible - CPU / 8).div_ceil(CPU)
    }

    fn working(&self) -> usize {
        self.threads_for_cpus() + self.extra
    }
}

/// What the process has used, and when that was read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    used: Used,
}

impl Reading {
    /// `None` if other threads ran between the clock and the rest each time. What is used is brought
    /// up to date, which often ends a thread's turn, and then others may run for long.
    fn now() -> Option<Self> {
        (0..4).find_map(|_| {
            let at = Instant::now();
            let used = used();
            (at.elapsed() < AT_ONCE).then_some(Self { at, used })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: usize = 8;

    impl Reading {
        fn start() -> Self {
            Self {
                at: Instant::now(),
                used: Used::default(),
            }
        }
    }

    /// Looks after each of the windows, given as the number of CPUs that it uses; returns how many
    /// threads work after each.
    fn looks(cpus: usize, windows: &[f64]) -> Vec<usize> {
        looks_with_waits(cpus, windows, 20)
    }

    /// As [`looks`], with so many waits in each window.
    fn looks_with_waits(cpus: usize, windows: &[f64], waits: u64) -> Vec<usize> {
        let mut now = Reading::start();
        let mut usage = Usage::new(THREADS, cpus);
        usage.look(now);
        let look = |&used: &f64| {
            now.at += WINDOW;
            now.used.cpu_time += WINDOW.mul_f64(used);
            now.used.waits += waits;
            usage.look(now);
            usage.working()
        };
        windows.iter().map(look).collect()
    }

    #[test]
    fn more_and_more_work_while_cpus_are_idle_and_rest_while_they_are_full() {
        let windows = [1.0, 1.7, 1.0, 1.9, 1.95, 2.0, 2.05, 2.1, 1.9];
        assert_eq!(looks(2, &windows), [3, 4, 5, 3, 2, 3, 2, 2, 2]);
        let working = looks_with_waits(2, &windows, 200);
        assert_eq!(working, [10, 10, 10, 6, 4, 3, 2, 3, 2]);
        // Much is little of many.
        assert_eq!(looks(64, &[62.5]), [65]);
        assert_eq!(looks_with_waits(64, &[61.5], 200), [64 + THREADS]);
    }

    #[test]
    fn one_more_thread_works_at_first_and_now_and_then() {
        let working = looks(2, &[2.0; 25]);
        let probes: Vec<_> = (0..25).filter(|&i| working[i] == 3).collect();
        assert_eq!(probes, [0, 12, 24]);
        assert!(working.iter().all(|&working| working <= 3));
    }

    #[test]
    fn cpus_that_the_system_does_not_count_are_used() {
        // Half a CPU.
        assert_eq!(looks(1, &[1.0, 1.5, 1.5, 1.5]), [2, 2, 3, 2]);
        // A second one, later.
        let mut windows = vec![1.0; 12];
        assert_eq!(looks(1, &windows)[11], 1);
        windows.extend([1.0, 2.0, 2.0, 2.0]);
        assert_eq!(looks(1, &windows)[12..], [2, 2, 3, 2]);
        // Clocks are not exact.
        assert_eq!(looks(2, &[2.1, 2.1, 2.1]), [3, 2, 2]);
    }

    #[test]
    fn a_look_shortly_after_another_changes_nothing() {
        let mut now = Reading::start();
        let mut usage = Usage::new(THREADS, 2);
        usage.look(now);
        now.at += WINDOW / 2;
        usage.look(now);
        assert_eq!(usage.working(), 2);
        now.at += WINDOW / 2;
        usage.look(now);
        assert_eq!(usage.working(), 3);
    }

    #[test]
    fn threads_beyond_the_cpus_rest_until_there_is_room_or_nothing_is_left() {
        let started = Instant::now();
        // So many are never in use.
        let reserve = Reserve::new(20_000, 10_000);
        reserve.wait_until_needed(9_999);
        reserve.wait_until_needed(10_000);
        assert!(started.elapsed() >= WINDOW);

        let reserve = Reserve::new(3, 1);
        // No window ends.
        let mut last = Reading::start();
        last.at += Duration::from_hours(1);
        reserve.lock().usage.last = Some(last);
        let are_resting = std::thread::scope(|scope| {
            let reserve = &reserve;
            let resting = [1, 2].map(|index| scope.spawn(move || reserve.wait_until_needed(index)));
            std::thread::sleep(2 * WINDOW);
            let are_resting = resting.map(|thread| !thread.is_finished());
            reserve.end();
            are_resting
        });
        assert_eq!(are_resting, [true, true]);
        reserve.wait_until_needed(2);
    }
}
