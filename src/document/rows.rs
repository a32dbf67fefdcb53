//! Rows: the texts of a column, taken out of a file and put one after another.
//!
//! Each row is a value for the text, and one for each kept field. A value is its length in bytes, a
//! little-endian `u32`, and then its bytes; one that is null is [`NO_VALUE`] alone. Those of kept fields
//! begin with a byte that says what they are: [`TEXT`] or [`JSON`]. The room `columnar` reads files into
//! this form.

use crate::document::kept::FieldValues;
use crate::document::reading::{Document, Documents, Extent, Reading, Text};
use crate::document::syntax::Type;
use crate::document::{Bad, Context, DocumentFormat, Fields, Format, LineEnds, decode};

pub(super) const ARROW: DocumentFormat = DocumentFormat {
    format: Format::Arrow,
    name: "arrow",
    extensions: &["arrow", "arrows", "feather", "ipc"],
    ..PARQUET
};

pub(super) const PARQUET: DocumentFormat = DocumentFormat {
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
            kept: FieldValues::default(),
        })
    },
};

/// Stands in place of a length. A value of a file is shorter.
const NO_VALUE: u32 = u32::MAX;

/// Begin the values of kept fields.
const TEXT: u8 = b's';
#[cfg(any(feature = "arrow", feature = "parquet"))]
const JSON: u8 = b'j';

/// The value of a kept field.
#[cfg(any(feature = "arrow", feature = "parquet"))]
#[derive(Debug)]
pub(crate) enum Cell<'a> {
    /// What is text, if it is UTF-8.
    Text(&'a [u8]),
    /// A number or a word.
    Json(String),
}

/// The shortest decimal number that stands for `value`. JSON has none for NaN and the infinities.
#[cfg(any(feature = "arrow", feature = "parquet"))]
pub(crate) fn json_float(value: impl serde::Serialize, is_finite: bool) -> Option<String> {
    serde_json::to_string(&value).ok().filter(|_| is_finite)
}

/// Appends the text of a row to `rows`. Returns `false`, and appends nothing, if it is too long: 4 GiB
/// or more.
#[cfg(any(feature = "arrow", feature = "parquet"))]
pub(crate) fn push_row(rows: &mut Vec<u8>, text: Option<&[u8]>) -> bool {
    let Some(text) = text else {
        rows.extend(NO_VALUE.to_le_bytes());
        return true;
    };
    push_value(rows, &[], text)
}

/// Appends the value of the next kept field of the row. Returns `false` as [`push_row`] does.
#[cfg(any(feature = "arrow", feature = "parquet"))]
pub(crate) fn push_cell(rows: &mut Vec<u8>, cell: Option<&Cell<'_>>) -> bool {
    match cell {
        Some(Cell::Text(text)) => push_value(rows, &[TEXT], text),
        Some(Cell::Json(json)) => push_value(rows, &[JSON], json.as_bytes()),
        None => push_row(rows, None),
    }
}

/// Appends a value that begins with `kind`.
#[cfg(any(feature = "arrow", feature = "parquet"))]
fn push_value(rows: &mut Vec<u8>, kind: &[u8], value: &[u8]) -> bool {
    match u32::try_from(kind.len() + value.len()) {
        Ok(length) if length != NO_VALUE => {
            rows.extend(length.to_le_bytes());
            rows.extend(kind);
            rows.extend(value);
            true
        }
        _ => false,
    }
}

/// Takes the next value off `rest`; `None` if it is null.
fn take_value<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    *rest = after;
    let length = u32::from_le_bytes(*length);
    if length == NO_VALUE {
        return None;
    }
    let (value, after) = after.split_at_checked(length as usize)?;
    *rest = after;
    Some(value)
}

/// The rows of a span.
#[derive(Debug)]
struct Rows<'a> {
    rest: &'a [u8],
    next: u32,
    reading: Reading<'a>,
    /// The kept fields of the current row.
    kept: FieldValues,
}

impl Documents for Rows<'_> {
    fn next_document(&mut self) -> Option<Document<'_>> {
        if self.rest.is_empty() {
            return None;
        }
        let text = take_value(&mut self.rest);
        let kept = keep(&mut self.rest, &self.reading, &mut self.kept);
        let row = self.next;
        // A chunk has at most a few million rows.
        self.next = row.saturating_add(1);
        Some(Document {
            extent: Extent {
                start: row as usize,
                len: text.map_or(0, <[u8]>::len),
                line: Some(row),
                begins: true,
                ends: true,
            },
            text: match text {
                None => Err(Bad::not_string(Type::Null)),
                Some(text) => decode(text, self.reading.invalid_utf8)
                    .map_err(Bad::text_utf8)
                    .and_then(|(text, invalid)| {
                        let invalid = invalid + kept?;
                        Ok(Text { text, invalid })
                    }),
            },
            kept: Some(&self.kept),
        })
    }

    fn lines(&self) -> u32 {
        self.next
    }
}

/// Takes the kept fields of a row off `rest`; returns how many sequences in them
/// were not UTF-8.
fn keep(rest: &mut &[u8], reading: &Reading<'_>, into: &mut FieldValues) -> Result<u64, Bad> {
    let Fields { text: field, kept } = reading.fields;
    let mut invalid = Ok(0);
    into.take(kept, |_, kept, json| {
        match take_value(rest).and_then(<[u8]>::split_first) {
            Some((&TEXT, text)) => {
                // All are taken off, whatever is wrong with one of them.
                match (
                    kept.push_text(json, text, field, reading.invalid_utf8),
                    &mut invalid,
                ) {
                    (Ok(more), Ok(sum)) => *sum += more,
                    (Err(bad), Ok(_)) => invalid = Err(bad),
                    (_, Err(_)) => {}
                }
            }
            Some((_, value)) => json.extend(value),
            None => {}
        }
    });
    invalid
}

#[cfg(all(test, any(feature = "arrow", feature = "parquet")))]
mod tests {
    use super::*;
    use crate::document::reading::Span;
    use crate::document::{BadKind, InvalidUtf8, KeptValues};

    #[test]
    fn rows_come_back_with_their_numbers() {
        let mut rows = Vec::new();
        for text in [Some(&b"a"[..]), None, Some(b""), Some(b"b\xffc")] {
            assert!(push_row(&mut rows, text));
            assert!(push_cell(&mut rows, text.map(Cell::Text).as_ref()));
            let number = text.map(|text| Cell::Json(text.len().to_string()));
            assert!(push_cell(&mut rows, number.as_ref()));
        }
        let span = Span {
            bytes: &rows,
            begins: true,
            ends: true,
        };
        let kept = [("id", "id", "id_field"), ("n", "n", "keep_fields")];
        let fields = Fields::new("text", kept.into_iter());
        let reading = Reading {
            fields: &fields,
            separator: "",
            head: &[],
            invalid_utf8: InvalidUtf8::Strict,
        };
        let mut documents = Format::Parquet.documents(span, reading);
        let mut found = Vec::new();
        let mut values = KeptValues::default();
        while let Some(document) = documents.next_document() {
            if document.text.is_ok() {
                values.push(&fields.kept, document.kept);
            }
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
        let values: Vec<_> = values.documents().collect();
        let expected = ["\"a\"\x1f1\x1f\n", "\"\"\x1f0\x1f\n"];
        assert_eq!(values, expected.map(str::as_bytes));
    }
}
