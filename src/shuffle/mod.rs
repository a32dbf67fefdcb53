//! A dataset -> the same documents in another order.
//!
//! ```text
//! mod        a whole run, from claiming the output to publishing it
//! documents  reads the documents of a dataset by number
//! lines      finds lines by their numbers
//! shard      writes one shard
//! ```
//!
//! The document at place `p` of all is number [`KeyedPermutation::at`]`(p)` of the dataset, so any
//! place is known at once and nothing is kept in memory. Of `n` documents, shard `i` of `k` has the
//! places from `i * n / k` to `(i + 1) * n / k`. A shard has whole documents only; what the manifest
//! says of its unit stays as it was.

mod documents;
mod lines;
mod shard;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use shardmill_core::show;

use crate::dataset::{
    MANIFEST, Manifest, ShardInfo, Shuffled, TokenStore, check_shards, read_manifest, verify,
};
use crate::error::{Error, Result};
use crate::outputs::OUTPUTS;
use crate::progress::Stats;
use crate::publish::claim::{Claim, claim};
use crate::publish::durability::Durability;
use crate::publish::json_file::write_json;
use crate::publish::temp_file::link_or_copy;
use crate::publish::terms::Terms;
use crate::shuffle::documents::Documents;
use crate::sink::check_room;
use crate::threads::{check_threads, one_each_cpu, thread_pool};
use crate::window::KeyedPermutation;

/// How documents are shuffled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShuffleConfig {
    /// Which order; the same seed has the same order of the same dataset.
    pub seed: u64,
    /// How many threads to use; the output does not depend on this.
    pub threads: usize,
    /// Whether output is forced to the disk before it becomes visible.
    pub durability: Durability,
    /// Whether an existing output may be replaced.
    pub overwrite: bool,
}

impl Default for ShuffleConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            threads: one_each_cpu(),
            durability: Durability::default(),
            overwrite: false,
        }
    }
}

/// What [`shuffle`] did.
#[derive(Debug)]
pub struct ShuffleOutcome {
    /// The manifest of the shuffled dataset.
    pub manifest: Manifest,
    /// Whether the output already existed, exactly as requested, and was left as it is.
    pub was_there: bool,
    /// How long it took.
    pub time: Duration,
}

/// Writes the documents of `store` in another order into the directory `out`, with their kept fields; it
/// appears once it is complete. The dataset is verified before, and its hashes are checked again after.
///
/// `run` is what `run.json` will say about this run. If `out` already holds exactly the requested
/// dataset, it is left as it is.
///
/// # Errors
/// [`Error::Shard`] if the dataset is damaged, [`Error::NoRoom`] before any work if the disk is too
/// small. After an error, only what was visible before is visible.
///
/// ```no_run
/// use shardmill::shuffle::{ShuffleConfig, shuffle};
/// use shardmill::{Stats, TokenStore};
///
/// let store = TokenStore::open("out".as_ref())?;
/// let mut config = ShuffleConfig::default();
/// config.seed = 123;
/// let run = serde_json::json!({});
/// shuffle(&store, &config, "shuffled".as_ref(), &run, &Stats::default())?;
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn shuffle(
    store: &TokenStore,
    config: &ShuffleConfig,
    out: &Path,
    run: &serde_json::Value,
    stats: &Stats,
) -> Result<ShuffleOutcome> {
    let started = Instant::now();
    check_threads(config.threads)?;
    check_output(store, out)?;
    let outcome = |manifest, was_there| ShuffleOutcome {
        manifest,
        was_there,
        time: started.elapsed(),
    };
    let terms = Terms::alone(&OUTPUTS, config.overwrite, config.durability);
    let look = || {
        let found = found_in(out, store, config, stats)?;
        if found.is_none() {
            check_room(out, store.manifest().file_bytes())?;
        }
        Ok(found)
    };
    let mut staging = match claim(out, terms, look)? {
        Claim::There(manifest) => return Ok(outcome(manifest, true)),
        Claim::Mine(staging) => staging,
    };
    if staging.is_complete()
        && let Some(manifest) = found_in(staging.new_output(), store, config, stats)?
    {
        // A run was killed before it published.
        staging.publish()?;
        return Ok(outcome(manifest, false));
    }
    let pool = thread_pool(config.threads)?;
    pool.install(|| verify(store.path(), stats))?;
    staging.discard()?;
    let manifest = pool.install(|| {
        let manifest = build(store, config, staging.new_output(), stats)?;
        // What was copied is what was verified only if nothing wrote to it in between.
        stats.begin(store.manifest().file_bytes());
        check_shards(store, stats).map(|()| manifest)
    })?;
    staging.complete(run)?;
    staging.publish()?;
    Ok(outcome(manifest, false))
}

