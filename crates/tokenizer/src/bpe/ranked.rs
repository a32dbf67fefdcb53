//! Byte pair encoding by a list of pairs, each with its own rank: SentencePiece's vocabularies, and
//! any other whose ids are not ranks, that lacks bytes, or that lists several pairs for a token.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use shardmill_core::token::TokenId;

use crate::bpe::chars::{CharIds, NONE};
use crate::bpe::hash;

/// Ranks are below this.
pub(crate) const MAX_RANKS: u32 = 1 << RANK_BITS;

const RANK_BITS: u32 = 24;

/// Up to this many parts are merged by searching all pairs each time.
const SHORT_PARTS: usize = 48;

/// What a pretoken is made of before any merge.
#[derive(Clone, Debug)]
pub(crate) enum Alphabet {
    /// Bytes; [`NONE`] for one that no token has.
    Bytes(Box<[TokenId; 256]>),
    /// Characters. One that no token has becomes its bytes, if all of these are tokens.
    Characters {
        ids: CharIds,
        /// [`NONE`] for a byte that no token has.
        bytes: Box<[TokenId; 256]>,
    },
}

/// The id of what the alphabet lacks. Without one, it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub(crate) id: TokenId,
    /// Whether a run of them is one id.
    pub(crate) is_fused: bool,
}

/// Two adjacent parts, what they merge to, and when: the lowest rank first, leftmost among equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) left: TokenId,
    pub(crate) right: TokenId,
    pub(crate) merged: TokenId,
    pub(crate) rank: u32,
}

/// The merges of a vocabulary.
#[derive(Clone, Debug)]
pub(crate) struct Ranked {
    /// `left << 44 | right << 24 | rank` by the hash of the pair, probed linearly; all ones if
    /// empty.
    pairs: Vec<u64>,
    /// What the pair at the same place merges to.
    merged: Vec<TokenId>,
    alphabet: Alphabet,
    unknown: Option<Unknown>,
}

impl Ranked {
    /// If a pair is listed twice, the last one counts. Ids are below 2^20, ranks below
    /// [`MAX_RANKS`].
    pub(crate) fn new(
        merges: impl ExactSizeIterator<Item = Merge>,
        alphabet: Alphabet,
        unknown: Option<Unknown>,
    ) -> Self {
        let len = (merges.len() * 2).next_power_of_two();
        let mut ranked = Self {
            pairs: vec![u64::MAX; len],
            merged: vec![NONE; len],
            alphabet,
            unknown,
        };
        for merge in merges {
            let key = hash::pair_key(merge.left, merge.right);
            let at = ranked.place(key);
            ranked.pairs[at] = key << RANK_BITS | u64::from(merge.rank);
            ranked.merged[at] = merge.merged;
        }
        ranked
    }

    /// Where the pair is, or would be.
    #[inline(always)]
    fn place(&self, key: u64) -> usize {
        let mask = self.pairs.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let mut at = hash::pair(key) as usize & mask;
        while self.pairs[at] >> RANK_BITS != key && self.pairs[at] != u64::MAX {
            at = (at + 1) & mask;
        }
        at
    }

    /// The rank of two adjacent parts, and what they merge to; [`NONE`] if they do not merge.
    #[inline(always)]
    fn merge_of(&self, left: TokenId, right: TokenId) -> (u32, TokenId) {
        let at = self.place(hash::pair_key(left, right));
        if self.pairs[at] == u64::MAX {
            return (NONE, NONE);
        }
        #[expect(clippy::cast_possible_truncation, reason = "masked")]
        let rank = self.pairs[at] as u32 & (MAX_RANKS - 1);
        (rank, self.merged[at])
    }

    /// Appends the ids of a pretoken.
    pub(crate) fn merge(&self, text: &[u8], scratch: &mut Scratch, ids: &mut Vec<TokenId>) {
        scratch.parts.clear();
        self.load(text, &mut scratch.parts);
        if scratch.parts.len() <= SHORT_PARTS {
            self.merge_short(scratch);
            ids.extend_from_slice(&scratch.parts);
        } else {
            self.merge_long(&scratch.parts, ids);
        }
    }

