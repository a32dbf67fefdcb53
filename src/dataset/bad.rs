//! The records that a shard leaves out: how many of which kind, and the file that lists them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::{Manifest, Position, ShardInfo, SourceInfo};
use crate::document::BadKind;
use crate::error::{Error, Result};
use crate::hash::Hash128;
use crate::map::Map;
use crate::publish::json_file::open_regular;

/// How many records were left out, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadCounts {
    /// [`BadKind::BrokenJson`].
    pub broken_json: u64,
    /// [`BadKind::NotAnObject`].
    pub not_an_object: u64,
    /// [`BadKind::MissingField`].
    pub missing_field: u64,
    /// [`BadKind::NullField`].
    pub null_field: u64,
    /// [`BadKind::NotAString`].
    pub not_a_string: u64,
    /// [`BadKind::InvalidUtf8`].
    pub invalid_utf8: u64,
    /// [`BadKind::LoneSurrogate`].
    pub lone_surrogate: u64,
}

impl BadCounts {
    /// How many there are of `kind`.
    pub fn get(&self, kind: BadKind) -> u64 {
        let mut counts = *self;
        *counts.of(kind)
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        BadKind::ALL
            .iter()
            .fold(0, |sum, &kind| sum.saturating_add(self.get(kind)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn add(&mut self, kind: BadKind, count: u64) {
        let of = self.of(kind);
        *of = of.saturating_add(count);
    }

    /// The sum of both.
    pub(crate) fn plus(mut self, other: &Self) -> Self {
        for kind in BadKind::ALL {
            self.add(kind, other.get(kind));
        }
        self
    }

    fn of(&mut self, kind: BadKind) -> &mut u64 {
        match kind {
            BadKind::BrokenJson => &mut self.broken_json,
            BadKind::NotAnObject => &mut self.not_an_object,
            BadKind::MissingField => &mut self.missing_field,
            BadKind::NullField => &mut self.null_field,
            BadKind::NotAString => &mut self.not_a_string,
            BadKind::InvalidUtf8 => &mut self.invalid_utf8,
            BadKind::LoneSurrogate => &mut self.lone_surrogate,
        }
    }
}

/// The file that lists the records that a shard leaves out; there is none where it has all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadFile {
    /// Its name.
    pub file: String,
    /// How many records it lists.
    pub counts: BadCounts,
    /// Its size.
    pub bytes: u64,
    /// Hashes of its 16 MiB blocks.
    pub blocks: Vec<Hash128>,
}

/// A record that was left out: a line of the file that lists them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadRecord {
    /// Index of the source in the manifest.
    pub source: u32,
    /// The source's name there.
    pub name: String,
    /// Where the line begins in the source, in bytes.
    pub byte_start: u64,
    /// Bytes of the line without its line end.
    pub byte_len: u64,
    /// The number of the line in the source, counted from 1; `None` where the unit begins more
    /// than 4 GiB into it.
    pub line: Option<u64>,
    /// What is wrong, for programs.
    pub kind: BadKind,
    /// What is wrong, for people.
    pub message: String,
}

/// The name of the file that lists what shard `index` leaves out.
pub(crate) fn bad_file_name(index: usize) -> String {
    format!("shard-{index:05}.bad.jsonl")
}

/// The first `limit` records that the dataset in the directory `path` leaves out.
///
/// ```no_run
/// for bad in shardmill::bad_records("out".as_ref(), 10)? {
///     println!("{} {:?}: {}", bad.name, bad.line, bad.message);
/// }
/// # Ok::<(), shardmill::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shard`] where it is no dataset, or a file that lists records is damaged.
pub fn bad_records(path: &Path, limit: usize) -> Result<Vec<BadRecord>> {
    let store = crate::dataset::TokenStore::open(path)?;
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

/// Checks that the file `map` is as long as its manifest says.
pub(super) fn check_length(map: &Map, bad: &BadFile) -> Result<()> {
    if map.len() as u64 == bad.bytes {
        return Ok(());
    }
    let what = format!("has {} bytes, the manifest says {}", map.len(), bad.bytes);
    Err(damaged(map.path(), what))
}

fn damaged(path: &Path, what: String) -> Error {
    Error::Shard {
        path: path.to_owned(),
        what,
    }
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
        counts.add(record.kind, 1);
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

/// Where `record` ends, which must begin at `at` or later and end at `end` or earlier.
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
    let is_inside = position(record.byte_start) >= at
        && byte <= source.bytes
        && (record.source < end.source || byte <= end.byte);
    if record.name != source.name {
        Err("calls its source by another name")
    } else if !is_inside {
        Err("lies outside of the shard's unit, or is out of order")
    } else {
        Ok(position(byte))
    }
}
