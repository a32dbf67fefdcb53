//! Checksums of the blocks of a file.

use rayon::prelude::*;
use shardmill_core::hash::{Hash128, Hasher128};

use crate::progress::Stats;

/// The size of the blocks of a file that are hashed separately, so that damage can be located.
pub(crate) const BLOCK_BYTES: usize = 16 << 20;

/// Computes the hashes of the 16 MiB blocks of a file that is written in pieces.
#[derive(Debug)]
pub(crate) struct BlockHasher {
    blocks: Vec<Hash128>,
    open: Hasher128,
    open_bytes: usize,
}

impl BlockHasher {
    pub(crate) fn new() -> Self {
        Self {
            blocks: Vec::new(),
            open: Hasher128::new(),
            open_bytes: 0,
        }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let take = bytes.len().min(BLOCK_BYTES - self.open_bytes);
            let (now, rest) = bytes.split_at(take);
            self.open.update(now);
            self.open_bytes += take;
            bytes = rest;
            if self.open_bytes == BLOCK_BYTES {
                self.blocks.push(self.open.finish());
                self.open = Hasher128::new();
                self.open_bytes = 0;
            }
        }
    }

    /// One hash per block; none for an empty file.
    pub(crate) fn finish(mut self) -> Vec<Hash128> {
        if self.open_bytes > 0 {
            self.blocks.push(self.open.finish());
        }
        self.blocks
    }
}

/// The block hashes of bytes that are all available; `stats` counts the bytes.
pub(crate) fn block_hashes(bytes: &[u8], stats: &Stats) -> Vec<Hash128> {
    let hash_of = |block: &[u8]| {
        let hash = Hash128::of(block);
        stats.advance(block.len() as u64);
        hash
    };
    if bytes.len() <= BLOCK_BYTES {
        // Waking another thread would take longer than hashing most files of this size.
        return bytes.chunks(BLOCK_BYTES).map(hash_of).collect();
    }
    bytes.par_chunks(BLOCK_BYTES).map(hash_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that vary with their position.
    fn some_bytes(len: usize) -> Vec<u8> {
        let byte = |i| u8::try_from(i * 7 % 251).unwrap();
        (0..len).map(byte).collect()
    }

    #[test]
    fn blocks_do_not_depend_on_the_pieces() {
        let bytes = some_bytes(BLOCK_BYTES + 1000);
        let mut hasher = BlockHasher::new();
        for piece in bytes.chunks(999_999) {
            hasher.update(piece);
        }
        let blocks = hasher.finish();
        assert_eq!(blocks, block_hashes(&bytes, &Stats::default()));
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[1], Hash128::of(&bytes[BLOCK_BYTES..]));
        assert!(BlockHasher::new().finish().is_empty());
    }
}
