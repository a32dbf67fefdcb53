//! 64 bytes of text as masks: bit `i` of a mask describes byte `i`.
//!
//! A character of several bytes has its class in each of them, so a run of one class is a run of
//! ones in any script.

use shardmill_core::simd::{BLOCK, Block, Blocks, Nibbles};

use super::kinds::Kinds;
use super::{Char, Class, Scheme, char_at};

/// The bytes that are read for one word: its own, and those of the next character.
const WINDOW: usize = BLOCK + 4;

/// ASCII, one bit per class. Letters take two bits, because their rows of the code table use
/// different columns.
const ASCII: Nibbles = nibbles(false);

/// The same, but with controls in place of apostrophes and slashes: the rows of the C0 controls,
/// white space included, and DEL.
const ODD_ASCII: Nibbles = nibbles(true);

const fn nibbles(has_odd: bool) -> Nibbles {
    const LETTER_46: u8 = 1 << 0;
    const LETTER_57: u8 = 1 << 1;
    const DIGIT: u8 = 1 << 2;
    const SP: u8 = 1 << 3;
    const BLANK: u8 = 1 << 4;
    const NEWLINE: u8 = 1 << 5;
    const APOSTROPHE_OR_C0: u8 = 1 << 6;
    const SLASH_OR_DEL: u8 = 1 << 7;
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
        if has_odd {
            classes |= APOSTROPHE_OR_C0;
        }
        low[column] = classes;
        column += 1;
    }
    low[0] |= SP;
    low[7] |= APOSTROPHE_OR_C0;
    low[0xf] |= SLASH_OR_DEL;
    low[0x9] |= BLANK;
    low[0xb] |= BLANK;
    low[0xc] |= BLANK;
    low[0xa] |= NEWLINE;
    low[0xd] |= NEWLINE;
    let mut high = [0; 16];
    high[0] = BLANK | NEWLINE;
    high[2] = SP;
    high[3] = DIGIT;
    high[4] = LETTER_46;
    high[5] = LETTER_57;
    high[6] = LETTER_46;
    high[7] = LETTER_57;
    if has_odd {
        high[0] |= APOSTROPHE_OR_C0;
        high[1] |= APOSTROPHE_OR_C0;
        high[7] |= SLASH_OR_DEL;
    } else {
        high[2] |= APOSTROPHE_OR_C0 | SLASH_OR_DEL;
    }
    Nibbles { low, high }
}

/// The masks of one word.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Masks {
    /// The union of the next three, which not all schemes distinguish.
    pub(super) letter: u64,
    pub(super) upper: u64,
    pub(super) lower: u64,
    pub(super) caseless: u64,
    pub(super) mark: u64,
    pub(super) number: u64,
    /// White space except CR and LF.
    pub(super) blank: u64,
    /// CR and LF.
    pub(super) newline: u64,
    /// Letters of CJK.
    pub(super) cjk: u64,
    /// Punctuation and symbols of CJK.
    pub(super) cjk_other: u64,
    /// Controls and the like; always zero unless the scheme distinguishes them.
    pub(super) odd: u64,
    /// None of the above.
    pub(super) other: u64,
    /// U+0020.
    pub(super) sp: u64,
    pub(super) apostrophe: u64,
    pub(super) slash: u64,
    /// Bytes of characters beyond ASCII.
    pub(super) wide: u64,
    /// Bytes that are not the first of their character.
    pub(super) continuation: u64,
}

impl Masks {
    #[inline(always)]
    pub(super) fn space(&self) -> u64 {
        self.blank | self.newline
    }

    /// What a scheme may keep apart.
    #[inline(always)]
    fn apart<P: Scheme>(&self) -> u64 {
        let mut apart = 0;
        if P::APART.intersects(Kinds::NUMBER) {
            apart |= self.number;
        }
        if P::APART.intersects(Kinds::ALL_CJK) {
            apart |= self.cjk | self.cjk_other;
        }
        apart
    }
}

/// A character that continues in the next word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Straddle {
    class: Class,
    /// The number of its bytes there.
    len: usize,
}

impl Straddle {
    pub(super) const NONE: Self = Self {
        class: Class::Other,
        len: 0,
    };
}

