//! Pretokens of more than 16 bytes.

use crate::Result;
use crate::encoding::TokenId;
use crate::map::Table;
use crate::simd::prefetch;

/// Longer pretokens are hardly seen twice.
pub(in crate::bpe) const MAX_CACHED_BYTES: usize = 512;

/// Entries of the first table: 24 KiB.
const MIN_ENTRIES: usize = 1 << 10;
/// Entries of the largest: 12 MiB. It is filled up to three quarters.
const MAX_ENTRIES: usize = 1 << 19;
/// A pretoken is in one of so many entries or not there, whatever hashes a text was made to have.
const PROBES: usize = 8;
/// Bytes of all pretokens, at most.
const MAX_BYTES: usize = 12 << 20;
/// Ids of all pretokens, at most 12 MiB.
const MAX_IDS: usize = 3 << 20;

/// Where the bytes and the ids of a pretoken lie.
#[derive(Clone, Copy, Debug, Default, bytemuck::Zeroable)]
struct Entry {
    /// Zero where the entry is empty.
    hash: u64,
    bytes: u32,
    ids: u32,
    bytes_len: u16,
    ids_len: u16,
}

/// Ids by pretoken of 17 to [`MAX_CACHED_BYTES`] bytes, and its [hash](crate::bpe::hash::of_long).
#[derive(Debug)]
pub(in crate::bpe) struct LongCache {
    entries: Table<Entry>,
    used: usize,
    bytes: Vec<u8>,
    ids: Vec<TokenId>,
}

impl LongCache {
    pub(in crate::bpe) fn new() -> Result<Self> {
        Ok(Self {
            entries: Table::zeroed(MIN_ENTRIES)?,
            used: 0,
            bytes: Vec::new(),
            ids: Vec::new(),
        })
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let at = hash as usize & (self.entries.len() - 1);
        at
    }

    /// Brings the entry of `hash` near.
    #[inline(always)]
    pub(in crate::bpe) fn prefetch(&self, hash: u64) {
        prefetch(&self.entries, self.home(hash));
    }

    /// What is remembered of a pretoken.
    pub(in crate::bpe) fn get(&self, bytes: &[u8], hash: u64) -> Option<&[TokenId]> {
        let places = self.places(hash);
        let mut entries = places.map(|at| &self.entries[at]);
        let entry = entries.find(|entry| {
            entry.hash == 0
                || entry.hash == hash
                    && self.bytes[entry.bytes as usize..][..usize::from(entry.bytes_len)] == *bytes
        })?;
        (entry.hash != 0).then(|| &self.ids[entry.ids as usize..][..usize::from(entry.ids_len)])
    }

    /// Where a pretoken may be.
    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.entries.len() - 1;
        let home = self.home(hash);
        (home..home + PROBES).map(move |at| at & mask)
    }

    /// Remembers the ids of a pretoken that is not there.
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the constants")]
    pub(in crate::bpe) fn insert(&mut self, bytes: &[u8], hash: u64, ids: &[TokenId]) {
        debug_assert!(bytes.len() <= MAX_CACHED_BYTES && ids.len() <= bytes.len());
        let is_crowded = self.used * 4 >= self.entries.len() * 3;
        let is_full = self.bytes.len() + bytes.len() > MAX_BYTES
            || self.ids.len() + ids.len() > MAX_IDS
            || is_crowded && self.entries.len() == MAX_ENTRIES;
        if is_full {
            // Forgets everything: what is common comes back at once.
            self.entries.fill(Entry::default());
            self.used = 0;
            self.bytes.clear();
            self.ids.clear();
        } else if is_crowded {
            self.grow();
        }
        let entry = Entry {
            hash,
            bytes: self.bytes.len() as u32,
            ids: self.ids.len() as u32,
            bytes_len: bytes.len() as u16,
            ids_len: ids.len() as u16,
        };
        self.bytes.extend_from_slice(bytes);
        self.ids.extend_from_slice(ids);
        self.place(entry);
    }

    /// Puts an entry in an empty place or, where there is none, in that of another.
    fn place(&mut self, entry: Entry) {
        let mut places = self.places(entry.hash);
        let empty = places.find(|&at| self.entries[at].hash == 0);
        self.used += usize::from(empty.is_some());
        let at = empty.unwrap_or(self.home(entry.hash));
        self.entries[at] = entry;
    }

    /// Gets a larger table; without the memory for one, entries make room for others.
    fn grow(&mut self) {
        let Ok(larger) = Table::zeroed(self.entries.len() * 8) else {
            return;
        };
        let smaller = std::mem::replace(&mut self.entries, larger);
        self.used = 0;
        for &entry in &*smaller {
            if entry.hash != 0 {
                self.place(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::hash;

    #[test]
    fn what_was_put_in_is_found_and_memory_stays_bounded() {
        let mut cache = LongCache::new().unwrap();
        let name = |i: u32| format!("a pretoken of many bytes, the {i}th");
        for i in 0..600_000 {
            let name = name(i);
            let hash = hash::of_long(name.as_bytes());
            assert_eq!(cache.get(name.as_bytes(), hash), None);
            cache.insert(name.as_bytes(), hash, &[i, i, i, 9]);
            assert_eq!(cache.get(name.as_bytes(), hash), Some(&[i, i, i, 9][..]));
        }
        let last = (0..100_000).map(|back| 599_999 - back);
        let found = last.filter(|&i| {
            let found = cache.get(name(i).as_bytes(), hash::of_long(name(i).as_bytes()));
            found
                .inspect(|ids| assert_eq!(*ids, [i, i, i, 9]))
                .is_some()
        });
        assert!(found.count() > 1000);
        assert!(cache.entries.len() <= MAX_ENTRIES);
        assert!(cache.bytes.len() <= MAX_BYTES && cache.ids.len() <= MAX_IDS);
    }
}
