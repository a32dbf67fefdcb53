//! Pretokens seen before and their ids; bounded.
//!
//! A pretoken of up to 16 bytes is its own key. Up to three ids lie in the entry itself, half a
//! cache line; more lie in an arena. Longer pretokens have a table of their own.

mod long;

use crate::Result;
use crate::bpe::hash::{self, KEY_BYTES};
use crate::encoding::TokenId;
use crate::map::Table;
use crate::simd::prefetch;

pub(super) use long::{LongCache, MAX_CACHED_BYTES};

/// Entries of the first table: 128 KiB, so that a small text costs no page faults.
const MIN_ENTRIES: usize = 1 << 12;
/// Entries of the largest: 32 MiB.
const MAX_ENTRIES: usize = 1 << 20;
/// A pretoken is in one of so many entries, four cache lines, or not there: however full the table
/// is and whatever hashes a text was made to have, a search ends.
const PROBES: usize = 8;
/// Ids in the arena, at most 8 MiB.
const MAX_ARENA: usize = 2 << 20;

/// The key of a pretoken of 1 to 16 bytes; see [`hash::key`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Zeroable)]
pub(super) struct Key([u64; 2]);

impl Key {
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

/// A pretoken and its ids.
#[derive(Clone, Copy, Debug, Default, bytemuck::Zeroable)]
#[repr(C, align(32))]
struct Entry {
    /// All zero where the entry is empty.
    key: Key,
    value: Value,
}

/// Up to three ids and how many they are; or where the ids begin in the arena, how many they are,
/// and [`SPILLED`].
pub(super) type Value = [u32; 4];

/// In the place of the number: the ids are in the arena.
const SPILLED: u32 = 4;

/// How many ids are in the value itself; `None` if they are in the arena, or it is an empty entry's.
#[inline(always)]
pub(super) fn inline_count(value: &Value) -> Option<usize> {
    matches!(value[3], 1..SPILLED).then_some(value[3] as usize)
}

/// The entries of a [`Cache`], by themselves so that a loop keeps them in registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    entries: &'a [Entry],
}

impl<'a> View<'a> {
    /// Where to begin to look: entries lie in pairs, which share a cache line.
    #[inline(always)]
    fn home(self, hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let at = hash as usize & (self.entries.len() - 2);
        at
    }

    /// Brings the entry of `hash` near.
    #[inline(always)]
    pub(super) fn prefetch(self, hash: u64) {
        prefetch(self.entries, self.home(hash));
    }

    /// What is remembered of a pretoken; see [`Cache::ids`]. For the key zero, an empty value.
    #[inline(always)]
    pub(super) fn get(self, key: &Key, hash: u64) -> Option<&'a Value> {
        let mut at = self.home(hash);
        for _ in 0..PROBES {
            let entry = &self.entries[at];
            if entry.key == *key {
                return Some(&entry.value);
            }
            if entry.key == Key::default() {
                break;
            }
            at = (at + 1) & (self.entries.len() - 1);
        }
        None
    }
}

/// Ids by pretoken of up to 16 bytes.
#[derive(Debug)]
pub(super) struct Cache {
    entries: Table<Entry>,
    used: usize,
    /// Which of a pair is to make room next.
    turn: usize,
    arena: Vec<TokenId>,
}

