//! Decodes the rows of a slice.

use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use shardmill_core::show::counted;

use crate::columnar::parquet::careful;
use crate::columnar::slices::Slice;
use crate::document::push_row;
use crate::error::{Error, Result};

/// How many rows are decoded at once. Their values lie in the memory of their pages.
const STEP_ROWS: usize = 256;

/// Decodes the rows of a slice.
pub(crate) struct SliceReader {
    slice: Slice,
    /// `None` if there are no rows.
    reader: Option<ColumnReaderImpl<ByteArrayType>>,
    /// The level of a value that is there.
    level: i16,
    /// The number of rows that were not decoded.
    left: u64,
    /// Rows that were decoded, how many, and which of them is next: their levels, unless the column
    /// has no nulls, and the values that are there.
    values: std::vec::IntoIter<ByteArray>,
    levels: Vec<i16>,
    decoded: usize,
    next: usize,
}

impl Slice {
    /// Begins to decode the rows.
    ///
    /// # Errors
    /// [`Error::Input`] if they are damaged.
    pub(crate) fn reader(&self) -> Result<SliceReader> {
        let mut reader = SliceReader {
            slice: self.clone(),
            reader: None,
            level: 0,
            left: self.rows,
            values: Vec::new().into_iter(),
            levels: Vec::new(),
            decoded: 0,
            next: 0,
        };
        if self.rows == 0 {
            return Ok(reader);
        }
        let (pages, chunk) = self.column.page_reader(self.group)?;
        let descriptor = chunk.column_descr_ptr();
        let before = usize::try_from(self.before).unwrap_or(usize::MAX);
        let begun = careful(|| {
            let mut begun = ColumnReaderImpl::new(descriptor, pages);
            begun.skip_records(before)?;
            Ok(begun)
        });
        reader.reader = Some(begun.map_err(|error| self.column.damaged(self.group, &error))?);
        reader.level = chunk.column_descr().max_def_level();
        Ok(reader)
    }
}

impl SliceReader {
    /// Appends rows to `texts`, as `document/rows.rs` says, until they have `wanted` bytes; returns
    /// how many, 0 after the last.
    ///
    /// # Errors
    /// [`Error::Input`] if they are damaged.
    pub(crate) fn read(&mut self, texts: &mut Vec<u8>, wanted: usize) -> Result<u64> {
        let mut rows = 0;
        while texts.len() < wanted {
            if self.next == self.decoded {
                if self.left == 0 {
                    break;
                }
                self.decode()?;
            }
            let level = self.levels.get(self.next);
            let is_there = level.is_none_or(|level| *level == self.level);
            let text = if is_there { self.values.next() } else { None };
            if !push_row(texts, text.as_ref().map(ByteArray::data)) {
                return Err(self.problem("has a text of 4 GiB or more"));
            }
            self.next += 1;
            rows += 1;
        }
        Ok(rows)
    }

    /// Decodes more rows. Their texts stay in the memory of their pages.
    fn decode(&mut self) -> Result<()> {
        let step = usize::try_from(self.left).map_or(STEP_ROWS, |left| left.min(STEP_ROWS));
        let mut values = Vec::with_capacity(step);
        self.levels.clear();
        let read = match &mut self.reader {
            None => 0,
            Some(reader) => {
                let levels = &mut self.levels;
                let read = careful(|| reader.read_records(step, Some(levels), None, &mut values));
                let slice = &self.slice;
                read.map_err(|error| slice.column.damaged(slice.group, &error))?
                    .0
            }
        };
        if read == 0 {
            let fewer = counted(self.left, "row");
            return Err(self.problem(&format!("has {fewer} less than the metadata says")));
        }
        self.values = values.into_iter();
        self.decoded = read;
        self.next = 0;
        self.left = self.left.saturating_sub(read as u64);
        Ok(())
    }

    fn problem(&self, what: &str) -> Error {
        self.slice.column.problem(self.slice.group, what)
    }
}

impl std::fmt::Debug for SliceReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SliceReader")
            .field("slice", &self.slice)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
