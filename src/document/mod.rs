//! Bytes of a source -> documents.
//!
//! Knows how each format marks documents, what it looks like and where a source of it may be cut.
//! Does not open files and knows nothing of tokens.
//!
//! ```text
//! mod         the table of formats, and which one a file's extension names
//! text        plain text, and where it may be cut
//! lines       each line of a text is a document
//! paragraphs  each paragraph of a text is a document
//! separated   each part of a text between two separators is a document
//! jsonl       lines and their records, and where they may be cut
//! csv         records of fields, after a header, and where they may be cut
//! header      headers, and the columns that they name
//! rows        rows of a column, taken out of a file that has columns
//! json        the text of a record, and what is wrong with a broken one
//! syntax      the types of JSON, its numbers, and what may be wrong with it
//! line_ends   where lines end, for their numbers
//! kept        fields that are kept beside documents, as lines of JSON
//! special     which bytes of a line end or interrupt a string
//! escapes     the escapes in strings
//! record      the kinds of bad records, what to do with them, and their messages
//! utf8        what happens to bytes that are not UTF-8
//! reading     what every format returns: documents, and where they lie
//! sniff       what bytes look like: JSON Lines, or a format that is refused
//! ```

mod csv;
mod escapes;
mod header;
mod json;
mod jsonl;
mod kept;
mod line_ends;
mod lines;
mod paragraphs;
mod reading;
mod record;
mod rows;
mod separated;
mod sniff;
mod special;
mod syntax;
mod text;
mod utf8;

use std::ffi::OsStr;
use std::path::Path;

use shardmill_core::choice;

use crate::error::{Error, Result};

#[cfg(any(feature = "arrow", feature = "parquet"))]
pub(crate) use header::no_column;
pub(crate) use header::{Header, TEXT_HEAD_BYTES};
pub(crate) use jsonl::first_field;
pub(crate) use kept::{FieldCheck, Fields, KeptField, KeptValues};
pub(crate) use line_ends::LineEnds;
pub(crate) use reading::{Documents, Extent, Reading, Span};
pub(crate) use record::Bad;
pub use record::{BadKind, BadRecords};
#[cfg(any(feature = "arrow", feature = "parquet"))]
pub(crate) use rows::{Cell, json_float, push_cell, push_row};
pub(crate) use sniff::{HEAD_BYTES, foreign_format, is_json_lines, with_columns};
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
    /// Each row is a document, in one of the columns.
    Parquet,
    /// Each line that is not blank is a document.
    Lines,
    /// Each paragraph is a document: the lines between two blank ones.
    Paragraphs,
    /// Each record is a document, in the column that the header names.
    Csv,
    /// The same, with tabs.
    Tsv,
    /// Each part of a text between two separators that is not blank is a document.
    Separated,
    /// Each row is a document, in one of the columns.
    Arrow,
}

/// What must be known of the bytes before a place to say whether a cut is allowed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    /// The byte before it.
    Byte,
    /// The line before it.
    Line,
    /// All from an allowed cut on.
    All,
}

/// The properties of a format: a row of [`FORMATS`].
#[derive(Debug)]
#[non_exhaustive]
pub struct DocumentFormat {
    /// The format.
    pub format: Format,
    /// Its name on the command line and in manifests.
    pub name: &'static str,
    /// The file extensions that mean this format; none if only [`TextDocuments`] does.
    pub extensions: &'static [&'static str],
    /// Whether a source is always one document.
    pub(crate) is_one_document: bool,
    /// Whether a file has columns, and its documents are rows of one of them: they are not ranges of
    /// its bytes, and are counted instead.
    pub(crate) has_rows: bool,
    /// Whether the separator of documents ends them, and so must not be empty.
    has_separator: bool,
    /// The header at the start of a source, which every piece of it needs to be read.
    pub(crate) header: Option<Header>,
    /// Where a unit may end: the first allowed cut at or after a byte; `None` if these bytes have
    /// none. The last argument is the separator of documents.
    next_cut: fn(&[u8], usize, &str) -> Option<usize>,
    /// What must be known of the bytes before a place to say whether a cut is allowed there.
    pub(crate) context: Context,
    /// What ends a line.
    pub(crate) line_ends: LineEnds,
    /// The documents in some bytes.
    documents: for<'a> fn(Span<'a>, Reading<'a>) -> Box<dyn Documents + 'a>,
}

