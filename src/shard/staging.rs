//! Output that is visible only when it is complete.
//!
//! ```text
//! open     create OUT.partial and lock it
//! adopt    write plan.json; keep units of the same plan that have a receipt, remove the rest
//! create   OUT.partial/.NAME.tmp-..., exclusively
//! finish   check, fsync, rename to OUT.partial/NAME
//! strip    once the manifest is there: remove plan.json and the receipts
//! publish  fsync OUT.partial, rename it to OUT (or exchange the two), fsync the parent
//! ```
//!
//! What is exchanged for the output lies in OUT.partial until it is removed, under its own lock.
//! It has no receipts, so a run that finds it there after a kill clears it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::shard::lock::{Sharing, is_still_at, lock_directory, lock_existing, lock_open};
use crate::shard::own::{check_own, clear, clear_but, each_entry, receipts};
use crate::shard::place::{check_replaceable, parent_of, places, remove_old, remove_replaced_link};
use crate::shard::plan::PLAN;
use crate::shard::receipt::shard_unit;
use crate::shard::temp_file::{Durability, link_or_copy, sync_directory};
use crate::shard::{EMBEDDINGS, MANIFEST, Manifest, Plan, RUN};
use crate::{Error, Result};

/// A directory being made beside the place where it will appear.
#[derive(Debug)]
pub(crate) struct Staging {
    out: PathBuf,
    partial: PathBuf,
    /// Whether what is at `out` may be replaced.
    replaces: bool,
    /// Whether finished units of another run may be discarded.
    discards: bool,
    durability: Durability,
    sharing: Sharing,
    /// Holds the lock; `None` once published.
    lock: Option<File>,
    /// Whether what lies in the directory belongs to this run, which then tidies up after itself.
    is_mine: bool,
}

impl Staging {
    /// Begins the directory `out`, empty, in `out.partial`.
    ///
    /// # Errors
    /// As [`Self::open`], and [`Error::Output`] where an interrupted run left finished units
    /// there and they may not be discarded.
    pub(crate) fn begin(out: &Path, overwrite: bool, durability: Durability) -> Result<Self> {
        let mut staging = Self::open(out, overwrite, durability, Sharing::Alone)?;
        staging.empty()?;
        Ok(staging)
    }

    /// Locks `out.partial` for the directory `out`, and leaves what is there as it is.
    ///
    /// # Errors
    /// [`Error::Output`] where `out` exists and may not be overwritten, [`Error::Locked`] where
    /// another run is writing it, [`Error::Io`] where nothing can be written there.
    pub(crate) fn open(
        out: &Path,
        overwrite: bool,
        durability: Durability,
        sharing: Sharing,
    ) -> Result<Self> {
        let (out, partial) = &places(out)?;
        check_replaceable(out, overwrite)?;
        if let Some(parent) = parent_of(out) {
            fs::create_dir_all(parent).map_err(Error::io(parent, "cannot create"))?;
        }
        if overwrite {
            remove_replaced_link(out, partial);
        }
        let lock = lock_directory(partial, sharing)?;
        let staging = Self {
            out: out.clone(),
            partial: partial.clone(),
            replaces: overwrite,
            discards: overwrite,
            durability,
            sharing,
            lock: Some(lock),
            is_mine: false,
        };
        // Another run may have published between the first look and the lock.
        check_replaceable(out, overwrite)?;
        check_own(partial)?;
        Ok(staging)
    }

    /// As [`Self::open`], alone, to take the place of a damaged `out`.
    pub(crate) fn open_to_repair(
        out: &Path,
        overwrite: bool,
        durability: Durability,
    ) -> Result<Self> {
        let mut staging = Self::open(out, true, durability, Sharing::Alone)?;
        staging.discards = overwrite;
        Ok(staging)
    }

    /// Takes the embeddings of what will be replaced over; they are those of the same dataset.
    pub(crate) fn keep_embeddings(&self) -> Result<()> {
        let old = self.out.join(EMBEDDINGS);
        if !old.is_dir() {
            return Ok(());
        }
        let new = self.partial.join(EMBEDDINGS);
        fs::create_dir(&new).map_err(Error::io(&new, "cannot create"))?;
        each_entry(&old, |_, name, _| match name.to_str() {
            Some(name) => link_or_copy(&old, &new, name, self.durability),
            // `open` has checked the names.
            None => Ok(()),
        })?;
        sync_directory(&new, self.durability)
    }

