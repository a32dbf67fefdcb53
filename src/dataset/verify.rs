//! Verifies a dataset: every checksum and every invariant.

use std::path::Path;

use shardmill_core::hash::Hash128;
use shardmill_core::map::Map;

use crate::dataset::bad_list::{check_bad_records, check_length};
use crate::dataset::directory::{map_in, read_directory};
use crate::dataset::{
    DocRecord, MANIFEST, Manifest, Position, Shard, ShardInfo, Shuffled, SourceInfo, TokenStore,
    Tokens, Totals,
};
use crate::document::FieldCheck;
use crate::error::{Error, Result};
use crate::hash::{BLOCK_BYTES, block_hashes};
use crate::progress::Stats;
use crate::publish::json_file::is_text_of;

/// What was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Shards.
    pub shards: u64,
    /// Ids, each below `n_vocab`.
    pub tokens: u64,
    /// Documents.
    pub documents: u64,
    /// Bytes of files whose hashes match.
    pub bytes: u64,
    /// The dataset's id.
    pub dataset_id: Hash128,
}

/// Checks every checksum and every invariant of the dataset in the directory `path`; `stats`
/// counts the bytes of its files.
///
/// # Errors
/// [`Error::Shard`] names the first file, block or record that is wrong, in the order of the
/// manifest.
///
/// ```no_run
/// use shardmill::{Stats, verify};
///
/// let verified = verify("out".as_ref(), &Stats::default())?;
/// println!("{} tokens in {} shards are whole", verified.tokens, verified.shards);
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn verify(path: &Path, stats: &Stats) -> Result<Verified> {
    let (store, directory) = read_directory(path, |directory| {
        let file = map_in(directory, path, MANIFEST)?;
        let manifest = Manifest::parse(&file, file.path())?;
        if !is_text_of(&file, &manifest) {
            let what = "was changed after it was written: its text is not that of its values";
            return Err(damaged(file.path(), what.to_owned()));
        }
        let store = TokenStore::open_shards(directory, path, manifest)?;
        let directory = directory.try_clone();
        Ok((store, directory.map_err(Error::io(path, "cannot open"))?))
    })?;
    let manifest = store.manifest();
    stats.begin(manifest.file_bytes());
    let mut documents = DocumentCheck::new(path, manifest)?;
    let mut bytes = 0;
    for (info, shard) in manifest.shards.iter().zip(store.shards()) {
        let shard = shard?;
        bytes += check_files(info, &shard, stats)?;
        check_ids(&shard, manifest.encoding.n_vocab)?;
        documents.check_shard(info, &shard)?;
        check_fields(info, &shard, manifest)?;
        if let Some(bad) = &info.bad_records {
            let map = map_in(&directory, path, &bad.file)?;
            check_length(&map, bad)?;
            check_blocks(&map, &bad.blocks, stats)?;
            check_bad_records(&map, info, manifest)?;
            bytes += map.len() as u64;
        }
    }
    documents.check_totals(path)?;
    Ok(Verified {
        shards: manifest.shards.len() as u64,
        tokens: manifest.totals.tokens,
        documents: manifest.totals.documents,
        bytes,
        dataset_id: manifest.dataset_id,
    })
}

/// Checks the hashes of a shard's ids, document records and kept fields; returns their size in bytes.
fn check_files(info: &ShardInfo, shard: &Shard, stats: &Stats) -> Result<u64> {
    let fields = info.fields.iter().map(|fields| &fields.blocks);
    let hashes = [&info.blocks, &info.docs_blocks].into_iter().chain(fields);
    let mut bytes = 0;
    let files = shard.files().into_iter().chain(shard.fields_file());
    for (map, hashes) in files.zip(hashes) {
        check_blocks(map, hashes, stats)?;
        bytes += map.len() as u64;
    }
    Ok(bytes)
}

/// Checks the hashes of the ids, document records and kept fields of all shards of an open dataset,
/// even if another one has replaced it.
pub(crate) fn check_shards(store: &TokenStore, stats: &Stats) -> Result<()> {
    let shards = store.manifest().shards.iter().zip(store.shards());
    for (info, shard) in shards {
        check_files(info, &*shard?, stats)?;
    }
    Ok(())
}

fn damaged(path: &Path, what: String) -> Error {
    Error::shard(path, what)
}

/// Checks that the units cover the sources without gap or overlap.
fn check_units(path: &Path, manifest: &Manifest) -> Result<()> {
    let wrong = |what: String| Err(damaged(&path.join(MANIFEST), what));
    let mut at = crate::dataset::Position::default();
    for info in &manifest.shards {
        if info.start != at || info.end < info.start {
            return wrong(format!(
                "the unit of {} does not follow the one before",
                info.file
            ));
        }
        at = info.end;
    }
    if u64::from(at.source) != manifest.sources.len() as u64 || at.byte != 0 {
        return wrong("the units do not end where the sources end".to_owned());
    }
    Ok(())
}

