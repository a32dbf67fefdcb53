//! Builds the tables of a vocabulary. The build script does it for the built-in vocabularies, the
//! program for those of files.
//!
//! ```text
//! buckets     a power of two of 4 x u64: left << 44 | right << 24 | merged, by the hash of the
//!             pair; all ones if empty
//! byte_pairs  2^16 x u32: what two bytes merge to; all ones if nothing
//! crossed     2^16 bits by the last byte of a character and the first of the next: whether a
//!             merge may cross that border too early
//! starts      n + 1 x u32: where the bytes of each id begin; an id not in use has none
//! index       a power of two of u32 by the hash of an id's bytes: id + 1, and above it the upper
//!             bits of the hash; 0 if empty
//! bytes       of all ids
//! ```
//!
//! Ids are ranks. Each token of several bytes has at most one pair: the two parts that are left
//! after all merges of lower rank than the token's own. One pair is enough: if two adjacent parts
//! together have the bytes of a token, no merge has crossed their outer ends, so the merges inside
//! them were those of the token alone. If both parts have a lower rank than the token, so have these
//! merges, and the two parts are its pair; a merge that a list has for other parts is never made.
//! But if the bytes of a token end in more than two parts, a merge of a *higher* rank inside them
//! may still leave two whose bytes are the token. Such vocabularies are refused, and merge by a list
//! of all pairs (`ranked.rs`). `parts.rs` says what `crossed` is for. A pair is in the bucket that
//! its hash selects or, if that is full, in the next one with room. The index is probed linearly.

#![allow(
    clippy::cast_possible_truncation,
    reason = "hashes are masked to the table, and sizes are those of a vocabulary"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{character, hash};

/// In place of an id: no such token or pair.
const NONE: u32 = u32::MAX;

/// Tokens of up to this many bytes are merged by searching all pairs each time.
const SHORT_BYTES: usize = 64;

/// The tables of a vocabulary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) buckets: Vec<[u64; 4]>,
    pub(crate) byte_pairs: Vec<u32>,
    pub(crate) crossed: Vec<u64>,
    pub(crate) starts: Vec<u32>,
    pub(crate) index: Vec<u32>,
    pub(crate) bytes: Vec<u8>,
}

/// Which pairs may merge.
pub(crate) enum Pairs<'a> {
    /// Any two parts whose bytes together are a token.
    All,
    /// Those listed, `(left, right, merged)`, in ascending order of `merged`, which is greater than
    /// both parts.
    Listed(&'a [(u32, u32, u32)]),
}

/// The tables of a vocabulary whose ids are ranks. `tokens` has the bytes of each id, empty if the
/// id is not in use. `is_text` says whether text can become an id; others are only decoded. A
/// text that is a token as a whole is looked up in the index; if `has_all` is false, only tokens
/// to which merges lead are there.
///
/// Every byte must be a token that text can become. `None` if all pairs may merge, and the bytes of
/// a token do not end in two parts.
pub(crate) fn build(
    tokens: &[&[u8]],
    is_text: impl Fn(u32) -> bool,
    pairs: &Pairs<'_>,
    has_all: bool,
) -> Option<Image> {
    let mut image = Image {
        buckets: vec![[u64::MAX; 4]; (tokens.len() / 2).next_power_of_two()],
        byte_pairs: vec![NONE; 1 << 16],
        starts: starts(tokens),
        bytes: tokens.concat(),
        index: vec![0; (tokens.len() * 2).next_power_of_two()],
        ..Image::default()
    };
    let is_found = image.add_pairs(tokens, &is_text, pairs)?;
    let text = |id: usize| !tokens[id].is_empty() && is_text(id as u32);
    for id in (0..tokens.len()).filter(|&id| text(id) && (has_all || is_found[id])) {
        image.add_to_index(id as u32, tokens[id]);
    }
    image.crossed = crossed(
        (0..tokens.len())
            .filter(|&id| text(id))
            .map(|id| tokens[id]),
    );
    Some(image)
}

impl Image {
    /// The tables of a vocabulary that does not merge by them. `is_whole` says which tokens a text
    /// becomes that is one as a whole.
    pub(crate) fn of_tokens(tokens: &[&[u8]], is_whole: impl Fn(u32) -> bool) -> Self {
        let mut image = Self {
            buckets: vec![[u64::MAX; 4]],
            byte_pairs: vec![NONE; 1 << 16],
            crossed: vec![u64::MAX; 1 << 10],
            bytes: tokens.concat(),
            starts: starts(tokens),
            index: vec![0; (tokens.len() * 2).next_power_of_two()],
        };
        for (id, token) in (0..).zip(tokens) {
            if !token.is_empty() && is_whole(id) {
                image.add_to_index(id, token);
            }
        }
        image
    }

