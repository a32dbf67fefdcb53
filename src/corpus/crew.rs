//! Threads that list large directories, and sort what they found.

use std::cmp::Ordering;
use std::sync::OnceLock;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::threads::thread_pool;

/// More threads are of no use: with this many, listing takes less time than what follows.
const MAX_THREADS: usize = 16;

/// Fewer items than this are not worth a thread.
pub(super) const FEW: usize = 1024;

/// The number of items that a thread takes at once.
const SHARE: usize = 256;

/// Up to [`MAX_THREADS`] threads, which start when there is enough for them to do.
#[derive(Debug)]
pub(super) struct Crew {
    threads: usize,
    pool: OnceLock<Option<ThreadPool>>,
}

impl Crew {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads: threads.min(MAX_THREADS),
            pool: OnceLock::new(),
        }
    }

    /// `None` if the caller's thread does everything.
    fn pool(&self) -> Option<&ThreadPool> {
        let start = || {
            // If no threads can start, the run continues without them.
            (self.threads > 1).then(|| thread_pool(self.threads).ok())?
        };
        self.pool.get_or_init(start).as_ref()
    }

    /// What `each` makes of `items`, in order.
    pub(super) fn map<T: Sync, R: Send>(
        &self,
        items: &[T],
        each: impl Fn(&T) -> R + Send + Sync,
    ) -> Vec<R> {
        if items.len() > 1
            && let Some(pool) = self.pool()
        {
            return pool.install(|| items.par_iter().map(each).collect());
        }
        items.iter().map(each).collect()
    }

    /// What `each` makes of shares of `items`, in order: all of them if they are few.
    pub(super) fn map_shares<T: Sync, R: Send>(
        &self,
        items: &[T],
        each: impl Fn(&[T]) -> R + Send + Sync,
    ) -> Vec<R> {
        let share = if items.len() < FEW { FEW } else { SHARE };
        let shares: Vec<_> = items.chunks(share).collect();
        self.map(&shares, |share| each(share))
    }

    /// Calls both at the same time, if `is_much`.
    pub(super) fn join<A: Send, B: Send>(
        &self,
        is_much: bool,
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        if is_much && let Some(pool) = self.pool() {
            return pool.join(a, b);
        }
        (a(), b())
    }

    /// Sorts `items`, of which no two are equal.
    pub(super) fn sort<T: Send>(
        &self,
        items: &mut [T],
        compare: impl Fn(&T, &T) -> Ordering + Send + Sync,
    ) {
        if items.len() >= FEW
            && let Some(pool) = self.pool()
        {
            return pool.install(|| items.par_sort_unstable_by(compare));
        }
        items.sort_unstable_by(compare);
    }
}