impl Cache {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            entries: Table::zeroed(MIN_ENTRIES)?,
            used: 0,
            turn: 0,
            arena: Vec::new(),
        })
    }

    /// The table to look into.
    #[inline(always)]
    pub(super) fn view(&self) -> View<'_> {
        View {
            entries: &self.entries,
        }
    }

    /// [`View::get`]
    pub(super) fn get(&self, key: &Key, hash: u64) -> Option<&Value> {
        self.view().get(key, hash)
    }

    /// The ids of a value.
    pub(super) fn ids<'a>(&'a self, value: &'a Value) -> &'a [TokenId] {
        match inline_count(value) {
            Some(count) => &value[..count],
            None => &self.arena[value[0] as usize..][..value[1] as usize],
        }
    }

    /// Remembers the ids of a pretoken that is not there.
    pub(super) fn insert(&mut self, key: Key, hash: u64, ids: &[TokenId]) {
        if self.used * 2 >= self.entries.len() && self.entries.len() < MAX_ENTRIES {
            self.grow();
        }
        if self.arena.len() + ids.len() > MAX_ARENA {
            self.clear();
        }
        let value = match *ids {
            [a] => [a, 0, 0, 1],
            [a, b] => [a, b, 0, 2],
            [a, b, c] => [a, b, c, 3],
            _ => {
                let start = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
                self.arena.extend_from_slice(ids);
                [start, u32::try_from(ids.len()).unwrap_or(0), 0, SPILLED]
            }
        };
        self.place(Entry { key, value }, hash);
    }

    /// Puts an entry in an empty place or, where there is none, in that of another: a place that was
    /// taken stays so, and no search ends too early.
    fn place(&mut self, entry: Entry, hash: u64) {
        let home = self.view().home(hash);
        let mask = self.entries.len() - 1;
        let places = (home..home + PROBES).map(|at| at & mask);
        let empty = places
            .into_iter()
            .find(|&at| self.entries[at].key == Key::default());
        self.used += usize::from(empty.is_some());
        self.turn ^= 1;
        self.entries[empty.unwrap_or(home + self.turn)] = entry;
    }

    /// Gets a larger table; without the memory for one, entries make room for others sooner.
    fn grow(&mut self) {
        let Ok(larger) = Table::zeroed(self.entries.len() * 4) else {
            return;
        };
        let smaller = std::mem::replace(&mut self.entries, larger);
        self.used = 0;
        for &entry in &*smaller {
            if entry.key != Key::default() {
                self.place(entry, entry.key.hash());
            }
        }
    }

    /// Forgets everything: what is common comes back at once.
    fn clear(&mut self) {
        self.entries.fill(Entry::default());
        self.used = 0;
        self.arena.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(text.as_bytes(), 0, text.len())
    }

    #[test]
    fn keys_tell_lengths_and_do_not_see_what_follows() {
        let nuls = "\0".repeat(16);
        for len in 1..16 {
            assert_ne!(key(&nuls[..len]), key(&nuls[..=len]));
            let long = format!("{}{}", &nuls[..len], "after it comes more text");
            assert_eq!(Key::new(long.as_bytes(), 0, len), key(&nuls[..len]));
        }
    }

    #[test]
    fn what_was_put_in_is_found() {
        let mut cache = Cache::new().unwrap();
        let lists = [
            vec![1],
            vec![1, 2],
            vec![1, 2, 3],
            vec![1, 2, 3, 4],
            (0..40).collect(),
        ];
        let name = |i: usize| format!("{i:x}");
        // Far enough that the table grows several times.
        for i in 0..100_000 {
            let key = key(&name(i));
            assert!(cache.get(&key, key.hash()).is_none());
            cache.insert(key, key.hash(), &lists[i % lists.len()]);
        }
        let mut found = 0;
        for i in 0..100_000 {
            let key = key(&name(i));
            if let Some(value) = cache.get(&key, key.hash()) {
                assert_eq!(cache.ids(value), lists[i % lists.len()]);
                found += 1;
            }
        }
        assert!(cache.entries.len() > 200_000);
        // Few have had to make room for others.
        assert!(found > 99_000, "{found}");
    }

    #[test]
    fn a_full_cache_forgets_what_it_must_and_stays_right() {
        let mut cache = Cache::new().unwrap();
        let name = |i: u32| key(&format!("{i:x}"));
        // Far more than there are entries: none is empty in the end.
        for i in 0..10_000_000 {
            cache.insert(name(i), name(i).hash(), &[i]);
        }
        assert_eq!(cache.entries.len(), MAX_ENTRIES);
        let mut found = 0;
        for i in 0..10_000_000 {
            if let Some(value) = cache.get(&name(i), name(i).hash()) {
                assert_eq!(cache.ids(value), [i]);
                found += 1;
            }
        }
        assert!(found > MAX_ENTRIES / 2, "{found}");
    }

    #[test]
    fn the_arena_stays_bounded() {
        let mut cache = Cache::new().unwrap();
        for i in 0..MAX_ARENA / 8 {
            let key = key(&format!("{i:x}"));
            cache.insert(key, key.hash(), &[7; 9]);
            let value = cache.get(&key, key.hash()).unwrap();
            assert_eq!(cache.ids(value), [7; 9]);
        }
        assert!(cache.arena.len() <= MAX_ARENA);
    }
}
