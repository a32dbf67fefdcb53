//! Byte pair encoding of one pretoken: merge the neighbours of the lowest rank, the leftmost of
//! equals first, until no two merge.

use crate::bpe::Vocabulary;
use crate::bpe::stitch::Stitcher;
use crate::bpe::vocabulary::NO_MERGE;
use crate::encoding::TokenId;

/// Up to this many bytes are searched for the lowest rank in one sweep per merge: below it the
/// sweep over a cache line beats a tournament.
pub(super) const SHORT_BYTES: usize = 16;

/// Bytes of a piece of a long pretoken: few enough to stay in the L1 cache, so many that what
/// pieces overlap by costs little.
const PIECE_BYTES: usize = 1024;

/// Merges with memory that it keeps.
#[derive(Debug, Default)]
pub(super) struct Merger {
    stitcher: Stitcher,
}

impl Merger {
    /// Appends the ids of `bytes`.
    pub(super) fn merge(&mut self, vocabulary: &Vocabulary, bytes: &[u8], ids: &mut Vec<TokenId>) {
        if bytes.len() <= SHORT_BYTES {
            merge_short(vocabulary, bytes, ids);
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

/// Appends the ids of up to [`SHORT_BYTES`] bytes.
pub(super) fn merge_short(vocabulary: &Vocabulary, bytes: &[u8], ids: &mut Vec<TokenId>) {
    let mut parts = [0; ROOM];
    // ranks[i] is what parts[i] and parts[i + 1] merge to.
    let mut ranks = [NO_MERGE; ROOM];
    let mut len = bytes.len();
    for (part, &byte) in parts.iter_mut().zip(bytes) {
        *part = vocabulary.byte_id(byte);
    }
    for (rank, pair) in ranks.iter_mut().zip(bytes.windows(2)) {
        *rank = vocabulary.merged_bytes(pair[0], pair[1]);
    }
    while len > 1 {
        let mut at = 0;
        let mut lowest = ranks[0];
        for (i, &rank) in ranks[..len - 1].iter().enumerate().skip(1) {
            if rank < lowest {
                (at, lowest) = (i, rank);
            }
        }
        if lowest == NO_MERGE {
            break;
        }
        parts[at] = lowest;
        close_gap(&mut parts, at + 1);
        close_gap(&mut ranks, at + 1);
        len -= 1;
        ranks[len - 1] = NO_MERGE;
        if at + 1 < len {
            ranks[at] = vocabulary.merged(lowest, parts[at + 1]);
        }
        if at > 0 {
            ranks[at - 1] = vocabulary.merged(parts[at - 1], lowest);
        }
    }
    ids.extend_from_slice(&parts[..len]);
}

/// Room to move [`SHORT_BYTES`] parts from wherever they begin.
const ROOM: usize = 2 * SHORT_BYTES;

/// Moves what follows `at` there. Always as much, so that it takes a few vector registers and not
/// a call.
#[inline(always)]
fn close_gap(values: &mut [u32; ROOM], at: usize) {
    let moved: [u32; SHORT_BYTES - 1] = std::array::from_fn(|i| values[at + 1 + i]);
    values[at..at + SHORT_BYTES - 1].copy_from_slice(&moved);
}
