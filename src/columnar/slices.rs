//! Cuts the rows of a column into slices, by the headers of pages.

use std::ops::Range;
use std::sync::Arc;

use crate::columnar::cells::check_kept;
use crate::columnar::column::{Column, Pages};
use crate::columnar::layout::Layout;
use crate::columnar::parquet::Columnar;
use crate::columnar::text::check_text;
use crate::document::Fields;
use crate::error::Result;

/// A row group is cut into about this many slices of pages at most: to begin with one, the headers
/// of all pages before it are read.
const MAX_SLICES: u64 = 128;

/// A page whose texts are in a dictionary, or have kept fields, is cut if these are longer than
/// this together, by their average; any page if it has more rows. But a row group is cut into about
/// [`MAX_ROW_SLICES`] in this way at most: to begin with one, all rows of its page before it are
/// skipped.
const MAX_SLICE_BYTES: u64 = 8 << 20;
const MAX_SLICE_ROWS: u64 = 1 << 20;
const MAX_ROW_SLICES: u64 = 1024;

/// A slice has so many times the text if fields are kept: to begin with one, the dictionary of each of
/// their columns is decoded again.
const KEPT_TEXTS: u64 = 4;

/// So few rows hardly have so much text.
const FEW_ROWS: u64 = 4096;

/// Cuts rows of a column into slices. Reads only the headers of pages.
pub(crate) struct Slices {
    column: Arc<Column>,
    kept: Arc<[Arc<Column>]>,
    /// The index of the row group that is cut next.
    group: usize,
    /// The next row, and the one after the last.
    next: u64,
    end: u64,
    /// Where the rows begin that were not handed out yet, and where the last of them ends.
    place: u64,
    end_place: u64,
    open: Option<OpenGroup>,
}

/// A row group that is being cut.
struct OpenGroup {
    pages: Pages,
    /// How many of its rows were handed out, and how many are left.
    before: u64,
    left: u64,
    /// How many rows of the current page were not handed out.
    page_rows: u64,
    /// About the length of a row's text and kept fields.
    row_bytes: u64,
    /// A slice ends with the page that makes it this long, or inside it if it has this many rows.
    slice_bytes: u64,
    slice_rows: u64,
}

/// Rows of one row group: whole pages, so that no page is decoded twice, unless a page has too many
/// rows.
#[derive(Clone)]
pub(crate) struct Slice {
    pub(super) column: Arc<Column>,
    /// The columns of kept fields.
    pub(super) kept: Arc<[Arc<Column>]>,
    pub(super) group: usize,
    /// The number of rows of the group before it.
    pub(super) before: u64,
    pub(super) rows: u64,
    /// The number of rows of the file before it.
    pub(crate) first_row: u64,
    /// About the length of its texts and kept fields together.
    pub(crate) text_bytes: u64,
    /// The nominal places of its rows.
    pub(crate) place: (u64, u64),
}

impl std::fmt::Debug for Slices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slices")
            .field("column", &self.column)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slice")
            .field("first_row", &self.first_row)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl OpenGroup {
    /// Begins to cut row group `group` of a column.
    fn new(column: &Column, kept: &[Arc<Column>], group: usize, wanted: u64) -> Result<Self> {
        let (mut pages, chunk) = column.pages(group)?;
        let rows = column.file.metadata.row_group(group).num_rows();
        let rows = u64::try_from(rows).unwrap_or(0);
        if u64::try_from(chunk.num_values()) != Ok(rows) {
            let what = format!(
                "has {} values, and its row group {rows} rows",
                chunk.num_values()
            );
            return Err(column.problem(group, what));
        }
        // A text of a dictionary is stored once. To read it takes as long as a page.
        let in_dictionary = if rows > FEW_ROWS {
            column.dictionary_bytes(&mut pages, group)?
        } else {
            0
        };
        let mut stored_bytes = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
        let mut row_bytes = (stored_bytes / rows.max(1)).max(in_dictionary).max(1);
        // Of what a page of texts may have many rows of.
        let mut other_bytes = in_dictionary;
        for column in kept {
            let (mut pages, chunk) = column.pages(group)?;
            let stored = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
            let in_dictionary = column.dictionary_bytes(&mut pages, group)?;
            let kept_bytes = (stored / rows.max(1)).max(in_dictionary);
            stored_bytes = stored_bytes.saturating_add(stored);
            row_bytes = row_bytes.saturating_add(kept_bytes);
            other_bytes = other_bytes.saturating_add(kept_bytes);
        }
        Ok(Self {
            pages,
            before: 0,
            left: rows,
            page_rows: 0,
            row_bytes,
            slice_bytes: wanted.max(stored_bytes / MAX_SLICES),
            slice_rows: match other_bytes {
                0 => MAX_SLICE_ROWS,
                bytes => (MAX_SLICE_BYTES / bytes).clamp(1, MAX_SLICE_ROWS),
            }
            .max(rows / MAX_ROW_SLICES),
        })
    }
}

