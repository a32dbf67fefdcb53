//! Chunk -> documents -> ids.

use std::sync::{Mutex, MutexGuard, PoisonError};

use shardmill_core::token::TokenId;
use shardmill_tokenizer::{Encoder, SpecialFound, Tokenizer};

use crate::compression::Decompressor;
use crate::corpus::Corpus;
use crate::dataset::{Eot, OutsideLimits, TokenDtype};
use crate::document::{Bad, BadKind, BadRecords, Extent, Fields, KeptValues};
use crate::error::{Error, Problem, Result};
use crate::pipeline::chunk::Chunk;
use crate::pipeline::piece::{Piece, Stored};
use crate::pipeline::reserve::Reserve;
use crate::pipeline::{CHUNK_BYTES, TokenizeConfig};
use crate::threads::one_each_cpu;

/// An encoded chunk.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) ids: Vec<TokenId>,
    pub(crate) documents: Vec<DocumentPiece>,
    /// The pieces with their bytes, for the hashes.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) invalid_sequences: u64,
    /// The number of documents that begin in the chunk and are on the other side of the split.
    pub(crate) other_side: u64,
    /// How many documents are left out for their size.
    pub(crate) outside_limits: OutsideLimits,
    /// Records that are left out, in order.
    pub(crate) bad_lines: Vec<BadLine>,
    /// The kept fields of the documents.
    pub(crate) kept: KeptValues,
}

impl Encoded {
    /// The ids as bytes, in the integer type of the dataset.
    pub(crate) fn id_bytes(&self, dtype: TokenDtype) -> &[u8] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.ids);
        match dtype {
            TokenDtype::U32 => bytes,
            // Narrowed in place.
            TokenDtype::U16 => &bytes[..bytes.len() / 2],
        }
    }

    /// Takes over all ids that `encoder` holds back, and the ends of the documents among them.
    fn take_over(&mut self, encoder: &mut Encoder) {
        let ends = encoder.finish(&mut self.ids);
        let first = self.documents.len() - ends.len();
        for (document, end) in self.documents[first..].iter_mut().zip(ends) {
            document.end_tokens = end as u64;
        }
    }
}

/// Puts ids, each below 2^16, into the first half of their memory, as `u16`.
fn narrow(ids: &mut [TokenId]) {
    debug_assert!(ids.iter().all(|&id| u16::try_from(id).is_ok()));
    let halves: &mut [u16] = bytemuck::cast_slice_mut(ids);
    for at in 0..halves.len() / 2 {
        // The low half comes first: all supported systems are little-endian.
        halves[at] = halves[2 * at];
    }
}

/// A record that is left out. There may be half a million in a chunk, so it is small.
#[derive(Debug)]
pub(crate) struct BadLine {
    /// Index of its piece in the chunk.
    pub(crate) piece: u32,
    /// The number of lines of the piece before it.
    pub(crate) index: u32,
    /// The number of lines that it takes up.
    pub(crate) lines: u32,
    /// Where it lies in the source: its first byte, or its row.
    pub(crate) place: u64,
    pub(crate) byte_len: u64,
    pub(crate) bad: Bad,
}

/// A document, or a piece of one, in a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DocumentPiece {
    /// End in the chunk's ids (exclusive); known when the encoder holds back no more of them.
    pub(crate) end_tokens: u64,
    pub(crate) source: u32,
    /// Where it lies in the source: its first byte, or its row.
    pub(crate) place: u64,
    pub(crate) byte_len: u64,
    pub(crate) text_bytes: u64,
    pub(crate) begins: bool,
    pub(crate) ends: bool,
}

/// Encoded chunks that have been written. Later ones reuse their memory: fresh memory costs
/// page faults, and small pieces of it that another thread frees cost locks of the allocator.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    encoded: Mutex<Vec<Encoded>>,
    /// Memory for the rows of a chunk, or for one small file after the other.
    rows: Mutex<Vec<Vec<u8>>>,
}

impl Spare {
    fn take(&self) -> Encoded {
        self.list().pop().unwrap_or_default()
    }

