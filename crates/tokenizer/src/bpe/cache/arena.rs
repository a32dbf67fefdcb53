//! An append-only store of words: ids that do not fit in an entry, and the bytes of long pretokens.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use shardmill_core::map::Slab;
use shardmill_core::simd::prefetch;

/// The number of words of the first segment, 32 KiB. Each segment is twice as large as the one
/// before.
const FIRST_WORDS: usize = 1 << 12;
const SEGMENTS: usize = 20;

/// Grows by segments, so that words stay in place while others are added.
#[derive(Debug)]
pub(super) struct Arena {
    segments: [OnceLock<Option<Slab<AtomicU64>>>; SEGMENTS],
    max_words: AtomicUsize,
    /// Apart from `segments`, which look-ups read.
    used: CachePadded<AtomicUsize>,
}

impl Arena {
    pub(super) fn new(max_bytes: usize) -> Self {
        let arena = Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
            max_words: AtomicUsize::new(0),
            used: CachePadded::default(),
        };
        arena.allow(max_bytes);
        arena
    }

    /// Allows it to grow to `max_bytes`, if that is more than before.
    pub(super) fn allow(&self, max_bytes: usize) {
        let words = (max_bytes / size_of::<u64>()).min(FIRST_WORDS << (SEGMENTS - 1));
        self.max_words.fetch_max(words, Ordering::Relaxed);
    }

    fn max_words(&self) -> usize {
        self.max_words.load(Ordering::Relaxed)
    }

    pub(super) fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.max_words()
    }

    /// Appends `len` words and returns their offset, or `None` when full. `room` words may be read
    /// from there; those past `len` belong to other entries. A thread that learns the offset
    /// through an `Acquire` load can read the words.
    pub(super) fn push(
        &self,
        len: usize,
        room: usize,
        words: impl Iterator<Item = u64>,
    ) -> Option<u32> {
        debug_assert!(len > 0);
        let room = room.max(len);
        // Every thread gets words of its own, in whatever order the threads see that.
        let mut at = self.used.fetch_add(len, Ordering::Relaxed);
        while segment_of(at).0 != segment_of(at + room - 1).0 {
            // The rest of the segment stays empty; the next one is larger and has room.
            at = self.used.fetch_add(len, Ordering::Relaxed);
        }
        let (segment, start) = segment_of(at);
        if at + room > self.max_words() || segment >= SEGMENTS {
            return None;
        }
        let table = self.segments[segment]
            .get_or_init(|| Slab::zeroed(FIRST_WORDS << segment).ok())
            .as_ref()?;
        for (to, word) in table.get(start..start + len)?.iter().zip(words) {
            // The caller publishes the offset with `Release`.
            to.store(word, Ordering::Relaxed);
        }
        u32::try_from(at).ok()
    }

    /// Prefetches the first and the last of the `len` words at `at`.
    pub(super) fn prefetch(&self, at: u32, len: usize) {
        let words = self.get(at, len);
        prefetch(words, 0);
        prefetch(words, words.len().saturating_sub(1));
    }

    /// The `len` words at `at`; empty for an offset that `push` did not return.
    #[inline(always)]
    pub(super) fn get(&self, at: u32, len: usize) -> &[AtomicU64] {
        let (segment, start) = segment_of(at as usize);
        let table = self.segments[segment % SEGMENTS].get();
        let words = table.and_then(Option::as_ref);
        words.map_or(&[], |words| words.get(start..start + len).unwrap_or(&[]))
    }
}

/// The segment of a word, and its offset in it.
#[inline(always)]
fn segment_of(at: usize) -> (usize, usize) {
    let at = at + FIRST_WORDS;
    let segment = (at / FIRST_WORDS).ilog2();
    (segment as usize, at - (FIRST_WORDS << segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_places_and_the_arena_its_bound() {
        let arena = Arena::new(1 << 20);
        let mut places = Vec::new();
        while let Some(at) = arena.push(7, 7, (0..7).map(|i| places.len() as u64 * 7 + i)) {
            places.push(at);
        }
        // Little is lost at the ends of segments.
        let most = (1 << 20) / 8 / 7;
        assert!((most - 20..=most).contains(&places.len()) && arena.is_full());
        for (n, &at) in (0..).zip(&places) {
            let words = arena.get(at, 7).iter();
            let words: Vec<_> = words.map(|word| word.load(Ordering::Relaxed)).collect();
            assert_eq!(words, (n * 7..n * 7 + 7).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn what_is_put_in_has_its_room() {
        let arena = Arena::new(1 << 20);
        while let Some(at) = arena.push(3, 8, [1, 2, 3].into_iter()) {
            let words: Vec<_> = arena
                .get(at, 8)
                .iter()
                .map(|w| w.load(Ordering::Relaxed))
                .collect();
            assert_eq!((words.len(), &words[..3]), (8, &[1, 2, 3][..]));
        }
        assert!(
            arena.get(0, FIRST_WORDS + 1).is_empty(),
            "there was more than one segment"
        );
    }

    #[test]
    fn segments_follow_each_other() {
        let mut expected = (0, 0);
        for at in 0..10 * FIRST_WORDS {
            assert_eq!(segment_of(at), expected);
            expected.1 += 1;
            if expected.1 == FIRST_WORDS << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }
}
