//! Text -> ids.
//!
//! An encoder holds up to 77 MiB: 32 MiB of entries for short pretokens and 8 MiB of ids that do
//! not fit these, 36 MiB for long ones, and less than 1 MiB for what is scanned and merged at once.
//! A text that has few different pretokens takes as little as a tenth of that.

use crate::Result;
use crate::bpe::Vocabulary;
use crate::bpe::cache::{Cache, Key, LongCache, MAX_CACHED_BYTES, View, inline_count};
use crate::bpe::hash::{self, KEY_BYTES};
use crate::bpe::merge::Merger;
use crate::encoding::TokenId;
use crate::pretoken::{Ends, Masked, Scanner};
use crate::simd::Level;

/// Pretokens found before the first of them is looked up: far enough that its cache line has come,
/// near enough that it has not gone.
const BATCH: usize = 192;

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
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) where there is no memory for its caches.
    pub(crate) fn new(vocabulary: &'static Vocabulary) -> Result<Self> {
        Ok(Self {
            vocabulary,
            level: Level::detect(),
            cache: Cache::new()?,
            long: LongCache::new()?,
            ends: Ends::new(),
            batch: Box::new([Span::default(); BATCH]),
            found: Box::new([0; 4 * BATCH]),
            merger: Merger::new(Level::detect()),
            merged: Vec::new(),
        })
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

    /// Appends the ids of the pieces of `text` that end at `ends`, which rise up to its end.
    pub(crate) fn encode_split(&mut self, text: &str, ends: &[usize], ids: &mut Vec<TokenId>) {
        let mut start = 0;
        for ends in ends.chunks(BATCH) {
            start = self.batch(text.as_bytes(), start, ends, ids);
        }
    }

    /// Appends the ids of the pretokens that end at `ends`, the first of which begins at `start`;
    /// gives back where the last one ends.
    #[inline(always)]
    fn batch(
        &mut self,
        text: &[u8],
        start: usize,
        ends: &[usize],
        ids: &mut Vec<TokenId>,
    ) -> usize {
        let spans = &mut self.batch[..ends.len()];
        find(text, start, ends, spans, self.cache.view(), &self.long);
        let mut done = 0;
        while done < ends.len() {
            let (common, count) = look_up(
                &self.batch[done..ends.len()],
                self.cache.view(),
                &mut self.found,
            );
            ids.extend_from_slice(&self.found[..count]);
            done += common;
            if let Some(&end) = ends.get(done) {
                let start = if done == 0 { start } else { ends[done - 1] };
                self.uncommon(done, &text[start..end], ids);
                done += 1;
            }
        }
        ends.last().copied().unwrap_or(start)
    }

    /// Appends the ids of a pretoken that is long, has many ids, or has not been seen.
    #[cold]
    fn uncommon(&mut self, i: usize, bytes: &[u8], ids: &mut Vec<TokenId>) {
        let Span { key, hash } = self.batch[i];
        if bytes.len() > MAX_CACHED_BYTES {
            // No token is as long.
            self.merger.merge(self.vocabulary, bytes, ids);
        } else if bytes.len() > KEY_BYTES {
            if let Some(found) = self.long.get(bytes, hash) {
                ids.extend_from_slice(found);
            } else {
                self.merge(bytes, hash);
                self.long.insert(bytes, hash, &self.merged);
                ids.extend_from_slice(&self.merged);
            }
        } else if let Some(value) = self.cache.get(&key, hash) {
            ids.extend_from_slice(self.cache.ids(value));
        } else {
            self.merge(bytes, hash);
            self.cache.insert(key, hash, &self.merged);
            ids.extend_from_slice(&self.merged);
        }
    }

    /// Leaves the ids of a pretoken in `merged`; a token's own bytes are that token, even where
    /// merges would not lead to it.
    fn merge(&mut self, bytes: &[u8], hash: u64) {
        self.merged.clear();
        match self.vocabulary.get_hashed(bytes, hash) {
            Some(id) => self.merged.push(id),
            None => (self.merger).merge(self.vocabulary, bytes, &mut self.merged),
        }
    }
}

/// Finds keys and hashes, and brings near what they lead to.
#[inline(always)]
fn find(
    text: &[u8],
    mut start: usize,
    ends: &[usize],
    spans: &mut [Span],
    cache: View<'_>,
    long: &LongCache,
) {
    for (span, &end) in spans.iter_mut().zip(ends) {
        *span = Span::default();
        if end - start <= KEY_BYTES {
            span.key = Key::new(text, start, end);
            span.hash = span.key.hash();
            cache.prefetch(span.hash);
        } else if end - start <= MAX_CACHED_BYTES {
            span.hash = hash::of_long(&text[start..end]);
            long.prefetch(span.hash);
        }
        start = end;
    }
}

/// Writes the ids of the first of `spans` to `found`, up to one whose ids are not in its entry;
/// says how many spans and how many ids these are.
#[inline(always)]
fn look_up(spans: &[Span], cache: View<'_>, found: &mut [TokenId; 4 * BATCH]) -> (usize, usize) {
    let mut count = 0;
    for (i, span) in spans.iter().enumerate() {
        let value = cache.get(&span.key, span.hash);
        let Some((value, more)) = value.and_then(|value| Some((value, inline_count(value)?)))
        else {
            return (i, count);
        };
        // Four are written whether they are there or not: a copy without a branch.
        found[count..][..4].copy_from_slice(value);
        count += more;
    }
    (spans.len(), count)
}
