//! Pretokens of up to 16 bytes and their ids.
//!
//! Up to six ids are stored in the entry, which is half a cache line; more are stored in the arena.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use shardmill_core::map::{OutOfMemory, Slab};
use shardmill_core::simd::{PACKED_A_WORD, PACKED_BITS, Simd, prefetch};
use shardmill_core::token::TokenId;

use crate::bpe::cache::arena::Arena;
use crate::bpe::cache::{Key, TAKEN};
use crate::bpe::hash::{ID_BITS, KEY_BYTES};

/// From this size on, 2 MiB, tables grow to the size that is expected to suffice; smaller ones
/// quadruple.
const LARGE_LINES: usize = 1 << 15;
/// A pretoken is in one of this many lines, or not cached. This bounds every search, even in a full
/// table or on adversarial text.
const PROBES: usize = 8;
/// The number of arena words for as many ids as a pretoken can have.
const LIST_WORDS: usize = KEY_BYTES / IDS_A_WORD;
const IDS_A_WORD: usize = 2;

#[derive(Debug, Default, bytemuck::Zeroable)]
#[repr(C, align(32))]
struct Entry {
    /// All zero if the entry is empty.
    key: [AtomicU64; 2],
    /// The four highest bits hold the number of ids, or [`SPILLED`]. Below them are up to
    /// [`MAX_PACKED`] ids, [`PACKED_A_WORD`] in a word, the first lowest; or, in the first word, the
    /// ids' offset in the arena and their number, 32 bits each.
    value: [AtomicU64; 2],
}

const MAX_PACKED: usize = 2 * PACKED_A_WORD;
/// The ids are in the arena.
const SPILLED: usize = MAX_PACKED + 1;
/// The number of bits of a word below these four.
const COUNT_SHIFT: u32 = 3 * PACKED_BITS;

const _: () = assert!(ID_BITS <= PACKED_BITS && PACKED_A_WORD == 3);

/// The entries of a cache line.
#[derive(Debug, Default, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([Entry; ENTRIES]);

const ENTRIES: usize = 2;

/// A table of entries.
#[derive(Debug)]
pub(super) struct Short {
    lines: Slab<Line>,
    /// Apart from `lines`, which every look-up reads.
    used: CachePadded<AtomicUsize>,
}

/// What a look-up reads, in a struct of its own so that a loop keeps it in registers.
#[derive(Clone, Copy, Debug)]
pub(in crate::bpe) struct View<'a> {
    lines: &'a [Line],
    arena: &'a Arena,
}

impl View<'_> {
    /// Prefetches the line of `hash`.
    #[inline(always)]
    pub(in crate::bpe) fn prefetch(self, hash: u64) {
        prefetch(self.lines, home(hash, self.lines.len()));
    }

    /// Writes the ids of a pretoken to the front of `to` and returns their number; `None` if it is
    /// not cached, and for [`Key::NONE`].
    #[inline(always)]
    pub(in crate::bpe) fn get(
        self,
        key: Key,
        hash: u64,
        s: impl Simd,
        to: &mut [TokenId; KEY_BYTES],
    ) -> Option<usize> {
        let mask = self.lines.len() - 1;
        let mut at = home(hash, self.lines.len());
        for _ in 0..PROBES {
            for entry in &self.lines[at].0 {
                // Pairs with `place`: if this is the first word of the key, the rest is there.
                let first = entry.key[0].load(Ordering::Acquire);
                if entry.has(first, key) {
                    return self.ids(entry, s, to);
                }
                // If an entry is there by now, the pretoken is only merged once more.
                if first == 0 {
                    return None;
                }
            }
            at = (at + 1) & mask;
        }
        None
    }

    #[inline(always)]
    fn ids(self, entry: &Entry, s: impl Simd, to: &mut [TokenId; KEY_BYTES]) -> Option<usize> {
        // Written before the key, which was loaded with `Acquire`, and never again.
        let [low, high] = [0, 1].map(|i| entry.value[i].load(Ordering::Relaxed));
        // As many are written as there can be, since their number is unpredictable.
        s.unpack([low, high], to.first_chunk_mut()?);
        let count = (high >> COUNT_SHIFT) as usize;
        if count <= MAX_PACKED {
            return Some(count);
        }
        let [at, len] = halves(low);
        // Read the maximum number; the last words may belong to other entries, and be written just
        // now. The others were written before the key. A fixed size needs no call.
        let words: &[_; LIST_WORDS] = self.arena.get(at, LIST_WORDS).first_chunk()?;
        for (word, to) in words.iter().zip(to.as_chunks_mut().0) {
            *to = halves(word.load(Ordering::Relaxed));
        }
        Some((len as usize).min(KEY_BYTES))
    }
}

