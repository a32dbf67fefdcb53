//! Byte pair encoding of up to [`MAX_PARTS`] parts, interleaved over several texts.
//!
//! A part keeps its first position. `keys[i]` holds the rank of part `i` and its successor in the
//! high bits and `i` in the low bits, so the minimum is the next merge, leftmost among equals. The
//! bits of `live` mark the positions of parts. So nothing moves: a merge costs the two pairs that
//! it creates, and a search for the minimum over a few vectors. Beyond both ends lies an edge that
//! merges with nothing, so no merge is a special case.
//!
//! The slow part is waiting for the memory in which the two pairs are looked up. So a merge is two
//! steps, and between them the other texts take theirs while this text's memory is prefetched.

use shardmill_core::simd::{Kernel, Level, Simd};
use shardmill_core::token::TokenId;

use crate::bpe::VocabularyRef;
use crate::bpe::hash::ID_BITS;
use crate::bpe::pairs::Pair;
use crate::bpe::parts::load;
use crate::bpe::vocabulary::NO_MERGE;

/// The number of places, two of which are edges; `live` has this many bits.
const ROOM: usize = 64;

/// The most parts that merging can begin with. This many bytes always fit.
pub(super) const MAX_PARTS: usize = ROOM - 2;

/// The most bytes that may fit.
pub(super) const MAX_BYTES: usize = 3 * MAX_PARTS;

/// The bits of a place in a key; the id has the rest.
const PLACE_BITS: u32 = ROOM.ilog2();

/// How many keys are searched at once.
const BLOCK: usize = 16;

/// Takes the place of an id at an edge. No id is as large, and no pair contains it. A pair of two
/// edges, which would match an empty entry, is never looked up: one part of a pair has always just
/// been merged.
const EDGE: TokenId = (1 << 20) - 1;

const _: () = assert!(EDGE >= 1 << ID_BITS && ID_BITS + PLACE_BITS < u32::BITS);

/// How many texts are interleaved: enough that memory arrives within one round, few enough that
/// they stay in the L1 cache.
const LANES: usize = 8;

/// The ids of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merged {
    ids: [TokenId; MAX_PARTS],
    count: usize,
}

impl Merged {
    pub(super) const NONE: Self = Self {
        ids: [0; MAX_PARTS],
        count: 0,
    };

    /// `None` if the text has too many parts.
    pub(super) fn ids(&self) -> Option<&[TokenId]> {
        (self.count > 0).then(|| &self.ids[..self.count])
    }
}

/// Merges with reused memory.
#[derive(Debug)]
pub(super) struct Sweep {
    lanes: [Lane; LANES],
}

impl Sweep {
    pub(super) const fn new() -> Self {
        Self {
            lanes: [Lane::NEW; LANES],
        }
    }

    /// Stores the ids of each of `texts`, which must not be empty, in `merged`.
    pub(super) fn merge_all(
        &mut self,
        level: Level,
        vocabulary: &VocabularyRef,
        texts: &[&[u8]],
        merged: &mut [Merged],
    ) {
        level.dispatch(Merge {
            lanes: &mut self.lanes,
            vocabulary,
            texts,
            merged,
        });
    }

    /// Appends the ids of 1 to [`MAX_PARTS`] bytes.
    #[cfg(test)]
    pub(super) fn merge(
        &mut self,
        level: Level,
        vocabulary: &VocabularyRef,
        bytes: &[u8],
        ids: &mut Vec<TokenId>,
    ) {
        let mut merged = [Merged::NONE];
        self.merge_all(level, vocabulary, &[bytes], &mut merged);
        ids.extend(merged[0].ids().unwrap());
    }
}

/// A text that is being merged.
#[derive(Clone, Copy, Debug)]
struct Lane {
    keys: [u32; ROOM],
    parts: [TokenId; ROOM],
    /// The places of parts and edges.
    live: u64,
    /// How many keys may be in use, a multiple of [`BLOCK`].
    used: usize,
    /// The index of the text.
    text: usize,
    /// The places of the last merged part and of the part before it.
    at: usize,
    before: usize,
    /// That part paired with the one before it, and with the one after it.
    pairs: [Pair; 2],
}

impl Lane {
    const NEW: Self = Self {
        keys: [NO_MERGE; ROOM],
        parts: [EDGE; ROOM],
        live: 0,
        used: 0,
        text: 0,
        at: 0,
        before: 0,
        pairs: [Pair::NONE; 2],
    };

