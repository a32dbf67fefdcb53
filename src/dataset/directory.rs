//! The directory of a dataset and the files in it, opened so that they belong together.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, fstat, openat, stat};
use rustix::io::Errno;
use shardmill_core::map::Map;

use crate::dataset::MANIFEST;
use crate::error::{Error, Result};

/// Opens the directory `path`, so that its files belong together even if it is replaced meanwhile.
fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| Error::io(path, "cannot open the dataset")(errno.into()))
}

/// Calls `read` with the directory `path`, and again if it fails because another directory took its
/// place: a replaced directory is removed, file by file.
pub(crate) fn read_directory<T>(path: &Path, read: impl Fn(&OwnedFd) -> Result<T>) -> Result<T> {
    loop {
        let directory = open_directory(path)?;
        match read(&directory) {
            Err(_) if is_replaced(&directory, path) => {}
            outcome => return outcome,
        }
    }
}

/// Whether another directory is at `path` by now.
pub(super) fn is_replaced(directory: &OwnedFd, path: &Path) -> bool {
    let [now, opened] = [stat(path), fstat(directory)];
    matches!((now, opened), (Ok(now), Ok(opened))
        if (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino))
}

/// Maps the file `name` of the dataset in `directory`, whose path is `path`.
pub(crate) fn map_in(directory: &OwnedFd, path: &Path, name: &str) -> Result<Map> {
    let path = path.join(name);
    // A FIFO of this name must not make the reader wait.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = openat(directory, name, flags, Mode::empty())
        .map_err(|errno| not_opened(&path, name, errno))?;
    Ok(Map::from_file(&File::from(file), &path)?)
}

/// Why the file `name` at `path` cannot be opened.
pub(super) fn not_opened(path: &Path, name: &str, errno: Errno) -> Error {
    let what = match errno {
        Errno::NOENT if name == MANIFEST => "is missing: this is not a dataset",
        Errno::NOENT => "is missing",
        // A link, or a socket.
        Errno::LOOP | Errno::NXIO => "is not a regular file",
        errno => return Error::io(path, "cannot open")(errno.into()),
    };
    Error::shard(path, what)
}
