//! Files that get their final name when they are complete and on the disk.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, linkat};
use shardmill_core::system::nameless;

use crate::error::{Error, Result};
use crate::publish::direct_file::Output;
use crate::publish::durability::Durability;
use crate::publish::rename::rename_new;

/// A file that gets its final name when it is complete, and is removed if it never is.
#[derive(Debug)]
pub(crate) struct TempFile {
    output: Output,
    temporary: PathBuf,
    path: PathBuf,
    durability: Durability,
    /// Whether it does not even have the temporary name.
    is_nameless: bool,
    is_finished: bool,
}

impl TempFile {
    /// Begins `directory/name`.
    pub(crate) fn create(directory: &Path, name: &str, durability: Durability) -> Result<Self> {
        let temporary = directory.join(temporary_name(name));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(Error::io(&temporary, "cannot create"))?;
        Ok(Self {
            output: Output::new(file, durability),
            temporary,
            path: directory.join(name),
            durability,
            is_nameless: false,
            is_finished: false,
        })
    }

    /// Like [`Self::create`], but without even a temporary name, if the file system has such files:
    /// they disappear with the process, however it ends.
    pub(crate) fn create_nameless(
        directory: &Path,
        name: &str,
        durability: Durability,
    ) -> Result<Self> {
        if let Some(file) = nameless(directory)
            && by_descriptor(&file).exists()
        {
            return Ok(Self {
                output: Output::new(file, durability),
                temporary: directory.join(temporary_name(name)),
                path: directory.join(name),
                durability,
                is_nameless: true,
                is_finished: false,
            });
        }
        Self::create(directory, name, durability)
    }

    /// Appends `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.output
            .write(bytes)
            .map_err(Error::io(&self.path, "cannot write"))
    }

    /// Appends what `write` writes; returns the number of bytes.
    pub(super) fn write_with(
        &mut self,
        write: impl FnOnce(&mut Counted<'_>) -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut counted = Counted {
            output: &mut self.output,
            bytes: 0,
        };
        write(&mut counted)?;
        Ok(counted.bytes)
    }

    /// The file's final path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its final name, after checking that it holds `expected_bytes`.
    pub(crate) fn finish(mut self, expected_bytes: u64) -> Result<()> {
        self.sync(expected_bytes)?;
        if self.is_nameless {
            // No call can give an unnamed file a name that is already taken, so give it the
            // temporary name first.
            let from = by_descriptor(self.output.file());
            if linkat(CWD, from, CWD, &self.temporary, AtFlags::SYMLINK_FOLLOW).is_err() {
                return self.copy_to_named();
            }
        }
        fs::rename(&self.temporary, &self.path)
            .map_err(Error::io(&self.path, "cannot rename to"))?;
        self.is_finished = true;
        Ok(())
    }

    /// Completes a file that cannot get a name, by copying it to one that has a name.
    fn copy_to_named(&self) -> Result<()> {
        let mut copy = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&self.temporary)
            .map_err(Error::io(&self.temporary, "cannot create"))?;
        let mut file = self.output.file();
        // After an error, the drop that follows removes the temporary name.
        file.rewind()
            .and_then(|()| io::copy(&mut file, &mut copy))
            .map_err(Error::io(&self.path, "cannot write"))?;
        self.durability.sync(&copy, &self.path)?;
        fs::rename(&self.temporary, &self.path).map_err(Error::io(&self.path, "cannot rename to"))
    }

    /// Like [`Self::finish`], unless the name is taken; returns whether it was free.
    pub(super) fn finish_new(mut self, expected_bytes: u64) -> Result<bool> {
        self.sync(expected_bytes)?;
        match rename_new(&self.temporary, &self.path) {
            Ok(()) => {
                self.is_finished = true;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io(&self.path, "cannot rename to")(error)),
        }
    }

    /// Forces the file to the disk, after checking that it holds `expected_bytes`. An error is
    /// final: the kernel may have dropped what it could not write, so the file is abandoned.
    fn sync(&mut self, expected_bytes: u64) -> Result<()> {
        self.output
            .flush()
            .map_err(Error::io(&self.path, "cannot write"))?;
        let file = self.output.file();
        let length = file
            .metadata()
            .map_err(Error::io(&self.path, "cannot read its size"))?
            .len();
        if length != expected_bytes {
            return Err(Error::shard(
                &self.path,
                format!("has {length} bytes after {expected_bytes} were written"),
            ));
        }
        self.durability.sync(file, &self.path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.is_finished {
            self.output.give_up();
            // A temporary name is never taken for output, and the next run also clears it.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The kernel's path for an open file.
fn by_descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Makes the file `from/name` also appear in the directory `to`: as a hard link if the file system
/// has them, otherwise as a copy.
pub(crate) fn link_or_copy(
    from: &Path,
    to: &Path,
    name: &str,
    durability: Durability,
) -> Result<()> {
    let path = from.join(name);
    if fs::hard_link(&path, to.join(name)).is_ok() {
        return Ok(());
    }
    let mut source = File::open(&path).map_err(Error::io(&path, "cannot open"))?;
    let mut copy = TempFile::create(to, name, durability)?;
    let bytes = copy
        .write_with(|counted| io::copy(&mut source, counted).map(|_| ()))
        .map_err(Error::io(&path, "cannot copy"))?;
    copy.finish(bytes)
}

/// A name that no other process uses for its file, on this machine or another.
pub(crate) fn temporary_name(name: &str) -> OsString {
    // The standard library seeds its hashers from the system.
    let random = RandomState::new().build_hasher().finish();
    format!(".{name}.tmp-{}-{random:016x}", std::process::id()).into()
}

/// The final name of the temporary file `temporary`; `None` if that is not from [`temporary_name`].
pub(super) fn name_of_temporary(temporary: &str) -> Option<&str> {
    let (name, suffix) = temporary.strip_prefix('.')?.rsplit_once(".tmp-")?;
    let (process, random) = suffix.split_once('-')?;
    let is_made = !process.is_empty()
        && process.bytes().all(|byte| byte.is_ascii_digit())
        && random.len() == 16
        && random
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_made.then_some(name)
}

/// A file that counts the bytes written to it.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    output: &'a mut Output,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
