//! A text -> where its pretokens end, 64 bytes at a time.
//!
//! Each scheme says in [`Masked::starts`] which bytes of a word begin a pretoken, by operations on
//! its masks. Where that would take more than masks, the word is hard: it is done by
//! [`Scheme::advance`] from the last pretoken that began before it. A hard word is followed by
//! another until one ends in a letter, a number or a blank: then nothing but the classes of its
//! last character and a count of numbers matters to the masks of the next.

use crate::simd::{BLOCK, Kernel, Level, Simd};

use super::masks::{Masks, Straddle, Word, low_bits};
use super::{Scheme, char_at};

/// A scheme that knows how to find the pretokens of a word at once.
pub(crate) trait Masked: Scheme {
    /// What it has to know of the words before, beside their masks.
    type Carry: Default + std::fmt::Debug;

    /// Finds where pretokens begin in a word, at or behind `starts.resume`. False if the word is
    /// hard: then what is in `starts` does not count.
    fn starts(word: &Word<'_>, carry: &mut Self::Carry, starts: &mut Starts) -> bool;

    /// What a hard word leaves, where it ends in a letter, a blank, or the `numbers`th number of a
    /// pretoken.
    fn carry_on(numbers: u32) -> Self::Carry;
}

/// Where pretokens begin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Starts {
    /// In this word.
    pub(super) bits: u64,
    /// The place, in the whole text, of the last one that was found ahead: none is before it, and
    /// there is one at it.
    pub(super) resume: usize,
}

impl Starts {
    /// Takes what the masks give, but for what `resume` forbids.
    #[inline(always)]
    pub(super) fn set(&mut self, base: usize, bits: u64) {
        self.bits = bits;
        if self.resume >= base {
            let at = self.resume - base;
            self.bits &= !low_bits(at);
            if at < BLOCK {
                self.bits |= 1 << at;
            }
        }
    }

    /// Lets a pretoken end at byte `end` of the text, and none at `from..end`; `from` is in the
    /// word at `base`.
    #[inline(always)]
    pub(super) fn join(&mut self, base: usize, from: usize, end: usize) {
        self.bits &= !(low_bits(end - base) & !low_bits(from - base));
        if end - base < BLOCK {
            self.bits |= 1 << (end - base);
        } else {
            self.resume = end;
        }
    }
}

/// Words that are scanned at once; few enough that what they fill stays in the first cache.
const TILE: usize = 32;

/// Where pretokens end, of as much text as was scanned at once.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Has room for 64 more than there can be.
    places: Box<[usize]>,
    count: usize,
}

impl Ends {
    pub(crate) fn new() -> Self {
        Self {
            places: vec![0; (TILE + 1) * BLOCK].into(),
            count: 0,
        }
    }

    /// Takes no memory; not to be filled.
    pub(crate) fn empty() -> Self {
        Self {
            places: Box::default(),
            count: 0,
        }
    }

    pub(crate) fn get(&self) -> &[usize] {
        &self.places[..self.count]
    }

    #[inline(always)]
    fn push(&mut self, base: usize, mut bits: u64) {
        // A word has 14 pretokens on average: this many are written without a look at how many
        // there are, which a CPU could not foretell.
        const UNCONDITIONAL: usize = 16;
        let count = bits.count_ones() as usize;
        let room = &mut self.places[self.count..][..BLOCK];
        for place in &mut room[..UNCONDITIONAL] {
            *place = base + bits.trailing_zeros() as usize;
            bits &= bits.wrapping_sub(1);
        }
        for place in &mut room[UNCONDITIONAL..] {
            if bits == 0 {
                break;
            }
            *place = base + bits.trailing_zeros() as usize;
            bits &= bits - 1;
        }
        self.count += count;
    }
}

/// How far a text has been scanned.
#[derive(Debug)]
pub(crate) struct Scanner<P: Masked> {
    /// Where the next word begins.
    base: usize,
    before: Masks,
    straddle: Straddle,
    carry: P::Carry,
    /// Whether the next word is hard, whatever is in it.
    is_hard: bool,
    /// The last pretoken begins here.
    last_start: usize,
    starts: Starts,
}

impl<P: Masked> Scanner<P> {
    /// At the beginning of a text.
    pub(crate) fn new() -> Self {
        Self {
            base: 0,
            before: Masks::default(),
            straddle: Straddle::NONE,
            carry: P::Carry::default(),
            is_hard: false,
            last_start: 0,
            starts: Starts::default(),
        }
    }

    /// Finds where the next pretokens of `text` end; false at its end.
    pub(crate) fn next(&mut self, level: Level, text: &[u8], ends: &mut Ends) -> bool {
        ends.count = 0;
        if self.base >= text.len() {
            return false;
        }
        level.dispatch(Tile {
            scanner: self,
            text,
            ends,
        });
        if self.base >= text.len() {
            ends.places[ends.count] = text.len();
            ends.count += 1;
        }
        true
    }

    /// Does the word at `base` by the specification; `resume` as it was before the word.
    #[cold]
    fn by_hand(&mut self, text: &[u8], resume: usize) -> u64 {
        let end = text.len().min(self.base + BLOCK);
        let mut at = resume;
        let mut bits = 0;
        if at < self.base {
            at = self.last_start;
        } else if at < end {
            bits |= 1 << (at - self.base);
        }
        let mut begin = at;
        while at < end {
            begin = at;
            at = P::advance(text, at);
            if at >= self.base && at < end {
                bits |= 1 << (at - self.base);
            }
        }
        self.starts.resume = at;
        // Letters and blanks give zero, and so does the middle of a pretoken found before.
        let numbers = |text: &[u8]| {
            let mut count = 0;
            let mut at = begin;
            while at < end
                && let Some(char) = char_at(text, at)
                && char.class == super::Class::Number
            {
                count += 1;
                at += char.len;
            }
            count
        };
        self.carry = P::carry_on(numbers(text));
        bits
    }
}

/// Where all pretokens of `text` end.
pub(crate) fn ends<P: Masked>(level: Level, text: &str) -> Vec<usize> {
    let mut scanner = Scanner::<P>::new();
    let mut tile = Ends::new();
    let mut ends = Vec::new();
    while scanner.next(level, text.as_bytes(), &mut tile) {
        ends.extend_from_slice(tile.get());
    }
    ends
}

struct Tile<'a, P: Masked> {
    scanner: &'a mut Scanner<P>,
    text: &'a [u8],
    ends: &'a mut Ends,
}

impl<P: Masked> Kernel for Tile<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            scanner,
            text,
            ends,
        } = self;
        for _ in 0..TILE {
            if scanner.base >= text.len() {
                break;
            }
            let base = scanner.base;
            let word = Word::new(s, text, base, scanner.before, &mut scanner.straddle);
            let resume = scanner.starts.resume;
            let is_easy = P::starts(&word, &mut scanner.carry, &mut scanner.starts);
            let mut bits = scanner.starts.bits;
            if scanner.is_hard || !is_easy {
                bits = scanner.by_hand(text, resume);
                let masks = &word.masks;
                let clean = masks.letter() | masks.number | masks.blank;
                scanner.is_hard = clean >> (BLOCK - 1) == 0;
            }
            if base == 0 {
                bits &= !1;
            }
            bits &= low_bits(text.len() - base);
            if bits != 0 {
                scanner.last_start = base + (BLOCK - 1) - bits.leading_zeros() as usize;
            }
            ends.push(base, bits);
            scanner.before = word.masks;
            scanner.base += BLOCK;
        }
    }
}
