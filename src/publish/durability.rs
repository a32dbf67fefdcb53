//! Whether and how output is forced to the disk.

use std::fs::File;
use std::path::Path;

use shardmill_core::choice;

use crate::error::{Error, Result};

choice! {
    /// Whether output is forced to the disk before it becomes visible.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum Durability {
        /// Every file and directory is synced: what is visible survives a power failure.
        #[default]
        Full = "full",
        /// Nothing is synced; the bytes are the same.
        None = "none",
    }
}

impl Durability {
    /// Syncs `file`, which is at `path`, if that is asked for.
    ///
    /// On macOS the standard library does this by `F_FULLFSYNC`. fcntl(2) there: "Does the same thing
    /// as fsync(2) then asks the drive to flush all buffered data to the permanent storage device".
    /// After fsync(2) alone, "the drive itself may not physically write the data to the platters for
    /// quite some time". On a file system without it, such as a network one, this is an error.
    pub(crate) fn sync(self, file: &File, path: &Path) -> Result<()> {
        match self {
            Self::Full => file.sync_all().map_err(Error::io(path, "cannot sync")),
            Self::None => Ok(()),
        }
    }
}

pub(crate) fn sync_directory(path: &Path, durability: Durability) -> Result<()> {
    if durability == Durability::None {
        return Ok(());
    }
    let directory = File::open(path).map_err(Error::io(path, "cannot open"))?;
    durability.sync(&directory, path)
}
