//! Units made by several processes -> a published dataset.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use shardmill_core::show::{count, counted};
use shardmill_tokenizer::Tokenizer;

use crate::corpus::Corpus;
use crate::dataset::{
    BadCounts, BadRecord, DoneUnit, MANIFEST, Manifest, Plan, Receipt, SeenSource,
    first_bad_records, read_manifest, verify,
};
use crate::error::{Error, Result};
use crate::outputs::OUTPUTS;
use crate::pipeline::dataset::{make_units, todo};
use crate::pipeline::found::find_same;
use crate::pipeline::join::manifest;
use crate::pipeline::outcome::{Outcome, TakenOver};
use crate::pipeline::plan::{check_cuts, plan};
use crate::pipeline::resume::{any_holds, sound_units};
use crate::pipeline::status::partial_status;
use crate::pipeline::worker::Worker;
use crate::pipeline::{Partial, TokenizeConfig};
use crate::progress::Stats;
use crate::publish::claim::{Claim, claim, sync_output};
use crate::publish::durability::Durability;
use crate::publish::json_file::write_json;
use crate::publish::lock::Sharing;
use crate::publish::staging::Staging;
use crate::publish::state::Stage;
use crate::publish::terms::Terms;
use crate::threads::thread_pool;

/// How many bad records of a share its outcome lists.
const BAD_RECORDS_SHOWN: usize = 10;

/// A share of the units of a plan: those whose index modulo `of` is `index`.
///
/// Adjacent units go to different processes. Documents of one kind are often adjacent, so this way
/// each process gets some of the slow ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitShare {
    index: usize,
    of: usize,
}

impl UnitShare {
    /// Share `index` of `of`, counted from 0.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such share.
    pub fn new(index: usize, of: usize) -> Result<Self> {
        if index < of {
            Ok(Self { index, of })
        } else {
            Err(Error::config(
                "index",
                format!("part {index} of {of} is none; parts are counted from 0"),
            ))
        }
    }
}

/// What [`tokenize_units`] did.
#[derive(Clone, Debug)]
pub struct UnitsOutcome {
    /// The number of units in the share.
    pub units: u64,
    /// Those that an earlier run had made and that were reused.
    pub taken_over: TakenOver,
    /// The number of corpus bytes in the units that were made now.
    pub bytes: u64,
    /// The number of records that the units of the share leave out, by kind.
    pub bad_counts: BadCounts,
    /// The first of them, in corpus order; at most ten.
    pub bad_records: Vec<BadRecord>,
    /// How long it took to make the new units.
    pub making_time: Duration,
    /// The progress of all units, including those of other processes.
    pub partial: Partial,
}

