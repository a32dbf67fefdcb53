//! Counts the lines of a source before a given byte.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::corpus::Corpus;
use crate::error::Result;

/// Lines before a unit are counted where it begins so far into a source at the most. That is a
/// second or two for each unit that has bad records and is made by a process of its own; and a
/// longer file is not opened at a line, but read from a byte.
pub(super) const COUNTED_BYTES: u64 = 4 << 30;

/// Bytes from a mark to the next.
const STEP_BYTES: u64 = 64 << 20;

/// What has been counted so far; shared by all threads, so that units after each other count a
/// source once.
#[derive(Debug, Default)]
pub(crate) struct LineMarks {
    /// By source and byte.
    lines: Mutex<BTreeMap<(u32, u64), u64>>,
}

impl LineMarks {
    /// Lines of source `index`, a regular file, that end before `byte`.
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
        let opened = source.open(&corpus.path(source))?;
        // In range: a unit begins there, and the size was compared at opening.
        let offset = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
        while at < byte {
            let end = byte.min(at + STEP_BYTES);
            lines += memchr::memchr_iter(b'\n', &opened[offset(at)..offset(end)]).count() as u64;
            marks.insert((index, end), lines);
            at = end;
        }
        Ok(lines)
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
