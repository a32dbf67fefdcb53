//! Which pairs merge, and to what. The build script uses it, too.
//!
//! [`Pairs`] grows while a vocabulary's tables are built. A [`PairTable`] is what texts are merged
//! by: a perfect hash, so a look-up reads one entry, whether the pair merges or not.
//!
//! ```text
//! hash of the pair
//!  upper bits: its group      all bits
//!  |                          |
//!  displacements[group] = d   hash >> (d & 63) ^ d = place
//!                                                    |
//!  entries[place] = left << 44 | right << 24 | merged, or EMPTY
//! ```
//!
//! The displacement of a group is chosen so that its pairs have places of their own, the largest
//! groups first. It also shifts the hash: pairs whose lower bits are equal would stay together if
//! it only changed bits. An entry has the whole pair, so what is not in the table is never found.

#![allow(
    clippy::cast_possible_truncation,
    reason = "hashes are masked to the table, and sizes are those of a vocabulary"
)]

use std::cmp::Reverse;
use std::hint::select_unpredictable;

use super::hash;

/// In place of a number: the pair does not merge.
const NONE: u32 = u32::MAX;

/// How many bits of an entry hold what the pair merges to.
const MERGED_BITS: u32 = 24;

/// An entry without a pair: its left part is more than any number, and not what merging puts at
/// both ends of a text.
pub(crate) const EMPTY: u64 = 1 << hash::ID_BITS << (20 + MERGED_BITS);

/// How many groups and entries an empty table has.
const FEWEST_GROUPS: usize = 2;
const FEWEST_ENTRIES: usize = 8;

/// Groups are numbered by this many bits of a hash at most.
const GROUP_BITS: u32 = 16;

/// How often a table is tried with other multipliers, and then with more entries.
const SEEDS: u32 = 8;
const SIZES: usize = 4;

/// An entry of two adjacent numbers and what they merge to.
const fn entry(left: u32, right: u32, merged: u32) -> u64 {
    hash::pair_key(left, right) << MERGED_BITS | merged as u64
}

/// Pairs, each with what it merges to.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    /// A power of two, by the hash of the pair, probed linearly.
    entries: Vec<u64>,
    count: usize,
}

impl Pairs {
    /// Room for the pairs of this many tokens; it grows if there are more.
    pub(crate) fn for_tokens(tokens: usize) -> Self {
        Self {
            entries: vec![EMPTY; (tokens * 2).next_power_of_two()],
            count: 0,
        }
    }

    /// What two numbers merge to; all ones if nothing.
    pub(crate) fn get(&self, left: u32, right: u32) -> u32 {
        let pair = entry(left, right, 0);
        let found = self.entries[self.place(pair)] ^ pair;
        if found < 1 << MERGED_BITS {
            found as u32
        } else {
            NONE
        }
    }

    /// Adds a pair that is not there.
    pub(crate) fn add(&mut self, left: u32, right: u32, merged: u32) {
        self.count += 1;
        if self.count * 2 > self.entries.len() {
            let larger = vec![EMPTY; self.entries.len() * 2];
            for entry in std::mem::replace(&mut self.entries, larger) {
                self.put(entry);
            }
        }
        self.put(entry(left, right, merged));
    }

    fn put(&mut self, entry: u64) {
        if entry != EMPTY {
            let place = self.place(entry);
            self.entries[place] = entry;
        }
    }

    /// Where the pair of an entry is, or belongs.
    fn place(&self, entry: u64) -> usize {
        let key = entry >> MERGED_BITS;
        let mask = self.entries.len() - 1;
        let mut at = hash::pair(key) as usize & mask;
        while self.entries[at] != EMPTY && self.entries[at] >> MERGED_BITS != key {
            at = (at + 1) & mask;
        }
        at
    }

    /// The table of these pairs, which does not depend on the order in which they were added. `None`
    /// if none is found; that any list has none is only a possibility.
    pub(crate) fn table(&self) -> Option<PairTable> {
        let known = self.entries.iter().filter(|&&entry| entry != EMPTY);
        PairTable::of(&known.copied().collect::<Vec<u64>>())
    }
}

/// Pairs, each with what it merges to, as a perfect hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PairTable {
    /// Selects the hash function.
    pub(crate) seed: u32,
    pub(crate) displacements: Vec<u16>,
    pub(crate) entries: Vec<u64>,
}

impl Default for PairTable {
    fn default() -> Self {
        Self {
            seed: 0,
            displacements: vec![0; FEWEST_GROUPS],
            entries: vec![EMPTY; FEWEST_ENTRIES],
        }
    }
}

