//! Text -> pretokens: the split patterns of the encodings, coded by hand.
//!
//! A [`Scheme`] is a pattern, or a chain of them, with the meaning of all. Its `advance` returns
//! where the pretoken that begins at a byte ends. It is the specification, argued branch by branch
//! against the pattern in its file. It looks at nothing before that byte, because none of the
//! patterns looks behind. A [`Scanner`] finds the same ends with masks of 64 bytes. This room knows
//! only characters: no vocabulary, no files.
//!
//! ```text
//! mod       characters, and what the schemes share: runs, white space, contractions
//! r50k      the schemes like r50k_base, which is also that of gpt2
//! cl100k    the schemes like cl100k_base: Llama-3, Qwen
//! o200k     the schemes like o200k_base: tekken, Kimi
//! deepseek  the scheme of DeepSeek-V3
//! stage     the steps of any tokenizer
//! family    steps -> the scheme that they are, if any
//! unicode   what the schemes distinguish of each code point
//! kinds     sets of classes
//! masks     64 bytes -> a mask for each class
//! scan      text -> ends, by masks or, if they are not enough, by the scheme
//! chain     splits by the steps of any tokenizer
//! pattern   any split pattern as an automaton
//! utf8      whole characters in bytes
//! cut       where a text may be cut without changing its pretokens
//! ```

mod chain;
mod cl100k;
mod cut;
mod deepseek;
mod family;
mod kinds;
mod masks;
mod o200k;
mod pattern;
mod r50k;
mod scan;
mod stage;
#[cfg(test)]
mod tests;
mod unicode;
mod utf8;

use kinds::{ASCII_KINDS, Kinds};
use unicode::{Class, Traits, traits_of};

pub(crate) use chain::{Chain, Scratch};
pub(crate) use cl100k::{Cl100k, Llama3, MiniCpm5, Qwen2, Qwen35, SeedCoder, UfakZeka};
pub(crate) use cut::{SPECIAL_BYTES, next_cut};
pub(crate) use deepseek::DeepSeek;
pub(crate) use family::{Family, recognize, with_scheme};
pub(crate) use o200k::{KimiK2, O200k, Tekken};
pub(crate) use r50k::{DigitsR50k, R50k};
pub(crate) use scan::{Ends, Masked, Scanner, ends};
pub(crate) use stage::{Behavior, Stage, Syntax};
pub(crate) use utf8::{scalar_at, scalar_before};

/// A split pattern, or a chain of them.
pub(crate) trait Scheme: Copy + std::fmt::Debug {
    /// What an earlier pattern of the chain cuts off: white space before it is at the end of its
    /// piece, which `(?!\S)` accepts.
    const APART: Kinds = Kinds::NONE;

    /// Whether the scheme has more classes than the first eight.
    const HAS_MORE: bool = false;

    /// Whether it has odd characters.
    const HAS_ODD: bool = false;

    /// The kinds of the ASCII characters.
    const KINDS: &'static [Kinds; 128] = &ASCII_KINDS;

    /// The classes of the ASCII characters.
    const ASCII: &'static [Class; 128] = &ASCII;

    /// The class of a character beyond ASCII.
    #[inline(always)]
    fn class(traits: Traits) -> Class {
        traits.class()
    }

    /// The end of the pretoken that begins at byte `at` of `text`; `at` is a character boundary
    /// below the length, and a pretoken begins there.
    fn advance(text: &[u8], at: usize) -> usize;
}

/// A character of UTF-8 text: its class and its length in bytes.
#[derive(Clone, Copy, Debug)]
struct Char {
    class: Class,
    len: usize,
}

