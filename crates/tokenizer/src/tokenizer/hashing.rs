//! The hash of a vocabulary.

use shardmill_core::hash::{Hash128, Hasher128};
use shardmill_core::token::TokenId;

/// How many bytes are hashed at once: one token at a time takes longer.
const PIECE_BYTES: usize = 16 << 10;

/// The hash of tokens with their bytes.
pub(super) fn of<'a>(tokens: impl Iterator<Item = (TokenId, &'a [u8])>) -> Hash128 {
    let mut hasher = Hasher128::new();
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    for (id, bytes) in tokens {
        piece.extend_from_slice(&id.to_le_bytes());
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        piece.extend_from_slice(&len.to_le_bytes());
        piece.extend_from_slice(bytes);
        if piece.len() >= PIECE_BYTES {
            hasher.update(&piece);
            piece.clear();
        }
    }
    hasher.update(&piece);
    hasher.finish()
}
