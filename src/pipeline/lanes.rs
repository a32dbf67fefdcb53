//! Whose turn it is on the chunks of a unit.
//!
//! ```text
//! chunks, in any order ──> ready ──┬──> lane 0   chunk 0, 1, 2, ...
//!                                  ├──> lane 1   chunk 0, 1, ...
//!                                  └──> lane 2   chunk 0, 1, 2, 3, ...
//! ```
//!
//! Every chunk goes through every lane. A lane takes chunks in order, one at a time, and does not
//! wait for other lanes. So up to one thread for each lane can share the ordered work. `commit` says
//! what each lane does. This file only decides; it knows nothing of files, threads or locks.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The work on one unit that has to be done in order, in `N` lanes.
#[derive(Debug)]
pub(super) struct Lanes<T, const N: usize> {
    /// Chunks that have not been through every lane.
    ready: BTreeMap<u64, Arc<T>>,
    all: [Lane; N],
    /// The number of chunks, once known.
    end: Option<u64>,
    /// The first failure: its chunk and lane. No later work starts.
    failed: Option<(u64, usize)>,
    is_finished: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    /// The next chunk, or the current one.
    at: u64,
    is_busy: bool,
}

/// What a thread has to do.
#[derive(Debug)]
pub(super) enum Turn<T> {
    /// Take chunk `chunk` through lane `lane`, then call [`Lanes::pass`] or [`Lanes::fail`].
    Work {
        lane: usize,
        chunk: u64,
        item: Arc<T>,
    },
    /// All lanes have passed all chunks. Only one thread is told so.
    Finish,
    /// There is nothing to do until another chunk comes or another thread passes one.
    Nothing,
}

impl<T, const N: usize> Lanes<T, N> {
    pub(super) fn new() -> Self {
        Self {
            ready: BTreeMap::new(),
            all: [Lane::default(); N],
            end: None,
            failed: None,
            is_finished: false,
        }
    }

    /// Adds a chunk.
    pub(super) fn put(&mut self, chunk: u64, item: T) {
        self.ready.insert(chunk, Arc::new(item));
    }

    /// Sets the number of chunks.
    pub(super) fn end(&mut self, chunks: u64) {
        self.end = Some(chunks);
    }

    /// What to do next. A lane that is behind comes first.
    pub(super) fn turn(&mut self) -> Turn<T> {
        let is_free = |&(number, lane): &(usize, &Lane)| {
            !lane.is_busy
                && self.ready.contains_key(&lane.at)
                && self.failed.is_none_or(|failed| (lane.at, number) < failed)
        };
        let lanes = self.all.iter().enumerate();
        let next = lanes.filter(is_free).min_by_key(|(_, lane)| lane.at);
        if let Some((number, &Lane { at, .. })) = next
            && let Some(item) = self.ready.get(&at)
        {
            let item = Arc::clone(item);
            self.all[number].is_busy = true;
            return Turn::Work {
                lane: number,
                chunk: at,
                item,
            };
        }
        if self.end == Some(self.passed()) && self.failed.is_none() && !self.is_finished {
            self.is_finished = true;
            return Turn::Finish;
        }
        Turn::Nothing
    }

    /// Notes that `lane` has passed its chunk. Returns whether all lanes have now passed it.
    pub(super) fn pass(&mut self, lane: usize) -> bool {
        let before = self.passed();
        self.all[lane].is_busy = false;
        self.all[lane].at += 1;
        let is_last = self.passed() > before;
        if is_last {
            self.ready.remove(&before);
        }
        is_last
    }

    /// Notes that `lane` has failed on its chunk. Earlier chunks still pass, because they may fail
    /// first.
    pub(super) fn fail(&mut self, lane: usize) {
        // The lane stays busy, so it begins nothing else.
        let at = (self.all[lane].at, lane);
        self.failed = Some(self.failed.map_or(at, |other| other.min(at)));
    }

    /// The number of chunks that have passed all lanes.
    pub(super) fn passed(&self) -> u64 {
        let passed = self.all.iter().map(|lane| lane.at).min();
        passed.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Chunks come in the order `order`; after each step, the choices decide which of the threads
    /// that hold work completes it. Returns what each lane did, in order.
    fn run(order: &[u64], choices: &[usize], fails: Option<(u64, usize)>) -> [Vec<u64>; 3] {
        let mut lanes = Lanes::<u64, 3>::new();
        let mut done = [const { Vec::new() }; 3];
        let mut held = Vec::new();
        let mut coming = order.iter();
        let mut finished = 0;
        let mut choices = choices.iter().copied().cycle();
        let chunks = order.len() as u64;
        loop {
            let choice = choices.next().unwrap_or(0);
            match lanes.turn() {
                Turn::Work { lane, chunk, item } => {
                    assert_eq!(chunk, *item);
                    assert!(held.iter().all(|&(other, _)| other != lane));
                    held.push((lane, chunk));
                }
                Turn::Finish => finished += 1,
                Turn::Nothing if held.is_empty() && coming.len() == 0 => break,
                Turn::Nothing => {}
            }
            if choice % 2 == 0
                && let Some(&next) = coming.next()
            {
                lanes.put(next, next);
                if coming.len() == 0 {
                    lanes.end(chunks);
                }
            } else if !held.is_empty() {
                let (lane, chunk) = held.swap_remove(choice / 2 % held.len());
                if fails == Some((chunk, lane)) {
                    lanes.fail(lane);
                    continue;
                }
                let before = lanes.passed();
                let is_last = lanes.pass(lane);
                assert_eq!(lanes.passed(), before + u64::from(is_last));
                done[lane].push(chunk);
            }
        }
        assert_eq!(finished, u64::from(fails.is_none()));
        done
    }

    proptest! {
        #[test]
        fn every_lane_passes_all_chunks_in_order(
            order in Just((0..40).collect::<Vec<u64>>()).prop_shuffle(),
            choices in prop::collection::vec(0..64_usize, 1..200),
        ) {
            // A choice of 0 makes the chunks come.
            let done = run(&order, &[&choices[..], &[0, 1]].concat(), None);
            let all: Vec<u64> = (0..40).collect();
            prop_assert_eq!(done, [all.clone(), all.clone(), all]);
        }

        #[test]
        fn all_work_before_a_failure_is_done_and_no_lane_goes_beyond_its_chunk(
            order in Just((0..20).collect::<Vec<u64>>()).prop_shuffle(),
            choices in prop::collection::vec(0..64_usize, 1..200),
            chunk in 0..20_u64,
            lane in 0..3_usize,
        ) {
            let done = run(&order, &[&choices[..], &[0, 1]].concat(), Some((chunk, lane)));
            for (number, done) in done.iter().enumerate() {
                let least = chunk + u64::from(number < lane);
                prop_assert!(done.len() as u64 >= least, "{} of {}", done.len(), least);
                prop_assert!(done.iter().copied().eq(0..done.len() as u64));
            }
            prop_assert_eq!(done[lane].len() as u64, chunk);
        }
    }

    #[test]
    fn a_unit_without_chunks_is_finished_at_once() {
        let mut lanes = Lanes::<(), 3>::new();
        assert!(matches!(lanes.turn(), Turn::Nothing));
        lanes.end(0);
        assert!(matches!(lanes.turn(), Turn::Finish));
        assert!(matches!(lanes.turn(), Turn::Nothing));
    }
}
