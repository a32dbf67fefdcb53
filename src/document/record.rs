//! Records that cannot be read: what to do with them, and what is wrong with each.

use shardmill_core::choice;
use shardmill_core::show::counted;

use crate::document::escapes::shown;
use crate::document::syntax::{Syntax, Type};
use crate::error::Problem;

choice! {
    /// What to do with a record or row that holds no document.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum BadRecords {
        /// End the run and say where.
        #[default]
        Error = "error",
        /// Leave the record out, count it, and list it in a file next to the shard.
        Skip = "skip",
    }
}

impl BadRecords {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(crate) fn is_error(&self) -> bool {
        *self == Self::Error
    }
}

/// Why a record or row holds no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BadKind {
    /// It is not JSON, or ends too early.
    BrokenJson,
    /// It is JSON, but not an object.
    NotAnObject,
    /// The object does not have the field.
    MissingField,
    /// The field is null.
    NullField,
    /// The field is neither a string nor null.
    NotAString,
    /// The line is not UTF-8, and [`InvalidUtf8::Strict`](crate::document::InvalidUtf8::Strict) is
    /// set.
    InvalidUtf8,
    /// An escape in the text is half of a surrogate pair, which UTF-8 cannot represent, and
    /// [`InvalidUtf8::Strict`](crate::document::InvalidUtf8::Strict) is set.
    LoneSurrogate,
    /// It is not CSV, or does not have as many fields as the header.
    BrokenCsv,
}

impl BadKind {
    /// Every kind, in the order in which they are counted.
    pub const ALL: [Self; 8] = [
        Self::BrokenJson,
        Self::NotAnObject,
        Self::MissingField,
        Self::NullField,
        Self::NotAString,
        Self::InvalidUtf8,
        Self::LoneSurrogate,
        Self::BrokenCsv,
    ];

    /// The kind in a few words that can follow a number.
    pub const fn words(self) -> &'static str {
        match self {
            Self::BrokenJson => "broken JSON",
            Self::NotAnObject => "not an object",
            Self::MissingField => "missing field",
            Self::NullField => "null field",
            Self::NotAString => "not a string",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::LoneSurrogate => "lone surrogate",
            Self::BrokenCsv => "broken CSV",
        }
    }
}

/// What is wrong with a record. There may be half a million in a chunk, so it is small.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    /// The byte in the line, for problems that have a position.
    at: usize,
    why: Why,
}

#[derive(Debug, PartialEq, Eq)]
enum Why {
    Broken(Syntax),
    NotObject(Type),
    /// With the names of the fields that exist.
    Missing(Box<str>),
    NotString(Type),
    Utf8,
    /// In the text of a row.
    TextUtf8,
    /// In the kept field of this name.
    KeptUtf8(Box<str>),
    Surrogate,
    Csv(Csv),
}

/// What is wrong with a CSV record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Csv {
    /// A quote is never closed.
    OpenQuote,
    /// Something follows a closing quote.
    AfterQuote,
    /// There are not as many fields as columns.
    Fields { found: u32, columns: u32 },
}

impl Csv {
    pub(super) fn what(self) -> String {
        match self {
            Self::OpenQuote => {
                "a quote that begins a field is never closed, so all that follows is in that field"
                    .to_owned()
            }
            Self::AfterQuote => {
                "something follows a quote that closes a field; a quote in a field is doubled"
                    .to_owned()
            }
            Self::Fields { found, columns } => {
                let found = counted(found.into(), "field");
                format!(
                    "has {found}, and the header names {}",
                    counted(columns.into(), "column")
                )
            }
        }
    }
}

impl Bad {
    pub(super) fn broken(at: usize, what: Syntax) -> Self {
        Self {
            at,
            why: Why::Broken(what),
        }
    }

    pub(super) fn not_object(found: Type) -> Self {
        Self {
            at: 0,
            why: Why::NotObject(found),
        }
    }

    pub(super) fn missing(fields: String) -> Self {
        Self {
            at: 0,
            why: Why::Missing(fields.into()),
        }
    }

    pub(super) fn not_string(found: Type) -> Self {
        Self {
            at: 0,
            why: Why::NotString(found),
        }
    }

