//! What an earlier run left, and which of it is still valid.
//!
//! A unit is reused if its receipt belongs to this plan, and its files and the bytes of its inputs,
//! which are read again, have the receipt's hashes. Everything else is made again.

use std::io::Read;
use std::path::Path;

use rayon::prelude::*;
use shardmill_core::hash::Hash128;

use crate::corpus::Corpus;
use crate::dataset::{DoneUnit, Plan, RangeInfo, Receipt, SeenSource, Unit};
use crate::error::{Error, Result};
use crate::pipeline::CHUNK_BYTES;
use crate::pipeline::range_hash::{range_hash, read_hash};
use crate::progress::Stats;
use crate::publish::staging::Staging;

/// Calls `each` with what `reader` returns, the bytes of the source at `path` from `at` on.
fn read_each(
    reader: &mut impl Read,
    path: &Path,
    mut at: u64,
    each: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    let mut part = vec![0; CHUNK_BYTES];
    loop {
        let read = reader.read(&mut part);
        let read = read.map_err(|source| Error::read(path, at, source))?;
        if read == 0 {
            return Ok(());
        }
        each(&part[..read]);
        at += read as u64;
    }
}

/// The sources' ranges in a unit, in order.
pub(crate) type Ranges = Vec<RangeInfo>;

/// Those of the units `wanted` that are finished in `staging` and still valid, with their indices,
/// in order.
///
/// # Errors
/// Errors of the inputs, and failed reads. A damaged unit is not an error; it is left out.
pub(crate) fn sound_units(
    corpus: &Corpus,
    plan: &Plan,
    wanted: &[usize],
    staging: &Staging,
    stats: &Stats,
) -> Result<Vec<(usize, DoneUnit)>> {
    let job_id = plan.job_id();
    let found: Vec<_> = wanted
        .par_iter()
        .map(|&index| {
            if stats.is_stopped() {
                return Err(Error::Stopped);
            }
            let done = sound_unit(corpus, plan, job_id, index, staging)?;
            if let Some(done) = &done {
                stats.take_over(done.source_bytes());
            }
            Ok(done.map(|done| (index, done)))
        })
        .collect::<Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Whether any finished unit in `staging` is valid for `plan`.
pub(crate) fn any_holds(corpus: &Corpus, plan: &Plan, staging: &Staging) -> Result<bool> {
    let job_id = plan.job_id();
    for index in 0..plan.units.len() {
        if sound_unit(corpus, plan, job_id, index, staging)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sound_unit(
    corpus: &Corpus,
    plan: &Plan,
    job_id: Hash128,
    index: usize,
    staging: &Staging,
) -> Result<Option<DoneUnit>> {
    let receipt = match Receipt::read(staging.partial(), plan, job_id, index) {
        Ok(Some(receipt)) => receipt,
        Err(error) if error.is_retryable() => return Err(error),
        Ok(None) | Err(_) => return Ok(None),
    };
    let Receipt { done, seen, .. } = receipt;
    match done.check_and_sync(staging.partial(), index, staging.durability()) {
        Ok(()) => {}
        Err(error) if error.is_retryable() => return Err(error),
        Err(_) => return Ok(None),
    }
    let unit = &plan.units[index];
    if range_hashes(corpus, plan, unit, &Stats::default())? != done.ranges {
        return Ok(None);
    }
    let seen_now = seen_sources(corpus, &done)?;
    if seen_now == seen {
        return Ok(Some(done));
    }
    // Another part of a source changed, or only its time; the unit is still valid.
    let receipt = Receipt::new(job_id, index, done, seen_now);
    let done = receipt.write(staging.partial(), staging.durability())?;
    Ok(Some(done))
}

/// What is seen of the sources that are only partly in a unit; other processes may make the rest.
pub(crate) fn seen_sources(corpus: &Corpus, done: &DoneUnit) -> Result<Vec<SeenSource>> {
    let sources = corpus.sources();
    let partly = done
        .ranges
        .iter()
        .filter(|range| sources[range.source as usize].bytes() != Some(range.bytes));
    partly
        .map(|range| {
            let source = &sources[range.source as usize];
            let path = corpus.path(source);
            Ok(SeenSource {
                source: range.source,
                bytes: source.bytes().unwrap_or(0),
                modified: source.modified_nanoseconds(),
                ends: Hash128::of(&source.ends(&path)?),
            })
        })
        .collect()
}

/// The sources' ranges in a unit, as a run would describe them; `stats` counts the bytes.
pub(crate) fn range_hashes(
    corpus: &Corpus,
    plan: &Plan,
    unit: &Unit,
    stats: &Stats,
) -> Result<Ranges> {
    let mut ranges = Vec::new();
    for (index, start, end) in plan.ranges(unit) {
        let source = &corpus.sources()[index as usize];
        let path = corpus.path(source);
        // The plan belongs to the corpus, and sizes are checked when files are opened.
        let hash = if source.format().row().has_rows && source.compression().is_none() {
            let columns = corpus.columns(index)?;
            let metadata = Some(columns.metadata);
            match columns.whole() {
                Some(file) => range_hash(metadata, file, start..end, stats),
                None => read_hash(metadata, |each| columns.read_each(start..end, each), stats)?,
            }
        } else if let Some(object) = source.object() {
            let mut reader = object.reader(start..end);
            let read = |each: &mut dyn FnMut(&[u8])| read_each(&mut reader, &path, start, each);
            read_hash(None, read, stats)?
        } else {
            range_hash(None, &source.open(&path)?, start..end, stats)
        };
        source.check_unchanged(&path)?;
        ranges.push(RangeInfo {
            source: index,
            compression: source.compression(),
            bytes: end - start,
            hash,
        });
    }
    Ok(ranges)
}
