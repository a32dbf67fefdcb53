//! Decides which chunk a thread works on next, and when it waits.
//!
//! Each thread works on its own unit, so that units are written in parallel; when none is left, it
//! helps with another thread's chunks. Regular files are planned ahead; a corpus that contains a
//! stream is walked in order, one unit at a time. Nothing slow is done under the lock: files are
//! created and chunks are cut outside it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use shardmill_tokenizer::Tokenizer;

use crate::compression::Ahead;
use crate::corpus::Corpus;
use crate::dataset::{DoneUnit, Unit};
use crate::document::Fields;
use crate::error::{Error, Result};
use crate::pipeline::TokenizeConfig;
use crate::pipeline::chunk::{Chunk, UnitCursor};
use crate::pipeline::commit::{Failure, Progress, UnitCommit};
use crate::pipeline::cut_rules::CutRules;
use crate::pipeline::cuts::{Cursor, Cut, UnitCuts};
use crate::pipeline::site::ShardSite;
use crate::pipeline::stream::StreamCursor;
use crate::pipeline::worker::Encoded;
use crate::times::Part;

/// What a thread has to do next.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) unit: Arc<UnitCommit>,
    pub(crate) number: u64,
    pub(crate) chunk: Chunk,
}

/// Where sources may be cut, the fields that are read, and where sources are decoded.
type Reading<'a> = (&'a CutRules, &'a Fields, &'a Arc<Ahead>);

/// The units to be made, with their indices.
pub(crate) type Todo = Vec<(usize, Unit)>;

/// Where chunks come from; shared by all threads.
#[derive(Debug)]
pub(crate) struct Feed<'a> {
    corpus: &'a Corpus,
    rules: CutRules,
    fields: Fields,
    ahead: Arc<Ahead>,
    site: ShardSite<'a>,
    /// How many chunks of one unit may be handed out before the oldest of them is done.
    window: u64,
    state: Mutex<State>,
    /// Notified for each chunk that is done, and whenever more than one thread may continue.
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    walk: Walk,
    open: Vec<OpenUnit>,
    /// How many threads are creating the files of a unit.
    opening: usize,
    done: Vec<(usize, DoneUnit)>,
    /// The first failure in corpus order, with its unit.
    failed: Option<(usize, Failure)>,
    /// A thread panicked: the others must stop and not wait for its chunk.
    is_aborted: bool,
    /// The caller asked the run to end.
    is_stopped: bool,
    /// How many threads wait for `moved`. Notifying is a system call even if none waits.
    waiting: u64,
}

/// How the corpus is walked.
#[derive(Debug)]
enum Walk {
    Planned(std::vec::IntoIter<(usize, Unit)>),
    Stream {
        cursor: Arc<Mutex<StreamCursor>>,
        units: usize,
    },
}

/// A unit that still has chunks to hand out.
#[derive(Clone, Debug)]
struct OpenUnit {
    commit: Arc<UnitCommit>,
    cuts: Arc<UnitCuts>,
    /// How many chunks threads have asked for.
    asked: u64,
}

impl<'a> Feed<'a> {
    /// Hands out the units `todo`. If `None`, the corpus is a stream and is cut as it is read.
    pub(crate) fn new(
        corpus: &'a Corpus,
        tokenizer: &'a Tokenizer,
        site: ShardSite<'a>,
        todo: Option<Todo>,
        config: &TokenizeConfig,
    ) -> Self {
        let rules = CutRules::new(Some(tokenizer), &config.settings);
        let ahead = Ahead::for_run(config.threads);
        let walk = match todo {
            Some(todo) => Walk::Planned(todo.into_iter()),
            None => Walk::Stream {
                cursor: Arc::new(Mutex::new(StreamCursor::new(
                    corpus,
                    rules.clone(),
                    &config.settings,
                    &ahead,
                    site.directory,
                    site.stats.stop_flag(),
                ))),
                units: 0,
            },
        };
        Self {
            corpus,
            rules,
            fields: config.settings.fields(),
            ahead,
            site,
            window: 2 * config.threads as u64,
            state: Mutex::new(State {
                walk,
                open: Vec::new(),
                opening: 0,
                done: Vec::new(),
                failed: None,
                is_aborted: false,
                is_stopped: false,
                waiting: 0,
            }),
            moved: Condvar::new(),
        }
    }

