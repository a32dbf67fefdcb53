//! Decodes the rows of a slice.

use parquet::data_type::{ByteArray, ByteArrayType};

use crate::columnar::cells::Cells;
use crate::columnar::slices::Slice;
use crate::columnar::values::Values;
use crate::document::push_row;
use crate::error::Result;

/// Decodes the rows of a slice.
pub(crate) struct SliceReader {
    slice: Slice,
    /// `None` if there are no rows.
    columns: Option<Columns>,
}

struct Columns {
    texts: Values<ByteArrayType>,
    kept: Vec<Cells>,
}

impl Slice {
    /// Begins to decode the rows.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if they are damaged.
    pub(crate) fn reader(&self) -> Result<SliceReader> {
        let columns = (self.rows > 0).then(|| -> Result<Columns> {
            let rows = (self.before, self.rows);
            let kept = self.kept.iter();
            let kept = kept.map(|column| Cells::new(column, self.group, rows));
            Ok(Columns {
                // Its pages were checked when they were cut.
                texts: Values::new(&self.column, self.group, rows, false)?,
                kept: kept.collect::<Result<_>>()?,
            })
        });
        Ok(SliceReader {
            columns: columns.transpose()?,
            slice: self.clone(),
        })
    }
}

impl SliceReader {
    /// Appends rows to `rows`, as `document/rows.rs` says, until they have `wanted` bytes; returns
    /// how many, 0 after the last.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if they are damaged.
    pub(crate) fn read(&mut self, rows: &mut Vec<u8>, wanted: usize) -> Result<u64> {
        let Some(columns) = &mut self.columns else {
            return Ok(0);
        };
        let mut count = 0;
        while rows.len() < wanted && !columns.texts.is_done() {
            let text = columns.texts.next()?;
            if !push_row(rows, text.as_ref().map(ByteArray::data)) {
                let what = "has a text of 4 GiB or more";
                return Err(self.slice.column.problem(self.slice.group, what));
            }
            for (cells, column) in columns.kept.iter_mut().zip(&*self.slice.kept) {
                if !cells.push_next(rows)? {
                    let what = "has a value of 4 GiB or more";
                    return Err(column.problem(self.slice.group, what));
                }
            }
            count += 1;
        }
        Ok(count)
    }
}

impl std::fmt::Debug for SliceReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SliceReader")
            .field("slice", &self.slice)
            .finish_non_exhaustive()
    }
}