/// Makes some of the units of the dataset `out` without publishing. Other processes, on this
/// machine or others, make the rest at the same time, and [`finish`] publishes the dataset. Returns
/// `None` if the whole dataset already exists.
///
/// # Errors
/// Those of [`tokenize`](crate::tokenize). In addition, a corpus that contains a stream cannot be
/// shared.
///
/// ```no_run
/// use shardmill::{Corpus, CorpusOptions, Tokenizer, Stats, TokenizeConfig, UnitShare, tokenize_units};
///
/// let corpus = Corpus::open(&["books/".into()], &CorpusOptions::default())?;
/// let tokenizer = Tokenizer::by_name("gpt2")?;
/// // The first of four processes.
/// let share = UnitShare::new(0, 4)?;
/// let config = TokenizeConfig::default();
/// let out = "out".as_ref();
/// tokenize_units(&corpus, &tokenizer, &config, share, out, &Stats::default())?;
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn tokenize_units(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    config: &TokenizeConfig,
    share: UnitShare,
    out: &Path,
    stats: &Stats,
) -> Result<Option<UnitsOutcome>> {
    config.validate(tokenizer)?;
    corpus.check_output(out)?;
    if corpus.has_stream() {
        return Err(Error::config(
            "share",
            "a stream cannot be shared: each process would have to read all of it",
        ));
    }
    let pool = thread_pool(config.threads)?;
    let terms = Terms {
        sharing: Sharing::Shared,
        ..Terms::alone(&OUTPUTS, config.overwrite, config.durability)
    };
    let look = || find_same(corpus, tokenizer, config, out, stats);
    let mut staging = match claim(out, terms, look)? {
        Claim::There(_) => return Ok(None),
        Claim::Mine(staging) => staging,
    };
    let plan = plan(corpus, tokenizer, config)?;
    staging.join(&plan, &|staging| any_holds(corpus, &plan, staging))?;
    let wanted: Vec<_> = (share.index..plan.units.len()).step_by(share.of).collect();
    let bytes_of = |&index| plan.unit_bytes(&plan.units[index]);
    stats.begin(wanted.iter().map(bytes_of).sum());
    let done = pool.install(|| sound_units(corpus, &plan, &wanted, &staging, stats))?;
    let todo = todo(&plan, &wanted, &done);
    if !todo.is_empty() {
        staging.reopen_if_complete()?;
    }
    let worker = Worker::new(corpus, tokenizer, config);
    let started = Instant::now();
    let job_id = Some(plan.job_id());
    let made = make_units(&pool, &worker, &staging, job_id, Some(todo), stats)?;
    check_cuts(corpus, tokenizer, &plan)?;
    let mut shards: Vec<_> = done.iter().chain(&made).collect();
    shards.sort_by_key(|&&(index, _)| index);
    let shards = shards.into_iter().map(|(_, unit)| &unit.shard);
    Ok(Some(UnitsOutcome {
        units: wanted.len() as u64,
        taken_over: TakenOver::of(&done),
        bytes: made.iter().map(|(_, unit)| unit.source_bytes()).sum(),
        bad_counts: done
            .iter()
            .chain(&made)
            .fold(BadCounts::default(), |sum, (_, unit)| {
                sum.plus(&unit.bad_counts())
            }),
        // The work is done, even if the records cannot be listed.
        bad_records: first_bad_records(staging.new_output(), shards, BAD_RECORDS_SHOWN)
            .unwrap_or_default(),
        partial: partial_status(staging.partial(), &plan, Stage::Making)?,
        making_time: started.elapsed(),
    }))
}

/// Publishes the dataset `out`, whose units are all done. Its inputs are not needed.
///
/// # Errors
/// [`Error::Output`] names missing units, [`Error::Shard`] a damaged one. In both cases everything
/// stays as it is.
///
/// ```no_run
/// use shardmill::{Durability, Stats, finish};
///
/// let run = serde_json::json!({});
/// let done = finish("out".as_ref(), false, Durability::Full, 4, &run, &Stats::default())?;
/// println!("{} shards", done.manifest.shards.len());
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn finish(
    out: &Path,
    overwrite: bool,
    durability: Durability,
    threads: usize,
    run: &serde_json::Value,
    stats: &Stats,
) -> Result<Outcome> {
    let started = Instant::now();
    let nothing = || {
        Error::shard(
            out,
            (
                "nothing to finish: no units found",
                "run `tokenize_units` first",
            ),
        )
    };
    let Some(mut staging) =
        Staging::open_existing(out, Terms::alone(&OUTPUTS, overwrite, durability))?
    else {
        let manifest = read_manifest(out).map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => nothing(),
            other => other,
        })?;
        thread_pool(threads)?.install(|| verify(out, stats))?;
        sync_output(out, durability)?;
        return Ok(outcome(manifest, true, started));
    };
    let pool = thread_pool(threads)?;
    if staging.is_complete() {
        // A run was killed before it published.
        if !staging.new_output().join(MANIFEST).is_file() {
            return Err(Error::output(
                staging.partial().to_owned(),
                (
                    "holds whole embeddings, not a dataset",
                    "run that command again to put them in their place",
                ),
            ));
        }
        let manifest = read_manifest(staging.new_output())?;
        pool.install(|| verify(staging.new_output(), stats))?;
        staging.publish()?;
        return Ok(outcome(manifest, false, started));
    }
    let plan = Plan::read(staging.partial())?.ok_or_else(nothing)?;
    let n_units = plan.units.len();
    let manifest = pool.install(|| join(&staging, plan, stats))?;
    // Anything that a killed run left besides the units is incomplete.
    staging.keep_units(&(0..n_units).collect())?;
    write_json(staging.new_output(), MANIFEST, durability, &manifest)?;
    staging.complete(run)?;
    staging.publish()?;
    Ok(outcome(manifest, false, started))
}

