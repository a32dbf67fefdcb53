//! Pretokens seen before and their ids; bounded.
//!
//! ```text
//! own      what an encoder remembers by itself, of short pretokens: the fastest to look into
//! lines    what encoders remember together; read and filled without locks
//! arena    what does not fit a line: more ids, and the bytes of long pretokens
//! value    one to six ids in a word or two, else a place in the arena
//! ```
//!
//! A pretoken of up to 16 bytes is its own key. It is looked for among what the encoder remembers
//! itself and, where there are other encoders of the same vocabulary, among what they do: so no
//! two of them merge the same. For a longer one the key is a hash, and the arena has its bytes; all
//! encoders remember them together.
//!
//! Nothing that is remembered together ever changes. What grows is made anew, larger, and so it is,
//! empty, once it has reached its bound; with the arena all is. What is common comes back at once.
//! Encoders go on with the old one until they look, which they do all the time.

mod arena;
mod lines;
mod own;
mod value;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Result;
use crate::bpe::hash::{self, KEY_BYTES};
use crate::encoding::TokenId;

use arena::Arena;
use lines::{Lines, Words};
use value::{IDS_A_WORD, Kind, Place, Value, id_words, unpack};

pub(super) use own::{Own, View};

/// Longer pretokens are hardly seen twice.
pub(super) const MAX_CACHED_BYTES: usize = 512;

/// Lines of the first tables, 16 KiB, so that a small text costs few page faults.
const MIN_LINES: usize = 1 << 8;

/// For each encoder, 16 MiB for short pretokens, 16 MiB for long ones and 16 MiB of arena at most;
/// the lines of all are a power of two.
const MAX_SHORT_LINES: usize = 1 << 18;
const MAX_LONG_LINES: usize = 1 << 18;
const MAX_ARENA_BYTES: usize = 16 << 20;

/// For all together 32 MiB of arena more, and for long pretokens what two have, however few there
/// are: with that those of 100 MB in over 100 languages, 630,000, are still known when they come
/// again. A lone encoder has room for it, as it needs no lines for short ones.
const MORE_ARENA_BYTES: usize = 32 << 20;
const LEAST_MAX_LONG_LINES: usize = 2 * MAX_LONG_LINES;

fn max_arena_bytes(encoders: usize) -> usize {
    MORE_ARENA_BYTES + MAX_ARENA_BYTES * encoders
}

fn max_long_lines(encoders: usize) -> usize {
    LEAST_MAX_LONG_LINES.max(MAX_LONG_LINES << encoders.ilog2())
}

/// The key of a pretoken of 1 to 16 bytes; see [`hash::key`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Zeroable)]
pub(super) struct Key(Words);

impl Key {
    /// Instead of the key of what is too long to have one.
    pub(super) const NONE: Self = Self([0; 2]);

    /// The key of `text[start..end]`, which has 1 to 16 bytes.
    #[inline(always)]
    pub(super) fn new(text: &[u8], start: usize, end: usize) -> Self {
        let bytes = text[start..].first_chunk().copied().unwrap_or_else(|| {
            let mut padded = [0; KEY_BYTES];
            padded[..end - start].copy_from_slice(&text[start..end]);
            padded
        });
        Self(hash::key(bytes, end - start))
    }

    #[inline(always)]
    pub(super) fn hash(self) -> u64 {
        hash::of_key(self.0)
    }
}

/// What is remembered at some time.
#[derive(Debug)]
pub(super) struct Tables {
    /// Pretokens of up to 16 bytes, wide entries for those of more than 8.
    short: Arc<Lines<true>>,
    /// Pretokens of 17 to [`MAX_CACHED_BYTES`] bytes, by [`hash::of_long`].
    long: Arc<Lines<false>>,
    arena: Arc<Arena>,
    version: usize,
}

