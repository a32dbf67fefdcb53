//! Receipts: which unit of which plan a shard in DIR.partial is, and from which bytes it was made.
//!
//! ```text
//! new/shard-00007.u32, .docs   written, synced, renamed; .bad.jsonl likewise
//! new                          synced: all names are on the disk
//! shard-00007.json             the receipt: written, synced, renamed
//! DIR.partial                  synced
//! ```
//!
//! So there is no receipt without its shard, even after a power failure. A receipt names no host,
//! and no times but those of the inputs: a unit that is made twice has the same receipt.

use std::fs::{self, File};
use std::path::Path;

use serde::{Deserialize, Serialize};
use shardmill_core::hash::Hash128;
use shardmill_core::map::Map;

use crate::compression::Compression;
use crate::dataset::manifest::ShardFile;
use crate::dataset::{
    BadCounts, DocRecord, Plan, ShardInfo, TokenDtype, Totals, bad_file_name, check_blocks,
    fields_file_name, file_names,
};
use crate::error::{Error, Result};
use crate::hash::BLOCK_BYTES;
use crate::progress::Stats;
use crate::publish::durability::{Durability, sync_directory};
use crate::publish::inventory::NEW;
use crate::publish::json_file::{open_regular, read_json, write_json};

/// Larger receipts are not read. A source's range takes some 100 bytes.
const MAX_BYTES: u64 = 1 << 30;

/// A finished unit: its shard, and what it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoneUnit {
    pub(crate) shard: ShardInfo,
    /// The number of documents without text.
    pub(crate) empty_documents: u64,
    /// The number of invalid UTF-8 sequences and halves of surrogate pairs that were replaced or
    /// left out.
    pub(crate) invalid_sequences: u64,
    /// The sources' ranges in the unit, in order.
    pub(crate) ranges: Vec<RangeInfo>,
}

/// A range of a source that lies in one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RangeInfo {
    pub(crate) source: u32,
    /// How the source is compressed; written only if it is. Then the range is all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compression: Option<Compression>,
    /// The size and hash of the bytes that are stored.
    pub(crate) bytes: u64,
    pub(crate) hash: Hash128,
}

/// What the maker of a unit saw of a source that is only partly in the unit. Other processes may
/// make the rest, and must have seen the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeenSource {
    pub(crate) source: u32,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// Its modification time, in nanoseconds since 1970.
    pub(crate) modified: Option<i64>,
    /// Hash of its first and last bytes.
    pub(crate) ends: Hash128,
}

/// A finished unit, and the job that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    /// [`Plan::job_id`].
    job_id: Hash128,
    unit: u64,
    pub(crate) done: DoneUnit,
    /// The sources that are only partly in the unit.
    pub(crate) seen: Vec<SeenSource>,
    /// Hash of everything above, as compact JSON.
    hash: Hash128,
}

/// The name of the receipt of unit `index`.
pub(crate) fn receipt_name(index: usize) -> String {
    format!("shard-{index:05}.json")
}

/// The unit whose receipt has this name.
pub(crate) fn receipt_unit(name: &str) -> Option<usize> {
    let number = name.strip_prefix("shard-")?.strip_suffix(".json")?;
    let index = number.parse().ok()?;
    (receipt_name(index) == name).then_some(index)
}

/// The unit whose shard has a file of this name.
pub(crate) fn shard_file_unit(name: &str) -> Option<usize> {
    let (number, _) = name.strip_prefix("shard-")?.split_once('.')?;
    let index = number.parse().ok()?;
    let is_extra = name == bad_file_name(index) || name == fields_file_name(index);
    let is_other = TokenDtype::ALL
        .into_iter()
        .map(|dtype| file_names(index, dtype))
        .any(|(tokens, docs)| [tokens, docs].iter().any(|file| file == name));
    (is_extra || is_other).then_some(index)
}

