//! The lock on a directory that is being filled.
//!
//! It is on the directory itself, so it moves with it and nothing has to be removed before the
//! rename. Where a file system has no locks, as some network ones, the run goes on without.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::{Error, Result};

/// Creates `partial` where it is missing and locks it.
pub(super) fn lock_directory(partial: &Path) -> Result<File> {
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