impl PairTable {
    /// The table of these entries, whose pairs differ; `None` if none is found.
    fn of(known: &[u64]) -> Option<Self> {
        // Up to 6.25 pairs for each group on average, and one entry in 41 is free: the last groups
        // need some to choose from.
        let groups = (known.len() * 4 / 25).next_power_of_two();
        let groups = groups.clamp(FEWEST_GROUPS, 1 << GROUP_BITS);
        let entries = (known.len() + known.len() / 40).next_power_of_two();
        let entries = entries.max(FEWEST_ENTRIES);
        let sizes = (0..SIZES).map(|more| entries << more);
        let mut tries = sizes.flat_map(|entries| (0..SEEDS).map(move |seed| (entries, seed)));
        tries.find_map(|(entries, seed)| {
            let mut table = Self {
                seed,
                displacements: vec![0; groups],
                entries: vec![EMPTY; entries],
            };
            table.fill(known)?;
            Some(table)
        })
    }

    /// Puts entries into an empty table; `None` if there is no displacement for some of them.
    fn fill(&mut self, known: &[u64]) -> Option<()> {
        let view = self.view();
        let hash = |entry: u64| view.hash(entry >> MERGED_BITS);
        let group = |hash: u64| view.group(hash);
        // The entries of each group, one group after another.
        let mut ends = vec![0; view.displacements.len()];
        for &entry in known {
            ends[group(hash(entry))] += 1;
        }
        let sizes = ends.clone();
        for at in 1..ends.len() {
            ends[at] += ends[at - 1];
        }
        let mut next: Vec<usize> = ends
            .iter()
            .zip(&sizes)
            .map(|(end, size)| end - size)
            .collect();
        let mut sorted = vec![(0, 0); known.len()];
        for &entry in known {
            let hash = hash(entry);
            let next = &mut next[group(hash)];
            sorted[*next] = (hash, entry);
            *next += 1;
        }
        let mut order: Vec<usize> = (0..ends.len()).collect();
        order.sort_by_key(|&group| Reverse(sizes[group]));
        for group in order {
            let members = &sorted[ends[group] - sizes[group]..ends[group]];
            let displacement = self.displacement(members)?;
            self.displacements[group] = displacement;
            for &(hash, entry) in members {
                let place = displaced(hash, displacement, self.entries.len());
                self.entries[place] = entry;
            }
        }
        Some(())
    }

    /// The first displacement that leads to places that are free, a different one for each of the
    /// `members`, which are hashes with their entries.
    fn displacement(&self, members: &[(u64, u64)]) -> Option<u16> {
        let place = |hash, by| displaced(hash, by, self.entries.len());
        let fits = |&by: &u16| {
            let are_free = members
                .iter()
                .all(|&(hash, _)| self.entries[place(hash, by)] == EMPTY);
            are_free
                && members.iter().enumerate().all(|(i, &(hash, _))| {
                    let mut others = members[..i].iter();
                    others.all(|&(other, _)| place(other, by) != place(hash, by))
                })
        };
        (0..=u16::MAX).find(fits)
    }

    pub(crate) fn view(&self) -> PairTableRef<'_> {
        PairTableRef::new(self.seed, &self.displacements, &self.entries)
    }
}

/// Where a pair of this hash is, if its group has this displacement.
#[inline(always)]
fn displaced(hash: u64, by: u16, entries: usize) -> usize {
    let by = u64::from(by);
    (hash >> (by % 64) ^ by) as usize & (entries - 1)
}

/// A [`PairTable`], wherever it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairTableRef<'a> {
    multiplier: u64,
    displacements: &'a [u16],
    pub(crate) entries: &'a [u64],
}

/// Two adjacent numbers, and the place of their entry if they merge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    /// An entry but for what they merge to.
    entry: u64,
    pub(crate) place: usize,
}

impl Pair {
    /// A placeholder for no pair.
    pub(crate) const NONE: Self = Self { entry: 0, place: 0 };
}

impl<'a> PairTableRef<'a> {
    /// The table of these parts, both powers of two.
    pub(crate) const fn new(seed: u32, displacements: &'a [u16], entries: &'a [u64]) -> Self {
        Self {
            multiplier: hash::multiplier(seed),
            displacements,
            entries,
        }
    }

    #[inline(always)]
    fn hash(self, key: u64) -> u64 {
        hash::pair_by(key, self.multiplier)
    }

    #[inline(always)]
    fn group(self, hash: u64) -> usize {
        (hash >> (u64::BITS - GROUP_BITS)) as usize & (self.displacements.len() - 1)
    }

