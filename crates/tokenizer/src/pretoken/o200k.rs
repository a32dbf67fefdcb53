//! `o200k_base`, `o200k_harmony`: with `S` for `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, `T` for
//! `[\p{Ll}\p{Lm}\p{Lo}\p{M}]` and `C` for `(?i:'s|'t|'re|'ve|'m|'ll|'d)`,
//!
//! ```text
//! [^\r\n\p{L}\p{N}]?S*T+C?|[^\r\n\p{L}\p{N}]?S+T*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|
//! \s*[\r\n]+|\s+(?!\S)|\s+
//! ```
//!
//! Caseless letters and marks are in both S and T, which makes the first two alternatives
//! backtrack. Other patterns differ from this one:
//!
//! ```text
//! NO_CONTRACTIONS  no C?
//! NO_SLASH         [\r\n]* in place of [\r\n/]*
//! HAN              [\p{Han}]+ is the first alternative, and S and T are without \p{Han}
//! ```
//!
//! and may have `\p{N}` in place of `\p{N}{1,3}`. Not all Han characters are letters: with HAN, the
//! numbers among them still continue `\p{N}{1,3}`, and symbols and marks the others.

use super::cl100k::{Carry, Common, Rules, digits};
use super::kinds::Kinds;
use super::masks::{Word, flood};
use super::scan::{Masked, Starts};
use super::unicode::Traits;
use super::{Class, Scheme, char_at, contraction_in_any_case, run, spaces};

/// Words do not end in contractions.
pub(crate) const NO_CONTRACTIONS: u8 = 1 << 0;
/// Others do not include slashes after line breaks.
pub(crate) const NO_SLASH: u8 = 1 << 1;
/// Han characters are pretokens of their own.
pub(crate) const HAN: u8 = 1 << 2;

/// A pattern like that of GPT-4o, with up to `DIGITS` numbers in a pretoken, 1 or 3, and any of the
/// constants above as `KNOBS`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct O200kLike<const DIGITS: usize, const KNOBS: u8>;

/// GPT-4o and later, gpt-oss, Llama-4.
pub(crate) type O200k = O200kLike<3, 0>;
/// Mistral's tekken, Nemotron-3.
pub(crate) type Tekken = O200kLike<1, NO_CONTRACTIONS>;
/// Kimi K2.
pub(crate) type KimiK2 = O200kLike<3, { NO_SLASH | HAN }>;

/// The classes if Han characters are kept apart from other letters.
static HAN_CLASSES: [Class; Traits::COUNT] = {
    let mut classes = [Class::Other; Traits::COUNT];
    let mut bits = 0_u8;
    while (bits as usize) < Traits::COUNT {
        let traits = Traits::from_bits(bits);
        classes[bits as usize] = match traits.class() {
            class if !traits.is_han() => class,
            Class::Mark => Class::CjkMark,
            Class::Number => Class::CjkNumber,
            class if class.is_letter() => Class::Cjk,
            _ => Class::CjkOther,
        };
        bits += 1;
    }
    classes
};

impl<const DIGITS: usize, const KNOBS: u8> O200kLike<DIGITS, KNOBS> {
    const CONTRACTIONS: bool = KNOBS & NO_CONTRACTIONS == 0;
    const HAS_SLASH: bool = KNOBS & NO_SLASH == 0;
    const HAN: bool = KNOBS & HAN != 0;
}

impl<const DIGITS: usize, const KNOBS: u8> Scheme for O200kLike<DIGITS, KNOBS> {
    const HAS_MORE: bool = Self::HAN;
    #[inline(always)]
    fn class(traits: Traits) -> Class {
        if Self::HAN {
            HAN_CLASSES[traits.index()]
        } else {
            traits.class()
        }
    }

    #[inline(always)]
    fn advance(text: &[u8], at: usize) -> usize {
        let Some(first) = char_at::<Self>(text, at) else {
            return at;
        };
        let after = at + first.len;
        // [\p{Han}]+
        if Self::HAN && Kinds::ALL_CJK.has(first.class) {
            return run::<Self>(text, after, |class| Kinds::ALL_CJK.has(class));
        }
        if let Some(end) = word_with_prefix::<Self>(text, at, first.class, after) {
            if !Self::CONTRACTIONS {
                return end;
            }
            return contraction_in_any_case(text, end).unwrap_or(end);
        }
        // \p{N}{1,3}
        if first.class == Class::Number {
            return digits::<Self, DIGITS>(text, after);
        }
        //  ?[^\s\p{L}\p{N}]+[\r\n/]*
        let is_other = |class| {
            matches!(
                class,
                Class::Other | Class::Mark | Class::CjkOther | Class::CjkMark
            )
        };
        let second = char_at::<Self>(text, after);
        let is_prefixed = text[at] == b' ' && second.is_some_and(|second| is_other(second.class));
        if is_prefixed || is_other(first.class) {
            let end = run::<Self>(text, after, is_other);
            let absorbed =
                |byte: &&u8| matches!(byte, b'\r' | b'\n') || Self::HAS_SLASH && **byte == b'/';
            return end + text[end..].iter().take_while(absorbed).count();
        }
        let spaces = spaces::<Self>(text, at);
        // \s*[\r\n]+|\s+(?!\S)|\s+
        spaces.newline_end.unwrap_or_else(|| spaces.before_last(at))
    }
}