/// 64 bytes of a text, or the rest of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'t> {
    pub(super) text: &'t [u8],
    /// Where the word begins in the text; a multiple of 64.
    pub(super) base: usize,
    pub(super) masks: Masks,
    /// The bytes that are part of the text.
    pub(super) valid: u64,
    /// The kinds of the character before the word, and of the last one in it.
    before: Kinds,
    pub(super) last: Kinds,
    /// First bytes of white space characters that are followed, in the piece, by something else.
    pub(super) last_space: u64,
    /// First bytes of odd characters that a letter or mark follows.
    pub(super) last_odd: u64,
    /// Whether the word has a number beyond ASCII.
    pub(super) has_wide_number: bool,
    /// Whether the word has a character of CJK that masks do not describe.
    pub(super) has_hard_cjk: bool,
}

impl<'t> Word<'t> {
    /// The word at `base`, after a character of the kinds `before`. `straddle` is the part of that
    /// character in this word, and is set to the part of the last character in the next word.
    #[inline(always)]
    pub(super) fn new<P: Scheme, B: Blocks>(
        b: B,
        text: &'t [u8],
        base: usize,
        before: Kinds,
        straddle: &mut Straddle,
    ) -> Self {
        let rest = &text[base..];
        let padded;
        let (window, valid) = if let Some(window) = rest.first_chunk() {
            (window, u64::MAX)
        } else {
            padded = pad(rest);
            (&padded, low_bits(rest.len()))
        };
        let block: &Block = window.first_chunk().unwrap_or(&[0; BLOCK]);
        let mut word = Self {
            text,
            base,
            masks: ascii::<P, B>(b, block),
            valid,
            before,
            last: Kinds::default(),
            last_space: 0,
            last_odd: 0,
            has_wide_number: false,
            has_hard_cjk: false,
        };
        let high = b.bits::<7>(block);
        let mut last_wide = Class::Other;
        if high != 0 {
            word.masks.wide = high;
            word.masks.continuation = high & !b.bits::<6>(block);
            last_wide = word.add_wide::<P>(window, high & !word.masks.continuation, straddle);
        }
        let kinds_of = |byte: u8| P::KINDS.get(usize::from(byte)).copied();
        word.last = kinds_of(block[BLOCK - 1]).unwrap_or(Kinds::of(last_wide));
        let masks = &mut word.masks;
        let space = masks.space();
        masks.other = !(masks.letter | masks.mark | masks.number | space);
        if P::HAS_MORE {
            masks.other &= !(masks.cjk | masks.cjk_other | masks.odd);
        }
        // Inside a character of this word, the class is meaningless and not used.
        let next = kinds_of(window[BLOCK])
            .unwrap_or_else(|| Kinds::of(wide_char::<P>(window, BLOCK).class));
        let next_is = |kinds| u64::from(next.intersects(kinds)) << (BLOCK - 1);
        let ends = space | masks.apart::<P>();
        let next_ends = ends >> 1 | next_is(Kinds::SPACE.union(P::APART));
        word.last_space |= space & !high & !next_ends;
        if P::HAS_ODD {
            let begins = (masks.letter | masks.mark) >> 1 | next_is(Kinds::LETTER_OR_MARK);
            word.last_odd |= masks.odd & !high & begins;
        }
        word
    }

