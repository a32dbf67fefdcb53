//! The lock on a directory that is being filled.
//!
//! It is on the directory itself, so it moves with the directory, and nothing has to be removed
//! before the rename. If a file system has no locks, as some network file systems do not, the run
//! continues without one.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// How often to try a lock that is held, and how long to wait in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Who else may work in the directory at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// No other process. Required for removing or publishing anything.
    Alone,
    /// Other processes that make units of the same plan.
    Shared,
}

/// Locks an open directory, or changes its lock, without waiting.
///
/// # Errors
/// [`Error::Locked`] if another process holds the lock.
pub(super) fn lock_open(lock: &File, sharing: Sharing, path: &Path) -> Result<()> {
    let outcome = match sharing {
        Sharing::Alone => lock.try_lock(),
        Sharing::Shared => lock.try_lock_shared(),
    };
    match outcome {
        Err(TryLockError::WouldBlock) => Err(Error::Locked {
            path: path.to_owned(),
        }),
        // The file system has no locks; there, the user must keep runs apart.
        Err(TryLockError::Error(_)) | Ok(()) => Ok(()),
    }
}

/// Whether `path` is still the directory that was locked. It may have been published or removed
/// between opening and locking.
pub(super) fn is_still_at(lock: &File, path: &Path) -> Result<bool> {
    let locked = lock.metadata().map_err(Error::io(path, "cannot open"))?;
    Ok(fs::symlink_metadata(path)
        .is_ok_and(|now| (now.dev(), now.ino()) == (locked.dev(), locked.ino())))
}

/// Whether a run holds the directory. This does not keep the lock.
pub(crate) fn is_locked(directory: &Path) -> Result<bool> {
    let lock = File::open(directory).map_err(Error::io(directory, "cannot open"))?;
    // Try a shared lock first, for a moment: it does not disturb holders of a shared lock.
    Ok(lock_open(&lock, Sharing::Shared, directory).is_err() || {
        lock_open(&lock, Sharing::Alone, directory).is_err()
    })
}

/// Creates a directory that only its owner may write to, whatever the umask.
pub(super) fn create_partial(partial: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o755).create(partial)
}

/// Creates `partial` if it is missing, and locks it.
pub(super) fn lock_directory(partial: &Path, sharing: Sharing) -> Result<File> {
    loop {
        match create_partial(partial) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(partial, "cannot create")(error)),
        }
        if let Some(lock) = lock_existing(partial, sharing)? {
            return Ok(lock);
        }
    }
}

/// Locks `partial`; `None` if it does not exist, or was just published or removed.
pub(crate) fn lock_existing(partial: &Path, sharing: Sharing) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = match openat(CWD, partial, flags, Mode::empty()) {
        Ok(lock) => File::from(lock),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Err(Error::output(
                partial,
                ("is not a directory and is in the way", "move it elsewhere"),
            ));
        }
        Err(errno) => return Err(Error::io(partial, "cannot open")(errno.into())),
    };
    // `status`, or another run that is ending, may hold it for a moment.
    for _ in 1..TRIES {
        if lock_open(&lock, sharing, partial).is_ok() {
            return Ok(is_still_at(&lock, partial)?.then_some(lock));
        }
        std::thread::sleep(PAUSE);
    }
    lock_open(&lock, sharing, partial)?;
    Ok(is_still_at(&lock, partial)?.then_some(lock))
}
