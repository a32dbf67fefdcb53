//! `gpt2`, `r50k_base`, `p50k_base`, `p50k_edit`:
//!
//! ```text
//! '(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s
//! ```
//!
//! The spelling of `ByteLevel` in a tokenizer file means the same: `\s+(?!\S)` matches white space
//! up to the end, as `\s++$` does, and where it fails, `\s+` matches one character:
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```
//!
//! [`DigitsR50k`] is this after a step that makes every number a piece, which SmolLM, StarCoder and
//! Command-R have. That step's numbers are those of Rust's standard library, of which `\p{N}` lacks
//! the newest. A piece that is a number stays whole, whatever the pattern calls it. The other
//! pieces have no numbers, and the pattern sees the end of a text before each number.

use super::kinds::Kinds;
use super::masks::Word;
use super::scan::{Masked, Starts};
use super::unicode::Traits;
use super::{Class, Scheme, char_at, contraction, run, spaces};

/// The pattern of GPT-2, with or without a step before it that makes every number a piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct R50kLike<const DIGITS_APART: bool>;

/// The pattern of GPT-2.
pub(crate) type R50k = R50kLike<false>;

/// The pattern of GPT-2 after `Digits` with `individual_digits`.
pub(crate) type DigitsR50k = R50kLike<true>;

impl<const DIGITS_APART: bool> Scheme for R50kLike<DIGITS_APART> {
    const APART: Kinds = if DIGITS_APART {
        Kinds::NUMBER
    } else {
        Kinds::NONE
    };

    #[inline(always)]
    fn class(traits: Traits) -> Class {
        if DIGITS_APART && traits.is_new_number() {
            Class::Number
        } else {
            traits.class()
        }
    }

    #[inline(always)]
    fn advance(text: &[u8], at: usize) -> usize {
        // '(?:[sdmt]|ll|ve|re)
        if let Some(end) = contraction(text, at) {
            return end;
        }
        if DIGITS_APART
            && let Some(first) = char_at::<Self>(text, at)
            && first.class == Class::Number
        {
            return at + first.len;
        }
        // ` ?` matches the space whenever a character that is not white space follows: without it,
        // all three alternatives fail at a space.
        let start = at + usize::from(text[at] == b' ');
        if let Some(char) = char_at::<Self>(text, start) {
            let after = start + char.len;
            match char.class {
                Class::Upper | Class::Lower | Class::Caseless => {
                    return run::<Self>(text, after, Class::is_letter);
                }
                Class::Number if !DIGITS_APART => {
                    return run::<Self>(text, after, |class| class == Class::Number);
                }
                Class::Other | Class::Mark => {
                    return run::<Self>(text, after, |class| {
                        matches!(class, Class::Other | Class::Mark)
                    });
                }
                _ => {}
            }
        }
        // \s++$|\s+(?!\S)|\s
        spaces::<Self>(text, at).before_last(at)
    }
}

impl<const DIGITS_APART: bool> Masked for R50kLike<DIGITS_APART> {
    type Carry = ();

    /// A character that is not white space begins a pretoken unless it continues the run before it
    /// or has a space as its prefix. White space begins one at the start of a run, and at the last
    /// character of a run that something follows. A contraction ends sooner than its run. Every
    /// number begins one if numbers are kept apart.
    #[inline(always)]
    fn starts(word: &Word<'_>, (): &mut (), starts: &mut Starts) -> bool {
        let (letter, number) = (word.masks.letter, word.masks.number);
        let other = word.masks.other | word.masks.mark;
        let space = word.masks.space();
        let after_sp = word.after(word.masks.sp, Kinds::SP);
        let mut goes_on = letter & word.after(letter, Kinds::LETTER)
            | other & word.after(other, Kinds::OTHER_OR_MARK);
        if DIGITS_APART {
            goes_on |= number & word.masks.continuation | after_sp & !number;
        } else {
            goes_on |= number & word.after(number, Kinds::NUMBER) | after_sp;
        }
        let runs = space & !word.after(space, Kinds::SPACE);
        let visible = letter | number | other;
        starts.set(word.base, visible & !goes_on | runs | word.last_space);

        let mut apostrophes = word.masks.apostrophe & starts.bits;
        while apostrophes != 0 {
            let at = word.base + apostrophes.trailing_zeros() as usize;
            apostrophes &= apostrophes - 1;
            if let Some(end) = contraction(word.text, at) {
                starts.join(word.base, at + 1, end);
            }
        }
        true
    }

    fn carry_on(_: u32) {}
}
