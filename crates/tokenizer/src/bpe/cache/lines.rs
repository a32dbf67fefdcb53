//! Maps the hash of a pretoken of more than 16 bytes to its location in the arena: a table of cache
//! lines, each with four keys and four locations.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use shardmill_core::map::{OutOfMemory, Slab};
use shardmill_core::simd::prefetch;

use crate::bpe::cache::TAKEN;
use crate::bpe::cache::arena_ref::ArenaRef;

/// The number of entries of a line.
const ENTRIES: usize = 4;

#[derive(Debug, Default, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line {
    hashes: [AtomicU64; ENTRIES],
    places: [AtomicU64; ENTRIES],
}

#[derive(Debug)]
pub(super) struct Lines {
    lines: Slab<Line>,
    /// Apart from `lines`, which every look-up reads.
    used: CachePadded<AtomicUsize>,
}

impl Lines {
    /// `len` empty lines; a power of two, at least 2.
    pub(super) fn new(len: usize) -> Result<Self, OutOfMemory> {
        debug_assert!(len.is_power_of_two() && len >= 2);
        Ok(Self {
            lines: Slab::zeroed_now(len)?,
            used: CachePadded::default(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there should be more lines: with five of eight entries used, 2.5 % of insertions
    /// have found both of their lines full.
    pub(super) fn is_crowded(&self) -> bool {
        8 * self.used.load(Ordering::Relaxed) > 5 * ENTRIES * self.len()
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let at = hash as usize & (self.len() - 1);
        at
    }

    /// The lines that may contain a hash.
    fn candidates(&self, hash: u64) -> [&Line; 2] {
        let home = self.home(hash);
        [home, home ^ 1].map(|at| &self.lines[at])
    }

    /// Prefetches the line of a hash.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch(&self.lines, self.home(hash));
    }

    /// The location of the pretoken with this hash, if it is cached.
    pub(super) fn get(&self, hash: u64) -> Option<ArenaRef> {
        for line in self.candidates(hash) {
            let hashes = line.hashes.iter();
            // `Acquire` pairs with `insert`: the place, and the words there, were written before.
            let entry = hashes.zip(&line.places).find_map(|(found, place)| {
                (found.load(Ordering::Acquire) == hash).then(|| place.load(Ordering::Relaxed))
            });
            if let Some(place) = entry {
                return Some(ArenaRef(place));
            }
            // Entries are filled from the first on. An entry goes to the other line only if this
            // one is full, and entries are never removed. If this one has become full meanwhile, the
            // pretoken is only merged once more.
            if line.has_room() {
                break;
            }
        }
        None
    }

    /// Whether one of the two lines has room for a hash.
    pub(super) fn has_room(&self, hash: u64) -> bool {
        self.candidates(hash).iter().any(|line| line.has_room())
    }

    /// Adds an entry, unless both of its lines are full.
    pub(super) fn insert(&self, hash: u64, place: ArenaRef) {
        debug_assert!(hash > TAKEN);
        if self
            .candidates(hash)
            .iter()
            .any(|line| line.insert(hash, place))
        {
            self.used.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A copy of the current entries in `len` lines.
    pub(super) fn grown(&self, len: usize) -> Result<Self, OutOfMemory> {
        let grown = Self::new(len)?;
        for line in &*self.lines {
            for (hash, place) in line.hashes.iter().zip(&line.places) {
                let hash = hash.load(Ordering::Acquire);
                if hash > TAKEN {
                    grown.insert(hash, ArenaRef(place.load(Ordering::Relaxed)));
                }
            }
        }
        Ok(grown)
    }
}

impl Line {
    fn has_room(&self) -> bool {
        self.hashes[ENTRIES - 1].load(Ordering::Relaxed) == 0
    }

    fn insert(&self, hash: u64, place: ArenaRef) -> bool {
        for (to, to_place) in self.hashes.iter().zip(&self.places) {
            // Only one thread turns the zero into `TAKEN`, and it reads nothing of another's.
            let is_free = to.load(Ordering::Relaxed) == 0
                && to
                    .compare_exchange(0, TAKEN, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if is_free {
                to_place.store(place.0, Ordering::Relaxed);
                // Pairs with every `Acquire`: comes after the place, and after the words there.
                to.store(hash, Ordering::Release);
                return true;
            }
        }
        false
    }
}
