//! CSV and TSV: a header that names the columns, and one document per record, in one of them.
//!
//! Read as Python's `csv` does with `strict=True` and its dialects `excel` and `excel-tab`: fields are
//! separated by commas or tabs, and records by `\n`, `\r\n` or `\r`. A field that begins with a quote
//! ends with the next quote that is not doubled, and may hold separators and line ends; elsewhere, a
//! quote means nothing. Empty lines are no records. The header is the first line. A byte order mark
//! is not part of the header, or of a field that begins with a quote after it.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr3};

use crate::document::header::Names;
use crate::document::jsonl::BYTE_ORDER_MARK;
use crate::document::kept::FieldValues;
use crate::document::reading::{Document, Documents, Extent, Reading, Span, Text};
use crate::document::record::{Bad, Csv};
use crate::document::{
    Context, DocumentFormat, Fields, Format, Header, InvalidUtf8, LineEnds, decode,
};

pub(super) const COMMAS: DocumentFormat = DocumentFormat {
    format: Format::Csv,
    name: "csv",
    extensions: &["csv"],
    is_one_document: false,
    has_rows: false,
    has_separator: false,
    header: Some(Header {
        end: |start| header_end(start, b','),
        names: |header| names(header, b','),
    }),
    next_cut: |bytes, from, _| next_cut(bytes, from, b','),
    context: Context::All,
    line_ends: LineEnds::Any,
    documents: |span, reading| Box::new(Records::new(span, reading, b',')),
};

pub(super) const TABS: DocumentFormat = DocumentFormat {
    format: Format::Tsv,
    name: "tsv",
    extensions: &["tsv"],
    is_one_document: false,
    has_rows: false,
    has_separator: false,
    header: Some(Header {
        end: |start| header_end(start, b'\t'),
        names: |header| names(header, b'\t'),
    }),
    next_cut: |bytes, from, _| next_cut(bytes, from, b'\t'),
    context: Context::All,
    line_ends: LineEnds::Any,
    documents: |span, reading| Box::new(Records::new(span, reading, b'\t')),
};

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    /// Its range in the bytes, without the quotes around it.
    range: Range<usize>,
    /// Whether quotes in it are doubled.
    has_quotes: bool,
    broken: Option<Csv>,
    /// The end of all that belongs to it.
    end: usize,
    ends_record: bool,
}

/// Reads fields, one after another.
#[derive(Clone, Copy, Debug)]
struct Scan<'a> {
    bytes: &'a [u8],
    /// The start of a field.
    at: usize,
    separator: u8,
}

impl Scan<'_> {
    /// The next field. After the last of a record, the next record begins.
    fn field(&mut self) -> Field {
        let start = self.at;
        let mut field = match self.bytes.get(start) {
            Some(b'"') => self.quoted(),
            _ => Field {
                range: start..start,
                has_quotes: false,
                broken: None,
                end: start,
                ends_record: false,
            },
        };
        // What is left of the field: all of one without quotes, nothing of one with quotes.
        let rest = &self.bytes[self.at..];
        let length = memchr3(self.separator, b'\n', b'\r', rest);
        let end = self.at + length.unwrap_or(rest.len());
        if self.at == start {
            field.range = start..end;
        } else if end > self.at && field.broken.is_none() {
            field.broken = Some(Csv::AfterQuote);
        }
        self.at = end + self.end_bytes(end);
        field.end = end;
        field.ends_record = self.bytes.get(end) != Some(&self.separator);
        field
    }

    /// The field between quotes that begins here.
    fn quoted(&mut self) -> Field {
        let start = self.at + 1;
        let mut has_quotes = false;
        let mut at = start;
        let (end, broken) = loop {
            let Some(length) = memchr(b'"', &self.bytes[at..]) else {
                self.at = self.bytes.len();
                break (self.at, Some(Csv::OpenQuote));
            };
            let quote = at + length;
            if self.bytes.get(quote + 1) != Some(&b'"') {
                self.at = quote + 1;
                break (quote, None);
            }
            has_quotes = true;
            at = quote + 2;
        };
        Field {
            range: start..end,
            has_quotes,
            broken,
            end: self.at,
            ends_record: false,
        }
    }

    /// The length of what ends a field at `end`.
    fn end_bytes(&self, end: usize) -> usize {
        match self.bytes.get(end..) {
            Some([b'\r', b'\n', ..]) => 2,
            Some([]) | None => 0,
            Some(_) => 1,
        }
    }

    /// Moves to the first quote of a record that begins with a byte order mark and then a quote.
    fn skip_mark(&mut self) {
        let inside = self.bytes[self.at..].strip_prefix(BYTE_ORDER_MARK);
        if inside.is_some_and(|inside| inside.starts_with(b"\"")) {
            self.at += BYTE_ORDER_MARK.len();
        }
    }

    /// Reads a record, and calls `each` with its fields. Returns where it ends, without its line end.
    fn record(&mut self, mut each: impl FnMut(Field)) -> usize {
        self.skip_mark();
        loop {
            let field = self.field();
            let end = field.ends_record.then_some(field.end);
            each(field);
            if let Some(end) = end {
                return end;
            }
        }
    }
}

