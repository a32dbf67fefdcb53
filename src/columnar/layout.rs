//! Where the row groups of a file lie, and where it may be cut.

use std::ops::Range;

/// Where the row groups of a file lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// In order; those without rows are left out.
    groups: Vec<Group>,
    /// The size of the file.
    bytes: u64,
}

/// A row group, or all of a file whose row groups cannot be told apart by their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    /// Its index in the file.
    index: usize,
    first_row: u64,
    rows: u64,
    /// Where its bytes begin. The first group has those before it as well, and each the bytes up to
    /// the next.
    start: u64,
}

/// Rows of one row group that are read together.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) group: usize,
    /// The number of rows of the group before it.
    pub(super) before: u64,
    pub(super) rows: u64,
    /// About the length of its texts and kept fields together.
    pub(super) text_bytes: u64,
}

impl Layout {
    /// The layout of a file of `bytes` bytes with these row groups: for each, its number of rows and
    /// the range of its bytes.
    pub(super) fn new(groups: impl Iterator<Item = (u64, Range<u64>)>, bytes: u64) -> Self {
        let mut found: Vec<Group> = Vec::new();
        let mut first_row: u64 = 0;
        let mut end = 0;
        let mut is_ordered = true;
        for (index, (rows, range)) in groups.enumerate().filter(|(_, (rows, _))| *rows > 0) {
            is_ordered &= end <= range.start && range.start < range.end && range.end <= bytes;
            end = range.end;
            found.push(Group {
                index,
                first_row,
                rows,
                start: if found.is_empty() { 0 } else { range.start },
            });
            first_row = first_row.saturating_add(rows);
        }
        // No bytes belong to one group alone, so there is no place to cut.
        if !is_ordered {
            found.truncate(1);
            for group in &mut found {
                group.rows = first_row;
            }
        }
        Self {
            groups: found,
            bytes,
        }
    }

    /// The first allowed cut at or after byte `from`: the start of a row group other than the first.
    pub(crate) fn next_cut(&self, from: u64) -> Option<u64> {
        let later = self.groups.get(1..)?;
        let next = later.partition_point(|group| group.start < from);
        later.get(next).map(|group| group.start)
    }

    /// The nominal place of `row`; the size of the file for the row after the last.
    pub(super) fn place(&self, row: u64) -> u64 {
        let next = self.groups.partition_point(|group| group.first_row <= row);
        let Some(group) = next.checked_sub(1).map(|index| self.groups[index]) else {
            return self.bytes;
        };
        let end = self.groups.get(next).map_or(self.bytes, |next| next.start);
        let share = u128::from(end - group.start) * u128::from(row - group.first_row);
        let share = share / u128::from(group.rows);
        group
            .start
            .saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
            .min(end)
    }

    /// The index in the file of the row group of `row`, which is its first.
    pub(super) fn group_of(&self, row: u64) -> usize {
        let next = self.groups.partition_point(|group| group.first_row < row);
        self.groups.get(next).map_or(0, |group| group.index)
    }

    /// The number of rows before byte `at`, which is 0, an allowed cut, or the size of the file.
    pub(super) fn rows_before(&self, at: u64) -> u64 {
        let next = self.groups.partition_point(|group| group.start < at);
        let group = self.groups.get(next).or(self.groups.last());
        match group {
            Some(group) if next == self.groups.len() => group.first_row.saturating_add(group.rows),
            Some(group) => group.first_row,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(groups: &[(u64, Range<u64>)]) -> Layout {
        Layout::new(groups.iter().cloned(), 1000)
    }

    #[test]
    fn a_file_is_cut_between_row_groups() {
        let layout = layout(&[(10, 4..100), (0, 100..100), (5, 110..300), (1, 300..301)]);
        assert_eq!(layout.next_cut(0), Some(110));
        assert_eq!(layout.next_cut(110), Some(110));
        assert_eq!(layout.next_cut(111), Some(300));
        assert_eq!(layout.next_cut(301), None);
        let rows = [0, 110, 300, 1000].map(|at| layout.rows_before(at));
        assert_eq!(rows, [0, 10, 15, 16]);
    }

    #[test]
    fn places_of_rows_rise_from_group_to_group() {
        let layout = layout(&[(10, 4..100), (5, 110..300), (1, 300..301)]);
        let places: Vec<_> = (0..=16).map(|row| layout.place(row)).collect();
        let first = (0..10).map(|row| row * 11);
        let second = (0..5).map(|row| 110 + row * 38);
        let expected: Vec<u64> = first.chain(second).chain([300, 1000]).collect();
        assert_eq!(places, expected);
    }

    #[test]
    fn groups_that_overlap_are_one() {
        for groups in [
            [(10, 4..100), (5, 50..300)],
            [(10, 200..300), (5, 4..100)],
            [(10, 4..100), (5, 100..1001)],
            [(10, 4..100), (5, 100..100)],
        ] {
            let layout = layout(&groups);
            assert_eq!(layout.next_cut(0), None, "{groups:?}");
            assert_eq!(layout.rows_before(1000), 15, "{groups:?}");
            assert_eq!([0, 15].map(|row| layout.place(row)), [0, 1000]);
        }
        assert_eq!(layout(&[]).place(0), 1000);
    }
}
