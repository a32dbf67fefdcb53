//! A bounded cache from pretokens to their ids, shared by all encoders of one tokenizer.
//!
//! ```text
//! short      pretokens of up to 16 bytes, which are their own keys, with up to six ids each
//! lines      the arena locations of longer pretokens, by hash
//! arena      what does not fit above: more ids, and the bytes of long pretokens
//! arena_ref  the location of a long pretoken in the arena
//! forecast   how many more pretokens the rest of the text will have
//! ```
//!
//! So two encoders merge the same pretoken only by chance: at the same time, or while a table
//! grows, when what other threads add after the copy is lost.
//!
//! Everything is read and filled without locks. An entry is written once and never changes: a
//! thread that takes a free entry puts [`TAKEN`] in its first word, writes the other words, and
//! then writes the first with `Release`. A reader loads the first word with `Acquire` and trusts
//! the others only if the first is the one that it looks for.
//!
//! To grow, a table is rebuilt larger. The short one grows at once to the size that a text of the
//! expected length needs: the sizes between cost memory that is cleared, filled and copied. When it
//! reaches its bound, it restarts small and empty; when the long table or the arena does, everything
//! restarts. Common pretokens come back at once. Encoders keep using the old tables until their next
//! miss; until then, both take memory.

mod arena;
mod arena_ref;
mod forecast;
mod lines;
mod short;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use shardmill_core::map::OutOfMemory;
use shardmill_core::token::TokenId;

use crate::bpe::hash::{self, KEY_BYTES};

use arena::Arena;
use arena_ref::{ArenaRef, id_words, unpack};
use forecast::Forecast;
use lines::Lines;
use short::Short;

pub(super) use short::View;

/// Longer pretokens are rarely seen twice.
pub(super) const MAX_CACHED_BYTES: usize = 512;

/// The number of lines of the first tables: 128 KiB and 16 KiB, so that a small text costs few page
/// faults.
const MIN_SHORT_LINES: usize = 1 << 11;
const MIN_LONG_LINES: usize = 1 << 8;

/// For one or two encoders, at most 32 MiB for short pretokens; for each encoder, at most 16 MiB
/// for long ones and 16 MiB of arena. All line counts are powers of two. While a table grows, the
/// old one still exists as well.
const MAX_SHORT_LINES: usize = 1 << 19;
const MAX_LONG_LINES: usize = 1 << 18;
const MAX_ARENA_BYTES: usize = 16 << 20;

/// Another 44 MiB of arena for all together: with that, most of the 630,000 long pretokens of 100
/// MB in over 100 languages are still cached when they come again.
const MORE_ARENA_BYTES: usize = 44 << 20;

/// In the first word of an entry that is being written. No half of a key equals this, because UTF-8
/// has no byte 0xFE, and no hash of a long pretoken does.
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
    /// Takes the place of the key of a pretoken that is too long to have one. No entry matches it,
    /// not even an empty one, which may be about to get a value.
    pub(super) const NONE: Self = Self([0, TAKEN]);

    /// The key of 1 to 16 bytes.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(hash::padded_key(bytes))
    }

    /// The key of the first `len` of `bytes`, at least 1.
    #[inline(always)]
    pub(super) fn of(bytes: [u8; KEY_BYTES], len: usize) -> Self {
        Self(hash::key(bytes, len))
    }

    #[inline(always)]
    pub(super) fn hash(self) -> u64 {
        hash::of_key(self.0)
    }

    /// Its bytes, and 0xFF after them.
    #[inline(always)]
    pub(super) fn bytes(self) -> [u8; KEY_BYTES] {
        hash::bytes_of_key(self.0)
    }
}

/// The contents of the cache at some point.
#[derive(Debug)]
pub(super) struct Tables {
    /// Pretokens of up to 16 bytes.
    short: Arc<Short>,
    /// Pretokens of 17 to [`MAX_CACHED_BYTES`] bytes, by [`hash::of_long`].
    long: Arc<Lines>,
    arena: Arc<Arena>,
    /// The number of encoders that it is sized for.
    encoders: usize,
    version: usize,
}

impl Tables {
    fn new(encoders: usize, version: usize) -> Result<Self, OutOfMemory> {
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

    /// Whether so much is cached that the text must be long.
    pub(super) fn is_large(&self) -> bool {
        self.short.is_large()
    }

    /// The table of short pretokens.
    #[inline(always)]
    pub(super) fn short(&self) -> View<'_> {
        self.short.view(&self.arena)
    }

    /// Prefetches the line of a long pretoken.
    #[inline(always)]
    pub(super) fn prefetch_long(&self, hash: u64) {
        self.long.prefetch(hash);
    }

