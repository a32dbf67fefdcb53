//! A unit that is becoming a shard: its chunks are put in order, written and hashed.
//!
//! The three tasks are independent of each other, so three threads can do them at the same time;
//! `lanes` decides which thread does what. Whichever thread completes the last one gives the files
//! their final names and writes the receipt.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::corpus::Corpus;
use crate::dataset::{
    DoneUnit, Receipt, RecordWriter, ShardInfo, TokenDtype, TokenWriter, Unit, file_names,
};
use crate::error::{Error, Result};
use crate::hash::{BlockHasher, Hash128};
use crate::pipeline::TokenizeConfig;
use crate::pipeline::lanes::{Lanes, Turn};
use crate::pipeline::ledger::Ledger;
use crate::pipeline::line_marks::LineMarks;
use crate::pipeline::resume::seen_sources;
use crate::pipeline::worker::{Encoded, Spare};
use crate::publish::durability::Durability;

/// Where shards go, and which job their receipts name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardSite<'a> {
    pub(crate) directory: &'a Path,
    /// Where receipts go.
    pub(crate) partial: &'a Path,
    pub(crate) dtype: TokenDtype,
    pub(crate) durability: Durability,
    pub(crate) config: &'a TokenizeConfig,
    pub(crate) line_marks: &'a LineMarks,
    /// Where chunks go after they are written.
    pub(crate) spare: &'a Spare,
    /// `None` if units get no receipts, because a stream cannot be read again.
    pub(crate) job_id: Option<Hash128>,
}

impl ShardSite<'_> {
    /// Writes the receipt of unit `index`, whose files have their final names.
    pub(crate) fn certify(
        &self,
        index: usize,
        done: DoneUnit,
        corpus: &Corpus,
    ) -> Result<DoneUnit> {
        let Some(job_id) = self.job_id else {
            return Ok(done);
        };
        let seen = seen_sources(corpus, &done)?;
        Receipt::new(job_id, index, done, seen).write(self.partial, self.durability)
    }
}

/// What happens to each chunk, in the order in which errors of one chunk are reported.
const LANES: [Lane; 3] = [Lane::Ledger, Lane::Write, Lane::Hash];

#[derive(Clone, Copy, Debug)]
enum Lane {
    /// Its records are written, and its input is hashed.
    Ledger,
    /// Its ids are written.
    Write,
    /// Its ids are hashed.
    Hash,
}

/// One unit that is becoming a shard; shared by the threads that work on its chunks.
#[derive(Debug)]
pub(crate) struct UnitCommit {
    pub(crate) index: usize,
    state: Mutex<State>,
    /// The number of chunks that are done.
    passed: AtomicU64,
    /// What the lanes work on. A lane is used by one thread at a time, so no thread waits for these
    /// locks. `None` once taken to be completed.
    ledger: Mutex<Option<Ledger>>,
    tokens: Mutex<Option<TokenWriter>>,
    hasher: Mutex<Option<BlockHasher>>,
}

#[derive(Debug)]
struct State {
    lanes: Lanes<Encoded, { LANES.len() }>,
    /// The unit's range, once known.
    unit: Option<Unit>,
}

/// What [`UnitCommit::advance`] achieved.
#[derive(Debug)]
pub(crate) enum Progress {
    /// A chunk is done.
    Chunk,
    /// The unit is complete.
    Unit(Box<DoneUnit>),
}

