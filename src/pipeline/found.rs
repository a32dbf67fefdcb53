//! What is found in the place of an output: nothing of use, the requested dataset, or the requested
//! dataset with damage.

use std::path::Path;
use std::time::{Duration, Instant};

use shardmill_core::hash::Hash128;
use shardmill_tokenizer::Tokenizer;

use crate::corpus::Corpus;
use crate::dataset::{
    EncodingInfo, FORMAT_VERSION, MANIFEST, Manifest, Plan, read_manifest, verify,
};
use crate::document::Format;
use crate::error::{Error, Result};
use crate::pipeline::TokenizeConfig;
use crate::pipeline::join::SourceHashes;
use crate::pipeline::outcome::{Outcome, TakenOver};
use crate::pipeline::plan::plan;
use crate::pipeline::resume::{Ranges, range_hashes};
use crate::progress::Stats;
use crate::threads::thread_pool;

/// What is in the place of an output.
#[expect(clippy::large_enum_variant, reason = "there is one, for a moment")]
pub(super) enum Found {
    /// Nothing of this plan with these inputs.
    Other,
    /// Exactly the requested dataset.
    Same(Manifest),
    /// The requested dataset, with damage.
    Damaged(Box<Damaged>),
}

pub(super) struct Damaged {
    pub(super) manifest: Manifest,
    pub(super) plan: Plan,
    /// The hashes of the inputs, by unit.
    pub(super) ranges: Vec<Ranges>,
    /// The first damage.
    error: Error,
}

/// The dataset in `out`, if it is exactly the requested one.
///
/// # Errors
/// [`Error::Shard`] if it is the requested one but damaged, and the caller does not overwrite it.
pub(crate) fn find_same(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    config: &TokenizeConfig,
    out: &Path,
    stats: &Stats,
) -> Result<Option<Outcome>> {
    let started = Instant::now();
    match look(corpus, tokenizer, config, out, stats)? {
        Found::Same(manifest) => Ok(Some(Outcome {
            manifest,
            was_there: true,
            taken_over: TakenOver::default(),
            time: started.elapsed(),
            making_time: Duration::ZERO,
        })),
        Found::Damaged(damaged) if !config.overwrite => Err(Error::shard(
            out,
            (
                format!("is damaged: {}", damaged.error.problem()),
                "use `repair` to make damaged shards again, or `overwrite` to make all of it again",
            ),
        )),
        Found::Damaged(_) | Found::Other => Ok(None),
    }
}

/// Compares what is in `out` with the requested dataset: first settings, names and sizes; then
/// every source is read and hashed, and the dataset is verified.
pub(super) fn look(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    config: &TokenizeConfig,
    out: &Path,
    stats: &Stats,
) -> Result<Found> {
    if corpus.has_stream() || !out.join(MANIFEST).is_file() {
        return Ok(Found::Other);
    }
    let found = match read_manifest(out) {
        Ok(found) => found,
        // It is unknown what is there.
        Err(error) if error.is_retryable() && !config.overwrite => return Err(error),
        Err(_) => return Ok(Found::Other),
    };
    let looks_same = found.format_version == FORMAT_VERSION
        && found.encoding == EncodingInfo::of(tokenizer)
        && found.settings == config.settings.clone()
        && found.shuffled.is_none()
        && found.sources.len() == corpus.len()
        && found
            .sources
            .iter()
            .zip(corpus.sources())
            .all(|(info, source)| {
                info.bytes == source.bytes().unwrap_or(0)
                    && info.format == source.format()
                    && info.compression == source.compression()
                    && info.name == source.name()
            });
    if !looks_same {
        return Ok(Found::Other);
    }
    stats.begin(corpus.total_bytes());
    let plan = plan(corpus, tokenizer, config)?;
    let hash = |unit| range_hashes(corpus, &plan, unit, stats);
    let pool = thread_pool(config.threads)?;
    let ranges = pool.install(|| plan.units.iter().map(hash).collect::<Result<Vec<_>>>())?;
    let hashes = found.sources.iter().map(|info| info.hash);
    if !hashes.eq(source_hashes(&ranges)) {
        return Ok(Found::Other);
    }
    let verified = pool.install(|| verify(out, &Stats::default()));
    Ok(match verified {
        Ok(_) => Found::Same(found),
        // What could not be read is not known to be damaged.
        Err(error) if error.is_retryable() && !config.overwrite => return Err(error),
        Err(error) => Found::Damaged(Box::new(Damaged {
            manifest: found,
            plan,
            ranges,
            error,
        })),
    })
}

/// The hashes of the sources whose ranges, by unit, are `ranges`.
pub(super) fn source_hashes(ranges: &[Ranges]) -> Vec<Hash128> {
    let mut hashes = SourceHashes::default();
    for &range in ranges.iter().flatten() {
        hashes.push(|_| (String::new(), Format::Text), range);
    }
    hashes.finish().iter().map(|info| info.hash).collect()
}
