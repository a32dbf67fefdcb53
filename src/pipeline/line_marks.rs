//! Counts the lines of a source before a given byte.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::corpus::Corpus;
use crate::document::LineEnds;
use crate::error::{Error, Result};
use crate::pipeline::CHUNK_BYTES;

/// The lines before a unit are counted only if it begins at most this far into a source. Counting
/// takes a second or two for each unit that has bad records and is made by its own process. In a
/// longer file, one would look up a record by its byte anyway, not by its line.
pub(super) const COUNTED_BYTES: u64 = 4 << 30;

/// The distance between marks, in bytes.
const STEP_BYTES: u64 = 64 << 20;

/// The line counts so far; shared by all threads, so that consecutive units count a source only
/// once.
#[derive(Debug, Default)]
pub(crate) struct LineMarks {
    /// Line counts by source and byte.
    lines: Mutex<BTreeMap<(u32, u64), u64>>,
}

impl LineMarks {
    /// The number of lines of source `index`, a regular file, that end before `byte`.
    pub(super) fn before(&self, corpus: &Corpus, index: u32, byte: u64) -> Result<u64> {
        if byte == 0 {
            return Ok(0);
        }
        let mut marks = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let nearest = marks.range((index, 0)..=(index, byte)).next_back();
        let (mut at, mut lines) = nearest.map_or((0, 0), |(&(_, at), &lines)| (at, lines));
        if at == byte {
            return Ok(lines);
        }
        let source = &corpus.sources()[index as usize];
        let path = corpus.path(source);
        let ends = source.format().row().line_ends;
        if source.object().is_some() {
            return count_lines(source.reader(&path)?.take(byte), ends, &path);
        }
        let opened = source.open(&path)?;
        // In range: a unit begins there, and the size was checked when the file was opened.
        let offset = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
        let last = at.checked_sub(1).map(|last| opened[offset(last)]);
        let mut counter = ends.counter(last);
        while at < byte {
            let end = byte.min(at + STEP_BYTES);
            lines += counter.count(&opened[offset(at)..offset(end)]);
            marks.insert((index, end), lines);
            at = end;
        }
        Ok(lines)
    }
}

/// The number of lines of the source at `path` that end in what `reader` returns.
fn count_lines(mut reader: impl Read, ends: LineEnds, path: &Path) -> Result<u64> {
    let mut part = vec![0; CHUNK_BYTES];
    let mut counter = ends.counter(None);
    let (mut at, mut lines) = (0, 0);
    loop {
        let read = reader.read(&mut part);
        let read = read.map_err(|source| Error::read(path, at, source))?;
        if read == 0 {
            return Ok(lines);
        }
        lines += counter.count(&part[..read]);
        at += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::CorpusOptions;

    #[test]
    fn lines_are_counted_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        let text = "a\n\nbc\n".repeat(300_000);
        std::fs::write(&path, &text).unwrap();
        let corpus = Corpus::open(&[path.into_os_string()], &CorpusOptions::default()).unwrap();
        let marks = LineMarks::default();
        for byte in [6, 0, 1_799_999, 600_002, 600_001, 1_800_000, 600_002] {
            let expected = text[..byte].matches('\n').count() as u64;
            let found = marks.before(&corpus, 0, byte as u64).unwrap();
            assert_eq!(found, expected, "before byte {byte}");
        }
    }
}