/// A chunk that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Where it failed: its number, and 0 if it could not be encoded, more if it failed later.
    pub(crate) at: (u64, usize),
    pub(crate) error: Error,
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // If a thread panicked, it has already ended the run.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UnitCommit {
    pub(crate) fn create(site: &ShardSite<'_>, index: usize) -> Result<Self> {
        let (dtype, durability) = (site.dtype, site.durability);
        let tokens = TokenWriter::create(site.directory, index, dtype, durability)?;
        let records = RecordWriter::create(site.directory, index, dtype, durability)?;
        Ok(Self {
            index,
            state: Mutex::new(State {
                lanes: Lanes::new(),
                unit: None,
            }),
            passed: AtomicU64::new(0),
            ledger: Mutex::new(Some(Ledger::new(records))),
            tokens: Mutex::new(Some(tokens)),
            hasher: Mutex::new(Some(BlockHasher::new())),
        })
    }

    /// The number of chunks that are done.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Acquire)
    }

    /// Takes a chunk that has been encoded.
    pub(crate) fn put(&self, chunk: u64, encoded: Encoded) {
        lock(&self.state).lanes.put(chunk, encoded);
    }

    /// Sets the number of the unit's chunks and its range.
    pub(crate) fn end(&self, chunks: u64, unit: Unit) {
        let mut state = lock(&self.state);
        state.unit = Some(unit);
        state.lanes.end(chunks);
    }

    /// Does what has to be done in order and no other thread is doing, until that completes a chunk
    /// or the unit. `None` if there is nothing to do, for now.
    pub(crate) fn advance(
        &self,
        corpus: &Corpus,
        site: &ShardSite<'_>,
    ) -> Option<std::result::Result<Progress, Failure>> {
        let mut state = lock(&self.state);
        loop {
            let (lane, chunk, item) = match state.lanes.turn() {
                Turn::Work { lane, chunk, item } => (lane, chunk, item),
                Turn::Finish => {
                    let unit = state.unit;
                    drop(state);
                    let at = (self.passed(), 0);
                    let done = self.finish(unit, corpus, site).transpose()?;
                    let done = done.map(|done| Progress::Unit(Box::new(done)));
                    return Some(done.map_err(|error| Failure { at, error }));
                }
                Turn::Nothing => return None,
            };
            drop(state);
            let outcome = self.work(LANES[lane], &item, corpus, site);
            state = lock(&self.state);
            if let Err(error) = outcome {
                state.lanes.fail(lane);
                let at = (chunk, lane + 1);
                return Some(Err(Failure { at, error }));
            }
            if state.lanes.pass(lane) {
                self.passed.store(state.lanes.passed(), Ordering::Release);
                drop(state);
                // The other lanes have passed it, so no other thread has it.
                if let Some(encoded) = Arc::into_inner(item) {
                    site.spare.put(encoded);
                }
                return Some(Ok(Progress::Chunk));
            }
        }
    }

    /// Takes a chunk through a lane.
    fn work(
        &self,
        lane: Lane,
        encoded: &Encoded,
        corpus: &Corpus,
        site: &ShardSite<'_>,
    ) -> Result<()> {
        match lane {
            Lane::Ledger => {
                let mut ledger = lock(&self.ledger);
                let ledger = ledger.as_mut();
                ledger.map_or(Ok(()), |ledger| ledger.push(encoded, corpus, site))
            }
            Lane::Write => {
                let mut tokens = lock(&self.tokens);
                let ids = encoded.id_bytes(site.dtype);
                tokens.as_mut().map_or(Ok(()), |tokens| tokens.push(ids))
            }
            Lane::Hash => {
                if let Some(hasher) = &mut *lock(&self.hasher) {
                    hasher.update(encoded.id_bytes(site.dtype));
                }
                Ok(())
            }
        }
    }

    /// Completes the files and gives them their final names, then writes the receipt.
    fn finish(
        &self,
        unit: Option<Unit>,
        corpus: &Corpus,
        site: &ShardSite<'_>,
    ) -> Result<Option<DoneUnit>> {
        let parts = lock(&self.ledger).take().zip(lock(&self.tokens).take());
        let (Some((ledger, tokens)), Some(hasher), Some(unit)) =
            (parts, lock(&self.hasher).take(), unit)
        else {
            return Ok(None);
        };
        let closed = ledger.close(corpus)?;
        let bytes = tokens.finish()?;
        let records = closed.records.finish()?;
        let (file, docs_file) = file_names(self.index, site.dtype);
        let done = DoneUnit {
            shard: ShardInfo {
                file,
                docs_file,
                start: unit.start,
                end: unit.end,
                tokens: closed.totals.tokens,
                documents: closed.totals.documents,
                text_bytes: closed.totals.text_bytes,
                bytes,
                blocks: hasher.finish(),
                docs_bytes: records.docs_bytes,
                docs_blocks: records.docs_blocks,
                bad_records: records.bad_records,
            },
            empty_documents: closed.totals.empty_documents,
            invalid_sequences: closed.totals.invalid_sequences,
            ranges: closed.ranges,
        };
        // Only now that the files have their final names may there be a receipt.
        site.certify(self.index, done, corpus).map(Some)
    }
}
