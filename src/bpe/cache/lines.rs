//! Maps the hash of a pretoken of more than 16 bytes to its location in the arena: a table of cache
//! lines, each with four keys and four locations.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::bpe::cache::TAKEN;
use crate::bpe::cache::arena_ref::ArenaRef;
use crate::error::Result;
use crate::map::Slab;
use crate::simd::prefetch;

/// Entries of a line.
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
    used: AtomicUsize,
}

impl Lines {
    /// `len` empty ones, a power of two from 2 on.
    pub(super) fn new(len: usize) -> Result<Self> {
        debug_assert!(len.is_power_of_two() && len >= 2);
        Ok(Self {
            lines: Slab::zeroed_now(len)?,
            used: AtomicUsize::new(0),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there should be more lines: at five of eight entries, 2.5 % have found both of
    /// their lines full.
    pub(super) fn is_crowded(&self) -> bool {
        8 * self.used.load(Ordering::Relaxed) > 5 * ENTRIES * self.len()
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let at = hash as usize & (self.len() - 1);
        at
    }

    /// The lines that may have a hash.
    fn candidates(&self, hash: u64) -> [&Line; 2] {
        let home = self.home(hash);
        [home, home ^ 1].map(|at| &self.lines[at])
    }

    /// Brings the line of a hash near.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch(&self.lines, self.home(hash));
    }

    /// Where the pretoken of a hash lies, if it is known.
    pub(super) fn get(&self, hash: u64) -> Option<ArenaRef> {
        for line in self.candidates(hash) {
            let hashes = line.hashes.iter();
            let entry = hashes.zip(&line.places).find_map(|(found, place)| {
                (found.load(Ordering::Acquire) == hash).then(|| place.load(Ordering::Relaxed))
            });
            if let Some(place) = entry {
                return Some(ArenaRef(place));
            }
            // Entries are taken from the first on. Only what finds no room goes to the other line,
            // and no room is ever made.
            if line.has_room() {
                break;
            }
        }
        None
    }

    /// Whether one of its two lines has a place for a hash.
    pub(super) fn has_room(&self, hash: u64) -> bool {
        self.candidates(hash).iter().any(|line| line.has_room())
    }

    /// Adds an entry. Where both of its lines are full, it is left out.
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

    /// As many as there are, in `len` lines.
    pub(super) fn grown(&self, len: usize) -> Result<Self> {
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
            let is_free = to.load(Ordering::Relaxed) == 0
                && to
                    .compare_exchange(0, TAKEN, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if is_free {
                to_place.store(place.0, Ordering::Relaxed);
                to.store(hash, Ordering::Release);
                return true;
            }
        }
        false
    }
}
