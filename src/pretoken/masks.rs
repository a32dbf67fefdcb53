//! 64 bytes of text as masks: bit `i` of a mask says something of byte `i`.
//!
//! A character of several bytes has its class in each of them, so that a run of one class is a run
//! of ones whatever it is written in.

use crate::simd::{BLOCK, Block, Nibbles, Simd};

use super::{Char, Class, char_at};

/// The bytes that are looked at for one word: its own, and those of a character right behind.
const WINDOW: usize = BLOCK + 4;

/// ASCII, a bit for each class. Letters take two, as their rows of the code table have different
/// columns in use.
const ASCII: Nibbles = {
    const LETTER_46: u8 = 1 << 0;
    const LETTER_57: u8 = 1 << 1;
    const DIGIT: u8 = 1 << 2;
    const SP: u8 = 1 << 3;
    const BLANK: u8 = 1 << 4;
    const NEWLINE: u8 = 1 << 5;
    const APOSTROPHE: u8 = 1 << 6;
    const SLASH: u8 = 1 << 7;
    let mut low = [0; 16];
    let mut column = 0;
    while column < 16 {
        let mut classes = 0;
        if column >= 1 {
            classes |= LETTER_46;
        }
        if column <= 10 {
            classes |= LETTER_57;
        }
        if column <= 9 {
            classes |= DIGIT;
        }
        low[column] = classes;
        column += 1;
    }
    low[0] |= SP;
    low[7] |= APOSTROPHE;
    low[0xf] |= SLASH;
    low[0x9] |= BLANK;
    low[0xb] |= BLANK;
    low[0xc] |= BLANK;
    low[0xa] |= NEWLINE;
    low[0xd] |= NEWLINE;
    let mut high = [0; 16];
    high[0] = BLANK | NEWLINE;
    high[2] = SP | APOSTROPHE | SLASH;
    high[3] = DIGIT;
    high[4] = LETTER_46;
    high[5] = LETTER_57;
    high[6] = LETTER_46;
    high[7] = LETTER_57;
    Nibbles { low, high }
};

/// The masks of one word.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Masks {
    pub(super) upper: u64,
    pub(super) lower: u64,
    pub(super) caseless: u64,
    pub(super) mark: u64,
    pub(super) number: u64,
    /// White space but CR and LF.
    pub(super) blank: u64,
    /// CR and LF.
    pub(super) newline: u64,
    /// None of the above.
    pub(super) other: u64,
    /// U+0020.
    pub(super) sp: u64,
    pub(super) apostrophe: u64,
    pub(super) slash: u64,
    /// Bytes that are not the first of their character.
    pub(super) continuation: u64,
}

impl Masks {
    #[inline(always)]
    pub(super) fn letter(&self) -> u64 {
        self.upper | self.lower | self.caseless
    }

    #[inline(always)]
    pub(super) fn space(&self) -> u64 {
        self.blank | self.newline
    }
}

/// A character that goes on in the next word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Straddle {
    class: Class,
    /// Its bytes there.
    len: usize,
}

impl Straddle {
    pub(super) const NONE: Self = Self {
        class: Class::Other,
        len: 0,
    };
}

/// 64 bytes of a text, or what is left of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'t> {
    pub(super) text: &'t [u8],
    /// Where the word begins in the text; a multiple of 64.
    pub(super) base: usize,
    pub(super) masks: Masks,
    /// The masks of the word before; their highest bits matter.
    pub(super) before: Masks,
    /// First bytes of white space after which, in the text, something else comes.
    pub(super) last_space: u64,
    /// Whether there is a number beyond ASCII.
    pub(super) has_wide_number: bool,
}