impl Tables {
    fn new(short: usize, long: usize, arena_bytes: usize, version: usize) -> Result<Self> {
        Ok(Self {
            short: Arc::new(Lines::new(short)?),
            long: Arc::new(Lines::new(long)?),
            arena: Arc::new(Arena::new(arena_bytes)),
            version,
        })
    }

    fn is_crowded(&self) -> bool {
        self.short.is_crowded() || self.long.is_crowded() || self.arena.is_full()
    }

    /// Brings near what is known of a short pretoken.
    #[inline(always)]
    pub(super) fn prefetch(&self, key: Key, hash: u64) {
        self.short.prefetch(key.0, hash);
    }

    /// Brings near where a long pretoken is known.
    #[inline(always)]
    pub(super) fn prefetch_long(&self, hash: u64) {
        self.long.prefetch([hash, 0], hash);
    }

    /// Brings near the bytes and the ids of a long pretoken, if it is known.
    pub(super) fn prefetch_long_ids(&self, hash: u64) {
        if let Kind::Spilled(place) = self.long.get([hash, 0], hash).kind() {
            self.arena.prefetch(place.at(), place.words());
        }
    }

    /// Appends the ids of a short pretoken; false if it is not known.
    pub(super) fn get(&self, key: Key, hash: u64, ids: &mut Vec<TokenId>) -> bool {
        let value = self.short.get(key.0, hash);
        match value.kind() {
            Kind::Nothing => return false,
            Kind::Inline(count) => ids.extend(&value.ids().as_flattened()[..count]),
            Kind::Spilled(place) => self.push_ids(place, ids),
        }
        true
    }

    /// Appends the ids of a long pretoken; false if it is not known.
    pub(super) fn get_long(&self, bytes: &[u8], hash: u64, ids: &mut Vec<TokenId>) -> bool {
        let Kind::Spilled(place) = self.long.get([hash, 0], hash).kind() else {
            return false;
        };
        let is_same = place.bytes() == bytes.len() && {
            let words = self.arena.get(place.at(), place.byte_words());
            let mut same = words.len() == place.byte_words();
            for (word, expected) in words.iter().zip(words_of(bytes)) {
                same &= word.load(Ordering::Relaxed) == expected;
            }
            same
        };
        if is_same {
            self.push_ids(place, ids);
        }
        is_same
    }

    fn push_ids(&self, place: Place, ids: &mut Vec<TokenId>) {
        let end = ids.len() + place.ids();
        for word in &self.arena.get(place.at(), place.words())[place.byte_words()..] {
            ids.extend(unpack(word.load(Ordering::Relaxed)));
        }
        ids.truncate(end);
    }

    /// Remembers the ids of a short pretoken that was not there.
    fn insert(&self, key: Key, hash: u64, ids: &[TokenId]) {
        let words = if key.0[1] == 0 { 1 } else { 2 };
        let value = Value::inline(ids, words).or_else(|| {
            let words = id_words(ids);
            let at = self.arena.push(ids.len().div_ceil(IDS_A_WORD), words)?;
            Some(Value::spilled(Place::new(at, 0, ids.len())))
        });
        if let Some(value) = value {
            self.short.insert(key.0, hash, value);
        }
    }

    /// Remembers the ids of a long pretoken that was not there.
    fn insert_long(&self, bytes: &[u8], hash: u64, ids: &[TokenId]) {
        if self.long.get([hash, 0], hash).is_some() {
            // Another of the same hash, which would hide this one.
            return;
        }
        let len = Place::new(0, bytes.len(), ids.len()).words();
        if let Some(at) = self.arena.push(len, words_of(bytes).chain(id_words(ids))) {
            let place = Place::new(at, bytes.len(), ids.len());
            self.long.insert([hash, 0], hash, Value::spilled(place));
        }
    }
}

/// Bytes as words, the last one filled up with zeros.
fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (words, rest) = bytes.as_chunks();
    let last = (!rest.is_empty()).then(|| {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        u64::from_le_bytes(word)
    });
    words
        .iter()
        .map(|word| u64::from_le_bytes(*word))
        .chain(last)
}

