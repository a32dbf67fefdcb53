//! The names that a run makes. Nothing else is ever removed.
//!
//! The caller passes the names as a table. Names are matched whole: a prefix does not make a file
//! ours.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use shardmill_core::map::Map;

use crate::error::{Error, Result};
use crate::publish::json_file::{open_regular, read_json};
use crate::publish::temp_file::name_of_temporary;

/// The name of the file that says how an output was made.
pub(crate) const RUN: &str = "run.json";
/// The name of the state file in a directory that is being filled.
pub(crate) const STATE: &str = "state.json";
/// The directory inside it that becomes the output.
pub(crate) const NEW: &str = "new";
/// The directory inside it that an old output is moved to if the file system cannot exchange two
/// paths.
pub(crate) const OLD: &str = "old";

/// A state file is never longer than this.
pub(super) const MAX_STATE_BYTES: u64 = 4096;

/// The names of everything that runs make.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// For each kind of output, the file that marks a finished output.
    pub(crate) records: &'static [OutputRecord],
    /// The other files of an output, except [`RUN`].
    pub(crate) is_output_file: fn(&str) -> bool,
    /// Files of an output that are never finished.
    pub(crate) is_scratch: fn(&str) -> bool,
    /// The directory inside an output that is itself an output, made from the outer one.
    pub(crate) nested: &'static str,
    /// The list of an output's units, in DIR.partial.
    pub(crate) plan: &'static str,
    /// The unit whose receipt has this name, in DIR.partial.
    pub(crate) receipt_unit: fn(&str) -> Option<usize>,
    /// The unit that a file of an output belongs to.
    pub(crate) file_unit: fn(&str) -> Option<usize>,
}

/// The record of one kind of output.
#[derive(Debug)]
pub(crate) struct OutputRecord {
    pub(crate) name: &'static str,
    /// The files that it lists, in the output's directory; `None` if it is damaged.
    pub(crate) files: fn(&Path) -> Option<HashSet<String>>,
}

/// The kind of a run's directory, which determines what may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// An output, complete or in the making.
    Output,
    /// DIR.partial.
    Partial,
}

/// An entry of a directory that a run made.
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a Path,
    pub(crate) name: &'a str,
    /// Its kind, if it is a directory.
    pub(crate) room: Option<Room>,
}

impl Inventory {
    /// The kind of the directory `name` in `room`; `None` if no run makes it.
    fn directory(&self, room: Room, name: &str) -> Option<Room> {
        match room {
            Room::Partial => [NEW, OLD].contains(&name).then_some(Room::Output),
            Room::Output if name == self.nested => Some(Room::Output),
            Room::Output => {
                let out = name.strip_suffix(".partial")?;
                (out == self.nested).then_some(Room::Partial)
            }
        }
    }

    /// Whether a run makes a file with this name there.
    pub(crate) fn has_file(&self, room: Room, name: &str) -> bool {
        let is_temporary_own = |whole| {
            // Scratch files are never finished, so they keep their temporary names.
            room == Room::Output && (self.is_scratch)(whole) || self.has_finished_file(room, whole)
        };
        self.has_finished_file(room, name) || name_of_temporary(name).is_some_and(is_temporary_own)
    }

    fn has_finished_file(&self, room: Room, name: &str) -> bool {
        match room {
            Room::Output => (self.is_output_file)(name) || self.is_record_name(name) || name == RUN,
            // A replaced link ends up under the name of what replaced it.
            Room::Partial => {
                [STATE, self.plan, NEW, OLD].contains(&name) || (self.receipt_unit)(name).is_some()
            }
        }
    }

    /// Whether the record of some kind of output has this name.
    pub(super) fn is_record_name(&self, name: &str) -> bool {
        self.records.iter().any(|record| record.name == name)
    }

