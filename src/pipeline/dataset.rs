//! From a corpus to a published dataset, start to finish.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use shardmill_core::hash::Hash128;
use shardmill_tokenizer::{Encoder, Tokenizer};

use crate::corpus::Corpus;
use crate::dataset::{DoneUnit, EncodingInfo, MANIFEST, Manifest, Plan};
use crate::error::Result;
use crate::outputs::OUTPUTS;
use crate::pipeline::TokenizeConfig;
use crate::pipeline::feed::{Feed, Todo};
use crate::pipeline::found::{Found, find_same, look};
use crate::pipeline::join::manifest;
use crate::pipeline::line_marks::LineMarks;
use crate::pipeline::outcome::{Outcome, TakenOver};
use crate::pipeline::piece::Piece;
use crate::pipeline::plan::{check_cuts, plan};
use crate::pipeline::reserve::Reserve;
use crate::pipeline::resume::{any_holds, sound_units};
use crate::pipeline::site::ShardSite;
use crate::pipeline::worker::Worker;
use crate::progress::Stats;
use crate::publish::claim::{Claim, claim};
use crate::publish::json_file::write_json;
use crate::publish::staging::Staging;
use crate::publish::terms::Terms;
use crate::threads::thread_pool;
use crate::times::Part;

/// Tokenizes `corpus` into the directory `out`, which appears once it is complete.
///
/// `run` is what `run.json` will say about this run, such as arguments and versions; it is not part
/// of any hash. If `out` already holds exactly the requested dataset, it is left as it is, after
/// its sources have been read and compared.
///
/// # Errors
/// If several things fail, the first in corpus order is reported. After an error, only what was
/// visible before is visible.
///
/// ```no_run
/// use shardmill::{Corpus, CorpusOptions, Tokenizer, Stats, TokenizeConfig, tokenize};
///
/// let corpus = Corpus::open(&["books/".into()], &CorpusOptions::default())?;
/// let tokenizer = Tokenizer::by_name("gpt2")?;
/// let config = TokenizeConfig::default();
/// let run = serde_json::json!({"note": "first try"});
/// let done = tokenize(&corpus, &tokenizer, &config, "out".as_ref(), &run, &Stats::default())?;
/// println!("{} tokens", done.manifest.totals.tokens);
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn tokenize(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    config: &TokenizeConfig,
    out: &Path,
    run: &serde_json::Value,
    stats: &Stats,
) -> Result<Outcome> {
    config.validate(tokenizer)?;
    corpus.check_output(out)?;
    let terms = Terms::alone(&OUTPUTS, config.overwrite, config.durability);
    let look = || find_same(corpus, tokenizer, config, out, stats);
    let mut staging = match claim(out, terms, look)? {
        Claim::There(there) => return Ok(there),
        Claim::Mine(staging) => staging,
    };
    let started = Instant::now();
    let built = build(corpus, tokenizer, config, &mut staging, stats)?;
    if !staging.is_complete() {
        staging.keep_dataset(&built.manifest)?;
        staging.complete(run)?;
    }
    staging.publish()?;
    Ok(built.outcome(started.elapsed()))
}

/// What [`build`] made.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) manifest: Manifest,
    pub(crate) taken_over: TakenOver,
    /// How long it took to find and check the reused units.
    pub(crate) taking_time: Duration,
}

impl Built {
    /// What a run reports that took `time`.
    pub(crate) fn outcome(self, time: Duration) -> Outcome {
        Outcome {
            manifest: self.manifest,
            was_there: false,
            taken_over: self.taken_over,
            time,
            making_time: time.saturating_sub(self.taking_time),
        }
    }
}