    /// Keeps the memory of a chunk that has been written.
    pub(crate) fn put(&self, mut encoded: Encoded) {
        // A chunk without a place to cut can be of any size.
        if encoded.ids.capacity() > CHUNK_BYTES {
            return;
        }
        encoded.ids.clear();
        encoded.documents.clear();
        encoded.pieces.clear();
        encoded.bad_lines.clear();
        encoded.kept.clear();
        encoded.invalid_sequences = 0;
        encoded.other_side = 0;
        encoded.outside_limits = OutsideLimits::default();
        self.list().push(encoded);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Encoded>> {
        self.encoded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_rows(&self) -> Vec<u8> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.pop().unwrap_or_default()
    }

    fn put_rows(&self, mut memory: Vec<u8>) {
        if (1..=4 * CHUNK_BYTES).contains(&memory.capacity()) {
            memory.clear();
            let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            rows.push(memory);
        }
    }
}

/// Encodes chunks; shared by all threads.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    pub(crate) corpus: &'a Corpus,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) config: &'a TokenizeConfig,
    /// The fields that are read.
    pub(crate) fields: Fields,
    pub(crate) spare: Spare,
    pub(super) reserve: Reserve,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(
        corpus: &'a Corpus,
        tokenizer: &'a Tokenizer,
        config: &'a TokenizeConfig,
    ) -> Self {
        Self {
            corpus,
            tokenizer,
            config,
            fields: config.settings.fields(),
            spare: Spare::default(),
            reserve: Reserve::new(config.threads, one_each_cpu()),
        }
    }

    /// The ids and documents of `chunk`.
    pub(crate) fn encode(&self, encoder: &mut Encoder, mut chunk: Chunk) -> Result<Encoded> {
        // An error may have ended the chunk before.
        encoder.discard();
        let bytes: u64 = chunk.pieces.iter().map(Piece::len_bytes).sum();
        // Hardly any text has more ids than bytes. Pages that are not filled take no memory.
        let room = usize::try_from(bytes).map_or(CHUNK_BYTES, |bytes| bytes.min(CHUNK_BYTES));
        let mut encoded = self.spare.take();
        encoded.ids.reserve(room);
        let mut memory = self.spare.take_rows();
        for (index, piece) in (0..).zip(&mut chunk.pieces) {
            let mut lines = 0;
            let read = piece.read_each(self.corpus, &mut memory, |piece| {
                lines += self.piece(encoder, piece, index, &mut encoded)?;
                Ok(())
            });
            read.map_err(|error| self.damage_or(error, piece))?;
            piece.lines = lines;
            piece.hash_whole(self.corpus, &mut memory)?;
        }
        encoded.take_over(encoder);
        self.spare.put_rows(memory);
        encoded.pieces = chunk.pieces;
        if self.config.settings.token_dtype == TokenDtype::U16 {
            narrow(&mut encoded.ids);
        }
        Ok(encoded)
    }

    /// Damage of the compressed file that `piece` is from, or `error`: what looks like a bad record
    /// is often damage, and the checksum comes only at the end.
    fn damage_or(&self, error: Error, piece: &Piece) -> Error {
        let source = &self.corpus.sources()[piece.source as usize];
        match piece.stored {
            Stored::Compressed { compression, .. } if source.bytes().is_some() => {
                let path = self.corpus.path(source);
                Decompressor::check(compression, &path)
                    .err()
                    .unwrap_or(error)
            }
            Stored::Compressed { .. } | Stored::AsIs | Stored::Rows { .. } => error,
        }
    }

    /// Encodes the documents of `piece`, the `index`-th of its chunk; returns the number of its
    /// lines.
    fn piece(
        &self,
        encoder: &mut Encoder,
        piece: &Piece,
        index: u32,
        encoded: &mut Encoded,
    ) -> Result<u32> {
        let settings = &self.config.settings;
        piece.format.check_separator(&settings.separator)?;
        let has_fields = piece.format.check_fields(piece.head(), &self.fields);
        has_fields
            .map_err(|problem| Error::input(self.corpus.path_of(piece.source as usize), problem))?;
        let mut documents = piece.documents(settings, &self.fields);
        while let Some(document) = documents.next_document() {
            let extent = document.extent;
            match document.text {
                Ok(text) if !piece.is_on_side(&text.text, settings.split) => {
                    encoded.other_side += u64::from(extent.begins);
                }
                Ok(text) => {
                    encoded.invalid_sequences += text.invalid;
                    if self.encode_text(encoder, &text.text, piece, extent, encoded)? {
                        encoded.kept.push(&self.fields.kept, document.kept);
                    }
                }
                Err(bad) => self.bad(bad, piece, index, extent, encoded)?,
            }
        }
        Ok(documents.lines())
    }

