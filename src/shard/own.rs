//! What shardmill makes, told from what it does not: only the former is ever removed.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::map::Map;
use crate::shard::plan::PLAN;
use crate::shard::receipt::shard_unit;
use crate::shard::untrusted::open_regular;
use crate::shard::{EMBEDDINGS, MANIFEST, RUN, receipt_unit};
use crate::sink::is_array_name;
use crate::{Error, Result};

/// The file in a finished output that says it is one.
pub(super) const MARKS: [&str; 2] = [MANIFEST, "embed.json"];

/// Whether a file is a manifest or a record of embeddings: others have files of these names too.
pub(super) fn is_record(path: &Path) -> bool {
    let file = open_regular(path).ok().flatten();
    let map = file.and_then(|file| Map::from_file(&file, path).ok());
    map.is_some_and(|map| {
        // No text goes on behind a NUL; a file with a hole may be as long as a file can be.
        let end = memchr::memchr(0, &map).unwrap_or(map.len());
        memchr::memmem::find(&map[..end], b"\"dataset_id\"").is_some()
    })
}

/// Refuses a directory in which anything lies that no run makes.
pub(super) fn check_own(directory: &Path) -> Result<()> {
    each_entry(directory, |path, name, is_dir| {
        if !is_own_name(name, is_dir) {
            return Err(Error::Output {
                path: path.to_owned(),
                what: "was not made by shardmill and is in the way; move it elsewhere".to_owned(),
            });
        }
        if is_dir { check_own(path) } else { Ok(()) }
    })
}

/// Removes what a run leaves in its directory; nothing if anything else is there.
pub(super) fn clear(directory: &Path) -> Result<()> {
    clear_but(directory, |_| false)
}

/// The units that have a receipt in `directory`.
pub(super) fn receipts(directory: &Path) -> Result<HashSet<usize>> {
    let entries = fs::read_dir(directory).map_err(Error::io(directory, "cannot list"))?;
    let mut found = HashSet::new();
    for entry in entries {
        let name = entry
            .map_err(Error::io(directory, "cannot list"))?
            .file_name();
        found.extend(name.to_str().and_then(receipt_unit));
    }
    Ok(found)
}

/// The units of which a temporary file lies in `directory`.
pub(crate) fn units_being_written(directory: &Path) -> Result<BTreeSet<usize>> {
    let entries = fs::read_dir(directory).map_err(Error::io(directory, "cannot list"))?;
    let mut found = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(Error::io(directory, "cannot list"))?;
        let name = entry.file_name();
        let name = name.to_str().and_then(|name| name.strip_prefix('.'));
        found.extend(name.and_then(shard_unit));
    }
    Ok(found)
}

/// Removes everything from `directory` but what `keeps` names; nothing if anything lies there
/// that no run makes.
pub(super) fn clear_but(directory: &Path, keeps: impl Fn(&str) -> bool) -> Result<()> {
    check_own(directory)?;
    each_entry(directory, |path, name, is_dir| {
        if name.to_str().is_some_and(&keeps) {
            return Ok(());
        }
        if is_dir {
            clear(path)?;
            fs::remove_dir(path)
        } else {
            fs::remove_file(path)
        }
        .map_err(Error::io(path, "cannot remove"))
    })
}

/// Calls `act` with the path and name of each entry, and whether it is a directory.
pub(super) fn each_entry(
    directory: &Path,
    act: impl Fn(&Path, &OsStr, bool) -> Result<()>,
) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(Error::io(directory, "cannot list"))?;
    for entry in entries {
        let entry = entry.map_err(Error::io(directory, "cannot list"))?;
        let is_dir = entry.file_type().is_ok_and(|file_type| file_type.is_dir());
        act(&entry.path(), &entry.file_name(), is_dir)?;
    }
    Ok(())
}

/// Whether a name is one that a run gives to its files, or to its directories.
fn is_own_name(name: &OsStr, is_dir: bool) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    if is_dir {
        return name.strip_suffix(".partial").unwrap_or(name) == EMBEDDINGS;
    }
    // `.NAME.tmp-PID` while it is written.
    let name = name
        .strip_prefix('.')
        .and_then(|hidden| hidden.split_once(".tmp-"))
        .map_or(name, |(name, _)| name);
    let is_shard = name
        .strip_prefix("shard-")
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(number, end)| {
            number.bytes().all(|byte| byte.is_ascii_digit())
                && ["u16", "u32", "docs"].contains(&end)
        });
    let is_receipt = receipt_unit(name).is_some();
    let is_stream = name.starts_with("stream-");
    is_shard
        || is_receipt
        || is_stream
        || is_array_name(name)
        || MARKS.contains(&name)
        || [RUN, PLAN].contains(&name)
}
