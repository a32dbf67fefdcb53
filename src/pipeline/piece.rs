//! Ranges of sources, with their bytes.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use shardmill_core::hash::Hash128;

use crate::columnar::Slice;
use crate::compression::Compression;
use crate::corpus::{ColumnFile, Corpus, MAP_FROM_BYTES, Opened};
use crate::dataset::{Settings, Split};
use crate::document::{Documents, Extent, Fields, Format, Reading, Span};
use crate::error::{Error, Result};
use crate::hash::block_hashes;
use crate::pipeline::CHUNK_BYTES;
use crate::progress::Stats;
use crate::remote::Ahead;

/// A range of one source.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) source: u32,
    pub(crate) format: Format,
    /// Where the piece begins in the source; in the decoded bytes, if it is compressed. Rows begin
    /// at their nominal place.
    pub(crate) byte: u64,
    pub(crate) contents: Contents,
    /// What every piece of the source needs, once the piece has been read; `None` if the format needs
    /// nothing, or a text is whole.
    pub(crate) head: Option<Arc<[u8]>>,
    pub(crate) stored: Stored,
    /// Whether the piece ends where the source does.
    pub(crate) ends_source: bool,
    /// The number of lines of the source before the piece, if the source cannot be read again.
    pub(crate) lines_before: Option<u64>,
    /// The number of lines or rows in the piece, once its records have been read.
    pub(crate) lines: u32,
    /// The hash of the source, if the piece is a whole small file and has been read.
    pub(crate) whole: Option<Hash128>,
}

/// The bytes of a piece.
#[derive(Clone, Debug)]
pub(crate) enum Contents {
    /// A range of a small file that the worker reads; an object is read ahead.
    Unread { bytes: u64, ahead: Option<Ahead> },
    /// Rows that the worker decodes.
    Encoded(Slice),
    /// Some of these rows, decoded, after `before` of them.
    Rows { texts: Vec<u8>, before: u64 },
    /// A range of bytes that are already open.
    Opened(Opened, Range<usize>),
    /// As many bytes as these were read, and nothing needs them again.
    Done { bytes: u64 },
}

/// What a piece is on the disk.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// The piece itself.
    AsIs,
    /// A part of a compressed source, which lies in one unit as a whole.
    Compressed {
        compression: Compression,
        /// How many stored bytes were read for the piece.
        bytes: u64,
        /// The hash of all stored bytes of the source, if the piece is its last.
        hash: Option<Hash128>,
    },
    /// Rows that were decoded from a file with columns.
    Rows {
        /// The number of rows of the source before the piece.
        first_row: u64,
        /// The file, and the range of its bytes that stands for the rows.
        file: ColumnFile,
        range: (u64, u64),
    },
}

impl Piece {
    /// The length of its bytes; of rows, only about that until they are read.
    pub(crate) fn len_bytes(&self) -> u64 {
        match &self.contents {
            Contents::Unread { bytes, .. } | Contents::Done { bytes } => *bytes,
            Contents::Encoded(slice) => slice.text_bytes,
            Contents::Rows { texts, .. } => texts.len() as u64,
            Contents::Opened(_, range) => range.len() as u64,
        }
    }

    /// How many stored bytes it was made from.
    pub(crate) fn stored_bytes(&self) -> u64 {
        match &self.stored {
            Stored::AsIs => self.len_bytes(),
            Stored::Compressed { bytes, .. } => *bytes,
            Stored::Rows { range, .. } => range.1 - range.0,
        }
    }

    /// Whether it is made of rows of a file with columns.
    pub(crate) fn has_rows(&self) -> bool {
        matches!(self.stored, Stored::Rows { .. })
    }

    /// Where something begins in the source that begins at `start` in the piece: its byte, or, in a
    /// file with columns, its row.
    pub(crate) fn place(&self, start: usize) -> u64 {
        let before = match self.stored {
            Stored::AsIs | Stored::Compressed { .. } => self.byte,
            Stored::Rows { first_row, .. } => match self.contents {
                Contents::Rows { before, .. } => first_row + before,
                _ => first_row,
            },
        };
        before + start as u64
    }

    /// Calls `each` with the bytes of the source that the piece stands for, unless the source is
    /// compressed, in one part or several.
    pub(crate) fn source_bytes(&self, mut each: impl FnMut(&[u8])) -> Result<()> {
        match &self.stored {
            Stored::Rows { file, range, .. } => file.read_each(range.0..range.1, each),
            Stored::AsIs | Stored::Compressed { .. } => {
                each(self.bytes());
                Ok(())
            }
        }
    }

