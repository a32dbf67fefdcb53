//! Small JSON files, which may be damaged or not ours.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shardmill_core::map::Map;

use crate::error::{Error, Result};
use crate::publish::durability::Durability;
use crate::publish::temp_file::TempFile;

/// Opens a regular file without following a link. `None` if there is none.
pub(crate) fn open_regular(path: &Path) -> Result<Option<File>> {
    // A FIFO with this name must not block the run.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let irregular = || Error::shard(path, "is not a regular file");
    let file = match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Err(irregular()),
        Err(errno) => return Err(Error::io(path, "cannot open")(errno.into())),
    };
    let metadata = file.metadata().map_err(Error::io(path, "cannot open"))?;
    if metadata.is_file() {
        Ok(Some(file))
    } else {
        Err(irregular())
    }
}

/// Reads a JSON file of at most `max_bytes`; `None` if there is none. `what` is for messages.
pub(crate) fn read_json<T: DeserializeOwned>(
    path: &Path,
    what: &str,
    max_bytes: u64,
) -> Result<Option<T>> {
    let damaged = |what: String| Error::shard(path, what);
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

/// Writes `value` as indented JSON.
pub(crate) fn write_json(
    directory: &Path,
    name: &str,
    durability: Durability,
    value: &impl serde::Serialize,
) -> Result<()> {
    let (file, bytes) = begin_json(directory, name, durability, value)?;
    file.finish(bytes)
}

/// Like [`write_json`], unless a file with that name exists; returns whether it wrote the file.
pub(crate) fn write_new_json(
    directory: &Path,
    name: &str,
    durability: Durability,
    value: &impl serde::Serialize,
) -> Result<bool> {
    let (file, bytes) = begin_json(directory, name, durability, value)?;
    file.finish_new(bytes)
}

/// Writes JSON into a file that does not have its final name yet; also returns the number of bytes.
fn begin_json(
    directory: &Path,
    name: &str,
    durability: Durability,
    value: &impl serde::Serialize,
) -> Result<(TempFile, u64)> {
    let mut file = TempFile::create(directory, name, durability)?;
    let bytes = file
        .write_with(|counted| {
            // JSON comes in pieces of a few bytes.
            let mut buffer = BufWriter::with_capacity(64 << 10, counted);
            serde_json::to_writer_pretty(&mut buffer, value)?;
            buffer.write_all(b"\n")?;
            buffer.flush()
        })
        .map_err(Error::io(file.path(), "cannot write"))?;
    Ok((file, bytes))
}

/// Whether `text` is byte for byte what would be written for `value`. A change of the text does not
/// always change its value: a letter of an escape may become a capital.
pub(crate) fn is_text_of(text: &[u8], value: &impl Serialize) -> bool {
    let mut rest = Rest(text);
    serde_json::to_writer_pretty(&mut rest, value).is_ok() && rest.0 == b"\n"
}

/// The rest of a text whose beginning has been written again.
struct Rest<'a>(&'a [u8]);

impl Write for Rest<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let rest = self.0.strip_prefix(bytes);
        self.0 = rest.ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
