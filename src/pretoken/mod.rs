//! Text -> pretokens: the split patterns of the encodings, coded by hand.
//!
//! A [`Scheme`] is a pattern family. Its `advance` returns where the pretoken that begins at a byte
//! ends. It is the specification, argued branch by branch against the pattern in each family's
//! file. It looks at nothing before that byte, because none of the patterns looks behind. A
//! [`Scanner`] finds the same ends with masks of 64 bytes. This room knows only characters: no
//! vocabulary, no files.
//!
//! ```text
//! mod      characters, and what the schemes share: runs, white space, contractions
//! r50k     the scheme of gpt2, r50k_base, p50k_base and p50k_edit
//! cl100k   the scheme of cl100k_base
//! o200k    the scheme of o200k_base and o200k_harmony
//! unicode  the class of each code point
//! masks    64 bytes -> a mask for each class
//! scan     text -> ends, by masks or, if they are not enough, by the scheme
//! cut      where a text may be cut without changing its pretokens
//! ```

mod cl100k;
mod cut;
mod masks;
mod o200k;
mod r50k;
mod scan;
#[cfg(test)]
mod tests;
mod unicode;

use unicode::{Class, class_of};

pub(crate) use cl100k::Cl100k;
pub(crate) use cut::{SPECIAL_BYTES, next_cut};
pub(crate) use o200k::O200k;
pub(crate) use r50k::R50k;
pub(crate) use scan::{Ends, Masked, Scanner, ends};

/// A family of split patterns.
pub(crate) trait Scheme {
    /// The end of the pretoken that begins at byte `at` of `text`; `at` is a character boundary
    /// below the length.
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
fn char_at(text: &[u8], at: usize) -> Option<Char> {
    let first = *text.get(at)?;
    if first < 0x80 {
        return Some(Char {
            class: ASCII[first as usize],
            len: 1,
        });
    }
    let rest = |index: usize| text.get(at + index).copied().unwrap_or(0);
    Some(wide_char([first, rest(1), rest(2), rest(3)]))
}

/// The multi-byte character at the start of `bytes`.
///
/// The text is UTF-8, so a lead byte is followed by its continuation bytes.
#[inline(always)]
fn wide_char(bytes: [u8; 4]) -> Char {
    let [first, second, third, fourth] = bytes.map(u32::from);
    let rest = (second & 0x3f) << 12 | (third & 0x3f) << 6 | fourth & 0x3f;
    let (code_point, len) = match bytes[0] {
        0..0xe0 => ((first & 0x1f) << 6 | rest >> 12, 2),
        0xe0..0xf0 => ((first & 0x0f) << 12 | rest >> 6, 3),
        _ => ((first & 0x07) << 18 | rest, 4),
    };
    Char {
        class: class_of(code_point.min(0x10_ffff)),
        len,
    }
}

/// The end of the run of characters, from byte `at` on, whose class `is_in` accepts.
#[inline(always)]
fn run(text: &[u8], mut at: usize, is_in: impl Fn(Class) -> bool) -> usize {
    while let Some(char) = char_at(text, at)
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
}

/// The run of white space that begins at byte `at`, where there is at least one character.
fn spaces(text: &[u8], at: usize) -> Spaces {
    let mut spaces = Spaces {
        end: at,
        last: at,
        newline_end: None,
    };
    while let Some(char) = char_at(text, spaces.end)
        && char.class.is_space()
    {
        spaces.last = spaces.end;
        spaces.end += char.len;
        if char.class == Class::Newline {
            spaces.newline_end = Some(spaces.end);
        }
    }
    spaces
}

impl Spaces {
    /// `\s+(?!\S)`, else `\s`, for a run at `at` that does not reach the end of the text:
    /// everything but the last character, which goes with what follows, or the last character if it
    /// is alone.
    fn before_last(&self, at: usize) -> usize {
        if self.last > at { self.last } else { self.end }
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