/// The classes of ASCII.
static ASCII: [Class; 128] = {
    let mut classes = [Class::Other; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'A'..=b'Z' => Class::Upper,
            b'a'..=b'z' => Class::Lower,
            b'0'..=b'9' => Class::Number,
            b'\r' | b'\n' => Class::Newline,
            b'\t' | 0x0b | 0x0c | b' ' => Class::Space,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// The character at byte `at`, if the text is that long.
#[inline(always)]
fn char_at<P: Scheme>(text: &[u8], at: usize) -> Option<Char> {
    let first = *text.get(at)?;
    if first < 0x80 {
        return Some(Char {
            class: P::ASCII[first as usize],
            len: 1,
        });
    }
    let rest = |index: usize| text.get(at + index).copied().unwrap_or(0);
    Some(wide_char::<P>([first, rest(1), rest(2), rest(3)]))
}

/// The multi-byte character at the start of `bytes`.
///
/// The text is UTF-8, so a lead byte is followed by its continuation bytes.
#[inline(always)]
fn wide_char<P: Scheme>(bytes: [u8; 4]) -> Char {
    let [first, second, third, fourth] = bytes.map(u32::from);
    let rest = (second & 0x3f) << 12 | (third & 0x3f) << 6 | fourth & 0x3f;
    let (code_point, len) = match bytes[0] {
        0..0xe0 => ((first & 0x1f) << 6 | rest >> 12, 2),
        0xe0..0xf0 => ((first & 0x0f) << 12 | rest >> 6, 3),
        _ => ((first & 0x07) << 18 | rest, 4),
    };
    Char {
        class: P::class(traits_of(code_point.min(0x10_ffff))),
        len,
    }
}

/// The end of the run of characters, from byte `at` on, whose class `is_in` accepts.
#[inline(always)]
fn run<P: Scheme>(text: &[u8], mut at: usize, is_in: impl Fn(Class) -> bool) -> usize {
    while let Some(char) = char_at::<P>(text, at)
        && is_in(char.class)
    {
        at += char.len;
    }
    at
}

/// A run of white space.
struct Spaces {
    end: usize,
    /// Where its last character begins.
    last: usize,
    /// The end of its last CR or LF, if it has one.
    newline_end: Option<usize>,
    /// Whether nothing follows in the same piece.
    is_last: bool,
}

/// The run of white space that begins at byte `at`, where there is at least one character.
fn spaces<P: Scheme>(text: &[u8], at: usize) -> Spaces {
    let mut spaces = Spaces {
        end: at,
        last: at,
        newline_end: None,
        is_last: true,
    };
    while let Some(char) = char_at::<P>(text, spaces.end) {
        if !char.class.is_space() {
            spaces.is_last = P::APART.has(char.class);
            break;
        }
        spaces.last = spaces.end;
        spaces.end += char.len;
        if char.class == Class::Newline {
            spaces.newline_end = Some(spaces.end);
        }
    }
    spaces
}

impl Spaces {
    /// `\s+(?!\S)`, else `\s`, for a run at `at`: everything if nothing follows, else everything
    /// but the last character, which goes with what follows, or the last character if it is alone.
    fn before_last(&self, at: usize) -> usize {
        if self.last > at && !self.is_last {
            self.last
        } else {
            self.end
        }
    }
}

/// The end of `'s`, `'d`, `'m`, `'t`, `'ll`, `'ve` or `'re` at byte `at`, in lower case.
fn contraction(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..).and_then(|rest| rest.strip_prefix(b"'"))?;
    match rest {
        [b's' | b'd' | b'm' | b't', ..] => Some(at + 2),
        [b'l', b'l', ..] | [b'v' | b'r', b'e', ..] => Some(at + 3),
        _ => None,
    }
}

/// Like [`contraction`], in any case: `(?i:...)` folds U+017F (long s) to `s`, and nothing else
/// outside ASCII to any of these letters.
fn contraction_in_any_case(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..).and_then(|rest| rest.strip_prefix(b"'"))?;
    if rest.starts_with("\u{17f}".as_bytes()) {
        return Some(at + 3);
    }
    let lower = |index: usize| rest.get(index).map(u8::to_ascii_lowercase);
    match (lower(0), lower(1)) {
        (Some(b's' | b'd' | b'm' | b't'), _) => Some(at + 2),
        (Some(b'l'), Some(b'l')) | (Some(b'v' | b'r'), Some(b'e')) => Some(at + 3),
        _ => None,
    }
}
