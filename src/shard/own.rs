//! What shardmill makes, told from what it does not: only the former is ever removed.
//!
//! Names are matched whole: a prefix makes no file ours.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::map::Map;
use crate::shard::plan::PLAN;
use crate::shard::receipt::shard_file_unit;
use crate::shard::state::{NEW, OLD, STATE};
use crate::shard::temp_file::name_of_temporary;
use crate::shard::untrusted::open_regular;
use crate::shard::{EMBEDDINGS, MANIFEST, RUN, receipt_unit};
use crate::sink::is_array_name;

/// The file in a finished output that says it is one.
pub(super) const MARKS: [&str; 2] = [MANIFEST, "embed.json"];

/// Which directory of a run it is: what may lie there follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// A dataset or embeddings, whole or on the way to it.
    Output,
    /// DIR.partial.
    Partial,
}

impl Room {
    /// What the directory `name` in this one is; `None` if no run makes it.
    fn directory(self, name: &str) -> Option<Self> {
        match self {
            Self::Partial => [NEW, OLD].contains(&name).then_some(Self::Output),
            Self::Output if name == EMBEDDINGS => Some(Self::Output),
            Self::Output => {
                let out = name.strip_suffix(".partial")?;
                (out == EMBEDDINGS).then_some(Self::Partial)
            }
        }
    }

    /// Whether a run makes a file of this name here.
    fn has_file(self, name: &str) -> bool {
        let is_temporary_own = |whole| {
            // What a stream is copied to never gets another name.
            self == Self::Output && is_spool(whole) || self.has_finished_file(whole)
        };
        self.has_finished_file(name) || name_of_temporary(name).is_some_and(is_temporary_own)
    }

    fn has_finished_file(self, name: &str) -> bool {
        match self {
            Self::Output => {
                shard_file_unit(name).is_some()
                    || is_array_name(name)
                    || MARKS.contains(&name)
                    || name == RUN
            }
            // A replaced link takes the name of what replaced it.
            Self::Partial => {
                [STATE, PLAN, NEW, OLD].contains(&name) || receipt_unit(name).is_some()
            }
        }
    }
}

/// Whether this is what a stream's copy is called, beside its number.
fn is_spool(name: &str) -> bool {
    let number = name.strip_prefix("stream-");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// An entry of a directory that a run made.
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a Path,
    pub(crate) name: &'a str,
    /// What it is, if it is a directory.
    pub(crate) room: Option<Room>,
}

/// Calls `act` with each entry of `directory`.
///
/// # Errors
/// [`Error::Output`] at the first entry that no run makes there.
pub(crate) fn each_entry(
    directory: &Path,
    room: Room,
    mut act: impl FnMut(&Entry<'_>) -> Result<()>,
) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(Error::io(directory, "cannot list"))?;
    for entry in entries {
        let entry = entry.map_err(Error::io(directory, "cannot list"))?;
        let path = entry.path();
        let file_type = entry.file_type();
        let is_dir = file_type.map_err(Error::io(&path, "cannot open"))?.is_dir();
        let name = entry.file_name();
        let name = name.to_str().filter(|name| {
            if is_dir {
                room.directory(name).is_some()
            } else {
                room.has_file(name)
            }
        });
        let Some(name) = name else {
            return Err(Error::Output {
                path,
                what: "was not made by shardmill and is in the way; move it elsewhere".to_owned(),
            });
        };
        act(&Entry {
            path: &path,
            name,
            room: is_dir.then(|| room.directory(name)).flatten(),
        })?;
    }
    Ok(())
}

/// Refuses a directory in which anything lies, at any depth, that no run makes.
pub(super) fn check_own(directory: &Path, room: Room) -> Result<()> {
    each_entry(directory, room, |entry| match entry.room {
        Some(Room::Partial) if !has_state(entry.path)? => Err(Error::Output {
            path: entry.path.to_owned(),
            what: "was not made by shardmill and is in the way; move it elsewhere".to_owned(),
        }),
        Some(room) => check_own(entry.path, room),
        None => Ok(()),
    })
}

