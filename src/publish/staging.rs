//! Output that is visible only when it is complete.
//!
//! ```text
//! open      lock OUT.partial, or create it; resume from the state that is written there
//! fill      OUT.partial/new, by the caller, who knows the content
//! complete  sync all of it, write the state `complete`
//! publish   rename OUT.partial/new to OUT (or exchange the two), sync both parents
//!           write the state `replaced` and remove what was replaced; remove OUT.partial
//! ```
//!
//! This is the only place that reads the state and decides. docs/format.md says what each command
//! does in each state. Nothing that is finished is removed unless the state says that it is not
//! needed, or the caller is allowed to discard it.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::publish::durability::{Durability, sync_directory};
use crate::publish::inventory::{Inventory, NEW, OLD, RUN, Room, STATE};
use crate::publish::json_file::write_json;
use crate::publish::lock::{Sharing, is_still_at, lock_directory, lock_existing, lock_open};
use crate::publish::outside::check_outside;
use crate::publish::rename::exchange;
use crate::publish::state::{RunId, Stage, State, stage};
use crate::publish::target::{
    Identity, check_can_move, check_owner, check_replaceable, create_directories, create_output,
    identity, is_empty, parent_of, places,
};
use crate::publish::terms::Terms;

/// A directory that is being made next to the place where it will appear.
#[derive(Debug)]
pub(crate) struct Staging {
    out: PathBuf,
    partial: PathBuf,
    new: PathBuf,
    terms: Terms,
    /// Holds the lock; `None` once published.
    lock: Option<File>,
    stage: Stage,
    /// The directory that the output appears in.
    parent: Option<Identity>,
    /// Whether the contents of `new` belong to this run, which then tidies up after itself.
    is_mine: bool,
}

impl Staging {
    pub(super) fn new(out: &Path, terms: Terms, lock: File) -> Result<Self> {
        let (out, partial) = places(out)?;
        Ok(Self {
            parent: identity(parent_of(&out)),
            new: partial.join(NEW),
            out,
            partial,
            terms,
            lock: Some(lock),
            stage: Stage::Empty,
            is_mine: false,
        })
    }

    /// Locks `out.partial` for the directory `out`, and resumes from what is there.
    ///
    /// # Errors
    /// [`Error::Output`] if `out` exists and must not be replaced, or if the contents of its
    /// `out.partial` are not ours; [`Error::Locked`] if another run is writing it; [`Error::Io`] if
    /// nothing can be written there.
    pub(crate) fn open(out: &Path, terms: Terms) -> Result<Self> {
        let (out, partial) = &places(out)?;
        check_outside(out, terms.nests.then_some(terms.inventory.nested))?;
        check_replaceable(out, terms)?;
        create_directories(parent_of(out), terms.durability)?;
        let lock = lock_directory(partial, terms.sharing)?;
        let mut staging = Self::new(out, terms, lock)?;
        staging.enter()?;
        // Another run may have published between the first check and the lock.
        check_replaceable(out, terms)?;
        if fs::symlink_metadata(out).is_ok_and(|found| found.is_dir()) {
            check_can_move(out, partial)?;
        }
        Ok(staging)
    }

    /// Like [`Self::open`] with an exclusive lock, but creates nothing: `None` if nothing is being
    /// made.
    pub(crate) fn open_existing(out: &Path, terms: Terms) -> Result<Option<Self>> {
        let (out, partial) = &places(out)?;
        let Some(lock) = lock_existing(partial, Sharing::Alone)? else {
            return Ok(None);
        };
        let mut staging = Self::new(out, terms, lock)?;
        staging.check_found()?;
        staging.read_stage()?;
        match staging.stage {
            Stage::Empty | Stage::Published => {
                staging.remove_partial()?;
                return Ok(None);
            }
            Stage::Displaced => {
                staging.put_in_place()?;
                staging.remove_partial()?;
                return Ok(None);
            }
            Stage::Unknown => return Err(staging.unknown()),
            Stage::Making | Stage::Complete => {}
        }
        check_replaceable(out, terms)?;
        Ok(Some(staging))
    }

