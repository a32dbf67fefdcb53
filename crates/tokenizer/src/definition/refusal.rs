//! Why a tokenizer file cannot be used.

use std::borrow::Cow;
use std::fmt;

/// Why a tokenizer file cannot be used: one line without the file's path, which the caller adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) cause: Cause,
    pub(crate) place: Place,
    /// What is wrong there.
    pub(crate) what: Cow<'static, str>,
    /// What to do, if that is known.
    pub(crate) hint: Option<Cow<'static, str>>,
}

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The file is damaged, or no tokenizer at all.
    Damaged,
    /// It is a tokenizer, but uses something that is not implemented.
    Unsupported,
    /// Something must come from outside the file, such as a pattern.
    Incomplete,
    /// There is no such file.
    NotFound,
}

/// Where in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    File,
    /// Such as `model.type` or `pre_tokenizer.pretokenizers[1].behavior`.
    Path(String),
    /// Counted from 1.
    Line(u64),
    /// An offset in the file.
    Byte(u64),
}

impl Refusal {
    pub(super) fn new(cause: Cause, place: Place, what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            cause,
            place,
            what: what.into(),
            hint: None,
        }
    }

    /// The file as a whole is damaged.
    pub(super) fn damaged(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Damaged, Place::File, what)
    }

    /// A part of a JSON file is damaged.
    pub(super) fn damaged_at(path: impl Into<String>, what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Damaged, Place::Path(path.into()), what)
    }

    /// A part of a file means something that is not implemented.
    pub(super) fn unsupported(path: impl Into<String>, what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Unsupported, Place::Path(path.into()), what)
    }

    pub(super) fn line(line: u64, what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Damaged, Place::Line(line), what)
    }

    pub(super) fn byte(offset: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Damaged, Place::Byte(offset as u64), what)
    }

    pub(super) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What `serde_json` reports, in the house's words.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        Self::damaged(format!("is not valid: {}", one_line(&error.to_string())))
    }
}

/// What is wrong, and where, in one line.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File => {}
            Place::Path(path) => write!(f, "{} ", one_line(path))?,
            Place::Line(line) => write!(f, "line {line}: ")?,
            Place::Byte(byte) => write!(f, "byte {byte}: ")?,
        }
        f.write_str(&self.what)
    }
}

/// A text from a file, in quotes, short and free of control characters.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    one_line(&format!("{shown:?}"))
}

/// Escapes control characters, and what could look like an option in a message. A long text loses
/// its middle: a name from a file may have any length.
fn one_line(text: &str) -> String {
    const BEGINNING: usize = 200;
    const END: usize = 100;
    let count = text.chars().count();
    let mut line = String::new();
    for (i, c) in text.chars().enumerate() {
        if count > BEGINNING + END && (BEGINNING..count - END).contains(&i) {
            if i == BEGINNING {
                line.push('…');
            }
            continue;
        }
        if c.is_control() {
            line.extend(c.escape_default());
        } else if c == '-' && line.ends_with('-') {
            line.push_str("\\u{2d}");
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_where_in_one_line() {
        let refusal = Refusal::unsupported("model.type", "\"Unigram\" is not supported");
        assert_eq!(
            refusal.to_string(),
            "model.type \"Unigram\" is not supported"
        );
        assert_eq!(Refusal::line(3, "is empty").to_string(), "line 3: is empty");
        assert_eq!(quoted("a\n--1"), "\"a\\n-\\u{2d}1\"");
        assert!(quoted(&"x".repeat(1000)).len() < 80);
        let long = one_line(&format!("unknown field {} at line 3", "\n".repeat(1000)));
        assert!(long.starts_with("unknown field \\n") && long.ends_with(" at line 3"));
        assert!(long.len() < 700, "{}", long.len());
    }
}
