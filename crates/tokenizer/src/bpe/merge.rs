//! Byte pair encoding of one pretoken: merge the adjacent pair with the lowest rank, leftmost first
//! among equals, until no pair merges.

use std::ops::Range;

use shardmill_core::simd::Level;
use shardmill_core::token::TokenId;

use crate::bpe::VocabularyRef;
use crate::bpe::stitch::Stitcher;
use crate::bpe::sweep::{self, Merged, Sweep};

/// The size of a piece of a long pretoken in bytes: small enough to stay in the L1 cache, large
/// enough that the overlap of pieces costs little.
const PIECE_BYTES: usize = 1024;

/// Merges with reused memory.
#[derive(Debug)]
pub(super) struct Merger {
    level: Level,
    sweep: Sweep,
    merged: Vec<Merged>,
    stitcher: Stitcher,
}

impl Merger {
    pub(super) fn new(level: Level) -> Self {
        Self {
            level,
            sweep: Sweep::new(),
            merged: Vec::new(),
            stitcher: Stitcher::default(),
        }
    }

    /// Appends the ids of `bytes`.
    #[cfg(test)]
    pub(super) fn merge(
        &mut self,
        vocabulary: &VocabularyRef,
        bytes: &[u8],
        ids: &mut Vec<TokenId>,
    ) {
        drop(self.merge_all(vocabulary, std::iter::once(bytes), ids));
    }

    /// Appends the ids of each of `texts`; returns their ranges.
    pub(super) fn merge_all<'a>(
        &mut self,
        vocabulary: &VocabularyRef,
        texts: impl Iterator<Item = &'a [u8]> + Clone,
        ids: &mut Vec<TokenId>,
    ) -> Vec<Range<usize>> {
        let is_short = |text: &&[u8]| text.len() <= sweep::MAX_BYTES;
        let short: Vec<_> = texts.clone().filter(is_short).collect();
        self.merged
            .resize(short.len().max(self.merged.len()), Merged::NONE);
        self.sweep
            .merge_all(self.level, vocabulary, &short, &mut self.merged);
        let mut merged = self.merged.iter();
        let ranges = texts.map(|text| {
            let start = ids.len();
            let found = if is_short(&text) { merged.next() } else { None };
            match found.and_then(Merged::ids) {
                Some(found) => ids.extend_from_slice(found),
                None => self.stitcher.merge(vocabulary, text, PIECE_BYTES, ids),
            }
            start..ids.len()
        });
        ranges.collect()
    }

    /// [`Stitcher::counts`]
    #[cfg(test)]
    pub(super) fn counts(&self) -> [usize; 2] {
        self.stitcher.counts
    }
}
