//! Builds the tables of a vocabulary. The build script does it for the built-in vocabularies, the
//! program for those of files.
//!
//! ```text
//! lengths        16 x u32: of each table, and then the seed of the pairs
//! entries        a power of two of u64: each pair with what it merges to
//! crossed        2^16 bits by the last byte of a character and the first of the next: whether a
//!                merge may cross that border too early
//! displacements  a power of two of u16: where the pairs of a group are
//! byte_pairs     2^16 x u32: what two bytes merge to; all ones if nothing
//! byte_parts     256 x u32: the part that merging begins with for each byte; of a vocabulary of
//!                characters, for each ASCII character
//! starts         n + 1 x u32: where the bytes of each number begin; one not in use has none
//! index          a power of two of u32 by the hash of a number's bytes: number + 1, and above it
//!                the upper bits of the hash; 0 if empty
//! ids            n x u32: the id of each number; empty if they are equal
//! blocks         for a vocabulary of characters, else empty: the page of each 256 characters
//! pages          256 x u32 each: the part that merging begins with; all ones if no token has the
//!                character
//! spelled        256 x u32: the parts of such characters, byte by byte
//! bytes          of all numbers
//! ```
//!
//! Tokens have *numbers* in the order of their ranks, after those that no merge makes. In rank
//! files these are their ids. A token has at most one pair that ever merges to it: merging its
//! bytes alone goes from two parts to one at most once, and if two adjacent parts have its bytes in
//! any text, no merge has crossed their outer ends, so the merges inside were those of its bytes
//! alone. If the bytes end in two parts before the token's own rank comes, these are the pair; a
//! merge that a list has for other parts is never made. Else (*odd* tokens) all pairs are kept: a
//! merge of a *higher* rank may still leave two parts. `parts.rs` says what `crossed` is for, and
//! `pairs.rs` how pairs are found. The index is probed linearly.

#![allow(
    clippy::cast_possible_truncation,
    reason = "hashes are masked to the table, and sizes are those of a vocabulary"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::pairs::{PairTable, Pairs};
use super::{character, hash};

/// In place of an id: no such token or pair.
const NONE: u32 = u32::MAX;

/// Tokens of up to this many bytes are merged by searching all pairs each time.
const SHORT_BYTES: usize = 64;

/// The tables of a vocabulary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) pairs: PairTable,
    pub(crate) crossed: Vec<u64>,
    pub(crate) byte_pairs: Vec<u32>,
    pub(crate) byte_parts: Vec<u32>,
    pub(crate) starts: Vec<u32>,
    pub(crate) index: Vec<u32>,
    pub(crate) ids: Vec<u32>,
    pub(crate) blocks: Vec<u32>,
    pub(crate) pages: Vec<u32>,
    pub(crate) spelled: Vec<u32>,
    pub(crate) bytes: Vec<u8>,
}

/// How many `u32` an image begins with; then come the tables in their order.
pub(crate) const LENGTHS: usize = 16;

/// Which of them is the seed of the pairs.
pub(crate) const SEED: usize = 12;

impl Image {
    /// The tables of a vocabulary whose ids are ranks, where any two parts merge whose bytes
    /// together are a token. `tokens` has the bytes of each id, empty if the id is not in use.
    /// `is_text` says whether text can become an id; others are only decoded. Every byte must be a
    /// token that text can become. `None` if there is no table of the pairs.
    pub(crate) fn of_ranks(tokens: &[&[u8]], is_text: impl Fn(u32) -> bool) -> Option<Self> {
        let mut image = Self::new(tokens);
        let mut pairs = Pairs::for_tokens(tokens.len());
        let text = |id: u32| !tokens[id as usize].is_empty() && is_text(id);
        let ids = || (0..tokens.len() as u32).filter(|&id| text(id));
        for id in ids() {
            image.add_to_index(id);
            if let [byte] = *tokens[id as usize] {
                image.byte_parts[usize::from(byte)] = id;
            }
        }
        let mut parts = Vec::new();
        for id in ids().filter(|&id| tokens[id as usize].len() > 1) {
            let token = tokens[id as usize];
            parts.clear();
            parts.extend(token.iter().map(|&b| image.byte_parts[usize::from(b)]));
            image.merge(&pairs, token, &mut parts);
            if let [left, right] = parts[..] {
                pairs.add(left, right, id);
                if let [left, right] = *token {
                    image.byte_pairs[usize::from(u16::from_be_bytes([left, right]))] = id;
                }
            } else {
                image.add_all_pairs(&mut pairs, token, id);
            }
        }
        for id in ids() {
            image.mark_crossed(tokens[id as usize]);
        }
        image.pairs = pairs.table()?;
        Some(image)
    }

