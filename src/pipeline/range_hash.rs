//! The hash of the range of a source that lies in a unit.
//!
//! It is that of the hashes of the range's blocks of 16 MiB. What the bytes of a file with columns
//! mean, its metadata says, so there the hash of the metadata comes first.

use std::ops::Range;

use shardmill_core::hash::Hash128;

use crate::error::Result;
use crate::hash::{BlockHasher, block_hashes};
use crate::progress::Stats;

/// Hashes a range as its bytes come.
#[derive(Debug)]
pub(super) struct RangeHasher {
    metadata: Option<Hash128>,
    blocks: BlockHasher,
}

impl RangeHasher {
    pub(super) fn new() -> Self {
        Self {
            metadata: None,
            blocks: BlockHasher::new(),
        }
    }

    /// For a range of a file with columns, whose metadata has the hash `metadata`.
    pub(super) fn of_rows(metadata: Hash128) -> Self {
        Self {
            metadata: Some(metadata),
            blocks: BlockHasher::new(),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.blocks.update(bytes);
    }

    pub(super) fn finish(self) -> Hash128 {
        combine(self.metadata, self.blocks.finish())
    }
}

/// The hash of `range` of `file`, all at once; `stats` counts its bytes. `metadata` is the hash of
/// its metadata, if it has columns.
pub(super) fn range_hash(
    metadata: Option<Hash128>,
    file: &[u8],
    range: Range<u64>,
    stats: &Stats,
) -> Hash128 {
    // In range: the offsets lie in the file.
    let at = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
    combine(
        metadata,
        block_hashes(&file[at(range.start)..at(range.end)], stats),
    )
}

/// The same for a range that `read` passes on in parts.
pub(super) fn read_hash(
    metadata: Option<Hash128>,
    read: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<()>,
    stats: &Stats,
) -> Result<Hash128> {
    let mut hasher = RangeHasher {
        metadata,
        blocks: BlockHasher::new(),
    };
    read(&mut |part| {
        hasher.update(part);
        stats.advance(part.len() as u64);
    })?;
    Ok(hasher.finish())
}

fn combine(metadata: Option<Hash128>, blocks: Vec<Hash128>) -> Hash128 {
    let mut hashes: Vec<_> = metadata.into_iter().collect();
    hashes.extend(blocks);
    Hash128::of_hashes(&hashes)
}
