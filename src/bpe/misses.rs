//! Collects the pretokens that an encoder has not cached, so that their merges can be interleaved.

use std::ops::Range;

use crate::bpe::Vocabulary;
use crate::bpe::cache::{Key, MAX_CACHED_BYTES};
use crate::bpe::merge::Merger;
use crate::simd::Level;
use crate::token::TokenId;

/// More are not gathered.
pub(super) const MAX_MISSES: usize = 64;

/// Room for ids that is not given back.
const MAX_IDS_KEPT: usize = 1 << 14;

/// Places to look for a miss.
const SLOTS: usize = 2 * MAX_MISSES;

const _: () = assert!(MAX_MISSES < u8::MAX as usize);

/// A pretoken without ids.
#[derive(Clone, Copy, Debug)]
pub(super) struct Miss {
    /// How many ids were found before its own, since the last time that there were none missing.
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

/// Gathers up to [`MAX_MISSES`] and finds their ids.
#[derive(Debug)]
pub(super) struct Misses {
    list: Vec<Miss>,
    /// One more than the number of a miss, by its hash; 0 where empty.
    index: [u8; SLOTS],
    /// Which miss has the ids of each: itself, or an earlier one of the same bytes.
    sources: Vec<usize>,
    /// Those that are to be merged.
    open: Vec<usize>,
    merger: Merger,
    /// The ids of all, and where each one's are.
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
            ids: Vec::new(),
            ranges: Vec::with_capacity(MAX_MISSES),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= MAX_MISSES
    }

    pub(super) fn push(&mut self, vocabulary: &Vocabulary, miss: Miss) {
        vocabulary.prefetch(miss.hash);
        self.list.push(miss);
    }

    /// Appends the ids that were `found` to `ids`, with those of the misses where they belong, and
    /// lets them be remembered. There are no misses after it.
    pub(super) fn fill_in(
        &mut self,
        vocabulary: &Vocabulary,
        text: &[u8],
        found: &[TokenId],
        ids: &mut Vec<TokenId>,
        mut remember: impl FnMut(&Miss, &[u8], &[TokenId]),
    ) {
        self.look_up(vocabulary, text);
        let texts = self.open.iter().map(|&i| self.list[i].bytes(text));
        let merged = self.merger.merge_all(vocabulary, texts, &mut self.ids);
        for (&i, range) in self.open.iter().zip(merged) {
            self.ranges[i] = range;
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
        // Those of a pretoken of megabytes are not kept.
        self.ids.clear();
        self.ids.shrink_to(MAX_IDS_KEPT);
    }

    /// Finds which misses have the bytes of earlier ones, and which have a token's own bytes: these
    /// are that token, even where merges would not lead to it.
    fn look_up(&mut self, vocabulary: &Vocabulary, text: &[u8]) {
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
                // No token is longer than what is remembered.
                let may_be_token = bytes.len() <= MAX_CACHED_BYTES;
                let id = may_be_token.then(|| vocabulary.get_hashed(bytes, miss.hash));
                match id.flatten() {
                    Some(id) => self.ids.push(id),
                    None => self.open.push(i),
                }
            }
            self.ranges.push(start..self.ids.len());
        }
    }
}

/// The first miss in `list` of the same bytes as the `i`th, which is put in the index if that is
/// itself.
fn first_of(list: &[Miss], index: &mut [u8; SLOTS], text: &[u8], i: usize) -> usize {
    let miss = &list[i];
    let mut at = (miss.hash >> u32::BITS) as usize % SLOTS;
    loop {
        let Some(known) = usize::from(index[at]).checked_sub(1) else {
            // No more than MAX_MISSES.
            index[at] = u8::try_from(i + 1).unwrap_or(0);
            return i;
        };
        if list[known].hash == miss.hash && list[known].bytes(text) == miss.bytes(text) {
            return known;
        }
        at = (at + 1) % SLOTS;
    }
}