/// The start of the first record at or after `from`, except the start of the bytes.
fn next_cut(bytes: &[u8], from: usize, separator: u8) -> Option<usize> {
    let mut scan = Scan {
        bytes,
        at: 0,
        separator,
    };
    while scan.at < bytes.len() {
        scan.record(|_| ());
        if scan.at >= from.max(1) {
            return (scan.at < bytes.len()).then_some(scan.at);
        }
    }
    None
}

/// The length of the first record in `start`, with its line end; `None` if it does not end there.
fn header_end(start: &[u8], separator: u8) -> Option<usize> {
    next_cut(start, 1, separator)
}

/// The names of the columns, or what is wrong with the header.
fn names(header: &[u8], separator: u8) -> Names<'_> {
    let bytes = header.strip_prefix(BYTE_ORDER_MARK).unwrap_or(header);
    let mut names = Vec::new();
    if line_of(bytes).is_empty() {
        let what = "its first line is empty, and should name the columns";
        return Err((what, "remove it, or choose `format` text").into());
    }
    let mut broken = None;
    let mut scan = Scan {
        bytes,
        at: 0,
        separator,
    };
    scan.record(|field| {
        broken = broken.or(field.broken);
        names.push(value(bytes, &field));
    });
    match broken {
        None => Ok(names),
        Some(broken) => {
            let what = format!("its header is broken: {}", broken.what());
            Err((what, "mend its first line, or choose `format` text").into())
        }
    }
}

/// The text of `field`.
fn value<'a>(bytes: &'a [u8], field: &Field) -> Cow<'a, [u8]> {
    let raw = &bytes[field.range.clone()];
    if !field.has_quotes {
        return Cow::Borrowed(raw);
    }
    let mut text = Vec::new();
    push_single(raw, &mut text);
    Cow::Owned(text)
}

/// Appends `raw` to `text`, with single quotes for doubled ones.
fn push_single(raw: &[u8], text: &mut Vec<u8>) {
    let mut start = 0;
    while let Some(length) = memchr(b'"', &raw[start..]) {
        let quote = start + length;
        text.extend_from_slice(&raw[start..=quote]);
        start = (quote + 2).min(raw.len());
    }
    text.extend_from_slice(&raw[start..]);
}

/// `record` without its line end.
fn line_of(record: &[u8]) -> &[u8] {
    let line = record.strip_suffix(b"\n").unwrap_or(record);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The records of a span.
#[derive(Debug)]
struct Records<'a> {
    scan: Scan<'a>,
    reading: Reading<'a>,
    /// The number of columns, and the one that holds the documents.
    columns: usize,
    column: usize,
    /// The number of lines before the next record.
    line: u32,
    /// The text of the current record, if it has quotes.
    text: Vec<u8>,
    kept: Kept,
}

/// The kept fields of the current record.
#[derive(Debug)]
struct Kept {
    /// Their columns, what stands there, and their values.
    columns: Vec<usize>,
    fields: Vec<Option<Field>>,
    values: FieldValues,
}

impl Kept {
    /// Notes what stands in column `column` of the record.
    fn note(&mut self, column: usize, field: &Field) {
        for (kept, &wanted) in self.fields.iter_mut().zip(&self.columns) {
            if wanted == column {
                *kept = Some(field.clone());
            }
        }
    }

    /// Takes the values of the record, whose fields are in `bytes`; returns how many sequences in them
    /// were not UTF-8.
    fn take(&mut self, bytes: &[u8], reading: &Reading<'_>) -> Result<u64, Bad> {
        let Fields { text: field, kept } = reading.fields;
        let fields = &self.fields;
        let mut invalid = Ok(0);
        self.values.take(kept, |index, kept, json| {
            if let (Some(found), Ok(sum)) = (&fields[index], &mut invalid) {
                let text = value(bytes, found);
                match kept.push_text(json, &text, field, reading.invalid_utf8) {
                    Ok(more) => *sum += more,
                    Err(bad) => invalid = Err(bad),
                }
            }
        });
        invalid
    }
}

