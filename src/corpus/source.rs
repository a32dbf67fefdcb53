//! One input: its name, its size, and how to read it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, read};
use shardmill_core::map::Map;

use crate::compression::Compression;
use crate::corpus::report::escaped;
use crate::document::{self, Format};
use crate::error::{Error, Result};
use crate::remote::Object;

/// Files below this size are read, larger ones mapped: a map costs more than a small read.
pub(crate) const MAP_FROM_BYTES: u64 = 1 << 20;

/// An input of a corpus. Kept small: there may be millions.
#[derive(Debug)]
pub(crate) struct Source {
    base: u32,
    relative: Box<OsStr>,
    kind: Kind,
    /// What its name says.
    compression: Option<Compression>,
    format: Format,
    /// Whether the user chose this format.
    is_believed: bool,
    /// What is read if it is no file of this machine; it is listed like one.
    object: Option<Arc<Object>>,
}

/// What kind of file a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file or an object, with its size and modification time when it was listed.
    File {
        bytes: u64,
        modified: Option<SystemTime>,
    },
    /// A FIFO or character device.
    Stream,
    /// Standard input.
    Stdin,
}

/// The bytes of a regular file.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    Mapped(Arc<Map>),
    Read(Arc<Vec<u8>>),
}

impl AsRef<[u8]> for Opened {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::ops::Deref for Opened {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
        }
    }
}

impl Source {
    pub(super) fn new(
        base: usize,
        relative: OsString,
        kind: Kind,
        compression: Option<Compression>,
        format: Format,
        is_believed: bool,
    ) -> Self {
        Self {
            // `Corpus::open` refuses more than u32::MAX sources, and so as many arguments with
            // sources.
            base: u32::try_from(base).unwrap_or(u32::MAX),
            relative: relative.into_boxed_os_str(),
            kind,
            compression,
            format,
            is_believed,
            object: None,
        }
    }

    /// The same for an object instead of a file.
    pub(super) fn of_object(mut self, object: Option<Arc<Object>>) -> Self {
        self.object = object;
        self
    }

    /// What is read, unless it is a file of this machine.
    pub(crate) fn object(&self) -> Option<&Arc<Object>> {
        self.object.as_ref()
    }

    pub(super) fn base(&self) -> usize {
        self.base as usize
    }

