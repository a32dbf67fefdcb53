//! Small JSON files in a directory that is being filled, which may be damaged or not ours.

use std::fs::File;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::de::DeserializeOwned;

use crate::map::Map;
use crate::{Error, Result};

/// Opens a regular file by its own name: no link is followed. `None` where there is none.
pub(super) fn open_regular(path: &Path) -> Result<Option<File>> {
    // A FIFO of this name must not make the run wait.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let irregular = || Error::Shard {
        path: path.to_owned(),
        what: "is not a regular file".to_owned(),
    };
    let file = match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => return Err(irregular()),
        Err(errno) => return Err(Error::io(path, "cannot open")(errno.into())),
    };
    let metadata = file.metadata().map_err(Error::io(path, "cannot open"))?;
    if metadata.is_file() {
        Ok(Some(file))
    } else {
        Err(irregular())
    }
}

/// Reads a JSON file of at most `max_bytes`; `None` where there is none. `what` is for messages.
pub(super) fn read_json<T: DeserializeOwned>(
    path: &Path,
    what: &str,
    max_bytes: u64,
) -> Result<Option<T>> {
    let damaged = |what: String| Error::Shard {
        path: path.to_owned(),
        what,
    };
    let Some(file) = open_regular(path)? else {
        return Ok(None);
    };
    // The length is checked before anything is allocated for the contents.
    let map = Map::from_file(&file, path)?;
    if map.len() as u64 > max_bytes {
        return Err(damaged(format!(
            "has {} bytes; a {what} has at most {max_bytes}",
            map.len()
        )));
    }
    serde_json::from_slice(&map)
        .map(Some)
        .map_err(|error| damaged(format!("is not a {what}: {error}")))
}