/// The dataset in `out`, if it is exactly the requested one, and whole.
fn found_in(
    out: &Path,
    store: &TokenStore,
    config: &ShuffleConfig,
    stats: &Stats,
) -> Result<Option<Manifest>> {
    if !out.join(MANIFEST).is_file() {
        return Ok(None);
    }
    let found = match read_manifest(out) {
        Ok(found) => found,
        Err(error) if error.is_retryable() => return Err(error),
        Err(_) => return Ok(None),
    };
    if found.shuffled != Some(shuffled(store, config)) {
        return Ok(None);
    }
    match thread_pool(config.threads)?.install(|| verify(out, stats)) {
        Ok(_) => Ok(Some(found)),
        Err(error) if error.is_retryable() => Err(error),
        Err(_) if config.overwrite => Ok(None),
        Err(error) => Err(Error::shard(
            out,
            (
                format!("is damaged: {}", error.problem()),
                "use `overwrite` to make it again",
            ),
        )),
    }
}

fn shuffled(store: &TokenStore, config: &ShuffleConfig) -> Shuffled {
    Shuffled {
        seed: config.seed,
        dataset_id: store.manifest().dataset_id,
    }
}

/// Fills `directory` with the shuffled dataset.
fn build(
    store: &TokenStore,
    config: &ShuffleConfig,
    directory: &Path,
    stats: &Stats,
) -> Result<Manifest> {
    let given = store.manifest();
    let id_bytes = given.shards.iter().map(|shard| shard.bytes).sum();
    stats.begin(id_bytes);
    let documents = Documents::of(store);
    let order = KeyedPermutation::new(documents.len(), config.seed, 0)?;
    // Work before a failure goes on, because it may fail, too, and is reported first.
    let first_failed = AtomicUsize::new(usize::MAX);
    let shard = |index: usize| -> Result<Option<ShardInfo>> {
        if first_failed.load(Ordering::Relaxed) < index {
            return Ok(None);
        }
        let places = Shuffled::places(index, given.shards.len(), documents.len());
        let numbers = places.map(|at| order.at(at));
        let made = shard::write(index, numbers, &documents, directory, config, stats);
        let made = made.and_then(|info| {
            if let Some(bad) = &info.bad_records {
                link_or_copy(store.path(), directory, &bad.file, config.durability)?;
            }
            Ok(Some(info))
        });
        if made.is_err() {
            first_failed.fetch_min(index, Ordering::Relaxed);
        }
        made
    };
    let indices = 0..given.shards.len();
    let shards: Vec<_> = indices.into_par_iter().map(shard).collect();
    let shards = shards.into_iter().collect::<Result<Option<Vec<_>>>>()?;
    let manifest = Manifest {
        shuffled: Some(shuffled(store, config)),
        // All of them, because none failed.
        shards: shards.unwrap_or_default(),
        ..given.clone()
    }
    .with_id();
    write_json(directory, MANIFEST, config.durability, &manifest)?;
    Ok(manifest)
}

/// Refuses an output that would replace the dataset, or would lie in it.
fn check_output(store: &TokenStore, out: &Path) -> Result<()> {
    let dataset = store.path().canonicalize();
    let dataset = dataset.map_err(Error::io(store.path(), "cannot open"))?;
    let absolute = std::path::absolute(out).map_err(Error::io(out, "cannot find"))?;
    let real = absolute
        .ancestors()
        .find_map(|path| path.canonicalize().ok());
    let what = match real {
        Some(real) if real == dataset && out.exists() => "is the dataset",
        Some(real) if real.starts_with(&dataset) => "lies in the dataset",
        _ if out.canonicalize().is_ok_and(|out| dataset.starts_with(out)) => "holds the dataset",
        _ => return Ok(()),
    };
    let what = format!("{what} {} that is read", show::name(store.path()));
    Err(Error::output(out, (what, "choose another `out`")))
}
