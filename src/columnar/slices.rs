//! Cuts the rows of a column into slices, and decodes the rows of a slice, in any of the formats.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::columnar::file::Columnar;
use crate::columnar::layout::{Layout, Part};
use crate::columnar::{arrow, parquet};
use crate::document::Fields;
use crate::error::Result;

/// Cuts rows of a column into slices. Reads only what says how long they are.
pub(crate) struct Slices {
    file: Columnar,
    cutter: Cutter,
    columns: Columns,
    /// The next row, and the one after the last.
    next: u64,
    end: u64,
    /// Where the rows begin that were not handed out yet, and where the last of them ends.
    place: u64,
    end_place: u64,
}

enum Cutter {
    Arrow(Box<arrow::Cutter>),
    Parquet(Box<parquet::Cutter>),
}

/// The columns of the text and of the kept fields.
#[derive(Clone)]
enum Columns {
    Arrow(Arc<arrow::Columns>),
    Parquet(Arc<parquet::Columns>),
}

/// Rows of one row group.
#[derive(Clone)]
pub(crate) struct Slice {
    columns: Columns,
    /// Empty after the last row.
    part: Part,
    /// The number of rows of the file before it.
    pub(crate) first_row: u64,
    /// About the length of its texts and kept fields together.
    pub(crate) text_bytes: u64,
    /// The nominal places of its rows.
    pub(crate) place: (u64, u64),
}

/// Decodes the rows of a slice.
pub(crate) struct SliceReader(Rows);

enum Rows {
    Arrow(Box<arrow::Rows>),
    Parquet(Box<parquet::Rows>),
    /// There are none.
    Empty,
}

impl Slices {
    /// Cuts the columns `fields` of the rows of `file` in the bytes `range`, which begins at an allowed cut
    /// or at 0, and ends at one or with the file.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there is no such column, or it does not hold a text
    /// in each row, or, for a kept field, a value that can be kept.
    pub(crate) fn new(file: &Columnar, fields: &Fields, range: Range<u64>) -> Result<Self> {
        let layout = file.layout();
        let rows = layout.rows_before(range.start)..layout.rows_before(range.end);
        let group = layout.group_of(rows.start);
        let (cutter, columns) = match file {
            Columnar::Arrow(file) => {
                let columns = Arc::new(arrow::Columns::new(file, fields)?);
                let cutter = arrow::Cutter::new(&columns, group);
                (Cutter::Arrow(Box::new(cutter)), Columns::Arrow(columns))
            }
            Columnar::Parquet(file) => {
                let columns = Arc::new(parquet::Columns::new(file, fields)?);
                let cutter = parquet::Cutter::new(&columns, group);
                (Cutter::Parquet(Box::new(cutter)), Columns::Parquet(columns))
            }
        };
        Ok(Self {
            file: file.clone(),
            cutter,
            columns,
            next: rows.start,
            end: rows.end,
            place: range.start,
            end_place: range.end,
        })
    }

    pub(crate) fn layout(&self) -> &Layout {
        self.file.layout()
    }

    /// The next rows, with texts of about `wanted` bytes or what is read as a whole, and none from byte
    /// `end` on, an allowed cut or the size of the file. After the last row, an empty slice.
    pub(crate) fn next(&mut self, wanted: u64, end: u64) -> Result<Slice> {
        let end = end.min(self.end_place);
        let end_row = self.layout().rows_before(end).min(self.end);
        let (first_row, start) = (self.next, self.place);
        let mut part = Part::default();
        if self.next < end_row {
            part = match &mut self.cutter {
                Cutter::Arrow(cutter) => cutter.cut(wanted)?,
                Cutter::Parquet(cutter) => cutter.cut(wanted)?,
            };
            self.next += part.rows;
        }
        self.place = if self.next == end_row {
            end
        } else {
            self.layout().place(self.next)
        };
        Ok(Slice {
            columns: self.columns.clone(),
            first_row,
            text_bytes: part.text_bytes,
            place: (start, self.place),
            part,
        })
    }
}

impl Slice {
    /// Begins to decode the rows.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if they are damaged.
    pub(crate) fn reader(&self) -> Result<SliceReader> {
        if self.part.rows == 0 {
            return Ok(SliceReader(Rows::Empty));
        }
        let rows = match &self.columns {
            Columns::Arrow(columns) => {
                Rows::Arrow(Box::new(arrow::Rows::new(columns, &self.part)?))
            }
            Columns::Parquet(columns) => {
                Rows::Parquet(Box::new(parquet::Rows::new(columns, &self.part)?))
            }
        };
        Ok(SliceReader(rows))
    }
}

impl SliceReader {
    /// Appends rows to `rows`, as `document/rows.rs` says, until they have `wanted` bytes; returns
    /// how many, 0 after the last.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if they are damaged.
    pub(crate) fn read(&mut self, rows: &mut Vec<u8>, wanted: usize) -> Result<u64> {
        match &mut self.0 {
            Rows::Arrow(reader) => reader.read(rows, wanted),
            Rows::Parquet(reader) => reader.read(rows, wanted),
            Rows::Empty => Ok(0),
        }
    }
}

impl fmt::Debug for Slices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slices")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slice")
            .field("first_row", &self.first_row)
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SliceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SliceReader").finish_non_exhaustive()
    }
}
