//! Messages: a schema, a dictionary or a record batch, each before the bytes that it describes.

use std::ops::Range;
use std::path::Path;

use crate::columnar::AGAIN;
use crate::columnar::arrow::flat::{Damaged, Table};
use crate::columnar::arrow::stored::Headers;
use crate::error::{Error, Problem, Result};

/// Begins messages; those of early versions begin with their length.
pub(super) const CONTINUATION: [u8; 4] = [0xff; 4];

/// Metadata is not longer: that of an object is held in memory.
const MAX_METADATA_BYTES: u64 = 64 << 20;

/// Versions of the metadata, as they are numbered in it.
const V4: i16 = 3;
pub(super) const V5: i16 = 4;

/// Kinds of messages, as they are numbered in them.
const SCHEMA: u8 = 1;
const DICTIONARY: u8 = 2;
const BATCH: u8 = 3;

/// Where a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where it begins: with its length.
    pub(super) start: u64,
    /// What says what it is.
    pub(super) metadata: Range<u64>,
    /// The bytes that it describes.
    pub(super) body: Range<u64>,
}

/// What a message describes.
pub(super) enum Header<'a> {
    Schema(Table<'a>),
    Dictionary(Table<'a>),
    Batch(Table<'a>),
}

/// A message without its body.
pub(super) struct Message<'a> {
    pub(super) header: Header<'a>,
    pub(super) body_bytes: u64,
}

/// What was found where a message may begin.
pub(super) enum Found {
    Message(Place, bytes::Bytes),
    /// The mark at the end, and the first byte after it.
    End(u64),
    /// No message can begin so.
    Nothing,
    /// The file ends before the message does.
    Cut,
}

/// The message at `start`.
pub(super) fn find(headers: &mut Headers<'_>, start: u64) -> Result<Found> {
    let Some(first) = headers.get(start, 4)? else {
        return Ok(Found::Cut);
    };
    let mut at = start + 4;
    let mut length = first;
    if *length == CONTINUATION {
        let Some(next) = headers.get(at, 4)? else {
            return Ok(Found::Cut);
        };
        length = next;
        at += 4;
    }
    let length = length
        .first_chunk()
        .map(|length| i32::from_le_bytes(*length));
    let length = match length.map(u64::try_from) {
        Some(Ok(0)) => return Ok(Found::End(at)),
        Some(Ok(length)) if length <= MAX_METADATA_BYTES => length,
        _ => return Ok(Found::Nothing),
    };
    let Some(metadata) = headers.get(at, length)? else {
        return Ok(Found::Cut);
    };
    let end = at + length;
    let place = Place {
        start,
        metadata: at..end,
        body: end..end,
    };
    Ok(Found::Message(place, metadata))
}

impl<'a> Message<'a> {
    /// What `metadata` says.
    pub(super) fn read(metadata: &'a [u8]) -> std::result::Result<Self, Problem> {
        let damaged = |Damaged| -> Problem { ("has damaged metadata", AGAIN).into() };
        let table = Table::root(metadata).map_err(damaged)?;
        check_version(table.i16(0).map_err(damaged)?)?;
        let header = table.table(2).map_err(damaged)?;
        let header = header.ok_or(Damaged).map_err(damaged)?;
        let header = match table.u8(1).map_err(damaged)? {
            SCHEMA => Header::Schema(header),
            DICTIONARY => Header::Dictionary(header),
            BATCH => Header::Batch(header),
            _ => {
                let what = "is a tensor, or another message without columns";
                return Err((what, "write a table").into());
            }
        };
        // Before there was a place for it, a version said so here that bodies are compressed.
        let entries = table.tables(4).map_err(damaged)?;
        for entry in entries.iter() {
            // Many entries may share a long key.
            let key = entry.and_then(|entry| entry.bytes(0)).map_err(damaged)?;
            if key == Some(b"ARROW:experimental_compression") {
                let what = "is compressed as an early version of Arrow did, which is not supported";
                return Err((what, "write the file again").into());
            }
        }
        let body_bytes = u64::try_from(table.i64(3).map_err(damaged)?);
        Ok(Self {
            header,
            body_bytes: body_bytes.map_err(|_| damaged(Damaged))?,
        })
    }
}

/// Refuses a version of the metadata that is not known.
pub(super) fn check_version(version: i16) -> std::result::Result<(), Problem> {
    if matches!(version, V4 | V5) {
        return Ok(());
    }
    let what = format!(
        "has metadata of version V{}, which is not supported",
        i32::from(version) + 1
    );
    Err((
        what,
        "write the file again with a version of Arrow from 1.0 on",
    )
        .into())
}

/// The error for a file that ends before the message at `start` does.
pub(super) fn cut_short(path: &Path, start: u64) -> Error {
    let what = "the Arrow data ends inside the message that begins here";
    Error::at_byte(path, start, (what, "it was cut short; get the file again"))
}
