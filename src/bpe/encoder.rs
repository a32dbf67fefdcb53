//! Text -> ids.

use crate::bpe::Vocabulary;
use crate::bpe::cache::{Cache, Found, Key, MAX_CACHED_BYTES};
use crate::bpe::merge::merge;
use crate::encoding::TokenId;
use crate::pretoken::Scheme;

/// Pretokens found before the first of them is looked up: far enough that its cache line has come,
/// near enough that it has not gone.
const BATCH: usize = 192;

/// The longest pretoken that is a key by itself.
const KEY_BYTES: usize = 16;

/// Encodes with one vocabulary; remembers pretokens, so each thread has its own.
#[derive(Debug)]
pub(crate) struct Encoder {
    vocabulary: &'static Vocabulary,
    cache: Cache,
    batch: Box<[Span; BATCH]>,
    /// The ids of the pretoken that is being merged.
    merged: Vec<TokenId>,
}

/// A pretoken; its key and hash where it is short.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    end: usize,
    key: Key,
    hash: u64,
}

impl Encoder {
    pub(crate) fn new(vocabulary: &'static Vocabulary) -> Self {
        Self {
            vocabulary,
            cache: Cache::new(),
            batch: Box::new([Span::default(); BATCH]),
            merged: Vec::new(),
        }
    }

    /// Appends the ids of `text`.
    pub(crate) fn encode<S: Scheme>(&mut self, text: &str, ids: &mut Vec<TokenId>) {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() {
            let mut count = 0;
            while count < BATCH && at < text.len() {
                let end = S::advance(text, at);
                let mut span = Span {
                    start: at,
                    end,
                    ..Span::default()
                };
                if end - at <= KEY_BYTES {
                    span.key = Key::new(text, at, end);
                    span.hash = span.key.hash();
                    self.cache.prefetch(span.hash);
                }
                self.batch[count] = span;
                count += 1;
                at = end;
            }
            // Most pretokens are one id; the rest finds room as it comes.
            ids.reserve(2 * BATCH);
            for i in 0..count {
                let span = self.batch[i];
                if span.end - span.start > KEY_BYTES {
                    self.long(&text[span.start..span.end], ids);
                    continue;
                }
                match self.cache.get(span.key, span.hash) {
                    Some(Found::Inline(found, 1)) => ids.push(found[0]),
                    Some(Found::Inline(found, count)) => ids.extend_from_slice(&found[..count]),
                    Some(Found::Spilled(found)) => ids.extend_from_slice(found),
                    None => self.miss(span, text, ids),
                }
            }
        }
    }

    /// A short pretoken that is not in the cache.
    #[cold]
    fn miss(&mut self, span: Span, text: &[u8], ids: &mut Vec<TokenId>) {
        self.merge(&text[span.start..span.end]);
        self.cache.insert(span.key, span.hash, &self.merged);
        ids.extend_from_slice(&self.merged);
    }

    /// A pretoken that is too long to be a key.
    #[cold]
    fn long(&mut self, bytes: &[u8], ids: &mut Vec<TokenId>) {
        if let Some(found) = self.cache.get_long(bytes) {
            ids.extend_from_slice(found);
            return;
        }
        if bytes.len() > MAX_CACHED_BYTES {
            match self.vocabulary.get(bytes) {
                Some(id) => ids.push(id),
                None => merge(self.vocabulary, bytes, ids),
            }
            return;
        }
        self.merge(bytes);
        self.cache.insert_long(bytes, &self.merged);
        ids.extend_from_slice(&self.merged);
    }

    /// Leaves the ids of a pretoken in `merged`; a token's own bytes are that token, even where
    /// merges would not lead to it.
    fn merge(&mut self, bytes: &[u8]) {
        self.merged.clear();
        match self.vocabulary.get(bytes) {
            Some(id) => self.merged.push(id),
            None => merge(self.vocabulary, bytes, &mut self.merged),
        }
    }
}