    pub(super) fn relative(&self) -> &OsStr {
        &self.relative
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// How its name says that it is compressed. A file's content must agree; that of a stream
    /// decides.
    pub(crate) fn compression(&self) -> Option<Compression> {
        self.compression
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The size when it was listed, as it is stored; `None` for a stream.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self.kind {
            Kind::File { bytes, .. } => Some(bytes),
            Kind::Stream | Kind::Stdin => None,
        }
    }

    /// The name as written in manifests: the path relative to the argument, where `%` is `%25` and
    /// each byte that is not UTF-8 is `%` and two hex digits.
    pub(crate) fn name(&self) -> String {
        escaped(&self.relative)
    }

    /// Maps or reads the file at `path` as it is stored. It must still be as it was listed.
    pub(crate) fn open(&self, path: &Path) -> Result<Opened> {
        self.open_into(path, Vec::new())
    }

    /// Like [`Self::open`]; a small file is read into `memory`.
    pub(crate) fn open_into(&self, path: &Path, memory: Vec<u8>) -> Result<Opened> {
        let Kind::File { bytes, .. } = self.kind else {
            return Err(Error::input(path, "is a stream and cannot be read twice"));
        };
        if let Some(object) = &self.object {
            return self.opened(path, object.read(0..bytes)?);
        }
        let file = File::open(path).map_err(Error::io(path, "cannot open"))?;
        let opened = if bytes < MAP_FROM_BYTES {
            let bytes = usize::try_from(bytes).unwrap_or(0);
            Opened::Read(Arc::new(read_small(&file, bytes, path, memory)?))
        } else {
            let map = Map::from_file(&file, path)?;
            map.advise_sequential();
            Opened::Mapped(Arc::new(map))
        };
        if opened.len() as u64 != bytes {
            return Err(changed(path, (opened.len() as u64).min(bytes + 1)));
        }
        self.check_opened(path, &opened)?;
        Ok(opened)
    }

    /// The small source of these bytes, which were read.
    pub(crate) fn opened(&self, path: &Path, bytes: Vec<u8>) -> Result<Opened> {
        self.check_opened(path, &bytes)?;
        Ok(Opened::Read(Arc::new(bytes)))
    }

    fn check_opened(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        if self.compression.is_none() {
            self.check_stored(path, bytes)?;
            self.check_content(path, bytes, true)?;
        }
        Ok(())
    }

    /// Reads the stored bytes of the regular file at `path`, or of an object, in order.
    pub(crate) fn reader(&self, path: &Path) -> Result<Box<dyn Read + Send>> {
        if let Some(object) = &self.object {
            return Ok(object.reader(0..object.bytes()));
        }
        let file = File::open(path).map_err(Error::io(path, "cannot open"))?;
        Ok(Box::new(file))
    }

    /// The file's modification time when it was listed, in nanoseconds since 1970; `None` for a
    /// stream, or if the file system does not provide it.
    pub(crate) fn modified_nanoseconds(&self) -> Option<i64> {
        let Kind::File { modified, .. } = self.kind else {
            return None;
        };
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).ok();
        match modified?.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => nanoseconds(after),
            Err(before) => nanoseconds(before.duration()).map(|before| -before),
        }
    }

    /// The first and the last bytes of the file at `path`, which must still be as it was listed.
    pub(crate) fn ends(&self, path: &Path) -> Result<Vec<u8>> {
        const END_BYTES: u64 = 4096;
        let size = self.bytes().unwrap_or(0);
        if let Some(object) = &self.object {
            let mut ends = object.read(0..size.min(END_BYTES))?;
            ends.append(&mut object.read(size.saturating_sub(END_BYTES)..size)?);
            return Ok(ends);
        }
        let file = File::open(path).map_err(Error::io(path, "cannot open"))?;
        let mut ends = Vec::new();
        for offset in [0, size.saturating_sub(END_BYTES)] {
            let mut part = vec![0; usize::try_from(size.min(END_BYTES)).unwrap_or(0)];
            file.read_exact_at(&mut part, offset)
                .map_err(|source| Error::Read {
                    path: path.to_owned(),
                    offset,
                    source,
                })?;
            ends.append(&mut part);
        }
        self.check_unchanged(path)?;
        Ok(ends)
    }

    /// How the source is compressed, whose stored bytes begin with `head`.
    ///
    /// # Errors
    /// [`Error::Input`] if the name says something else, or a file's name says nothing.
    pub(crate) fn check_stored(&self, path: &Path, head: &[u8]) -> Result<Option<Compression>> {
        let found = Compression::check_name(path, self.compression, head)?;
        match (found, self.kind) {
            (Some(found), Kind::File { .. }) if self.compression.is_none() => {
                if self.is_believed && self.format.is_text() {
                    return Ok(None);
                }
                Err(Error::input(path, found.unnamed()))
            }
            _ => Ok(found),
        }
    }

    /// Refuses content that contradicts the source's format. `bytes` are its first bytes or, if
    /// `is_whole`, all of it; decoded, if it is compressed.
    pub(crate) fn check_content(&self, path: &Path, bytes: &[u8], is_whole: bool) -> Result<()> {
        if self.format.row().has_rows {
            // Whether the content is such a file, is seen when its metadata is read.
            self.check_is_file(path)?;
            return self.check_is_no_other(path, bytes);
        }
        // If the user says that a source is text, it may contain anything. JSON Lines are never
        // gzip data.
        if self.is_believed && self.format.is_text() {
            return Ok(());
        }
        let refuse = |what: &str, hint: &str| Err(Error::input(path, (what, hint)));
        if let Some(again) = Compression::of_content(bytes) {
            return Err(Error::input(path, again.twice()));
        }
        if let Some(found) = document::with_columns(bytes) {
            let (title, name) = (found.title(), found.row().name);
            let hint = format!("write it to a file whose name ends in .{name}");
            let (what, hint) = match (self.bytes(), self.compression) {
                (Some(_), None) if self.is_believed => (
                    format!("is {title} data"),
                    format!("choose `format` {name} or auto"),
                ),
                (Some(_), None) => (
                    format!("is {title} data, and its name does not say so"),
                    format!("let its name end in .{name}"),
                ),
                (Some(_), Some(_)) => (format!("has {title} data in it"), hint),
                (None, _) => (
                    format!("is {title} data, which cannot be read from a stream"),
                    hint,
                ),
            };
            return refuse(&what, &hint);
        }
        if let Some((format, hint)) = document::foreign_format(bytes) {
            return refuse(&format!("is {format} data, which is not supported"), hint);
        }
        if self.format.is_text() {
            // A single record may also be a text document, if the file's name says so; a stream has
            // no name.
            let looks_like_lines = match self.kind {
                Kind::File { .. } => document::is_json_lines(bytes, is_whole).unwrap_or(false),
                Kind::Stream | Kind::Stdin => document::is_json_lines(bytes, false).unwrap_or(true),
            };
            if looks_like_lines {
                return refuse("looks like JSON Lines", "choose `format` jsonl or text");
            }
        }
        Ok(())
    }

    /// Refuses a source with columns that is not a plain file: its metadata is at its end.
    fn check_is_file(&self, path: &Path) -> Result<()> {
        let title = self.format.title();
        let (what, hint) = if self.bytes().is_none() {
            let what = format!("{title} data cannot be read from a stream");
            (what, "write it to a file")
        } else if self.compression.is_some() {
            let what = format!("{title} data that is compressed as a whole cannot be read");
            let hint = "decompress it first; its columns have their own compression";
            (what, hint)
        } else {
            return Ok(());
        };
        Err(Error::input(path, (what, hint)))
    }

    /// Refuses a source with columns that begins like one of another format with columns.
    fn check_is_no_other(&self, path: &Path, head: &[u8]) -> Result<()> {
        match document::with_columns(head) {
            Some(found) if found != self.format => {
                let name = found.row().name;
                let (is, not) = (found.title(), self.format.title());
                let what = format!("is {is} data, not {not}");
                let hint = format!("let its name end in .{name}, or choose `format` {name}");
                Err(Error::input(path, (what, hint)))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the file still has the size and modification time with which it was listed.
    pub(crate) fn check_unchanged(&self, path: &Path) -> Result<()> {
        if let Some(object) = &self.object {
            return object.check_unchanged();
        }
        if let Kind::File { bytes, modified } = self.kind {
            let now = std::fs::metadata(path).map_err(Error::io(path, "cannot read its size"))?;
            if now.len() != bytes || (modified.is_some() && now.modified().ok() != modified) {
                return Err(changed(path, now.len().min(bytes)));
            }
        }
        Ok(())
    }
}

/// The contents of a file that was listed with `bytes`, and more if it has grown. Usually one read is
/// enough, because it asks for at least one byte more. `contents` gives the memory.
fn read_small(file: &File, bytes: usize, path: &Path, mut contents: Vec<u8>) -> Result<Vec<u8>> {
    contents.clear();
    contents.reserve(bytes + 1);
    loop {
        match read(file, spare_capacity(&mut contents)) {
            Ok(0) => return Ok(contents),
            Ok(_) if contents.len() >= bytes => return Ok(contents),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                return Err(Error::Read {
                    path: path.to_owned(),
                    offset: contents.len() as u64,
                    source: error.into(),
                });
            }
        }
    }
}

/// The message for a file that changed since it was listed.
pub(crate) const CHANGED: (&str, &str) = (
    "the file changed while it was in use",
    "run again when nothing writes to it",
);

fn changed(path: &Path, offset: u64) -> Error {
    Error::at_byte(path, offset, CHANGED)
}
