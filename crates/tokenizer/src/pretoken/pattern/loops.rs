//! Which characters of a text must be read one after the other, and which are in the middle of a run.
//!
//! In nearly all patterns, the state that reads the letters of a word stays the same: all but the first
//! letter change nothing. If that is certain whatever came before, they are skipped, by masks of 64 bytes,
//! so that how long a word is need not be predicted.
//!
//! A state that stays the same in all of some characters is settled. From most states, one such character
//! leads to a settled state. From others, such as the one after an apostrophe, it takes several. Only
//! certain bytes lead to such states, so several characters are read after those bytes, and at the start
//! of a search.

use shardmill_core::simd::{BLOCK, Block, BlockKernel, Blocks, Level, Nibbles};

use super::cell::Cell;
use super::partition::Classes;

/// It may take so many characters to a settled state; else nothing is skipped.
const MAX_UNSETTLED: usize = 8;

/// What is skipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loops {
    /// The characters of runs.
    run: Nibbles,
    /// The other ASCII characters after which it may take more than one of these to a settled state.
    unsettling: Nibbles,
    /// Whether it may after characters beyond ASCII.
    wide_unsettles: bool,
    /// How many are read after these, and where a search begins.
    unsettled: usize,
}

impl Loops {
    /// Chooses the characters: those in which a state stays that have the most small letters among them.
    /// Marks the cells that lead to settled states.
    pub(super) fn mark(cells: &mut [Cell], classes: &Classes, width: usize) -> Self {
        let table = Table {
            cells,
            classes,
            width,
        };
        let run = table.most_letters();
        let settled: Vec<_> = table.rows().map(|row| table.settled(row, run)).collect();
        let unsettled = table.unsettled(run, &settled);
        let leads = |class: usize| {
            let next = |row: usize| cells[row + class];
            let rows = table.rows().map(next).filter(|cell| !cell.is_stop());
            rows.map(Cell::row).any(|row| unsettled[row / width] > 0)
        };
        let of_class: Vec<bool> = (0..classes.count()).map(leads).collect();
        let bytes = (0..0x80_u8).filter(|&byte| of_class[classes.of_ascii(byte)]);
        let bytes = bytes.filter(|byte| run >> byte & 1 == 0);
        let unsettling = bytes.fold(0, |set, byte| set | 1_u128 << byte);
        let most = unsettled.iter().copied().max().unwrap_or(0);
        let found = Self {
            run: nibbles(if most < MAX_UNSETTLED { run } else { 0 }),
            unsettling: nibbles(unsettling),
            wide_unsettles: (0x80..=u8::MAX)
                .any(|byte| classes.may_begin(byte, |class| of_class[class])),
            unsettled: most + 1,
        };
        for cell in cells.iter_mut().filter(|cell| !cell.is_stop()) {
            if settled[cell.row() / width] == Some(true) {
                cell.0 |= Cell::ENDS_IN_RUN;
            }
        }
        found
    }

    /// What must be read of the blocks of `text` from block `first` on.
    pub(super) fn tile(&self, level: Level, text: &[u8], first: usize) -> Tile {
        let mut tile = Tile {
            first,
            words: [Word::default(); TILE],
        };
        let rest = text.get(first * BLOCK..).unwrap_or_default();
        let (blocks, rest) = rest.as_chunks::<BLOCK>();
        if !blocks.is_empty() {
            level.dispatch_blocks(Fill {
                loops: self,
                blocks,
                words: &mut tile.words,
            });
        }
        if let Some(word) = tile.words.get_mut(blocks.len()) {
            let starts = rest.iter().enumerate();
            let starts = starts.map(|(at, byte)| u64::from(byte & 0xc0 != 0x80) << at);
            word.starts = starts.fold(0, |all, start| all | start);
            word.read = word.starts;
        }
        tile
    }

    /// What must be read of `word`, from byte `from` of it on, where a search begins or continues.
    #[inline(always)]
    pub(super) fn read(&self, word: Word, from: usize) -> u64 {
        let from = u64::MAX << (from % BLOCK);
        // The shift is at most nine, so it does not overflow.
        let first = from & !(from << self.unsettled);
        (word.read | word.starts & first) & from
    }
}

/// The cells of an automaton.
struct Table<'a> {
    cells: &'a [Cell],
    classes: &'a Classes,
    width: usize,
}

