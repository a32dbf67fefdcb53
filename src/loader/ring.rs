//! Results made ahead by threads, in order, in reused buffers.
//!
//! ```text
//!            free ──── worker takes (number, buffer), fills it ────► done
//!              ▲                                                       │
//!              └────────── dropped ◄──── Lent to the consumer ◄────────┘ in order of number
//! ```
//!
//! A worker takes the next number together with a buffer. So the number that the consumer waits for
//! always has a buffer, and no more results are made ahead than there are buffers.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::error::Result;

/// Prepares `fill(0)`, `fill(1)`, ... ahead of the consumer.
#[derive(Debug)]
pub(super) struct Ring<B: Send + 'static> {
    shared: Arc<Shared<B>>,
    workers: Vec<JoinHandle<()>>,
    next: u64,
    end: u64,
}

/// A buffer lent to the consumer; it returns when dropped.
#[derive(Debug)]
pub(super) struct Lent<B: Send + 'static> {
    /// `None` only while it is being dropped.
    buffer: Option<B>,
    shared: Arc<Shared<B>>,
}

#[derive(Debug)]
struct Shared<B> {
    state: Mutex<State<B>>,
    /// A buffer came back, or `end` was lowered.
    work: Condvar,
    /// A result is done.
    ready: Condvar,
}

#[derive(Debug)]
struct State<B> {
    /// The next number that a worker takes.
    next: u64,
    end: u64,
    free: Vec<B>,
    done: BTreeMap<u64, Outcome<B>>,
    /// The number of buffers that exist, that should exist, and that the consumer holds.
    total: usize,
    wanted: usize,
    lent: usize,
}

/// The result for a number.
type Outcome<B> = thread::Result<Result<B>>;

impl<B> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        // Nothing panics while holding the lock, and even then the state would be consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, fill: &(impl Fn(u64, &mut B) -> Result<()> + ?Sized)) {
        while let Some((number, mut buffer)) = self.take() {
            let filled = catch_unwind(AssertUnwindSafe(|| fill(number, &mut buffer)));
            let outcome = filled.map(|result| result.map(|()| buffer));
            let mut state = self.lock();
            if !matches!(outcome, Ok(Ok(_))) {
                // The consumer stops at this number.
                state.end = state.end.min(number + 1);
            }
            state.done.insert(number, outcome);
            drop(state);
            self.ready.notify_one();
        }
        // Other workers may be waiting for buffers that are no longer needed.
        self.work.notify_all();
    }

    /// The next number and a buffer for it; waits for the buffer.
    fn take(&self) -> Option<(u64, B)> {
        let mut state = self.lock();
        loop {
            if state.next >= state.end {
                return None;
            }
            if let Some(buffer) = state.free.pop() {
                state.next += 1;
                return Some((state.next - 1, buffer));
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<B: Send + 'static> Ring<B> {
    /// Prepares the numbers below `end` in `buffers`, on `threads` threads. One buffer is for the
    /// consumer; each of the others allows one number to be made ahead.
    ///
    /// # Errors
    /// The system's error if a thread cannot be started.
    pub(super) fn start(
        end: u64,
        buffers: Vec<B>,
        threads: usize,
        fill: impl Fn(u64, &mut B) -> Result<()> + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                next: 0,
                end,
                total: buffers.len(),
                wanted: buffers.len(),
                free: buffers,
                done: BTreeMap::new(),
                lent: 0,
            }),
            work: Condvar::new(),
            ready: Condvar::new(),
        });
        let fill = Arc::new(fill);
        let mut ring = Self {
            shared,
            workers: Vec::with_capacity(threads),
            next: 0,
            end,
        };
        for _ in 0..threads {
            let (shared, fill) = (Arc::clone(&ring.shared), Arc::clone(&fill));
            let worker = thread::Builder::new().name("shardmill-loader".to_owned());
            ring.workers
                .push(worker.spawn(move || shared.work(&*fill))?);
        }
        Ok(ring)
    }

    /// The next number's buffer. If the consumer holds all buffers, it would wait for itself, so
    /// `more` makes another. After an error, returns `None`.
    ///
    /// # Panics
    /// If the worker panicked over this number.
    pub(super) fn next(&mut self, more: impl FnOnce() -> Result<B>) -> Option<Result<Lent<B>>> {
        if self.next >= self.end {
            return None;
        }
        let mut state = self.shared.lock();
        if state.lent == state.total {
            match more() {
                Ok(buffer) => state.free.push(buffer),
                Err(error) => {
                    self.end = self.next;
                    return Some(Err(error));
                }
            }
            state.total += 1;
            self.shared.work.notify_one();
        }
        let outcome = loop {
            if let Some(outcome) = state.done.remove(&self.next) {
                break outcome;
            }
            state = self
                .shared
                .ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        self.next += 1;
        if let Ok(Ok(buffer)) = outcome {
            state.lent += 1;
            drop(state);
            return Some(Ok(Lent {
                buffer: Some(buffer),
                shared: Arc::clone(&self.shared),
            }));
        }
        drop(state);
        self.end = self.next;
        match outcome {
            Ok(result) => result.err().map(Err),
            Err(panic) => resume(panic),
        }
    }
}