    /// Prefetches the bytes and the ids of a long pretoken, if it is cached.
    pub(super) fn prefetch_long_ids(&self, hash: u64) {
        if let Some(place) = self.long.get(hash) {
            self.arena.prefetch(place.at(), place.words());
        }
    }

    /// Appends the ids of a long pretoken; false if it is not cached.
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

    /// Caches the ids of a pretoken that was not cached. Returns the number of entries that the
    /// caller must count with [`Memory::added`]: all threads share that counter, so it counts
    /// several at a time.
    pub(super) fn remember(&self, bytes: &[u8], key: Key, hash: u64, ids: &[TokenId]) -> usize {
        if key == Key::NONE {
            self.insert_long(bytes, hash, ids);
            0
        } else {
            self.short.insert(&self.arena, key, hash, ids).into()
        }
    }

    /// Caches the ids of a long pretoken that was not cached.
    fn insert_long(&self, bytes: &[u8], hash: u64, ids: &[TokenId]) {
        // Another thread may have been faster, or another pretoken has the same hash, which would
        // hide this one. Do not fill the arena for nothing.
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

/// Bytes as words, the last one padded with zeros.
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

/// The cache that the encoders of one vocabulary share.
#[derive(Debug)]
pub(crate) struct Memory {
    current: Mutex<Arc<Tables>>,
    /// The version of `current`.
    version: AtomicUsize,
    encoders: AtomicUsize,
    forecast: Forecast,
    /// Memory ran out for larger tables, so do not try again at every miss.
    is_out: AtomicBool,
}

impl Memory {
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if memory runs out.
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        let tables = Tables::new(1, 0)?;
        Ok(Self {
            current: Mutex::new(Arc::new(tables)),
            version: AtomicUsize::new(0),
            encoders: AtomicUsize::new(0),
            forecast: Forecast::default(),
            is_out: AtomicBool::new(false),
        })
    }

    /// Counts one more encoder, which allows a larger cache.
    pub(super) fn join(&self) {
        let encoders = self.encoders.fetch_add(1, Ordering::Relaxed) + 1;
        self.tables().arena.allow(max_arena_bytes(encoders));
    }

    /// Expects `bytes` of text from now on.
    pub(super) fn expect(&self, bytes: usize) {
        self.forecast.expect(bytes);
    }

    /// Counts one encoder less.
    pub(super) fn leave(&self) {
        self.encoders.fetch_sub(1, Ordering::Relaxed);
    }

    /// The current tables.
    pub(super) fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the current tables are not `tables`.
    #[inline(always)]
    pub(super) fn is_newer(&self, tables: &Tables) -> bool {
        // The tables themselves come through the lock. An old version only means that old tables,
        // which stay right, are used a little longer.
        self.version.load(Ordering::Relaxed) != tables.version
    }

    /// Counts `bytes` that were read and `entries` that were added to `tables`, and makes room for
    /// more if they are crowded.
    pub(super) fn added(&self, tables: &Tables, bytes: usize, entries: usize) {
        self.forecast.count(bytes);
        if entries > 0 {
            tables.short.count(entries);
        }
        if tables.is_crowded() && !self.is_out.load(Ordering::Relaxed) {
            self.make_room(tables);
        }
    }

    /// Replaces `tables` by larger or by empty ones. If there is no memory for these, pretokens
    /// that find no room are not cached.
    #[cold]
    fn make_room(&self, tables: &Tables) {
        let Ok(mut current) = self.current.try_lock() else {
            // Another thread is doing this.
            return;
        };
        if current.version != tables.version {
            return;
        }
        let encoders = self.encoders.load(Ordering::Relaxed).max(1);
        match current.next(encoders, self.forecast.more()) {
            Ok(next) => {
                self.version.store(next.version, Ordering::Relaxed);
                *current = Arc::new(next);
            }
            Err(_) => self.is_out.store(true, Ordering::Relaxed),
        }
    }
}

impl Tables {
    /// Larger or empty tables; `more` as in [`Short::grown`].
    fn next(&self, encoders: usize, more: usize) -> Result<Self, OutOfMemory> {
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
            Arc::new(self.short.grown(max_short, more)?)
        } else {
            // Only this table restarts, because long pretokens cost much more to merge again. What
            // short ones have in the arena is lost until the arena restarts.
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

/// Small tables grow faster.
fn larger(lines: usize) -> usize {
    lines * if lines < 1 << 15 { 4 } else { 2 }
}

#[cfg(test)]
mod tests;
