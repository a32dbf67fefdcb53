//! A hash table of cache lines that threads read and fill at once, without locks.
//!
//! ```text
//! word           0      1      2      3      4      5      6      7
//! narrow line    key    key    key    key    value  value  value  value
//! wide line      key    key    key'   key'   value  value  value' value'
//! ```
//!
//! A narrow entry has a key and a value of one word, a wide one of two: that of a pretoken of more
//! than 8 bytes.
//!
//! An entry is written once and never changes: whoever takes a place puts [`TAKEN`] in its first
//! word, writes the others, and then the key, with `Release`. A reader takes the key with `Acquire`
//! and believes the other words only where it is the one that it looks for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::Result;
use crate::bpe::cache::value::Value;
use crate::map::Table;
use crate::simd::prefetch;

/// In the place of a key that is being written. Its first byte would be 0xFE, which is not UTF-8.
const TAKEN: u64 = 1;

/// A key; the second word is zero where a narrow entry has it.
pub(super) type Words = [u64; 2];

#[derive(Debug, Default, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([AtomicU64; 8]);

/// Where a line has its values.
const VALUES: usize = 4;

/// Entries by key and hash. With `MIXED` every other line is of wide entries, which are those with
/// a second word of their key; else all are narrow.
#[derive(Debug)]
pub(super) struct Lines<const MIXED: bool> {
    lines: Table<Line>,
    /// Narrow entries, and wide ones.
    used: [AtomicUsize; 2],
}

impl<const MIXED: bool> Lines<MIXED> {
    /// `lines` empty ones, a power of two from 4 on.
    pub(super) fn new(lines: usize) -> Result<Self> {
        debug_assert!(lines.is_power_of_two() && lines >= 4);
        Ok(Self {
            lines: Table::zeroed_now(lines)?,
            used: [const { AtomicUsize::new(0) }; 2],
        })
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there should be more lines: an entry then hardly finds its line full.
    pub(super) fn is_crowded(&self) -> bool {
        let [narrow, wide] = [0, 1].map(|kind| self.used[kind].load(Ordering::Relaxed));
        let lines = self.len() >> u32::from(MIXED);
        // Two of four, and three of four in two lines: some 1 % then find both of theirs full.
        narrow > 2 * lines || 4 * wide > 3 * lines
    }

    #[inline(always)]
    fn home(&self, key: Words, hash: u64) -> usize {
        let kind = u64::from(key[1] != 0);
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let at = (hash << u32::from(MIXED) | kind) as usize & (self.lines.len() - 1);
        at
    }

    /// Brings the line of a key near.
    #[inline(always)]
    pub(super) fn prefetch(&self, key: Words, hash: u64) {
        prefetch(&self.lines, self.home(key, hash));
    }

    /// What is known of a key, else nothing.
    pub(super) fn get(&self, key: Words, hash: u64) -> Value {
        let is_wide = key[1] != 0;
        for at in self.places(key, hash) {
            let line = &self.lines[at];
            if let Some(value) = line.find(key) {
                return value;
            }
            // Only what finds no room goes to the other line, and no room is ever made.
            if line.has_room(is_wide) {
                break;
            }
        }
        Value::default()
    }

    /// The lines that may have a key, both of the same kind.
    fn places(&self, key: Words, hash: u64) -> [usize; 2] {
        let home = self.home(key, hash);
        [home, home ^ 2]
    }

    /// Adds an entry. Where both of its lines are full, it is left out.
    pub(super) fn insert(&self, key: Words, hash: u64, value: Value) {
        debug_assert!(key[0] > TAKEN && (MIXED || key[1] == 0));
        for at in self.places(key, hash) {
            if self.lines[at].insert(key, value) {
                self.used[usize::from(key[1] != 0)].fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }

    /// As many as there are, in `lines` lines.
    pub(super) fn grown(&self, lines: usize, hash_of: impl Fn(Words) -> u64) -> Result<Self> {
        let grown = Self::new(lines)?;
        for (at, line) in self.lines.iter().enumerate() {
            for (key, value) in line.written(MIXED && at % 2 == 1) {
                grown.insert(key, hash_of(key), value);
            }
        }
        Ok(grown)
    }
}

impl Line {
    fn find(&self, key: Words) -> Option<Value> {
        let is_wide = key[1] != 0;
        let i = (0..Self::entries(is_wide)).find(|&i| {
            self.0[i].load(Ordering::Acquire) == key[0]
                && (!is_wide || self.0[2 + i].load(Ordering::Relaxed) == key[1])
        })?;
        Some(self.value(i, is_wide))
    }

    /// Entries are taken from the first on.
    fn has_room(&self, is_wide: bool) -> bool {
        self.0[Self::entries(is_wide) - 1].load(Ordering::Relaxed) == 0
    }

    /// How many entries a line has.
    const fn entries(is_wide: bool) -> usize {
        if is_wide { 2 } else { 4 }
    }

    /// The value of an entry that has been written.
    fn value(&self, i: usize, is_wide: bool) -> Value {
        let word = |i: usize| self.0[i].load(Ordering::Relaxed);
        Value([
            word(VALUES + i),
            if is_wide { word(VALUES + 2 + i) } else { 0 },
        ])
    }

    fn insert(&self, key: Words, value: Value) -> bool {
        let is_wide = key[1] != 0;
        for i in 0..Self::entries(is_wide) {
            let first = &self.0[i];
            let is_free = first.load(Ordering::Relaxed) == 0
                && first
                    .compare_exchange(0, TAKEN, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if is_free {
                self.0[VALUES + i].store(value.0[0], Ordering::Relaxed);
                if is_wide {
                    self.0[2 + i].store(key[1], Ordering::Relaxed);
                    self.0[VALUES + 2 + i].store(value.0[1], Ordering::Relaxed);
                }
                first.store(key[0], Ordering::Release);
                return true;
            }
        }
        false
    }

    /// What has been written.
    fn written(&self, is_wide: bool) -> impl Iterator<Item = (Words, Value)> {
        (0..Self::entries(is_wide)).filter_map(move |i| {
            let first = self.0[i].load(Ordering::Acquire);
            let second = if is_wide {
                self.0[2 + i].load(Ordering::Relaxed)
            } else {
                0
            };
            (first > TAKEN).then(|| ([first, second], self.value(i, is_wide)))
        })
    }
}
