//! Hands out chunks to threads: which unit, which chunk, and when to wait.
//!
//! Each thread works on its own unit, so that units are written in parallel; when none is left, it
//! helps with another thread's chunks. Regular files are planned ahead; a corpus that contains a
//! stream is walked in order, one unit at a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::corpus::Corpus;
use crate::dataset::{DoneUnit, Unit};
use crate::error::{Error, Result};
use crate::pipeline::TokenizeConfig;
use crate::pipeline::chunk::{Chunk, UnitCursor};
use crate::pipeline::commit::{ShardSite, UnitCommit};
use crate::pipeline::stream::StreamCursor;
use crate::progress::Stats;

/// What a thread has to do next.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) unit: Arc<UnitCommit>,
    pub(crate) number: u64,
    pub(crate) chunk: Chunk,
}

/// The units to be made, with their indices.
pub(crate) type Todo = Vec<(usize, Unit)>;

/// Where chunks come from; shared by all threads.
#[derive(Debug)]
pub(crate) struct Feed<'a> {
    corpus: &'a Corpus,
    site: ShardSite<'a>,
    /// How many chunks of one unit may be handed out before the oldest of them is written.
    window: u64,
    state: Mutex<State>,
    /// Notified whenever a chunk was written or the run failed.
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    walk: Walk,
    open: Vec<OpenUnit>,
    done: Vec<(usize, DoneUnit)>,
    /// The first failure in corpus order, with its unit and chunk.
    failed: Option<(usize, u64, Error)>,
    /// A thread panicked: the others must stop and not wait for its chunk.
    is_aborted: bool,
    /// The caller asked the run to end.
    is_stopped: bool,
    /// How many threads wait for `moved`. To notify is a system call, even if none does.
    waiting: usize,
}

/// How the corpus is walked.
#[derive(Debug)]
enum Walk {
    Planned(std::vec::IntoIter<(usize, Unit)>),
    Stream {
        cursor: Box<StreamCursor>,
        units: usize,
    },
}

/// A unit that still has chunks to hand out.
#[derive(Debug)]
struct OpenUnit {
    commit: Arc<UnitCommit>,
    /// `None` in a streamed corpus, where there is only one.
    cursor: Option<(UnitCursor, Unit)>,
    next: u64,
}

impl<'a> Feed<'a> {
    /// Hands out the units `todo`. If `None`, the corpus is a stream and is cut as it is read.
    pub(crate) fn new(
        corpus: &'a Corpus,
        site: ShardSite<'a>,
        todo: Option<Todo>,
        config: &TokenizeConfig,
        stats: &Stats,
    ) -> Self {
        let walk = match todo {
            Some(todo) => Walk::Planned(todo.into_iter()),
            None => Walk::Stream {
                cursor: Box::new(StreamCursor::new(
                    corpus,
                    config.settings.unit_size_bytes,
                    site.directory,
                    stats.stop_flag(),
                )),
                units: 0,
            },
        };
        Self {
            corpus,
            site,
            window: 2 * config.threads as u64,
            state: Mutex::new(State {
                walk,
                open: Vec::new(),
                done: Vec::new(),
                failed: None,
                is_aborted: false,
                is_stopped: false,
                waiting: 0,
            }),
            moved: Condvar::new(),
        }
    }

    pub(crate) fn site(&self) -> &ShardSite<'a> {
        &self.site
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // If a thread panicked, the run ends when the pool returns.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next chunk for a thread that last worked on unit `mine`; waits if there may be one
    /// later. `None` if there is nothing left to do.
    pub(crate) fn next(&self, mine: Option<usize>) -> Option<Task> {
        let mut state = self.lock();
        loop {
            match state.next(self, mine) {
                Step::Task(task) => return Some(task),
                Step::Over => return None,
                Step::Again => {}
                Step::UnitEnds(commit, chunks, unit) => {
                    // Completing a file takes a while; release the lock so that other threads
                    // continue.
                    drop(state);
                    self.settle(
                        commit.index,
                        commit.end(chunks, unit, self.corpus, &self.site),
                    );
                    state = self.lock();
                }
                Step::Wait => {
                    state.waiting += 1;
                    state = self
                        .moved
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                    state.waiting -= 1;
                }
            }
        }
    }

