//! Reads a source from its start, a piece at a time.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::corpus::{CHANGED, Source};
use crate::document::{Format, HEAD_BYTES};
use crate::error::{Error, Result};
use crate::pipeline::CHUNK_BYTES;
use crate::pipeline::piece::{Piece, next_cut, read_bytes};

/// A source whose first bytes were read, and are what its name says.
pub(super) struct Begun {
    /// Returns the bytes of the source, including the first.
    pub(super) reader: Box<dyn Read + Send>,
    path: PathBuf,
}

impl Begun {
    /// Reads the first bytes of `source`, which is at `path` and which `reader` returns.
    pub(super) fn new(
        source: &Source,
        path: PathBuf,
        mut reader: Box<dyn Read + Send>,
    ) -> Result<Self> {
        let (head, is_whole) = read_head(&mut reader, &path)?;
        source.check_content(&path, &head, is_whole)?;
        let head = io::Cursor::new(head);
        // If the source has ended, do not read it again: a terminal would wait for more.
        let reader: Box<dyn Read + Send> = if is_whole {
            Box::new(head)
        } else {
            Box::new(head.chain(reader))
        };
        Ok(Self { reader, path })
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
        .map_err(|source| Error::Read {
            path: path.to_owned(),
            offset: head.len() as u64,
            source,
        })?;
    let is_whole = head.len() < HEAD_BYTES;
    Ok((head, is_whole))
}

/// A source that is being read.
pub(super) struct SourceReader {
    reader: Box<dyn Read + Send>,
    path: PathBuf,
    /// The index of the source.
    source: u32,
    format: Format,
    /// The size, if known.
    expected_bytes: Option<u64>,
    /// The bytes read; the first `taken` of them have been handed out.
    buffer: Vec<u8>,
    taken: usize,
    /// Where the bytes that are not handed out yet begin in the source.
    byte: u64,
    is_at_end: bool,
    lines: u64,
}

impl std::fmt::Debug for SourceReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceReader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SourceReader {
    /// Reads source `index`, which has `expected_bytes` bytes, if that is known.
    pub(super) fn new(
        index: u32,
        format: Format,
        begun: Begun,
        expected_bytes: Option<u64>,
    ) -> Self {
        Self {
            reader: begun.reader,
            path: begun.path,
            source: index,
            format,
            expected_bytes,
            buffer: Vec::new(),
            taken: 0,
            byte: 0,
            is_at_end: false,
            lines: 0,
        }
    }

    /// The size, if it was known in advance.
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
            let chunk_cut = next_cut(self.format, self.buffered(), CHUNK_BYTES);
            // Search only to the end of the chunk; what follows is searched with the next one.
            let chunk = &self.buffered()[..chunk_cut.map_or(self.buffered().len(), |cut| cut + 1)];
            let unit_cut = target.and_then(|target| self.format.next_cut(chunk, target));
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
        let missing = (wanted - self.buffer.len()) as u64;
        let read = Read::by_ref(&mut self.reader)
            .take(missing)
            .read_to_end(&mut self.buffer)
            // `read_to_end` keeps what was read before the error.
            .map_err(|source| Error::Read {
                path: self.path.clone(),
                offset: self.byte + self.buffer.len() as u64,
                source,
            })?;
        self.is_at_end = (read as u64) < missing;
        self.check_size(self.byte + self.buffered().len() as u64)
    }

    /// Checks that a source of which `bytes` have been read can still have the expected size.
    fn check_size(&self, bytes: u64) -> Result<()> {
        let has_changed = self
            .expected_bytes
            .is_some_and(|expected| bytes > expected || (self.is_at_end && bytes != expected));
        if has_changed {
            return Err(Error::at_byte(&self.path, bytes, CHANGED));
        }
        Ok(())
    }

    /// Hands out the first `length` bytes of the buffer.
    fn take(&mut self, length: usize) -> Piece {
        let bytes = self.buffered()[..length].to_vec();
        self.taken += length;
        let lines_before = self.lines;
        if !self.format.row().is_one_document {
            self.lines += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        }
        let piece = Piece {
            source: self.source,
            format: self.format,
            byte: self.byte,
            contents: read_bytes(bytes),
            ends_source: self.is_at_end && self.buffered().is_empty(),
            lines_before: Some(lines_before),
            lines: 0,
            whole: None,
        };
        self.byte += length as u64;
        piece
    }
}