    /// Calls `act` with each entry of `directory`.
    ///
    /// # Errors
    /// [`Error::Output`] for the first entry that no run makes there.
    pub(crate) fn each_entry(
        &self,
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
                    self.directory(room, name).is_some()
                } else {
                    self.has_file(room, name)
                }
            });
            let Some(name) = name else {
                return Err(not_ours(&path));
            };
            act(&Entry {
                path: &path,
                name,
                room: is_dir.then(|| self.directory(room, name)).flatten(),
            })?;
        }
        Ok(())
    }

    /// Refuses a directory that contains, at any depth, anything that no run makes.
    pub(super) fn check_own(&self, directory: &Path, room: Room) -> Result<()> {
        self.each_entry(directory, room, |entry| match entry.room {
            Some(Room::Partial) if !has_state(entry.path)? => Err(not_ours(entry.path)),
            Some(room) => self.check_own(entry.path, room),
            None => Ok(()),
        })
    }

    /// Removes everything from `directory` except the entries that `keeps` selects; removes nothing
    /// if the directory contains anything that no run makes. Receipts are removed first and a state
    /// last, so that if the process is killed, the remains are never taken for more than they are.
    pub(crate) fn clear_but(
        &self,
        directory: &Path,
        room: Room,
        keeps: impl Fn(&str) -> bool,
    ) -> Result<()> {
        self.check_own(directory, room)?;
        for turn in 0..3 {
            self.each_entry(directory, room, |entry| {
                let its_turn = match entry.name {
                    name if (self.receipt_unit)(name).is_some() => 0,
                    STATE => 2,
                    _ => 1,
                };
                if its_turn == turn && !keeps(entry.name) {
                    self.remove(entry)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn remove(&self, entry: &Entry<'_>) -> Result<()> {
        match entry.room {
            Some(room) => self.remove_directory(entry.path, room),
            None => fs::remove_file(entry.path).map_err(Error::io(entry.path, "cannot remove")),
        }
    }

    /// Removes a directory with everything that a run has put there.
    pub(super) fn remove_directory(&self, directory: &Path, room: Room) -> Result<()> {
        self.clear_but(directory, room, |_| false)?;
        fs::remove_dir(directory).map_err(Error::io(directory, "cannot remove"))
    }

    /// The units that have a receipt in `partial`.
    pub(crate) fn receipts(&self, partial: &Path) -> Result<HashSet<usize>> {
        let mut found = HashSet::new();
        self.each_entry(partial, Room::Partial, |entry| {
            found.extend((self.receipt_unit)(entry.name));
            Ok(())
        })?;
        Ok(found)
    }

    /// The units that have a temporary file in `new`.
    pub(crate) fn units_being_written(&self, new: &Path) -> Result<BTreeSet<usize>> {
        let mut found = BTreeSet::new();
        self.each_entry(new, Room::Output, |entry| {
            found.extend(name_of_temporary(entry.name).and_then(self.file_unit));
            Ok(())
        })?;
        Ok(found)
    }
}

fn not_ours(path: &Path) -> Error {
    Error::output(
        path,
        (
            "was not made by shardmill and is in the way",
            "move it elsewhere",
        ),
    )
}

/// Whether a run has written what `partial` is, or has not begun to.
fn has_state(partial: &Path) -> Result<bool> {
    let state = read_json::<serde_json::Value>(&partial.join(STATE), "state", MAX_STATE_BYTES);
    let is_ours = matches!(&state, Ok(Some(state)) if state["state"].is_string());
    Ok(is_ours || is_unbegun(partial)?)
}

/// Whether nothing was begun in `partial`. A run that was killed before it wrote a state leaves at
/// most the state's temporary file.
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

/// Whether a file is the record of an output. Other programs have files with these names, too.
pub(super) fn is_record(path: &Path) -> bool {
    let file = open_regular(path).ok().flatten();
    let map = file.and_then(|file| Map::from_file(&file, path).ok());
    map.is_some_and(|map| {
        // Text never continues after a NUL, and a file with a hole may be as long as a file can be.
        let end = memchr::memchr(0, &map).unwrap_or(map.len());
        memchr::memmem::find(&map[..end], b"\"dataset_id\"").is_some()
    })
}