    /// As [`Self::open`], alone; `None` where nothing is being made.
    pub(crate) fn open_existing(
        out: &Path,
        overwrite: bool,
        durability: Durability,
    ) -> Result<Option<Self>> {
        let (_, partial) = places(out)?;
        // Creates nothing where there is nothing to go on with.
        let is_there = fs::symlink_metadata(partial.join(PLAN)).is_ok()
            || fs::symlink_metadata(partial.join(MANIFEST)).is_ok();
        if !is_there {
            return Ok(None);
        }
        Self::open(out, overwrite, durability, Sharing::Alone).map(Some)
    }

    /// The directory that is being filled.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// Discards what is there.
    ///
    /// # Errors
    /// [`Error::Output`] where that is finished units, and nothing says that they may go.
    pub(crate) fn empty(&mut self) -> Result<()> {
        let units = receipts(&self.partial)?.len();
        if units > 0 && !self.discards {
            return Err(self.refuse_units(units, "nothing of them can be used here"));
        }
        clear(&self.partial)?;
        self.is_mine = true;
        Ok(())
    }

    /// Makes the directory that of `plan`. What is left there of the same plan stays, as far as
    /// it has a receipt.
    ///
    /// # Errors
    /// [`Error::Output`] names the first difference where finished units of another plan are
    /// there, and nothing says that they may go.
    pub(crate) fn adopt(&mut self, plan: &Plan) -> Result<()> {
        let found = Plan::read(&self.partial);
        if let Ok(Some(found)) = &found
            && found.plan_id == plan.plan_id
        {
            self.is_mine = true;
            self.tidy()?;
            if found.units == plan.units {
                return Ok(());
            }
            // The content changed under the same sizes: other cuts, other units.
        } else {
            let units = receipts(&self.partial)?.len();
            if units > 0 && !self.discards {
                let difference = match found {
                    Ok(Some(found)) => found.difference(plan).unwrap_or_default(),
                    Ok(None) => "they have no plan.json".to_owned(),
                    Err(error) => error.to_string(),
                };
                return Err(self.refuse_units(units, &difference));
            }
            clear(&self.partial)?;
            self.is_mine = true;
        }
        plan.write(&self.partial, self.durability)?;
        sync_directory(&self.partial, self.durability)
    }

    /// As [`Self::adopt`], for one of several processes that share the directory: what is there
    /// may be in use, and stays.
    pub(crate) fn join(&mut self, plan: &Plan) -> Result<()> {
        while !self.try_join(plan)? {}
        self.is_mine = true;
        Ok(())
    }

    /// Whether the plan in the directory is `plan`; if not, it may be now.
    fn try_join(&mut self, plan: &Plan) -> Result<bool> {
        let found = Plan::read(&self.partial);
        match &found {
            Ok(Some(found)) if found == plan => return Ok(true),
            Ok(Some(found)) if found.plan_id == plan.plan_id => {
                return Err(Error::Output {
                    path: self.partial.clone(),
                    what: "has a plan for inputs of the same sizes and other contents; give all \
                           processes the same inputs, or run without --units to make again what \
                           changed"
                        .to_owned(),
                });
            }
            // Of several that begin at once, one writes the plan and all read it.
            Ok(None) if receipts(&self.partial)?.is_empty() => {
                plan.write_new(&self.partial, self.durability)?;
                sync_directory(&self.partial, self.durability)?;
                return Ok(false);
            }
            _ => {}
        }
        // Only who is alone may take away what is there.
        if let Some(lock) = &self.lock {
            lock_open(lock, Sharing::Alone, &self.partial)?;
        }
        self.adopt(plan)?;
        self.is_mine = false;
        // Another may be first now; then it has written a plan, which is looked at next.
        self.lock = None;
        self.lock = Some(lock_directory(&self.partial, Sharing::Shared)?);
        Ok(false)
    }

