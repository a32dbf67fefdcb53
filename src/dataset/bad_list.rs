//! Reads the files that list the records that were left out.

use std::path::Path;

use shardmill_core::map::Map;

use crate::dataset::bad::{BadCounts, BadFile, BadRecord};
use crate::dataset::manifest::{Manifest, Position, ShardInfo, SourceInfo};
use crate::dataset::reader::TokenStore;
use crate::error::{Error, Result};
use crate::publish::json_file::open_regular;

/// The first `limit` records that the dataset in the directory `path` leaves out.
///
/// ```no_run
/// for bad in shardmill::dataset::bad_records("out".as_ref(), 10)? {
///     println!("{} {:?}: {}", bad.name, bad.line, bad.message);
/// }
/// # Ok::<(), shardmill::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shard`] if it is not a dataset, or a file that lists records is damaged.
pub fn bad_records(path: &Path, limit: usize) -> Result<Vec<BadRecord>> {
    let store = TokenStore::open(path)?;
    first_bad_records(path, &store.manifest().shards, limit)
}

/// The first `limit` records that `shards` in `directory` leave out.
pub(crate) fn first_bad_records<'a>(
    directory: &Path,
    shards: impl IntoIterator<Item = &'a ShardInfo>,
    limit: usize,
) -> Result<Vec<BadRecord>> {
    let mut found = Vec::new();
    for bad in shards
        .into_iter()
        .filter_map(|info| info.bad_records.as_ref())
    {
        if found.len() >= limit {
            break;
        }
        let path = directory.join(&bad.file);
        let file = open_regular(&path)?.ok_or_else(|| damaged(&path, "is missing".to_owned()))?;
        let map = Map::from_file(&file, &path)?;
        check_length(&map, bad)?;
        for record in records(&map).take(limit - found.len()) {
            found.push(record?);
        }
    }
    Ok(found)
}

/// Checks that the file `map` has the length that the manifest says.
pub(super) fn check_length(map: &Map, bad: &BadFile) -> Result<()> {
    if map.len() as u64 == bad.bytes {
        return Ok(());
    }
    let what = format!("has {} bytes, the manifest says {}", map.len(), bad.bytes);
    Err(damaged(map.path(), what))
}

fn damaged(path: &Path, what: String) -> Error {
    Error::shard(path, what)
}

/// The records that the file `map` lists.
fn records(map: &Map) -> impl Iterator<Item = Result<BadRecord>> {
    let lines = map.split_inclusive(|&byte| byte == b'\n');
    lines.enumerate().map(|(index, line)| {
        serde_json::from_slice(line)
            .ok()
            .filter(|_| line.ends_with(b"\n"))
            .ok_or_else(|| damaged(map.path(), format!("line {}: is no record", index + 1)))
    })
}

/// Checks that the file `map` lists what `info` says, in the order of the corpus.
pub(super) fn check_bad_records(map: &Map, info: &ShardInfo, manifest: &Manifest) -> Result<()> {
    let mut counts = BadCounts::default();
    let mut at = info.start;
    for (index, record) in records(map).enumerate() {
        let record = record?;
        counts.add(record.kind, record.lines);
        at = end_of(&record, at, info.end, &manifest.sources)
            .map_err(|what| damaged(map.path(), format!("line {}: {what}", index + 1)))?;
    }
    if info.bad_records.as_ref().map(|bad| bad.counts) == Some(counts) {
        Ok(())
    } else {
        Err(damaged(
            map.path(),
            "lists other kinds of records than the manifest counts".to_owned(),
        ))
    }
}

/// The end of `record`, which must begin at `at` or later and end at `end` or earlier.
fn end_of(
    record: &BadRecord,
    at: Position,
    end: Position,
    sources: &[SourceInfo],
) -> std::result::Result<Position, &'static str> {
    let position = |byte| Position {
        source: record.source,
        byte,
    };
    let source = sources.get(record.source as usize);
    let ends = record.byte_start.checked_add(record.byte_len);
    let (Some(source), Some(byte)) = (source, ends) else {
        return Err("lies in no source");
    };
    let is_before_end = |byte| record.source < end.source || byte <= end.byte;
    let is_inside = if source.format.row().has_rows {
        // The unit begins and ends at bytes, and the record is a row of its source.
        record.source >= at.source && is_before_end(1)
    } else {
        // How long the text of a compressed source is, only its data says.
        let is_in_source = source.compression.is_some() || byte <= source.bytes;
        position(record.byte_start) >= at && is_in_source && is_before_end(byte)
    };
    if record.name != source.name {
        Err("calls its source by another name")
    } else if !is_inside {
        Err("lies outside of the shard's unit, or is out of order")
    } else {
        Ok(position(byte))
    }
}
