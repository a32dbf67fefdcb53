//! The escapes in JSON strings, as Python reads them: halves of surrogate pairs may stand alone.

use crate::document::InvalidUtf8;

/// How many characters of a name are shown.
const NAME_SHOWN: usize = 40;

/// The text of a string that has escapes, as far as it has been read.
#[derive(Debug)]
pub(super) struct Unescaped<'a> {
    pub(super) text: &'a mut String,
    pub(super) policy: InvalidUtf8,
    /// How many halves of surrogate pairs were replaced or left out.
    pub(super) lone: u64,
    /// Where the first of them is in the line.
    pub(super) first_lone: Option<usize>,
}

impl<'a> Unescaped<'a> {
    /// Begins in `text`, which it empties.
    pub(super) fn new(text: &'a mut String, policy: InvalidUtf8) -> Self {
        text.clear();
        Self {
            text,
            policy,
            lone: 0,
            first_lone: None,
        }
    }

    /// Forgets what was read.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.lone = 0;
        self.first_lone = None;
    }

    /// Appends the character of the escape at `at`, which has been checked; returns where the escape
    /// ends.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8], at: usize) -> usize {
        let (character, end) = character(bytes, at);
        if let Some(character) = character {
            self.text.push(character);
        } else {
            self.lone += 1;
            self.first_lone.get_or_insert(at);
            if self.policy != InvalidUtf8::Ignore {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        end
    }
}

/// The character of the escape at `at`, which has been checked, and where the escape ends; `None`
/// for half of a surrogate pair.
#[inline]
fn character(bytes: &[u8], at: usize) -> (Option<char>, usize) {
    let simple = match bytes[at + 1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return by_number(bytes, at),
        // A quote, a slash or a backslash.
        other => char::from(other),
    };
    (Some(simple), at + 2)
}

fn by_number(bytes: &[u8], at: usize) -> (Option<char>, usize) {
    let first = hex(bytes, at + 2).unwrap_or(0);
    let second = || {
        let is_escape = bytes.get(at + 6..at + 8) == Some(b"\\u");
        hex(bytes, at + 8).filter(|_| is_escape)
    };
    if let 0xd800..0xdc00 = first
        && let Some(second @ 0xdc00..0xe000) = second()
    {
        let both = 0x10000 + ((first - 0xd800) << 10 | (second - 0xdc00));
        return (char::from_u32(both), at + 12);
    }
    (char::from_u32(first), at + 6)
}

/// The four hex digits at `at`.
pub(super) fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |value, &byte| {
        Some(value << 4 | char::from(byte).to_digit(16)?)
    })
}

/// The text of a string without its quotes, which has been checked.
pub(super) fn unescaped(string: &str) -> String {
    let mut text = String::new();
    let mut unescaped = Unescaped::new(&mut text, InvalidUtf8::Replace);
    let mut at = 0;
    while let Some(length) = string[at..].find('\\') {
        unescaped.text.push_str(&string[at..at + length]);
        at = unescaped.push(string.as_bytes(), at + length);
    }
    unescaped.text.push_str(&string[at..]);
    text
}

/// A name in quotes, truncated, with anything that could control a terminal escaped.
pub(super) fn shown(name: &str) -> String {
    match name.char_indices().nth(NAME_SHOWN) {
        Some((end, _)) => format!("{:?}...", &name[..end]),
        None => format!("{name:?}"),
    }
}
