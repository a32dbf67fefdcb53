//! Reads a stream, a compressed file, or any file next to a stream, a piece at a time.

use std::io::{self, Read};
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::compression::{Ahead, Compression, Decompressor};
use crate::corpus::{CHANGED, Corpus, Source};
use crate::document::{Format, HEAD_BYTES};
use crate::error::{Error, Result};
use crate::pipeline::CHUNK_BYTES;
use crate::pipeline::cut_rules::CutRules;
use crate::pipeline::piece::{Piece, Stored, read_bytes};
use crate::remote::Object;

/// A source whose first bytes have been read and match its name.
pub(super) struct Begun {
    /// Returns the stored bytes of the source, including the first.
    pub(super) reader: Box<dyn Read + Send>,
    path: PathBuf,
    compression: Option<Compression>,
}

impl Begun {
    /// Reads the first bytes of `source`, at `path`, whose bytes `reader` returns.
    pub(super) fn new(
        source: &Source,
        path: PathBuf,
        mut reader: Box<dyn Read + Send>,
    ) -> Result<Self> {
        let (head, is_whole) = read_head(&mut reader, &path)?;
        let compression = source.check_stored(&path, &head)?;
        if compression.is_none() {
            source.check_content(&path, &head, is_whole)?;
        }
        let head = io::Cursor::new(head);
        // If the source has ended, do not read it again: a terminal would wait for more.
        let reader: Box<dyn Read + Send> = if is_whole {
            Box::new(head)
        } else {
            Box::new(head.chain(reader))
        };
        Ok(Self {
            reader,
            path,
            compression,
        })
    }