/// The first two alternatives without C, each with the prefix and then without it.
#[inline(always)]
fn word_with_prefix<P: Scheme>(
    text: &[u8],
    at: usize,
    first: Class,
    after: usize,
) -> Option<usize> {
    let may_be_prefix = matches!(first, Class::Other | Class::Mark | Class::Space);
    if may_be_prefix {
        mixed::<P>(text, after)
            // Without the prefix, only a mark can begin the word.
            .or_else(|| {
                (first == Class::Mark)
                    .then(|| mixed::<P>(text, at))
                    .flatten()
            })
            .or_else(|| upper::<P>(text, after))
    } else if first.is_letter() {
        mixed::<P>(text, at).or_else(|| upper::<P>(text, at))
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
fn mixed<P: Scheme>(text: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    // The end of the last character of the run of S that is also in T.
    let mut both_end = None;
    while let Some(char) = char_at::<P>(text, end)
        && is_s(char.class)
    {
        end += char.len;
        if char.class != Class::Upper {
            both_end = Some(end);
        }
    }
    match char_at::<P>(text, end) {
        Some(char) if char.class == Class::Lower => Some(run::<P>(text, end + char.len, is_t)),
        // S* backtracks until T+ can match a character; what follows that one is upper case.
        _ => both_end,
    }
}

/// `S+T*` at byte `at`, where `S*T+` fails: nothing but upper case.
#[inline(always)]
fn upper<P: Scheme>(text: &[u8], at: usize) -> Option<usize> {
    let end = run::<P>(text, at, |class| class == Class::Upper);
    (end > at).then_some(end)
}

/// State that the masks of the next word need.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WordCarry {
    common: Carry,
    /// Whether the last byte belongs to a mark that is part of a word.
    mark: bool,
}

impl<const DIGITS: usize, const KNOBS: u8> Masked for O200kLike<DIGITS, KNOBS> {
    const CLEAN: Kinds = Kinds::LETTER
        .union(Kinds::NUMBER)
        .union(Kinds::BLANK)
        .union(Kinds::CJK);

    type Carry = WordCarry;

    /// A word is letters, and marks after a letter. It begins where no other letter or mark
    /// precedes and it has no prefix, and at upper case after lower case. A contraction belongs to
    /// the word before it, unless that is the end of another contraction.
    ///
    /// Hard cases are numbers beyond ASCII if three make a pretoken, marks without a letter, Han
    /// characters that are not letters, and upper case after caseless letters or marks, where the
    /// whole word decides which alternative matches.
    #[inline(always)]
    fn starts(word: &Word<'_>, carry: &mut WordCarry, starts: &mut Starts) -> bool {
        let masks = &word.masks;
        let after_mark = u64::from(carry.mark);
        let after_letter = word.after(masks.letter, Kinds::LETTER);
        let mark = flood(masks.mark, masks.mark & (after_letter | after_mark));
        let after_mark = mark << 1 | after_mark;
        carry.mark = mark >> 63 != 0;
        let is_easy = (DIGITS == 1 || !word.has_wide_number)
            && !(Self::HAN && (word.has_hard_cjk || masks.cjk_other != 0))
            && masks.mark == mark
            && masks.upper & (word.after(masks.caseless, Kinds::CASELESS) | after_mark) == 0;

        let rules = Rules {
            digits: DIGITS,
            has_tail: true,
            has_slash: Self::HAS_SLASH,
            is_end_first: false,
        };
        let after_other = word.after(masks.other, Kinds::OTHER);
        let common = Common::new(word, masks.other, after_other, rules, &mut carry.common);
        let in_word = masks.letter | mark;
        let after_word = after_letter | after_mark;
        let mut words = in_word & !after_word & !common.prefixed
            | masks.upper & word.after(masks.lower, Kinds::LOWER);
        if Self::HAN {
            words |= masks.cjk & !word.after(masks.cjk, Kinds::CJK);
        }
        let resumed = starts.resume;
        starts.set(word.base, words | common.others | common.rest);

        if Self::CONTRACTIONS {
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
