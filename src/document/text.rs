//! Plain text: one document, which may be cut where a cut provably cannot change the ids.
//!
//! **Rule A.** Cut at `p` where `text[p]` is a space and `text[p - 1]` is an ASCII byte from `!`
//! to `~`. In all schemes of the room `pretoken`; for another pattern, the
//! tokenizer says whether the rule holds:
//!
//! 1. `p` begins a pretoken of the whole text: a space occurs in a match only as its first
//!    character or with only white space before it, and here it follows a character that is not
//!    white space.
//! 2. The text left of `p` splits as before: the only parts of the patterns that look ahead, `$`
//!    and `(?!\S)`, are reached only after white space, and every other part fails at a space just
//!    as it does at the end of the text.
//! 3. No pattern looks behind, so the matches from `p` on depend on `text[p..]` alone.
//!
//! Both bytes are ASCII, so a cut never falls inside a character, and never changes how an invalid
//! byte sequence is replaced.

use memchr::memchr_iter;

use crate::document::reading::{Document, Documents, Extent, Reading, Span, Text};
use crate::document::{Bad, Context, DocumentFormat, Format, LineEnds, decode};

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    format: Format::Text,
    name: "text",
    extensions: &["txt"],
    is_one_document: true,
    has_rows: false,
    has_separator: false,
    header: None,
    next_cut: |bytes, from, _| next_cut(bytes, from),
    context: Context::Byte,
    line_ends: LineEnds::Newline,
    documents: |span, reading| {
        Box::new(Whole {
            rest: Some(span),
            reading,
        })
    },
};

/// The one document, or the piece of it, in a span.
#[derive(Debug)]
struct Whole<'a> {
    rest: Option<Span<'a>>,
    reading: Reading<'a>,
}

impl Documents for Whole<'_> {
    fn next_document(&mut self) -> Option<Document<'_>> {
        let span = self.rest.take()?;
        let text = decode(span.bytes, self.reading.invalid_utf8);
        Some(Document {
            extent: Extent {
                start: 0,
                len: span.bytes.len(),
                line: None,
                begins: span.begins,
                ends: span.ends,
            },
            text: text
                .map(|(text, invalid)| Text { text, invalid })
                .map_err(Bad::utf8),
            kept: None,
        })
    }

    fn lines(&self) -> u32 {
        0
    }
}

/// The first place at or after `from` where rule A allows a cut.
fn next_cut(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.max(1);
    memchr_iter(b' ', bytes.get(from..)?)
        .map(|at| from + at)
        .find(|&at| bytes[at - 1].is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lie_before_a_space_that_follows_a_printable_character() {
        let text = b" a b  c\n d\xff e";
        let cuts: Vec<_> = (0..text.len())
            .filter(|&at| next_cut(text, at) == Some(at))
            .collect();
        assert_eq!(cuts, [2, 4]);
        assert_eq!(next_cut(text, 0), Some(2));
        assert_eq!(next_cut(text, 5), None);
        assert_eq!(next_cut(text, 99), None);
    }
}
