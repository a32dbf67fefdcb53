//! `o200k_base`, `o200k_harmony`: with `S` for `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, `T` for
//! `[\p{Ll}\p{Lm}\p{Lo}\p{M}]` and `C` for `(?i:'s|'t|'re|'ve|'m|'ll|'d)`,
//!
//! ```text
//! [^\r\n\p{L}\p{N}]?S*T+C?|[^\r\n\p{L}\p{N}]?S+T*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|
//! \s*[\r\n]+|\s+(?!\S)|\s+
//! ```
//!
//! Caseless letters and marks are in both S and T, which makes the first two alternatives
//! backtrack.

use super::cl100k::{Carry, Common, digits};
use super::masks::{Kinds, Word, flood};
use super::scan::{Masked, Starts};
use super::{Class, Scheme, char_at, contraction_in_any_case, run, spaces};

/// The pattern of GPT-4o and later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct O200k;

impl Scheme for O200k {
    #[inline(always)]
    fn advance(text: &[u8], at: usize) -> usize {
        let Some(first) = char_at(text, at) else {
            return at;
        };
        let after = at + first.len;
        if let Some(end) = word_with_prefix(text, at, first.class, after) {
            return contraction_in_any_case(text, end).unwrap_or(end);
        }
        // \p{N}{1,3}
        if first.class == Class::Number {
            return digits(text, after);
        }
        //  ?[^\s\p{L}\p{N}]+[\r\n/]*
        let is_other = |class| matches!(class, Class::Other | Class::Mark);
        let second = char_at(text, after);
        let is_prefixed = text[at] == b' ' && second.is_some_and(|second| is_other(second.class));
        if is_prefixed || is_other(first.class) {
            let end = run(text, after, is_other);
            let absorbed = |byte: &&u8| matches!(byte, b'\r' | b'\n' | b'/');
            return end + text[end..].iter().take_while(absorbed).count();
        }
        let spaces = spaces(text, at);
        // \s*[\r\n]+
        if let Some(end) = spaces.newline_end {
            return end;
        }
        // \s+(?!\S)|\s+
        if spaces.end == text.len() {
            return spaces.end;
        }
        spaces.before_last(at)
    }
}

/// The first two alternatives without C, each with the prefix and then without it.
#[inline(always)]
fn word_with_prefix(text: &[u8], at: usize, first: Class, after: usize) -> Option<usize> {
    let may_be_prefix = matches!(first, Class::Other | Class::Mark | Class::Space);
    if may_be_prefix {
        mixed(text, after)
            // Without the prefix, only a mark can begin the word.
            .or_else(|| (first == Class::Mark).then(|| mixed(text, at)).flatten())
            .or_else(|| upper(text, after))
    } else if first.is_letter() {
        mixed(text, at).or_else(|| upper(text, at))
    } else {
        None
    }
}

fn is_s(class: Class) -> bool {
    matches!(class, Class::Upper | Class::Caseless | Class::Mark)
}

fn is_t(class: Class) -> bool {
    matches!(class, Class::Lower | Class::Caseless | Class::Mark)
}

/// `S*T+` at byte `at`.
#[inline(always)]
fn mixed(text: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    // The end of the last character of the run of S that is also in T.
    let mut both_end = None;
    while let Some(char) = char_at(text, end)
        && is_s(char.class)
    {
        end += char.len;
        if char.class != Class::Upper {
            both_end = Some(end);
        }
    }
    match char_at(text, end) {
        Some(char) if char.class == Class::Lower => Some(run(text, end + char.len, is_t)),
        // S* backtracks until T+ can match a character; what follows that one is upper case.
        _ => both_end,
    }
}

/// `S+T*` at byte `at`, where `S*T+` fails: nothing but upper case.
#[inline(always)]
fn upper(text: &[u8], at: usize) -> Option<usize> {
    let end = run(text, at, |class| class == Class::Upper);
    (end > at).then_some(end)
}

/// State that the masks of the next word need.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WordCarry {
    common: Carry,
    /// Whether the last byte belongs to a mark that is part of a word.
    mark: bool,
}

impl Masked for O200k {
    type Carry = WordCarry;

    /// A word is letters, and marks after a letter. It begins where no other letter or mark
    /// precedes and it has no prefix, and at upper case after lower case. A contraction belongs to
    /// the word before it, unless that is the end of another contraction.
    ///
    /// Hard cases are numbers beyond ASCII, marks without a letter, and upper case after caseless
    /// letters or marks, where the whole word decides which alternative matches.
    #[inline(always)]
    fn starts(word: &Word<'_>, carry: &mut WordCarry, starts: &mut Starts) -> bool {
        let masks = &word.masks;
        let after_mark = u64::from(carry.mark);
        let after_letter = word.after(masks.letter, Kinds::LETTER);
        let mark = flood(masks.mark, masks.mark & (after_letter | after_mark));
        let after_mark = mark << 1 | after_mark;
        carry.mark = mark >> 63 != 0;
        let is_easy = !word.has_wide_number
            && masks.mark == mark
            && masks.upper & (word.after(masks.caseless, Kinds::CASELESS) | after_mark) == 0;

        let after_other = word.after(masks.other, Kinds::OTHER);
        let slash = masks.slash;
        let common = Common::new(
            word,
            masks.other,
            after_other,
            slash,
            false,
            &mut carry.common,
        );
        let in_word = masks.letter | mark;
        let after_word = after_letter | after_mark;
        let words = in_word & !after_word & !common.prefixed
            | masks.upper & word.after(masks.lower, Kinds::LOWER);
        let resumed = starts.resume;
        starts.set(word.base, words | common.others | common.rest);

        let mut apostrophes = masks.apostrophe & after_word & starts.bits;
        let mut last_end = resumed;
        while apostrophes != 0 {
            let at = word.base + apostrophes.trailing_zeros() as usize;
            apostrophes &= apostrophes - 1;
            if at != last_end
                && let Some(end) = contraction_in_any_case(word.text, at)
            {
                starts.join(word.base, at, end);
                last_end = end;
            }
        }
        is_easy
    }

    fn carry_on(numbers: u32) -> WordCarry {
        WordCarry {
            common: Carry::of_numbers(numbers),
            mark: false,
        }
    }
}