/// The text of a record whose wanted field is `field`. One with quotes goes to `buffer`.
fn text_of<'a>(
    bytes: &'a [u8],
    field: &Field,
    start: usize,
    policy: InvalidUtf8,
    buffer: &'a mut Vec<u8>,
) -> Result<Text<'a>, Bad> {
    let mut raw = &bytes[field.range.clone()];
    if field.has_quotes {
        buffer.clear();
        push_single(raw, buffer);
        raw = buffer;
    }
    let (text, invalid) = decode(raw, policy).map_err(|_| {
        // Where it is in the record, with its quotes.
        let raw = &bytes[field.range.clone()];
        let valid = std::str::from_utf8(raw).map_or_else(|e| e.valid_up_to(), str::len);
        Bad::utf8(field.range.start - start + valid)
    })?;
    Ok(Text { text, invalid })
}

impl<'a> Records<'a> {
    fn new(span: Span<'a>, reading: Reading<'a>, separator: u8) -> Self {
        // A header that is broken was refused: see `Format::check_field`.
        let names = names(reading.head, separator).unwrap_or_default();
        // Of columns with the same name, the last counts. A missing one was refused there, too.
        let column_of = |field: &str| {
            let is_wanted = |name: &Cow<'_, [u8]>| **name == *field.as_bytes();
            names.iter().rposition(is_wanted).unwrap_or(usize::MAX)
        };
        let kept = &reading.fields.kept;
        let mut records = Records {
            scan: Scan {
                bytes: span.bytes,
                at: 0,
                separator,
            },
            reading,
            columns: names.len(),
            column: column_of(&reading.fields.text),
            line: 0,
            text: Vec::new(),
            kept: Kept {
                columns: kept.iter().map(|field| column_of(&field.name)).collect(),
                fields: vec![None; kept.len()],
                values: FieldValues::default(),
            },
        };
        if span.begins {
            records.skip();
        }
        records
    }

    /// Skips the header.
    fn skip(&mut self) {
        self.scan.record(|_| ());
        self.line = self.lines_of(0);
    }

    /// The number of lines that end between `start`, where one begins, and here.
    fn lines_of(&self, start: usize) -> u32 {
        let lines = LineEnds::Any.count(&self.scan.bytes[start..self.scan.at]);
        // A chunk has at most a few million lines.
        u32::try_from(lines).unwrap_or(u32::MAX)
    }
}

impl Documents for Records<'_> {
    fn next_document(&mut self) -> Option<Document<'_>> {
        let bytes = self.scan.bytes;
        let before = self.scan.at;
        while let Some(b'\n' | b'\r') = bytes.get(self.scan.at) {
            self.scan.at += 1;
        }
        self.line = self.line.saturating_add(self.lines_of(before));
        let start = self.scan.at;
        if start == bytes.len() {
            return None;
        }
        let mut fields = 0;
        let mut wanted = None;
        let mut broken = None;
        let column = self.column;
        let end = self.scan.record(|field| {
            broken = broken.or(field.broken);
            self.kept.note(fields, &field);
            if fields == column {
                wanted = Some(field);
            }
            fields += 1;
        });
        let line = self.line;
        self.line = line.saturating_add(self.lines_of(start));
        let extent = Extent {
            start,
            len: end - start,
            line: Some(line),
            begins: true,
            ends: true,
        };
        let text = match (broken, wanted) {
            (Some(what), _) => Err(Bad::csv(what)),
            (None, Some(field)) if fields == self.columns => {
                let policy = self.reading.invalid_utf8;
                let text = text_of(bytes, &field, start, policy, &mut self.text);
                text.and_then(|text| {
                    let invalid = text.invalid + self.kept.take(bytes, &self.reading)?;
                    Ok(Text { invalid, ..text })
                })
            }
            (None, _) => Err(Bad::csv(Csv::Fields {
                found: u32::try_from(fields).unwrap_or(u32::MAX),
                columns: u32::try_from(self.columns).unwrap_or(u32::MAX),
            })),
        };
        let kept = Some(&self.kept.values);
        Some(Document { extent, text, kept })
    }

    fn lines(&self) -> u32 {
        self.line
    }
}

#[cfg(test)]
mod tests;