    /// Loads the initial parts; returns the lowest key, or `None` if there are too many parts.
    /// After `None`, the lane must be loaded with another text.
    #[inline(always)]
    fn load(&mut self, vocabulary: &VocabularyRef, bytes: &[u8]) -> Option<u32> {
        let mut lowest = NO_MERGE;
        let all = bytes.iter().fold(0, |all, byte| all | byte);
        if all.is_ascii() {
            if bytes.len() > MAX_PARTS {
                return None;
            }
            for (part, &byte) in self.parts[1..].iter_mut().zip(bytes) {
                *part = vocabulary.byte_id(byte);
            }
            self.set_count(bytes.len());
            for (i, pair) in bytes.windows(2).enumerate() {
                let key = key(vocabulary.merged_bytes(pair[0], pair[1]), i + 1);
                self.keys[i + 1] = key;
                lowest = lowest.min(key);
            }
        } else {
            let mut count = 0;
            load(vocabulary, bytes, |parts| {
                if count + parts.len() > MAX_PARTS {
                    return None;
                }
                for part in parts {
                    count += 1;
                    self.parts[count % ROOM] = *part;
                }
                Some(())
            })?;
            self.set_count(count);
            let parts = &self.parts[1..=count];
            for (i, pair) in parts.windows(2).enumerate() {
                let key = key(vocabulary.merged(pair[0], pair[1]), i + 1);
                self.keys[i + 1] = key;
                lowest = lowest.min(key);
            }
        }
        Some(lowest)
    }

    /// Sets the number of parts, which are at the places from 1 on; clears the keys.
    #[inline(always)]
    fn set_count(&mut self, count: usize) {
        self.live = u64::MAX >> (MAX_PARTS - count);
        self.used = (count + 1).next_multiple_of(BLOCK);
        self.keys[..self.used].fill(NO_MERGE);
        self.parts[count + 1] = EDGE;
    }

    /// Merges the two parts of the lowest key, which is `lowest`, and prefetches the pairs that
    /// this creates.
    #[inline(always)]
    fn begin(&mut self, vocabulary: &VocabularyRef, lowest: u32) {
        let at = lowest as usize % ROOM;
        let gone = self.behind(at);
        self.live &= !(1 << gone);
        let before = (ROOM - 1 - (self.live & ((1 << at) - 1)).leading_zeros() as usize) % ROOM;
        let id = lowest >> PLACE_BITS;
        self.parts[at] = id;
        for place in [before, at, gone] {
            self.keys[place] = NO_MERGE;
        }
        (self.at, self.before) = (at, before);
        self.pairs = [
            vocabulary.pair(self.parts[before], id),
            vocabulary.pair(id, self.parts[self.behind(at)]),
        ];
        for pair in self.pairs {
            vocabulary.prefetch_pair(pair);
        }
    }

    /// Looks up the pairs; returns the new lowest key.
    #[inline(always)]
    fn end(&mut self, vocabulary: &VocabularyRef) -> u32 {
        let rest = self.lowest();
        let [left, right] = self.pairs.map(|pair| vocabulary.merged_pair(pair));
        let left = key(left, self.before);
        let right = key(right, self.at);
        self.keys[self.before % ROOM] = left;
        self.keys[self.at % ROOM] = right;
        rest.min(left).min(right)
    }

    /// Stores the ids of all parts except the edges.
    #[inline(always)]
    fn finish(&self, merged: &mut Merged) {
        merged.count = 0;
        let mut left = self.live & self.live.wrapping_sub(1);
        for to in &mut merged.ids {
            if left & left.wrapping_sub(1) == 0 {
                break;
            }
            *to = self.parts[left.trailing_zeros() as usize % ROOM];
            left &= left - 1;
            merged.count += 1;
        }
    }

    /// The place of the part after the one at `at`.
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

/// The key of the pair at `at` that merges to `id`; the lowest key is the next merge.
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
    lanes: &'a mut [Lane; LANES],
    vocabulary: &'a VocabularyRef<'a>,
    texts: &'a [&'a [u8]],
    merged: &'a mut [Merged],
}

impl Merge<'_> {
    /// Loads texts from `next` on until one has a merge, and begins it; returns the index of the
    /// text after it, or `None` if there is no such text.
    #[inline(always)]
    fn start(&mut self, lane: usize, mut next: usize) -> Option<usize> {
        while let Some(text) = self.texts.get(next) {
            let lane = &mut self.lanes[lane % LANES];
            let lowest = lane.load(self.vocabulary, text);
            lane.text = next;
            next += 1;
            match lowest {
                None => self.merged[lane.text].count = 0,
                Some(NO_MERGE) => lane.finish(&mut self.merged[lane.text]),
                Some(lowest) => {
                    lane.begin(self.vocabulary, lowest);
                    return Some(next);
                }
            }
        }
        None
    }
}

impl Kernel for Merge<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, _: S) {
        let mut next = Some(0);
        // The lanes that have a text, in the order of their turns.
        let mut turns = [0; LANES];
        let mut count = 0;
        while count < LANES
            && let Some(at) = next
        {
            next = self.start(count, at);
            if next.is_some() {
                turns[count] = count;
                count += 1;
            }
        }
        while count > 0 {
            let mut turn = 0;
            while turn < count {
                let number = turns[turn] % LANES;
                let lane = &mut self.lanes[number];
                let lowest = lane.end(self.vocabulary);
                if lowest != NO_MERGE {
                    lane.begin(self.vocabulary, lowest);
                    turn += 1;
                    continue;
                }
                lane.finish(&mut self.merged[lane.text]);
                next = next.and_then(|at| self.start(number, at));
                if next.is_some() {
                    turn += 1;
                } else {
                    count -= 1;
                    turns[turn] = turns[count];
                }
            }
        }
    }
}
