//! Decodes the rows of a slice.

use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};

use crate::columnar::layout::Part;
use crate::columnar::parquet::cells::Cells;
use crate::columnar::parquet::slices::Columns;
use crate::columnar::parquet::values::Values;
use crate::document::push_row;
use crate::error::Result;

/// Decodes the rows of a slice.
pub(in crate::columnar) struct Rows {
    columns: Arc<Columns>,
    group: usize,
    texts: Values<ByteArrayType>,
    kept: Vec<Cells>,
}

impl Rows {
    /// Begins to decode the rows of `part`, of which there is at least one.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if they are damaged.
    pub(in crate::columnar) fn new(columns: &Arc<Columns>, part: &Part) -> Result<Self> {
        let rows = (part.before, part.rows);
        let kept = columns.kept.iter();
        let kept = kept.map(|column| Cells::new(column, part.group, rows));
        Ok(Self {
            // Its pages were checked when they were cut.
            texts: Values::new(&columns.text, part.group, rows, false)?,
            kept: kept.collect::<Result<_>>()?,
            columns: Arc::clone(columns),
            group: part.group,
        })
    }

    /// Appends rows to `rows`, as `document/rows.rs` says, until they have `wanted` bytes; returns
    /// how many, 0 after the last.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if they are damaged.
    pub(in crate::columnar) fn read(&mut self, rows: &mut Vec<u8>, wanted: usize) -> Result<u64> {
        let mut count = 0;
        while rows.len() < wanted && !self.texts.is_done() {
            let text = self.texts.next()?;
            if !push_row(rows, text.as_ref().map(ByteArray::data)) {
                let what = "has a text of 4 GiB or more";
                return Err(self.columns.text.problem(self.group, what));
            }
            for (cells, column) in self.kept.iter_mut().zip(&*self.columns.kept) {
                if !cells.push_next(rows)? {
                    let what = "has a value of 4 GiB or more";
                    return Err(column.problem(self.group, what));
                }
            }
            count += 1;
        }
        Ok(count)
    }
}
