//! Text -> the ends of its pretokens, 64 bytes at a time.
//!
//! Each scheme computes in [`Masked::starts`] which bytes of a word begin a pretoken, by operations
//! on its masks. If masks are not enough, the word is hard: [`Scheme::advance`] does it, from the
//! last pretoken that began before it. The words after a hard word are hard too, until one ends in
//! a letter, a number or a blank: from then on, only the classes of its last character and a count
//! of numbers matter to the masks of the next word.

use shardmill_core::simd::{BLOCK, BlockKernel, Blocks, Level};

use super::kinds::Kinds;
use super::masks::{Straddle, Word, low_bits};
use super::{Class, Scheme, char_at};

/// A scheme that can find all pretokens of a word at once.
pub(crate) trait Masked: Scheme {
    /// What a hard word must end in for the next one to be easy.
    const CLEAN: Kinds = Kinds::LETTER.union(Kinds::NUMBER).union(Kinds::BLANK);

    /// What it needs to know about earlier words, besides their masks.
    type Carry: Copy + Default + std::fmt::Debug;

    /// Finds where pretokens begin in a word, at or after `starts.resume`. False if the word is
    /// hard: then the contents of `starts` are meaningless.
    fn starts(word: &Word<'_>, carry: &mut Self::Carry, starts: &mut Starts) -> bool;

    /// The state after a hard word that ends in one of [`Self::CLEAN`], a number being the
    /// `numbers`th of a pretoken.
    fn carry_on(numbers: u32) -> Self::Carry;
}

/// Where pretokens begin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Starts {
    /// The starts in this word.
    pub(super) bits: u64,
    /// The position, in the whole text, of the last start that was found ahead of its word: there
    /// is none before it, and one at it.
    pub(super) resume: usize,
}

impl Starts {
    /// Sets the starts from the masks, except those that `resume` excludes.
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

    /// Makes a pretoken end at byte `end` of the text, and none at `from..end`; `from` is in the
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

/// How many words are scanned at once: few enough that their output stays in the L1 cache.
const TILE: usize = 32;

/// How many pretokens may end in this many words.
const MAX_ENDS: usize = TILE * BLOCK;

/// Capacity for them and for those of one more word.
const ROOM: usize = MAX_ENDS + BLOCK;

const _: () = assert!(MAX_ENDS.is_power_of_two());

/// The ends of the pretokens in the text that was scanned at once.
#[derive(Debug)]
pub(crate) struct Ends {
    places: Box<[usize]>,
    count: usize,
}

impl Ends {
    pub(crate) fn new() -> Self {
        Self {
            places: vec![0; ROOM].into(),
            count: 0,
        }
    }

    /// Does not allocate, and must not be filled.
    pub(crate) fn empty() -> Self {
        Self {
            places: Box::default(),
            count: 0,
        }
    }

    pub(crate) fn get(&self) -> &[usize] {
        &self.places[..self.count]
    }
}

/// Appends the positions of `bits` of the word at `base` to the `count` existing ones; returns the
/// new count.
#[inline(always)]
fn push<B: Blocks>(
    b: B,
    places: &mut [usize; ROOM],
    count: usize,
    base: usize,
    bits: u64,
) -> usize {
    // `count` is below MAX_ENDS, but the compiler does not know that.
    let Some(room) = places[count % MAX_ENDS..].first_chunk_mut() else {
        unreachable!("there is room for a word");
    };
    b.ones(bits, base, room);
    count + bits.count_ones() as usize
}

/// The progress of scanning a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanner<P: Masked> {
    /// Where the next word begins.
    base: usize,
    /// The kinds of the character before it.
    before: Kinds,
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
            before: Kinds::default(),
            straddle: Straddle::NONE,
            carry: P::Carry::default(),
            is_hard: false,
            last_start: 0,
            starts: Starts::default(),
        }
    }

    /// Finds the ends of the next pretokens of `text`; false at its end.
    pub(crate) fn next(&mut self, level: Level, text: &[u8], ends: &mut Ends) -> bool {
        ends.count = 0;
        if self.base >= text.len() {
            return false;
        }
        level.dispatch_blocks(Tile {
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
}

/// The result of [`by_hand`].
struct ByHand {
    /// As in [`Starts`].
    bits: u64,
    resume: usize,
    /// The count of numbers in the last pretoken, if it consists of numbers.
    numbers: u32,
}

/// Scans the word at `base` by the specification. The last pretoken began at `last_start`; `resume`
/// is its value before the word.
#[cold]
fn by_hand<P: Scheme>(text: &[u8], base: usize, last_start: usize, resume: usize) -> ByHand {
    let end = text.len().min(base + BLOCK);
    let mut at = resume;
    let mut bits = 0;
    if at < base {
        at = last_start;
    } else if at < end {
        bits |= 1 << (at - base);
    }
    let mut begin = at;
    while at < end {
        begin = at;
        at = P::advance(text, at);
        if at >= base && at < end {
            bits |= 1 << (at - base);
        }
    }
    let resume = at;
    // Letters and blanks leave this at zero, and so does the middle of a pretoken found before.
    let mut numbers = 0;
    let mut at = begin;
    while at < end
        && let Some(char) = char_at::<P>(text, at)
        && char.class == Class::Number
    {
        numbers += 1;
        at += char.len;
    }
    ByHand {
        bits,
        resume,
        numbers,
    }
}

/// The ends of all pretokens of `text`.
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

impl<P: Masked> BlockKernel for Tile<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<B: Blocks>(self, b: B) {
        let Self {
            scanner,
            text,
            ends,
        } = self;
        let Some(places) = ends.places.first_chunk_mut() else {
            unreachable!("there is room for ends");
        };
        // Copies stay in registers.
        let mut at = *scanner;
        let mut count = 0;
        for _ in 0..TILE {
            if at.base >= text.len() {
                break;
            }
            let base = at.base;
            let word = Word::new::<P, B>(b, text, base, at.before, &mut at.straddle);
            let resume = at.starts.resume;
            let is_easy = P::starts(&word, &mut at.carry, &mut at.starts);
            let mut bits = at.starts.bits;
            if at.is_hard || !is_easy {
                if count > 0 {
                    at.last_start = places[count - 1];
                }
                let hard = by_hand::<P>(text, base, at.last_start, resume);
                bits = hard.bits;
                at.starts.resume = hard.resume;
                at.carry = P::carry_on(hard.numbers);
                at.is_hard = !word.last.intersects(P::CLEAN);
            }
            if base == 0 {
                bits &= !1;
            }
            count = push(b, places, count, base, bits & word.valid);
            at.before = word.last;
            at.base += BLOCK;
        }
        if count > 0 {
            at.last_start = places[count - 1];
        }
        ends.count = count;
        *scanner = at;
    }
}