impl Short {
    /// `len` empty lines, a power of two.
    pub(super) fn new(len: usize) -> Result<Self, OutOfMemory> {
        debug_assert!(len.is_power_of_two());
        Ok(Self {
            lines: Slab::zeroed_now(len)?,
            used: CachePadded::default(),
        })
    }

    /// The number of lines.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether so much is cached that the text must be long.
    pub(super) fn is_large(&self) -> bool {
        self.len() >= LARGE_LINES
    }

    /// Whether there should be more lines or, if there are already `max`, empty ones: some
    /// pretokens then find no place.
    pub(super) fn is_crowded(&self, max: usize) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        let entries = ENTRIES * self.len();
        if self.len() < max {
            8 * used > 5 * entries
        } else {
            4 * used > 3 * entries
        }
    }

    #[inline(always)]
    pub(super) fn view<'a>(&'a self, arena: &'a Arena) -> View<'a> {
        View {
            lines: &self.lines,
            arena,
        }
    }

    /// Caches the ids of a pretoken of 1 to 16 bytes, unless all its places are taken or the arena
    /// is full. Returns whether it took an entry, which the caller counts with [`Self::count`].
    pub(super) fn insert(&self, arena: &Arena, key: Key, hash: u64, ids: &[TokenId]) -> bool {
        let home = home(hash, self.len());
        // Another thread may have been faster. Do not fill the arena for nothing.
        let known = self.places(home).find_map(|entry| {
            let first = entry.key[0].load(Ordering::Acquire);
            (first == 0 || entry.has(first, key)).then_some(first != 0)
        });
        if known != Some(false) {
            return false;
        }
        let (kind, value) = if ids.len() <= MAX_PACKED {
            let (first, rest) = ids.split_at(ids.len().min(PACKED_A_WORD));
            (ids.len(), [first, rest].map(pack))
        } else {
            let words = ids.chunks(IDS_A_WORD).map(|ids| match *ids {
                [a, b] => whole([a, b]),
                _ => ids.iter().map(|&a| u64::from(a)).sum(),
            });
            let Some(at) = arena.push(words.len(), LIST_WORDS, words) else {
                return false;
            };
            let count = u32::try_from(ids.len()).unwrap_or(0);
            (SPILLED, [whole([at, count]), 0])
        };
        let [low, high] = value;
        self.place(home, key, [low, high | (kind as u64) << COUNT_SHIFT])
    }

    /// Counts entries that [`Self::insert`] took.
    pub(super) fn count(&self, entries: usize) {
        self.used.fetch_add(entries, Ordering::Relaxed);
    }

    /// A copy of the current entries in a larger table of at most `max` lines, for `more` times as
    /// many entries as now.
    pub(super) fn grown(&self, max: usize, more: usize) -> Result<Self, OutOfMemory> {
        let times = if self.is_large() {
            more.clamp(2, max)
        } else {
            4
        };
        let len = self.len() * times.next_power_of_two();
        let grown = Self::new(len.min(max))?;
        let mut entries = 0;
        for entry in self.lines.iter().flat_map(|line| &line.0) {
            let first = entry.key[0].load(Ordering::Acquire);
            if first > TAKEN {
                let key = Key([first, entry.key[1].load(Ordering::Relaxed)]);
                let value = [0, 1].map(|i| entry.value[i].load(Ordering::Relaxed));
                entries += usize::from(grown.place(home(key.hash(), grown.len()), key, value));
            }
        }
        grown.count(entries);
        Ok(grown)
    }

    fn places(&self, home: usize) -> impl Iterator<Item = &Entry> {
        let mask = self.len() - 1;
        (home..home + PROBES).flat_map(move |at| &self.lines[at & mask].0)
    }

    /// Writes an entry into the first empty place, if there is one.
    fn place(&self, home: usize, key: Key, value: [u64; 2]) -> bool {
        let free = self.places(home).find(|entry| {
            let first = &entry.key[0];
            // Only one thread turns the zero into `TAKEN`, whatever it sees of other memory, and it
            // reads nothing that another has written.
            first.load(Ordering::Relaxed) == 0
                && first
                    .compare_exchange(0, TAKEN, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
        });
        if let Some(entry) = free {
            entry.key[1].store(key.0[1], Ordering::Relaxed);
            for (to, word) in entry.value.iter().zip(value) {
                to.store(word, Ordering::Relaxed);
            }
            // Pairs with every `Acquire`: comes after the other words, and after those in the arena.
            entry.key[0].store(key.0[0], Ordering::Release);
        }
        free.is_some()
    }
}