    /// Reaches the stage `Making` or `Complete` from whatever was found.
    fn enter(&mut self) -> Result<()> {
        self.check_found()?;
        self.read_stage()?;
        match self.stage {
            Stage::Complete => return Ok(()),
            // A run may have been killed before it created `new`.
            Stage::Making => return self.create_new(),
            Stage::Empty => {
                self.state(State::Making)?;
                // Sync the directory's name, too, so that what is finished in it stays.
                sync_directory(parent_of(&self.partial), self.terms.durability)?;
                return self.create_new();
            }
            Stage::Displaced | Stage::Published | Stage::Unknown => {}
        }
        self.while_alone(|staging| match staging.stage {
            Stage::Unknown if !staging.terms.discards => Err(staging.unknown()),
            // The run that moved the old output away had consent.
            Stage::Displaced => {
                staging.put_in_place()?;
                staging.begin_anew()
            }
            _ => staging.begin_anew(),
        })
    }

    /// Allows units to be made again in a complete output that is not in its place.
    ///
    /// # Errors
    /// [`Error::Locked`] if other processes are working on it.
    pub(crate) fn reopen_if_complete(&mut self) -> Result<()> {
        if self.is_complete() {
            self.while_alone(Self::reopen)?;
        }
        Ok(())
    }

    /// Refuses a directory that no run made, or that another user made.
    pub(super) fn check_found(&self) -> Result<()> {
        if let Some(lock) = &self.lock {
            let found = lock.metadata();
            let found = found.map_err(Error::io(&self.partial, "cannot open"))?;
            check_owner(&self.partial, &found)?;
            if let Ok(new) = fs::symlink_metadata(&self.new)
                && new.is_dir()
            {
                check_owner(&self.new, &new)?;
            }
        }
        Ok(())
    }

    fn read_stage(&mut self) -> Result<()> {
        self.stage = stage(&self.out, &self.partial)?;
        self.inventory().check_own(&self.partial, Room::Partial)
    }

    fn unknown(&self) -> Error {
        Error::output(
            &self.partial,
            (
                format!("its {STATE} is damaged, or not about what lies there"),
                "look at what is there and remove it, or let `tokenize` or `embed` discard it with \
                 `overwrite`",
            ),
        )
    }

    /// Writes a state that already holds.
    fn state(&mut self, state: State) -> Result<()> {
        state.write(&self.partial, self.terms.durability)?;
        sync_directory(&self.partial, self.terms.durability)?;
        self.stage = match state {
            State::Making => Stage::Making,
            State::Complete { .. } => Stage::Complete,
            State::Replaced { .. } => Stage::Published,
        };
        Ok(())
    }

    fn create_new(&self) -> Result<()> {
        create_output(&self.new)
    }

