//! `cl100k_base`, and the patterns that differ from it in a few places.
//!
//! ```text
//! '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|
//! \s++$|\s*[\r\n]|\s+(?!\S)|\s
//! ```
//!
//! Nothing that is possessive here could give back a character to any effect. The others are
//!
//! ```text
//! (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
//! \s*[\r\n]+|\s+(?!\S)|\s+
//! ```
//!
//! with these changes:
//!
//! ```text
//! END_FIRST        \s++$ precedes \s*[\r\n]+: cl100k_base
//! MARKS            [\p{L}\p{M}]+ and [^\s\p{L}\p{M}\p{N}]+ in place of \p{L}+ and [^\s\p{L}\p{N}]+
//! NO_TAIL          no [\r\n]* after [^\s\p{L}\p{N}]+
//! NO_CONTRACTIONS  no first alternative
//! NUMBERS_APART    an earlier pattern makes the pieces \p{N}{1,3}
//! ```
//!
//! and `\p{N}` or `\p{N}{1,3}` for numbers. `\s*[\r\n]+` and `\s*[\r\n]` match the same: `\s*`
//! backtracks to the last line break. So do `\s` and `\s+`, because what `\s+(?!\S)` fails at is a
//! single character.

use super::kinds::Kinds;
use super::masks::{Word, flood};
use super::scan::{Masked, Starts};
use super::{Class, Scheme, char_at, contraction_in_any_case, run, spaces};

/// White space up to the end of the text is one pretoken, with or without line breaks.
pub(crate) const END_FIRST: u8 = 1 << 0;
/// Marks are letters.
pub(crate) const MARKS: u8 = 1 << 1;
/// Line breaks after others are white space.
pub(crate) const NO_TAIL: u8 = 1 << 2;
/// There are no contractions.
pub(crate) const NO_CONTRACTIONS: u8 = 1 << 3;
/// Numbers are made pieces before this pattern.
pub(crate) const NUMBERS_APART: u8 = 1 << 4;

/// A pattern like that of GPT-4, with up to `DIGITS` numbers in a pretoken, 1 or 3, and any of the
/// constants above as `KNOBS`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cl100kLike<const DIGITS: usize, const KNOBS: u8>;

/// GPT-3.5 and GPT-4.
pub(crate) type Cl100k = Cl100kLike<3, END_FIRST>;
/// Llama-3, OLMo-2, GLM-4, Phi-4.
pub(crate) type Llama3 = Cl100kLike<3, 0>;
/// Qwen2, Qwen2.5, Qwen3.
pub(crate) type Qwen2 = Cl100kLike<1, 0>;
/// Qwen3.5.
pub(crate) type Qwen35 = Cl100kLike<1, MARKS>;
/// Seed-Coder.
pub(crate) type SeedCoder = Cl100kLike<1, NO_TAIL>;
/// Qwen2 without contractions.
pub(crate) type UfakZeka = Cl100kLike<1, NO_CONTRACTIONS>;
/// MiniCPM5.
pub(crate) type MiniCpm5 = Cl100kLike<3, NUMBERS_APART>;

impl<const DIGITS: usize, const KNOBS: u8> Cl100kLike<DIGITS, KNOBS> {
    const END_FIRST: bool = KNOBS & END_FIRST != 0;
    const MARKS: bool = KNOBS & MARKS != 0;
    const HAS_TAIL: bool = KNOBS & NO_TAIL == 0;
    const CONTRACTIONS: bool = KNOBS & NO_CONTRACTIONS == 0;

    #[inline(always)]
    fn is_letter(class: Class) -> bool {
        class.is_letter() || Self::MARKS && class == Class::Mark
    }

    #[inline(always)]
    fn is_other(class: Class) -> bool {
        class == Class::Other || !Self::MARKS && class == Class::Mark
    }
}

impl<const DIGITS: usize, const KNOBS: u8> Scheme for Cl100kLike<DIGITS, KNOBS> {
    const APART: Kinds = if KNOBS & NUMBERS_APART == 0 {
        Kinds::NONE
    } else {
        Kinds::NUMBER
    };

