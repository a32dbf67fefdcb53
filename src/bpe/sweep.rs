//! Byte pair encoding of up to [`MAX_BYTES`] bytes.
//!
//! A part stays where its first byte is. `keys[i]` has the rank of part `i` and the next, and below
//! it `i`: the least is the next merge, the leftmost of equals. A bit of `live` says where parts
//! are. So nothing moves, and all that a merge takes is the search for the least, some vectors, while
//! the two pairs that it makes are looked up. Beyond both ends lies an edge that merges with
//! nothing, so that no merge is special.

use crate::bpe::Vocabulary;
use crate::bpe::hash::ID_BITS;
use crate::bpe::vocabulary::NO_MERGE;
use crate::encoding::TokenId;
use crate::simd::{Kernel, Level, Simd};

/// Places, of which two are edges: `live` has as many bits.
const ROOM: usize = 64;

/// The most bytes.
pub(super) const MAX_BYTES: usize = ROOM - 2;

/// Bits of a place in a key; an id has the rest.
const PLACE_BITS: u32 = ROOM.ilog2();

/// Keys that are searched at once.
const BLOCK: usize = 16;

/// In the place of an id; no id is as great, and no pair has it.
const EDGE: TokenId = (1 << 20) - 1;

const _: () = assert!(EDGE >= 1 << ID_BITS && ID_BITS + PLACE_BITS < u32::BITS);

/// Merges with memory that it keeps.
#[derive(Debug)]
pub(super) struct Sweep {
    keys: [u32; ROOM],
    parts: [TokenId; ROOM],
    /// Where parts and edges are.
    live: u64,
    /// Keys that may be in use, a multiple of [`BLOCK`].
    used: usize,
}

impl Sweep {
    pub(super) const fn new() -> Self {
        Self {
            keys: [NO_MERGE; ROOM],
            parts: [EDGE; ROOM],
            live: 0,
            used: 0,
        }
    }

    /// Appends the ids of 1 to [`MAX_BYTES`] bytes.
    pub(super) fn merge(
        &mut self,
        level: Level,
        vocabulary: &Vocabulary,
        bytes: &[u8],
        ids: &mut Vec<TokenId>,
    ) {
        level.dispatch(Merge {
            sweep: self,
            vocabulary,
            bytes,
        });
        // All but the edges.
        let mut left = self.live & (self.live - 1);
        while left & (left - 1) != 0 {
            ids.push(self.parts[left.trailing_zeros() as usize % ROOM]);
            left &= left - 1;
        }
    }

    /// One part for each byte; gives back the least key.
    #[inline(always)]
    fn load(&mut self, vocabulary: &Vocabulary, bytes: &[u8]) -> u32 {
        let len = bytes.len();
        self.live = u64::MAX >> (MAX_BYTES - len);
        self.used = (len + 1).next_multiple_of(BLOCK);
        self.keys[..self.used].fill(NO_MERGE);
        for (part, &byte) in self.parts[1..].iter_mut().zip(bytes) {
            *part = vocabulary.byte_id(byte);
        }
        self.parts[len + 1] = EDGE;
        let mut lowest = NO_MERGE;
        for (i, pair) in bytes.windows(2).enumerate() {
            let key = key(vocabulary.merged_bytes(pair[0], pair[1]), i + 1);
            self.keys[i + 1] = key;
            lowest = lowest.min(key);
        }
        lowest
    }

    /// Merges the two parts of the least key, which is `lowest`; gives back the next one.
    #[inline(always)]
    fn step(&mut self, vocabulary: &Vocabulary, lowest: u32) -> u32 {
        let at = lowest as usize % ROOM;
        let id = lowest >> PLACE_BITS;
        let gone = self.behind(at);
        self.live &= !(1 << gone);
        let before = (ROOM - 1 - (self.live & ((1 << at) - 1)).leading_zeros() as usize) % ROOM;
        self.parts[at] = id;
        for place in [before, at, gone] {
            self.keys[place] = NO_MERGE;
        }
        let left = vocabulary.merged(self.parts[before], id);
        let right = vocabulary.merged(id, self.parts[self.behind(at)]);
        let rest = self.lowest();
        let [left, right] = [key(left, before), key(right, at)];
        self.keys[before] = left;
        self.keys[at] = right;
        rest.min(left).min(right)
    }

    /// The place of the part behind the one at `at`.
    #[inline(always)]
    fn behind(&self, at: usize) -> usize {
        (self.live & (!1 << at)).trailing_zeros() as usize % ROOM
    }

    #[inline(always)]
    fn lowest(&self) -> u32 {
        let mut lowest = [NO_MERGE; BLOCK];
        for keys in self.keys[..self.used].as_chunks::<BLOCK>().0 {
            for (lowest, &key) in lowest.iter_mut().zip(keys) {
                *lowest = key.min(*lowest);
            }
        }
        lowest.into_iter().fold(NO_MERGE, u32::min)
    }
}

/// The pair at `at` that merges to `id`, so that the least is the next merge.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a place is below ROOM")]
fn key(id: TokenId, at: usize) -> u32 {
    if id == NO_MERGE {
        NO_MERGE
    } else {
        id << PLACE_BITS | at as u32
    }
}

struct Merge<'a> {
    sweep: &'a mut Sweep,
    vocabulary: &'a Vocabulary,
    bytes: &'a [u8],
}

impl Kernel for Merge<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let mut lowest = self.sweep.load(self.vocabulary, self.bytes);
        while lowest != NO_MERGE {
            lowest = self.sweep.step(self.vocabulary, lowest);
        }
    }
}