    fn refuse_units(&self, units: usize, difference: &str) -> Error {
        Error::Output {
            path: self.partial.clone(),
            what: format!(
                "holds {units} finished unit{} of another run: {difference}; run that command \
                 again to go on with it, add --overwrite to discard it or choose another --out",
                if units == 1 { "" } else { "s" }
            ),
        }
    }

    /// Removes everything but the plan, receipts, and the files of units that have one.
    fn tidy(&self) -> Result<()> {
        self.keep_units(&receipts(&self.partial)?)
    }

    /// Removes everything but the plan and what belongs to the units `done`.
    pub(crate) fn keep_units(&self, done: &HashSet<usize>) -> Result<()> {
        clear_but(&self.partial, |name| {
            name == PLAN || shard_unit(name).is_some_and(|unit| done.contains(&unit))
        })
    }

    /// Removes everything but what belongs to the dataset of `manifest`, which is complete.
    pub(crate) fn strip(&mut self, manifest: &Manifest) -> Result<()> {
        // From here on the manifest stands for the receipts: a failure leaves all of it.
        self.is_mine = false;
        let shards = &manifest.shards;
        let files: HashSet<&str> = shards
            .iter()
            .flat_map(|shard| [&*shard.file, &*shard.docs_file])
            .chain([MANIFEST, RUN, EMBEDDINGS])
            .collect();
        sync_directory(&self.partial, self.durability)?;
        clear_but(&self.partial, |name| files.contains(name))
    }

    /// Whether there is a plan, and so a way to tell what else is there.
    pub(crate) fn has_plan(&self) -> bool {
        fs::symlink_metadata(self.partial.join(PLAN)).is_ok()
    }

    /// Keeps the complete dataset of `manifest` that was found here, and nothing else.
    pub(crate) fn keep_dataset(&mut self, manifest: &Manifest) -> Result<()> {
        self.strip(manifest)?;
        clear_but(&self.partial, |name| name != EMBEDDINGS)?;
        // Whoever made it may have synced nothing.
        for shard in &manifest.shards {
            for name in [&shard.file, &shard.docs_file] {
                let path = self.partial.join(name);
                let file = File::open(&path).map_err(Error::io(&path, "cannot open"))?;
                self.durability.sync(&file, &path)?;
            }
        }
        let path = self.partial.join(MANIFEST);
        let file = File::open(&path).map_err(Error::io(&path, "cannot open"))?;
        self.durability.sync(&file, &path)
    }

    /// Makes the directory visible in its place.
    pub(crate) fn publish(mut self) -> Result<()> {
        sync_directory(&self.partial, self.durability)?;
        check_replaceable(&self.out, self.replaces)?;
        let is_there = fs::symlink_metadata(&self.out).is_ok();
        let flags = if is_there && self.replaces {
            RenameFlags::EXCHANGE
        } else {
            RenameFlags::NOREPLACE
        };
        // What is replaced takes the name of the partial directory: nobody may begin there before
        // it is removed. It is a link, or not on a file system with locks, where this fails.
        let old = lock_existing(&self.out, Sharing::Alone);
        renameat_with(CWD, &self.partial, CWD, &self.out, flags)
            .map_err(|errno| Error::io(&self.out, "cannot publish")(errno.into()))?;
        // From here on the work is done: nothing may clear it.
        self.lock = None;
        if let Some(parent) = parent_of(&self.out) {
            sync_directory(parent, self.durability)?;
        }
        if flags == RenameFlags::EXCHANGE {
            remove_old(&self.partial)?;
        }
        drop(old);
        Ok(())
    }
}