    #[inline(always)]
    fn advance(text: &[u8], at: usize) -> usize {
        // '(?i:[sdmt]|ll|ve|re)
        if Self::CONTRACTIONS
            && let Some(end) = contraction_in_any_case(text, at)
        {
            return end;
        }
        let Some(first) = char_at::<Self>(text, at) else {
            return at;
        };
        let after = at + first.len;
        // \p{N}{1,3}+
        if first.class == Class::Number {
            return digits::<Self, DIGITS>(text, after);
        }
        // [^\r\n\p{L}\p{N}]?+\p{L}++ without the prefix, and with it. A mark that is a letter is
        // also a prefix, but with the same end.
        let second = char_at::<Self>(text, after);
        let is_prefix = || {
            first.class != Class::Newline
                && second.is_some_and(|second| Self::is_letter(second.class))
        };
        if Self::is_letter(first.class) || is_prefix() {
            return run::<Self>(text, after, Self::is_letter);
        }
        //  ?[^\s\p{L}\p{N}]++[\r\n]*+
        let is_prefixed =
            text[at] == b' ' && second.is_some_and(|second| Self::is_other(second.class));
        if is_prefixed || Self::is_other(first.class) {
            let end = run::<Self>(text, after, Self::is_other);
            if !Self::HAS_TAIL {
                return end;
            }
            return run::<Self>(text, end, |class| class == Class::Newline);
        }
        let spaces = spaces::<Self>(text, at);
        // \s++$
        if Self::END_FIRST && spaces.is_last {
            return spaces.end;
        }
        // \s*[\r\n]|\s+(?!\S)|\s
        spaces.newline_end.unwrap_or_else(|| spaces.before_last(at))
    }
}

/// The end of up to `DIGITS` numbers, one of which lies before byte `at`.
#[inline(always)]
pub(super) fn digits<P: Scheme, const DIGITS: usize>(text: &[u8], mut at: usize) -> usize {
    for _ in 1..DIGITS {
        match char_at::<P>(text, at) {
            Some(char) if matches!(char.class, Class::Number | Class::CjkNumber) => at += char.len,
            _ => break,
        }
    }
    at
}

/// State that the masks of the next word need.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carry {
    /// Whether the last byte is a line break or a slash that belongs to a run of others.
    absorbed: bool,
    /// Whether the last byte belongs to a character that is a prefix if a letter follows.
    prefix: bool,
    /// The count of numbers in the last pretoken, if it consists of numbers.
    numbers: u32,
}

impl Carry {
    /// After a hard word.
    pub(super) fn of_numbers(numbers: u32) -> Self {
        Self {
            numbers,
            ..Self::default()
        }
    }
}

/// What this pattern and later ones differ in, as far as [`Common`] is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// How many numbers a pretoken may have: 1 or 3.
    pub(super) digits: usize,
    /// Whether a run of others includes the line breaks after it.
    pub(super) has_tail: bool,
    /// And the slashes among these.
    pub(super) has_slash: bool,
    /// Whether white space up to the end of the text is one pretoken, with or without line breaks.
    pub(super) is_end_first: bool,
}

/// What this and all later patterns have in common, computed from the masks of a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    /// Where runs of others begin.
    pub(super) others: u64,
    /// Where letters would have a prefix before them: one other or white space.
    pub(super) prefixed: u64,
    /// Where numbers and white space begin.
    pub(super) rest: u64,
}

impl Common {
    /// `rules` must be a constant.
    #[inline(always)]
    pub(super) fn new(
        word: &Word<'_>,
        other: u64,
        after_other: u64,
        rules: Rules,
        carry: &mut Carry,
    ) -> Self {
        let masks = &word.masks;

        // [\r\n]* after others: a run of line breaks, flooded from those that follow others.
        let mut absorbed = 0;
        let mut after_absorbed = 0;
        if rules.has_tail {
            let was_absorbed = u64::from(carry.absorbed);
            let slash = if rules.has_slash { masks.slash } else { 0 };
            let absorbable = masks.newline | slash;
            let seeds = masks.newline & after_other | absorbable & was_absorbed;
            absorbed = flood(absorbable, seeds);
            after_absorbed = absorbed << 1 | was_absorbed;
            carry.absorbed = absorbed >> 63 != 0;
        }

        // Others begin where no other of their run precedes, and no space.
        let other = other & !absorbed;
        let after_other = after_other & !(after_absorbed);
        let others = other & !after_other & !word.after(masks.sp, Kinds::SP);

        // A single other is the prefix of letters right after it: the carry comes out after its
        // bytes.
        let first = others | other & masks.continuation;
        let (sum, carry_1) = first.overflowing_add(others);
        let (sum, carry_2) = sum.overflowing_add(u64::from(carry.prefix));
        let behind_first = sum & !first;
        carry.prefix = carry_1 || carry_2;

        let space = masks.space() & !absorbed;
        let after_space = word.after(masks.space(), Kinds::SPACE) & !after_absorbed;
        let after_newline = word.after(masks.newline, Kinds::NEWLINE) & !after_absorbed;
        let behind_newline = masks.blank & after_newline;
        let spaces = space & !after_space
            | word.last_space & masks.blank
            | blanks_behind_newline(word, behind_newline, rules.is_end_first);
        let numbers = if rules.digits == 1 {
            masks.number & !masks.continuation
        } else {
            groups_of_three(word, carry)
        };
        Self {
            others,
            prefixed: behind_first | word.after(masks.blank, Kinds::BLANK),
            rest: spaces | numbers,
        }
    }
}

