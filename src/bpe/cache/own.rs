//! What one encoder remembers by itself: the pretokens that it looks up without waiting for others.
//!
//! Up to three ids lie in the entry, half a cache line; more lie in a list.

use crate::Result;
use crate::bpe::cache::Key;
use crate::bpe::hash::KEY_BYTES;
use crate::encoding::TokenId;
use crate::map::Table;
use crate::simd::prefetch;

/// Entries of the first table: 128 KiB, so that a small text costs no page faults.
const MIN_ENTRIES: usize = 1 << 12;
/// Entries of the largest: 32 MiB.
const MAX_ENTRIES: usize = 1 << 20;
/// As many are enough where other encoders remember what this one forgets: 16 MiB.
const MAX_ENTRIES_SHARED: usize = 1 << 19;
/// From here on, 2 MiB, tables get twice as large, before that four times.
const LARGE_ENTRIES: usize = 1 << 16;
/// A pretoken is in one of so many entries, four cache lines, or not there: however full the table
/// is and whatever hashes a text was made to have, a search ends.
const PROBES: usize = 8;
/// Ids that lie in the list, at most 8 MiB.
const MAX_MORE: usize = 2 << 20;

/// A pretoken and its ids.
#[derive(Clone, Copy, Debug, Default, bytemuck::Zeroable)]
#[repr(C, align(32))]
struct Entry {
    /// All zero where the entry is empty.
    key: Key,
    value: Value,
}

/// Up to three ids and how many they are; or where the ids begin in the list, how many they are,
/// and [`SPILLED`].
type Value = [u32; 4];

/// In the place of the number: the ids are in the list.
const SPILLED: u32 = 4;

/// What an [`Own`] has, by itself so that a loop keeps it in registers.
#[derive(Clone, Copy, Debug)]
pub(in crate::bpe) struct View<'a> {
    entries: &'a [Entry],
    more: &'a [TokenId],
}

impl View<'_> {
    /// Where to begin to look: entries lie in pairs, which share a cache line.
    #[inline(always)]
    fn home(self, hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let at = hash as usize & (self.entries.len() - 2);
        at
    }

    /// Brings the entry of `hash` near.
    #[inline(always)]
    pub(in crate::bpe) fn prefetch(self, hash: u64) {
        prefetch(self.entries, self.home(hash));
    }

    /// Writes the ids of a pretoken to the front of `to` and says how many they are; `None` where
    /// it is not remembered, and for the key zero.
    #[inline(always)]
    pub(in crate::bpe) fn get(
        self,
        key: &Key,
        hash: u64,
        to: &mut [TokenId; KEY_BYTES],
    ) -> Option<usize> {
        let mut at = self.home(hash);
        for _ in 0..PROBES {
            let entry = &self.entries[at];
            if entry.key == *key {
                return self.ids(&entry.value, to);
            }
            if entry.key == Key::NONE {
                break;
            }
            at = (at + 1) & (self.entries.len() - 1);
        }
        None
    }

    #[inline(always)]
    fn ids(self, value: &Value, to: &mut [TokenId; KEY_BYTES]) -> Option<usize> {
        // Four are written whether they are there or not: a copy without a branch.
        to[..4].copy_from_slice(value);
        let [start, len, _, count] = *value;
        match count {
            0 => None,
            SPILLED => {
                // All that there may be, of which the last may be others': a fixed size needs no call.
                *to = *self.more[start as usize..].first_chunk()?;
                Some((len as usize).min(KEY_BYTES))
            }
            _ => Some(count as usize),
        }
    }
}

/// Ids by pretoken of up to 16 bytes.
#[derive(Debug)]
pub(in crate::bpe) struct Own {
    entries: Table<Entry>,
    used: usize,
    /// Which of a pair is to make room next.
    turn: usize,
    /// Behind the last there are [`KEY_BYTES`] that are nobody's.
    more: Vec<TokenId>,
}

impl Own {
    pub(in crate::bpe) fn new() -> Result<Self> {
        Ok(Self {
            entries: Table::zeroed_now(MIN_ENTRIES)?,
            used: 0,
            turn: 0,
            more: vec![0; KEY_BYTES],
        })
    }

    /// Whether so much is remembered that the text is a long one.
    pub(in crate::bpe) fn is_large(&self) -> bool {
        self.entries.len() >= LARGE_ENTRIES
    }

