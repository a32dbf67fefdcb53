//! Decodes while it reads, counts and hashes what is stored, and says where it is damaged.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardmill_core::hash::Hash128;

use crate::compression::ahead::{Ahead, Part, Text, part_of};
use crate::compression::{Compression, Decode, Failure, First};
use crate::error::{Error, Result};
use crate::hash::BlockHasher;

/// How many stored bytes are read at once.
const READ_BYTES: usize = 128 << 10;

/// A compressed source that is being read.
pub(crate) struct Decompressor {
    compression: Compression,
    path: PathBuf,
    reader: Box<dyn Read + Send>,
    decoder: Box<dyn Decode>,
    /// Stored bytes; the first `taken` of them have been decoded, or are in `parts`.
    buffer: Vec<u8>,
    taken: usize,
    /// Where parts are decoded ahead, if they are.
    ahead: Option<Arc<Ahead>>,
    /// These parts follow each other.
    parts: VecDeque<Arc<Part>>,
    /// The text of the part before them, if it was decoded ahead.
    text: Option<Text>,
    /// The part before them, if it is decoded here, and how much of it has been.
    own: Option<(Arc<Part>, usize)>,
    /// The number of stored bytes read, including those in the buffer.
    stored_bytes: u64,
    hasher: BlockHasher,
    /// Whether all stored bytes have been read.
    is_read: bool,
    /// Why no more can be read. What has been read is decoded first.
    unread: Option<Error>,
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Decompressor {
    /// Decodes what `reader` returns; `path` is for messages.
    pub(crate) fn new(
        compression: Compression,
        path: &Path,
        reader: Box<dyn Read + Send>,
    ) -> Result<Self> {
        Ok(Self {
            compression,
            path: path.to_owned(),
            reader,
            decoder: compression.decoder(path)?,
            buffer: Vec::with_capacity(READ_BYTES),
            taken: 0,
            ahead: None,
            parts: VecDeque::new(),
            text: None,
            own: None,
            stored_bytes: 0,
            hasher: BlockHasher::new(),
            is_read: false,
            unread: None,
        })
    }

    /// From now on, threads that wait decode what they can ahead.
    pub(crate) fn decode_ahead(&mut self, ahead: &Arc<Ahead>) {
        self.ahead = Some(Arc::clone(ahead));
    }

    /// Decodes all of the file at `path`, for the error if it is damaged.
    pub(crate) fn check(compression: Compression, path: &Path) -> Result<()> {
        const STEP_BYTES: usize = 1 << 20;
        let file = File::open(path).map_err(Error::io(path, "cannot open"))?;
        let mut data = Self::new(compression, path, Box::new(file))?;
        let mut text = Vec::new();
        while !data.read(&mut text, STEP_BYTES)? {
            text.clear();
        }
        Ok(())
    }

    /// How the source is compressed.
    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    /// The number of stored bytes read so far.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    /// The number of stored bytes that have been decoded so far.
    pub(crate) fn decoded_bytes(&self) -> u64 {
        let parts: usize = self.parts.iter().map(|part| part.stored.len()).sum();
        let own = self.own.as_ref();
        let own = own.map_or(0, |(part, taken)| part.stored.len() - taken);
        self.stored_bytes - (self.buffer.len() - self.taken + parts + own) as u64
    }

    /// Whether all stored bytes have been read.
    pub(crate) fn is_read(&self) -> bool {
        self.is_read
    }

    /// The hash of all stored bytes, once they have been read; to be taken once.
    pub(crate) fn take_hash(&mut self) -> Hash128 {
        let hasher = mem::replace(&mut self.hasher, BlockHasher::new());
        Hash128::of_hashes(&hasher.finish())
    }

    /// Appends decoded bytes to `output` until it has at least `wanted`; returns whether none are
    /// left.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Byte`] name the stored byte.
    pub(crate) fn read(&mut self, output: &mut Vec<u8>, wanted: usize) -> Result<bool> {
        output.reserve_exact(wanted.saturating_sub(output.len()));
        while output.len() < wanted {
            if self.take_text(output, wanted) {
                continue;
            }
            self.offer_parts();
            if self.next_part() {
                continue;
            }
            while self.is_drained() && !self.is_read {
                if let Some(error) = self.unread.take() {
                    return Err(error);
                }
                self.refill();
            }
            let before = output.len();
            let most = self.next_bytes();
            let (input, taken) = match &mut self.own {
                Some((part, taken)) => (&part.stored[..], taken),
                None => (&self.buffer[..], &mut self.taken),
            };
            let input = &input[*taken..];
            let input = &input[..input.len().min(most)];
            let at_end = input.is_empty();
            match self.decoder.decode(input, output) {
                Ok(more) => *taken += more,
                Err(failure) => return Err(self.failed(failure)),
            }
            if self.is_own_taken() {
                self.own = None;
            }
            if at_end && output.len() == before {
                return if self.decoder.may_end() {
                    Ok(true)
                } else {
                    Err(self.cut_short())
                };
            }
        }
        Ok(false)
    }

    /// Whether all stored bytes that have been read have been decoded.
    fn is_drained(&self) -> bool {
        self.own.is_none() && self.taken == self.buffer.len()
    }

    fn is_own_taken(&self) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|(part, taken)| *taken == part.stored.len())
    }

    /// How many of the next stored bytes are decoded at once, at most. Where damage is noticed depends
    /// on it, so it is the same whatever is decoded ahead.
    fn next_bytes(&self) -> usize {
        let at = self.decoded_bytes() % READ_BYTES as u64;
        // Less than what is read at once.
        READ_BYTES - usize::try_from(at).unwrap_or(0)
    }

    /// Appends text of a part that was decoded ahead; returns whether there was some.
    fn take_text(&mut self, output: &mut Vec<u8>, wanted: usize) -> bool {
        let Some(text) = &mut self.text else {
            return false;
        };
        let bytes = text.take(wanted - output.len());
        output.extend_from_slice(bytes);
        if bytes.is_empty() {
            self.text = None;
        }
        true
    }

    /// Turns to the next part, if there is one; returns whether its text is there.
    fn next_part(&mut self) -> bool {
        if self.own.is_some() {
            return false;
        }
        let Some(part) = self.parts.pop_front() else {
            return false;
        };
        // What has not ended where a part ends goes on in the next one.
        self.text = part.text().filter(|_| self.decoder.may_end());
        if self.text.is_none() {
            self.own = Some((part, 0));
        }
        self.text.is_some()
    }

    /// Offers the next parts to other threads, as many as there is room for.
    fn offer_parts(&mut self) {
        let row = self.compression.row();
        let (Some(ahead), Some(first), Some(decoder)) = (&self.ahead, row.first, row.decoder)
        else {
            return;
        };
        let ahead = Arc::clone(ahead);
        // Behind a part, a frame or member begins.
        let is_between = self.own.is_some() || !self.parts.is_empty() || self.decoder.may_end();
        while is_between && let Some(room) = ahead.room() {
            let length = loop {
                let is_all = self.is_read || self.unread.is_some();
                match part_of(&self.buffer[self.taken..], first, is_all) {
                    First::Unfinished => self.refill(),
                    First::Whole(length) => break length,
                    First::Other => return,
                }
            };
            let stored = self.buffer[self.taken..][..length].to_vec();
            self.parts.push_back(Part::new(room, decoder, stored));
            self.taken += length;
        }
    }

    /// Reads more stored bytes behind those that are not decoded yet.
    fn refill(&mut self) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let before = self.buffer.len();
        let mut reader = (&mut self.reader).take(READ_BYTES as u64);
        let read = reader.read_to_end(&mut self.buffer);
        // What was read before an error counts as well.
        let new = &self.buffer[before..];
        self.stored_bytes += new.len() as u64;
        self.hasher.update(new);
        self.is_read = read.is_ok() && new.len() < READ_BYTES;
        let failed = read.err();
        self.unread = failed.map(|source| Error::read(&self.path, self.stored_bytes, source));
    }

    fn failed(&self, failure: Failure) -> Error {
        match failure {
            Failure::Damage { at, problem } => {
                Error::at_byte(&self.path, self.decoded_bytes() + at as u64, problem)
            }
            Failure::Memory => {
                Error::io(&self.path, "cannot decode")(io::ErrorKind::OutOfMemory.into())
            }
        }
    }

    fn cut_short(&self) -> Error {
        let what = format!("the {} data ends too early", self.compression.name());
        let hint = "it was cut short; get the file again";
        Error::at_byte(&self.path, self.stored_bytes, (what, hint))
    }
}