    /// Adds the pair of each token, in order of rank; returns which tokens have one, or are bytes.
    fn add_pairs(
        &mut self,
        tokens: &[&[u8]],
        is_text: &impl Fn(u32) -> bool,
        pairs: &Pairs<'_>,
    ) -> Option<Vec<bool>> {
        let mut byte_ids = [NONE; 256];
        let mut is_found = vec![false; tokens.len()];
        for (id, token) in (0..).zip(tokens) {
            if let [byte] = **token
                && is_text(id)
            {
                byte_ids[usize::from(byte)] = id;
                is_found[id as usize] = true;
            }
        }
        let (mut listed, has_list) = match pairs {
            Pairs::All => (&[][..], false),
            Pairs::Listed(list) => (*list, true),
        };
        let mut parts = Vec::new();
        for (id, &token) in (0..).zip(tokens) {
            if token.len() < 2 || !is_text(id) {
                continue;
            }
            let before = listed
                .iter()
                .take_while(|&&(_, _, merged)| merged < id)
                .count();
            listed = &listed[before..];
            let own = listed.iter().take_while(|&&(_, _, merged)| merged == id);
            if has_list && own.clone().next().is_none() {
                continue;
            }
            parts.clear();
            parts.extend(token.iter().map(|&byte| byte_ids[usize::from(byte)]));
            self.merge(token, &mut parts);
            let [left, right] = parts[..] else {
                if has_list {
                    continue;
                }
                return None;
            };
            let is_listed = own.clone().any(|&(l, r, _)| (l, r) == (left, right));
            if is_listed || !has_list {
                self.add_pair(left, right, id);
                is_found[id as usize] = true;
                if let [left, right] = *token {
                    self.byte_pairs[usize::from(u16::from_be_bytes([left, right]))] = id;
                }
            }
        }
        Some(is_found)
    }

    /// Merges the bytes of `token`, which are `parts`, by the pairs that are known so far.
    fn merge(&self, token: &[u8], parts: &mut Vec<u32>) {
        if token.len() > SHORT_BYTES {
            return self.merge_long(parts);
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
                merged[at - 1] = self.merged(parts[at - 1], best);
            }
            if at + 1 < parts.len() {
                merged[at] = self.merged(best, parts[at + 1]);
            }
        }
    }

    /// [`Self::merge`] in O(n log n).
    fn merge_long(&self, parts: &mut Vec<u32>) {
        let end = parts.len();
        let mut before: Vec<usize> = (0..end).map(|i| i.wrapping_sub(1)).collect();
        let mut after: Vec<usize> = (1..=end).collect();
        let mut heap: BinaryHeap<_> = (1..end)
            .map(|i| Reverse((self.merged(parts[i - 1], parts[i]), i - 1)))
            .filter(|&Reverse((merged, _))| merged != NONE)
            .collect();
        while let Some(Reverse((merged, at))) = heap.pop() {
            let next = after[at];
            let is_current =
                parts[at] != NONE && next < end && self.merged(parts[at], parts[next]) == merged;
            if !is_current {
                continue;
            }
            parts[at] = merged;
            parts[next] = NONE;
            after[at] = after[next];
            let neighbors = [(before[at], at), (at, after[at])];
            for (left, right) in neighbors.into_iter().filter(|&(l, r)| l < end && r < end) {
                before[right] = left;
                let merged = self.merged(parts[left], parts[right]);
                if merged != NONE {
                    heap.push(Reverse((merged, left)));
                }
            }
        }
        parts.retain(|&part| part != NONE);
    }

    fn merged(&self, left: u32, right: u32) -> u32 {
        let key = hash::pair_key(left, right);
        let mask = self.buckets.len() - 1;
        let mut at = hash::pair(key) as usize & mask;
        loop {
            let bucket = &self.buckets[at];
            if let Some(entry) = bucket.iter().find(|&&entry| entry >> 24 == key) {
                return *entry as u32 & 0xff_ffff;
            }
            if bucket[3] == u64::MAX {
                return NONE;
            }
            at = (at + 1) & mask;
        }
    }

    fn add_pair(&mut self, left: u32, right: u32, merged: u32) {
        let key = hash::pair_key(left, right);
        let mask = self.buckets.len() - 1;
        let mut at = hash::pair(key) as usize & mask;
        // Fewer than half of all entries are ever used.
        while self.buckets[at][3] != u64::MAX {
            at = (at + 1) & mask;
        }
        if let Some(entry) = self.buckets[at]
            .iter_mut()
            .find(|entry| **entry == u64::MAX)
        {
            *entry = key << 24 | u64::from(merged);
        }
    }

    fn add_to_index(&mut self, id: u32, bytes: &[u8]) {
        let hash = hash::pretoken(bytes);
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        while self.index[at] != 0 {
            at = (at + 1) & mask;
        }
        debug_assert!(id + 1 < 1 << hash::ID_BITS, "an id leaves room for a tag");
        self.index[at] = hash::tag(hash) | (id + 1);
    }
}

/// Where the bytes of each token begin, and where the last ones end.
fn starts(tokens: &[&[u8]]) -> Vec<u32> {
    let ends = tokens.iter().scan(0, |end, token| {
        *end += token.len() as u32;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

/// The borders between characters in tokens that begin or end inside a character. Tokens that have
/// a four-byte character are included, because it counts as four parts; extra marks do no harm.
fn crossed<'a>(tokens: impl Iterator<Item = &'a [u8]>) -> Vec<u64> {
    let mut bits = vec![0; 1 << 10];
    let mut characters = Vec::new();
    for token in tokens.filter(|token| !token.is_ascii()) {
        characters.clear();
        let mut rest = token;
        while let Some(len) = character::len(rest) {
            let (character, behind) = rest.split_at(len);
            characters.push(character);
            rest = behind;
        }
        let is_part = |character: &&[u8]| character.len() == 1 && !character.is_ascii();
        if characters.iter().any(is_part) {
            for border in characters.windows(2) {
                let (left, right) = (border[0][border[0].len() - 1], border[1][0]);
                let at = usize::from(u16::from_be_bytes([left, right]));
                bits[at / 64] |= 1 << (at % 64);
            }
        }
    }
    bits
}
