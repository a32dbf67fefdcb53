//! Units -> chunks: about 1 MiB of whole documents, or a piece of one.

use crate::corpus::{Corpus, MAP_FROM_BYTES, Opened};
use crate::dataset::{Position, Unit};
use crate::document::Format;
use crate::error::Result;
use crate::pipeline::CHUNK_BYTES;
use crate::pipeline::piece::{Contents, Piece, next_cut};

/// A chunk has at most this many pieces, so that a chunk of tiny files stays small.
const MAX_PIECES: usize = 4096;

/// A parallel step: consecutive pieces of sources in the corpus.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) pieces: Vec<Piece>,
}

/// Walks through a unit of regular files.
#[derive(Debug)]
pub(crate) struct UnitCursor {
    at: Position,
    end: Position,
    /// The large file that the cursor is in.
    open: Option<(u32, Opened)>,
}

impl UnitCursor {
    pub(crate) fn new(unit: Unit) -> Self {
        Self {
            at: unit.start,
            end: unit.end,
            open: None,
        }
    }

    /// The next chunk of the unit; `None` at its end.
    pub(crate) fn next(&mut self, corpus: &Corpus) -> Result<Option<Chunk>> {
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        while self.at < self.end && bytes < CHUNK_BYTES as u64 && chunk.pieces.len() < MAX_PIECES {
            let source = &corpus.sources()[self.at.source as usize];
            let source_bytes = source.bytes().unwrap_or(0);
            let limit = if self.end.source == self.at.source {
                self.end.byte
            } else {
                source_bytes
            };
            let rest = limit - self.at.byte;
            if rest >= MAP_FROM_BYTES && !chunk.pieces.is_empty() {
                break;
            }
            let contents = if source_bytes < MAP_FROM_BYTES {
                Contents::Unread { bytes: rest }
            } else {
                self.large_piece(corpus, source.format(), limit)?
            };
            let mut piece = Piece {
                source: self.at.source,
                format: source.format(),
                byte: self.at.byte,
                contents,
                ends_source: false,
                lines_before: None,
                lines: 0,
                whole: None,
            };
            bytes += piece.len_bytes();
            let end = piece.byte + piece.len_bytes();
            piece.ends_source = end == source_bytes;
            self.at = if piece.ends_source {
                Position {
                    source: self.at.source + 1,
                    byte: 0,
                }
            } else {
                Position {
                    source: self.at.source,
                    byte: end,
                }
            };
            chunk.pieces.push(piece);
        }
        Ok((!chunk.pieces.is_empty()).then_some(chunk))
    }

    /// The bytes of the open file from here to the first cut after a chunk's size.
    fn large_piece(&mut self, corpus: &Corpus, format: Format, limit: u64) -> Result<Contents> {
        let opened = match &self.open {
            Some((source, opened)) if *source == self.at.source => opened.clone(),
            _ => {
                let source = &corpus.sources()[self.at.source as usize];
                let opened = source.open(&corpus.path(source))?;
                self.open = Some((self.at.source, opened.clone()));
                opened
            }
        };
        // In range: these are offsets into mapped bytes.
        let start = usize::try_from(self.at.byte).unwrap_or(usize::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let rest = &opened[start..limit];
        let length = if rest.len() <= CHUNK_BYTES {
            rest.len()
        } else {
            next_cut(format, rest, CHUNK_BYTES).unwrap_or(rest.len())
        };
        Ok(Contents::Opened(opened, start..start + length))
    }
}