impl Slices {
    /// Cuts the columns `fields` of the rows of `file` in the bytes `range`, which begins at an allowed cut
    /// or at 0, and ends at one or with the file.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there is no such column, or it does not hold a text
    /// in each row, or, for a kept field, a value that can be kept.
    pub(crate) fn new(file: &Arc<Columnar>, fields: &Fields, range: Range<u64>) -> Result<Self> {
        let column = |field: &str, setting, check| -> Result<Arc<Column>> {
            Ok(Arc::new(Column {
                index: file.column(field, setting, check)?,
                file: Arc::clone(file),
                field: field.to_owned(),
                setting,
            }))
        };
        let mut names = fields.names();
        let text = names.next().unwrap_or_default();
        let text = column(text.0, text.1, check_text)?;
        let kept = names.map(|(field, setting)| column(field, setting, check_kept));
        let kept = kept.collect::<Result<_>>()?;
        let layout = file.layout();
        let rows = layout.rows_before(range.start)..layout.rows_before(range.end);
        Ok(Self {
            group: layout.group_of(rows.start),
            next: rows.start,
            end: rows.end,
            place: range.start,
            end_place: range.end,
            open: None,
            column: text,
            kept,
        })
    }

    pub(crate) fn layout(&self) -> &Layout {
        self.column.file.layout()
    }

    /// The next rows, with texts of about `wanted` bytes or one page, and none from byte `end` on,
    /// an allowed cut or the size of the file. After the last row, an empty slice.
    pub(crate) fn next(&mut self, wanted: u64, end: u64) -> Result<Slice> {
        let wanted = match self.kept.len() {
            0 => wanted,
            _ => wanted * KEPT_TEXTS,
        };
        let end = end.min(self.end_place);
        let end_row = self.layout().rows_before(end).min(self.end);
        let mut slice = Slice {
            column: Arc::clone(&self.column),
            kept: Arc::clone(&self.kept),
            group: self.group,
            before: 0,
            rows: 0,
            first_row: self.next,
            text_bytes: 0,
            place: (self.place, self.place),
        };
        if self.next < end_row {
            self.cut(&mut slice, wanted)?;
        }
        self.place = if self.next == end_row {
            end
        } else {
            self.layout().place(self.next)
        };
        slice.place.1 = self.place;
        Ok(slice)
    }

    /// Cuts some pages off the current row group.
    fn cut(&mut self, slice: &mut Slice, wanted: u64) -> Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => loop {
                let open = OpenGroup::new(&self.column, &self.kept, self.group, wanted)?;
                if open.left > 0 {
                    break open;
                }
                self.group += 1;
            },
        };
        slice.group = self.group;
        slice.before = open.before;
        let wanted_rows = open.slice_rows.min(open.left);
        while slice.rows < wanted_rows && slice.text_bytes < open.slice_bytes {
            if open.page_rows == 0 {
                let Some(rows) = self.column.next_page(&mut open.pages, self.group)? else {
                    // Rows that are missing are noticed when the slice is read.
                    slice.rows = wanted_rows;
                    break;
                };
                open.page_rows = rows;
            }
            let rows = open.page_rows.min(wanted_rows - slice.rows);
            open.page_rows -= rows;
            slice.rows += rows;
            slice.text_bytes = slice.rows.saturating_mul(open.row_bytes);
        }
        open.before += slice.rows;
        open.left -= slice.rows;
        self.next += slice.rows;
        if open.left > 0 {
            self.open = Some(open);
            return Ok(());
        }
        let has_more = |open: &mut OpenGroup| match open.page_rows {
            0 => self.column.next_page(&mut open.pages, self.group),
            rows => Ok(Some(rows)),
        };
        if has_more(&mut open)?.is_some_and(|rows| rows > 0) {
            let what = format!("has more than the {} rows of its group", open.before);
            return Err(self.column.problem(self.group, what));
        }
        self.group += 1;
        Ok(())
    }
}