    fn reading(&self) -> Reading<'_> {
        (&self.rules, &self.fields, &self.ahead)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // If a thread panicked, the run ends when the pool returns.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next chunk for a thread that last worked on unit `mine`; waits if there may be one
    /// later. `None` if there is nothing left to do.
    pub(crate) fn next(&self, mut mine: Option<usize>) -> Option<Task> {
        let mut state = self.lock();
        loop {
            let step = self
                .site
                .stats
                .time(Part::Feed, || state.step(self.window, self.reading(), mine));
            match step {
                Step::Cut(unit) => {
                    drop(state);
                    let task = self.cut(unit);
                    if task.is_some() {
                        return task;
                    }
                    state = self.lock();
                }
                Step::Open(index, cursor) => {
                    drop(state);
                    let create = || UnitCommit::create(&self.site, index);
                    let commit = self.site.stats.time(Part::Files, create);
                    state = self.lock();
                    state.opened(index, cursor, commit);
                    self.unlock(state, u64::MAX);
                    // The thread that opened it works on it.
                    mine = Some(index);
                    state = self.lock();
                }
                Step::Over => return None,
                Step::Wait => {
                    state.waiting += 1;
                    let woken = self.moved.wait(state);
                    state = woken.unwrap_or_else(PoisonError::into_inner);
                    state.waiting -= 1;
                }
            }
        }
    }

    /// The next chunk of `unit`, unless it has none.
    fn cut(&self, unit: OpenUnit) -> Option<Task> {
        let OpenUnit { commit, cuts, .. } = unit;
        let help = || self.ahead.help();
        let cut = self
            .site
            .stats
            .time(Part::Cut, || cuts.next(self.corpus, help));
        let index = commit.index;
        if let Cut::Chunk(number, chunk) = cut {
            return Some(Task {
                unit: commit,
                number,
                chunk,
            });
        }
        let mut state = self.lock();
        state.open.retain(|open| open.commit.index != index);
        self.unlock(state, u64::MAX);
        match cut {
            Cut::Ends(chunks, range) => {
                commit.end(chunks, range);
                self.advance(&commit);
            }
            Cut::Failed(number, error) => {
                let at = (number, 0);
                self.settle(index, Err(Failure { at, error }));
            }
            Cut::Chunk(..) | Cut::Over => {}
        }
        None
    }

    /// Takes the outcome of chunk `number` of `unit`, then does what has to be done in order.
    pub(crate) fn put(&self, unit: &UnitCommit, number: u64, encoded: Result<Encoded>) {
        match encoded {
            Ok(encoded) => {
                unit.put(number, encoded);
                self.advance(unit);
            }
            Err(error) => {
                let at = (number, 0);
                self.settle(unit.index, Err(Failure { at, error }));
            }
        }
    }

    fn advance(&self, unit: &UnitCommit) {
        while let Some(outcome) = unit.advance(self.corpus, &self.site) {
            self.settle(unit.index, outcome);
        }
    }

    /// Records what was achieved for a unit.
    fn settle(&self, unit: usize, outcome: std::result::Result<Progress, Failure>) {
        self.site.stats.time(Part::Feed, || {
            let mut state = self.lock();
            let chunks = match outcome {
                Ok(Progress::Chunk) => 1,
                Ok(Progress::Unit(done)) => {
                    state.done.push((unit, *done));
                    0
                }
                Err(failure) => {
                    state.fail(unit, failure);
                    u64::MAX
                }
            };
            self.unlock(state, chunks);
        });
    }

