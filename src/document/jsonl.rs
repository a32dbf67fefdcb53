//! JSON Lines: one document per line, in one field of the line's object, or of an object in that.

use std::borrow::Cow;

use crate::document::lenient::{self, Refused};
use crate::document::reading::{Document, Documents, Extent, Reading, Text};
use crate::document::record::Bad;
use crate::document::{DocumentFormat, Format, InvalidUtf8, decode, strict};
use memchr::memchr;

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    format: Format::Jsonl,
    name: "jsonl",
    extensions: &["jsonl", "ndjson"],
    is_one_document: false,
    has_rows: false,
    header: None,
    next_cut: |bytes, from, _| next_cut(bytes, from),
    documents: |span, reading| {
        Box::new(Records {
            lines: lines(span.bytes, span.begins),
            reading,
            unescaped: String::new(),
        })
    },
};

/// The records of a span.
#[derive(Debug)]
struct Records<'a> {
    lines: Lines<'a>,
    reading: Reading<'a>,
    /// The text of the current record, if it has escapes.
    unescaped: String,
}

impl Documents for Records<'_> {
    fn next_document(&mut self) -> Option<Document<'_>> {
        let line = self.lines.next()?;
        let Reading {
            text_field,
            invalid_utf8,
            ..
        } = self.reading;
        Some(Document {
            extent: Extent {
                start: line.start,
                len: line.bytes.len(),
                line: Some(line.index),
                begins: true,
                ends: true,
            },
            text: read(line.bytes, text_field, invalid_utf8, &mut self.unescaped),
        })
    }

    fn lines(&self) -> u32 {
        self.lines.index
    }
}

/// The first line start at or after `from`, except the start of the bytes.
pub(super) fn next_cut(bytes: &[u8], from: usize) -> Option<usize> {
    let before = from.max(1) - 1;
    let at = before + memchr(b'\n', bytes.get(before..)?)? + 1;
    (at < bytes.len()).then_some(at)
}

/// A line that is not blank, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Its byte offset in the given bytes.
    pub(crate) start: usize,
    /// The number of lines before it in the given bytes, including blank ones.
    pub(crate) index: u32,
    pub(crate) bytes: &'a [u8],
}

/// May precede the first line of a source, and is not part of it.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An iterator over the lines of some bytes that are not blank.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    index: u32,
}

/// The lines of `bytes` that are not blank. `is_start` says that the bytes begin the source: then a
/// byte order mark at their start is not part of a line.
pub(crate) fn lines(bytes: &[u8], is_start: bool) -> Lines<'_> {
    let has_mark = is_start && bytes.starts_with(BYTE_ORDER_MARK);
    Lines {
        bytes,
        at: if has_mark { BYTE_ORDER_MARK.len() } else { 0 },
        index: 0,
    }
}

impl Lines<'_> {
    /// The number of lines so far, including blank ones.
    pub(super) fn read_so_far(&self) -> u32 {
        self.index
    }
}

/// Whether a line holds nothing but white space.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            let length = memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest[..length]
                .strip_suffix(b"\r")
                .unwrap_or(&rest[..length]);
            let item = Line {
                start: self.at,
                index: self.index,
                bytes: line,
            };
            self.at += length + 1;
            // A chunk has at most a million lines.
            self.index = self.index.saturating_add(1);
            if !is_blank(line) {
                return Some(item);
            }
        }
    }
}

/// The string in `field` of the object in `line`; of duplicate keys, the last wins. A text that
/// does not stand in the line as it is goes to `buffer`.
///
/// # Errors
/// Says what is wrong with the line.
fn read<'a>(
    line: &'a [u8],
    field: &str,
    policy: InvalidUtf8,
    buffer: &'a mut String,
) -> Result<Text<'a>, Bad> {
    let (line, invalid) = decode(line, policy).map_err(Bad::utf8)?;
    buffer.clear();
    let (text, lone) = match line {
        Cow::Borrowed(line) => {
            let (plain, lone) = text_of(line, field, policy, buffer)?;
            (plain.unwrap_or(buffer), lone)
        }
        Cow::Owned(line) => {
            let (plain, lone) = text_of(&line, field, policy, buffer)?;
            buffer.push_str(plain.unwrap_or_default());
            (buffer.as_str(), lone)
        }
    };
    Ok(Text {
        text: Cow::Borrowed(text),
        invalid: invalid + lone,
    })
}

/// The first of `fields` that the first record with any of them has, whatever its value. `start` are
/// the first bytes of a source, or all; a hundred records are looked at.
pub(crate) fn first_field<'n>(start: &[u8], fields: &[&'n str]) -> Option<&'n str> {
    lines(start, true).take(100).find_map(|line| {
        let (line, _) = decode(line.bytes, InvalidUtf8::Replace).ok()?;
        let has =
            |field: &&&str| lenient::read(&line, field).is_ok_and(|object| object.value.is_some());
        fields.iter().find(has).copied()
    })
}

/// The string in `field`, if it has no escapes; otherwise it is appended to `buffer`. Also returns
/// how many halves of surrogate pairs in it were replaced or left out.
fn text_of<'a>(
    line: &'a str,
    field: &str,
    policy: InvalidUtf8,
    buffer: &mut String,
) -> Result<(Option<&'a str>, u64), Bad> {
    if let Some(strict::Value::Text(text)) = strict::find(line, field) {
        if memchr(b'\\', text.as_bytes()).is_none() {
            return Ok((Some(text), 0));
        }
        if let Ok(lone) = lenient::push_text(text, 0..text.len(), policy, buffer) {
            return Ok((None, lone));
        }
        buffer.clear();
    }
    // The strict reader neither accepts all that Python writes nor explains what is wrong.
    let lone = push_rest(line, field, policy, buffer)?;
    Ok((None, lone))
}

/// Like [`text_of`], for lines that are not plain records; always appends to `buffer`.
#[cold]
fn push_rest(
    line: &str,
    field: &str,
    policy: InvalidUtf8,
    buffer: &mut String,
) -> Result<u64, Bad> {
    let object = lenient::find(line, field).map_err(|refused| match refused {
        Refused::Broken(at, what) => Bad::broken(at, what),
        Refused::NotObject(found) => Bad::not_object(found),
    })?;
    match object.value {
        Some(lenient::Value::Text(range)) => {
            lenient::push_text(line, range, policy, buffer).map_err(Bad::surrogate)
        }
        Some(lenient::Value::Other(found, _)) => Err(Bad::not_string(found)),
        None => Err(Bad::missing(object.fields(line))),
    }
}

#[cfg(test)]
mod tests;
