//! A bounded cache from pretokens to their ids, shared by all encoders of one encoding.
//!
//! ```text
//! short      pretokens of up to 16 bytes, which are their own keys, with up to six ids each
//! lines      the arena locations of longer pretokens, by hash
//! arena      what does not fit above: more ids, and the bytes of long pretokens
//! arena_ref  the location of a long pretoken in the arena
//! ```
//!
//! So two encoders merge the same only by chance: at the same time, or while a table grows, when what
//! others put in behind the copy is lost.
//!
//! All is read and filled without locks. An entry is written once and never changes: whoever takes a
//! free one puts [`TAKEN`] in its first word, writes the others, and then the first with `Release`. A
//! reader takes that with `Acquire` and believes the others only where it is the one that it looks
//! for.
//!
//! What grows is made anew, larger. At their bound short ones begin anew, small and empty; with long
//! ones or the arena all does. What is common comes back at once. Encoders go on with the old one
//! until they next miss something: for that long both take memory.

mod arena;
mod arena_ref;
mod lines;
mod short;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::bpe::hash::{self, KEY_BYTES};
use crate::error::Result;
use crate::token::TokenId;

use arena::Arena;
use arena_ref::{ArenaRef, id_words, unpack};
use lines::Lines;
use short::Short;

pub(super) use short::View;

/// Longer pretokens are hardly seen twice.
pub(super) const MAX_CACHED_BYTES: usize = 512;

/// Lines of the first tables, 128 KiB and 16 KiB, so that a small text costs few page faults.
const MIN_SHORT_LINES: usize = 1 << 11;
const MIN_LONG_LINES: usize = 1 << 8;

/// For one encoder or two, 32 MiB for short pretokens; for each, 16 MiB for long ones and 16 MiB of
/// arena at most. Lines of all are a power of two. While a table grows, the old one is there as well.
const MAX_SHORT_LINES: usize = 1 << 19;
const MAX_LONG_LINES: usize = 1 << 18;
const MAX_ARENA_BYTES: usize = 16 << 20;

/// For all together 44 MiB of arena more: with that most long ones of 100 MB in over 100 languages,
/// 630,000, are still known when they come again.
const MORE_ARENA_BYTES: usize = 44 << 20;

/// In the first word of an entry that is being written. No half of a key is that, as no UTF-8 has the
/// byte 0xFE, and no hash of a long pretoken.
const TAKEN: u64 = 1;

fn max_short_lines(encoders: usize) -> usize {
    MAX_SHORT_LINES << encoders.ilog2().saturating_sub(1)
}

fn max_long_lines(encoders: usize) -> usize {
    MAX_LONG_LINES << encoders.ilog2()
}

fn max_arena_bytes(encoders: usize) -> usize {
    MORE_ARENA_BYTES + MAX_ARENA_BYTES * encoders
}

/// The key of a pretoken of 1 to 16 bytes; see [`hash::key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key([u64; 2]);

impl Key {
    /// Instead of the key of what is too long to have one. No entry has it, nor an empty one: that
    /// may be about to get a value.
    pub(super) const NONE: Self = Self([0, TAKEN]);

    /// The key of 1 to 16 bytes.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(hash::padded_key(bytes))
    }

    /// The key of the first `len` of `bytes`, one or more.
    #[inline(always)]
    pub(super) fn of(bytes: [u8; KEY_BYTES], len: usize) -> Self {
        Self(hash::key(bytes, len))
    }

    #[inline(always)]
    pub(super) fn hash(self) -> u64 {
        hash::of_key(self.0)
    }
}

/// What is remembered at some time.
#[derive(Debug)]
pub(super) struct Tables {
    /// Pretokens of up to 16 bytes.
    short: Arc<Short>,
    /// Pretokens of 17 to [`MAX_CACHED_BYTES`] bytes, by [`hash::of_long`].
    long: Arc<Lines>,
    arena: Arc<Arena>,
    /// For how many encoders.
    encoders: usize,
    version: usize,
}

impl Tables {
    fn new(encoders: usize, version: usize) -> Result<Self> {
        Ok(Self {
            short: Arc::new(Short::new(MIN_SHORT_LINES)?),
            long: Arc::new(Lines::new(MIN_LONG_LINES)?),
            arena: Arc::new(Arena::new(max_arena_bytes(encoders))),
            encoders,
            version,
        })
    }

    fn is_short_crowded(&self) -> bool {
        self.short.is_crowded(max_short_lines(self.encoders))
    }