/// Checks that each shard of a shuffled dataset has its share of the documents.
fn check_places(path: &Path, manifest: &Manifest) -> Result<()> {
    if manifest.shuffled.is_none() {
        return Ok(());
    }
    let (n_shards, n_documents) = (manifest.shards.len(), manifest.totals.documents);
    for (index, info) in manifest.shards.iter().enumerate() {
        let places = Shuffled::places(index, n_shards, n_documents);
        if info.documents != places.end - places.start {
            let what = format!(
                "{} does not have the documents of its places in the shuffled order",
                info.file
            );
            return Err(damaged(&path.join(MANIFEST), what));
        }
    }
    Ok(())
}

/// Compares the hashes of a file's blocks; the error names the first wrong block.
pub(crate) fn check_blocks(map: &Map, expected: &[Hash128], stats: &Stats) -> Result<()> {
    let found = block_hashes(map, stats);
    if found.len() != expected.len() {
        return Err(damaged_list(map, found.len(), expected));
    }
    match found.iter().zip(expected).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(block) => Err(damaged_block(map, block)),
    }
}

/// Compares the hash of one block of a file, which may be the empty one of an empty file.
pub(crate) fn check_block(
    map: &Map,
    expected: &[Hash128],
    block: usize,
    stats: &Stats,
) -> Result<()> {
    let count = map.len().div_ceil(BLOCK_BYTES);
    if count != expected.len() {
        return Err(damaged_list(map, count, expected));
    }
    let Some((bytes, hash)) = map.chunks(BLOCK_BYTES).nth(block).zip(expected.get(block)) else {
        return Ok(());
    };
    if Hash128::of(bytes) != *hash {
        return Err(damaged_block(map, block));
    }
    stats.advance(bytes.len() as u64);
    Ok(())
}

fn damaged_list(map: &Map, count: usize, listed: &[Hash128]) -> Error {
    damaged(
        map.path(),
        format!("has {count} blocks, {} are listed", listed.len()),
    )
}

fn damaged_block(map: &Map, block: usize) -> Error {
    let from = block * BLOCK_BYTES;
    damaged(
        map.path(),
        format!("damaged in the 16 MiB block {block}, from byte {from}"),
    )
}

fn check_ids(shard: &Shard, n_vocab: u32) -> Result<()> {
    let beyond = match shard.tokens() {
        Tokens::U16(ids) => ids.iter().position(|&id| u32::from(id) >= n_vocab),
        Tokens::U32(ids) => ids.iter().position(|&id| id >= n_vocab),
    };
    match beyond {
        None => Ok(()),
        Some(at) => Err(beyond_vocabulary(shard, at, n_vocab)),
    }
}

/// Checks that each document record of a shard has a line of kept fields, if any are kept.
fn check_fields(info: &ShardInfo, shard: &Shard, manifest: &Manifest) -> Result<()> {
    let Some((fields, map)) = info.fields.as_ref().zip(shard.fields_file()) else {
        return Ok(());
    };
    let wrong = |what: String| Err(damaged(map.path(), what));
    let mut check = FieldCheck::new(manifest.settings.fields());
    let mut lines = 0;
    for line in shard.fields().split_inclusive(|&byte| byte == b'\n') {
        lines += 1;
        if !check.take(line) {
            return wrong(format!(
                "line {lines}: does not have the fields that are kept"
            ));
        }
    }
    let records = shard.documents().len();
    if lines != records {
        return wrong(format!(
            "has {lines} lines, and the shard {records} document records"
        ));
    }
    let counts = manifest.settings.field_keys().zip(check.found);
    let counts = counts.map(|(key, count)| (key.to_owned(), count)).collect();
    if fields.found == counts {
        return Ok(());
    }
    wrong("has other numbers of fields than the manifest counts".to_owned())
}

/// The error that token `at` of `shard` is no id.
pub(crate) fn beyond_vocabulary(shard: &Shard, at: usize, n_vocab: u32) -> Error {
    damaged(
        shard.files()[0].path(),
        format!("token {at} is beyond the vocabulary of {n_vocab}"),
    )
}

/// Checks that only a shard's first document began earlier, and only its last continues.
fn check_piece(
    record: &DocRecord,
    is_first: bool,
    is_last: bool,
) -> std::result::Result<(), String> {
    if (record.began_earlier() && !is_first) || (record.goes_on() && !is_last) {
        return Err("is a piece of a document in the middle of the shard".to_owned());
    }
    Ok(())
}

/// Whether a record's document can lie in its source. How long the text of a compressed source is, only
/// its data says.
fn is_inside(source: &SourceInfo, record: &DocRecord) -> bool {
    let end = record.byte_start.checked_add(record.byte_len);
    end.is_some_and(|end| source.compression.is_some() || end <= source.bytes)
}

/// Checks the record of a document of a shuffled dataset, which may be anywhere in `source`.
fn check_shuffled(source: &SourceInfo, record: &DocRecord) -> std::result::Result<(), String> {
    if record.began_earlier() || record.goes_on() {
        return Err("is a piece of a document, and a shuffled dataset has none".to_owned());
    }
    if !source.format.row().has_rows && !is_inside(source, record) {
        return Err("lies outside of its source".to_owned());
    }
    Ok(())
}

