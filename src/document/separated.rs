//! Text of which each part between two separators is a document.

use memchr::memmem;

use crate::document::jsonl::BYTE_ORDER_MARK;
use crate::document::lines::record;
use crate::document::reading::{Document, Documents, Reading, Span};
use crate::document::{Context, DocumentFormat, Format, LineEnds};

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    format: Format::Separated,
    name: "separated",
    extensions: &[],
    is_one_document: false,
    has_rows: false,
    has_separator: true,
    header: None,
    next_cut,
    context: Context::All,
    line_ends: LineEnds::Newline,
    documents: |span, reading| Box::new(Parts::new(span, reading)),
};

/// The parts of a span that are not blank.
#[derive(Debug)]
struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The number of lines before `at`.
    lines: u32,
    separator: memmem::Finder<'a>,
    reading: Reading<'a>,
}

impl<'a> Parts<'a> {
    fn new(span: Span<'a>, reading: Reading<'a>) -> Self {
        let has_mark = span.begins && span.bytes.starts_with(BYTE_ORDER_MARK);
        Self {
            bytes: span.bytes,
            at: if has_mark { BYTE_ORDER_MARK.len() } else { 0 },
            lines: 0,
            separator: memmem::Finder::new(reading.separator),
            reading,
        }
    }
}

impl Documents for Parts<'_> {
    fn next_document(&mut self) -> Option<Document<'_>> {
        loop {
            let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            // An empty one, which the pipeline refuses, would be found everywhere.
            let is_found = |_: &usize| !self.separator.needle().is_empty();
            let end = self.separator.find(rest).filter(is_found);
            let part = &rest[..end.unwrap_or(rest.len())];
            let taken = end.map_or(rest.len(), |end| end + self.separator.needle().len());
            let (start, line) = (self.at, self.lines);
            self.at += taken;
            self.lines = line.saturating_add(lines_in(&rest[..taken]));
            if !part.iter().copied().all(is_blank) {
                return Some(record(start, line, part, self.reading));
            }
        }
    }

    fn lines(&self) -> u32 {
        self.lines
    }
}

/// Whether a byte is white space, as for Python's `bytes.strip`.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The number of line ends. A chunk has at most a million lines.
fn lines_in(bytes: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u32::MAX)
}

/// The first end of a separator at or after `from`, except the end of the bytes.
fn next_cut(bytes: &[u8], from: usize, separator: &str) -> Option<usize> {
    let length = separator.len();
    if length == 0 {
        return None;
    }
    let finder = memmem::Finder::new(separator);
    let mut start = from.max(1).saturating_sub(length);
    // Of separators that overlap, each that begins before the end of another one before it is none.
    // So the search begins where none reaches across.
    while let Some(before) = {
        let first = start.saturating_sub(length - 1);
        let overlapping = bytes.get(first..start + length - 1);
        overlapping.and_then(|bytes| Some(first + finder.find(bytes)?))
    } {
        start = before;
    }
    let found = finder.find_iter(bytes.get(start..)?);
    found
        .map(|at| start + at + length)
        .find(|&end| end >= from)
        .filter(|&end| end < bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::reading;

    fn parts(bytes: &[u8], begins: bool, separator: &str) -> Vec<(usize, u32, String)> {
        let (found, lines) = reading::tests::texts(Format::Separated, bytes, begins, separator);
        assert_eq!(lines, lines_in(bytes));
        found
    }

    #[test]
    fn documents_are_what_stands_between_separators() {
        let text = "one\n<|end|>\ntwo<|end|> \n\x0b\x0c<|end|><|end|><|end|>x\n";
        let expected = [
            (0, 0, "one\n".to_owned()),
            (11, 1, "\ntwo".to_owned()),
            (text.len() - 2, 3, "x\n".to_owned()),
        ];
        assert_eq!(parts(text.as_bytes(), true, "<|end|>"), expected);
        assert_eq!(parts(b"\xef\xbb\xbfa", true, "|"), [(3, 0, "a".to_owned())]);
        assert!(parts(b" \n", true, "|").is_empty());
    }

    proptest! {
        /// As Python's `str.split`, also if separators overlap.
        #[test]
        fn the_parts_are_those_of_split(text in "[ab\n]{0,60}", separator in "[ab]{1,4}") {
            let split = text.split(&separator).filter(|part| !part.trim().is_empty());
            let found = parts(text.as_bytes(), true, &separator);
            prop_assert!(found.iter().map(|(_, _, text)| text.as_str()).eq(split));
        }

        /// Wherever a text is cut, its parts have its documents, and no earlier place would do.
        #[test]
        fn cuts_lie_between_documents(
            text in "[ab\n]{0,60}",
            separator in "[ab\n]{1,4}",
            from in 0_usize..65,
        ) {
            let bytes = text.as_bytes();
            let ends: Vec<_> = text
                .match_indices(&separator)
                .map(|(at, _)| at + separator.len())
                .collect();
            let first = ends.iter().copied().find(|&end| end >= from);
            let cut = next_cut(bytes, from, &separator);
            prop_assert_eq!(cut, first.filter(|&end| end < bytes.len()));
            if let Some(cut) = cut {
                let mut joined = parts(&bytes[..cut], true, &separator);
                let rest = parts(&bytes[cut..], false, &separator);
                let lines = lines_in(&bytes[..cut]);
                joined.extend(rest.into_iter().map(|(at, line, text)| (at + cut, line + lines, text)));
                prop_assert_eq!(joined, parts(bytes, true, &separator));
            }
        }
    }
}