    /// The parts that merging begins with.
    fn load(&self, text: &[u8], parts: &mut Vec<TokenId>) {
        // The last unknown one waits for the next part that is not spelled out in bytes: the order
        // of HF tokenizers.
        let mut waits = false;
        let one = |id: TokenId, waits: &mut bool, parts: &mut Vec<TokenId>| {
            let is_known = id != NONE;
            if *waits && (is_known || self.unknown.is_some_and(|unknown| !unknown.is_fused)) {
                parts.extend(self.unknown.map(|unknown| unknown.id));
            }
            *waits = !is_known;
            parts.extend(Some(id).filter(|_| is_known));
        };
        match &self.alphabet {
            Alphabet::Bytes(of_bytes) => {
                for &byte in text {
                    one(of_bytes[usize::from(byte)], &mut waits, parts);
                }
            }
            Alphabet::Characters { ids, bytes } => {
                // A pretoken is a piece of a text between two characters.
                for char in std::str::from_utf8(text).unwrap_or_default().chars() {
                    let id = ids.get(char);
                    let mut utf8 = [0; 4];
                    let utf8 = char.encode_utf8(&mut utf8).as_bytes();
                    let spelled = utf8.iter().map(|&byte| bytes[usize::from(byte)]);
                    if id == NONE && spelled.clone().all(|id| id != NONE) {
                        parts.extend(spelled);
                    } else {
                        one(id, &mut waits, parts);
                    }
                }
            }
        }
        if waits {
            parts.extend(self.unknown.map(|unknown| unknown.id));
        }
    }

    /// The last two parts of a text that becomes one token; `Ok(None)` if it does not.
    ///
    /// # Errors
    /// If the text has too many parts to try.
    pub(super) fn last_pair(&self, text: &[u8]) -> Result<Option<(TokenId, TokenId)>, TooLong> {
        let mut parts = Vec::new();
        self.load(text, &mut parts);
        if parts.len() > SHORT_PARTS {
            return Err(TooLong);
        }
        while parts.len() > 2 {
            let merges = parts.windows(2).enumerate();
            let merges = merges.map(|(at, pair)| (self.merge_of(pair[0], pair[1]), at));
            // The lowest rank, leftmost among equals.
            match merges.min_by_key(|&((rank, _), at)| (rank, at)) {
                Some(((rank, merged), at)) if rank != NONE => {
                    parts[at] = merged;
                    parts.remove(at + 1);
                }
                _ => return Ok(None),
            }
        }
        match parts[..] {
            [left, right] if self.merge_of(left, right).0 != NONE => Ok(Some((left, right))),
            _ => Ok(None),
        }
    }

    fn merge_short(&self, scratch: &mut Scratch) {
        let Scratch { parts, merges } = scratch;
        merges.clear();
        merges.extend(parts.windows(2).map(|pair| self.merge_of(pair[0], pair[1])));
        loop {
            let mut best = (NONE, NONE);
            let mut at = 0;
            for (i, &merge) in merges.iter().enumerate() {
                if merge.0 < best.0 {
                    (best, at) = (merge, i);
                }
            }
            if best.0 == NONE {
                return;
            }
            parts[at] = best.1;
            parts.remove(at + 1);
            merges.remove(at);
            if at > 0 {
                merges[at - 1] = self.merge_of(parts[at - 1], best.1);
            }
            if let Some(&next) = parts.get(at + 1) {
                merges[at] = self.merge_of(best.1, next);
            }
        }
    }

    /// O(n log n): a linked list of parts and a heap of merges.
    fn merge_long(&self, parts: &[TokenId], ids: &mut Vec<TokenId>) {
        let mut parts: Vec<Part> = parts
            .iter()
            .enumerate()
            .map(|(i, &id)| Part {
                id,
                before: i.wrapping_sub(1),
                after: i + 1,
            })
            .collect();
        let end = parts.len();
        let rank = |parts: &[Part], left: usize, right: usize| {
            let rank = self.merge_of(parts[left].id, parts[right].id).0;
            (rank != NONE).then_some(Reverse((rank, left)))
        };
        let mut heap: BinaryHeap<_> = (1..end).filter_map(|i| rank(&parts, i - 1, i)).collect();
        while let Some(Reverse((rank_then, at))) = heap.pop() {
            let next = parts[at].after;
            if parts[at].id == NONE || next >= end {
                continue;
            }
            // An earlier merge may have taken either part; then the pair has another rank.
            let (rank_now, merged) = self.merge_of(parts[at].id, parts[next].id);
            if rank_now != rank_then {
                continue;
            }
            let after = parts[next].after;
            parts[at].id = merged;
            parts[at].after = after;
            parts[next].id = NONE;
            let before = parts[at].before;
            if before < end {
                heap.extend(rank(&parts, before, at));
            }
            if after < end {
                parts[after].before = at;
                heap.extend(rank(&parts, at, after));
            }
        }
        ids.extend(parts.iter().map(|part| part.id).filter(|&id| id != NONE));
    }
}

