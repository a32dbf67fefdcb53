//! Output that is visible only when it is complete.
//!
//! ```text
//! begin    create OUT.partial, lock it, clear what a killed run left there
//! create   OUT.partial/.NAME.tmp-PID, exclusively
//! finish   check, fsync, rename to OUT.partial/NAME
//! publish  fsync OUT.partial, rename it to OUT (or exchange the two), fsync the parent
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::shard::lock::lock_directory;
use crate::shard::own::{MARKS, check_own, clear, is_record};
use crate::shard::temp_file::{Durability, sync_directory};
use crate::{Error, Result};

/// A directory being made beside the place where it will appear.
#[derive(Debug)]
pub(crate) struct Staging {
    out: PathBuf,
    partial: PathBuf,
    overwrite: bool,
    durability: Durability,
    /// Holds the lock; `None` once published.
    lock: Option<File>,
}

impl Staging {
    /// Begins the directory `out`, in `out.partial`.
    ///
    /// # Errors
    /// [`Error::Output`] where `out` exists and may not be overwritten, [`Error::Locked`] where
    /// another run is writing it, [`Error::Io`] where nothing can be written there.
    pub(crate) fn begin(out: &Path, overwrite: bool, durability: Durability) -> Result<Self> {
        let refuse = |what: &str| {
            Err(Error::Output {
                path: out.to_owned(),
                what: what.to_owned(),
            })
        };
        let Some(name) = out.file_name() else {
            return refuse("is not a name for a new directory; choose another --out");
        };
        // `dir/.` names dir, but no rename can put anything there.
        let out = &out.with_file_name(name);
        check_replaceable(out, overwrite)?;
        let mut partial = name.to_owned();
        partial.push(".partial");
        let partial = out.with_file_name(partial);
        if let Some(parent) = parent_of(out) {
            fs::create_dir_all(parent).map_err(Error::io(parent, "cannot create"))?;
        }
        let lock = lock_directory(&partial)?;
        let staging = Self {
            out: out.to_owned(),
            partial,
            overwrite,
            durability,
            lock: Some(lock),
        };
        // Another run may have published between the first look and the lock.
        check_replaceable(out, overwrite)?;
        clear(&staging.partial)?;
        Ok(staging)
    }

    /// The directory that is being filled.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// Makes the directory visible in its place.
    pub(crate) fn publish(mut self) -> Result<()> {
        sync_directory(&self.partial, self.durability)?;
        let exists = fs::symlink_metadata(&self.out).is_ok();
        let flags = if exists && self.overwrite {
            RenameFlags::EXCHANGE
        } else {
            RenameFlags::NOREPLACE
        };
        renameat_with(CWD, &self.partial, CWD, &self.out, flags)
            .map_err(|errno| Error::io(&self.out, "cannot publish")(errno.into()))?;
        // From here on the work is done: nothing may clear it.
        self.lock = None;
        if let Some(parent) = parent_of(&self.out) {
            sync_directory(parent, self.durability)?;
        }
        if flags == RenameFlags::EXCHANGE {
            fs::remove_dir_all(&self.partial).map_err(Error::io(
                &self.partial,
                "cannot remove what was overwritten",
            ))?;
        }
        Ok(())
    }
}

impl Drop for Staging {
    /// After a failure nothing is left: a later run starts over anyway.
    fn drop(&mut self) {
        if self.lock.is_some() && clear(&self.partial).is_ok() {
            // Only empties are removed, and a failure leaves an empty directory at worst.
            let _ = fs::remove_dir(&self.partial);
        }
    }
}

fn parent_of(path: &Path) -> Option<&Path> {
    path.parent().map(|parent| {
        if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        }
    })
}

/// Refuses an existing `out` that may not be overwritten, and one that is no output of ours.
fn check_replaceable(out: &Path, overwrite: bool) -> Result<()> {
    let Ok(metadata) = fs::symlink_metadata(out) else {
        return Ok(());
    };
    let is_ours = metadata.is_dir() && MARKS.iter().any(|mark| is_record(&out.join(mark)));
    let what = if !metadata.is_dir() {
        "exists and is not a directory; choose another --out"
    } else if !overwrite && is_ours {
        "exists and is not exactly this output; add --overwrite to replace it or choose another --out"
    } else if !is_ours {
        "exists and was not made by shardmill; remove it or choose another --out"
    } else {
        // All of it goes when it is replaced.
        return check_own(out);
    };
    Err(Error::Output {
        path: out.to_owned(),
        what: what.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::MANIFEST;
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