    /// The tables of a vocabulary that does not merge by them. `is_whole` says which tokens a text
    /// becomes that is one as a whole.
    pub(crate) fn of_tokens(tokens: &[&[u8]], is_whole: impl Fn(u32) -> bool) -> Self {
        let mut image = Self::new(tokens);
        for (id, token) in (0..).zip(tokens) {
            if !token.is_empty() && is_whole(id) {
                image.add_to_index(id);
            }
        }
        image
    }

    /// Tables of tokens without an index and merges.
    pub(super) fn new(tokens: &[&[u8]]) -> Self {
        let ends = tokens.iter().scan(0, |end, token| {
            *end += token.len() as u32;
            Some(*end)
        });
        Self {
            crossed: vec![0; 1 << 10],
            byte_pairs: vec![NONE; 1 << 16],
            byte_parts: vec![NONE; 256],
            starts: std::iter::once(0).chain(ends).collect(),
            index: vec![0; (tokens.len() * 2).next_power_of_two()],
            bytes: tokens.concat(),
            ..Self::default()
        }
    }

    /// The length of each table, in the order of an image.
    pub(crate) fn lengths(&self) -> [u32; LENGTHS] {
        let mut lengths = [0; LENGTHS];
        let all = [
            self.pairs.entries.len(),
            self.crossed.len(),
            self.pairs.displacements.len(),
            self.byte_pairs.len(),
            self.byte_parts.len(),
            self.starts.len(),
            self.index.len(),
            self.ids.len(),
            self.blocks.len(),
            self.pages.len(),
            self.spelled.len(),
            self.bytes.len(),
        ];
        for (length, len) in lengths.iter_mut().zip(all) {
            *length = len as u32;
        }
        lengths[SEED] = self.pairs.seed;
        lengths
    }

    /// The tables of `u32`, in the order of an image: those between `displacements` and `bytes`.
    pub(crate) fn words(&self) -> [&[u32]; 8] {
        [
            &self.byte_pairs,
            &self.byte_parts,
            &self.starts,
            &self.index,
            &self.ids,
            &self.blocks,
            &self.pages,
            &self.spelled,
        ]
    }

    /// The bytes of a number.
    pub(super) fn token(&self, number: u32) -> &[u8] {
        let at = number as usize;
        &self.bytes[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// Adds all pairs of an odd token whose parts are tokens in the index, with its borders: none
    /// may be crossed by characters that are whole from the beginning.
    fn add_all_pairs(&mut self, pairs: &mut Pairs, token: &[u8], id: u32) {
        for at in 1..token.len() {
            let (left, right) = token.split_at(at);
            if let (Some(left), Some(right)) = (self.find(left), self.find(right)) {
                pairs.add(left, right, id);
            }
        }
        self.mark_borders(token);
    }

    /// Merges the bytes of `token`, which are `parts`, by the pairs that are known so far.
    fn merge(&self, pairs: &Pairs, token: &[u8], parts: &mut Vec<u32>) {
        if token.len() > SHORT_BYTES {
            return merge_long(pairs, parts);
        }
        let mut merged = [NONE; SHORT_BYTES];
        for (merged, bytes) in merged.iter_mut().zip(token.windows(2)) {
            *merged = self.byte_pairs[usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))];
        }
        loop {
            let count = parts.len() - 1;
            let mut best = NONE;
            let mut at = 0;
            for (i, &id) in merged[..count].iter().enumerate() {
                if id < best {
                    (best, at) = (id, i);
                }
            }
            if best == NONE {
                return;
            }
            parts[at] = best;
            parts.remove(at + 1);
            merged.copy_within(at + 1..count, at);
            if at > 0 {
                merged[at - 1] = pairs.get(parts[at - 1], best);
            }
            if at + 1 < parts.len() {
                merged[at] = pairs.get(best, parts[at + 1]);
            }
        }
    }

