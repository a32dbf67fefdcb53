//! Rows: the texts of a column, taken out of a file and put one after another.
//!
//! Each row is its length in bytes, a little-endian `u32`, and then its text; a row without a value
//! is [`NO_VALUE`] alone. The room `columnar` reads files into this form.

use crate::document::json::Type;
use crate::document::reading::{Document, Documents, Extent, Reading, Text};
use crate::document::{Bad, Context, DocumentFormat, Format, LineEnds, decode};

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    format: Format::Parquet,
    name: "parquet",
    extensions: &["parquet"],
    is_one_document: false,
    has_rows: true,
    has_separator: false,
    header: None,
    // Where such a file may be cut, only its metadata says.
    next_cut: |_, _, _| None,
    context: Context::All,
    line_ends: LineEnds::Newline,
    documents: |span, reading| {
        Box::new(Rows {
            rest: span.bytes,
            next: 0,
            reading,
        })
    },
};

/// Stands in place of a length. A value of a Parquet file is shorter.
const NO_VALUE: u32 = u32::MAX;

/// Appends a row to `rows`. Returns `false`, and appends nothing, if the text is too long: 4 GiB
/// or more.
#[cfg(feature = "parquet")]
pub(crate) fn push_row(rows: &mut Vec<u8>, text: Option<&[u8]>) -> bool {
    let Some(text) = text else {
        rows.extend(NO_VALUE.to_le_bytes());
        return true;
    };
    match u32::try_from(text.len()) {
        Ok(length) if length != NO_VALUE => {
            rows.extend(length.to_le_bytes());
            rows.extend(text);
            true
        }
        _ => false,
    }
}

/// The rows of a span.
#[derive(Debug)]
struct Rows<'a> {
    rest: &'a [u8],
    next: u32,
    reading: Reading<'a>,
}

impl Documents for Rows<'_> {
    fn next_document(&mut self) -> Option<Document<'_>> {
        let (length, rest) = self.rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length);
        let text = if length == NO_VALUE {
            None
        } else {
            Some(rest.split_at_checked(length as usize)?)
        };
        self.rest = text.map_or(rest, |(_, rest)| rest);
        let row = self.next;
        // A chunk has at most a few million rows.
        self.next = row.saturating_add(1);
        Some(Document {
            extent: Extent {
                start: row as usize,
                len: text.map_or(0, |(text, _)| text.len()),
                line: Some(row),
                begins: true,
                ends: true,
            },
            text: match text {
                None => Err(Bad::not_string(Type::Null)),
                Some((text, _)) => decode(text, self.reading.invalid_utf8)
                    .map(|(text, invalid)| Text { text, invalid })
                    .map_err(Bad::text_utf8),
            },
        })
    }

    fn lines(&self) -> u32 {
        self.next
    }
}

#[cfg(all(test, feature = "parquet"))]
mod tests {
    use super::*;
    use crate::document::{BadKind, InvalidUtf8, Span};

    #[test]
    fn rows_come_back_with_their_numbers() {
        let mut rows = Vec::new();
        for text in [Some(&b"a"[..]), None, Some(b""), Some(b"b\xffc")] {
            assert!(push_row(&mut rows, text));
        }
        let span = Span {
            bytes: &rows,
            begins: true,
            ends: true,
        };
        let reading = Reading {
            text_field: "text",
            separator: "",
            head: &[],
            invalid_utf8: InvalidUtf8::Strict,
        };
        let mut documents = Format::Parquet.documents(span, reading);
        let mut found = Vec::new();
        while let Some(document) = documents.next_document() {
            let text = document.text.map(|text| text.text.into_owned());
            let extent = document.extent;
            found.push((extent.start, extent.len, text.map_err(|bad| bad.kind())));
        }
        let expected = [
            (0, 1, Ok("a".to_owned())),
            (1, 0, Err(BadKind::NullField)),
            (2, 0, Ok(String::new())),
            (3, 3, Err(BadKind::InvalidUtf8)),
        ];
        assert_eq!(found, expected);
        assert_eq!(documents.lines(), 4);
    }
}
