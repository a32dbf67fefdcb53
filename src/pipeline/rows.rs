//! Cuts a file with columns into pieces. Whoever encodes a piece decodes it.

use crate::columnar::Slices;
use crate::corpus::{ColumnFile, Corpus};
use crate::document::{Fields, Format};
use crate::error::Result;
use crate::pipeline::CHUNK_BYTES;
use crate::pipeline::piece::{Contents, Piece, Stored};

/// A file that is being cut.
#[derive(Debug)]
pub(super) struct SourceRows {
    slices: Slices,
    file: ColumnFile,
    /// The index of the source.
    source: u32,
    format: Format,
    /// Where the rows that are not handed out yet begin in the source, nominally.
    byte: u64,
}

impl SourceRows {
    /// Cuts the columns `fields` of source `index` of a corpus, from byte `start` on, which is 0 or an
    /// allowed cut, to byte `end`, which is one or the size of the file.
    pub(super) fn open(
        corpus: &Corpus,
        index: u32,
        fields: &Fields,
        (start, end): (u64, u64),
    ) -> Result<Self> {
        let source = &corpus.sources()[index as usize];
        let file = corpus.columns(index)?;
        Ok(Self {
            slices: Slices::new(&file.columnar, fields, start..end)?,
            file,
            source: index,
            format: source.format(),
            byte: start,
        })
    }

    /// Where the rows that are not handed out yet begin in the source, nominally.
    pub(super) fn byte(&self) -> u64 {
        self.byte
    }

    /// The next piece: about a chunk. If a unit ends at the first allowed cut at or after byte
    /// `unit_end` of the source, the piece ends there, too, and `true` is returned with it.
    pub(super) fn next(&mut self, unit_end: Option<u64>) -> Result<(Piece, bool)> {
        // The boundary lies after everything that has been handed out.
        let layout = self.slices.layout();
        let cut = unit_end.and_then(|end| layout.next_cut(end.max(self.byte + 1)));
        let slice = self
            .slices
            .next(CHUNK_BYTES as u64, cut.unwrap_or(u64::MAX))?;
        let ((start, end), first_row) = (slice.place, slice.first_row);
        self.byte = end;
        let piece = Piece {
            source: self.source,
            format: self.format,
            byte: start,
            contents: Contents::Encoded(slice),
            head: None,
            stored: Stored::Rows {
                first_row,
                file: self.file.clone(),
                range: (start, end),
            },
            ends_source: end == self.file.len(),
            lines_before: Some(first_row),
            lines: 0,
            whole: None,
        };
        Ok((piece, cut == Some(self.byte)))
    }
}