/// Continues a worker's panic in the consumer.
fn resume(panic: Box<dyn Any + Send>) -> ! {
    resume_unwind(panic)
}

impl<B: Send + 'static> Drop for Ring<B> {
    fn drop(&mut self) {
        self.shared.lock().end = 0;
        self.shared.work.notify_all();
        for worker in self.workers.drain(..) {
            // It catches panics in `fill`, and ends after its current number.
            let _ = worker.join();
        }
    }
}

impl<B: Send + 'static> Deref for Lent<B> {
    type Target = B;

    fn deref(&self) -> &B {
        self.buffer.as_ref().expect("a buffer until it is dropped")
    }
}

impl<B: Send + 'static> Drop for Lent<B> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.lent -= 1;
        if state.total > state.wanted {
            state.total -= 1;
            drop(state);
            // The memory is freed without the lock, when the fields of `self` are dropped.
        } else {
            state.free.extend(self.buffer.take());
            drop(state);
            self.shared.work.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::error::Error;

    /// Runs `test` and fails if it hangs.
    fn in_time(test: impl FnOnce() + Send + 'static) {
        let (sender, receiver) = mpsc::channel();
        let worker = thread::spawn(move || {
            test();
            sender.send(()).unwrap();
        });
        let ended = receiver.recv_timeout(Duration::from_secs(30));
        assert!(
            ended != Err(mpsc::RecvTimeoutError::Timeout),
            "it hangs: nothing after 30 seconds"
        );
        worker.join().unwrap();
    }

    /// Possible numbers of threads and buffers.
    fn sizes() -> impl Iterator<Item = (usize, usize)> {
        [1, 2, 7]
            .into_iter()
            .flat_map(|threads| [2, 3, 9].map(|buffers| (threads, buffers)))
    }

    fn no_more() -> Result<u64> {
        panic!("the consumer gives its buffers back")
    }

    fn failure(number: u64) -> Error {
        Error::shape(format!("number {number}"))
    }

    #[test]
    fn numbers_come_in_order_whichever_thread_makes_them() {
        in_time(|| {
            for (threads, buffers) in sizes() {
                let fill = |number: u64, buffer: &mut u64| {
                    // Some early numbers take longer than later ones.
                    thread::sleep(Duration::from_micros(number * 7 % 5 * 100));
                    *buffer = number;
                    Ok(())
                };
                let mut ring = Ring::start(100, vec![0; buffers], threads, fill).unwrap();
                for number in 0..100 {
                    assert_eq!(*ring.next(no_more).unwrap().unwrap(), number);
                }
                assert!(ring.next(no_more).is_none());
            }
        });
    }

    #[test]
    fn no_more_is_made_ahead_than_there_are_buffers() {
        in_time(|| {
            for (threads, buffers) in sizes() {
                let begun = Arc::new(AtomicU64::new(0));
                let counter = Arc::clone(&begun);
                let fill = move |_, _: &mut u64| {
                    counter.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                };
                let mut ring = Ring::start(1000, vec![0; buffers], threads, fill).unwrap();
                for number in 0..50 {
                    let held = ring.next(no_more).unwrap().unwrap();
                    thread::sleep(Duration::from_micros(200));
                    // This one, and one for each of the other buffers.
                    assert!(begun.load(Ordering::SeqCst) <= number + buffers as u64);
                    drop(held);
                }
            }
        });
    }

    #[test]
    fn a_ring_that_is_dropped_ends_its_threads() {
        in_time(|| {
            for (threads, buffers) in sizes() {
                for taken in 0..4 {
                    let running = Arc::new(());
                    let held = Arc::clone(&running);
                    let fill = move |number, buffer: &mut u64| {
                        *buffer = number + Arc::strong_count(&held) as u64;
                        Ok(())
                    };
                    let mut ring = Ring::start(u64::MAX, vec![0; buffers], threads, fill).unwrap();
                    let last = (0..taken)
                        .map(|_| ring.next(no_more).unwrap().unwrap())
                        .last();
                    drop(ring);
                    assert_eq!(Arc::strong_count(&running), 1, "a thread is left");
                    // A buffer that outlives the ring is dropped safely.
                    drop(last);
                }
            }
        });
    }

    #[test]
    fn an_error_comes_in_its_place_and_last() {
        in_time(|| {
            for (threads, buffers) in sizes() {
                for bad in [0, 1, 5, 30] {
                    let fill = move |number: u64, buffer: &mut u64| {
                        *buffer = number;
                        if number >= bad {
                            return Err(failure(number));
                        }
                        thread::sleep(Duration::from_micros(number % 3 * 100));
                        Ok(())
                    };
                    let mut ring = Ring::start(100, vec![0; buffers], threads, fill).unwrap();
                    for number in 0..bad {
                        assert_eq!(*ring.next(no_more).unwrap().unwrap(), number);
                    }
                    let error = ring.next(no_more).unwrap().unwrap_err();
                    assert_eq!(error.to_string(), format!("number {bad}"));
                    assert!(ring.next(no_more).is_none());
                }
            }
        });
    }

    #[test]
    fn a_panic_comes_in_its_place_and_no_thread_hangs() {
        in_time(|| {
            for (threads, buffers) in sizes() {
                let fill = |number: u64, buffer: &mut u64| {
                    *buffer = number;
                    if number == 5 {
                        // Bypasses the hook, which would print it.
                        resume_unwind(Box::new("number 5"));
                    }
                    Ok(())
                };
                let mut ring = Ring::start(100, vec![0; buffers], threads, fill).unwrap();
                for number in 0..5 {
                    assert_eq!(*ring.next(no_more).unwrap().unwrap(), number);
                }
                let panic = catch_unwind(AssertUnwindSafe(|| ring.next(no_more).is_some()));
                assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "number 5");
                assert!(ring.next(no_more).is_none());
            }
        });
    }

    #[test]
    fn a_consumer_that_keeps_everything_gets_more_buffers() {
        in_time(|| {
            for (threads, buffers) in sizes() {
                let fill = |number: u64, buffer: &mut u64| {
                    *buffer = number;
                    Ok(())
                };
                let made = AtomicUsize::new(0);
                let more = || {
                    made.fetch_add(1, Ordering::SeqCst);
                    Ok(0)
                };
                let mut ring = Ring::start(60, vec![0; buffers], threads, fill).unwrap();
                let kept: Vec<_> = (0..40).map(|_| ring.next(more).unwrap().unwrap()).collect();
                assert!(kept.iter().map(|lent| **lent).eq(0..40));
                assert_eq!(made.load(Ordering::SeqCst), 40 - buffers);
                drop(kept);
                // The extra buffers are gone again.
                assert_eq!(ring.shared.lock().total, buffers);
                let rest = (40..60).map(|_| *ring.next(no_more).unwrap().unwrap());
                assert!(rest.eq(40..60));
            }
        });
    }

    #[test]
    fn more_memory_that_is_not_there_is_an_error() {
        let mut ring = Ring::start(9, vec![0], 1, |_, _: &mut u64| Ok(())).unwrap();
        let kept = ring.next(no_more).unwrap().unwrap();
        let error = ring.next(|| Err(failure(1))).unwrap().unwrap_err();
        assert_eq!(error.to_string(), "number 1");
        drop(kept);
        assert!(ring.next(no_more).is_none());
    }
}