impl Table<'_> {
    fn rows(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.cells.len()).step_by(self.width)
    }

    fn cell(&self, row: usize, byte: u8) -> Cell {
        self.cells[row + self.classes.of_ascii(byte)]
    }

    /// The ASCII characters in which the state of `row` stays, where a match may end before each of them,
    /// or before none.
    fn staying(&self, row: usize, may_end: bool) -> u128 {
        let staying = Cell::new(Some(row), may_end);
        let bytes = (0..0x80).filter(|&byte| self.cell(row, byte) == staying);
        bytes.fold(0, |set, byte| set | 1 << byte)
    }

    fn most_letters(&self) -> u128 {
        let small = (b'a'..=b'z').fold(0, |set, byte| set | 1_u128 << byte);
        let sets = self
            .rows()
            .flat_map(|row| [true, false].map(|end| self.staying(row, end)));
        let most = sets.max_by_key(|set| ((set & small).count_ones(), set.count_ones()));
        most.unwrap_or(0)
    }

    /// Whether the state of `row` is settled, and then, whether a match may end before each character.
    fn settled(&self, row: usize, run: u128) -> Option<bool> {
        let stays = |end: &bool| self.staying(row, *end) & run == run;
        [true, false].into_iter().find(stays).filter(|_| run != 0)
    }

    /// How many characters of `run` it may take from each state to one that is settled, beyond one;
    /// [`MAX_UNSETTLED`] if more.
    fn unsettled(&self, run: u128, settled: &[Option<bool>]) -> Vec<usize> {
        let mut found = vec![0; settled.len()];
        for _ in 0..MAX_UNSETTLED {
            let before = found.clone();
            for row in self.rows() {
                let bytes = (0..0x80).filter(|byte| run >> byte & 1 == 1);
                let next = bytes.map(|byte| self.cell(row, byte));
                let next = next.filter(|cell| !cell.is_stop()).map(Cell::row);
                let open = next.filter(|row| settled[row / self.width].is_none());
                let most = open.map(|row| before[row / self.width] + 1).max();
                found[row / self.width] = most.unwrap_or(0).min(MAX_UNSETTLED);
            }
        }
        found
    }
}

/// One bit for each row of the code table.
fn nibbles(set: u128) -> Nibbles {
    let mut nibbles = Nibbles {
        low: [0; 16],
        high: [0; 16],
    };
    for row in 0..8 {
        nibbles.high[row] = 1 << row;
        for column in 0..16 {
            let has = (set >> (row * 16 + column) & 1) as u8;
            nibbles.low[column] |= has << row;
        }
    }
    nibbles
}

/// How many blocks are looked at at once.
const TILE: usize = 32;

/// What must be read of a block, as masks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Word {
    /// Where characters begin.
    starts: u64,
    /// Those that must be read.
    read: u64,
}

/// Some blocks of a text.
#[derive(Debug)]
pub(super) struct Tile {
    /// The index of the first of them in the text.
    first: usize,
    words: [Word; TILE],
}

impl Tile {
    /// What must be read of block `index` of the text, if it is among these.
    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> Option<Word> {
        self.words.get(index.wrapping_sub(self.first)).copied()
    }
}

/// Fills in as many words as there are blocks, or as there is room for.
struct Fill<'a> {
    loops: &'a Loops,
    blocks: &'a [Block],
    words: &'a mut [Word; TILE],
}

impl BlockKernel for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<B: Blocks>(self, b: B) {
        let loops = *self.loops;
        let any = |masks: [u64; 8]| masks.into_iter().fold(0, |all, mask| all | mask);
        for (block, word) in self.blocks.iter().zip(self.words) {
            let run = any(b.classes(block, &loops.run));
            let mut unsettling = any(b.classes(block, &loops.unsettling));
            let wide = b.bits::<7>(block);
            if loops.wide_unsettles {
                unsettling |= wide;
            }
            let mut after = 0;
            for distance in 1..=MAX_UNSETTLED {
                if distance <= loops.unsettled {
                    after |= unsettling << distance;
                }
            }
            word.starts = !(wide & !b.bits::<6>(block));
            // A byte after one of a run, and not soon after what unsettles. The first byte of the block is
            // read, and what unsettled before it is past what is read at its start.
            let skipped = run & run << 1 & !after & !((1 << loops.unsettled) - 1);
            word.read = word.starts & !skipped;
        }
    }
}
