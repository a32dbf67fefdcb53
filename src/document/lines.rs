//! Text of which each line that is not blank is a document.

use crate::document::jsonl::{self, Lines, lines};
use crate::document::reading::{Document, Documents, Extent, Reading, Text};
use crate::document::{Bad, Context, DocumentFormat, Format, LineEnds, decode};

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    format: Format::Lines,
    name: "lines",
    extensions: &[],
    is_one_document: false,
    has_rows: false,
    has_separator: false,
    header: None,
    next_cut: |bytes, from, _| jsonl::next_cut(bytes, from),
    context: Context::Line,
    line_ends: LineEnds::Newline,
    documents: |span, reading| {
        Box::new(LineDocuments {
            lines: lines(span.bytes, span.begins),
            reading,
        })
    },
};

/// The lines of a span.
#[derive(Debug)]
struct LineDocuments<'a> {
    lines: Lines<'a>,
    reading: Reading<'a>,
}

impl Documents for LineDocuments<'_> {
    fn next_document(&mut self) -> Option<Document<'_>> {
        let line = self.lines.next()?;
        Some(record(line.start, line.index, line.bytes, self.reading))
    }

    fn lines(&self) -> u32 {
        self.lines.read_so_far()
    }
}

/// The document `bytes`, which begin at `start` in a span and after `line` of its lines.
pub(super) fn record<'a>(
    start: usize,
    line: u32,
    bytes: &'a [u8],
    reading: Reading<'_>,
) -> Document<'a> {
    let text = decode(bytes, reading.invalid_utf8);
    Document {
        extent: Extent {
            start,
            len: bytes.len(),
            line: Some(line),
            begins: true,
            ends: true,
        },
        text: text
            .map(|(text, invalid)| Text { text, invalid })
            .map_err(Bad::utf8),
        kept: None,
    }
}
