//! Where a unit may end in a source: the first allowed cut at or after a byte. A file is searched where it
//! is mapped; of an object, the bytes around the place are read.

use std::path::PathBuf;
use std::sync::Arc;

use crate::columnar::Columnar;
use crate::corpus::{Corpus, MAP_FROM_BYTES, Opened};
use crate::document::{Context, Format};
use crate::error::Result;
use crate::pipeline::cut_rules::CutRules;
use crate::pipeline::reader::SourceReader;
use crate::remote::Object;

/// So many bytes of an object are read at first, from so many before the place on.
const WINDOW_BYTES: u64 = 64 << 10;
const BEFORE_BYTES: u64 = 4 << 10;

/// A source in which cuts are searched. It is not compressed.
#[derive(Debug)]
pub(super) struct Search<'a> {
    corpus: &'a Corpus,
    index: u32,
    format: Format,
    bytes: Bytes<'a>,
}

#[derive(Debug)]
enum Bytes<'a> {
    Opened(Opened),
    Columns(Columnar),
    Object(&'a Arc<Object>),
}

impl<'a> Search<'a> {
    /// Source `index` of a corpus.
    pub(super) fn open(corpus: &'a Corpus, index: u32) -> Result<Self> {
        let source = &corpus.sources()[index as usize];
        let format = source.format();
        let path: PathBuf = corpus.path(source);
        let bytes = match source.object() {
            _ if format.row().has_rows => Bytes::Columns(corpus.columns(index)?.columnar),
            Some(object) if object.bytes() >= MAP_FROM_BYTES => Bytes::Object(object),
            _ => Bytes::Opened(source.open(&path)?),
        };
        Ok(Self {
            corpus,
            index,
            format,
            bytes,
        })
    }

    /// The first allowed cut at or after byte `target`, which may be after the end. `last` is an earlier
    /// cut, or 0.
    pub(super) fn next_cut(&self, rules: &CutRules, last: u64, target: u64) -> Result<Option<u64>> {
        match &self.bytes {
            Bytes::Columns(columnar) => Ok(columnar.layout().next_cut(target)),
            Bytes::Opened(opened) => {
                // In range: the last cut is in the file, and the target after it.
                let at = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
                let cut = rules.unit_cut(self.format, &opened[at(last)..], at(target - last));
                Ok(cut.map(|cut| last + cut as u64))
            }
            Bytes::Object(object) if target >= object.bytes() || rules.keeps(self.format) => {
                Ok(None)
            }
            Bytes::Object(object) if self.format.row().context == Context::All => {
                self.in_order(object, rules, last, target)
            }
            Bytes::Object(object) => self.around(object, rules, last, target),
        }
    }

    fn in_order(
        &self,
        object: &Arc<Object>,
        rules: &CutRules,
        last: u64,
        target: u64,
    ) -> Result<Option<u64>> {
        let range = last..object.bytes();
        let mut reader =
            SourceReader::open_range(self.corpus, self.index, object, range, rules.clone())?;
        while reader.byte() < object.bytes() {
            let (_, ends_unit) = reader.next(Some(target))?;
            if ends_unit {
                return Ok(Some(reader.byte()));
            }
        }
        Ok(None)
    }

    /// Reads more and more around the place, until a cut is in it.
    fn around(
        &self,
        object: &Arc<Object>,
        rules: &CutRules,
        last: u64,
        target: u64,
    ) -> Result<Option<u64>> {
        let (mut before, mut after) = (BEFORE_BYTES, WINDOW_BYTES);
        loop {
            let start = last.max(target.saturating_sub(before));
            let end = object.bytes().min(target.saturating_add(after));
            let window = object.read(start..end)?;
            let from = usize::try_from(target - start).unwrap_or(usize::MAX);
            let context = &window[..from.saturating_sub(1).min(window.len())];
            let needs_line = self.format.row().context == Context::Line;
            if needs_line && start > last && memchr::memchr(b'\n', context).is_none() {
                before *= 8;
                continue;
            }
            let cut = rules.unit_cut(self.format, &window, from);
            if cut.is_some() || end == object.bytes() {
                return Ok(cut.map(|cut| start + cut as u64));
            }
            after *= 8;
        }
    }
}
