//! Threads beyond the CPUs: as many of them work as the CPUs have room for.
//!
//! More threads than CPUs are of use while some wait for storage. While none does, they push each
//! other's tables out of the caches, and a run takes longer than with fewer. So they measure how
//! much CPU time the process uses: while a part of a CPU is idle, more of them work, and while none
//! is, one after the other rests. A thread that rests holds no chunk, so the output does not depend
//! on this.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// For how long use is measured at least.
const WINDOW: Duration = Duration::from_millis(50);

/// Thousandths of a CPU: the unit of use.
const CPU: usize = 1000;

/// If less use than this is left, another thread would have to share a CPU.
const IDLE: usize = 150;

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
                usage: Usage::new(threads, cpus, Reading::now()),
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
            if state.usage.look(Reading::now()) {
                let always = state.usage.threads_for_cpus();
                self.always.store(always, Ordering::Relaxed);
                self.called.notify_all();
            }
            let working = state.usage.working();
            if index < working || state.is_over {
                return;
            }
            state = if index == working {
                // The next one to work looks again; the others rely on it.
                let woken = self.called.wait_timeout(state, WINDOW);
                woken.unwrap_or_else(PoisonError::into_inner).0
            } else {
                let woken = self.called.wait(state);
                woken.unwrap_or_else(PoisonError::into_inner)
            };
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
    /// container may have half a CPU that the system does not count.
    possible: usize,
    /// How many threads work beyond those that fill the CPUs if none waits.
    extra: usize,
    last: Reading,
}

impl Usage {
    fn new(threads: usize, cpus: usize, now: Reading) -> Self {
        Self {
            threads,
            possible: cpus * CPU,
            extra: 0,
            last: now,
        }
    }

    /// Measures use since the last look, unless that was just now. Returns whether more threads
    /// work from now on.
    fn look(&mut self, now: Reading) -> bool {
        // The longer of two measures: a thread that is interrupted while it reads must not make
        // use look greater, because what is possible never becomes less.
        let elapsed = now.after.duration_since(self.last.before);
        if elapsed < WINDOW {
            return false;
        }
        let used = now.cpu_time.saturating_sub(self.last.cpu_time);
        let used = used.as_nanos() * CPU as u128 / elapsed.as_nanos();
        let used = usize::try_from(used).unwrap_or(usize::MAX);
        let before = self.working();
        self.possible = self.possible.max(used);
        self.extra = if used > self.possible - IDLE {
            self.extra.saturating_sub(1)
        } else {
            (2 * self.extra + 1).min(self.threads)
        };
        self.last = now;
        self.working() > before
    }

    /// How many threads fill the CPUs if none waits. A tenth of a CPU is not worth a thread.
    fn threads_for_cpus(&self) -> usize {
        (self.possible - CPU / 10).div_ceil(CPU)
    }

    fn working(&self) -> usize {
        self.threads_for_cpus() + self.extra
    }
}

/// The CPU time of the process, and when it was read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    before: Instant,
    cpu_time: Duration,
    after: Instant,
}

impl Reading {
    fn now() -> Self {
        let before = Instant::now();
        let cpu_time = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            before,
            cpu_time: Duration::try_from(cpu_time).unwrap_or_default(),
            after: Instant::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: usize = 8;

    /// Looks after each of the windows, given as the number of CPUs that it uses.
    fn looks(cpus: usize, windows: &[f64]) -> Usage {
        let mut now = Reading::now();
        let mut usage = Usage::new(THREADS, cpus, now);
        for &used in windows {
            now.before += WINDOW;
            now.after += WINDOW;
            now.cpu_time += WINDOW.mul_f64(used);
            let before = usage.working();
            assert_eq!(usage.look(now), usage.working() > before);
        }
        usage
    }

    #[test]
    fn threads_join_soon_while_cpus_are_idle_and_rest_one_by_one_while_they_are_full() {
        let working = |windows: &[f64]| looks(2, windows).working();
        assert_eq!(working(&[]), 2);
        assert_eq!(working(&[1.95]), 2);
        assert_eq!(working(&[1.8]), 3);
        assert_eq!(working(&[1.8, 1.0]), 5);
        assert_eq!(working(&[1.8, 1.0, 1.8]), 9);
        assert_eq!(working(&[0.0; 99]), 2 + THREADS);
        assert_eq!(working(&[1.8, 1.0, 1.9, 2.0]), 3);
        assert_eq!(working(&[1.8, 1.9, 1.9, 1.9]), 2);
    }

    #[test]
    fn a_part_of_a_cpu_that_the_system_does_not_count_is_used() {
        assert_eq!(looks(1, &[0.5, 1.5, 1.4]).working(), 2);
        // Clocks are not exact.
        assert_eq!(looks(2, &[2.05]).working(), 2);
    }

    #[test]
    fn a_look_shortly_after_another_changes_nothing() {
        let mut usage = looks(2, &[2.0]);
        let mut now = usage.last;
        now.after += WINDOW / 2;
        assert!(!usage.look(now));
        assert_eq!(usage.working(), 2);
        assert!(usage.last.after < now.after);
    }

    #[test]
    fn a_thread_that_is_interrupted_while_it_reads_does_not_make_cpus() {
        let mut usage = looks(2, &[]);
        let mut now = usage.last;
        // The CPU time is of the end of the reading.
        now.before += WINDOW;
        now.after += 2 * WINDOW;
        now.cpu_time += WINDOW * 4;
        usage.look(now);
        assert_eq!(usage.threads_for_cpus(), 2);
        // And of its start.
        now.before += 2 * WINDOW;
        now.after += WINDOW;
        now.cpu_time += WINDOW * 4;
        usage.look(now);
        assert_eq!(usage.threads_for_cpus(), 2);
    }

    #[test]
    fn threads_beyond_the_cpus_rest_until_there_is_room_or_nothing_is_left() {
        // So many are never in use.
        let reserve = Reserve::new(20_000, 10_000);
        reserve.wait_until_needed(9_999);
        let started = Instant::now();
        reserve.wait_until_needed(10_000);
        assert!(started.elapsed() >= WINDOW);

        let reserve = Reserve::new(3, 1);
        // No window ends.
        reserve.lock().usage.last.before += Duration::from_hours(1);
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