/// Fills `staging` with the dataset. Units there that are still valid are reused as they are, and
/// so is a complete dataset that is exactly what is requested.
pub(crate) fn build(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    config: &TokenizeConfig,
    staging: &mut Staging,
    stats: &Stats,
) -> Result<Built> {
    if let Some(built) = unpublished(corpus, tokenizer, config, staging, stats)? {
        return Ok(built);
    }
    let started = Instant::now();
    let pool = thread_pool(config.threads)?;
    let (done, todo, plan) = if corpus.has_stream() {
        stats.begin(0);
        staging.discard()?;
        (Vec::new(), None, None)
    } else {
        stats.begin(corpus.total_bytes());
        let plan = plan(corpus, tokenizer, config)?;
        staging.adopt(&plan, &|staging| any_holds(corpus, &plan, staging))?;
        let wanted: Vec<_> = (0..plan.units.len()).collect();
        let done = pool.install(|| sound_units(corpus, &plan, &wanted, staging, stats))?;
        staging.keep_units(&done.iter().map(|&(index, _)| index).collect())?;
        let todo = todo(&plan, &wanted, &done);
        (done, Some(todo), Some(plan))
    };
    let (taken_over, taking_time) = (TakenOver::of(&done), started.elapsed());
    let worker = Worker::new(corpus, tokenizer, config);
    let job_id = plan.as_ref().map(Plan::job_id);
    let mut units = make_units(&pool, &worker, staging, job_id, todo, stats)?;
    if let Some(plan) = &plan {
        check_cuts(corpus, tokenizer, plan)?;
    }
    units.extend(done);
    units.sort_by_key(|&(index, _)| index);
    // The plan has all names already.
    let mut planned = plan.map(|plan| plan.sources);
    let name = |index: u32| {
        let source = &corpus.sources()[index as usize];
        planned.as_mut().map_or_else(
            || (source.name(), source.format()),
            |planned| planned[index as usize].take_name(),
        )
    };
    let units = units.into_iter().map(|(_, unit)| unit).collect();
    let manifest = manifest(
        EncodingInfo::of(tokenizer),
        config.settings.clone(),
        name,
        units,
    );
    write_json(
        staging.new_output(),
        MANIFEST,
        staging.durability(),
        &manifest,
    )?;
    Ok(Built {
        manifest,
        taken_over,
        taking_time,
    })
}

/// The dataset that a run completed and did not publish, because it was killed. Opens `staging`
/// again if what it holds is not whole, or not what is requested.
fn unpublished(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    config: &TokenizeConfig,
    staging: &mut Staging,
    stats: &Stats,
) -> Result<Option<Built>> {
    if !staging.is_complete() {
        return Ok(None);
    }
    match look(corpus, tokenizer, config, staging.new_output(), stats)? {
        Found::Same(manifest) => Ok(Some(Built {
            taken_over: TakenOver {
                units: manifest.shards.len() as u64,
                bytes: manifest.totals.source_bytes,
            },
            manifest,
            taking_time: Duration::ZERO,
        })),
        Found::Damaged(_) => staging.reopen().map(|()| None),
        Found::Other => staging.discard().map(|()| None),
    }
}

/// The units `wanted` that are not done.
pub(super) fn todo(plan: &Plan, wanted: &[usize], done: &[(usize, DoneUnit)]) -> Todo {
    // Both are in order.
    let mut done = done.iter().map(|&(index, _)| index).peekable();
    let is_open = |index: &&usize| done.next_if_eq(*index).is_none();
    let open = wanted.iter().filter(is_open);
    open.map(|&index| (index, plan.units[index])).collect()
}

/// Makes the units `todo`, or those of a stream; returns them in order with their indices.
pub(super) fn make_units(
    pool: &rayon::ThreadPool,
    worker: &Worker<'_>,
    staging: &Staging,
    job_id: Option<Hash128>,
    todo: Option<Todo>,
    stats: &Stats,
) -> Result<Vec<(usize, DoneUnit)>> {
    let line_marks = LineMarks::default();
    let site = ShardSite {
        directory: staging.new_output(),
        partial: staging.partial(),
        dtype: worker.config.settings.token_dtype,
        durability: staging.durability(),
        config: worker.config,
        line_marks: &line_marks,
        spare: &worker.spare,
        job_id,
        stats,
    };
    // Of a compressed source, less than its text: the cache then grows in more steps.
    let todo_bytes = todo.as_ref().map_or(0, |todo| {
        let units = todo.len() as u64;
        let most = units.saturating_mul(worker.config.settings.unit_size_bytes);
        most.min(worker.corpus.total_bytes())
    });
    let feed = Feed::new(worker.corpus, worker.tokenizer, site, todo, worker.config);
    let mut first = worker.tokenizer.encoder()?;
    first.expect_bytes(usize::try_from(todo_bytes).unwrap_or(usize::MAX));
    let first = Mutex::new(Some(first));
    let broadcast = || pool.broadcast(|thread| work(&feed, worker, &first, stats, thread.index()));
    stats.time(Part::Pool, broadcast);
    feed.finish()
}

