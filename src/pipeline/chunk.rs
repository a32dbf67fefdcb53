//! Units -> chunks: about 1 MiB of whole documents, or a piece of one.

use std::sync::Arc;

use crate::compression::Ahead;
use crate::corpus::{Corpus, MAP_FROM_BYTES, Opened};
use crate::dataset::{Position, Unit};
use crate::document::{Fields, Format};
use crate::error::{Error, Result};
use crate::pipeline::CHUNK_BYTES;
use crate::pipeline::cut_rules::CutRules;
use crate::pipeline::piece::{Contents, Piece, Stored, head_of};
use crate::pipeline::reader::SourceReader;
use crate::pipeline::rows::SourceRows;
use crate::remote::Object;

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
    open: Option<Open>,
    rules: CutRules,
    /// The fields or columns that are read.
    fields: Fields,
    /// Where compressed files are decoded ahead, if they are.
    ahead: Option<Arc<Ahead>>,
    /// What is wrong after the chunk that was returned last.
    failed: Option<Error>,
}

/// The file that a cursor is in.
#[derive(Debug)]
enum Open {
    /// A large file, with its index and its head.
    Whole(u32, Opened, Option<Arc<[u8]>>),
    /// A compressed file, or a large object.
    Read(SourceReader),
    /// A file with columns.
    Rows(SourceRows),
}

impl UnitCursor {
    pub(crate) fn new(unit: Unit, rules: CutRules, fields: Fields) -> Self {
        Self {
            at: unit.start,
            end: unit.end,
            open: None,
            rules,
            fields,
            ahead: None,
            failed: None,
        }
    }

    /// Decodes what can be decoded ahead of the walk.
    pub(crate) fn decode_ahead(mut self, ahead: &Arc<Ahead>) -> Self {
        self.ahead = Some(Arc::clone(ahead));
        self
    }

    /// The next chunk of the unit; `None` at its end.
    pub(crate) fn next(&mut self, corpus: &Corpus) -> Result<Option<Chunk>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        while self.at < self.end && bytes < CHUNK_BYTES as u64 && chunk.pieces.len() < MAX_PIECES {
            let rest = self.limit(corpus) - self.at.byte;
            if rest >= MAP_FROM_BYTES && !chunk.pieces.is_empty() {
                break;
            }
            let piece = match self.piece(corpus) {
                Ok(piece) => piece,
                // What comes before may be wrong, too, and is reported first.
                Err(error) if !chunk.pieces.is_empty() => {
                    self.failed = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            };
            bytes += piece.len_bytes();
            if piece.ends_source {
                self.at = Position {
                    source: self.at.source + 1,
                    byte: 0,
                };
            } else if !matches!(piece.stored, Stored::Compressed { .. }) {
                self.at.byte = piece.byte + piece.stored_bytes();
            }
            chunk.pieces.push(piece);
        }
        Ok((!chunk.pieces.is_empty()).then_some(chunk))
    }

    /// Where the unit ends in the current file.
    fn limit(&self, corpus: &Corpus) -> u64 {
        if self.end.source == self.at.source {
            self.end.byte
        } else {
            corpus.sources()[self.at.source as usize]
                .bytes()
                .unwrap_or(0)
        }
    }

    /// The next piece of the current file.
    fn piece(&mut self, corpus: &Corpus) -> Result<Piece> {
        let source = &corpus.sources()[self.at.source as usize];
        if source.compression().is_some() {
            return self.decoded_piece(corpus);
        }
        if source.format().row().has_rows {
            return self.rows_piece(corpus);
        }
        let bytes = source.bytes().unwrap_or(0);
        let limit = self.limit(corpus);
        if bytes >= MAP_FROM_BYTES
            && let Some(object) = source.object()
        {
            let mut piece = self.object_piece(corpus, object)?;
            piece.ends_source = piece.byte + piece.len_bytes() == bytes;
            return Ok(piece);
        }
        let (contents, head) = if bytes < MAP_FROM_BYTES {
            let bytes = limit - self.at.byte;
            let ahead = source.object().map(Object::read_ahead);
            (Contents::Unread { bytes, ahead }, None)
        } else {
            self.large_piece(corpus, source.format(), limit)?
        };
        let mut piece = Piece {
            source: self.at.source,
            format: source.format(),
            byte: self.at.byte,
            contents,
            head,
            stored: Stored::AsIs,
            ends_source: false,
            lines_before: None,
            lines: 0,
            whole: None,
        };
        piece.ends_source = piece.byte + piece.len_bytes() == bytes;
        Ok(piece)
    }

    /// The next piece of a compressed file, which lies in the unit as a whole.
    fn decoded_piece(&mut self, corpus: &Corpus) -> Result<Piece> {
        let mut reader = if let Some(Open::Read(reader)) = self.open.take() {
            reader
        } else {
            let rules = self.rules.clone();
            let mut reader = SourceReader::open(corpus, self.at.source, rules)?;
            if let Some(ahead) = &self.ahead {
                reader.decode_ahead(ahead);
            }
            reader
        };
        let (piece, _) = reader.next(None)?;
        if !piece.ends_source {
            self.open = Some(Open::Read(reader));
        }
        Ok(piece)
    }

    /// The next piece of a large object, which is read from here to the end of the unit.
    fn object_piece(&mut self, corpus: &Corpus, object: &Arc<Object>) -> Result<Piece> {
        let limit = self.limit(corpus);
        let mut reader = if let Some(Open::Read(reader)) = self.open.take() {
            reader
        } else {
            let range = self.at.byte..limit;
            let rules = self.rules.clone();
            SourceReader::open_range(corpus, self.at.source, object, range, rules)?
        };
        let (piece, _) = reader.next(None)?;
        if reader.byte() < limit {
            self.open = Some(Open::Read(reader));
        }
        Ok(piece)
    }

    /// The next piece of a file with columns.
    fn rows_piece(&mut self, corpus: &Corpus) -> Result<Piece> {
        let mut rows = if let Some(Open::Rows(rows)) = self.open.take() {
            rows
        } else {
            let range = (self.at.byte, self.limit(corpus));
            SourceRows::open(corpus, self.at.source, &self.fields, range)?
        };
        let (piece, _) = rows.next(None)?;
        if rows.byte() < self.limit(corpus) {
            self.open = Some(Open::Rows(rows));
        }
        Ok(piece)
    }

    /// The bytes of the open file from here to the first cut after a chunk's size, and its head.
    fn large_piece(
        &mut self,
        corpus: &Corpus,
        format: Format,
        limit: u64,
    ) -> Result<(Contents, Option<Arc<[u8]>>)> {
        let (opened, head) = match &self.open {
            Some(Open::Whole(source, opened, head)) if *source == self.at.source => {
                (opened.clone(), head.clone())
            }
            _ => {
                let source = &corpus.sources()[self.at.source as usize];
                let path = corpus.path(source);
                let opened = source.open(&path)?;
                let head = head_of(format, &path, &opened)?;
                self.open = Some(Open::Whole(self.at.source, opened.clone(), head.clone()));
                (opened, head)
            }
        };
        // In range: these are offsets into mapped bytes.
        let start = usize::try_from(self.at.byte).unwrap_or(usize::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let rest = &opened[start..limit];
        let length = if rest.len() <= CHUNK_BYTES {
            rest.len()
        } else {
            let cut = self.rules.chunk_cut(format, rest, CHUNK_BYTES);
            cut.unwrap_or(rest.len())
        };
        Ok((Contents::Opened(opened, start..start + length), head))
    }
}