    fn is_crowded(&self) -> bool {
        self.is_short_crowded() || self.long.is_crowded() || self.arena.is_full()
    }

    /// Whether so much is remembered that the text is a long one.
    pub(super) fn is_large(&self) -> bool {
        self.short.is_large()
    }

    /// The short pretokens to look into.
    #[inline(always)]
    pub(super) fn short(&self) -> View<'_> {
        self.short.view(&self.arena)
    }

    /// Brings near where a long pretoken is known.
    #[inline(always)]
    pub(super) fn prefetch_long(&self, hash: u64) {
        self.long.prefetch(hash);
    }

    /// Brings near the bytes and the ids of a long pretoken, if it is known.
    pub(super) fn prefetch_long_ids(&self, hash: u64) {
        if let Some(place) = self.long.get(hash) {
            self.arena.prefetch(place.at(), place.words());
        }
    }

    /// Appends the ids of a long pretoken; false if it is not known.
    pub(super) fn get_long(&self, bytes: &[u8], hash: u64, ids: &mut Vec<TokenId>) -> bool {
        let Some(place) = self.long.get(hash) else {
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

    fn push_ids(&self, place: ArenaRef, ids: &mut Vec<TokenId>) {
        let end = ids.len() + place.ids();
        for word in &self.arena.get(place.at(), place.words())[place.byte_words()..] {
            ids.extend(unpack(word.load(Ordering::Relaxed)));
        }
        ids.truncate(end);
    }

    /// Remembers the ids of a long pretoken that was not there.
    fn insert_long(&self, bytes: &[u8], hash: u64, ids: &[TokenId]) {
        // Others may have been faster, or it is another of the same hash, which would hide this one;
        // and the arena is not to be filled for nothing.
        if self.long.get(hash).is_some() || !self.long.has_room(hash) {
            return;
        }
        let len = ArenaRef::new(0, bytes.len(), ids.len()).words();
        let words = words_of(bytes).chain(id_words(ids));
        if let Some(at) = self.arena.push(len, len, words) {
            self.long
                .insert(hash, ArenaRef::new(at, bytes.len(), ids.len()));
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
    /// There was no memory for larger tables: it is not asked for at every miss.
    is_out: AtomicBool,
}

impl Memory {
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) where there is no memory for it.
    pub(crate) fn new() -> Result<Self> {
        let tables = Tables::new(1, 0)?;
        Ok(Self {
            current: Mutex::new(Arc::new(tables)),
            version: AtomicUsize::new(0),
            encoders: AtomicUsize::new(0),
            is_out: AtomicBool::new(false),
        })
    }

    /// Counts an encoder more: there may be more to remember.
    pub(super) fn join(&self) {
        let encoders = self.encoders.fetch_add(1, Ordering::Relaxed) + 1;
        self.tables().arena.allow(max_arena_bytes(encoders));
    }

    /// Counts one less.
    pub(super) fn leave(&self) {
        self.encoders.fetch_sub(1, Ordering::Relaxed);
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
            tables.short.insert(&tables.arena, key, hash, ids);
        }
        if tables.is_crowded() && !self.is_out.load(Ordering::Relaxed) {
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
        match current.next(encoders) {
            Ok(next) => {
                self.version.store(next.version, Ordering::Relaxed);
                *current = Arc::new(next);
            }
            Err(_) => self.is_out.store(true, Ordering::Relaxed),
        }
    }
}

impl Tables {
    fn next(&self, encoders: usize) -> Result<Self> {
        let version = self.version + 1;
        let max_short = max_short_lines(encoders);
        let max_long = max_long_lines(encoders);
        let is_over = self.arena.is_full() || self.long.is_crowded() && self.long.len() >= max_long;
        if is_over {
            return Self::new(encoders, version);
        }
        let short = if !self.is_short_crowded() {
            Arc::clone(&self.short)
        } else if self.short.len() < max_short {
            Arc::new(self.short.grown(max_short)?)
        } else {
            // By itself, as long ones take much more to be merged again. What short ones have in the
            // arena is lost until that begins anew.
            Arc::new(Short::new(MIN_SHORT_LINES)?)
        };
        let long = if self.long.is_crowded() {
            Arc::new(self.long.grown(larger(self.long.len()).min(max_long))?)
        } else {
            Arc::clone(&self.long)
        };
        Ok(Self {
            short,
            long,
            arena: Arc::clone(&self.arena),
            encoders,
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