/// The loop of thread `index`. The first thread that has work takes the encoder `first`, and each
/// other makes its own: the more encoders there are, the larger the cache that they share becomes,
/// and threads that rest have no use for it.
fn work(
    feed: &Feed<'_>,
    worker: &Worker<'_>,
    first: &Mutex<Option<Encoder>>,
    stats: &Stats,
    index: usize,
) {
    struct EndOthers<'a, 'b>(&'a Feed<'b>, &'a Reserve);
    impl Drop for EndOthers<'_, '_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.abort();
            }
            self.1.end();
        }
    }
    let _guard = EndOthers(feed, &worker.reserve);
    let mut encoder = None;
    let mut mine = None;
    let next = |mine| {
        worker.reserve.wait_until_needed(index);
        feed.next(mine)
    };
    while let Some(task) = next(mine) {
        if stats.is_stopped() {
            feed.stop();
            break;
        }
        mine = Some(task.unit.index);
        let encoded = stats.time(Part::Encode, || {
            let encoder = match &mut encoder {
                Some(encoder) => encoder,
                none => none.insert(encoder_of(worker, first)?),
            };
            worker.encode(encoder, task.chunk)
        });
        let pieces = encoded.iter().flat_map(|encoded| &encoded.pieces);
        let bytes = pieces.map(Piece::stored_bytes).sum();
        feed.put(&task.unit, task.number, encoded);
        stats.advance(bytes);
    }
}

/// The encoder `first`, or a new one if another thread has it.
fn encoder_of(worker: &Worker<'_>, first: &Mutex<Option<Encoder>>) -> Result<Encoder> {
    let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
    first.map_or_else(|| Ok(worker.tokenizer.encoder()?), Ok)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::corpus::CorpusOptions;
    use crate::dataset::Settings;
    use crate::publish::durability::Durability;

    #[test]
    fn files_do_not_depend_on_threads_of_which_none_rests() {
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("in");
        fs::create_dir(&input).unwrap();
        let line = "It was a bright cold day in April, and the clocks were striking thirteen. ";
        fs::write(input.join("0.txt"), line.repeat(100_000)).unwrap();
        let record = |n| format!("{{\"text\": \"{line}{n}\"}}\n");
        let records: String = (0..50_000).map(record).collect();
        fs::write(input.join("1.jsonl"), records).unwrap();
        for n in 0..1000 {
            fs::write(input.join(format!("2-{n}.txt")), line.repeat(n % 50)).unwrap();
        }
        let config = TokenizeConfig {
            settings: Settings {
                unit_size_bytes: 2 << 20,
                ..Settings::default()
            },
            ..TokenizeConfig::default()
        };
        let corpus = Corpus::open(&[input.into()], &CorpusOptions::default()).unwrap();
        let tokenizer = Tokenizer::by_name("gpt2").unwrap();
        let stats = Stats::default();
        let plan = plan(&corpus, &tokenizer, &config).unwrap();
        let wanted: Vec<_> = (0..plan.units.len()).collect();
        assert!(wanted.len() > 5);
        let make = |threads: usize| {
            let out = directory.path().join(format!("{threads} threads"));
            let terms = Terms::alone(&OUTPUTS, false, Durability::None);
            let staging = Staging::open(&out, terms).unwrap();
            let mut worker = Worker::new(&corpus, &tokenizer, &config);
            worker.reserve = Reserve::new(threads, threads);
            let (pool, todo) = (thread_pool(threads).unwrap(), todo(&plan, &wanted, &[]));
            let id = Some(plan.job_id());
            make_units(&pool, &worker, &staging, id, Some(todo), &stats).unwrap();
            let files = fs::read_dir(staging.new_output()).unwrap().map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), fs::read(entry.path()).unwrap())
            });
            files.collect::<BTreeMap<_, _>>()
        };
        let one = make(1);
        assert!(one.len() > wanted.len());
        for threads in [2, 7, 16] {
            assert!(make(threads) == one, "{threads} threads");
        }
    }
}
