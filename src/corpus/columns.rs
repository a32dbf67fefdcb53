//! The file with columns that was opened last. Units follow each other in a file, and to read the
//! metadata of many row groups again for each takes longer than to read the rows.

use std::sync::{Arc, Mutex, PoisonError};

use crate::columnar::{Columnar, footer};
use crate::corpus::{Corpus, Opened};
use crate::error::Result;
use crate::hash::Hash128;

/// A file with columns.
#[derive(Clone, Debug)]
pub(crate) struct ColumnFile {
    pub(crate) file: Opened,
    pub(crate) columnar: Arc<Columnar>,
    /// The hash of its metadata, which says what its bytes mean.
    pub(crate) metadata: Hash128,
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
        let file = source.open(&path)?;
        let opened = ColumnFile {
            columnar: Arc::new(Columnar::open(&path, file.clone())?),
            metadata: Hash128::of(footer(&file).unwrap_or_default()),
            file,
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((index, opened.clone()));
        Ok(opened)
    }
}
