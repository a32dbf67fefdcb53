//! Collects the pretokens that an encoder has not cached, so that their merges can be interleaved.

use std::ops::Range;

use shardmill_core::simd::Level;
use shardmill_core::token::TokenId;

use crate::bpe::VocabularyRef;
use crate::bpe::cache::{Key, MAX_CACHED_BYTES};
use crate::bpe::hash;
use crate::bpe::merge::Merger;
use crate::bpe::ranked::Scratch;

/// The maximum number of misses that are collected.
pub(super) const MAX_MISSES: usize = 64;

/// The number of slots of the index.
const SLOTS: usize = 2 * MAX_MISSES;

const _: () = assert!(MAX_MISSES < u8::MAX as usize);

/// A pretoken whose ids are not known yet.
#[derive(Clone, Debug)]
struct Miss {
    /// How many ids were found before its own, since none were missing.
    found_before: usize,
    /// Where its bytes are.
    range: Range<usize>,
    key: Key,
    hash: u64,
}

/// A place among the ids that were found and those that are missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// How many ids were found before it.
    pub(super) found: usize,
    /// How many misses are before it.
    pub(super) misses: usize,
}

/// Collects up to [`MAX_MISSES`] misses and finds their ids.
#[derive(Debug)]
pub(super) struct Misses {
    list: Vec<Miss>,
    /// The bytes of all misses: their texts may be gone when they are merged.
    bytes: Vec<u8>,
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
            bytes: Vec::new(),
            index: [0; SLOTS],
            sources: Vec::with_capacity(MAX_MISSES),
            open: Vec::with_capacity(MAX_MISSES),
            merger: Merger::new(level),
            scratch: Scratch::default(),
            ids: Vec::new(),
            ranges: Vec::with_capacity(MAX_MISSES),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= MAX_MISSES
    }

    /// Adds a pretoken, before whose ids `found_before` others were found.
    pub(super) fn push(&mut self, found_before: usize, bytes: &[u8], key: Key, hash: u64) {
        let start = self.bytes.len();
        if key == Key::NONE {
            self.bytes.extend_from_slice(bytes);
        } else {
            // A copy of a fixed size needs no call.
            self.bytes.extend_from_slice(&key.bytes());
        }
        self.list.push(Miss {
            found_before,
            range: start..start + bytes.len(),
            key,
            hash,
        });
    }

    /// Finds the ids of all misses.
    pub(super) fn find(&mut self, vocabulary: &VocabularyRef) {
        self.look_up(vocabulary);
        let texts = (self.open.iter()).map(|&i| &self.bytes[self.list[i].range.clone()]);
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
    }

    /// How many ids are before each of `places`, which are in order. Needs [`Self::find`].
    pub(super) fn ids_before(&self, places: &[Place]) -> impl Iterator<Item = usize> {
        let mut missing = (0..self.list.len()).map(|i| self.ids_of(i).len());
        let mut done = (0, 0);
        places.iter().map(move |place| {
            let (misses, ids) = &mut done;
            *ids += (missing.by_ref().take(place.misses - *misses)).sum::<usize>();
            *misses = place.misses;
            place.found + *ids
        })
    }

    /// Appends the ids that were `found` to `ids`, with those of the misses inserted where they
    /// belong, and caches the latter with `remember`. Leaves no misses. Needs [`Self::find`].
    pub(super) fn append(
        &mut self,
        found: &[TokenId],
        ids: &mut Vec<TokenId>,
        mut remember: impl FnMut(&[u8], Key, u64, &[TokenId]),
    ) {
        let mut done = 0;
        for (i, miss) in self.list.iter().enumerate() {
            let missing = self.ids_of(i);
            ids.extend_from_slice(&found[done..miss.found_before]);
            ids.extend_from_slice(missing);
            done = miss.found_before;
            if self.sources[i] == i {
                remember(self.bytes_of(i), miss.key, miss.hash, missing);
            }
        }
        ids.extend_from_slice(&found[done..]);
        self.clear();
    }

    /// Appends the ids of a pretoken that is not cached and too long to be held back. There are no
    /// misses.
    pub(super) fn encode(
        &mut self,
        vocabulary: &VocabularyRef,
        bytes: &[u8],
        ids: &mut Vec<TokenId>,
    ) {
        if let Some(id) = id_of(vocabulary, bytes, || hash::pretoken(bytes)) {
            ids.push(vocabulary.id(id));
            return;
        }
        let start = ids.len();
        if let Some(ranked) = vocabulary.ranked() {
            ranked.merge(bytes, &mut self.scratch, ids);
        } else {
            self.merger
                .merge_all(vocabulary, std::iter::once(bytes), ids);
        }
        for id in &mut ids[start..] {
            *id = vocabulary.id(*id);
        }
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
        self.ids.clear();
    }

    fn bytes_of(&self, i: usize) -> &[u8] {
        &self.bytes[self.list[i].range.clone()]
    }

    fn ids_of(&self, i: usize) -> &[TokenId] {
        &self.ids[self.ranges[self.sources[i]].clone()]
    }

    /// Finds which misses have the bytes of earlier ones, and which have exactly a token's bytes:
    /// these are that token, even if merges would not lead to it.
    fn look_up(&mut self, vocabulary: &VocabularyRef) {
        self.ranges.clear();
        self.sources.clear();
        self.open.clear();
        self.index.fill(0);
        for i in 0..self.list.len() {
            let source = self.first_of(i);
            self.sources.push(source);
            let start = self.ids.len();
            if source == i {
                let (bytes, miss) = (self.bytes_of(i), &self.list[i]);
                let hash = || {
                    if bytes.len() <= MAX_CACHED_BYTES {
                        miss.hash
                    } else {
                        hash::pretoken(bytes)
                    }
                };
                match id_of(vocabulary, bytes, hash) {
                    Some(id) => self.ids.push(id),
                    None => self.open.push(i),
                }
            }
            self.ranges.push(start..self.ids.len());
        }
    }

    /// The first miss with the same bytes as the `i`th; if that is the `i`th itself, it is added to
    /// the index.
    fn first_of(&mut self, i: usize) -> usize {
        let Miss { key, hash, .. } = self.list[i];
        let mut at = (hash >> u32::BITS) as usize % SLOTS;
        loop {
            let Some(known) = usize::from(self.index[at]).checked_sub(1) else {
                // At most MAX_MISSES.
                self.index[at] = u8::try_from(i + 1).unwrap_or(0);
                return i;
            };
            let is_same = self.list[known].key == key
                && (key != Key::NONE || self.bytes_of(known) == self.bytes_of(i));
            if is_same {
                return known;
            }
            at = (at + 1) % SLOTS;
        }
    }
}

/// The id of the token that has exactly these bytes.
fn id_of(vocabulary: &VocabularyRef, bytes: &[u8], hash: impl FnOnce() -> u64) -> Option<TokenId> {
    (bytes.len() <= vocabulary.longest_bytes())
        .then(|| vocabulary.get_hashed(bytes, hash()))
        .flatten()
}