fn outcome(manifest: Manifest, was_there: bool, started: Instant) -> Outcome {
    Outcome {
        manifest,
        was_there,
        taken_over: TakenOver::default(),
        time: started.elapsed(),
        making_time: Duration::ZERO,
    }
}

/// The manifest of all units, after checking every receipt and every byte.
fn join(staging: &Staging, plan: Plan, stats: &Stats) -> Result<Manifest> {
    let units = receipts(staging.partial(), &plan)?;
    let bytes_of = |unit: &DoneUnit| unit.shard.bytes.saturating_add(unit.shard.docs_bytes);
    stats.begin(units.iter().map(bytes_of).fold(0, u64::saturating_add));
    // The first error in unit order is reported.
    let damaged = units
        .par_iter()
        .enumerate()
        .map(|(index, unit)| {
            if stats.is_stopped() {
                return Err(Error::Stopped);
            }
            unit.check_and_sync(staging.partial(), index, staging.durability())?;
            stats.advance(bytes_of(unit));
            Ok(())
        })
        .find_first(Result::is_err);
    damaged.unwrap_or(Ok(()))?;
    let mut sources = plan.sources;
    let name = |index: u32| sources[index as usize].take_name();
    Ok(manifest(plan.encoding, plan.settings, name, units))
}

/// The receipt of every unit; the error names the missing ones.
fn receipts(directory: &Path, plan: &Plan) -> Result<Vec<DoneUnit>> {
    let mut units = Vec::with_capacity(plan.units.len());
    let mut missing = Vec::new();
    // What the makers of units saw of the sources that they share.
    let mut seen = HashMap::new();
    let job_id = plan.job_id();
    for index in 0..plan.units.len() {
        match Receipt::read(directory, plan, job_id, index)? {
            Some(receipt) => {
                for source in receipt.seen {
                    match seen.entry(source.source) {
                        Entry::Vacant(entry) => drop(entry.insert((index, source))),
                        Entry::Occupied(entry) if entry.get().1 == source => {}
                        Entry::Occupied(entry) => {
                            return Err(other_input(
                                directory,
                                plan,
                                entry.get(),
                                &(index, source),
                            ));
                        }
                    }
                }
                units.push(receipt.done);
            }
            None => missing.push(index),
        }
    }
    if missing.is_empty() {
        return Ok(units);
    }
    Err(Error::output(
        directory,
        (
            format!(
                "{} of {} not done: {}",
                count(missing.len() as u64),
                counted(plan.units.len() as u64, "unit"),
                listed(&missing)
            ),
            "run `tokenize_units` for them, or `tokenize` alone for all that is left",
        ),
    ))
}

/// The error for two units with parts of a source that was not the same file when each was made.
fn other_input(
    directory: &Path,
    plan: &Plan,
    (first, a): &(usize, SeenSource),
    (second, b): &(usize, SeenSource),
) -> Error {
    let name = &plan.sources[a.source as usize].name;
    let differs = if a.bytes != b.bytes {
        format!("{} and {} bytes long", a.bytes, b.bytes)
    } else if a.ends != b.ends {
        "of other content".to_owned()
    } else {
        "modified in between, or copied with another time".to_owned()
    };
    Error::output(
        directory,
        (
            format!(
                "units {first} and {second} were made from different versions of '{name}': \
                 {differs}"
            ),
            "run `tokenize` alone, which reads the inputs again and makes again what changed",
        ),
    )
}

/// The first few indices, and how many more there are.
fn listed(units: &[usize]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<_> = units.iter().take(SHOWN).map(ToString::to_string).collect();
    let shown = shown.join(", ");
    match units.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