/// Checks the document records of all shards, in order.
pub(crate) struct DocumentCheck<'a> {
    manifest: &'a Manifest,
    /// The source and byte where the next shard's first piece must continue.
    open: Option<(u32, u64)>,
    /// The source and row of the record before, if that source has columns.
    last_row: Option<(u32, u64)>,
    counted: Totals,
}

impl<'a> DocumentCheck<'a> {
    /// Checks the units of the dataset at `path`, and begins with its records.
    pub(crate) fn new(path: &Path, manifest: &'a Manifest) -> Result<Self> {
        check_units(path, manifest)?;
        check_places(path, manifest)?;
        Ok(Self {
            manifest,
            open: None,
            last_row: None,
            counted: Totals::default(),
        })
    }

    /// Checks the records of the next shard.
    pub(crate) fn check_shard(&mut self, info: &ShardInfo, shard: &Shard) -> Result<()> {
        let path = shard.files()[1].path();
        let mut end = 0;
        let mut documents = 0;
        for (index, record) in shard.documents().iter().enumerate() {
            let is_last = index + 1 == shard.documents().len();
            self.check_record(info, record, end)
                .and_then(|()| check_piece(record, index == 0, is_last))
                .map_err(|what| damaged(path, format!("record {index}: {what}")))?;
            end = record.end_tokens;
            documents += u64::from(!record.began_earlier());
            self.counted.empty_documents += u64::from(record.is_empty());
        }
        if end != info.tokens || documents != info.documents {
            return Err(damaged(
                path,
                format!(
                    "ends at token {end} with {documents} documents, the manifest says {} and {}",
                    info.tokens, info.documents
                ),
            ));
        }
        self.counted.tokens += info.tokens;
        self.counted.documents += documents;
        self.counted.other_side = self.counted.other_side.saturating_add(info.other_side);
        self.counted.outside_limits = self.counted.outside_limits.plus(&info.outside_limits);
        self.counted.text_bytes = self.counted.text_bytes.saturating_add(info.text_bytes);
        if let Some(bad) = &info.bad_records {
            self.counted.bad_records = self.counted.bad_records.plus(&bad.counts);
        }
        Ok(())
    }

    fn check_record(
        &mut self,
        info: &ShardInfo,
        record: &DocRecord,
        before: u64,
    ) -> std::result::Result<(), String> {
        if record.end_tokens < before {
            return Err("ends before the one before it".to_owned());
        }
        if !record.has_known_flags() {
            return Err("has flags that mean nothing".to_owned());
        }
        let source = self
            .manifest
            .sources
            .get(record.source as usize)
            .ok_or_else(|| format!("there is no source {}", record.source))?;
        if self.manifest.shuffled.is_some() {
            return check_shuffled(source, record);
        }
        if source.format.row().has_rows {
            return self.check_row(info, record);
        }
        self.last_row = None;
        let position = Position {
            source: record.source,
            byte: record.byte_start,
        };
        let end_byte = record.byte_start.checked_add(record.byte_len);
        if !is_inside(source, record) || position < info.start || position >= info.end {
            return Err("lies outside of the shard's unit".to_owned());
        }
        match self.open.take() {
            None if record.began_earlier() => {
                return Err("continues a document that did not begin".to_owned());
            }
            Some(open) if !record.began_earlier() || open != (record.source, record.byte_start) => {
                return Err("is not the rest of the document before it".to_owned());
            }
            _ => {}
        }
        if record.goes_on() {
            self.open = end_byte.map(|end| (record.source, end));
        }
        Ok(())
    }

    /// Checks the record of a row: all of it is in this shard, and rows come in order.
    fn check_row(
        &mut self,
        info: &ShardInfo,
        record: &DocRecord,
    ) -> std::result::Result<(), String> {
        let (start, end) = (info.start, info.end);
        let is_before_end =
            record.source < end.source || (record.source == end.source && end.byte > 0);
        if record.source < start.source || !is_before_end {
            return Err("lies outside of the shard's unit".to_owned());
        }
        if self.open.is_some() || record.began_earlier() || record.goes_on() {
            return Err("is a piece of a document, where a document is a row".to_owned());
        }
        let row = (record.source, record.byte_start);
        if self.last_row.is_some_and(|last| row <= last) {
            return Err("is a row before the one before it".to_owned());
        }
        self.last_row = Some(row);
        Ok(())
    }

    /// Compares the sums over all shards with the totals of the dataset at `path`.
    pub(crate) fn check_totals(&self, path: &Path) -> Result<()> {
        let expected = self.manifest.totals;
        let counted = Totals {
            source_bytes: self
                .manifest
                .sources
                .iter()
                .fold(0, |sum, source| sum.saturating_add(source.bytes)),
            // This number cannot be derived from anything else.
            invalid_sequences: expected.invalid_sequences,
            ..self.counted
        };
        if counted == expected && self.open.is_none() {
            Ok(())
        } else {
            Err(damaged(
                &path.join(MANIFEST),
                "its totals are not the sums over its shards".to_owned(),
            ))
        }
    }
}