    /// The pair of two adjacent numbers.
    #[inline(always)]
    pub(crate) fn pair(self, left: u32, right: u32) -> Pair {
        let key = hash::pair_key(left, right);
        let hash = self.hash(key);
        let by = self.displacements[self.group(hash)];
        Pair {
            entry: key << MERGED_BITS,
            place: displaced(hash, by, self.entries.len()),
        }
    }

    /// What a pair of this table merges to; all ones if nothing. Whether it merges is unpredictable,
    /// so no branch depends on it.
    #[inline(always)]
    pub(crate) fn get(self, pair: Pair) -> u32 {
        let found = self.entries[pair.place] ^ pair.entry;
        select_unpredictable(found < 1 << MERGED_BITS, found as u32, NONE)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;

    /// The largest number, and what takes the place of one at both ends of a text.
    const LAST: u32 = (1 << hash::ID_BITS) - 1;
    const EDGE: u32 = (1 << 20) - 1;

    fn random(state: &mut u64) -> u32 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (*state >> 33) as u32 & LAST
    }

    fn table(list: &[(u32, u32)]) -> PairTable {
        let mut pairs = Pairs::for_tokens(16);
        for (&(left, right), merged) in list.iter().zip(0..) {
            assert_eq!(pairs.get(left, right), NONE);
            pairs.add(left, right, merged);
            assert_eq!(pairs.get(left, right), merged);
        }
        pairs.table().unwrap()
    }

    /// Every pair is found, and no other.
    fn check(list: &[(u32, u32)]) {
        let table = table(list);
        let view = table.view();
        let get = |left, right| view.get(view.pair(left, right));
        let known: HashMap<_, _> = list.iter().copied().zip(0..).collect();
        for (&(left, right), &merged) in &known {
            assert_eq!(get(left, right), merged, "{} pairs", list.len());
            for (left, right) in [
                (right, left),
                (left, right ^ 1),
                (left ^ 1, right),
                (EDGE, right),
                (left, EDGE),
                (left, left),
            ] {
                let expected = known.get(&(left, right)).copied().unwrap_or(NONE);
                assert_eq!(get(left, right), expected, "{} pairs", list.len());
            }
        }
        for (left, right) in [(EDGE, EDGE), (0, EDGE), (EDGE, 0)] {
            assert_eq!(get(left, right), NONE);
        }
        let mut state = 7;
        for _ in 0..10_000 {
            let (left, right) = (random(&mut state), random(&mut state));
            let expected = known.get(&(left, right)).copied().unwrap_or(NONE);
            assert_eq!(get(left, right), expected);
        }
        let used = table.entries.iter().filter(|&&entry| entry != EMPTY);
        assert_eq!(used.count(), list.len());
        // Any order of the same pairs, in fewer steps, makes the same table.
        let mut pairs = Pairs::for_tokens(list.len());
        for (merged, &(left, right)) in list.iter().enumerate().rev() {
            pairs.add(left, right, merged as u32);
        }
        assert!(pairs.table().unwrap() == table);
    }

    #[test]
    fn short_lists_have_tables() {
        assert_eq!(Pairs::for_tokens(0).table(), Some(PairTable::default()));
        for count in (0..300).chain([1000, 1023, 1024, 1025]) {
            let mut state = u64::from(count);
            check(&(0..count).map(|i| (i, i + 1)).collect::<Vec<_>>());
            let mut all = BTreeSet::new();
            while all.len() < count as usize {
                all.insert((random(&mut state), random(&mut state)));
            }
            check(&all.into_iter().collect::<Vec<_>>());
        }
    }

    /// In which numbers differ in few bits, or by regular steps.
    #[test]
    fn regular_lists_have_tables() {
        let count = 20_000;
        check(&(0..count).map(|i| (i, i)).collect::<Vec<_>>());
        check(&(0..count).map(|i| (0, i)).collect::<Vec<_>>());
        check(&(0..count).map(|i| (i, LAST)).collect::<Vec<_>>());
        check(&(0..count).map(|i| (i % 128, i / 128)).collect::<Vec<_>>());
        check(&(0..count).map(|i| (LAST, i * 16)).collect::<Vec<_>>());
        check(&(0..count).map(|i| (i * 16, i / 2)).collect::<Vec<_>>());
        let bits = (0..19).flat_map(|left| (0..19).map(move |right| (1 << left, 1 << right)));
        check(&bits.collect::<Vec<_>>());
    }

    /// As long as lists get, and as full as tables get.
    #[test]
    fn long_lists_have_tables() {
        for count in [126_000, 127_744, 150_000, LAST] {
            check(&(0..count).map(|i| (i / 3, i)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn without_a_table_there_is_none() {
        let twice = [entry(1, 2, 3), entry(1, 2, 4)];
        assert_eq!(PairTable::of(&twice), None);
    }
}
