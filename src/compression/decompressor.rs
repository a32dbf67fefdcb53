//! Decodes while it reads, counts and hashes what is stored, and says where it is damaged.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};

use shardmill_core::hash::Hash128;

use crate::compression::{Compression, Damage, Decode};
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
    /// Stored bytes; the first `taken` of them have been decoded.
    buffer: Vec<u8>,
    taken: usize,
    /// The number of stored bytes read, including those in the buffer.
    stored_bytes: u64,
    hasher: BlockHasher,
    /// Whether all stored bytes have been read.
    is_read: bool,
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
            stored_bytes: 0,
            hasher: BlockHasher::new(),
            is_read: false,
        })
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
        self.stored_bytes - (self.buffer.len() - self.taken) as u64
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
            if self.taken == self.buffer.len() && !self.is_read {
                self.refill()?;
            }
            let before = output.len();
            let input = &self.buffer[self.taken..];
            let at_end = input.is_empty();
            let decoded = self.decoder.decode(input, output);
            self.taken += decoded.map_err(|damage| self.damaged(damage))?;
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

    fn refill(&mut self) -> Result<()> {
        self.buffer.clear();
        self.taken = 0;
        let mut reader = (&mut self.reader).take(READ_BYTES as u64);
        let read = reader.read_to_end(&mut self.buffer);
        // What was read before an error counts as well.
        self.stored_bytes += self.buffer.len() as u64;
        self.hasher.update(&self.buffer);
        read.map_err(|source| self.unread(source))?;
        self.is_read = self.buffer.len() < READ_BYTES;
        Ok(())
    }

    fn unread(&self, source: io::Error) -> Error {
        Error::read(&self.path, self.stored_bytes, source)
    }

    fn damaged(&self, damage: Damage) -> Error {
        let left = self.buffer.len() - self.taken;
        let at = self.stored_bytes - left as u64 + damage.at as u64;
        Error::at_byte(&self.path, at, damage.problem)
    }

    fn cut_short(&self) -> Error {
        let what = format!("the {} data ends too early", self.compression.name());
        let hint = "it was cut short; get the file again";
        Error::at_byte(&self.path, self.stored_bytes, (what, hint))
    }
}
