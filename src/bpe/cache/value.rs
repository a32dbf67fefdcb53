//! The ids of a pretoken, in as few words as they fit.

use crate::bpe::hash::ID_BITS;
use crate::encoding::TokenId;

/// Ids that fit a word, beside what says how many there are.
pub(super) const IDS_A_WORD: usize = 3;

const ID: u64 = (1 << ID_BITS) - 1;
const COUNT_SHIFT: u32 = ID_BITS * 3;
/// In the place of the number: the ids are in the arena.
const SPILLED: u64 = 7;

const _: () = assert!(COUNT_SHIFT + 3 <= u64::BITS && SPILLED > 2 * IDS_A_WORD as u64);

/// Up to three ids, the lowest bits first.
fn pack(ids: &[TokenId]) -> u64 {
    (ids.iter().rev()).fold(0, |word, &id| word << ID_BITS | u64::from(id))
}

/// The three ids of a word, in an entry or in the arena; zero where it has fewer.
pub(super) fn unpack(word: u64) -> [TokenId; IDS_A_WORD] {
    [
        (word & ID) as TokenId,
        (word >> ID_BITS & ID) as TokenId,
        (word >> (2 * ID_BITS) & ID) as TokenId,
    ]
}

/// What an entry says of its pretoken; the second word of a narrow one is zero.
///
/// ```text
/// bits of the first word    0..54             54..57
/// 1 to 6 ids                the first three   how many
/// more                      a `Place`         7
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Value(pub(super) [u64; 2]);

/// Where the ids of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no entry.
    Nothing,
    /// In the value itself; how many they are.
    Inline(usize),
    /// In the arena.
    Spilled(Place),
}

impl Value {
    /// `ids` in `words` words; `None` where they do not fit.
    pub(super) fn inline(ids: &[TokenId], words: usize) -> Option<Self> {
        if ids.is_empty() || ids.len() > words * IDS_A_WORD {
            return None;
        }
        let (first, second) = ids.split_at(ids.len().min(IDS_A_WORD));
        let count = (ids.len() as u64) << COUNT_SHIFT;
        Some(Self([pack(first) | count, pack(second)]))
    }

    pub(super) fn spilled(place: Place) -> Self {
        Self([place.0 | SPILLED << COUNT_SHIFT, 0])
    }

    /// Whether there is an entry.
    pub(super) fn is_some(self) -> bool {
        self.0[0] != 0
    }

    pub(super) fn kind(self) -> Kind {
        match self.0[0] >> COUNT_SHIFT {
            0 => Kind::Nothing,
            SPILLED => Kind::Spilled(Place(self.0[0] & ((1 << COUNT_SHIFT) - 1))),
            #[expect(clippy::cast_possible_truncation, reason = "below 7")]
            count => Kind::Inline(count as usize),
        }
    }

    /// The first three ids, and the next.
    pub(super) fn ids(self) -> [[TokenId; IDS_A_WORD]; 2] {
        [unpack(self.0[0]), unpack(self.0[1])]
    }
}

/// Where a pretoken lies in the arena: the words of its bytes, if it is long, then those of its
/// ids, three each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) u64);

impl Place {
    /// Bits of a number of bytes or ids.
    const LEN_BITS: u32 = 10;

    /// At word `at`; `bytes` and `ids` are below 1024.
    pub(super) fn new(at: u32, bytes: usize, ids: usize) -> Self {
        debug_assert!(bytes.max(ids) < 1 << Self::LEN_BITS);
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

    /// Words of all its bytes.
    pub(super) fn byte_words(self) -> usize {
        self.bytes().div_ceil(size_of::<u64>())
    }

    /// Words of all it has.
    pub(super) fn words(self) -> usize {
        self.byte_words() + self.ids().div_ceil(IDS_A_WORD)
    }
}

const _: () = assert!(u32::BITS + 2 * Place::LEN_BITS <= COUNT_SHIFT);

/// Words of the arena for ids.
pub(super) fn id_words(ids: &[TokenId]) -> impl Iterator<Item = u64> {
    ids.chunks(IDS_A_WORD).map(pack)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST: TokenId = (1 << ID_BITS) - 1;

    #[test]
    fn what_is_packed_is_what_comes_out() {
        for id in [0, 1, LARGEST] {
            for count in 1..=6 {
                let ids: Vec<_> = (0..count).map(|i| id ^ (i & 1)).collect();
                let value = Value::inline(&ids, 2).unwrap();
                assert_eq!(value.kind(), Kind::Inline(ids.len()));
                assert_eq!(value.ids().as_flattened()[..ids.len()], ids);
                assert_eq!(Value::inline(&ids, 1).is_some(), count <= 3);
            }
        }
        assert_eq!(Value::inline(&[1; 7], 2), None);
        assert_eq!(Value::inline(&[], 2), None);
        assert_eq!(Value::default().kind(), Kind::Nothing);
    }

    #[test]
    fn places_hold_the_largest_numbers() {
        for (at, bytes, ids) in [(0, 0, 0), (u32::MAX, 512, 512), (7, 17, 1), (9, 1023, 1023)] {
            let place = Place::new(at, bytes, ids);
            assert_eq!((place.at(), place.bytes(), place.ids()), (at, bytes, ids));
            assert_eq!(Value::spilled(place).kind(), Kind::Spilled(place));
        }
    }
}