/// What the encoders of one vocabulary remember together.
#[derive(Debug)]
pub(crate) struct Memory {
    current: Mutex<Arc<Tables>>,
    /// That of `current`.
    version: AtomicUsize,
    encoders: AtomicUsize,
}

impl Memory {
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) where there is no memory for it.
    pub(crate) fn new() -> Result<Self> {
        let tables = Tables::new(MIN_LINES, MIN_LINES, max_arena_bytes(1), 0)?;
        Ok(Self {
            current: Mutex::new(Arc::new(tables)),
            version: AtomicUsize::new(0),
            encoders: AtomicUsize::new(0),
        })
    }

    /// Counts an encoder more: there may be more to remember.
    pub(super) fn join(&self) {
        let encoders = self.encoders.fetch_add(1, Ordering::Relaxed) + 1;
        self.tables().arena.allow(max_arena_bytes(encoders));
    }

    /// Whether there is more than one encoder.
    #[inline(always)]
    pub(super) fn is_shared(&self) -> bool {
        self.encoders.load(Ordering::Relaxed) > 1
    }

    /// What is remembered now.
    pub(super) fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether that is something else.
    #[inline(always)]
    pub(super) fn is_newer(&self, tables: &Tables) -> bool {
        self.version.load(Ordering::Relaxed) != tables.version
    }

    /// Remembers in `tables` the ids of a pretoken that was not there.
    pub(super) fn remember(
        &self,
        tables: &Tables,
        bytes: &[u8],
        key: Key,
        hash: u64,
        ids: &[TokenId],
    ) {
        if key == Key::NONE {
            tables.insert_long(bytes, hash, ids);
        } else {
            tables.insert(key, hash, ids);
        }
        if tables.is_crowded() {
            self.make_room(tables);
        }
    }

    /// Replaces `tables` by larger ones, or by empty ones. Without the memory for them, what finds
    /// no room is not remembered.
    #[cold]
    fn make_room(&self, tables: &Tables) {
        let Ok(mut current) = self.current.try_lock() else {
            // Somebody else is at it.
            return;
        };
        if current.version != tables.version {
            return;
        }
        let encoders = self.encoders.load(Ordering::Relaxed).max(1);
        if let Ok(next) = current.next(encoders) {
            self.version.store(next.version, Ordering::Relaxed);
            *current = Arc::new(next);
        }
    }
}

impl Tables {
    fn next(&self, encoders: usize) -> Result<Self> {
        let version = self.version + 1;
        let max_short = MAX_SHORT_LINES << encoders.ilog2();
        let max_long = max_long_lines(encoders);
        let is_over = self.arena.is_full() || self.long.is_crowded() && self.long.len() >= max_long;
        if is_over {
            let arena_bytes = max_arena_bytes(encoders);
            return Self::new(self.short.len(), self.long.len(), arena_bytes, version);
        }
        let short = if !self.short.is_crowded() {
            Arc::clone(&self.short)
        } else if self.short.len() < max_short {
            let lines = larger(self.short.len()).min(max_short);
            Arc::new(self.short.grown(lines, hash::of_key)?)
        } else {
            // By itself: each encoder remembers most of them, but long ones only here. What they
            // have in the arena is lost until that begins anew.
            Arc::new(Lines::new(self.short.len())?)
        };
        let long = if self.long.is_crowded() {
            let lines = larger(self.long.len()).min(max_long);
            Arc::new(self.long.grown(lines, |key| key[0])?)
        } else {
            Arc::clone(&self.long)
        };
        Ok(Self {
            short,
            long,
            arena: Arc::clone(&self.arena),
            version,
        })
    }
}

/// At once much larger while they are small.
fn larger(lines: usize) -> usize {
    lines * if lines < 1 << 15 { 4 } else { 2 }
}

#[cfg(test)]
mod tests;
