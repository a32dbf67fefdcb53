//! Chunk -> documents -> ids.

use std::borrow::Cow;

use crate::bpe::Encoder;
use crate::corpus::Corpus;
use crate::document::{self, Format, jsonl};
use crate::encoding::{Encoding, SpecialFound, TokenId};
use crate::pipeline::chunk::{Chunk, Piece};
use crate::pipeline::{CHUNK_BYTES, TokenizeConfig};
use crate::shard::Eot;
use crate::{Error, Result};

/// What became of a chunk.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) ids: Vec<TokenId>,
    pub(crate) documents: Vec<DocumentPiece>,
    /// The pieces with their bytes, for the hashes.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) invalid_sequences: u64,
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
struct Place {
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
        };
        for piece in &mut chunk.pieces {
            piece.read(self.corpus)?;
            match piece.format {
                Format::Text => self.text(encoder, piece, &mut encoded)?,
                Format::Jsonl => self.jsonl(encoder, piece, &mut encoded)?,
            }
        }
        encoded.pieces = chunk.pieces;
        Ok(encoded)
    }

    fn text(&self, encoder: &mut Encoder, piece: &Piece, encoded: &mut Encoded) -> Result<()> {
        let place = Place {
            source: piece.source,
            byte_start: piece.byte,
            byte_len: piece.len_bytes(),
            begins: piece.byte == 0,
            ends: piece.ends_source,
        };
        let text = self.decode(piece, piece.bytes(), piece.byte, encoded)?;
        self.document(encoder, &text, place, encoded)
            .map_err(|refused| Error::Byte {
                path: self.corpus.path_of(piece.source as usize),
                offset: piece.byte + refused.offset as u64,
                what: refused.message(),
            })
    }

    fn jsonl(&self, encoder: &mut Encoder, piece: &Piece, encoded: &mut Encoded) -> Result<()> {
        for line in jsonl::lines(piece.bytes()) {
            let byte_start = piece.byte + line.start as u64;
            let text = self.decode(piece, line.bytes, byte_start, encoded)?;
            let refuse = |what: String| self.line_error(piece, line.index, what);
            let text = jsonl::text_of(&text, &self.config.text_field).map_err(refuse)?;
            let place = Place {
                source: piece.source,
                byte_start,
                byte_len: line.bytes.len() as u64,
                begins: true,
                ends: true,
            };
            self.document(encoder, &text, place, encoded)
                .map_err(|refused| refuse(refused.message()))?;
        }
        Ok(())
    }

    fn decode<'b>(
        &self,
        piece: &Piece,
        bytes: &'b [u8],
        start: u64,
        encoded: &mut Encoded,
    ) -> Result<Cow<'b, str>> {
        let (text, invalid) =
            document::decode(bytes, self.config.invalid_utf8).map_err(|at| Error::Utf8 {
                path: self.corpus.path_of(piece.source as usize),
                offset: start + at as u64,
            })?;
        encoded.invalid_sequences += invalid;
        Ok(text)
    }

    /// Adds the ids of a document, with its end-of-text token where that belongs.
    fn document(
        &self,
        encoder: &mut Encoder,
        text: &str,
        place: Place,
        encoded: &mut Encoded,
    ) -> std::result::Result<(), SpecialFound> {
        let end_of_text = self.encoding.end_of_text();
        if place.begins && self.config.eot == Eot::Before {
            encoded.ids.push(end_of_text);
        }
        self.encoding
            .encode_into(encoder, text, self.config.special, &mut encoded.ids)?;
        if place.ends && self.config.eot == Eot::After {
            encoded.ids.push(end_of_text);
        }
        encoded.documents.push(DocumentPiece {
            end_tokens: encoded.ids.len() as u64,
            source: place.source,
            byte_start: place.byte_start,
            byte_len: place.byte_len,
            text_bytes: text.len() as u64,
            begins: place.begins,
            ends: place.ends,
        });
        Ok(())
    }

    /// An error on line `index` of `piece`, counted in the whole source.
    fn line_error(&self, piece: &Piece, index: u64, what: String) -> Error {
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
                line: before + index + 1,
                what,
            },
            // The file went away meanwhile; the piece's own start still helps.
            None => Error::Byte {
                path,
                offset: piece.byte,
                what: format!("line {} from here: {what}", index + 1),
            },
        }
    }
}
