//! A range of an object, read in order. Several parts of it are under way before they are needed, so
//! that the time until an answer begins is waited for once.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::remote::object::Object;
use crate::remote::requests::Answer;

/// The lengths of the first parts, and of all others: often only the start is read, or little more than
/// a chunk.
const PART_BYTES: [u64; 4] = [128 << 10, 1 << 20, 1 << 20, 4 << 20];

/// So many parts are under way at most; at first one, since the reader may want no more than the start.
const AHEAD: usize = 4;

/// Reads a range of an object.
#[derive(Debug)]
struct Reader {
    object: Arc<Object>,
    /// What was not requested yet.
    rest: Range<u64>,
    /// How many parts were requested.
    requested: usize,
    ahead: VecDeque<Answer<Result<Vec<u8>>>>,
    /// How many parts were read.
    parts: usize,
    /// The part that is being read, and how much of it was.
    part: Vec<u8>,
    taken: usize,
}

impl Object {
    /// Reads `range` in order, ahead of the caller.
    pub(crate) fn reader(self: &Arc<Self>, range: Range<u64>) -> Box<dyn Read + Send> {
        Box::new(Reader::new(Arc::clone(self), range))
    }
}

impl Reader {
    fn new(object: Arc<Object>, range: Range<u64>) -> Self {
        Self {
            object,
            rest: range,
            requested: 0,
            ahead: VecDeque::new(),
            parts: 0,
            part: Vec::new(),
            taken: 0,
        }
    }

    /// Requests the next part.
    fn request(&mut self) {
        let length = PART_BYTES[self.requested.min(PART_BYTES.len() - 1)];
        self.requested += 1;
        let end = self.rest.end.min(self.rest.start.saturating_add(length));
        if self.rest.start < end {
            self.ahead
                .push_back(self.object.start(self.rest.start..end));
            self.rest.start = end;
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.part.len() {
            let wanted = self.parts.saturating_sub(1).clamp(1, AHEAD);
            while self.ahead.len() < wanted && self.rest.start < self.rest.end {
                self.request();
            }
            let Some(part) = self.ahead.pop_front() else {
                return Ok(0);
            };
            self.taken = 0;
            self.parts += 1;
            self.part = part.wait().map_err(io::Error::other)?;
        }
        let rest = &self.part[self.taken..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        self.taken += read;
        Ok(read)
    }
}