    /// What there is to look into.
    #[inline(always)]
    pub(in crate::bpe) fn view(&self) -> View<'_> {
        View {
            entries: &self.entries,
            more: &self.more,
        }
    }

    /// Remembers the ids of a pretoken of 1 to 16 bytes that is not there; `is_shared` says that
    /// other encoders remember it as well.
    pub(in crate::bpe) fn insert(&mut self, key: Key, hash: u64, ids: &[TokenId], is_shared: bool) {
        let max_entries = if is_shared {
            MAX_ENTRIES_SHARED
        } else {
            MAX_ENTRIES
        };
        if self.used * 2 >= self.entries.len() && self.entries.len() < max_entries {
            self.grow();
        }
        if self.more.len() + ids.len() > MAX_MORE {
            self.clear();
        }
        let value = match *ids {
            [a] => [a, 0, 0, 1],
            [a, b] => [a, b, 0, 2],
            [a, b, c] => [a, b, c, 3],
            _ => {
                let start = self.more.len() - KEY_BYTES;
                self.more.truncate(start);
                self.more.extend_from_slice(ids);
                self.more.extend_from_slice(&[0; KEY_BYTES]);
                let [start, len] = [start, ids.len()].map(|n| u32::try_from(n).unwrap_or(0));
                [start, len, 0, SPILLED]
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
            .find(|&at| self.entries[at].key == Key::NONE);
        self.used += usize::from(empty.is_some());
        self.turn ^= 1;
        self.entries[empty.unwrap_or(home + self.turn)] = entry;
    }

    /// Gets a larger table; without the memory for one, entries make room for others sooner.
    fn grow(&mut self) {
        let times = if self.entries.len() < LARGE_ENTRIES {
            4
        } else {
            2
        };
        let Ok(larger) = Table::zeroed_now(self.entries.len() * times) else {
            return;
        };
        let smaller = std::mem::replace(&mut self.entries, larger);
        self.used = 0;
        for &entry in &*smaller {
            if entry.key != Key::NONE {
                self.place(entry, entry.key.hash());
            }
        }
    }

    /// Forgets everything: what is common comes back at once.
    fn clear(&mut self) {
        self.entries.fill(Entry::default());
        self.used = 0;
        self.more.truncate(KEY_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(text.as_bytes(), 0, text.len())
    }

    fn get(own: &Own, key: Key) -> Option<Vec<TokenId>> {
        let mut ids = [TokenId::MAX; KEY_BYTES];
        let count = own.view().get(&key, key.hash(), &mut ids)?;
        Some(ids[..count].to_vec())
    }

    #[test]
    fn what_was_put_in_is_found() {
        let mut own = Own::new().unwrap();
        let lists = [
            vec![1],
            vec![1, 2],
            vec![1, 2, 3],
            vec![1, 2, 3, 4],
            (0..16).collect(),
        ];
        let name = |i: usize| format!("{i:x}");
        // Far enough that the table grows several times.
        for i in 0..100_000 {
            let key = key(&name(i));
            assert_eq!(get(&own, key), None);
            own.insert(key, key.hash(), &lists[i % lists.len()], false);
        }
        let mut found = 0;
        for i in 0..100_000 {
            if let Some(ids) = get(&own, key(&name(i))) {
                assert_eq!(ids, lists[i % lists.len()]);
                found += 1;
            }
        }
        assert!(own.entries.len() > 200_000);
        // Few have had to make room for others.
        assert!(found > 99_000, "{found}");
        assert_eq!(get(&own, Key::NONE), None);
    }

    #[test]
    fn a_full_one_forgets_what_it_must_and_stays_right() {
        for (is_shared, max) in [(false, MAX_ENTRIES), (true, MAX_ENTRIES_SHARED)] {
            let mut own = Own::new().unwrap();
            let name = |i: u32| key(&format!("{i:x}"));
            // Far more than there are entries: none is empty in the end.
            for i in 0..10_000_000 {
                own.insert(name(i), name(i).hash(), &[i], is_shared);
            }
            assert_eq!(own.entries.len(), max);
            let mut found = 0;
            for i in 0..10_000_000 {
                if let Some(ids) = get(&own, name(i)) {
                    assert_eq!(ids, [i]);
                    found += 1;
                }
            }
            assert!(found > max / 2, "{found}");
        }
    }

    #[test]
    fn the_list_stays_bounded() {
        let mut own = Own::new().unwrap();
        for i in 0..MAX_MORE / 8 {
            let key = key(&format!("{i:x}"));
            own.insert(key, key.hash(), &[7; 9], false);
            assert_eq!(get(&own, key), Some(vec![7; 9]));
        }
        assert!(own.more.len() <= MAX_MORE);
    }
}
