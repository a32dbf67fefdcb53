//! JSON Lines: one document per line, in one field of the line's object, or of an object in that.

use std::borrow::Cow;

use shardmill_core::simd::Level;

use crate::document::escapes::Unescaped;
use crate::document::json::{self, Members, Refused, Value};
use crate::document::kept::{FieldValues, push_value};
use crate::document::reading::{Document, Documents, Extent, Reading, Text};
use crate::document::record::Bad;
use crate::document::{Context, DocumentFormat, Format, InvalidUtf8, KeptField, LineEnds, decode};
use memchr::memchr;

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    format: Format::Jsonl,
    name: "jsonl",
    extensions: &["jsonl", "ndjson"],
    is_one_document: false,
    has_rows: false,
    has_separator: false,
    header: None,
    next_cut: |bytes, from, _| next_cut(bytes, from),
    context: Context::Line,
    line_ends: LineEnds::Newline,
    documents: |span, reading| {
        Box::new(Records {
            lines: lines(span.bytes, span.begins),
            reading,
            level: Level::detect(),
            unescaped: String::new(),
            kept: FieldValues::default(),
        })
    },
};

/// The records of a span.
#[derive(Debug)]
struct Records<'a> {
    lines: Lines<'a>,
    reading: Reading<'a>,
    level: Level,
    /// The text of the current record, if it has escapes.
    unescaped: String,
    /// The kept fields of the current record.
    kept: FieldValues,
}

impl Documents for Records<'_> {
    fn next_document(&mut self) -> Option<Document<'_>> {
        let line = self.lines.next()?;
        let (buffer, kept) = (&mut self.unescaped, &mut self.kept);
        let text = read(line.bytes, &self.reading, self.level, buffer, kept);
        Some(Document {
            extent: Extent {
                start: line.start,
                len: line.bytes.len(),
                line: Some(line.index),
                begins: true,
                ends: true,
            },
            text,
            kept: Some(&self.kept),
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
            let end = memchr(b'\n', rest);
            let length = end.unwrap_or(rest.len());
            // At the end of a text, a `\r` alone ends no line.
            let line = match rest[..length].strip_suffix(b"\r") {
                Some(line) if end.is_some() => line,
                _ => &rest[..length],
            };
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

/// The string in the text field of the object in `line`; of duplicate keys, the last wins. A text that
/// does not stand in the line as it is goes to `buffer`, and the kept fields go to `kept`.
///
/// # Errors
/// Says what is wrong with the line.
fn read<'a>(
    line: &'a [u8],
    reading: &Reading<'_>,
    level: Level,
    buffer: &'a mut String,
    kept: &mut FieldValues,
) -> Result<Text<'a>, Bad> {
    let (field, policy) = (&*reading.fields.text, reading.invalid_utf8);
    let (line, invalid) = decode(line, policy).map_err(Bad::utf8)?;
    let mut unescaped = Unescaped::new(buffer, policy);
    let found = json::find(&line, field, level, &mut unescaped);
    let Unescaped {
        lone, first_lone, ..
    } = unescaped;
    let found = found.map_err(|refused| match refused {
        Refused::Broken(at, what) => Bad::broken(at, what),
        Refused::NotObject(found) => Bad::not_object(found),
    })?;
    keep(&line, &reading.fields.kept, level, kept);
    let text = match (found, line) {
        (Some(Value::Plain(range)), Cow::Borrowed(line)) => &line[range],
        (Some(Value::Plain(range)), Cow::Owned(line)) => {
            buffer.push_str(&line[range]);
            buffer
        }
        (Some(Value::Unescaped), _) => match first_lone {
            Some(at) if policy == InvalidUtf8::Strict => return Err(Bad::surrogate(at)),
            _ => buffer,
        },
        (Some(Value::Other(found, _)), _) => return Err(Bad::not_string(found)),
        (None, line) => return Err(Bad::missing(json::fields(&line, field, level))),
    };
    Ok(Text {
        text: Cow::Borrowed(text),
        invalid: invalid + lone,
    })
}

/// Takes the values of the fields `kept` of the object in `line`, which has been read.
fn keep(line: &str, kept: &[KeptField], level: Level, into: &mut FieldValues) {
    if kept.is_empty() {
        return;
    }
    // A name, or what is before a dot in it.
    let is_wanted = |path: &str, key: &str| {
        kept.iter().any(|field| {
            let rest = field.name.strip_prefix(path);
            let rest = rest.and_then(|rest| rest.strip_prefix(key));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let mut members = Members::of(line, &is_wanted, level);
    into.take(kept, |_, field, json| {
        if let Some((value, kind)) = members.get(&field.name) {
            push_value(json, value, kind);
        }
    });
}

/// The first of `fields` that the first record with any of them has, whatever its value. `start` are
/// the first bytes of a source, or all; a hundred records are looked at.
pub(crate) fn first_field<'n>(start: &[u8], fields: &[&'n str]) -> Option<&'n str> {
    let level = Level::detect();
    let mut text = String::new();
    let mut text = Unescaped::new(&mut text, InvalidUtf8::Replace);
    lines(start, true).take(100).find_map(|line| {
        let (line, _) = decode(line.bytes, InvalidUtf8::Replace).ok()?;
        let mut has = |field: &&&str| {
            let found = json::find(&line, field, level, &mut text);
            found.is_ok_and(|value| value.is_some())
        };
        fields.iter().find(&mut has).copied()
    })
}

#[cfg(test)]
mod tests;
