//! A corpus that contains a stream: sources are read once, in order, and cut as they are read.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::corpus::{Corpus, Kind, Source};
use crate::dataset::{Position, Unit};
use crate::document::{Format, HEAD_BYTES};
use crate::error::{Error, Result};
use crate::pipeline::CHUNK_BYTES;
use crate::pipeline::chunk::{Chunk, Piece, next_cut, read_bytes};
use crate::pipeline::patient::{PatientReader, is_of_stop};
use crate::pipeline::plan::{UnitCutter, end_of};
use crate::publish::temp_file::temporary_name;

/// Walks a corpus by reading it.
#[derive(Debug)]
pub(crate) struct StreamCursor {
    cutter: UnitCutter,
    source: u32,
    open: Option<OpenSource>,
    /// The chunk that begins the next unit, once the walk has reached it.
    pending: Option<StreamChunk>,
    /// The current unit; its end is known only after it has been passed.
    unit: Unit,
    is_over: bool,
    /// Where to store a stream whose size must be known before it is cut.
    spool_directory: PathBuf,
    /// Whether the run was stopped.
    is_stopped: Arc<AtomicBool>,
}

/// A step of the walk.
#[derive(Debug)]
struct StreamChunk {
    chunk: Chunk,
    /// Whether a new unit begins with this chunk.
    starts_unit: bool,
    start: Position,
}

/// The source that is being read.
struct OpenSource {
    reader: Box<dyn Read + Send>,
    path: PathBuf,
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
    /// Whether the next chunk begins a unit.
    starts_unit: bool,
}

impl std::fmt::Debug for OpenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSource")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl StreamCursor {
    pub(crate) fn new(
        corpus: &Corpus,
        unit_bytes: u64,
        spool_directory: &Path,
        is_stopped: Arc<AtomicBool>,
    ) -> Self {
        Self {
            cutter: UnitCutter::new(unit_bytes),
            source: 0,
            open: None,
            pending: None,
            unit: Unit {
                start: Position::default(),
                end: end_of(corpus),
            },
            is_over: false,
            spool_directory: spool_directory.to_owned(),
            is_stopped,
        }
    }

    /// Whether the last unit has been passed.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The unit that was last passed.
    pub(crate) fn unit(&self) -> Unit {
        self.unit
    }

    /// The next chunk of the current unit; `None` if the unit ends.
    pub(crate) fn next(&mut self, corpus: &Corpus) -> Result<Option<Chunk>> {
        if let Some(first) = self.pending.take() {
            self.unit = Unit {
                start: first.start,
                end: end_of(corpus),
            };
            return Ok(Some(first.chunk));
        }
        let read = self.read(corpus).map_err(|error| match error {
            Error::Io { source, .. } | Error::Read { source, .. } if is_of_stop(&source) => {
                Error::Stopped
            }
            other => other,
        })?;
        match read {
            None => {
                self.is_over = true;
                Ok(None)
            }
            Some(first) if first.starts_unit => {
                self.unit.end = first.start;
                self.pending = Some(first);
                Ok(None)
            }
            Some(next) => Ok(Some(next.chunk)),
        }
    }

    /// The next chunk of the corpus; `None` at its end.
    fn read(&mut self, corpus: &Corpus) -> Result<Option<StreamChunk>> {
        let Some(source) = corpus.sources().get(self.source as usize) else {
            return Ok(None);
        };
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open_source(corpus, source)?,
        };
        let (length, ends_unit) = open.next_cut(&self.cutter)?;
        let start = Position {
            source: self.source,
            byte: open.byte,
        };
        let (piece, starts_unit) = open.take(length, self.source);
        if ends_unit {
            self.cutter.cut(open.byte);
            open.starts_unit = true;
        }
        if piece.ends_source {
            self.cutter.next_source(open.byte);
            self.source += 1;
        } else {
            self.open = Some(open);
        }
        let chunk = Chunk {
            pieces: vec![piece],
        };
        Ok(Some(StreamChunk {
            chunk,
            starts_unit,
            start,
        }))
    }

    fn open_source(&mut self, corpus: &Corpus, source: &Source) -> Result<OpenSource> {
        let path = corpus.path(source);
        let mut expected_bytes = source.bytes();
        let mut reader: Box<dyn Read + Send> = match source.kind() {
            Kind::Stdin => {
                let stdin = PatientReader::stdin(Arc::clone(&self.is_stopped));
                Box::new(stdin.map_err(Error::io(&path, "cannot open"))?)
            }
            Kind::Stream => {
                let stream = PatientReader::open(&path, Arc::clone(&self.is_stopped));
                Box::new(stream.map_err(Error::io(&path, "cannot open"))?)
            }
            Kind::File { .. } => {
                Box::new(File::open(&path).map_err(Error::io(&path, "cannot open"))?)
            }
        };
        let (head, is_whole) = read_head(&mut reader, &path)?;
        source.check_content(&path, &head, is_whole)?;
        // If the source has ended, do not read it again: a terminal would wait for more.
        let head = io::Cursor::new(head);
        reader = if is_whole {
            Box::new(head)
        } else {
            Box::new(head.chain(reader))
        };
        // Only for the first source does a boundary inside it mean that it is larger than the unit
        // size.
        let needs_size = source.format().row().is_one_document && expected_bytes.is_none();
        if needs_size && !self.cutter.is_at_start() {
            let (spooled, bytes) = self.spool(reader, &path)?;
            reader = Box::new(spooled);
            expected_bytes = Some(bytes);
        }
        Ok(OpenSource {
            reader,
            path,
            format: source.format(),
            expected_bytes,
            buffer: Vec::new(),
            taken: 0,
            byte: 0,
            is_at_end: false,
            lines: 0,
            starts_unit: self.cutter.ends_at_source_start(),
        })
    }

    /// Copies a stream into an unnamed file; returns the file, rewound, and its size.
    fn spool(&self, mut reader: Box<dyn Read + Send>, path: &Path) -> Result<(File, u64)> {
        let name = temporary_name(&format!("stream-{}", self.source));
        let spool = self.spool_directory.join(name);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&spool)
            .map_err(Error::io(&spool, "cannot create"))?;
        fs::remove_file(&spool).map_err(Error::io(&spool, "cannot remove"))?;
        let bytes = io::copy(&mut reader, &mut file)
            .map_err(Error::io(path, "cannot copy the stream to the disk"))?;
        file.rewind().map_err(Error::io(&spool, "cannot rewind"))?;
        Ok((file, bytes))
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