/// A text has more than [`SHORT_PARTS`] parts.
#[derive(Debug)]
pub(super) struct TooLong;

/// A part and its neighbors, by the positions where they begin.
struct Part {
    /// [`NONE`] once it has been merged into the part before it.
    id: TokenId,
    /// Past the end for the first part.
    before: usize,
    after: usize,
}

/// Memory for [`Ranked::merge`].
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    parts: Vec<TokenId>,
    /// Of each part and the next: rank and merged id.
    merges: Vec<(u32, TokenId)>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition taken literally.
    fn naive(merges: &[Merge], mut parts: Vec<TokenId>) -> Vec<TokenId> {
        loop {
            let best = (1..parts.len())
                .filter_map(|i| {
                    let pair = (parts[i - 1], parts[i]);
                    let merge = merges.iter().rfind(|m| (m.left, m.right) == pair)?;
                    Some((merge.rank, i, merge.merged))
                })
                .min();
            let Some((_, i, merged)) = best else {
                return parts;
            };
            parts[i - 1] = merged;
            parts.remove(i);
        }
    }

    /// `a` to `d`, and random merges of what there is, with random ranks, many of them equal.
    fn merges() -> impl Strategy<Value = Vec<Merge>> {
        prop::collection::vec((any::<u16>(), any::<u16>(), 0..30_u32), 0..30).prop_map(|list| {
            let mut n = 4_u32;
            let merges = list.into_iter().map(|(left, right, rank)| {
                n += 1;
                let (left, right) = (u32::from(left) % (n - 1), u32::from(right) % (n - 1));
                Merge {
                    left,
                    right,
                    merged: n - 1,
                    rank,
                }
            });
            merges.collect()
        })
    }

    fn ranked(merges: &[Merge], unknown: Option<Unknown>) -> Ranked {
        let ids = CharIds::new(('a'..='d').zip(0..));
        let mut bytes = Box::new([NONE; 256]);
        for (i, byte) in (100..).zip("é".bytes()) {
            bytes[usize::from(byte)] = i;
        }
        let alphabet = Alphabet::Characters { ids, bytes };
        Ranked::new(merges.iter().copied(), alphabet, unknown)
    }

    proptest! {
        #[test]
        fn merges_are_those_of_the_definition(merges in merges(), text in "[a-d]{0,300}|[ab]{0,90}") {
            let mut ids = Vec::new();
            ranked(&merges, None).merge(text.as_bytes(), &mut Scratch::default(), &mut ids);
            let parts = text.bytes().map(|byte| u32::from(byte - b'a')).collect();
            prop_assert_eq!(ids, naive(&merges, parts));
        }
    }

    #[test]
    fn what_the_alphabet_lacks_is_spelled_or_unknown_or_left_out() {
        let of = |unknown, text: &str| {
            let mut ids = Vec::new();
            ranked(&[], unknown).merge(text.as_bytes(), &mut Scratch::default(), &mut ids);
            ids
        };
        assert_eq!(of(None, "aéxxb"), [0, 100, 101, 1]);
        let unknown = |is_fused| Some(Unknown { id: 9, is_fused });
        assert_eq!(of(unknown(false), "axxb"), [0, 9, 9, 1]);
        assert_eq!(of(unknown(true), "axxb"), [0, 9, 1]);
        assert_eq!(of(unknown(true), "xéx"), [100, 101, 9]);
        assert_eq!(of(unknown(false), "xxéa"), [9, 100, 101, 9, 0]);
    }
}