impl Drop for Staging {
    /// After a failure finished units are left for the next run, and nothing else.
    fn drop(&mut self) {
        let Some(lock) = &self.lock else { return };
        if self.sharing == Sharing::Shared {
            // The last of several tidies up; others still need what is there.
            let is_last = lock_open(lock, Sharing::Alone, &self.partial).is_ok()
                && is_still_at(lock, &self.partial).unwrap_or(false);
            if !is_last {
                return;
            }
        }
        if self.is_mine && receipts(&self.partial).is_ok_and(|done| done.is_empty()) {
            // A failure leaves what the next run clears.
            let _ = clear(&self.partial);
        } else if self.is_mine {
            let _ = self.tidy();
        }
        // Only an empty directory is removed.
        let _ = fs::remove_dir(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::temp_file::{TempFile, write_json};

    fn begin(out: &Path, overwrite: bool) -> Result<Staging> {
        Staging::begin(out, overwrite, Durability::Full)
    }

    fn publish_one(out: &Path, overwrite: bool, contents: &str) -> Result<()> {
        let staging = begin(out, overwrite)?;
        let record = serde_json::json!({"dataset_id": contents});
        write_json(staging.path(), MANIFEST, Durability::Full, &record)?;
        staging.publish()
    }

    fn contents(out: &Path) -> String {
        let manifest = fs::read(out.join(MANIFEST)).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        manifest["dataset_id"].as_str().unwrap().to_owned()
    }

    #[test]
    fn nothing_is_visible_before_publish_and_nothing_is_left_after_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("new/parents/out");
        let staging = begin(&out, false).unwrap();
        let mut file =
            TempFile::create(staging.path(), "shard-00000.u32", Durability::Full).unwrap();
        file.write(b"abcd").unwrap();
        assert!(!out.exists());
        assert!(
            file.finish(5).is_err(),
            "a short file must not get its name"
        );
        drop(staging);
        assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn an_existing_output_is_replaced_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        publish_one(&out, false, "one").unwrap();
        assert!(matches!(
            publish_one(&out, false, "two"),
            Err(Error::Output { .. })
        ));
        assert_eq!(contents(&out), "one");
        publish_one(&out, true, "two").unwrap();
        assert_eq!(contents(&out), "two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    /// Checks that a run to `out` is refused and removes nothing of `kept`.
    #[track_caller]
    fn keeps(out: &Path, kept: &[&Path]) {
        let before: Vec<_> = kept.iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(matches!(begin(out, true), Err(Error::Output { .. })));
        let after: Vec<_> = kept.iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(before, after);
    }

    #[test]
    fn what_shardmill_did_not_make_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let web = dir.path().join("web");
        fs::create_dir(&web).unwrap();
        fs::write(web.join(MANIFEST), "{\"name\": \"a web app\"}").unwrap();
        keeps(&web, &[&web.join(MANIFEST)]);

        let out = dir.path().join("out");
        publish_one(&out, false, "one").unwrap();
        for name in ["thesis.txt", "shard-a.docs", "embeddings"] {
            fs::write(out.join(name), "years of work").unwrap();
            keeps(&out, &[&out.join(name), &out.join(MANIFEST)]);
            fs::remove_file(out.join(name)).unwrap();
        }

        let partial = dir.path().join("other.partial");
        fs::create_dir(&partial).unwrap();
        fs::write(partial.join(MANIFEST), "{}").unwrap();
        fs::write(partial.join("thesis.txt"), "years of work").unwrap();
        let kept = [&*partial.join("thesis.txt"), &*partial.join(MANIFEST)];
        keeps(&dir.path().join("other"), &kept);
    }

    #[test]
    fn a_link_in_the_place_of_the_partial_directory_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        publish_one(&out, false, "one").unwrap();
        std::os::unix::fs::symlink(&out, dir.path().join("new.partial")).unwrap();
        keeps(&dir.path().join("new"), &[&out.join(MANIFEST)]);
    }

    #[test]
    fn a_name_with_a_dot_behind_it_is_the_name() {
        let dir = tempfile::tempdir().unwrap();
        publish_one(&dir.path().join("out/."), false, "one").unwrap();
        assert_eq!(contents(&dir.path().join("out")), "one");
    }

    #[test]
    fn a_second_run_on_the_same_output_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let first = begin(&out, false).unwrap();
        assert!(matches!(begin(&out, false), Err(Error::Locked { .. })));
        drop(first);
        assert!(begin(&out, false).is_ok());
    }

    #[test]
    fn left_overs_of_a_killed_run_are_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let partial = dir.path().join("out.partial");
        fs::create_dir_all(partial.join("embeddings")).unwrap();
        for name in [
            "shard-00000.u32",
            ".shard-00001.u32.tmp-99",
            "embeddings/inputs.npy",
        ] {
            fs::write(partial.join(name), "x").unwrap();
        }
        let staging = begin(&dir.path().join("out"), false).unwrap();
        assert_eq!(fs::read_dir(staging.path()).unwrap().count(), 0);
    }
}