    /// Fills the table of what two bytes merge to.
    pub(super) fn fill_byte_pairs(&mut self, pairs: &Pairs) {
        for (pair, merged) in (0..=u16::MAX).zip(&mut self.byte_pairs) {
            let [left, right] = pair
                .to_be_bytes()
                .map(|byte| self.byte_parts[usize::from(byte)]);
            if left != NONE && right != NONE {
                *merged = pairs.get(left, right);
            }
        }
    }

    pub(super) fn add_to_index(&mut self, number: u32) {
        let hash = hash::pretoken(self.token(number));
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        while self.index[at] != 0 {
            at = (at + 1) & mask;
        }
        debug_assert!(
            number + 1 < 1 << hash::ID_BITS,
            "a number leaves room for a tag"
        );
        self.index[at] = hash::tag(hash) | (number + 1);
    }

    /// The number in the index with these bytes.
    fn find(&self, bytes: &[u8]) -> Option<u32> {
        let hash = hash::pretoken(bytes);
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let entry = self.index[at];
            if entry == 0 {
                return None;
            }
            let number = (entry ^ hash::tag(hash)).wrapping_sub(1);
            if number < 1 << hash::ID_BITS && self.token(number) == bytes {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Marks the borders between characters in a token that begins or ends inside a character, as
    /// bytes. One that has a four-byte character is included, because it counts as four parts;
    /// extra marks do no harm.
    pub(super) fn mark_crossed(&mut self, token: &[u8]) {
        let mut rest = token;
        let mut has_part = false;
        while let Some(len) = character::len(rest) {
            has_part |= len == 1 && !rest[0].is_ascii();
            rest = &rest[len..];
        }
        if has_part {
            self.mark_borders(token);
        }
    }

    /// Marks all borders between characters in a token.
    pub(super) fn mark_borders(&mut self, token: &[u8]) {
        let mut rest = token;
        while let Some(len) = character::len(rest) {
            if let Some(&right) = rest.get(len) {
                let at = usize::from(u16::from_be_bytes([rest[len - 1], right]));
                self.crossed[at / 64] |= 1 << (at % 64);
            }
            rest = &rest[len..];
        }
    }
}

/// [`Image::merge`] in O(n log n).
fn merge_long(pairs: &Pairs, parts: &mut Vec<u32>) {
    let end = parts.len();
    let mut before: Vec<usize> = (0..end).map(|i| i.wrapping_sub(1)).collect();
    let mut after: Vec<usize> = (1..=end).collect();
    let mut heap: BinaryHeap<_> = (1..end)
        .map(|i| Reverse((pairs.get(parts[i - 1], parts[i]), i - 1)))
        .filter(|&Reverse((merged, _))| merged != NONE)
        .collect();
    while let Some(Reverse((merged, at))) = heap.pop() {
        let next = after[at];
        let is_current =
            parts[at] != NONE && next < end && pairs.get(parts[at], parts[next]) == merged;
        if !is_current {
            continue;
        }
        parts[at] = merged;
        parts[next] = NONE;
        after[at] = after[next];
        let neighbors = [(before[at], at), (at, after[at])];
        for (left, right) in neighbors.into_iter().filter(|&(l, r)| l < end && r < end) {
            before[right] = left;
            let merged = pairs.get(parts[left], parts[right]);
            if merged != NONE {
                heap.push(Reverse((merged, left)));
            }
        }
    }
    parts.retain(|&part| part != NONE);
}