    /// Adds the characters of more than one byte, which begin at `firsts`; returns the class of the
    /// last one.
    #[inline(always)]
    fn add_wide<P: Scheme>(
        &mut self,
        window: &[u8; WINDOW],
        mut firsts: u64,
        straddle: &mut Straddle,
    ) -> Class {
        let mut wide = [0; Class::COUNT];
        let mut last = Class::Other;
        wide[straddle.class as usize] = low_bits(straddle.len);
        *straddle = Straddle::NONE;
        while firsts != 0 {
            let at = firsts.trailing_zeros() as usize;
            firsts &= firsts - 1;
            let char = wide_char::<P>(window, at);
            let end = at + char.len;
            last = char.class;
            wide[char.class as usize] |= low_bits(char.len) << at;
            if char.class == Class::Space {
                let next = char_at::<P>(self.text, self.base + end);
                let ends = Kinds::SPACE.union(P::APART);
                let is_last = next.is_some_and(|next| !ends.has(next.class));
                self.last_space |= u64::from(is_last) << at;
            }
            if P::HAS_ODD && char.class == Class::Odd {
                let next = char_at::<P>(self.text, self.base + end);
                let is_last = next.is_some_and(|next| Kinds::LETTER_OR_MARK.has(next.class));
                self.last_odd |= u64::from(is_last) << at;
            }
            if end > BLOCK {
                *straddle = Straddle {
                    class: char.class,
                    len: end - BLOCK,
                };
            }
        }
        let [upper, lower, caseless] =
            [Class::Upper, Class::Lower, Class::Caseless].map(|class| wide[class as usize]);
        self.masks.letter |= upper | lower | caseless;
        self.masks.upper |= upper;
        self.masks.lower |= lower;
        self.masks.caseless = caseless;
        self.masks.mark = wide[Class::Mark as usize];
        self.masks.number |= wide[Class::Number as usize];
        self.masks.blank |= wide[Class::Space as usize];
        self.has_wide_number = wide[Class::Number as usize] != 0;
        if P::HAS_MORE {
            let [cjk, cjk_other, mark, number, odd] = [
                Class::Cjk,
                Class::CjkOther,
                Class::CjkMark,
                Class::CjkNumber,
                Class::CjkOdd,
            ]
            .map(|class| wide[class as usize]);
            self.masks.cjk = cjk;
            self.masks.cjk_other = cjk_other;
            self.masks.odd |= wide[Class::Odd as usize];
            self.has_hard_cjk = mark | number | odd != 0;
        }
        last
    }

    /// The bytes right after one of `mask`, where the character before the word counts as part of
    /// `mask` if it is of `kinds`.
    #[inline(always)]
    pub(super) fn after(&self, mask: u64, kinds: Kinds) -> u64 {
        mask << 1 | u64::from(self.before.intersects(kinds))
    }
}

/// The masks of the ASCII characters, except `other`.
#[inline(always)]
fn ascii<P: Scheme, B: Blocks>(b: B, block: &Block) -> Masks {
    let nibbles = if P::HAS_ODD { &ODD_ASCII } else { &ASCII };
    let [
        letter_46,
        letter_57,
        number,
        sp,
        blank,
        newline,
        apostrophe_or_c0,
        slash_or_del,
    ] = b.classes(block, nibbles);
    let letter = letter_46 | letter_57;
    let is_lower = b.bits::<5>(block);
    let mut masks = Masks {
        letter,
        upper: letter & !is_lower,
        lower: letter & is_lower,
        number,
        blank: sp | blank,
        newline,
        sp,
        ..Masks::default()
    };
    if P::HAS_ODD {
        masks.odd = apostrophe_or_c0 & !masks.space() | slash_or_del;
    } else {
        masks.apostrophe = apostrophe_or_c0;
        masks.slash = slash_or_del;
    }
    masks
}

/// A character of more than one byte.
#[inline(always)]
fn wide_char<P: Scheme>(window: &[u8; WINDOW], at: usize) -> Char {
    let bytes = window[at..].first_chunk().copied().unwrap_or([0; 4]);
    super::wide_char::<P>(bytes)
}

/// The rest of a text, padded. Bytes past the end count as white space.
#[inline(always)]
fn pad(rest: &[u8]) -> [u8; WINDOW] {
    let mut padded = [b' '; WINDOW];
    padded[..rest.len()].copy_from_slice(rest);
    padded
}

/// The lowest `n` bits, or all.
#[inline(always)]
pub(super) fn low_bits(n: usize) -> u64 {
    if n < BLOCK { (1 << n) - 1 } else { u64::MAX }
}

/// The runs of ones of `run`, each from its first bit in `seeds` on; `seeds` is a subset of `run`.
///
/// Adding a bit to a run clears the run from there on, up to the carry after it.
#[inline(always)]
pub(super) fn flood(run: u64, seeds: u64) -> u64 {
    run & !run.wrapping_add(seeds) | seeds
}
