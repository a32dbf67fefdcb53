//! The bytes of a file: all of them, or those of an object as they are needed.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::error::Result;
use crate::remote::Blocks;

/// So much of an object is read ahead when messages are looked for.
const HEADER_BYTES: u64 = 16 << 10;

/// So much of an object is read at once when its bytes are needed in order.
const STEP_BYTES: u64 = 256 << 10;

/// Where the bytes of a file are.
#[derive(Clone)]
pub(super) enum Stored {
    Whole(Bytes),
    Object(Arc<Blocks>),
}

impl Stored {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Object(blocks) => blocks.len(),
        }
    }

    /// The bytes `range`, which lies in the file.
    pub(super) fn get(&self, range: Range<u64>) -> Result<Bytes> {
        match self {
            Self::Whole(bytes) => Ok(part(bytes, 0, &range)),
            Self::Object(blocks) => blocks.read(range),
        }
    }

    /// Calls `each` with the bytes `range`, which lies in the file, in one part or several.
    pub(super) fn each(&self, range: Range<u64>, mut each: impl FnMut(&[u8])) -> Result<()> {
        match self {
            Self::Whole(bytes) => {
                each(&part(bytes, 0, &range));
                Ok(())
            }
            Self::Object(blocks) => blocks.read_each(range, each),
        }
    }

    /// Reads the bytes `range`, which lies in the file, in order.
    pub(super) fn reader(&self, range: Range<u64>) -> Reader {
        Reader {
            stored: self.clone(),
            range,
            part: Bytes::new(),
        }
    }
}

/// The bytes `range` of a file of which `bytes` begin at `start`.
fn part(bytes: &Bytes, start: u64, range: &Range<u64>) -> Bytes {
    let at = |byte: u64| usize::try_from(byte - start).unwrap_or(usize::MAX);
    bytes.slice(at(range.start)..at(range.end))
}

/// Reads messages, which lie far apart: of an object, a little more each time than is asked for, which
/// is not kept by others.
pub(super) struct Headers<'a> {
    stored: &'a Stored,
    start: u64,
    window: Bytes,
}

impl<'a> Headers<'a> {
    pub(super) fn new(stored: &'a Stored) -> Self {
        Self {
            stored,
            start: 0,
            window: Bytes::new(),
        }
    }

    /// The `length` bytes from `start` on; `None` if the file ends before.
    pub(super) fn get(&mut self, start: u64, length: u64) -> Result<Option<Bytes>> {
        let end = start.checked_add(length);
        let Some(end) = end.filter(|end| *end <= self.stored.len()) else {
            return Ok(None);
        };
        let blocks = match self.stored {
            Stored::Whole(bytes) => return Ok(Some(part(bytes, 0, &(start..end)))),
            Stored::Object(blocks) => blocks,
        };
        let window_end = self.start + self.window.len() as u64;
        if start < self.start || end > window_end {
            let ahead = blocks.len().min(start.saturating_add(HEADER_BYTES));
            self.window = blocks.read_once(start..end.max(ahead))?;
            self.start = start;
        }
        Ok(Some(part(&self.window, self.start, &(start..end))))
    }
}

/// Reads a range of a file in order.
pub(super) struct Reader {
    stored: Stored,
    /// What was not read yet.
    range: Range<u64>,
    /// The start of what was read and not handed out.
    part: Bytes,
}

impl Reader {
    /// The next bytes that are there anyway; empty after the last.
    pub(super) fn fill(&mut self) -> Result<&mut Bytes> {
        if self.part.is_empty() && !self.range.is_empty() {
            let end = match self.stored {
                Stored::Whole(_) => self.range.end,
                Stored::Object(_) => self.range.end.min(self.range.start + STEP_BYTES),
            };
            self.part = self.stored.get(self.range.start..end)?;
            self.range.start = end;
        }
        Ok(&mut self.part)
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = self.fill().map_err(io::Error::other)?;
        let length = part.len().min(buffer.len());
        part.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