    /// Sets a complete output that is not in its place back to `Making`, because part of it is made
    /// again.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        if self.stage == Stage::Making {
            return Ok(());
        }
        self.state(State::Making)
    }

    /// Discards everything that is there, and starts over.
    fn begin_anew(&mut self) -> Result<()> {
        // From here on, what a killed run leaves is never taken for an output.
        self.reopen()?;
        self.inventory()
            .clear_but(&self.partial, Room::Partial, |name| name == STATE)?;
        self.create_new()
    }

    /// Runs `act` with an exclusive lock, for what a shared one does not allow.
    ///
    /// # Errors
    /// [`Error::Locked`] if other processes hold it, too.
    pub(crate) fn while_alone(&mut self, act: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.terms.sharing == Sharing::Alone {
            return act(self);
        }
        if let Some(lock) = &self.lock {
            lock_open(lock, Sharing::Alone, &self.partial)?;
        }
        let done = act(self);
        if let Some(lock) = &self.lock {
            lock_open(lock, Sharing::Shared, &self.partial)?;
        }
        done
    }

    /// DIR.partial: state, plan and receipts.
    pub(crate) fn partial(&self) -> &Path {
        &self.partial
    }

    /// The directory that is being filled and becomes the output.
    pub(crate) fn new_output(&self) -> &Path {
        &self.new
    }

    /// Removes everything except receipts and the files of units that have one.
    pub(crate) fn tidy(&self) -> Result<()> {
        self.keep_units(&self.inventory().receipts(&self.partial)?)
    }

    /// Removes everything except the plan and what belongs to the units `done`.
    pub(crate) fn keep_units(&self, done: &HashSet<usize>) -> Result<()> {
        let inventory = self.inventory();
        let is_done = |unit: Option<usize>| unit.is_some_and(|unit| done.contains(&unit));
        inventory.clear_but(&self.partial, Room::Partial, |name| {
            [STATE, inventory.plan, NEW].contains(&name) || is_done((inventory.receipt_unit)(name))
        })?;
        inventory.clear_but(&self.new, Room::Output, |name| {
            is_done((inventory.file_unit)(name))
        })
    }

    /// The names that belong to outputs.
    pub(crate) fn inventory(&self) -> &'static Inventory {
        self.terms.inventory
    }

    pub(crate) fn durability(&self) -> Durability {
        self.terms.durability
    }

    /// Whether this holds a complete output that is not in its place yet.
    pub(crate) fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    pub(crate) fn take_charge(&mut self) {
        self.is_mine = true;
    }

    /// Discards what is there and starts over.
    ///
    /// # Errors
    /// [`Error::Output`] if that is finished work that the caller does not allow to be discarded.
    pub(crate) fn discard(&mut self) -> Result<()> {
        self.check_discard("nothing of it can be used here")?;
        self.begin_anew()?;
        self.is_mine = true;
        Ok(())
    }

    /// Refuses to discard finished work of another run; `difference` says how that run differs.
    pub(crate) fn check_discard(&self, difference: &str) -> Result<()> {
        let units = self.inventory().receipts(&self.partial)?.len();
        let what = match self.stage {
            _ if self.terms.discards => return Ok(()),
            Stage::Complete => "a whole output of another run that is not in its place".to_owned(),
            _ if units == 0 => return Ok(()),
            _ => format!(
                "{units} finished unit{} of another run",
                if units == 1 { "" } else { "s" }
            ),
        };
        Err(Error::output(
            &self.partial,
            (
                format!("holds {what}: {difference}"),
                "run that command again to continue it, use `overwrite` to discard it or choose \
                 another `out`",
            ),
        ))
    }

    /// Records that `new` holds the complete output, with every file synced, and nothing else.
    /// `run` is what its `run.json` will say.
    pub(crate) fn complete(&mut self, run: &Value) -> Result<()> {
        // A failure from here on leaves everything.
        self.is_mine = false;
        let run_id = RunId::random();
        let record = match run {
            Value::Object(fields) => {
                let mut fields = fields.clone();
                fields.insert("run_id".to_owned(), json!(run_id));
                Value::Object(fields)
            }
            other => json!({"run": other, "run_id": run_id}),
        };
        write_json(&self.new, RUN, self.terms.durability, &record)?;
        sync_directory(&self.new, self.terms.durability)?;
        self.state(State::Complete { run_id })
    }

    /// Makes the complete output visible in its place.
    ///
    /// # Errors
    /// [`Error::Output`] if its place was taken in the meantime; everything then stays as it is.
    /// Once the output is in its place, [`Error::Io`] if it cannot be synced, or what it replaced
    /// cannot be removed; the next run does that.
    pub(crate) fn publish(mut self) -> Result<()> {
        debug_assert!(self.is_complete(), "only what is whole is published");
        check_replaceable(&self.out, self.terms)?;
        self.put_in_place()?;
        self.remove_partial()
    }

    /// Renames `new` to the output, and keeps what was there until the rename is on the disk.
    fn put_in_place(&mut self) -> Result<()> {
        self.check_parent()?;
        let _old = self.lock_old()?;
        let old = self.partial.join(OLD);
        let replaced = RunId::of(&self.out).or_else(|| RunId::of(&old));
        let found = fs::symlink_metadata(&self.out).ok();
        if let Some(found) = found.as_ref().filter(|found| found.is_dir()) {
            let mode = Permissions::from_mode(found.permissions().mode() & 0o7777 | 0o700);
            // Keep the mode that the user chose, if the file system supports it.
            let _ = fs::set_permissions(&self.new, mode);
        }
        // A rename can replace an empty directory.
        let is_replaced = found.is_some() && !is_empty(&self.out);
        let renamed = if is_replaced {
            self.take_place_of(&old)
        } else {
            fs::rename(&self.new, &self.out)
        };
        renamed.map_err(|error| match error.kind() {
            io::ErrorKind::CrossesDevices => Error::output(
                &self.partial,
                (
                    "lies in a lower layer of an overlay file system, where no directory can be \
                     renamed",
                    "copy it beside itself, and let the copy take its place",
                ),
            ),
            _ => Error::io(&self.out, "cannot publish")(error),
        })?;
        self.stage = Stage::Published;
        self.check_parent()?;
        sync_directory(parent_of(&self.out), self.terms.durability)?;
        if is_replaced || fs::symlink_metadata(&old).is_ok() {
            sync_directory(&self.partial, self.terms.durability)?;
            if let Some(run_id) = RunId::of(&self.out) {
                self.state(State::Replaced { run_id, replaced })?;
            }
        }
        Ok(())
    }

    /// Exchanges `new` and the output. If the file system cannot, the output is moved to `old`
    /// first.
    fn take_place_of(&self, old: &Path) -> io::Result<()> {
        if exchange(&self.new, &self.out)? {
            return Ok(());
        }
        fs::rename(&self.out, old)?;
        fs::rename(&self.new, &self.out)
    }

    /// Locks what is about to be replaced: no run may be writing embeddings into it.
    fn lock_old(&self) -> Result<Option<File>> {
        match lock_existing(&self.out, Sharing::Alone) {
            Err(error @ Error::Locked { .. }) => Err(error),
            // It is a link, or its file system has no locks, or it does not exist.
            other => Ok(other.ok().flatten()),
        }
    }

    /// Makes sure that the output appears in the directory that the run began with, or nowhere.
    fn check_parent(&self) -> Result<()> {
        if identity(parent_of(&self.out)) == self.parent {
            return Ok(());
        }
        Err(Error::output(
            &self.out,
            (
                "the directory that it was to be in was replaced meanwhile",
                "run again",
            ),
        ))
    }

    /// Removes OUT.partial, which is no longer needed.
    pub(super) fn remove_partial(&mut self) -> Result<()> {
        self.inventory()
            .remove_directory(&self.partial, Room::Partial)?;
        self.lock = None;
        Ok(())
    }
}

impl Drop for Staging {
    /// After a failure, only finished units and complete outputs are left for the next run.
    fn drop(&mut self) {
        let Some(lock) = &self.lock else { return };
        if self.terms.sharing == Sharing::Shared {
            // Only the last of several processes tidies up; the others still need what is there.
            let is_last = lock_open(lock, Sharing::Alone, &self.partial).is_ok()
                && is_still_at(lock, &self.partial).unwrap_or(false);
            if !is_last {
                return;
            }
        }
        if self.stage == Stage::Empty {
            // Only an empty directory is removed.
            let _ = fs::remove_dir(&self.partial);
        }
        if self.stage != Stage::Making {
            return;
        }
        // If this fails, the next run clears what is left.
        if self
            .inventory()
            .receipts(&self.partial)
            .is_ok_and(|done| done.is_empty())
        {
            let _ = self.remove_partial();
        } else if self.is_mine {
            let _ = self.tidy();
        }
    }
}

#[cfg(test)]
mod tests;