/// One row for each format.
pub static FORMATS: [DocumentFormat; 9] = [
    text::FORMAT,
    jsonl::FORMAT,
    rows::PARQUET,
    lines::FORMAT,
    paragraphs::FORMAT,
    csv::COMMAS,
    csv::TABS,
    separated::FORMAT,
    rows::ARROW,
];

choice! {
    /// What is a document in a text source.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum TextDocuments {
        /// The whole source.
        #[default]
        File = "file",
        /// Each line that is not blank, without its line end.
        Lines = "lines",
        /// Each paragraph: the lines between two blank ones, without the last line end.
        Paragraphs = "paragraphs",
        /// Each part between two separators that is not blank; see [`Settings::separator`].
        ///
        /// [`Settings::separator`]: crate::dataset::Settings::separator
        Separated = "separated",
    }
}

impl TextDocuments {
    /// The format of such sources.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::File => Format::Text,
            Self::Lines => Format::Lines,
            Self::Paragraphs => Format::Paragraphs,
            Self::Separated => Format::Separated,
        }
    }
}

impl Format {
    /// Whether any bytes may be in this format.
    pub(crate) fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text | Self::Lines | Self::Paragraphs | Self::Separated
        )
    }

    /// Its name in messages about a file with columns.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Arrow => "Arrow",
            Self::Parquet => "Parquet",
            _ => self.row().name,
        }
    }

    /// The format's row in [`FORMATS`].
    pub(crate) fn row(self) -> &'static DocumentFormat {
        // The rows are in the order of the variants; a test checks this.
        &FORMATS[self as usize]
    }

    /// The format that a file's extension names, or text if it names none. A `.json` file may be
    /// either; [`Corpus::open`](crate::Corpus::open) decides by its content.
    pub fn of_path(path: &Path) -> Self {
        let extension = path.extension().unwrap_or(OsStr::new(""));
        let is_known = |known: &&str| extension.eq_ignore_ascii_case(known);
        FORMATS
            .iter()
            .find(|row| row.extensions.iter().any(is_known))
            .map_or(Self::Text, |row| row.format)
    }

    /// Whether the extension of `path` leaves the format open.
    pub(crate) fn is_open(path: &Path) -> bool {
        path.extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
    }

    /// Where a piece of a source may end: the first allowed cut at or after `from` in `bytes`,
    /// which begin where the source or an earlier piece of it begins. Cutting there changes neither
    /// documents nor ids. `None` if these bytes have no allowed cut.
    pub(crate) fn next_cut(self, bytes: &[u8], from: usize, separator: &str) -> Option<usize> {
        (self.row().next_cut)(bytes, from, separator)
    }

    /// Refuses a separator of documents with which the format has none.
    pub(crate) fn check_separator(self, separator: &str) -> Result<()> {
        if self.row().has_separator && separator.is_empty() {
            return Err(Error::config("separator", "is empty, so no document ends"));
        }
        Ok(())
    }

    /// The documents in `span`.
    pub(crate) fn documents<'a>(
        self,
        span: Span<'a>,
        reading: Reading<'a>,
    ) -> Box<dyn Documents + 'a> {
        (self.row().documents)(span, reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_choose_the_format() {
        for row in &FORMATS {
            assert_eq!(row.format.row().name, row.name);
            for extension in row.extensions {
                let path = format!("a.{extension}");
                assert_eq!(Format::of_path(Path::new(&path)), row.format);
            }
        }
        assert_eq!(Format::of_path(Path::new("a.JSONL")), Format::Jsonl);
        assert_eq!(Format::of_path(Path::new("a.rs")), Format::Text);
        assert_eq!(Format::of_path(Path::new("jsonl")), Format::Text);
    }
}