/// Whether a run says what `partial` is, or has not begun to.
fn has_state(partial: &Path) -> Result<bool> {
    Ok(fs::symlink_metadata(partial.join(STATE)).is_ok() || is_unbegun(partial)?)
}

/// Whether nothing was begun in `partial`: a run that was killed before it wrote a state leaves
/// at most a temporary file of it.
pub(super) fn is_unbegun(partial: &Path) -> Result<bool> {
    let entries = fs::read_dir(partial).map_err(Error::io(partial, "cannot list"))?;
    for entry in entries {
        let entry = entry.map_err(Error::io(partial, "cannot list"))?;
        let name = entry.file_name();
        if name.to_str().and_then(name_of_temporary) != Some(STATE) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes everything from `directory` but the entries that `keeps` names; nothing if anything lies
/// there that no run makes. Receipts go first and a state last, so that what is left by a kill is
/// never taken for more than it is.
pub(super) fn clear_but(directory: &Path, room: Room, keeps: impl Fn(&str) -> bool) -> Result<()> {
    check_own(directory, room)?;
    for turn in 0..3 {
        each_entry(directory, room, |entry| {
            let its_turn = match entry.name {
                name if receipt_unit(name).is_some() => 0,
                STATE => 2,
                _ => 1,
            };
            if its_turn == turn && !keeps(entry.name) {
                remove(entry)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn remove(entry: &Entry<'_>) -> Result<()> {
    match entry.room {
        Some(room) => remove_directory(entry.path, room),
        None => fs::remove_file(entry.path).map_err(Error::io(entry.path, "cannot remove")),
    }
}

/// Removes a directory with all that a run has put there.
pub(super) fn remove_directory(directory: &Path, room: Room) -> Result<()> {
    clear_but(directory, room, |_| false)?;
    fs::remove_dir(directory).map_err(Error::io(directory, "cannot remove"))
}

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

/// The units that have a receipt in `partial`.
pub(super) fn receipts(partial: &Path) -> Result<HashSet<usize>> {
    let mut found = HashSet::new();
    each_entry(partial, Room::Partial, |entry| {
        found.extend(receipt_unit(entry.name));
        Ok(())
    })?;
    Ok(found)
}

/// The units of which a temporary file lies in `new`.
pub(crate) fn units_being_written(new: &Path) -> Result<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    each_entry(new, Room::Output, |entry| {
        found.extend(name_of_temporary(entry.name).and_then(shard_file_unit));
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_whole() {
        let random = "0123456789abcdef";
        for name in [
            "shard-00000.u32",
            "shard-123456.docs",
            "shard-00001.bad.jsonl",
            "manifest.json",
            "embed.json",
            "embeddings.npy",
            &format!(".shard-00001.u16.tmp-7-{random}"),
            &format!(".stream-3.tmp-7-{random}"),
        ] {
            assert!(Room::Output.has_file(name), "{name}");
            assert!(!Room::Partial.has_file(name), "{name}");
        }
        for name in [
            "state.json",
            "plan.json",
            "shard-00000.json",
            &format!(".shard-00001.json.tmp-7-{random}"),
            &format!(".state.json.tmp-7-{random}"),
        ] {
            assert!(Room::Partial.has_file(name), "{name}");
            assert!(!Room::Output.has_file(name), "{name}");
        }
        for name in [
            "stream-of-consciousness.txt",
            "stream-0",
            "shard-.docs",
            "shard-0.docs",
            "shard-1.bad.jsonl",
            "mine.bad.jsonl",
            "shard-00000.txt",
            "shard-00000.u32.bak",
            ".stream-.tmp-7-0123456789abcdef",
            ".thesis.txt.tmp-7-0123456789abcdef",
            ".shard-00000.u32.tmp-99",
            ".shard-00000.u32.tmp-x-0123456789abcdef",
            ".shard-00000.u32.tmp-7-0123456789abcde",
            ".tmp-7-0123456789abcdef",
        ] {
            assert!(!Room::Output.has_file(name), "{name}");
            assert!(!Room::Partial.has_file(name), "{name}");
        }
    }
}
