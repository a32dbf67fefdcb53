//! Documents in the bytes of a source, in the form that every format returns.

use std::borrow::Cow;

use crate::document::kept::FieldValues;
use crate::document::{Bad, Fields, InvalidUtf8};

/// Bytes of a source that begin and end where its format allows a cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    pub(crate) bytes: &'a [u8],
    /// Whether the source begins here.
    pub(crate) begins: bool,
    /// Whether the source ends here.
    pub(crate) ends: bool,
}

/// How documents are read, whatever their format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    /// The fields of a record that are read.
    pub(crate) fields: &'a Fields,
    /// What ends a document, if it is a part of a text.
    pub(crate) separator: &'a str,
    /// What every piece of the source needs; see [`Format::head`](crate::document::Format::head).
    pub(crate) head: &'a [u8],
    pub(crate) invalid_utf8: InvalidUtf8,
}

/// A document, or a piece of one, in a span.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) extent: Extent,
    pub(crate) text: Result<Text<'a>, Bad>,
    /// The fields that are kept; `None` if none are, or the format has no fields.
    pub(crate) kept: Option<&'a FieldValues>,
}

/// Where a document lies in its span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Where it begins in the span.
    pub(crate) start: usize,
    /// Its length in the source, in bytes.
    pub(crate) len: usize,
    /// The number of lines before it in the span; `None` if it is not a record.
    pub(crate) line: Option<u32>,
    pub(crate) begins: bool,
    pub(crate) ends: bool,
}

/// The text of a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    pub(crate) text: Cow<'a, str>,
    /// The number of invalid UTF-8 sequences and halves of surrogate pairs that were replaced or
    /// left out.
    pub(crate) invalid: u64,
}

/// The documents of a span, in order.
pub(crate) trait Documents {
    /// The next document. Its text may lie in a buffer that the one after it reuses.
    fn next_document(&mut self) -> Option<Document<'_>>;

    /// The number of lines read so far, including blank ones; 0 if lines mean nothing to the
    /// format.
    fn lines(&self) -> u32;
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::document::Format;

    /// The documents of `format` in `bytes`, which end a source: where each begins, after how many
    /// lines, and its text. Also returns the number of lines read.
    pub(in crate::document) fn texts(
        format: Format,
        bytes: &[u8],
        begins: bool,
        separator: &str,
    ) -> (Vec<(usize, u32, String)>, u32) {
        let span = Span {
            bytes,
            begins,
            ends: true,
        };
        let reading = Reading {
            fields: &Fields::default(),
            separator,
            head: &[],
            invalid_utf8: InvalidUtf8::Strict,
        };
        let mut documents = format.documents(span, reading);
        let mut found = Vec::new();
        while let Some(document) = documents.next_document() {
            let extent = document.extent;
            let text = document.text.unwrap().text.into_owned();
            found.push((extent.start, extent.line.unwrap(), text));
        }
        (found, documents.lines())
    }
}
