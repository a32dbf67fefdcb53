//! Whether a file whose name leaves the format open holds JSON Lines.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use memchr::memchr;

use crate::compression::{Compression, Decompressor};
use crate::document::{HEAD_BYTES, is_json_lines};
use crate::error::{Error, Result};
use crate::map::Map;

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
        return holds_lines(Decompressor::new(compression, path, Box::new(file))?);
    }
    if let Some(is_lines) = is_json_lines(&head, head.len() < HEAD_BYTES) {
        return Ok(is_lines);
    }
    // The first record is longer than the head.
    let map = Map::from_file(&file, path)?;
    Ok(is_json_lines(&map, true).unwrap_or(false))
}

/// Whether the text of `data` is JSON Lines.
fn holds_lines(mut data: Decompressor) -> Result<bool> {
    let mut text = Vec::new();
    loop {
        let wanted = text.len() + HEAD_BYTES;
        let is_whole = data.read(&mut text, wanted)?;
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
