//! Whether a file whose name leaves the format open holds JSON Lines.

use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

use memchr::memchr;
use shardmill_core::map::Map;

use crate::compression::{Compression, Decompressor};
use crate::document::{HEAD_BYTES, is_json_lines};
use crate::error::{Error, Result};

/// Whether the file at `path`, whose name does not tell, holds JSON Lines. `compression` is what
/// its name says.
pub(super) fn holds_json_lines(path: &Path, compression: Option<Compression>) -> Result<bool> {
    let mut file = File::open(path).map_err(Error::io(path, "cannot open"))?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    Read::by_ref(&mut file)
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(Error::io(path, "cannot read"))?;
    if let Some(compression) = compression {
        Compression::check_name(path, Some(compression), &head)?;
        file.rewind().map_err(Error::io(path, "cannot read"))?;
        let mut data = Decompressor::new(compression, path, Box::new(file))?;
        return holds_lines(|text, wanted| data.read(text, wanted));
    }
    if let Some(is_lines) = is_json_lines(&head, head.len() < HEAD_BYTES) {
        return Ok(is_lines);
    }
    // The first record is longer than the head.
    let map = Map::from_file(&file, path)?;
    Ok(is_json_lines(&map, true).unwrap_or(false))
}

/// The same for an object, shown as `path`, whose bytes `reader` returns.
pub(super) fn object_holds_json_lines(
    path: &Path,
    compression: Option<Compression>,
    mut reader: Box<dyn Read + Send>,
) -> Result<bool> {
    let Some(compression) = compression else {
        let mut read = 0;
        return holds_lines(|text, wanted| {
            let is_whole = read_more(&mut reader, text, wanted);
            read += text.len() as u64;
            is_whole.map_err(|source| Error::read(path, read, source))
        });
    };
    let mut head = Vec::new();
    let is_whole = read_more(&mut reader, &mut head, HEAD_BYTES);
    is_whole.map_err(|source| Error::read(path, 0, source))?;
    Compression::check_name(path, Some(compression), &head)?;
    let reader = Box::new(Cursor::new(head).chain(reader));
    let mut data = Decompressor::new(compression, path, reader)?;
    holds_lines(|text, wanted| data.read(text, wanted))
}

/// Appends to `bytes` what `reader` returns until they are `wanted`; returns whether that is all.
pub(super) fn read_more(
    reader: &mut impl Read,
    bytes: &mut Vec<u8>,
    wanted: usize,
) -> std::io::Result<bool> {
    let missing = wanted.saturating_sub(bytes.len()) as u64;
    let read = reader.take(missing).read_to_end(bytes)?;
    Ok((read as u64) < missing)
}

/// Whether a text is JSON Lines, of which `read` appends more until there is as much as asked for, and
/// returns whether that is all.
fn holds_lines(mut read: impl FnMut(&mut Vec<u8>, usize) -> Result<bool>) -> Result<bool> {
    let mut text = Vec::new();
    loop {
        let wanted = text.len() + HEAD_BYTES;
        let is_whole = read(&mut text, wanted)?;
        if let Some(is_lines) = is_json_lines(&text, is_whole) {
            return Ok(is_lines);
        }
        if is_whole {
            return Ok(false);
        }
        shorten(&mut text);
    }
}

/// Leaves out of `text`, which may be JSON Lines so far, what does not matter to that, so that it
/// does not grow: the middle of the first record, and blank lines after it.
fn shorten(text: &mut Vec<u8>) {
    let start = memchr(b'{', text).unwrap_or(0);
    match memchr(b'\n', &text[start..]) {
        Some(end) => text.truncate(start + end + 1),
        None if text.len() > 4 * HEAD_BYTES => {
            let end = text.len() - HEAD_BYTES;
            text.drain(2 * HEAD_BYTES..end);
        }
        None => {}
    }
}