impl OpenSource {
    /// The length of the next chunk, and whether a unit ends after it.
    fn next_cut(&mut self, cutter: &UnitCutter) -> Result<(usize, bool)> {
        let mut wanted = CHUNK_BYTES + 1;
        loop {
            self.fill(wanted)?;
            let may_cut = self
                .expected_bytes
                .is_none_or(|bytes| cutter.cuts_inside(self.format, bytes));
            // The boundary lies after everything that has been handed out.
            let target = usize::try_from(cutter.target().saturating_sub(self.byte));
            let chunk_cut = next_cut(self.format, self.buffered(), CHUNK_BYTES);
            // Search only to the end of the chunk; what follows is searched with the next one.
            let chunk = &self.buffered()[..chunk_cut.map_or(self.buffered().len(), |cut| cut + 1)];
            let unit_cut = target
                .ok()
                .filter(|_| may_cut)
                .and_then(|target| self.format.next_cut(chunk, target));
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
        let total = self.byte + self.buffered().len() as u64;
        let has_changed = self
            .expected_bytes
            .is_some_and(|expected| total > expected || (self.is_at_end && total != expected));
        if has_changed {
            return Err(Error::at_byte(
                &self.path,
                total,
                (
                    "the file changed while it was in use",
                    "run again when nothing writes to it",
                ),
            ));
        }
        Ok(())
    }

    /// Hands out the first `length` bytes of the buffer; also returns whether they begin a unit.
    fn take(&mut self, length: usize, source: u32) -> (Piece, bool) {
        let bytes = self.buffered()[..length].to_vec();
        self.taken += length;
        let lines_before = self.lines;
        if !self.format.row().is_one_document {
            self.lines += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        }
        let piece = Piece {
            source,
            format: self.format,
            byte: self.byte,
            contents: read_bytes(bytes),
            ends_source: self.is_at_end && self.buffered().is_empty(),
            lines_before: Some(lines_before),
            lines: 0,
            whole: None,
        };
        self.byte += length as u64;
        let starts_unit = std::mem::take(&mut self.starts_unit);
        (piece, starts_unit)
    }
}
