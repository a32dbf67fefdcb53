//! The location of a long pretoken in the arena.

use shardmill_core::token::TokenId;

use crate::bpe::hash::ID_BITS;

/// How many ids a word of the arena holds.
const IDS_A_WORD: usize = 3;

const ID: u64 = (1 << ID_BITS) - 1;

/// Refers to the words of a pretoken's bytes, then those of its ids, three per word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArenaRef(pub(super) u64);

impl ArenaRef {
    /// The number of bits of a length in bytes or ids.
    const LEN_BITS: u32 = 10;

    /// At word `at`; `bytes` and `ids` are from 1 to 1023.
    pub(super) fn new(at: u32, bytes: usize, ids: usize) -> Self {
        debug_assert!(bytes.min(ids) > 0 && bytes.max(ids) < 1 << Self::LEN_BITS);
        let lens = (bytes << Self::LEN_BITS | ids) as u64;
        Self(lens << u32::BITS | u64::from(at))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(super) fn at(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn bytes(self) -> usize {
        (self.0 >> (u32::BITS + Self::LEN_BITS)) as usize % (1 << Self::LEN_BITS)
    }

    pub(super) fn ids(self) -> usize {
        (self.0 >> u32::BITS) as usize % (1 << Self::LEN_BITS)
    }

    /// The number of words that hold its bytes.
    pub(super) fn byte_words(self) -> usize {
        self.bytes().div_ceil(size_of::<u64>())
    }

    /// The number of words that hold its bytes and ids.
    pub(super) fn words(self) -> usize {
        self.byte_words() + self.ids().div_ceil(IDS_A_WORD)
    }
}

/// Ids as words of the arena, starting at the lowest bits.
pub(super) fn id_words(ids: &[TokenId]) -> impl Iterator<Item = u64> {
    let pack =
        |ids: &[TokenId]| (ids.iter().rev()).fold(0, |word, &id| word << ID_BITS | u64::from(id));
    ids.chunks(IDS_A_WORD).map(pack)
}

/// The ids of a word; zeros if it has fewer.
pub(super) fn unpack(word: u64) -> [TokenId; IDS_A_WORD] {
    [
        (word & ID) as TokenId,
        (word >> ID_BITS & ID) as TokenId,
        (word >> (2 * ID_BITS) & ID) as TokenId,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_what_comes_out() {
        const LARGEST: TokenId = (1 << ID_BITS) - 1;
        for id in [0, 1, LARGEST] {
            for count in 1..=7 {
                let mut ids: Vec<_> = (0..count).map(|i| id ^ (i & 1)).collect();
                let words: Vec<_> = id_words(&ids).collect();
                assert_eq!(words.len(), ids.len().div_ceil(IDS_A_WORD));
                ids.resize(words.len() * IDS_A_WORD, 0);
                assert_eq!(words.into_iter().flat_map(unpack).collect::<Vec<_>>(), ids);
            }
        }
    }

    #[test]
    fn places_hold_the_largest_numbers() {
        for (at, bytes, ids) in [(0, 1, 1), (u32::MAX, 512, 512), (7, 17, 1), (9, 1023, 1023)] {
            let place = ArenaRef::new(at, bytes, ids);
            assert_eq!((place.at(), place.bytes(), place.ids()), (at, bytes, ids));
        }
    }
}