    pub(super) fn compression(&self) -> Option<Compression> {
        self.compression
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The first bytes of a source, which identify its format, and whether they are all of it.
fn read_head(reader: &mut dyn Read, path: &Path) -> Result<(Vec<u8>, bool)> {
    let mut head = Vec::new();
    reader
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        // `read_to_end` keeps what was read before the error.
        .map_err(|source| Error::read(path, head.len() as u64, source))?;
    let is_whole = head.len() < HEAD_BYTES;
    Ok((head, is_whole))
}

/// Where the bytes of a source come from.
enum Input {
    AsIs(Box<dyn Read + Send>),
    Compressed {
        data: Box<Decompressor>,
        /// How many stored bytes the pieces that were handed out count.
        counted: u64,
    },
}

/// A source that is being read.
pub(super) struct SourceReader {
    input: Input,
    path: PathBuf,
    /// The index of the source.
    source: u32,
    format: Format,
    /// What every piece needs.
    head: Option<Arc<[u8]>>,
    rules: CutRules,
    /// The size as it is stored, if known.
    expected_bytes: Option<u64>,
    /// The bytes read and decoded; the first `taken` of them have been handed out.
    buffer: Vec<u8>,
    taken: usize,
    /// Where the bytes that are not handed out yet begin in the source.
    byte: u64,
    is_at_end: bool,
    /// Whether only the bytes up to the expected size are read.
    is_range: bool,
    /// The number of lines before them; `None` if it does not begin where the source does.
    lines: Option<u64>,
}

impl Input {
    /// What the next piece is on the disk, with which `handed_out` of `decoded` bytes are handed out; if
    /// `ends_source`, it is the last.
    fn stored(&mut self, ends_source: bool, handed_out: u64, decoded: u64) -> Stored {
        match self {
            Self::AsIs(_) => Stored::AsIs,
            Self::Compressed { data, counted } => {
                let now = if ends_source {
                    data.stored_bytes()
                } else {
                    // Up to a chunk is decoded ahead.
                    let share = u128::from(data.decoded_bytes()) * u128::from(handed_out);
                    let share = share / u128::from(decoded.max(1));
                    u64::try_from(share).unwrap_or(u64::MAX).max(*counted)
                };
                let before = mem::replace(counted, now);
                Stored::Compressed {
                    compression: data.compression(),
                    bytes: *counted - before,
                    hash: ends_source.then(|| data.take_hash()),
                }
            }
        }
    }
}

impl std::fmt::Debug for SourceReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceReader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SourceReader {
    /// Reads source `index` of a corpus, a regular file.
    pub(super) fn open(corpus: &Corpus, index: u32, rules: CutRules) -> Result<Self> {
        let source = &corpus.sources()[index as usize];
        let path = corpus.path(source);
        let reader = source.reader(&path)?;
        let begun = Begun::new(source, path, reader)?;
        Self::new(index, source, begun, source.bytes(), rules)
    }

    /// Reads the bytes `range` of source `index`, an object that is not compressed. The range begins at
    /// an allowed cut or at 0.
    pub(super) fn open_range(
        corpus: &Corpus,
        index: u32,
        object: &Arc<Object>,
        range: Range<u64>,
        rules: CutRules,
    ) -> Result<Self> {
        // Its start says whether it is what its name says, and what every piece needs.
        let mut reader = Self::open(corpus, index, rules)?;
        reader.expected_bytes = Some(range.end);
        reader.is_range = true;
        if range.start > 0 {
            reader.input = Input::AsIs(object.reader(range.clone()));
            reader.byte = range.start;
            reader.buffer = Vec::new();
            reader.is_at_end = false;
            reader.lines = None;
        }
        // The start may be more than the range.
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        if reader.buffer.len() >= length {
            reader.buffer.truncate(length);
            reader.is_at_end = true;
        }
        Ok(reader)
    }

    /// Reads `source`, the `index`-th, which has `expected_bytes` stored bytes, if that is known.
    pub(super) fn new(
        index: u32,
        source: &Source,
        begun: Begun,
        expected_bytes: Option<u64>,
        rules: CutRules,
    ) -> Result<Self> {
        let input = match begun.compression {
            None => Input::AsIs(begun.reader),
            Some(compression) => Input::Compressed {
                data: Box::new(Decompressor::new(compression, &begun.path, begun.reader)?),
                counted: 0,
            },
        };
        let mut reader = Self {
            input,
            path: begun.path,
            source: index,
            format: source.format(),
            head: None,
            rules,
            expected_bytes,
            buffer: Vec::new(),
            taken: 0,
            byte: 0,
            is_at_end: false,
            is_range: false,
            lines: Some(0),
        };
        if reader.compression().is_some() {
            reader.fill(HEAD_BYTES)?;
            source.check_content(&reader.path, &reader.buffer, reader.is_at_end)?;
        }
        if reader.format.has_head() {
            reader.keep_head()?;
        }
        Ok(reader)
    }

    /// What follows is decoded ahead, if it can be.
    pub(super) fn decode_ahead(&mut self, ahead: &Arc<Ahead>) {
        if let Input::Compressed { data, .. } = &mut self.input {
            data.decode_ahead(ahead);
        }
    }

    /// Keeps what every piece needs; see [`Format::head`]. It stays in the buffer.
    fn keep_head(&mut self) -> Result<()> {
        let mut wanted = HEAD_BYTES;
        loop {
            self.fill(wanted)?;
            let head = self.format.head(&self.buffer, self.is_at_end);
            let head = head.map_err(|problem| Error::input(&self.path, problem))?;
            if let Some(head) = head {
                self.head = Some(Arc::from(head));
                return Ok(());
            }
            wanted *= 2;
        }
    }

    /// How the source is compressed.
    pub(super) fn compression(&self) -> Option<Compression> {
        match &self.input {
            Input::AsIs(_) => None,
            Input::Compressed { data, .. } => Some(data.compression()),
        }
    }

    /// The number of stored bytes that were read for what has been handed out.
    pub(super) fn stored_bytes(&self) -> u64 {
        match &self.input {
            Input::AsIs(_) => self.byte,
            Input::Compressed { counted, .. } => *counted,
        }
    }

    /// The size as it is stored, if it was known in advance.
    pub(super) fn expected_bytes(&self) -> Option<u64> {
        self.expected_bytes
    }

    /// Where the bytes that are not handed out yet begin in the source.
    pub(super) fn byte(&self) -> u64 {
        self.byte
    }

    /// The next piece: about a chunk. If a unit ends at the first allowed cut at or after byte
    /// `unit_end` of the source, the piece ends there, too, and `true` is returned with it.
    pub(super) fn next(&mut self, unit_end: Option<u64>) -> Result<(Piece, bool)> {
        let (length, ends_unit) = self.next_cut(unit_end)?;
        Ok((self.take(length), ends_unit))
    }

    /// The length of the next piece, and whether a unit ends after it.
    fn next_cut(&mut self, unit_end: Option<u64>) -> Result<(usize, bool)> {
        // The boundary lies after everything that has been handed out.
        let target = unit_end.map(|end| usize::try_from(end.saturating_sub(self.byte)));
        let target = target.and_then(std::result::Result::ok);
        let mut wanted = CHUNK_BYTES + 1;
        loop {
            self.fill(wanted)?;
            let buffered = self.buffered();
            let chunk_cut = self.rules.chunk_cut(self.format, buffered, CHUNK_BYTES);
            // Search only to the end of the chunk; what follows is searched with the next one.
            let chunk = &buffered[..chunk_cut.map_or(buffered.len(), |cut| cut + 1)];
            let unit_cut =
                target.and_then(|target| self.rules.unit_cut(self.format, chunk, target));
            match (unit_cut, chunk_cut) {
                (Some(unit), _) => return Ok((unit, true)),
                (_, Some(chunk)) => return Ok((chunk, false)),
                _ if self.is_at_end => return Ok((self.buffered().len(), false)),
                // Doubling keeps the search linear over a long stretch without a cut.
                _ => wanted = wanted.max(self.buffered().len()).saturating_mul(2),
            }
        }
    }

    /// Bytes read and not yet handed out.
    fn buffered(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// Reads until `wanted` bytes can be handed out or the source ends.
    fn fill(&mut self, wanted: usize) -> Result<()> {
        if self.is_at_end || self.buffered().len() >= wanted {
            return Ok(());
        }
        self.buffer.drain(..self.taken);
        self.taken = 0;
        // After a long stretch without a cut, the buffer is larger than necessary.
        self.buffer.shrink_to(wanted);
        self.buffer.reserve_exact(wanted - self.buffer.len());
        match &mut self.input {
            Input::AsIs(reader) => {
                let mut missing = (wanted - self.buffer.len()) as u64;
                let rest = self.expected_bytes.filter(|_| self.is_range);
                let rest = rest.map(|end| end - self.byte - self.buffer.len() as u64);
                missing = missing.min(rest.unwrap_or(missing));
                let read = reader
                    .take(missing)
                    .read_to_end(&mut self.buffer)
                    // `read_to_end` keeps what was read before the error.
                    .map_err(|source| {
                        Error::read(&self.path, self.byte + self.buffer.len() as u64, source)
                    })?;
                self.is_at_end = (read as u64) < missing || rest == Some(read as u64);
                self.check_size(self.byte + self.buffered().len() as u64, self.is_at_end)
            }
            Input::Compressed { data, .. } => {
                let is_at_end = data.read(&mut self.buffer, wanted);
                let (stored, is_read) = (data.stored_bytes(), data.is_read());
                // A file that was cut short in the meantime is not damaged.
                self.check_size(stored, is_read)?;
                self.is_at_end = is_at_end?;
                Ok(())
            }
        }
    }

    /// Checks that a source of which `bytes` stored bytes have been read, all of them if `is_read`,
    /// can still have the expected size.
    fn check_size(&self, bytes: u64, is_read: bool) -> Result<()> {
        let has_changed = self
            .expected_bytes
            .is_some_and(|expected| bytes > expected || (is_read && bytes != expected));
        if has_changed {
            return Err(Error::at_byte(&self.path, bytes, CHANGED));
        }
        Ok(())
    }

    /// Takes the first `length` bytes that can be handed out, in the memory of the buffer if they fill at
    /// least half of it: then only what follows them is copied.
    fn take_bytes(&mut self, length: usize) -> Vec<u8> {
        let end = self.taken + length;
        if self.taken > 0 || self.buffer.capacity() / 2 > length {
            let bytes = self.buffer[self.taken..end].to_vec();
            self.taken = end;
            return bytes;
        }
        let rest = self.buffer.split_off(end);
        mem::replace(&mut self.buffer, rest)
    }

    /// Hands out the first `length` bytes of the buffer.
    fn take(&mut self, length: usize) -> Piece {
        let bytes = self.take_bytes(length);
        let lines_before = self.lines;
        if !self.format.row().is_one_document
            && let Some(lines) = &mut self.lines
        {
            *lines += self.format.row().line_ends.count(&bytes);
        }
        let ends_source = self.is_at_end && self.buffered().is_empty();
        let handed_out = self.byte + length as u64;
        let decoded = handed_out + self.buffered().len() as u64;
        let piece = Piece {
            source: self.source,
            format: self.format,
            byte: self.byte,
            contents: read_bytes(bytes),
            head: self.head.clone(),
            stored: self.input.stored(ends_source, handed_out, decoded),
            ends_source,
            lines_before,
            lines: 0,
            whole: None,
        };
        self.byte = handed_out;
        piece
    }
}
