//! Chunk -> documents -> ids.

use crate::bpe::Encoder;
use crate::corpus::Corpus;
use crate::dataset::Eot;
use crate::document::{self, Bad, BadKind, BadRecords, Format, jsonl};
use crate::encoding::{Encoding, SpecialFound};
use crate::error::{Error, Result};
use crate::pipeline::chunk::{Chunk, Piece};
use crate::pipeline::{CHUNK_BYTES, TokenizeConfig};
use crate::token::TokenId;

/// What became of a chunk.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) ids: Vec<TokenId>,
    pub(crate) documents: Vec<DocumentPiece>,
    /// The pieces with their bytes, for the hashes.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) invalid_sequences: u64,
    /// Records that are left out, in order.
    pub(crate) bad_lines: Vec<BadLine>,
}

/// A record that is left out. There may be half a million in a chunk, so it is small.
#[derive(Debug)]
pub(crate) struct BadLine {
    /// Index of its piece in the chunk.
    pub(crate) piece: u32,
    /// Lines of the piece before it.
    pub(crate) index: u32,
    /// Where it lies in the source.
    pub(crate) byte_start: u64,
    pub(crate) byte_len: u64,
    pub(crate) bad: Bad,
}

/// A document, or a piece of one, in a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DocumentPiece {
    /// End in the chunk's ids (exclusive).
    pub(crate) end_tokens: u64,
    pub(crate) source: u32,
    pub(crate) byte_start: u64,
    pub(crate) byte_len: u64,
    pub(crate) text_bytes: u64,
    pub(crate) begins: bool,
    pub(crate) ends: bool,
}

/// Encodes chunks; shared by all threads.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    pub(crate) corpus: &'a Corpus,
    pub(crate) encoding: &'a Encoding,
    pub(crate) config: &'a TokenizeConfig,
}

/// Where a document's bytes lie in its source.
#[derive(Clone, Copy)]
struct Span {
    source: u32,
    byte_start: u64,
    byte_len: u64,
    begins: bool,
    ends: bool,
}

impl Worker<'_> {
    /// The ids and documents of `chunk`.
    pub(crate) fn encode(&self, encoder: &mut Encoder, mut chunk: Chunk) -> Result<Encoded> {
        let bytes: u64 = chunk.pieces.iter().map(Piece::len_bytes).sum();
        // Hardly a text has more ids than one for two bytes; what is not filled takes no memory.
        let room = usize::try_from(bytes).map_or(CHUNK_BYTES, |bytes| bytes.min(CHUNK_BYTES)) / 2;
        let mut encoded = Encoded {
            ids: Vec::with_capacity(room),
            documents: Vec::new(),
            pieces: Vec::new(),
            invalid_sequences: 0,
            bad_lines: Vec::new(),
        };
        for (index, piece) in (0..).zip(&mut chunk.pieces) {
            piece.read(self.corpus)?;
            match piece.format {
                Format::Text => self.text(encoder, piece, &mut encoded)?,
                Format::Jsonl => piece.lines = self.jsonl(encoder, piece, index, &mut encoded)?,
            }
        }
        encoded.pieces = chunk.pieces;
        Ok(encoded)
    }

    fn text(&self, encoder: &mut Encoder, piece: &Piece, encoded: &mut Encoded) -> Result<()> {
        let span = Span {
            source: piece.source,
            byte_start: piece.byte,
            byte_len: piece.len_bytes(),
            begins: piece.byte == 0,
            ends: piece.ends_source,
        };
        let (text, invalid) = document::decode(piece.bytes(), self.config.invalid_utf8)
            .map_err(|at| self.utf8_error(piece, piece.byte + at as u64))?;
        encoded.invalid_sequences += invalid;
        self.document(encoder, &text, span, encoded)
            .map_err(|refused| Error::Byte {
                path: self.corpus.path_of(piece.source as usize),
                offset: piece.byte + refused.offset as u64,
                what: refused.message(),
            })
    }

    /// Encodes the records of `piece`, the `index`-th of its chunk; gives the number of its lines.
    fn jsonl(
        &self,
        encoder: &mut Encoder,
        piece: &Piece,
        index: u32,
        encoded: &mut Encoded,
    ) -> Result<u32> {
        let config = self.config;
        let mut lines = jsonl::lines(piece.bytes(), piece.byte == 0);
        for line in &mut lines {
            let span = Span {
                source: piece.source,
                byte_start: piece.byte + line.start as u64,
                byte_len: line.bytes.len() as u64,
                begins: true,
                ends: true,
            };
            match jsonl::read(line.bytes, &config.text_field, config.invalid_utf8) {
                Ok(record) => {
                    encoded.invalid_sequences += record.invalid;
                    self.document(encoder, &record.text, span, encoded)
                        .map_err(|found| self.line_error(piece, line.index, found.message()))?;
                }
                Err(bad) if config.bad_records == BadRecords::Skip => {
                    encoded.bad_lines.push(BadLine {
                        piece: index,
                        index: line.index,
                        byte_start: span.byte_start,
                        byte_len: span.byte_len,
                        bad,
                    });
                }
                Err(bad) if bad.kind() == BadKind::InvalidUtf8 => {
                    return Err(self.utf8_error(piece, span.byte_start + bad.at() as u64));
                }
                Err(bad) => {
                    let what = bad.message(&config.text_field);
                    return Err(self.line_error(piece, line.index, what));
                }
            }
        }
        Ok(lines.passed())
    }

    fn utf8_error(&self, piece: &Piece, offset: u64) -> Error {
        Error::Utf8 {
            path: self.corpus.path_of(piece.source as usize),
            offset,
        }
    }

    /// Adds the ids of a document, with its end-of-text token where that belongs.
    fn document(
        &self,
        encoder: &mut Encoder,
        text: &str,
        span: Span,
        encoded: &mut Encoded,
    ) -> std::result::Result<(), SpecialFound> {
        let end_of_text = self.encoding.end_of_text();
        if span.begins && self.config.eot == Eot::Before {
            encoded.ids.push(end_of_text);
        }
        self.encoding
            .encode_into(encoder, text, self.config.special, &mut encoded.ids)?;
        if span.ends && self.config.eot == Eot::After {
            encoded.ids.push(end_of_text);
        }
        encoded.documents.push(DocumentPiece {
            end_tokens: encoded.ids.len() as u64,
            source: span.source,
            byte_start: span.byte_start,
            byte_len: span.byte_len,
            text_bytes: text.len() as u64,
            begins: span.begins,
            ends: span.ends,
        });
        Ok(())
    }

    /// An error on line `index` of `piece`, counted in the whole source.
    fn line_error(&self, piece: &Piece, index: u32, what: String) -> Error {
        let path = self.corpus.path_of(piece.source as usize);
        let before = piece.lines_before.or_else(|| {
            let source = &self.corpus.sources()[piece.source as usize];
            let start = usize::try_from(piece.byte).ok()?;
            let opened = source.open(&path).ok()?;
            Some(memchr::memchr_iter(b'\n', opened.get(..start)?).count() as u64)
        });
        match before {
            Some(before) => Error::Json {
                path,
                line: before + u64::from(index) + 1,
                what,
            },
            // The file went away meanwhile; the piece's own start still helps.
            None => Error::Byte {
                path,
                offset: piece.byte,
                what: format!("line {} from here: {what}", u64::from(index) + 1),
            },
        }
    }
}
