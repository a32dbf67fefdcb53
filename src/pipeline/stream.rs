//! A corpus that contains a stream: sources are read once, in order, and cut as they are read.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::compression::Ahead;
use crate::corpus::{Corpus, Kind, Source};
use crate::dataset::{Position, Settings, Unit};
use crate::document::Fields;
use crate::error::{Error, Result};
use crate::pipeline::chunk::Chunk;
use crate::pipeline::cut_rules::CutRules;
use crate::pipeline::patient::{PatientReader, is_of_stop};
use crate::pipeline::plan::{UnitCutter, end_of};
use crate::pipeline::reader::{Begun, SourceReader};
use crate::pipeline::rows::SourceRows;
use crate::publish::temp_file::temporary_name;

/// Walks a corpus by reading it.
#[derive(Debug)]
pub(crate) struct StreamCursor {
    cutter: UnitCutter,
    rules: CutRules,
    source: u32,
    open: Option<Open>,
    /// The fields or columns that are read.
    fields: Fields,
    /// Where compressed sources are decoded ahead.
    ahead: Arc<Ahead>,
    /// Whether a unit begins with the next chunk.
    starts_unit: bool,
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

/// The source that a cursor is in.
#[derive(Debug)]
enum Open {
    Read(SourceReader),
    /// A file with columns.
    Rows(SourceRows),
}

/// A step of the walk.
#[derive(Debug)]
struct StreamChunk {
    chunk: Chunk,
    /// Whether a new unit begins with this chunk.
    starts_unit: bool,
    start: Position,
}

impl StreamCursor {
    pub(crate) fn new(
        corpus: &Corpus,
        rules: CutRules,
        settings: &Settings,
        ahead: &Arc<Ahead>,
        spool_directory: &Path,
        is_stopped: Arc<AtomicBool>,
    ) -> Self {
        Self {
            cutter: UnitCutter::new(settings.unit_size_bytes),
            rules,
            source: 0,
            open: None,
            fields: settings.fields(),
            ahead: Arc::clone(ahead),
            starts_unit: false,
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
        let (compression, bytes) = match &open {
            Open::Read(reader) => (reader.compression(), reader.expected_bytes()),
            Open::Rows(_) => (None, source.bytes()),
        };
        let may_cut = self.cutter.cuts_inside(compression, source.format(), bytes);
        let target = may_cut.then(|| self.cutter.target());
        let (piece, ends_unit) = match &mut open {
            Open::Read(reader) => reader.next(target)?,
            Open::Rows(rows) => rows.next(target)?,
        };
        let start = Position {
            source: self.source,
            byte: piece.byte,
        };
        let starts_unit = std::mem::replace(&mut self.starts_unit, ends_unit);
        let (byte, stored_bytes) = match &open {
            Open::Read(reader) => (reader.byte(), reader.stored_bytes()),
            Open::Rows(rows) => (rows.byte(), rows.byte()),
        };
        if ends_unit {
            self.cutter.cut(byte);
        }
        if piece.ends_source {
            self.cutter.next_source(stored_bytes);
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

    fn open_source(&mut self, corpus: &Corpus, source: &Source) -> Result<Open> {
        let path = corpus.path(source);
        if source.format().row().has_rows {
            // Refuses a FIFO before it is opened, which would wait for a writer.
            source.check_content(&path, &[], false)?;
            let range = (0, source.bytes().unwrap_or(0));
            let rows = SourceRows::open(corpus, self.source, &self.fields, range)?;
            self.starts_unit = self.cutter.ends_at_source_start();
            return Ok(Open::Rows(rows));
        }
        let mut expected_bytes = source.bytes();
        let mut begun = Begun::new(source, path.clone(), self.open_bytes(source, &path)?)?;
        // Only for the first source does a boundary inside it mean that it is larger than the unit
        // size.
        let needs_size = source.format().row().is_one_document
            && expected_bytes.is_none()
            && begun.compression().is_none();
        if needs_size && !self.cutter.is_at_start() {
            expected_bytes = Some(self.spool(&mut begun)?);
        }
        self.starts_unit = self.cutter.ends_at_source_start();
        let rules = self.rules.clone();
        let mut reader = SourceReader::new(self.source, source, begun, expected_bytes, rules)?;
        reader.decode_ahead(&self.ahead);
        Ok(Open::Read(reader))
    }

    fn open_bytes(&self, source: &Source, path: &Path) -> Result<Box<dyn Read + Send>> {
        let is_stopped = || Arc::clone(&self.is_stopped);
        let opened: io::Result<Box<dyn Read + Send>> = match source.kind() {
            Kind::Stdin => PatientReader::stdin(is_stopped()).map(|stdin| Box::new(stdin) as _),
            Kind::Stream => {
                PatientReader::open(path, is_stopped()).map(|stream| Box::new(stream) as _)
            }
            Kind::File { .. } => return source.reader(path),
        };
        opened.map_err(Error::io(path, "cannot open"))
    }

    /// Moves a stream that has begun into an unnamed file; returns its size.
    fn spool(&self, begun: &mut Begun) -> Result<u64> {
        let name = temporary_name(&format!("stream-{}", self.source));
        let spool = self.spool_directory.join(name);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&spool)
            .map_err(Error::io(&spool, "cannot create"))?;
        fs::remove_file(&spool).map_err(Error::io(&spool, "cannot remove"))?;
        let bytes = io::copy(&mut begun.reader, &mut file).map_err(Error::io(
            begun.path(),
            "cannot copy the stream to the disk",
        ))?;
        file.rewind().map_err(Error::io(&spool, "cannot rewind"))?;
        begun.reader = Box::new(file);
        Ok(bytes)
    }
}