impl DoneUnit {
    /// What the unit adds to the dataset's totals.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            tokens: self.shard.tokens,
            documents: self.shard.documents,
            other_side: self.shard.other_side,
            outside_limits: self.shard.outside_limits,
            empty_documents: self.empty_documents,
            source_bytes: self.source_bytes(),
            text_bytes: self.shard.text_bytes,
            invalid_sequences: self.invalid_sequences,
            bad_records: self.bad_counts(),
        }
    }

    /// The number of records that were left out, by kind.
    pub(crate) fn bad_counts(&self) -> BadCounts {
        let bad = self.shard.bad_records.as_ref();
        bad.map(|bad| bad.counts).unwrap_or_default()
    }

    /// The number of corpus bytes that the unit was made from.
    pub(crate) fn source_bytes(&self) -> u64 {
        self.ranges
            .iter()
            .fold(0, |sum, range| sum.saturating_add(range.bytes))
    }

    /// Checks that this can be unit `index` of `plan`; if not, says what does not match.
    fn check(&self, plan: &Plan, index: usize) -> std::result::Result<(), String> {
        let shard = &self.shard;
        let dtype = plan.settings.token_dtype;
        let Some(unit) = plan.units.get(index) else {
            return Err(format!("the plan has {} units", plan.units.len()));
        };
        let names = file_names(index, dtype);
        let bad = shard.bad_records.as_ref();
        let has_bad_name = bad.is_none_or(|bad| bad.file == bad_file_name(index));
        let fields = shard.fields.as_ref();
        let fields_name = plan
            .settings
            .keeps_fields()
            .then(|| fields_file_name(index));
        let has_fields_name = fields.map(|fields| &fields.file) == fields_name.as_ref();
        if (&shard.file, &shard.docs_file) != (&names.0, &names.1)
            || !has_bad_name
            || !has_fields_name
        {
            return Err("names other files".to_owned());
        }
        if (shard.start, shard.end) != (unit.start, unit.end) {
            return Err("covers another part of the corpus".to_owned());
        }
        let is_sized = shard.tokens.checked_mul(dtype.size_bytes()) == Some(shard.bytes)
            && shard.docs_bytes.is_multiple_of(DocRecord::BYTES)
            && shard
                .files()
                .all(|file| file.blocks.len() as u64 == file.bytes.div_ceil(BLOCK_BYTES as u64));
        if !is_sized {
            return Err("gives sizes that contradict each other".to_owned());
        }
        let records = shard.docs_bytes / DocRecord::BYTES;
        if shard.documents > records || self.empty_documents > shard.documents {
            return Err("counts more documents than its shard has".to_owned());
        }
        let listed = |range: &RangeInfo| (range.source, range.bytes, range.compression);
        let planned = plan.ranges(unit).map(|(source, start, end)| {
            let compression = plan.sources[source as usize].compression;
            (source, end - start, compression)
        });
        if planned.eq(self.ranges.iter().map(listed)) {
            Ok(())
        } else {
            Err("lists other ranges of the sources".to_owned())
        }
    }

    /// Whether this is unit `index` of `plan` and its shard in `directory` is whole.
    pub(crate) fn is_sound(&self, plan: &Plan, index: usize, directory: &Path) -> bool {
        self.check(plan, index).is_ok() && self.check_files(directory).is_ok()
    }

    /// Checks that the shard in `partial/new` is whole, and syncs its files if `durability` asks
    /// for it, because the run that made them may not have. A file that fails to sync is never
    /// synced again, because the system may have dropped its bytes: instead, the unit loses its
    /// receipt `index`.
    ///
    /// # Errors
    /// [`Error::Shard`] names the file, [`Error::Io`] one that cannot be read or synced.
    pub(crate) fn check_and_sync(
        &self,
        partial: &Path,
        index: usize,
        durability: Durability,
    ) -> Result<()> {
        let new = partial.join(NEW);
        for (file, info) in self.check_files(&new)?.iter().zip(self.shard.files()) {
            let synced = durability.sync(file, &new.join(info.name));
            synced.inspect_err(|_| {
                // If it cannot be removed either, nothing is left to do.
                let _ = fs::remove_file(partial.join(receipt_name(index)));
            })?;
        }
        Ok(())
    }

    /// Checks that the shard in `directory` is whole; returns its files.
    ///
    /// # Errors
    /// [`Error::Shard`] names the file.
    fn check_files(&self, directory: &Path) -> Result<Vec<File>> {
        let mut files = Vec::new();
        for ShardFile {
            name,
            bytes,
            blocks,
        } in self.shard.files()
        {
            let path = directory.join(name);
            let damaged = |what: String| Error::shard(&path, what);
            let file = open_regular(&path)?.ok_or_else(|| damaged("is missing".to_owned()))?;
            let map = Map::from_file(&file, &path)?;
            if map.len() as u64 != bytes {
                let what = format!("has {} bytes, its receipt says {bytes}", map.len());
                return Err(damaged(what));
            }
            check_blocks(&map, blocks, &Stats::default())?;
            files.push(file);
        }
        Ok(files)
    }
}