    /// Leaves out a document that cannot be read, or refuses it.
    fn bad(
        &self,
        bad: Bad,
        piece: &Piece,
        index: u32,
        extent: Extent,
        encoded: &mut Encoded,
    ) -> Result<()> {
        let place = piece.place(extent.start);
        match extent.line {
            Some(line) if self.config.settings.bad_records == BadRecords::Skip => {
                encoded.bad_lines.push(BadLine {
                    piece: index,
                    index: line,
                    lines: piece.lines_of(extent),
                    place,
                    byte_len: extent.len as u64,
                    bad,
                });
                Ok(())
            }
            Some(line)
                if bad.kind() != BadKind::InvalidUtf8 || piece.has_rows() || bad.is_of_kept() =>
            {
                Err(self.line_error(piece, line, bad.problem(&self.config.settings.text_field)))
            }
            _ => Err(Error::Utf8 {
                path: self.corpus.path_of(piece.source as usize),
                offset: place + bad.at() as u64,
            }),
        }
    }

    /// Adds the ids of `text`, which lies at `extent`, with an end-of-text token before or after it
    /// if `eot` asks for one; or counts it as left out for its size. Returns whether it was added.
    fn encode_text(
        &self,
        encoder: &mut Encoder,
        text: &str,
        piece: &Piece,
        extent: Extent,
        encoded: &mut Encoded,
    ) -> Result<bool> {
        let settings = &self.config.settings;
        let limits = settings.limits();
        if let Some(limit) = limits.of_text(text.len() as u64) {
            encoded.outside_limits.add(limit);
            return Ok(false);
        }
        if limits.are_of_tokens() {
            encoded.take_over(encoder);
        }
        let start = encoded.ids.len();
        // `TokenizeConfig::validate` refuses a tokenizer without one, if it is needed.
        let end_of_text = |eot| self.tokenizer.end_of_text().filter(|_| settings.eot == eot);
        let before = settings.bos.into_iter().chain(end_of_text(Eot::Before));
        let before = before.filter(|_| extent.begins);
        for id in before.clone() {
            encoder.add_id(id, &mut encoded.ids);
        }
        encoder
            .add(text, settings.special, extent.begins, &mut encoded.ids)
            .map_err(|found| self.special_error(&found, piece, extent))?;
        if limits.are_of_tokens() {
            encoded.take_over(encoder);
            let tokens = encoded.ids.len() - start - before.count();
            if let Some(limit) = limits.of_tokens(tokens as u64) {
                encoded.ids.truncate(start);
                encoded.outside_limits.add(limit);
                return Ok(false);
            }
        }
        if extent.ends
            && let Some(id) = end_of_text(Eot::After)
        {
            encoder.add_id(id, &mut encoded.ids);
        }
        encoder.end_document();
        encoded.documents.push(DocumentPiece {
            end_tokens: 0,
            source: piece.source,
            place: piece.place(extent.start),
            byte_len: extent.len as u64,
            text_bytes: text.len() as u64,
            begins: extent.begins,
            ends: extent.ends,
        });
        Ok(true)
    }

    fn special_error(&self, found: &SpecialFound, piece: &Piece, extent: Extent) -> Error {
        match extent.line {
            Some(line) => self.line_error(piece, line, Problem::from(found)),
            None => Error::at_byte(
                self.corpus.path_of(piece.source as usize),
                piece.byte + found.offset as u64,
                Problem::from(found),
            ),
        }
    }

    /// An error on line or row `index` of `piece`, counted in the whole source.
    fn line_error(&self, piece: &Piece, index: u32, problem: Problem) -> Error {
        let path = self.corpus.path_of(piece.source as usize);
        if piece.has_rows() {
            return Error::at_row(path, piece.place(index as usize), problem);
        }
        let before = piece.lines_before.or_else(|| {
            let source = &self.corpus.sources()[piece.source as usize];
            let start = usize::try_from(piece.byte).ok()?;
            let opened = source.open(&path).ok()?;
            Some(piece.format.row().line_ends.count(opened.get(..start)?))
        });
        match before {
            Some(before) => Error::at_line(path, before + u64::from(index) + 1, problem),
            // The file has disappeared; the start of the piece still helps.
            None => Error::at_byte(
                path,
                piece.byte,
                problem.at(format_args!("line {} from here: ", u64::from(index) + 1)),
            ),
        }
    }
}
