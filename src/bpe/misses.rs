//! Collects the pretokens that an encoder has not cached, so that their merges can be interleaved.

use std::ops::Range;

use crate::bpe::VocabularyRef;
use crate::bpe::cache::{Key, MAX_CACHED_BYTES};
use crate::bpe::hash;
use crate::bpe::merge::Merger;
use crate::bpe::ranked::Scratch;
use crate::simd::Level;
use crate::token::TokenId;

/// The maximum number of misses that are collected.
pub(super) const MAX_MISSES: usize = 64;

/// The capacity for ids that is kept.
const MAX_IDS_KEPT: usize = 1 << 14;

/// The number of slots of the index.
const SLOTS: usize = 2 * MAX_MISSES;

const _: () = assert!(MAX_MISSES < u8::MAX as usize);

/// A pretoken whose ids are not known yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Miss {
    /// How many ids were found before its own, since none were missing.
    pub(super) found_before: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) key: Key,
    pub(super) hash: u64,
}

impl Miss {
    fn bytes<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start..self.end]
    }
}

/// Collects up to [`MAX_MISSES`] misses and finds their ids.
#[derive(Debug)]
pub(super) struct Misses {
    list: Vec<Miss>,
    /// The number of a miss plus one, by its hash; 0 if empty.
    index: [u8; SLOTS],
    /// For each miss, the miss that has its ids: itself, or an earlier one with the same bytes.
    sources: Vec<usize>,
    /// The misses that must be merged.
    open: Vec<usize>,
    merger: Merger,
    scratch: Scratch,
    /// The ids of all misses, and the range of each.
    ids: Vec<TokenId>,
    ranges: Vec<Range<usize>>,
}

impl Misses {
    pub(super) fn new(level: Level) -> Self {
        Self {
            list: Vec::with_capacity(MAX_MISSES),
            index: [0; SLOTS],
            sources: Vec::with_capacity(MAX_MISSES),
            open: Vec::with_capacity(MAX_MISSES),
            merger: Merger::new(level),
            scratch: Scratch::default(),
            ids: Vec::new(),
            ranges: Vec::with_capacity(MAX_MISSES),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= MAX_MISSES
    }

    pub(super) fn push(&mut self, miss: Miss) {
        self.list.push(miss);
    }

    /// Appends the ids that were `found` to `ids`, with those of the misses inserted where they
    /// belong, and caches the latter with `remember`. Leaves no misses.
    pub(super) fn fill_in(
        &mut self,
        vocabulary: &VocabularyRef,
        text: &[u8],
        found: &[TokenId],
        ids: &mut Vec<TokenId>,
        mut remember: impl FnMut(&Miss, &[u8], &[TokenId]),
    ) {
        self.look_up(vocabulary, text);
        let texts = self.open.iter().map(|&i| self.list[i].bytes(text));
        if let Some(ranked) = vocabulary.ranked() {
            for (&i, text) in self.open.iter().zip(texts) {
                let start = self.ids.len();
                ranked.merge(text, &mut self.scratch, &mut self.ids);
                self.ranges[i] = start..self.ids.len();
            }
        } else {
            let merged = self.merger.merge_all(vocabulary, texts, &mut self.ids);
            for (&i, range) in self.open.iter().zip(merged) {
                self.ranges[i] = range;
            }
        }
        for id in &mut self.ids {
            *id = vocabulary.id(*id);
        }
        let mut done = 0;
        for (i, miss) in self.list.iter().enumerate() {
            let missing = &self.ids[self.ranges[self.sources[i]].clone()];
            ids.extend_from_slice(&found[done..miss.found_before]);
            ids.extend_from_slice(missing);
            done = miss.found_before;
            if self.sources[i] == i {
                remember(miss, miss.bytes(text), missing);
            }
        }
        ids.extend_from_slice(&found[done..]);
        self.list.clear();
        // Do not keep the memory of a pretoken of megabytes.
        self.ids.clear();
        self.ids.shrink_to(MAX_IDS_KEPT);
    }

    /// Finds which misses have the bytes of earlier ones, and which have exactly a token's bytes:
    /// these are that token, even if merges would not lead to it.
    fn look_up(&mut self, vocabulary: &VocabularyRef, text: &[u8]) {
        self.ranges.clear();
        self.sources.clear();
        self.open.clear();
        self.index.fill(0);
        for (i, miss) in self.list.iter().enumerate() {
            let bytes = miss.bytes(text);
            let source = first_of(&self.list, &mut self.index, text, i);
            self.sources.push(source);
            let start = self.ids.len();
            if source == i {
                let id = if bytes.len() <= MAX_CACHED_BYTES {
                    vocabulary.get_hashed(bytes, miss.hash)
                } else if bytes.len() <= vocabulary.longest_bytes() {
                    vocabulary.get_hashed(bytes, hash::pretoken(bytes))
                } else {
                    None
                };
                match id {
                    Some(id) => self.ids.push(id),
                    None => self.open.push(i),
                }
            }
            self.ranges.push(start..self.ids.len());
        }
    }
}

/// The first miss in `list` with the same bytes as the `i`th; if that is the `i`th itself, it is
/// added to the index.
fn first_of(list: &[Miss], index: &mut [u8; SLOTS], text: &[u8], i: usize) -> usize {
    let miss = &list[i];
    let mut at = (miss.hash >> u32::BITS) as usize % SLOTS;
    loop {
        let Some(known) = usize::from(index[at]).checked_sub(1) else {
            // At most MAX_MISSES.
            index[at] = u8::try_from(i + 1).unwrap_or(0);
            return i;
        };
        if list[known].hash == miss.hash && list[known].bytes(text) == miss.bytes(text) {
            return known;
        }
        at = (at + 1) % SLOTS;
    }
}
