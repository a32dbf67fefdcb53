//! Text -> ids.

use crate::bpe::Vocabulary;
use crate::bpe::cache::{Cache, Key, LongCache, MAX_CACHED_BYTES, inline_count};
use crate::bpe::merge::Merger;
use crate::encoding::TokenId;
use crate::pretoken::{Ends, Masked, Scanner};
use crate::simd::Level;

/// Pretokens found before the first of them is looked up: far enough that its cache line has come,
/// near enough that it has not gone.
const BATCH: usize = 192;

/// The longest pretoken that is a key by itself.
const KEY_BYTES: usize = 16;

/// Encodes with one vocabulary; remembers pretokens, so each thread has its own.
#[derive(Debug)]
pub(crate) struct Encoder {
    vocabulary: &'static Vocabulary,
    level: Level,
    cache: Cache,
    long: LongCache,
    ends: Ends,
    batch: Box<[Span; BATCH]>,
    /// The ids of a batch.
    found: Box<[TokenId; 4 * BATCH]>,
    merger: Merger,
    /// The ids of the pretoken that is being merged.
    merged: Vec<TokenId>,
}

/// The hash of a pretoken, and its key; zero where it is too long to have one.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    key: Key,
    hash: u64,
}

impl Encoder {
    pub(crate) fn new(vocabulary: &'static Vocabulary) -> Self {
        Self {
            vocabulary,
            level: Level::detect(),
            cache: Cache::new(),
            long: LongCache::new(),
            ends: Ends::new(),
            batch: Box::new([Span::default(); BATCH]),
            found: Box::new([0; 4 * BATCH]),
            merger: Merger::default(),
            merged: Vec::new(),
        }
    }

    /// Appends the ids of `text`.
    pub(crate) fn encode<P: Masked>(&mut self, text: &str, ids: &mut Vec<TokenId>) {
        let text = text.as_bytes();
        let mut scanner = Scanner::<P>::new();
        let mut ends = std::mem::replace(&mut self.ends, Ends::empty());
        let mut start = 0;
        while scanner.next(self.level, text, &mut ends) {
            for ends in ends.get().chunks(BATCH) {
                start = self.batch(text, start, ends, ids);
            }
        }
        self.ends = ends;
    }

    /// Appends the ids of the pretokens that end at `ends`, the first of which begins at `start`;
    /// gives back where the last one ends.
    #[inline(always)]
    fn batch(
        &mut self,
        text: &[u8],
        mut start: usize,
        ends: &[usize],
        ids: &mut Vec<TokenId>,
    ) -> usize {
        let mut at = start;
        for (span, &end) in self.batch.iter_mut().zip(ends) {
            *span = Span::default();
            if end - at <= KEY_BYTES {
                span.key = Key::new(text, at, end);
                span.hash = span.key.hash();
                self.cache.prefetch(span.hash);
            } else if end - at <= MAX_CACHED_BYTES {
                span.hash = LongCache::hash(&text[at..end]);
                self.long.prefetch(span.hash);
            }
            at = end;
        }
        // Four ids are written whether they are there or not: a copy without a branch.
        let mut count = 0;
        for (i, &end) in ends.iter().enumerate() {
            let span = &self.batch[i];
            let value = self.cache.get(&span.key, span.hash);
            if let Some(value) = value
                && let Some(more) = inline_count(value)
            {
                self.found[count..][..4].copy_from_slice(value);
                count += more;
            } else {
                ids.extend_from_slice(&self.found[..count]);
                count = 0;
                self.uncommon(i, &text[start..end], ids);
            }
            start = end;
        }
        ids.extend_from_slice(&self.found[..count]);
        start
    }

    /// Appends the ids of a pretoken that is long, has many ids, or has not been seen.
    #[cold]
    fn uncommon(&mut self, i: usize, bytes: &[u8], ids: &mut Vec<TokenId>) {
        let Span { key, hash } = self.batch[i];
        if bytes.len() > MAX_CACHED_BYTES {
            match self.vocabulary.get(bytes) {
                Some(id) => ids.push(id),
                None => self.merger.merge(self.vocabulary, bytes, ids),
            }
        } else if bytes.len() > KEY_BYTES {
            if let Some(found) = self.long.get(bytes, hash) {
                ids.extend_from_slice(found);
            } else {
                self.merge(bytes);
                self.long.insert(bytes, hash, &self.merged);
                ids.extend_from_slice(&self.merged);
            }
        } else if let Some(value) = self.cache.get(&key, hash) {
            ids.extend_from_slice(self.cache.ids(value));
        } else {
            self.merge(bytes);
            self.cache.insert(key, hash, &self.merged);
            ids.extend_from_slice(&self.merged);
        }
    }

    /// Leaves the ids of a pretoken in `merged`; a token's own bytes are that token, even where
    /// merges would not lead to it.
    fn merge(&mut self, bytes: &[u8]) {
        self.merged.clear();
        match self.vocabulary.get(bytes) {
            Some(id) => self.merged.push(id),
            None => (self.merger).merge(self.vocabulary, bytes, &mut self.merged),
        }
    }
}