    /// The bytes; empty while unread, and when they are done.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.contents {
            Contents::Unread { .. } | Contents::Encoded(_) | Contents::Done { .. } => &[],
            Contents::Rows { texts, .. } => texts,
            Contents::Opened(opened, range) => &opened[range.clone()],
        }
    }

    /// The number of lines that a record takes up which lies at `extent`; 1 for a row.
    pub(crate) fn lines_of(&self, extent: Extent) -> u32 {
        let record = self.bytes().get(extent.start..extent.start + extent.len);
        let record = record.filter(|_| !self.has_rows()).unwrap_or_default();
        let lines = self.format.row().line_ends.lines_of(record);
        u32::try_from(lines).unwrap_or(u32::MAX)
    }

    /// What every piece of the source needs; see [`Format::head`].
    pub(crate) fn head(&self) -> &[u8] {
        match &self.head {
            Some(head) => head,
            None if self.format.row().is_one_document => self.bytes(),
            None => &[],
        }
    }

    /// Whether the document `text` of the piece is on the side of `split` that is wanted.
    pub(crate) fn is_on_side(&self, text: &str, split: Option<Split>) -> bool {
        split.is_none_or(|split| {
            if self.format.row().is_one_document {
                // The text may begin in an earlier piece.
                split.takes(self.head())
            } else {
                split.takes(text.as_bytes())
            }
        })
    }

    /// The documents in the piece, once it has been read.
    pub(crate) fn documents<'a>(
        &'a self,
        settings: &'a Settings,
        fields: &'a Fields,
    ) -> Box<dyn Documents + 'a> {
        let span = Span {
            bytes: self.bytes(),
            begins: self.byte == 0,
            ends: self.ends_source,
        };
        let reading = Reading {
            fields,
            separator: &settings.separator,
            head: self.head(),
            invalid_utf8: settings.invalid_utf8,
        };
        self.format.documents(span, reading)
    }

    /// Reads the bytes unless that has been done, those of a small file into `memory`.
    fn read(&mut self, corpus: &Corpus, memory: &mut Vec<u8>) -> Result<()> {
        if let Contents::Unread { bytes, ahead } = &self.contents {
            let bytes = *bytes;
            let source = &corpus.sources()[self.source as usize];
            let path = corpus.path(source);
            let opened = match ahead {
                Some(ahead) => source.opened(&path, ahead.take()?)?,
                None => source.open_into(&path, std::mem::take(memory))?,
            };
            let is_whole = self.byte == 0 && self.ends_source;
            if !is_whole || !self.format.row().is_one_document {
                self.head = head_of(self.format, &path, &opened)?;
            }
            // It is a small file of the listed size.
            let start = usize::try_from(self.byte).unwrap_or(usize::MAX);
            let end = start + usize::try_from(bytes).unwrap_or(usize::MAX);
            self.contents = Contents::Opened(opened, start..end);
        }
        Ok(())
    }

    /// Reads the piece and calls `each` with it: once, or with about a chunk of its rows at a time, so
    /// that they need little memory however many they are. `memory` is for the rows, or for the bytes
    /// of a small file.
    pub(crate) fn read_each(
        &mut self,
        corpus: &Corpus,
        memory: &mut Vec<u8>,
        mut each: impl FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        let Contents::Encoded(slice) = &self.contents else {
            self.read(corpus, memory)?;
            return each(self);
        };
        let mut reader = slice.reader()?;
        let mut texts = std::mem::take(memory);
        // At once: a vector that grows takes all its sizes from fresh memory.
        texts.reserve(CHUNK_BYTES + CHUNK_BYTES / 8);
        let mut before = 0;
        loop {
            texts.clear();
            let rows = reader.read(&mut texts, CHUNK_BYTES)?;
            self.contents = Contents::Rows { texts, before };
            if rows > 0 {
                each(self)?;
            }
            texts = self.take_texts();
            if rows == 0 {
                *memory = texts;
                return Ok(());
            }
            before += rows;
        }
    }

    /// Takes the memory of the rows, which are not needed any more.
    fn take_texts(&mut self) -> Vec<u8> {
        match &mut self.contents {
            Contents::Rows { texts, .. } => std::mem::take(texts),
            _ => Vec::new(),
        }
    }

    /// Hashes the source if it is a small file that the piece holds all of, after checking that
    /// nothing wrote to it meanwhile. Its bytes are not needed after that: their memory goes back to
    /// `memory`, for the next file, because a piece lives on until its chunk is written.
    pub(crate) fn hash_whole(&mut self, corpus: &Corpus, memory: &mut Vec<u8>) -> Result<()> {
        let is_whole = self.byte == 0
            && self.ends_source
            && self.len_bytes() < MAP_FROM_BYTES
            && matches!(self.stored, Stored::AsIs);
        if is_whole && let Contents::Opened(Opened::Read(bytes), _) = &self.contents {
            let source = &corpus.sources()[self.source as usize];
            source.check_unchanged(&corpus.path(source))?;
            self.whole = Some(Hash128::of_hashes(&block_hashes(bytes, &Stats::default())));
            let bytes = self.len_bytes();
            let done = std::mem::replace(&mut self.contents, Contents::Done { bytes });
            if let Contents::Opened(Opened::Read(bytes), _) = done {
                *memory = Arc::try_unwrap(bytes).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Releases the memory of the last `behind` bytes of a mapped file up to the end of the piece.
    /// Nothing reads them again.
    pub(crate) fn release(&self, behind: u64) {
        let (opened, end) = match (&self.stored, &self.contents) {
            (Stored::Rows { file, range, .. }, _) => match file.whole() {
                Some(file) => (file, usize::try_from(range.1).unwrap_or(usize::MAX)),
                None => return,
            },
            (_, Contents::Opened(opened, range)) => (opened, range.end),
            _ => return,
        };
        if let Opened::Mapped(map) = opened {
            let behind = usize::try_from(behind).unwrap_or(end);
            map.release(end.saturating_sub(behind)..end);
        }
    }
}

/// What every piece of the source at `path` needs, whose bytes are `bytes`; see [`Format::head`].
pub(crate) fn head_of(format: Format, path: &Path, bytes: &[u8]) -> Result<Option<Arc<[u8]>>> {
    if !format.has_head() {
        return Ok(None);
    }
    let head = format.head(bytes, true);
    let head = head.map_err(|problem| Error::input(path, problem))?;
    Ok(head.map(Arc::from))
}

/// A piece of a stream that has been read.
pub(crate) fn read_bytes(bytes: Vec<u8>) -> Contents {
    let length = bytes.len();
    Contents::Opened(Opened::Read(Arc::new(bytes)), 0..length)
}
