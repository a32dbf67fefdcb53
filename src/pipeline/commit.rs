//! Makes a unit into a shard.
//!
//! Each chunk takes three steps: its documents are recorded and its input is hashed (`ledger`), its
//! ids are written, and its ids are hashed. Three threads can do these at the same time; `lanes`
//! assigns them. After the last chunk, one thread gives the files their final names and writes the
//! receipt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::corpus::Corpus;
use crate::dataset::{DoneUnit, RecordWriter, ShardInfo, TokenWriter, Unit, file_names};
use crate::error::{Error, Result};
use crate::hash::BlockHasher;
use crate::pipeline::lanes::{Lanes, Turn};
use crate::pipeline::ledger::Ledger;
use crate::pipeline::site::ShardSite;
use crate::pipeline::worker::Encoded;
use crate::times::Part;

/// The steps of a chunk. If several fail, the first in this order is reported.
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
        let records =
            RecordWriter::create(site.directory, index, &site.config.settings, durability)?;
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
        let stats = site.stats;
        loop {
            let turn = stats.time(Part::Unit, || lock(&self.state).lanes.turn());
            let (lane, chunk, item) = match turn {
                Turn::Work { lane, chunk, item } => (lane, chunk, item),
                Turn::Finish => {
                    let at = (self.passed(), 0);
                    let done = stats.time(Part::Files, || self.finish(corpus, site));
                    let done = done.transpose()?;
                    let done = done.map(|done| Progress::Unit(Box::new(done)));
                    return Some(done.map_err(|error| Failure { at, error }));
                }
                Turn::Nothing => return None,
            };
            if let Err(error) = self.work(LANES[lane], &item, corpus, site) {
                lock(&self.state).lanes.fail(lane);
                let at = (chunk, lane + 1);
                return Some(Err(Failure { at, error }));
            }
            let is_done = stats.time(Part::Unit, || self.pass(lane));
            // Of the threads that had it, exactly one gets it here, whichever is last.
            if let Some(encoded) = Arc::into_inner(item) {
                site.spare.put(encoded);
            }
            if is_done {
                return Some(Ok(Progress::Chunk));
            }
        }
    }

    /// Notes that `lane` has passed its chunk. Returns whether all lanes have now passed it.
    fn pass(&self, lane: usize) -> bool {
        let mut state = lock(&self.state);
        let is_last = state.lanes.pass(lane);
        self.passed.store(state.lanes.passed(), Ordering::Release);
        is_last
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
                let push = |ledger: &mut Ledger| ledger.push(encoded, corpus, site);
                site.stats
                    .time(Part::Ledger, || ledger.map_or(Ok(()), push))
            }
            Lane::Write => {
                let mut tokens = lock(&self.tokens);
                let ids = encoded.id_bytes(site.dtype);
                let push = |tokens: &mut TokenWriter| tokens.push(ids);
                let tokens = tokens.as_mut();
                site.stats.time(Part::Write, || tokens.map_or(Ok(()), push))
            }
            Lane::Hash => {
                if let Some(hasher) = &mut *lock(&self.hasher) {
                    let ids = encoded.id_bytes(site.dtype);
                    site.stats.time(Part::Hash, || hasher.update(ids));
                }
                Ok(())
            }
        }
    }

    /// Completes the files and gives them their final names, then writes the receipt.
    fn finish(&self, corpus: &Corpus, site: &ShardSite<'_>) -> Result<Option<DoneUnit>> {
        let unit = lock(&self.state).unit;
        let parts = lock(&self.ledger).take().zip(lock(&self.tokens).take());
        let (Some((ledger, tokens)), Some(hasher), Some(unit)) =
            (parts, lock(&self.hasher).take(), unit)
        else {
            return Ok(None);
        };
        let closed = ledger.close(corpus)?;
        let bytes = tokens.finish()?;
        let records = closed.records.finish(&site.config.settings)?;
        let (file, docs_file) = file_names(self.index, site.dtype);
        let done = DoneUnit {
            shard: ShardInfo {
                file,
                docs_file,
                start: unit.start,
                end: unit.end,
                tokens: closed.totals.tokens,
                documents: closed.totals.documents,
                other_side: closed.totals.other_side,
                outside_limits: closed.totals.outside_limits,
                text_bytes: closed.totals.text_bytes,
                bytes,
                blocks: hasher.finish(),
                docs_bytes: records.docs_bytes,
                docs_blocks: records.docs_blocks,
                fields: records.fields,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use shardmill_tokenizer::Tokenizer;

    use super::*;
    use crate::corpus::CorpusOptions;
    use crate::dataset::{Position, Settings, TokenDtype};
    use crate::document::BadRecords;
    use crate::pipeline::TokenizeConfig;
    use crate::pipeline::chunk::{Chunk, UnitCursor};
    use crate::pipeline::cut_rules::CutRules;
    use crate::pipeline::line_marks::LineMarks;
    use crate::pipeline::plan::end_of;
    use crate::pipeline::worker::Worker;
    use crate::progress::Stats;
    use crate::publish::durability::Durability;

    /// The contents of files by their names.
    type Files = BTreeMap<String, Vec<u8>>;

    /// A unit of some forty chunks: mapped and small files, texts and records, some of them bad.
    struct Input {
        corpus: Corpus,
        config: TokenizeConfig,
        unit: Unit,
        directory: tempfile::TempDir,
    }

    fn input() -> Input {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: String| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let line = "It was a bright cold day in April, and the clocks were striking thirteen. ";
        // Longer than a block, so that some of it is released before the rest is hashed.
        put("in/0.txt", line.repeat(250_000));
        let record = |n| match n % 5000 {
            77 => "{\"text\": 5}\n".to_owned(),
            _ => format!("{{\"text\": \"{line}{n}\"}}\n"),
        };
        put("in/1.jsonl", (0..150_000).map(record).collect());
        for n in 0..3000 {
            put(&format!("in/2/{n}.txt"), line.repeat(n % 50));
        }
        put("in/3.txt", "x".repeat(3 << 20));
        let config = TokenizeConfig {
            settings: Settings {
                bad_records: BadRecords::Skip,
                unit_size_bytes: 1 << 30,
                ..Settings::default()
            },
            ..TokenizeConfig::default()
        };
        let inputs = [directory.path().join("in").into_os_string()];
        let corpus = Corpus::open(&inputs, &CorpusOptions::default()).unwrap();
        let unit = Unit {
            start: Position::default(),
            end: end_of(&corpus),
        };
        Input {
            corpus,
            config,
            unit,
            directory,
        }
    }

    impl Input {
        fn chunks(&self) -> Vec<(u64, Chunk)> {
            let gpt2 = Tokenizer::by_name("gpt2").unwrap();
            let rules = CutRules::new(Some(&gpt2), &self.config.settings);
            let mut cursor = UnitCursor::new(self.unit, rules, self.config.settings.fields());
            let next = || cursor.next(&self.corpus).unwrap();
            (0..).zip(std::iter::from_fn(next)).collect()
        }

        /// Makes the unit from chunks in the order `order`, on `threads` threads. Returns the unit
        /// and its files, or the first failure in the order of the corpus.
        fn make(
            &self,
            order: &[usize],
            threads: usize,
        ) -> std::result::Result<(DoneUnit, Files), ((u64, usize), String)> {
            let out = self.directory.path().join("out");
            let _ = fs::remove_dir_all(&out);
            fs::create_dir(&out).unwrap();
            let tokenizer = Tokenizer::by_name("gpt2").unwrap();
            let worker = Worker::new(&self.corpus, &tokenizer, &self.config);
            let (line_marks, stats) = (LineMarks::default(), Stats::default());
            let site = ShardSite {
                directory: &out,
                partial: &out,
                dtype: self.config.settings.token_dtype,
                durability: Durability::None,
                config: &self.config,
                line_marks: &line_marks,
                spare: &worker.spare,
                job_id: None,
                stats: &stats,
            };
            let commit = UnitCommit::create(&site, 0).unwrap();
            let mut chunks: Vec<_> = self.chunks().into_iter().map(Some).collect();
            let count = chunks.len() as u64;
            let coming: Vec<_> = order.iter().filter_map(|&at| chunks[at].take()).collect();
            let coming = Mutex::new(coming.into_iter());
            let (done, failures) = (Mutex::new(None), Mutex::new(Vec::new()));
            let advance = || {
                while let Some(outcome) = commit.advance(&self.corpus, &site) {
                    match outcome {
                        Ok(Progress::Chunk) => {}
                        Ok(Progress::Unit(unit)) => *lock(&done) = Some(*unit),
                        Err(failure) => lock(&failures).push(failure),
                    }
                }
            };
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        let mut encoder = tokenizer.encoder().unwrap();
                        loop {
                            let Some((number, chunk)) = lock(&coming).next() else {
                                break;
                            };
                            commit.put(number, worker.encode(&mut encoder, chunk).unwrap());
                            advance();
                        }
                    });
                }
            });
            commit.end(count, self.unit);
            advance();
            let failures = failures.into_inner().unwrap();
            if let Some(first) = failures.into_iter().min_by_key(|failure| failure.at) {
                return Err((first.at, first.error.to_string()));
            }
            let files = fs::read_dir(&out).unwrap().map(|entry| {
                let entry = entry.unwrap();
                let bytes = fs::read(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), bytes)
            });
            Ok((done.into_inner().unwrap().unwrap(), files.collect()))
        }
    }

    /// Tries orders of `len` chunks, on more threads than most machines have cores for.
    fn for_orders(len: usize, check: impl Fn(&[usize], usize)) {
        let config = Config {
            cases: 3,
            failure_persistence: None,
            ..Config::default()
        };
        let orders = Just((0..len).collect::<Vec<_>>()).prop_shuffle();
        TestRunner::new(config)
            .run(&(orders, 2..20_usize), |(order, threads)| {
                check(&order, threads);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn chunks_that_return_in_any_order_make_the_same_unit() {
        let mut input = input();
        for dtype in [TokenDtype::U32, TokenDtype::U16] {
            input.config.settings.token_dtype = dtype;
            let len = input.chunks().len();
            assert!(len > 30, "{len} chunks");
            let in_order: Vec<_> = (0..len).collect();
            let expected = input.make(&in_order, 1).unwrap();
            assert_eq!(expected.1.len(), 3, "ids, documents and bad records");
            for_orders(len, |order, threads| {
                assert!(input.make(order, threads).unwrap() == expected, "{order:?}");
            });
        }
    }

    #[test]
    fn the_first_failure_in_the_corpus_is_found_in_any_order_of_chunks() {
        let input = input();
        let len = input.chunks().len();
        // Both large texts change, and the first is reported.
        for name in ["in/0.txt", "in/3.txt"] {
            let file = fs::File::options()
                .write(true)
                .open(input.directory.path().join(name));
            let then = std::time::SystemTime::UNIX_EPOCH;
            file.unwrap().set_modified(then).unwrap();
        }
        let (at, message) = input
            .make(&(0..len).collect::<Vec<_>>(), 1)
            .map(drop)
            .unwrap_err();
        assert!(message.contains("0.txt"), "{message}");
        for_orders(len, |order, threads| {
            let found = input.make(order, threads).map(drop).unwrap_err();
            assert_eq!(found, (at, message.clone()), "{order:?}");
        });
    }
}
