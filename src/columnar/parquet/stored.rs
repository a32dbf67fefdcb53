//! The bytes of a file: all of them, or those of an object as they are needed.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::remote::Blocks;

/// So much is read of an object for the header of a page, which is short unless its statistics have long
/// texts.
const HEADER_BYTES: u64 = 16 << 10;

/// So many bytes of headers are kept: to begin with a slice, those of all pages before it are read.
const KEPT_BYTES: usize = 16 << 20;

/// Where the bytes of a file are.
pub(super) enum Stored {
    Whole(Bytes),
    Object(Arc<Ranges>),
}

/// An object, and the headers of pages that were read.
pub(super) struct Ranges {
    blocks: Arc<Blocks>,
    headers: Mutex<Headers>,
}

/// Headers of pages by their places, and the length of all together.
#[derive(Default)]
struct Headers {
    by_place: HashMap<u64, Bytes>,
    bytes: usize,
}

impl Ranges {
    pub(super) fn new(blocks: Arc<Blocks>) -> Self {
        Self {
            blocks,
            headers: Mutex::default(),
        }
    }

    fn kept(&self, start: u64) -> Option<Bytes> {
        let headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        headers.by_place.get(&start).cloned()
    }

    fn keep(&self, start: u64, header: &[u8]) {
        if header.is_empty() || header.len() > KEPT_BYTES {
            return;
        }
        let mut headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        if headers.bytes + header.len() > KEPT_BYTES {
            *headers = Headers::default();
        }
        let length = header.len();
        let header = Bytes::copy_from_slice(header);
        if headers.by_place.insert(start, header).is_none() {
            headers.bytes += length;
        }
    }
}

impl Length for Stored {
    fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Object(ranges) => ranges.blocks.len(),
        }
    }
}

impl ChunkReader for Stored {
    type T = From;

    fn get_read(&self, start: u64) -> Result<From> {
        match self {
            Self::Whole(bytes) => Ok(From::Whole(bytes.get_read(start)?)),
            Self::Object(ranges) => {
                let kept = ranges.kept(start);
                Ok(From::Object {
                    is_kept: kept.is_some(),
                    read: Vec::new(),
                    part: kept.unwrap_or_default(),
                    ranges: Arc::clone(ranges),
                    start,
                })
            }
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        match self {
            Self::Whole(bytes) => bytes.get_bytes(start, length),
            Self::Object(ranges) => {
                let size = ranges.blocks.len();
                let end = start.checked_add(length as u64).filter(|end| *end <= size);
                let end = end.ok_or_else(|| ParquetError::EOF("lies after its end".to_owned()))?;
                let bytes = ranges.blocks.read(start..end);
                bytes.map_err(|error| ParquetError::External(Box::new(error)))
            }
        }
    }
}

/// Reads a file from a place on.
pub(super) enum From {
    Whole(bytes::buf::Reader<Bytes>),
    /// The header of a page, which is kept when it has been read.
    Object {
        ranges: Arc<Ranges>,
        start: u64,
        /// What was read before `part`, of which the rest is read next.
        read: Vec<u8>,
        part: Bytes,
        is_kept: bool,
    },
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Whole(reader) => reader.read(buffer),
            Self::Object {
                ranges,
                start,
                read: before,
                part,
                ..
            } => {
                if part.is_empty() {
                    let at = *start + before.len() as u64;
                    if at >= ranges.blocks.len() {
                        return Ok(0);
                    }
                    let end = ranges.blocks.len().min(at + HEADER_BYTES);
                    *part = ranges.blocks.read(at..end).map_err(io::Error::other)?;
                }
                let length = part.len().min(buffer.len());
                part.copy_to_slice(&mut buffer[..length]);
                before.extend_from_slice(&buffer[..length]);
                Ok(length)
            }
        }
    }
}

impl Drop for From {
    fn drop(&mut self) {
        if let Self::Object {
            ranges,
            start,
            read,
            is_kept: false,
            ..
        } = self
        {
            ranges.keep(*start, read);
        }
    }
}
