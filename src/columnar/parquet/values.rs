//! Decodes the values of a column, row by row.

use std::sync::Arc;

use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use shardmill_core::show::counted;

use crate::columnar::AGAIN;
use crate::columnar::parquet::column::{Column, Pages};
use crate::columnar::parquet::file::careful;
use crate::error::Result;

/// How many rows are decoded at once. Texts lie in the memory of their pages.
const STEP_ROWS: usize = 256;

/// Decodes the values of some rows of a row group.
pub(super) struct Values<T: DataType> {
    column: Arc<Column>,
    group: usize,
    reader: ColumnReaderImpl<T>,
    /// The level of a value that is there.
    level: i16,
    /// The number of rows that were not decoded.
    left: u64,
    /// Rows that were decoded, how many, and which of them is next: their levels, unless the column
    /// has no nulls, and the values that are there.
    there: std::vec::IntoIter<T::T>,
    levels: Vec<i16>,
    decoded: usize,
    next: usize,
}

impl<T: DataType> Values<T> {
    /// Begins with the `rows` of row group `group` after the first `before`, whose pages were checked
    /// unless `checks` asks for that.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if they are damaged.
    pub(super) fn new(
        column: &Arc<Column>,
        group: usize,
        (before, rows): (u64, u64),
        checks: bool,
    ) -> Result<Self> {
        let (pages, chunk) = column.pages(group)?;
        let descriptor = chunk.column_descr_ptr();
        let level = descriptor.max_def_level();
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        let pages = CheckedPages {
            column: Arc::clone(column),
            group,
            pages,
            checks,
        };
        let begun = careful(|| {
            let mut begun = ColumnReaderImpl::new(descriptor, Box::new(pages));
            begun.skip_records(before)?;
            Ok(begun)
        });
        Ok(Self {
            reader: begun.map_err(|error| column.damaged(group, &error))?,
            column: Arc::clone(column),
            group,
            level,
            left: rows,
            there: Vec::new().into_iter(),
            levels: Vec::new(),
            decoded: 0,
            next: 0,
        })
    }

    /// Whether there are no more rows.
    pub(super) fn is_done(&self) -> bool {
        self.next == self.decoded && self.left == 0
    }

    /// The value of the next row; `None` if it is null. There is a next row.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if it is damaged, or missing.
    pub(super) fn next(&mut self) -> Result<Option<T::T>> {
        if self.next == self.decoded {
            self.decode()?;
        }
        let level = self.levels.get(self.next);
        let is_there = level.is_none_or(|level| *level == self.level);
        self.next += 1;
        Ok(if is_there { self.there.next() } else { None })
    }

    /// Decodes more rows.
    fn decode(&mut self) -> Result<()> {
        let step = usize::try_from(self.left).map_or(STEP_ROWS, |left| left.min(STEP_ROWS));
        let mut values = Vec::with_capacity(step);
        self.levels.clear();
        let (reader, levels) = (&mut self.reader, &mut self.levels);
        let read = careful(|| reader.read_records(step, Some(levels), None, &mut values));
        let damaged = |error| self.column.damaged(self.group, &error);
        let (read, ..) = read.map_err(damaged)?;
        if read == 0 {
            let fewer = counted(self.left, "row");
            let what = format!("has {fewer} less than the metadata says");
            return Err(self.column.problem(self.group, &*what));
        }
        let level = self.level;
        let are_there = self.levels.iter().filter(|&&found| found == level).count();
        let has_levels = level > 0;
        if self.levels.iter().any(|&found| found > level)
            || has_levels && (self.levels.len(), are_there) != (read, values.len())
        {
            let what = "has levels that contradict its values";
            return Err(self.column.problem(self.group, (what, AGAIN)));
        }
        self.there = values.into_iter();
        self.decoded = read;
        self.next = 0;
        self.left = self.left.saturating_sub(read as u64);
        Ok(())
    }
}

/// The pages of a column, whose headers are checked before they are believed, if `checks` says so.
struct CheckedPages {
    column: Arc<Column>,
    group: usize,
    pages: Pages,
    checks: bool,
}

impl CheckedPages {
    fn check(&mut self) -> parquet::errors::Result<()> {
        if !self.checks {
            return Ok(());
        }
        let checked = self.column.check_page(&mut self.pages, self.group);
        checked.map_err(|error| ParquetError::External(Box::new(error)))
    }
}

impl Iterator for CheckedPages {
    type Item = parquet::errors::Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> parquet::errors::Result<Option<Page>> {
        self.check()?;
        self.pages.reader.get_next_page()
    }

    fn peek_next_page(&mut self) -> parquet::errors::Result<Option<PageMetadata>> {
        self.pages.reader.peek_next_page()
    }

    fn skip_next_page(&mut self) -> parquet::errors::Result<()> {
        self.check()?;
        self.pages.reader.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.pages.reader.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> parquet::errors::Result<Option<Page>> {
        self.pages.reader.take_deferred_dictionary()
    }

    fn at_record_boundary(&mut self) -> parquet::errors::Result<bool> {
        self.pages.reader.at_record_boundary()
    }
}