/// Of `firsts`, which are blanks right after a line break, those whose run is not followed by
/// another line break: a pretoken ends at the last line break of white space.
#[inline(always)]
fn blanks_behind_newline(word: &Word<'_>, firsts: u64, is_end_first: bool) -> u64 {
    let blank = word.masks.blank;
    let (sum, goes_on) = blank.overflowing_add(firsts);
    let behind = sum & !blank;
    if !goes_on && behind & word.masks.space() == 0 {
        return firsts;
    }
    let mut firsts_left = firsts;
    let mut kept = 0;
    while firsts_left != 0 {
        let at = firsts_left.trailing_zeros() as usize;
        firsts_left &= firsts_left - 1;
        let is_blank = |class| class == Class::Space;
        let end = run::<Cl100k>(word.text, word.base + at, is_blank);
        let is_kept = match char_at::<Cl100k>(word.text, end) {
            Some(char) => char.class != Class::Newline,
            None => !is_end_first,
        };
        kept |= u64::from(is_kept) << at;
    }
    kept
}

/// Where numbers of one byte begin a group of three.
#[inline(always)]
fn groups_of_three(word: &Word<'_>, carry: &mut Carry) -> u64 {
    let number = word.masks.number;
    let mut starts = 0;
    let mut new = number & !word.after(number, Kinds::NUMBER);
    if carry.numbers != 0 && number & 1 != 0 {
        // The group continues for as many numbers as it lacks.
        let lacks = 3 - carry.numbers;
        let through = (2_u64 << lacks) - 1;
        if number & through == through {
            new |= 1 << lacks;
        }
    }
    let fourth = number & number << 1 & number << 2 & number << 3;
    while new != 0 {
        starts |= new;
        new = new << 3 & fourth;
    }
    carry.numbers = if number >> 63 == 0 {
        0
    } else {
        starts.leading_zeros() + 1
    };
    starts
}

impl<const DIGITS: usize, const KNOBS: u8> Masked for Cl100kLike<DIGITS, KNOBS> {
    type Carry = Carry;

    /// Letters begin a pretoken at the start of their run, unless they have a prefix: one character
    /// that is not a letter, number or line break. For the rest, see [`Common`]. A contraction is
    /// an apostrophe that begins a pretoken, and ends that pretoken sooner.
    #[inline(always)]
    fn starts(word: &Word<'_>, carry: &mut Carry, starts: &mut Starts) -> bool {
        let rules = Rules {
            digits: DIGITS,
            has_tail: Self::HAS_TAIL,
            has_slash: false,
            is_end_first: Self::END_FIRST,
        };
        let (letter, letters, other, others) = if Self::MARKS {
            let letter = word.masks.letter | word.masks.mark;
            (
                letter,
                Kinds::LETTER_OR_MARK,
                word.masks.other,
                Kinds::OTHER,
            )
        } else {
            let other = word.masks.other | word.masks.mark;
            (
                word.masks.letter,
                Kinds::LETTER,
                other,
                Kinds::OTHER_OR_MARK,
            )
        };
        let common = Common::new(word, other, word.after(other, others), rules, carry);
        let letters = letter & !word.after(letter, letters) & !common.prefixed;
        starts.set(word.base, letters | common.others | common.rest);

        if Self::CONTRACTIONS {
            let mut apostrophes = word.masks.apostrophe & common.others & starts.bits;
            while apostrophes != 0 {
                let at = word.base + apostrophes.trailing_zeros() as usize;
                apostrophes &= apostrophes - 1;
                if let Some(end) = contraction_in_any_case(word.text, at) {
                    starts.join(word.base, at + 1, end);
                }
            }
        }
        DIGITS == 1 || !word.has_wide_number
    }

    fn carry_on(numbers: u32) -> Carry {
        Carry::of_numbers(numbers)
    }
}
