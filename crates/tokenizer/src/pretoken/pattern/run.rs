//! A table and a text -> matches, as `find_iter` of a backtracking engine returns them.

use shardmill_core::simd::{BLOCK, Level};

use super::cell::{Cell, START};
use super::dfa::Dfa;
use super::guard::Guard;
use super::loops::Tile;

impl Dfa {
    /// The end of the match that begins at byte `at`; `at` if there is none.
    fn attempt(&self, text: &[u8], at: usize, guard: &mut Guard) -> usize {
        if guard.is_on(at) {
            return guard.attempt(self, text, at);
        }
        let mut end = at;
        let mut row = START;
        let mut pos = at;
        loop {
            let (cell, len) = self.cell(text, row, pos);
            if cell.is_match() {
                end = pos;
            }
            if cell.is_stop() {
                guard.note(end, pos);
                return end;
            }
            row = cell.row();
            pos += len;
        }
    }

    /// Where the first match that begins at or after byte `at` begins and ends.
    pub(crate) fn find(
        &self,
        text: &[u8],
        mut at: usize,
        guard: &mut Guard,
    ) -> Option<(usize, usize)> {
        loop {
            let rest = text.get(at..)?;
            at += rest
                .iter()
                .position(|&byte| self.may_begin[usize::from(byte)])?;
            let (class, len) = self.class(text, at)?;
            if !self.cells[START + class].is_stop() {
                let end = self.attempt(text, at, guard);
                if end > at {
                    return Some((at, end));
                }
            }
            at += len;
        }
    }

    /// Calls `each` with the end of every match and of everything between matches, in order, and
    /// whether it is a match.
    pub(crate) fn pieces(&self, text: &[u8], mut each: impl FnMut(usize, bool)) {
        let mut guard = Guard::default();
        let mut at = 0;
        while at < text.len() {
            let (start, end) = self
                .find(text, at, &mut guard)
                .unwrap_or((text.len(), text.len()));
            if start > at {
                each(start, false);
            }
            if end > start {
                each(end, true);
            }
            at = end;
        }
    }

    /// Like [`Dfa::pieces`], for the ends alone, which are added to `ends`, each with `base` added.
    pub(crate) fn ends(&self, text: &[u8], base: usize, ends: &mut Vec<usize>) {
        self.ends_at(Level::detect(), text, base, ends);
    }

    /// The same, at `level`.
    pub(super) fn ends_at(&self, level: Level, text: &[u8], base: usize, ends: &mut Vec<usize>) {
        let mut guard = Guard::default();
        let mut search = Search::at(0);
        let mut tile = self.loops.tile(level, text, 0);
        while let Some(&first) = text.get(search.start) {
            if self.may_begin[usize::from(first)] {
                let cell = self.cut(text, &mut search, base, ends, level, &mut tile);
                if cell.is_match() {
                    search.end = search.pos;
                }
            }
            let Search {
                mut start,
                mut end,
                pos,
                ..
            } = search;
            guard.note(end, pos);
            // One match after the other, until one is found and searches are not watched.
            while end == start || guard.is_on(end) {
                if end > start {
                    ends.push(base + end);
                }
                let found = self.find(text, end, &mut guard);
                let (match_start, match_end) = found.unwrap_or((text.len(), text.len()));
                if match_start > end {
                    ends.push(base + match_start);
                }
                if match_end == match_start {
                    return;
                }
                start = match_start;
                end = match_end;
            }
            ends.push(base + end);
            search = Search::at(end);
        }
    }

    /// Continues the search, and begins another wherever one ends at its own match, until one ends
    /// otherwise, by the cell that is returned. Without a branch for each match, which would be
    /// hard to predict.
    #[inline(always)]
    fn cut(
        &self,
        text: &[u8],
        search: &mut Search,
        base: usize,
        ends: &mut Vec<usize>,
        level: Level,
        tile: &mut Tile,
    ) -> Cell {
        let Search {
            mut start,
            mut end,
            mut pos,
            mut row,
        } = *search;
        // The cell read last, and the end of its character. What lies between that and the next character
        // read was skipped.
        let mut cell = Cell::new(Some(row), false);
        let mut read_end = pos;
        // A match may end before the last letter that was skipped.
        let end_at = |pos: usize, read_end: usize, cell: Cell, end: usize| {
            if pos > read_end && cell.ends_in_run() {
                pos - 1
            } else {
                end
            }
        };
        let mut block = [0; BLOCK];
        let last = loop {
            let mut found = 0;
            let index = pos / BLOCK;
            let word = tile.get(index).unwrap_or_else(|| {
                *tile = self.loops.tile(level, text, index);
                tile.get(index).unwrap_or_default()
            });
            let mut read = self.loops.read(word, pos % BLOCK);
            let mut stop = None;
            while read != 0 {
                pos = index * BLOCK + read.trailing_zeros() as usize;
                read &= read - 1;
                end = end_at(pos, read_end, cell, end);
                let Some((class, len)) = self.class(text, pos) else {
                    break;
                };
                let found_cell = self.fused[row + class];
                if found_cell.is_stop() {
                    stop = Some(found_cell);
                    break;
                }
                cell = found_cell;
                block[found % BLOCK] = base + pos;
                found += usize::from(cell.is_cut());
                start = if cell.is_cut() { pos } else { start };
                end = if cell.is_match() { pos } else { end };
                row = cell.row();
                read_end = pos + len;
            }
            ends.extend_from_slice(&block[..found]);
            if let Some(cell) = stop {
                break cell;
            }
            pos = read_end.max((index + 1) * BLOCK);
            if pos >= text.len() {
                pos = text.len();
                end = end_at(pos, read_end, cell, end);
                break self.cells[row + self.width - 1];
            }
        };
        *search = Search {
            start,
            end,
            pos,
            row,
        };
        last
    }
}

/// Where a search began, the end of the best match that it found, and what it reads next.
struct Search {
    start: usize,
    end: usize,
    pos: usize,
    row: usize,
}

impl Search {
    fn at(at: usize) -> Self {
        Self {
            start: at,
            end: at,
            pos: at,
            row: START,
        }
    }
}
