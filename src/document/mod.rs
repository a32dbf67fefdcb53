//! Bytes of a source -> documents.
//!
//! Knows how each format marks documents, what it looks like and where a source of it may be cut;
//! does not open files and does not know tokens.

pub(crate) mod jsonl;
mod lenient;
mod record;
mod sniff;
mod strict;
pub(crate) mod text;
mod utf8;

use std::ffi::OsStr;
use std::path::Path;

pub(crate) use record::Bad;
pub use record::{BadKind, BadRecords};
pub(crate) use sniff::{HEAD_BYTES, foreign_format, is_json_lines};
pub use utf8::InvalidUtf8;
pub(crate) use utf8::decode;

/// How the documents of a source are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The whole source is one document.
    Text,
    /// Each line that is not blank is a JSON object with the document in one of its fields.
    Jsonl,
}

/// A row per format: the format, its name on the command line and in manifests, and the file
/// extensions that `auto` takes for it.
pub const FORMATS: [(Format, &str, &[&str]); 2] = [
    (Format::Text, "text", &["txt"]),
    (Format::Jsonl, "jsonl", &["jsonl", "ndjson"]),
];

impl Format {
    /// The format that a file's extension names; text where it names none. What is called `.json`
    /// may be either, which [`Corpus::open`](crate::Corpus::open) tells by its content.
    pub fn of_path(path: &Path) -> Self {
        let extension = path.extension().unwrap_or(OsStr::new(""));
        FORMATS
            .iter()
            .find(|(_, _, extensions)| {
                extensions
                    .iter()
                    .any(|known| extension.eq_ignore_ascii_case(known))
            })
            .map_or(Self::Text, |&(format, _, _)| format)
    }

    /// Whether the extension of `path` leaves open what the file is.
    pub(crate) fn is_open(path: &Path) -> bool {
        path.extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
    }

    /// Where a piece of a source may end: the first allowed cut at or after `from` in `bytes`,
    /// which begin where the source or an earlier piece of it begins. Cutting there changes
    /// neither documents nor ids. `None`: not in these bytes.
    pub(crate) fn next_cut(self, bytes: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Text => text::next_cut(bytes, from),
            Self::Jsonl => jsonl::next_cut(bytes, from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_choose_the_format() {
        for (format, _, extensions) in FORMATS {
            for extension in extensions {
                assert_eq!(
                    Format::of_path(Path::new(&format!("a.{extension}"))),
                    format
                );
            }
        }
        assert_eq!(Format::of_path(Path::new("a.JSONL")), Format::Jsonl);
        assert_eq!(Format::of_path(Path::new("a.rs")), Format::Text);
        assert_eq!(Format::of_path(Path::new("jsonl")), Format::Text);
    }
}
