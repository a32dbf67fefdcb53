//! `cl100k_base`:
//!
//! ```text
//! '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|
//! \s++$|\s*[\r\n]|\s+(?!\S)|\s
//! ```

use super::masks::{Kinds, Word, flood};
use super::scan::{Masked, Starts};
use super::{Class, Scheme, char_at, contraction_in_any_case, run, spaces};

/// The pattern of GPT-3.5 and GPT-4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cl100k;

impl Scheme for Cl100k {
    #[inline(always)]
    fn advance(text: &[u8], at: usize) -> usize {
        // '(?i:[sdmt]|ll|ve|re)
        if let Some(end) = contraction_in_any_case(text, at) {
            return end;
        }
        let Some(first) = char_at(text, at) else {
            return at;
        };
        let after = at + first.len;
        let second = char_at(text, after);
        match first.class {
            // [^\r
            // \p{L}\p{N}]?+\p{L}++ without the prefix
            Class::Upper | Class::Lower | Class::Caseless => {
                return run(text, after, Class::is_letter);
            }
            // \p{N}{1,3}+
            Class::Number => return digits(text, after),
            // and with the prefix
            Class::Other | Class::Mark | Class::Space
                if second.is_some_and(|second| second.class.is_letter()) =>
            {
                return run(text, after, Class::is_letter);
            }
            _ => {}
        }
        //  ?[^\s\p{L}\p{N}]++[\r\n]*+
        let is_other = |class| matches!(class, Class::Other | Class::Mark);
        let is_prefixed = text[at] == b' ' && second.is_some_and(|second| is_other(second.class));
        if is_prefixed || is_other(first.class) {
            let end = run(text, after, is_other);
            return run(text, end, |class| class == Class::Newline);
        }
        let spaces = spaces(text, at);
        // \s++$
        if spaces.end == text.len() {
            return spaces.end;
        }
        // \s*[\r\n]|\s+(?!\S)|\s
        spaces.newline_end.unwrap_or_else(|| spaces.before_last(at))
    }
}

/// The end of up to three numbers, one of which lies before byte `at`.
#[inline(always)]
pub(super) fn digits(text: &[u8], mut at: usize) -> usize {
    for _ in 0..2 {
        match char_at(text, at) {
            Some(char) if char.class == Class::Number => at += char.len,
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

/// What this and all later patterns have in common, computed from the masks of a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    /// Where runs of others begin.
    pub(super) others: u64,
    /// Where letters would have a prefix before them.
    pub(super) prefixed: u64,
    /// Where numbers and white space begin.
    pub(super) rest: u64,
}

impl Common {
    /// `slash` marks the slashes that a run of others includes after a line break. `is_end_first`
    /// says whether white space up to the end of the text is one pretoken, with or without line
    /// breaks.
    #[inline(always)]
    pub(super) fn new(
        word: &Word<'_>,
        other: u64,
        after_other: u64,
        slash: u64,
        is_end_first: bool,
        carry: &mut Carry,
    ) -> Self {
        let masks = &word.masks;
        let was_absorbed = u64::from(carry.absorbed);

        // [\r
        // ]* after others: a run of line breaks, flooded from those that follow others.
        let absorbable = masks.newline | slash;
        let seeds = masks.newline & after_other | absorbable & was_absorbed;
        let absorbed = flood(absorbable, seeds);
        let after_absorbed = absorbed << 1 | was_absorbed;

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

        carry.absorbed = absorbed >> 63 != 0;
        carry.prefix = carry_1 || carry_2;
        let space = masks.space() & !absorbed;
        let after_space = word.after(masks.space(), Kinds::SPACE) & !after_absorbed;
        let after_newline = word.after(masks.newline, Kinds::NEWLINE) & !after_absorbed;
        let behind_newline = masks.blank & after_newline;
        let spaces = space & !after_space
            | word.last_space & masks.blank
            | blanks_behind_newline(word, behind_newline, is_end_first);
        Self {
            others,
            prefixed: behind_first | word.after(masks.blank, Kinds::BLANK),
            rest: spaces | groups_of_three(word, carry),
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
    if !goes_on
        && behind & !(word.masks.other | word.masks.mark | word.masks.number | word.masks.letter)
            == 0
    {
        return firsts;
    }
    let mut firsts_left = firsts;
    let mut kept = 0;
    while firsts_left != 0 {
        let at = firsts_left.trailing_zeros() as usize;
        firsts_left &= firsts_left - 1;
        let is_blank = |class| class == Class::Space;
        let end = run(word.text, word.base + at, is_blank);
        let is_kept = match char_at(word.text, end) {
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

impl Masked for Cl100k {
    type Carry = Carry;

    /// Letters begin a pretoken at the start of their run, unless they have a prefix: one character
    /// that is not a letter, number or line break. For the rest, see [`Common`]. A contraction is
    /// an apostrophe that begins a pretoken, and ends that pretoken sooner.
    #[inline(always)]
    fn starts(word: &Word<'_>, carry: &mut Carry, starts: &mut Starts) -> bool {
        let other = word.masks.other | word.masks.mark;
        let after_other = word.after(other, Kinds::OTHER_OR_MARK);
        let common = Common::new(word, other, after_other, 0, true, carry);
        let letter = word.masks.letter;
        let letters = letter & !word.after(letter, Kinds::LETTER) & !common.prefixed;
        starts.set(word.base, letters | common.others | common.rest);

        let mut apostrophes = word.masks.apostrophe & common.others & starts.bits;
        while apostrophes != 0 {
            let at = word.base + apostrophes.trailing_zeros() as usize;
            apostrophes &= apostrophes - 1;
            if let Some(end) = contraction_in_any_case(word.text, at) {
                starts.join(word.base, at + 1, end);
            }
        }
        !word.has_wide_number
    }

    fn carry_on(numbers: u32) -> Carry {
        Carry::of_numbers(numbers)
    }
}
