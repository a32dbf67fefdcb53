//! DeepSeek-V3 and R1: three patterns. Each splits the pieces of the one before it, and sees
//! nothing beyond a piece. What a pattern does not match is a piece as well.
//!
//! ```text
//! 1  \p{N}{1,3}
//! 2  [一-龥぀-ゟ゠-ヿ]+
//! 3  A[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
//!    \s*[\r\n]+|\s+(?!\S)|\s+
//! ```
//!
//! with `A` for ASCII punctuation, and CR and LF themselves in place of `\r` and `\n`.
//!
//! The pieces that pattern 3 sees are of three kinds:
//!
//! - up to three numbers, which it does not match, so they stay a piece;
//! - a run of CJK, the characters of pattern 2. Its letters and marks are one class here, because
//!   only alternative 2 matches them, in runs, and its punctuation and symbols another, which only
//!   alternative 3 matches, in runs. Three code points there are unassigned, so odd;
//! - a text without numbers and CJK, which ends where one of them begins: white space before it is
//!   at the end.
//!
//! Odd characters, which are neither letters, marks, numbers, punctuation, symbols nor white space,
//! are in the prefix of alternative 2 and nowhere else. So one right before a letter or mark begins
//! a word, and others are not matched: a run of them is a pretoken.

use super::cl100k::{Carry, Common, Rules, digits};
use super::kinds::{Kinds, ascii_kinds};
use super::masks::{Word, flood};
use super::scan::{Masked, Starts};
use super::unicode::Traits;
use super::{Class, Scheme, char_at, run, spaces};

/// The patterns of DeepSeek-V3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeepSeek;

/// The classes of all characters by traits.
static CLASSES: [Class; Traits::COUNT] = {
    let mut classes = [Class::Other; Traits::COUNT];
    let mut bits = 0_u8;
    while (bits as usize) < Traits::COUNT {
        let traits = Traits::from_bits(bits);
        classes[bits as usize] = match (traits.class(), traits.is_cjk()) {
            (Class::Other, true) if traits.is_visible() => Class::CjkOther,
            (Class::Other, false) if traits.is_visible() => Class::Other,
            (Class::Other, true) => Class::CjkOdd,
            (Class::Other, false) => Class::Odd,
            (class, true) if class.is_letter() || matches!(class, Class::Mark) => Class::Cjk,
            // There is neither a number nor white space in CJK.
            (class, _) => class,
        };
        bits += 1;
    }
    classes
};

/// The classes of ASCII.
static ASCII: [Class; 128] = {
    let mut classes = super::ASCII;
    let mut byte = 0_u8;
    while byte < 128 {
        if matches!(classes[byte as usize], Class::Other) && !byte.is_ascii_graphic() {
            classes[byte as usize] = Class::Odd;
        }
        byte += 1;
    }
    classes
};

/// The kinds of ASCII.
static ASCII_KINDS: [Kinds; 128] = ascii_kinds(&ASCII);

impl Scheme for DeepSeek {
    const HAS_MORE: bool = true;
    const HAS_ODD: bool = true;
    const KINDS: &'static [Kinds; 128] = &ASCII_KINDS;
    const APART: Kinds = Kinds::NUMBER.union(Kinds::ALL_CJK);
    const ASCII: &'static [Class; 128] = &ASCII;

    #[inline(always)]
    fn class(traits: Traits) -> Class {
        CLASSES[traits.index()]
    }