/// The number of documents without text in a shard, from its records; `None` if they cannot be
/// read.
pub(crate) fn empty_documents(directory: &Path, shard: &ShardInfo) -> Option<u64> {
    let path = directory.join(&shard.docs_file);
    let file = open_regular(&path).ok()??;
    let map = Map::from_file(&file, &path).ok()?;
    // A file that has grown may be as long as a file can be.
    if map.len() as u64 != shard.docs_bytes {
        return None;
    }
    let records: &[DocRecord] = bytemuck::try_cast_slice(&map).ok()?;
    Some(records.iter().filter(|record| record.is_empty()).count() as u64)
}

impl Receipt {
    pub(crate) fn new(
        job_id: Hash128,
        index: usize,
        done: DoneUnit,
        seen: Vec<SeenSource>,
    ) -> Self {
        let mut receipt = Self {
            job_id,
            unit: index as u64,
            done,
            seen,
            hash: Hash128::of(b""),
        };
        receipt.hash = receipt.computed_hash();
        receipt
    }

    fn computed_hash(&self) -> Hash128 {
        Hash128::of_json(&(&self.job_id, self.unit, &self.done, &self.seen))
    }

    /// Writes the receipt of a unit whose files have their names in `partial/new`; returns the
    /// unit.
    pub(crate) fn write(self, partial: &Path, durability: Durability) -> Result<DoneUnit> {
        sync_directory(&partial.join(NEW), durability)?;
        let index = usize::try_from(self.unit).unwrap_or(usize::MAX);
        let name = receipt_name(index);
        write_json(partial, &name, durability, &self)?;
        sync_directory(partial, durability).inspect_err(|_| {
            // It is unknown how much of it is on the disk, so the unit is made again.
            let _ = fs::remove_file(partial.join(&name));
        })?;
        Ok(self.done)
    }

    /// The receipt in `partial` of unit `index` of `plan`, whose job id is `job_id`; `None` if
    /// there is none. The unit's files are not checked.
    ///
    /// # Errors
    /// [`Error::Shard`] if the receipt is damaged or belongs to another plan.
    pub(crate) fn read(
        partial: &Path,
        plan: &Plan,
        job_id: Hash128,
        index: usize,
    ) -> Result<Option<Self>> {
        let path = partial.join(receipt_name(index));
        let damaged = |what: String| Error::shard(&path, what);
        let Some(receipt) = read_json::<Self>(&path, "receipt", MAX_BYTES)? else {
            return Ok(None);
        };
        if receipt.computed_hash() != receipt.hash {
            return Err(damaged(
                "was changed after it was written: its hash does not hold".to_owned(),
            ));
        }
        if receipt.job_id != job_id {
            return Err(damaged("belongs to another plan".to_owned()));
        }
        if receipt.unit != index as u64 {
            return Err(damaged(format!("is the receipt of unit {}", receipt.unit)));
        }
        receipt.done.check(plan, index).map_err(damaged)?;
        Ok(Some(receipt))
    }
}
