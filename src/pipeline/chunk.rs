//! Units -> chunks: about 1 MiB of whole documents, or a piece of one.

use std::ops::Range;
use std::sync::Arc;

use crate::corpus::{Corpus, MAP_FROM_BYTES, Opened};
use crate::dataset::{Position, Unit};
use crate::document::{Documents, Format, InvalidUtf8, Reading, Span};
use crate::error::Result;
use crate::hash::{Hash128, block_hashes};
use crate::pipeline::CHUNK_BYTES;
use crate::pretoken;
use crate::progress::Stats;

/// A chunk has at most this many pieces, so that a chunk of tiny files stays small.
const MAX_PIECES: usize = 4096;

/// A parallel step: consecutive pieces of sources in the corpus.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) pieces: Vec<Piece>,
}

/// A range of one source.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) source: u32,
    pub(crate) format: Format,
    /// Where the piece begins in the source.
    pub(crate) byte: u64,
    pub(crate) contents: Contents,
    /// Whether the piece ends where the source does.
    pub(crate) ends_source: bool,
    /// The number of lines of the source before the piece, if the source cannot be read again.
    pub(crate) lines_before: Option<u64>,
    /// The number of lines in the piece, once its records have been read.
    pub(crate) lines: u32,
    /// The hash of the source, if the piece is all of a small file and has been read.
    pub(crate) whole: Option<Hash128>,
}

/// The bytes of a piece.
#[derive(Clone, Debug)]
pub(crate) enum Contents {
    /// A range of a small file that the worker reads.
    Unread { bytes: u64 },
    /// A range of bytes that are already open.
    Opened(Opened, Range<usize>),
}

impl Piece {
    pub(crate) fn len_bytes(&self) -> u64 {
        match &self.contents {
            Contents::Unread { bytes } => *bytes,
            Contents::Opened(_, range) => range.len() as u64,
        }
    }

    /// The bytes; empty while unread.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.contents {
            Contents::Unread { .. } => &[],
            Contents::Opened(opened, range) => &opened[range.clone()],
        }
    }

    /// The documents in the piece, once it has been read.
    pub(crate) fn documents<'a>(
        &'a self,
        text_field: &'a str,
        invalid_utf8: InvalidUtf8,
    ) -> Box<dyn Documents + 'a> {
        let span = Span {
            bytes: self.bytes(),
            begins: self.byte == 0,
            ends: self.ends_source,
        };
        let reading = Reading {
            text_field,
            invalid_utf8,
        };
        self.format.documents(span, reading)
    }

    /// Reads the bytes unless that has been done.
    pub(crate) fn read(&mut self, corpus: &Corpus) -> Result<()> {
        if let Contents::Unread { bytes } = self.contents {
            let source = &corpus.sources()[self.source as usize];
            let opened = source.open(&corpus.path(source))?;
            // It is a small file of the listed size.
            let start = usize::try_from(self.byte).unwrap_or(usize::MAX);
            let end = start + usize::try_from(bytes).unwrap_or(usize::MAX);
            self.contents = Contents::Opened(opened, start..end);
        }
        Ok(())
    }

    /// Hashes the source if it is a small file that the piece holds all of, after checking that
    /// nothing wrote to it meanwhile.
    pub(crate) fn hash_whole(&mut self, corpus: &Corpus) -> Result<()> {
        let is_whole = self.byte == 0 && self.ends_source && self.len_bytes() < MAP_FROM_BYTES;
        if is_whole && let Contents::Opened(Opened::Read(bytes), _) = &self.contents {
            let source = &corpus.sources()[self.source as usize];
            source.check_unchanged(&corpus.path(source))?;
            self.whole = Some(Hash128::of_hashes(&block_hashes(bytes, &Stats::default())));
        }
        Ok(())
    }

    /// Returns the memory of the last `behind` bytes of a mapped file up to the end of the piece.
    /// Nothing reads them again.
    pub(crate) fn release(&self, behind: u64) {
        if let Contents::Opened(Opened::Mapped(map), range) = &self.contents {
            let behind = usize::try_from(behind).unwrap_or(range.end);
            map.release(range.end.saturating_sub(behind)..range.end);
        }
    }
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

/// Where a chunk may end: the first allowed cut at or after `from` in `bytes`, which begin where
/// the source or an earlier piece of it begins. Every unit cut is also an allowed chunk cut.
pub(crate) fn next_cut(format: Format, bytes: &[u8], from: usize) -> Option<usize> {
    if format.row().is_one_document {
        pretoken::next_cut(bytes, from)
    } else {
        format.next_cut(bytes, from)
    }
}

/// A piece of a stream that has been read.
pub(crate) fn read_bytes(bytes: Vec<u8>) -> Contents {
    let length = bytes.len();
    Contents::Opened(Opened::Read(Arc::new(bytes)), 0..length)
}