    /// Records the outcome of a chunk that was put in order.
    pub(crate) fn settle(
        &self,
        unit: usize,
        outcome: std::result::Result<Option<DoneUnit>, (u64, Error)>,
    ) {
        let mut state = self.lock();
        match outcome {
            Ok(None) => {}
            Ok(Some(done)) => state.done.push((unit, done)),
            Err((chunk, error)) => state.fail(unit, chunk, error),
        }
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.moved.notify_all();
        }
    }

    /// Makes all threads stop; called by a thread that panics.
    pub(crate) fn abort(&self) {
        self.lock().is_aborted = true;
        self.moved.notify_all();
    }

    /// Makes all threads end after their current chunk.
    pub(crate) fn stop(&self) {
        self.lock().is_stopped = true;
        self.moved.notify_all();
    }

    /// The units that were made, in order and with their indices, or the first failure.
    pub(crate) fn finish(self) -> Result<Vec<(usize, DoneUnit)>> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, error)) = state.failed {
            return Err(error);
        }
        if state.is_stopped {
            return Err(Error::Stopped);
        }
        let mut done = state.done;
        done.sort_by_key(|&(index, _)| index);
        Ok(done)
    }
}

enum Step {
    Task(Task),
    /// All chunks of a unit are handed out: their number, and the unit's range.
    UnitEnds(Arc<UnitCommit>, u64, Unit),
    /// The state changed; look again.
    Again,
    Wait,
    Over,
}

impl State {
    fn fail(&mut self, unit: usize, chunk: u64, error: Error) {
        let is_first = self
            .failed
            .as_ref()
            .is_none_or(|&(other_unit, other_chunk, _)| (unit, chunk) < (other_unit, other_chunk));
        if is_first {
            self.failed = Some((unit, chunk, error));
        }
        // Later work cannot change the outcome; earlier work may still fail first.
        let last = self
            .failed
            .as_ref()
            .map_or(usize::MAX, |&(unit, _, _)| unit);
        self.open.retain(|open| open.commit.index < last);
    }

    fn next(&mut self, feed: &Feed<'_>, mine: Option<usize>) -> Step {
        if self.is_aborted || self.is_stopped {
            return Step::Over;
        }
        let has_room = |open: &OpenUnit| open.next < open.commit.next() + feed.window;
        let own = self
            .open
            .iter()
            .position(|open| Some(open.commit.index) == mine);
        if let Some(own) = own.filter(|&own| has_room(&self.open[own])) {
            return self.chunk_of(feed, own);
        }
        if own.is_none() && self.may_open() {
            return match self.open_unit(feed) {
                // The thread that opened it works on it.
                Ok(()) => self.chunk_of(feed, self.open.len() - 1),
                Err((index, error)) => {
                    self.fail(index, 0, error);
                    Step::Again
                }
            };
        }
        match self.open.iter().position(has_room) {
            Some(other) => self.chunk_of(feed, other),
            None if self.open.is_empty() => Step::Over,
            None => Step::Wait,
        }
    }

    fn may_open(&self) -> bool {
        self.failed.is_none()
            && match &self.walk {
                Walk::Planned(todo) => todo.len() > 0,
                Walk::Stream { cursor, .. } => self.open.is_empty() && !cursor.is_over(),
            }
    }

    fn open_unit(&mut self, feed: &Feed<'_>) -> std::result::Result<(), (usize, Error)> {
        let (index, cursor) = match &mut self.walk {
            Walk::Planned(todo) => match todo.next() {
                Some((index, unit)) => (index, Some((UnitCursor::new(unit), unit))),
                None => return Ok(()),
            },
            Walk::Stream { units, .. } => {
                *units += 1;
                (*units - 1, None)
            }
        };
        let commit = UnitCommit::create(&feed.site, index).map_err(|error| (index, error))?;
        self.open.push(OpenUnit {
            commit: Arc::new(commit),
            cursor,
            next: 0,
        });
        Ok(())
    }

    /// The next chunk of open unit `at`.
    fn chunk_of(&mut self, feed: &Feed<'_>, at: usize) -> Step {
        let open = &mut self.open[at];
        let unit = Arc::clone(&open.commit);
        let number = open.next;
        let (next, range) = match (&mut open.cursor, &mut self.walk) {
            (Some((cursor, range)), _) => (cursor.next(feed.corpus), *range),
            (None, Walk::Stream { cursor, .. }) => {
                let next = cursor.next(feed.corpus);
                (next, cursor.unit())
            }
            (None, Walk::Planned(_)) => return Step::Over,
        };
        match next {
            Ok(Some(chunk)) => {
                open.next += 1;
                Step::Task(Task {
                    unit,
                    number,
                    chunk,
                })
            }
            Ok(None) => {
                self.open.remove(at);
                Step::UnitEnds(unit, number, range)
            }
            Err(error) => {
                self.fail(unit.index, number, error);
                Step::Again
            }
        }
    }
}
