//! Byte pair encoding of one pretoken: merge the neighbours of the lowest rank, the leftmost of
//! equals first, until no two merge.

use crate::bpe::Vocabulary;
use crate::bpe::stitch::Stitcher;
use crate::bpe::sweep::{self, Sweep};
use crate::encoding::TokenId;
use crate::simd::Level;

/// Bytes of a piece of a long pretoken: few enough to stay in the L1 cache, so many that what
/// pieces overlap by costs little.
const PIECE_BYTES: usize = 1024;

/// Merges with memory that it keeps.
#[derive(Debug)]
pub(super) struct Merger {
    level: Level,
    sweep: Sweep,
    stitcher: Stitcher,
}

impl Merger {
    pub(super) fn new(level: Level) -> Self {
        Self {
            level,
            sweep: Sweep::new(),
            stitcher: Stitcher::default(),
        }
    }

    /// Appends the ids of `bytes`.
    pub(super) fn merge(&mut self, vocabulary: &Vocabulary, bytes: &[u8], ids: &mut Vec<TokenId>) {
        if bytes.len() <= sweep::MAX_BYTES {
            self.sweep.merge(self.level, vocabulary, bytes, ids);
        } else {
            self.stitcher.merge(vocabulary, bytes, PIECE_BYTES, ids);
        }
    }

    /// [`Stitcher::counts`]
    #[cfg(test)]
    pub(super) fn counts(&self) -> [usize; 2] {
        self.stitcher.counts
    }
}