impl Entry {
    /// Whether its key is `key`; `first` is the first word of its own key, loaded with `Acquire`.
    #[inline(always)]
    fn has(&self, first: u64, key: Key) -> bool {
        // May be newer than `first`, but then `first` is 0 or `TAKEN`, which no key has.
        let second = self.key[1].load(Ordering::Relaxed);
        (first ^ key.0[0]) | (second ^ key.0[1]) == 0
    }
}

/// The line at which a search begins, out of `len`.
#[inline(always)]
fn home(hash: u64, len: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
    let at = hash as usize & (len - 1);
    at
}

/// Packs up to [`PACKED_A_WORD`] ids, the first lowest.
fn pack(ids: &[TokenId]) -> u64 {
    let all = ids.iter().rev();
    all.fold(0, |all, &id| all << PACKED_BITS | u64::from(id))
}

/// Two ids as a word, the first in its lower half.
fn whole([low, high]: [u32; 2]) -> u64 {
    u64::from(high) << u32::BITS | u64::from(low)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> u32::BITS) as u32]
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use shardmill_core::simd::scalar::Scalar;

    use super::*;

    const MAX_LINES: usize = 1 << 17;

    fn key(i: u32) -> Key {
        let name = format!("{i:x}");
        Key::new(name.as_bytes())
    }

    fn get(short: &Short, arena: &Arena, key: Key) -> Option<Vec<TokenId>> {
        let mut ids = [TokenId::MAX; KEY_BYTES];
        let count = short.view(arena).get(key, key.hash(), Scalar, &mut ids)?;
        Some(ids[..count].to_vec())
    }

    #[test]
    fn what_was_put_in_is_found() {
        let arena = Arena::new(8 << 20);
        let mut short = Short::new(1 << 7).unwrap();
        let lists: Vec<Vec<_>> = (1..=16).map(|len| (len..2 * len).collect()).collect();
        // Enough that the table grows several times.
        for i in 0..100_000 {
            assert_eq!(get(&short, &arena, key(i)), None);
            let ids = &lists[i as usize % lists.len()];
            short.count(short.insert(&arena, key(i), key(i).hash(), ids).into());
            if short.is_crowded(MAX_LINES) {
                short = short.grown(MAX_LINES, 1).unwrap();
            }
        }
        let mut found = 0;
        for i in 0..100_000 {
            if let Some(ids) = get(&short, &arena, key(i)) {
                assert_eq!(ids, lists[i as usize % lists.len()]);
                found += 1;
            }
        }
        assert!(short.len() > 100_000);
        // Only a few found no place.
        assert!(found > 99_000, "{found}");
        assert_eq!(get(&short, &arena, Key::NONE), None);
    }

    #[test]
    fn a_full_one_leaves_out_what_it_must_and_stays_right() {
        let arena = Arena::new(1 << 20);
        let short = Short::new(1 << 9).unwrap();
        // Far more than there are entries, so none is empty in the end.
        for i in 0..100_000 {
            short.insert(&arena, key(i), key(i).hash(), &[i; 5]);
        }
        let mut found = 0;
        for i in 0..100_000 {
            if let Some(ids) = get(&short, &arena, key(i)) {
                assert_eq!(ids, [i; 5]);
                found += 1;
            }
        }
        assert_eq!(found, ENTRIES * short.len());
        assert!(!arena.is_full(), "what finds no place is not in the arena");
    }

    #[test]
    fn what_is_being_written_is_not_seen() {
        let arena = Arena::new(1 << 10);
        let short = Short::new(1 << 7).unwrap();
        for first in [0, TAKEN] {
            for entry in short.lines.iter().flat_map(|line| &line.0) {
                entry.key[0].store(first, Ordering::Relaxed);
                entry.value[0].store(7, Ordering::Relaxed);
                entry.value[1].store(1 << COUNT_SHIFT, Ordering::Relaxed);
            }
            for key in [Key::NONE, key(1), key(2)] {
                assert_eq!(get(&short, &arena, key), None);
            }
        }
    }

    #[test]
    fn what_is_there_already_takes_no_memory() {
        let arena = Arena::new(1 << 10);
        let short = Short::new(1 << 9).unwrap();
        for _ in 0..1000 {
            short.count(short.insert(&arena, key(7), key(7).hash(), &[7; 9]).into());
        }
        assert_eq!(get(&short, &arena, key(7)), Some(vec![7; 9]));
        assert_eq!(short.used.load(Ordering::Relaxed), 1);
        assert!(!arena.is_full());
    }

    /// Small, so that Miri can run it. Miri also shows a thread old values if the memory model
    /// allows it.
    #[test]
    fn threads_see_entries_as_a_whole_or_not_at_all() {
        const KEYS: u32 = 24;
        let lists: Vec<_> = (1..=16).map(|len| vec![len; len as usize]).collect();
        let ids = |i: u32| &lists[i as usize % lists.len()];
        for _ in 0..if cfg!(miri) { 1 } else { 1000 } {
            let arena = Arena::new(1 << 15);
            // Room for each key from each thread.
            let short = Short::new(1 << 6).unwrap();
            let grown = OnceLock::new();
            let meet = |short: &Short, thread: u32| {
                for i in 0..KEYS {
                    let i = (i * 5 + thread * 7) % KEYS;
                    match get(short, &arena, key(i)) {
                        Some(found) => assert_eq!(&found, ids(i)),
                        None => {
                            short.insert(&arena, key(i), key(i).hash(), ids(i));
                        }
                    }
                }
            };
            std::thread::scope(|scope| {
                for thread in 0..3 {
                    let (meet, short, grown) = (&meet, &short, &grown);
                    scope.spawn(move || {
                        meet(short, thread);
                        // One thread copies the table while others insert more.
                        meet(
                            grown.get_or_init(|| short.grown(1 << 8, 1).unwrap()),
                            thread,
                        );
                    });
                }
            });
            for short in [&short, grown.get().unwrap()] {
                assert!((0..KEYS).all(|i| get(short, &arena, key(i)).as_ref() == Some(ids(i))));
            }
        }
    }

    #[test]
    fn without_room_in_the_arena_long_lists_are_left_out() {
        let arena = Arena::new(64);
        let short = Short::new(1 << 9).unwrap();
        for (i, ids) in [(1, [1; 16]), (2, [2; 16])] {
            short.insert(&arena, key(i), key(i).hash(), &ids);
        }
        assert_eq!(get(&short, &arena, key(1)), Some(vec![1; 16]));
        assert_eq!(get(&short, &arena, key(2)), None);
    }
}
