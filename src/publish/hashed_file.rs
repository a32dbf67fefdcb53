//! Files with hashes of their blocks.

use std::path::Path;

use shardmill_core::hash::Hash128;

use crate::error::Result;
use crate::hash::BlockHasher;
use crate::publish::durability::Durability;
use crate::publish::temp_file::TempFile;

/// A temporary file with block hashes.
#[derive(Debug)]
pub(crate) struct HashedFile {
    file: TempFile,
    hasher: BlockHasher,
    bytes: u64,
}

impl HashedFile {
    /// Begins `directory/name`.
    pub(crate) fn create(directory: &Path, name: &str, durability: Durability) -> Result<Self> {
        Ok(Self {
            file: TempFile::create(directory, name, durability)?,
            hasher: BlockHasher::new(),
            bytes: 0,
        })
    }

    /// Appends `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write(bytes)
    }

    /// Completes the file; returns its size and block hashes.
    pub(crate) fn finish(self) -> Result<(u64, Vec<Hash128>)> {
        self.file.finish(self.bytes)?;
        Ok((self.bytes, self.hasher.finish()))
    }
}