    /// Unlocks the state and wakes as many waiting threads as `chunks` chunks can occupy. Notifying
    /// is a system call even if none waits.
    fn unlock(&self, state: MutexGuard<'_, State>, chunks: u64) {
        let waiting = state.waiting;
        drop(state);
        if chunks < waiting {
            (0..chunks).for_each(|_| self.moved.notify_one());
        } else if waiting > 0 {
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
        if let Some((_, failure)) = state.failed {
            return Err(failure.error);
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
    /// Cut a chunk of this unit.
    Cut(OpenUnit),
    /// Create the files of the unit of this index.
    Open(usize, Cursor),
    Wait,
    Over,
}

impl State {
    fn fail(&mut self, unit: usize, failure: Failure) {
        let is_first = self
            .failed
            .as_ref()
            .is_none_or(|(other, first)| (unit, failure.at) < (*other, first.at));
        if is_first {
            self.failed = Some((unit, failure));
        }
        self.leave_out_later();
    }

    /// After a failure, later work cannot change the outcome; earlier work may still fail first.
    fn leave_out_later(&mut self) {
        let last = self.failed.as_ref().map_or(usize::MAX, |&(unit, _)| unit);
        self.open.retain(|open| open.commit.index < last);
    }

    /// What a thread that last worked on unit `mine` does next.
    fn step(&mut self, window: u64, reading: Reading, mine: Option<usize>) -> Step {
        if self.is_aborted || self.is_stopped {
            return Step::Over;
        }
        let has_room = |open: &OpenUnit| open.asked < open.commit.passed() + window;
        let is_free = |open: &OpenUnit| has_room(open) && !open.cuts.is_busy();
        let is_mine = |open: &OpenUnit| Some(open.commit.index) == mine;
        let own = self.open.iter().position(is_mine);
        if own.is_none()
            && let Some((index, cursor)) = self.next_unit(reading)
        {
            self.opening += 1;
            return Step::Open(index, cursor);
        }
        let units = &self.open;
        let next = own
            .filter(|&own| is_free(&units[own]))
            .or_else(|| units.iter().position(is_free))
            .or_else(|| units.iter().position(has_room));
        match next {
            Some(next) => {
                self.open[next].asked += 1;
                Step::Cut(self.open[next].clone())
            }
            None if self.open.is_empty() && self.opening == 0 => Step::Over,
            None => Step::Wait,
        }
    }

    /// The unit to be opened next, if one may be.
    fn next_unit(&mut self, reading: Reading) -> Option<(usize, Cursor)> {
        if self.failed.is_some() {
            return None;
        }
        match &mut self.walk {
            Walk::Planned(todo) => {
                let (index, unit) = todo.next()?;
                let (rules, fields, ahead) = reading;
                let cursor = UnitCursor::new(unit, rules.clone(), fields.clone());
                let cursor = cursor.decode_ahead(ahead);
                Some((index, Cursor::Planned(Box::new(cursor), unit)))
            }
            Walk::Stream { cursor, units } => {
                // No thread reads it while no unit is open.
                let is_next = self.open.is_empty() && self.opening == 0;
                let is_over = || {
                    let cursor = cursor.lock().unwrap_or_else(PoisonError::into_inner);
                    cursor.is_over()
                };
                (is_next && !is_over()).then(|| {
                    *units += 1;
                    (*units - 1, Cursor::Stream(Arc::clone(cursor)))
                })
            }
        }
    }

    /// Takes the unit whose files a thread has created, or why it could not.
    fn opened(&mut self, index: usize, cursor: Cursor, commit: Result<UnitCommit>) {
        self.opening -= 1;
        match commit {
            Ok(commit) => self.open.push(OpenUnit {
                commit: Arc::new(commit),
                cuts: Arc::new(UnitCuts::new(cursor)),
                asked: 0,
            }),
            Err(error) => self.fail(index, Failure { at: (0, 0), error }),
        }
        self.leave_out_later();
    }
}
