//! One array file of positions, visible when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::check_room;
use crate::error::{Error, Result};
use crate::progress::Stats;
use crate::publish::durability::{Durability, sync_directory};
use crate::publish::single_file::{check_replaceable, place};
use crate::publish::temp_file::TempFile;
use crate::table::PositionScheme;

/// How many bytes of an array each write takes.
const STEP_BYTES: usize = 1 << 20;

/// What [`write_positions`] did.
#[derive(Debug)]
pub struct PositionsOutcome {
    /// The size of the file in bytes.
    pub bytes: u64,
    /// Whether the file already existed, exactly as requested, and was left as it is.
    pub was_there: bool,
    /// How long it took.
    pub time: Duration,
}

/// Writes the array of `scheme` to the `.npy` file `out`, which appears once it is complete.
///
/// An existing file with exactly these bytes is left as it is; any other file is replaced only if
/// `overwrite` is set.
///
/// # Errors
/// [`Error::Config`] if a size is out of range, [`Error::Output`] if `out` is not a name for such a
/// file, lies in a dataset, or is something else, [`Error::NoRoom`] before any work if the disk is too
/// small, [`Error::Stopped`] after [`Stats::stop`], and [`Error::Io`].
pub fn write_positions(
    scheme: &PositionScheme,
    out: &Path,
    overwrite: bool,
    durability: Durability,
    stats: &Stats,
) -> Result<PositionsOutcome> {
    let started = Instant::now();
    scheme.validate()?;
    let bytes = scheme.npy_bytes().unwrap_or(u64::MAX);
    let outcome = |was_there| PositionsOutcome {
        bytes,
        was_there,
        time: started.elapsed(),
    };
    let (directory, name) = place(out, "npy")?;
    if let Ok(found) = fs::metadata(out) {
        if found.is_file() && found.len() == bytes && holds(out, scheme, overwrite)? {
            return Ok(outcome(true));
        }
        check_replaceable(out, found.is_file(), overwrite)?;
    }
    fs::create_dir_all(directory).map_err(Error::io(directory, "cannot create"))?;
    check_room(out, bytes)?;
    stats.begin(bytes);
    let mut file = TempFile::create_nameless(directory, name, durability)?;
    let output = Output {
        file: &mut file,
        stats,
    };
    let mut output = BufWriter::with_capacity(STEP_BYTES, output);
    scheme
        .write_npy(&mut output)
        .and_then(|()| output.flush())
        .map_err(|error| match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::io(out, "cannot write")(error),
        })?;
    drop(output);
    file.finish(bytes)?;
    sync_directory(directory, durability)?;
    Ok(outcome(false))
}

/// Whether the file, which has the right length, holds the array of `scheme`.
///
/// # Errors
/// [`Error::Io`] if it cannot be read and must not be overwritten.
fn holds(path: &Path, scheme: &PositionScheme, overwrite: bool) -> Result<bool> {
    let compared = File::open(path).and_then(|file| {
        let comparison = Comparison {
            file,
            found: vec![0; STEP_BYTES],
        };
        let mut comparison = BufWriter::with_capacity(STEP_BYTES, comparison);
        scheme.write_npy(&mut comparison)?;
        comparison.flush()
    });
    match compared {
        Ok(()) => Ok(true),
        // The file has other bytes, or fewer.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            Ok(false)
        }
        Err(_) if overwrite => Ok(false),
        Err(error) => Err(Error::io(path, "cannot read")(error)),
    }
}

/// A writer that fails if the bytes differ from those of a file.
struct Comparison {
    file: File,
    found: Vec<u8>,
}

impl Write for Comparison {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.found.len());
        let found = &mut self.found[..len];
        self.file.read_exact(found)?;
        if *found == bytes[..len] {
            return Ok(len);
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is being written, and the count of its bytes.
struct Output<'a> {
    file: &'a mut TempFile,
    stats: &'a Stats,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stats.is_stopped() {
            return Err(io::Error::other(Error::Stopped));
        }
        self.file.write(bytes).map_err(|error| match error {
            Error::Io { source, .. } => source,
            other => io::Error::other(other),
        })?;
        self.stats.advance(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