    #[inline(always)]
    fn advance(text: &[u8], at: usize) -> usize {
        let Some(first) = char_at::<Self>(text, at) else {
            return at;
        };
        let after = at + first.len;
        let second = char_at::<Self>(text, after);
        let in_word = |class| Kinds::LETTER_OR_MARK.has(class);
        match first.class {
            // \p{N}{1,3}
            Class::Number => return digits::<Self, 3>(text, after),
            // [\p{L}\p{M}]+ and [\p{P}\p{S}]+ within [一-龥぀-ゟ゠-ヿ]+
            Class::Cjk | Class::CjkOther => {
                return run::<Self>(text, after, |class| class == first.class);
            }
            // The prefix within it, or what is unmatched.
            Class::CjkOdd => return odd(text, after, |class| class == Class::Cjk, first.class),
            Class::Odd => return odd(text, after, in_word, first.class),
            // A[A-Za-z]+
            Class::Other if text[at].is_ascii() => {
                let letters = text[after..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_alphabetic());
                match letters.count() {
                    0 => {}
                    count => return after + count,
                }
            }
            // [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+. A mark as the prefix has the same end.
            Class::Space if second.is_some_and(|second| in_word(second.class)) => {
                return run::<Self>(text, after, in_word);
            }
            class if in_word(class) => return run::<Self>(text, after, in_word),
            _ => {}
        }
        //  ?[\p{P}\p{S}]+[\r\n]*
        let is_other = |class| class == Class::Other;
        let is_prefixed = text[at] == b' ' && second.is_some_and(|second| is_other(second.class));
        if is_prefixed || is_other(first.class) {
            let end = run::<Self>(text, after, is_other);
            return run::<Self>(text, end, |class| class == Class::Newline);
        }
        let spaces = spaces::<Self>(text, at);
        // \s*[\r\n]+|\s+(?!\S)|\s+
        spaces.newline_end.unwrap_or_else(|| spaces.before_last(at))
    }
}

/// The end of a pretoken that begins with a character of the class `odd`, before byte `after`:
/// letters that follow right there, or others of the class, up to one that letters follow.
fn odd(text: &[u8], after: usize, is_letter: impl Fn(Class) -> bool, odd: Class) -> usize {
    let mut at = after;
    while let Some(char) = char_at::<DeepSeek>(text, at) {
        if is_letter(char.class) {
            break;
        }
        let next = at + char.len;
        let precedes_letter =
            char_at::<DeepSeek>(text, next).is_some_and(|next| is_letter(next.class));
        if char.class != odd || precedes_letter {
            return at;
        }
        at = next;
    }
    run::<DeepSeek>(text, at, is_letter)
}

/// State that the masks of the next word need.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WordCarry {
    common: Carry,
    /// Whether the last byte is a punctuation character that letters of ASCII would join, or a
    /// letter that has joined one.
    joined: bool,
}

impl Masked for DeepSeek {
    const CLEAN: Kinds = Kinds::LETTER
        .union(Kinds::NUMBER)
        .union(Kinds::BLANK)
        .union(Kinds::CJK);

    type Carry = WordCarry;

    /// A word is letters and marks. It begins where no other letter or mark precedes, and no
    /// prefix: a blank, an odd character or, if the word begins in ASCII, a single punctuation
    /// character of ASCII. A word with the latter ends at its first character beyond ASCII, where
    /// another one begins.
    ///
    /// Hard cases are numbers beyond ASCII, and unassigned code points of CJK. After a hard word,
    /// nothing is known of a word that has joined punctuation, but `starts` knows its end.
    #[inline(always)]
    fn starts(word: &Word<'_>, carry: &mut WordCarry, starts: &mut Starts) -> bool {
        let masks = &word.masks;
        let rules = Rules {
            digits: 3,
            has_tail: true,
            has_slash: false,
            is_end_first: false,
        };
        let after_other = word.after(masks.other, Kinds::OTHER);
        let common = Common::new(word, masks.other, after_other, rules, &mut carry.common);

        let letter = masks.letter & !masks.wide;
        let was_joined = u64::from(carry.joined);
        let single = common.others & !masks.wide;
        let seeds = letter & (single << 1 | was_joined);
        let joined = flood(letter, seeds);
        let after_joined = joined << 1 | was_joined;
        carry.joined = (joined | single) >> 63 != 0;

        let in_word = masks.letter | masks.mark;
        let prefixed = word.after(masks.blank, Kinds::BLANK) | word.after(masks.odd, Kinds::ODD);
        let words = in_word & !word.after(in_word, Kinds::LETTER_OR_MARK) & !prefixed & !seeds
            | in_word & !letter & after_joined;
        let odds = masks.odd & !word.after(masks.odd, Kinds::ODD) | word.last_odd;
        let cjk = masks.cjk & !word.after(masks.cjk, Kinds::CJK)
            | masks.cjk_other & !word.after(masks.cjk_other, Kinds::CJK_OTHER);
        starts.set(word.base, words | odds | cjk | common.others | common.rest);
        !word.has_wide_number && !word.has_hard_cjk
    }

    fn carry_on(numbers: u32) -> WordCarry {
        WordCarry {
            common: Carry::of_numbers(numbers),
            joined: false,
        }
    }
}