    pub(super) fn utf8(at: usize) -> Self {
        Self { at, why: Why::Utf8 }
    }

    pub(super) fn text_utf8(at: usize) -> Self {
        Self {
            at,
            why: Why::TextUtf8,
        }
    }

    pub(super) fn kept_utf8(field: &str, at: usize) -> Self {
        Self {
            at,
            why: Why::KeptUtf8(field.into()),
        }
    }

    pub(super) fn csv(what: Csv) -> Self {
        Self {
            at: 0,
            why: Why::Csv(what),
        }
    }

    pub(super) fn surrogate(at: usize) -> Self {
        Self {
            at,
            why: Why::Surrogate,
        }
    }

    /// Whether it is in a kept field, whose name is part of the problem.
    pub(crate) fn is_of_kept(&self) -> bool {
        matches!(self.why, Why::KeptUtf8(_))
    }

    /// Its byte position in the line.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn kind(&self) -> BadKind {
        match self.why {
            Why::Broken(_) => BadKind::BrokenJson,
            Why::NotObject(_) => BadKind::NotAnObject,
            Why::Missing(_) => BadKind::MissingField,
            Why::NotString(Type::Null) => BadKind::NullField,
            Why::NotString(_) => BadKind::NotAString,
            Why::Utf8 | Why::TextUtf8 | Why::KeptUtf8(_) => BadKind::InvalidUtf8,
            Why::Surrogate => BadKind::LoneSurrogate,
            Why::Csv(_) => BadKind::BrokenCsv,
        }
    }

    /// The problem, if `field` was looked for; safe for a terminal.
    pub(crate) fn problem(&self, field: &str) -> Problem {
        match self.hint() {
            Some(hint) => (self.what(field), hint).into(),
            None => self.what(field).into(),
        }
    }

    /// The same as written in files of bad records, whose wording is part of their format.
    pub(crate) fn listed(&self, field: &str) -> String {
        let what = self.what(field);
        match self.listed_hint() {
            Some(hint) => format!("{what}; {hint}"),
            None => what,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match &self.why {
            Why::Missing(fields) if !fields.is_empty() => Some("choose one with `text_field`"),
            Why::Broken(Syntax::AfterReturn) => Some("end its lines with \\n"),
            Why::Surrogate | Why::TextUtf8 | Why::KeptUtf8(_) => {
                Some("use `invalid_utf8` replace or ignore to accept it")
            }
            _ => None,
        }
    }

    /// [`hint`](Self::hint) as it was worded when the format was fixed. Manifests have hashes of
    /// these bytes, so a repaired dataset needs the same.
    fn listed_hint(&self) -> Option<&'static str> {
        match &self.why {
            Why::Missing(fields) if !fields.is_empty() => Some("choose one with --text-field"),
            Why::Surrogate => Some("use --invalid-utf8 replace or ignore to accept it"),
            _ => None,
        }
    }

    fn what(&self, field: &str) -> String {
        let column = self.at + 1;
        let field = shown(field);
        match &self.why {
            Why::Broken(syntax) => format!("column {column}: {}", syntax.what()),
            Why::NotObject(found) => format!("is {}, not an object", found.name()),
            Why::Missing(fields) if fields.is_empty() => {
                format!("no field {field}: the object is empty")
            }
            Why::Missing(fields) => {
                format!("no field {field}; there are {fields}")
            }
            Why::NotString(found) => format!("field {field} is {}, not a string", found.name()),
            Why::Utf8 => format!("column {column}: invalid UTF-8"),
            Why::TextUtf8 => format!("byte {} of the text: invalid UTF-8", self.at),
            Why::KeptUtf8(kept) => {
                let kept = shown(kept);
                format!("byte {} of the kept field {kept}: invalid UTF-8", self.at)
            }
            Why::Surrogate => {
                format!("column {column}: an escape \\u is half of a surrogate pair")
            }
            Why::Csv(csv) => csv.what(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_takes_little_memory() {
        assert!(size_of::<Bad>() <= 32, "{}", size_of::<Bad>());
    }
}