impl<'t> Word<'t> {
    /// The word at `base`; `straddle` is what is left of a character in the word before, and then
    /// in this one.
    #[inline(always)]
    pub(super) fn new<S: Simd>(
        s: S,
        text: &'t [u8],
        base: usize,
        before: Masks,
        straddle: &mut Straddle,
    ) -> Self {
        let rest = &text[base..];
        let mut padded = [0; WINDOW];
        let window = rest.first_chunk().unwrap_or_else(|| {
            padded[..rest.len()].copy_from_slice(rest);
            &padded
        });
        let block: &Block = window.first_chunk().unwrap_or(&[0; BLOCK]);
        let mut word = Self {
            text,
            base,
            masks: ascii(s, block),
            before,
            last_space: 0,
            has_wide_number: false,
        };
        let high = s.bits::<7>(block);
        if high != 0 {
            word.masks.continuation = high & !s.bits::<6>(block);
            word.add_wide(window, high & !word.masks.continuation, straddle);
        }
        // Behind the end all bytes count as white space.
        let valid = low_bits(rest.len());
        let masks = &mut word.masks;
        let space = masks.space();
        masks.other = valid & !(masks.letter() | masks.mark | masks.number | space);
        let next_is_space = match rest.get(BLOCK) {
            None => true,
            Some(0..0x80) => super::ASCII[window[BLOCK] as usize].is_space(),
            Some(_) => wide_char(window, BLOCK).class.is_space(),
        };
        let next_space = (space | !valid) >> 1 | u64::from(next_is_space) << (BLOCK - 1);
        word.last_space |= space & !high & !next_space;
        word
    }

    /// Adds the characters of more than one byte, which begin at `firsts`.
    #[inline(always)]
    fn add_wide(&mut self, window: &[u8; WINDOW], mut firsts: u64, straddle: &mut Straddle) {
        let mut wide = [0; 8];
        wide[straddle.class as usize] = low_bits(straddle.len);
        *straddle = Straddle::NONE;
        while firsts != 0 {
            let at = firsts.trailing_zeros() as usize;
            firsts &= firsts - 1;
            let char = wide_char(window, at);
            let end = at + char.len;
            wide[char.class as usize] |= low_bits(char.len) << at;
            if char.class == Class::Space {
                let next = char_at(self.text, self.base + end);
                let is_last = next.is_some_and(|next| !next.class.is_space());
                self.last_space |= u64::from(is_last) << at;
            }
            if end > BLOCK {
                *straddle = Straddle {
                    class: char.class,
                    len: end - BLOCK,
                };
            }
        }
        self.masks.upper |= wide[Class::Upper as usize];
        self.masks.lower |= wide[Class::Lower as usize];
        self.masks.caseless = wide[Class::Caseless as usize];
        self.masks.mark = wide[Class::Mark as usize];
        self.masks.number |= wide[Class::Number as usize];
        self.masks.blank |= wide[Class::Space as usize];
        self.has_wide_number = wide[Class::Number as usize] != 0;
    }

    /// Bytes right behind one that `of` gives.
    #[inline(always)]
    pub(super) fn after(&self, of: impl Fn(&Masks) -> u64) -> u64 {
        of(&self.masks) << 1 | of(&self.before) >> (BLOCK - 1)
    }
}

/// The masks of the ASCII characters, all but `other`.
#[inline(always)]
fn ascii<S: Simd>(s: S, block: &Block) -> Masks {
    let [
        letter_46,
        letter_57,
        number,
        sp,
        blank,
        newline,
        apostrophe,
        slash,
    ] = s.classes(block, &ASCII);
    let letter = letter_46 | letter_57;
    let is_lower = s.bits::<5>(block);
    Masks {
        upper: letter & !is_lower,
        lower: letter & is_lower,
        number,
        blank: sp | blank,
        newline,
        sp,
        apostrophe,
        slash,
        ..Masks::default()
    }
}

/// A character of more than one byte.
#[inline(always)]
fn wide_char(window: &[u8; WINDOW], at: usize) -> Char {
    let bytes = window[at..].first_chunk().copied().unwrap_or([0; 4]);
    super::wide_char(bytes)
}

/// The lowest `n` bits, or all.
#[inline(always)]
pub(super) fn low_bits(n: usize) -> u64 {
    if n < BLOCK { (1 << n) - 1 } else { u64::MAX }
}

/// The runs of ones of `run` from those bits on that `seeds`, all in `run`, has.
///
/// Adding a bit to a run clears the run from there on, up to the carry behind it.
#[inline(always)]
pub(super) fn flood(run: u64, seeds: u64) -> u64 {
    run & !run.wrapping_add(seeds) | seeds
}
