//! The file with columns that was opened last. Units follow each other in a file, and to read the
//! metadata of many row groups again for each takes longer than to read the rows.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use shardmill_core::hash::Hash128;

use crate::columnar::Columnar;
use crate::corpus::{Corpus, Opened};
use crate::error::Result;
use crate::remote::Blocks;

/// A file with columns.
#[derive(Clone, Debug)]
pub(crate) struct ColumnFile {
    bytes: Bytes,
    pub(crate) columnar: Columnar,
    /// The hash of its metadata, which says what its bytes mean.
    pub(crate) metadata: Hash128,
}

#[derive(Clone, Debug)]
enum Bytes {
    Whole(Opened),
    Object(Arc<Blocks>),
}

impl ColumnFile {
    /// Its size.
    pub(crate) fn len(&self) -> u64 {
        match &self.bytes {
            Bytes::Whole(file) => file.len() as u64,
            Bytes::Object(blocks) => blocks.len(),
        }
    }

    /// Calls `each` with the bytes `range`, which lies in the file, in one part or several.
    pub(crate) fn read_each(&self, range: Range<u64>, mut each: impl FnMut(&[u8])) -> Result<()> {
        match &self.bytes {
            Bytes::Whole(file) => {
                // In range: the offsets lie in the file.
                let at = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
                each(&file[at(range.start)..at(range.end)]);
                Ok(())
            }
            Bytes::Object(blocks) => blocks.read_each(range, each),
        }
    }

    /// The file, if it is mapped or in memory.
    pub(crate) fn whole(&self) -> Option<&Opened> {
        match &self.bytes {
            Bytes::Whole(file) => Some(file),
            Bytes::Object(_) => None,
        }
    }
}

/// The index of a source, and what was opened.
#[derive(Debug, Default)]
pub(super) struct LastColumns(Mutex<Option<(u32, ColumnFile)>>);

impl Corpus {
    /// Source `index`, a file with columns.
    pub(crate) fn columns(&self, index: u32) -> Result<ColumnFile> {
        let last = &self.last_columns.0;
        let found = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((last, found)) = found
            && last == index
        {
            return Ok(found);
        }
        let source = &self.sources[index as usize];
        let path = self.path(source);
        let opened = if let Some(object) = source.object() {
            source.check_content(&path, &[], false)?;
            let blocks = Arc::new(Blocks::new(object));
            let columnar = Columnar::open_object(source.format(), &path, Arc::clone(&blocks))?;
            ColumnFile {
                metadata: columnar.metadata(),
                columnar,
                bytes: Bytes::Object(blocks),
            }
        } else {
            let file = source.open(&path)?;
            let columnar = Columnar::open(source.format(), &path, file.clone())?;
            ColumnFile {
                metadata: columnar.metadata(),
                columnar,
                bytes: Bytes::Whole(file),
            }
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((index, opened.clone()));
        Ok(opened)
    }
}
