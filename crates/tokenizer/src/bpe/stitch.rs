//! Byte pair encoding in linear time: pieces are encoded alone and stitched where that is proven
//! correct.
//!
//! Two tokens *fit* if the encoding of their bytes is these two tokens. A sequence of tokens is
//! the encoding of its bytes if and only if each fits the next:
//!
//! - If: merge the bytes, and take the first merge across a border between two tokens, t and u. Up
//!   to then no merge crossed a border, so each part lies in one token, and this merge joins a part
//!   of t to a part of u. Nothing crossed the outer borders of t and u, so the merges inside were
//!   the ones that their bytes would see alone: the lowest pair overall, if it lies there, is the
//!   lowest pair there. So the bytes of t and u alone are merged across the border as well, and t
//!   does not fit u. Hence no merge crosses a border, and each token comes out as it does in its
//!   pair.
//! - Only if: let t and u be adjacent in an encoding. No merge crossed their outer borders, so as
//!   above, the merges inside are those of their bytes alone, and end in t and u.
//!
//! So the tokens of one piece up to a border and those of another piece after it are correct
//! together if the two tokens at the border fit. The next piece begins at a border somewhat before
//! the end of the last piece, where the bytes after that end no longer matter. Usually it then
//! begins with the same token that the last piece has there; what fits in the last piece fits here,
//! so no merging is needed to check.
//!
//! If no border can be proven correct, the piece is doubled. If even the tokens before it come into
//! doubt, everything is merged at once. So the time is O(n log n) for any bytes.

use std::ops::Range;

use shardmill_core::token::TokenId;

use crate::bpe::tournament::{MAX_BYTES, Tournament};
use crate::bpe::{VocabularyRef, plain};

/// Merges with reused memory, all of it for one piece.
#[derive(Debug, Default)]
pub(super) struct Stitcher {
    tournament: Tournament,
    /// The tokens of the current piece, and of the next.
    tokens: Vec<TokenId>,
    next: Vec<TokenId>,
    /// The bytes of two tokens that may fit, and the encoding of these bytes.
    pair: Vec<u8>,
    pair_tokens: Vec<TokenId>,
    /// How often a piece was doubled, and how often everything was merged at once.
    #[cfg(test)]
    pub(super) counts: [usize; 2],
}

impl Stitcher {
    /// Appends the ids of `bytes`, from pieces of `size` bytes if that is enough.
    pub(super) fn merge(
        &mut self,
        vocabulary: &VocabularyRef,
        bytes: &[u8],
        size: usize,
        ids: &mut Vec<TokenId>,
    ) {
        // Tokens that spell a character out have a border inside it.
        if bytes.len() <= size || vocabulary.has_characters() {
            return encode(&mut self.tournament, vocabulary, bytes, ids);
        }
        let first = ids.len();
        let mut piece = 0..size;
        self.load(vocabulary, &bytes[piece.clone()]);
        while piece.end < bytes.len() {
            if let Some(next) = self.stitch(vocabulary, bytes, piece.clone(), size, ids) {
                piece = next;
                continue;
            }
            #[cfg(test)]
            (self.counts[0] += 1);
            piece.end = bytes.len().min(piece.end + piece.len());
            self.load(vocabulary, &bytes[piece.clone()]);
            // With more bytes at its end, the piece may begin with another token.
            if let Some(&last) = ids[first..].last()
                && !self.fits(vocabulary, last, self.tokens[0])
            {
                #[cfg(test)]
                (self.counts[1] += 1);
                ids.truncate(first);
                plain::merge(vocabulary, bytes, ids);
                return;
            }
        }
        ids.extend_from_slice(&self.tokens);
    }

    /// Makes `bytes` the current piece.
    fn load(&mut self, vocabulary: &VocabularyRef, bytes: &[u8]) {
        self.tokens.clear();
        encode(&mut self.tournament, vocabulary, bytes, &mut self.tokens);
    }

    /// Appends the tokens of `piece` up to a border that is proven correct, and moves to a piece
    /// that begins there. `None` if there is no such border.
    fn stitch(
        &mut self,
        vocabulary: &VocabularyRef,
        bytes: &[u8],
        piece: Range<usize>,
        size: usize,
        ids: &mut Vec<TokenId>,
    ) -> Option<Range<usize>> {
        // In pieces of 1 KiB, an eighth is at least one token; and the overlap grows with the
        // piece.
        let overlap = piece.len() / 8;
        let mut kept = self.tokens.len();
        let mut border = piece.end;
        while border > piece.end - overlap {
            kept -= 1;
            border -= len(vocabulary, self.tokens[kept]);
        }
        if kept == 0 {
            return None;
        }
        let end = bytes.len().min(border + size.max(2 * overlap));
        self.next.clear();
        let next = &bytes[border..end];
        encode(&mut self.tournament, vocabulary, next, &mut self.next);

        let mut skipped = 0;
        let mut next_border = border;
        loop {
            if border == next_border {
                let token = *self.next.get(skipped)?;
                if self.tokens.get(kept) == Some(&token)
                    || self.fits(vocabulary, self.tokens[kept - 1], token)
                {
                    break;
                }
            }
            if border <= next_border {
                border += len(vocabulary, *self.tokens.get(kept)?);
                kept += 1;
            } else {
                next_border += len(vocabulary, *self.next.get(skipped)?);
                skipped += 1;
            }
        }
        ids.extend_from_slice(&self.tokens[..kept]);
        self.next.drain(..skipped);
        std::mem::swap(&mut self.tokens, &mut self.next);
        Some(border..end)
    }

    /// Whether the encoding of both tokens' bytes is these two tokens.
    fn fits(&mut self, vocabulary: &VocabularyRef, left: TokenId, right: TokenId) -> bool {
        self.pair.clear();
        self.pair.extend_from_slice(vocabulary.token(left));
        self.pair.extend_from_slice(vocabulary.token(right));
        self.pair_tokens.clear();
        encode(
            &mut self.tournament,
            vocabulary,
            &self.pair,
            &mut self.pair_tokens,
        );
        self.pair_tokens == [left, right]
    }
}

/// Appends the ids of `bytes`, which must not be empty.
fn encode(
    tournament: &mut Tournament,
    vocabulary: &VocabularyRef,
    bytes: &[u8],
    ids: &mut Vec<TokenId>,
) {
    if bytes.len() <= MAX_BYTES {
        tournament.merge(vocabulary, bytes, ids);
    } else {
        plain::merge(vocabulary, bytes, ids);
    }
}

fn len(vocabulary: &VocabularyRef, token: TokenId) -> usize {
    vocabulary.token(token).len()
}
