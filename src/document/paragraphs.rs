//! Text of which each paragraph is a document: the lines between two blank ones.

use memchr::{memchr, memrchr};

use crate::document::jsonl::{Line, Lines, is_blank, lines};
use crate::document::lines::record;
use crate::document::reading::{Document, Documents, Reading};
use crate::document::{Context, DocumentFormat, Format, LineEnds};

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    format: Format::Paragraphs,
    name: "paragraphs",
    extensions: &[],
    is_one_document: false,
    has_rows: false,
    has_separator: false,
    header: None,
    next_cut: |bytes, from, _| next_cut(bytes, from),
    context: Context::Line,
    line_ends: LineEnds::Newline,
    documents: |span, reading| {
        Box::new(Paragraphs {
            bytes: span.bytes,
            lines: lines(span.bytes, span.begins),
            ahead: None,
            reading,
        })
    },
};

/// The paragraphs of a span.
#[derive(Debug)]
struct Paragraphs<'a> {
    bytes: &'a [u8],
    /// The lines that are not blank.
    lines: Lines<'a>,
    /// The first line of the next paragraph, once it has been read.
    ahead: Option<Line<'a>>,
    reading: Reading<'a>,
}

impl Documents for Paragraphs<'_> {
    fn next_document(&mut self) -> Option<Document<'_>> {
        let first = self.ahead.take().or_else(|| self.lines.next())?;
        let mut last = first;
        for line in self.lines.by_ref() {
            if line.index != last.index.saturating_add(1) {
                self.ahead = Some(line);
                break;
            }
            last = line;
        }
        let text = &self.bytes[first.start..last.start + last.bytes.len()];
        Some(record(first.start, first.index, text, self.reading))
    }

    fn lines(&self) -> u32 {
        self.lines.read_so_far()
    }
}

/// The first start of a paragraph at or after `from`, except the start of the bytes: a line that is
/// not blank, after one that is.
fn next_cut(bytes: &[u8], from: usize) -> Option<usize> {
    let before = bytes.get(..from.max(1) - 1)?;
    let mut start = memrchr(b'\n', before).map_or(0, |end| end + 1);
    let mut is_after_blank = false;
    loop {
        let rest = bytes.get(start..)?;
        let end = memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        if start >= from.max(1) && is_after_blank && !is_blank(line) {
            return Some(start);
        }
        is_after_blank = is_blank(line);
        start += end? + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::reading;

    fn texts(bytes: &[u8], begins: bool) -> Vec<(usize, u32, String)> {
        reading::tests::texts(Format::Paragraphs, bytes, begins, "").0
    }

    #[test]
    fn paragraphs_end_at_blank_lines() {
        let text = "\n one\r\ntwo \r\n \t\r\n\nthree\n\n\n";
        let expected = [
            (1, 1, " one\r\ntwo ".to_owned()),
            (18, 5, "three".to_owned()),
        ];
        assert_eq!(texts(text.as_bytes(), true), expected);
        assert_eq!(texts(b"\xef\xbb\xbfa", true), [(3, 0, "a".to_owned())]);
        assert!(texts(b" \n\n", true).is_empty());
        // No line ends here.
        assert_eq!(texts(b"a\r", true), [(0, 0, "a\r".to_owned())]);
        let (lines, _) = reading::tests::texts(Format::Lines, b"a\r\nb\r", true, "");
        assert_eq!(lines, [(0, 0, "a".to_owned()), (3, 1, "b\r".to_owned())]);
    }

    proptest! {
        /// Wherever a text is cut, its parts have its paragraphs.
        #[test]
        fn cuts_lie_between_paragraphs(text in "[a \r\n]{0,40}", from in 0_usize..45) {
            let whole = texts(text.as_bytes(), true);
            let Some(cut) = next_cut(text.as_bytes(), from) else {
                return Ok(());
            };
            prop_assert!(cut >= from && cut > 0);
            let (left, right) = text.as_bytes().split_at(cut);
            let mut parts = texts(left, true);
            let lines = u32::try_from(memchr::memchr_iter(b'\n', left).count()).unwrap();
            let right = texts(right, false);
            parts.extend(right.into_iter().map(|(start, line, text)| (start + cut, line + lines, text)));
            prop_assert_eq!(parts, whole);
            // No earlier place would do.
            for at in from.max(1)..cut {
                prop_assert_ne!(next_cut(text.as_bytes(), at), Some(at));
            }
        }
    }
}
