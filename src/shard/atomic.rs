//! Output that is visible only when it is complete.
//!
//! ```text
//! begin    create OUT.partial, lock it, clear what a killed run left there
//! create   OUT.partial/.NAME.tmp-PID, exclusively
//! finish   check, fsync, rename to OUT.partial/NAME
//! publish  fsync OUT.partial, rename it to OUT (or exchange the two), fsync the parent
//! ```
//!
//! The lock is on the directory itself, so it moves with it and nothing has to be removed before
//! the rename. Where a file system has no locks, as some network ones, the run goes on without.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::shard::{EMBEDDINGS, MANIFEST, RUN};
use crate::{Error, Result};

/// Whether output is forced to the disk before it becomes visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Every file and directory is synced: what is visible survives a power cut.
    #[default]
    Full,
    /// Nothing is synced; the bytes are the same.
    None,
}

impl Durability {
    /// Both choices, in the order in which help lists them.
    pub const ALL: [Self; 2] = [Self::Full, Self::None];

    /// The choice as it is spelled on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::None => "none",
        }
    }

    fn sync(self, file: &File, path: &Path) -> Result<()> {
        match self {
            Self::Full => file.sync_all().map_err(Error::io(path, "cannot sync")),
            Self::None => Ok(()),
        }
    }
}

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

/// The file in a finished output that says it is one.
const MARKS: [&str; 2] = [MANIFEST, "embed.json"];

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

/// Whether a file is a manifest or a record of embeddings: others have files of these names too.
fn is_record(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| memchr::memmem::find(&bytes, b"\"dataset_id\"").is_some())
}

/// Creates `partial` where it is missing and locks it.
fn lock_directory(partial: &Path) -> Result<File> {
    loop {
        match fs::create_dir(partial) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(partial, "cannot create")(error)),
        }
        let lock = match File::open(partial) {
            Ok(lock) => lock,
            // Published or cleared by its run just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::io(partial, "cannot open")(error)),
        };
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked {
                    path: partial.to_owned(),
                });
            }
            // A file system without locks; runs there must be kept apart by their user.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        // The lock counts only if the name still stands for what was locked.
        let locked = lock.metadata().map_err(Error::io(partial, "cannot open"))?;
        match fs::symlink_metadata(partial) {
            Ok(now) if !now.is_dir() => {
                return Err(Error::Output {
                    path: partial.to_owned(),
                    what: "is not a directory and is in the way; move it elsewhere".to_owned(),
                });
            }
            Ok(now) if (now.dev(), now.ino()) == (locked.dev(), locked.ino()) => return Ok(lock),
            _ => {}
        }
    }
}

/// Refuses a directory in which anything lies that no run makes.
fn check_own(directory: &Path) -> Result<()> {
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
fn clear(directory: &Path) -> Result<()> {
    check_own(directory)?;
    each_entry(directory, |path, _, is_dir| {
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
fn each_entry(directory: &Path, act: impl Fn(&Path, &OsStr, bool) -> Result<()>) -> Result<()> {
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
    let is_stream = name.starts_with("stream-");
    let is_array = ["embeddings.npy", "inputs.npy", "targets.npy"].contains(&name);
    is_shard || is_stream || is_array || MARKS.contains(&name) || name == RUN
}

pub(crate) fn sync_directory(path: &Path, durability: Durability) -> Result<()> {
    if durability == Durability::None {
        return Ok(());
    }
    let directory = File::open(path).map_err(Error::io(path, "cannot open"))?;
    durability.sync(&directory, path)
}

/// A file that gets its name when it is complete; removed if it never is.
#[derive(Debug)]
pub(crate) struct TempFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    durability: Durability,
    is_finished: bool,
}

impl TempFile {
    /// Begins `directory/name`.
    pub(crate) fn create(directory: &Path, name: &str, durability: Durability) -> Result<Self> {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".tmp-{}", std::process::id()));
        let temporary = directory.join(temporary);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(Error::io(&temporary, "cannot create"))?;
        Ok(Self {
            file,
            temporary,
            path: directory.join(name),
            durability,
            is_finished: false,
        })
    }

    /// Appends `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(Error::io(&self.path, "cannot write"))
    }

    /// Gives the file its name, after a check that it holds `expected_bytes`.
    pub(crate) fn finish(mut self, expected_bytes: u64) -> Result<()> {
        let length = self
            .file
            .metadata()
            .map_err(Error::io(&self.path, "cannot read its size"))?
            .len();
        if length != expected_bytes {
            return Err(Error::Shard {
                path: self.path.clone(),
                what: format!("has {length} bytes after {expected_bytes} were written"),
            });
        }
        self.durability.sync(&self.file, &self.path)?;
        fs::rename(&self.temporary, &self.path)
            .map_err(Error::io(&self.path, "cannot rename to"))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // A temporary name is never taken for output; the next run clears it too.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Writes `value` as indented JSON.
pub(crate) fn write_json(
    directory: &Path,
    name: &str,
    durability: Durability,
    value: &impl serde::Serialize,
) -> Result<()> {
    let mut file = TempFile::create(directory, name, durability)?;
    let path = file.path.clone();
    let mut buffered = io::BufWriter::new(CountingFile {
        file: &mut file.file,
        bytes: 0,
    });
    serde_json::to_writer_pretty(&mut buffered, value)
        .map_err(io::Error::from)
        .and_then(|()| buffered.write_all(b"\n"))
        .and_then(|()| buffered.flush())
        .map_err(Error::io(&path, "cannot write"))?;
    let bytes = buffered.get_ref().bytes;
    drop(buffered);
    file.finish(bytes)
}

/// A file that knows how much was written to it.
#[derive(Debug)]
struct CountingFile<'a> {
    file: &'a mut File,
    bytes: u64,
}

impl Write for CountingFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
