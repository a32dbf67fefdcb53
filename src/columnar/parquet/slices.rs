//! Cuts the rows of a column into slices, by the headers of pages.

use std::sync::Arc;

use crate::columnar::layout::Part;
use crate::columnar::parquet::cells::check_kept;
use crate::columnar::parquet::column::{Column, Pages};
use crate::columnar::parquet::file::File;
use crate::columnar::parquet::text::check_text;
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

/// The columns of the text and of the kept fields.
#[derive(Debug)]
pub(in crate::columnar) struct Columns {
    pub(super) text: Arc<Column>,
    pub(super) kept: Vec<Arc<Column>>,
}

/// Cuts rows of a column into slices: whole pages, so that no page is decoded twice, unless a page has
/// too many rows. Reads only the headers of pages.
pub(in crate::columnar) struct Cutter {
    columns: Arc<Columns>,
    /// The index of the row group that is cut next.
    group: usize,
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

impl OpenGroup {
    /// Begins to cut row group `group` of a column.
    fn new(columns: &Columns, group: usize, wanted: u64) -> Result<Self> {
        let column = &columns.text;
        let (pages, chunk) = column.pages(group)?;
        let rows = column.file.metadata.row_group(group).num_rows();
        let rows = u64::try_from(rows).unwrap_or(0);
        if u64::try_from(chunk.num_values()) != Ok(rows) {
            let what = format!(
                "has {} values, and its row group {rows} rows",
                chunk.num_values()
            );
            return Err(column.problem(group, what));
        }
        // A text of a dictionary is stored once.
        let in_dictionary = column.dictionary_bytes(&pages);
        let mut stored_bytes = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
        let mut row_bytes = (stored_bytes / rows.max(1)).max(in_dictionary).max(1);
        // Of what a page of texts may have many rows of.
        let mut other_bytes = in_dictionary;
        for column in &columns.kept {
            let (pages, chunk) = column.pages(group)?;
            let stored = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
            let in_dictionary = column.dictionary_bytes(&pages);
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

impl Columns {
    /// The columns `fields` of `file`.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there is no such column, or it does not hold a text
    /// in each row, or, for a kept field, a value that can be kept.
    pub(in crate::columnar) fn new(file: &Arc<File>, fields: &Fields) -> Result<Self> {
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
        Ok(Self { text, kept })
    }
}

impl Cutter {
    /// Begins with row group `group`.
    pub(in crate::columnar) fn new(columns: &Arc<Columns>, group: usize) -> Self {
        Self {
            columns: Arc::clone(columns),
            group,
            open: None,
        }
    }

    /// Cuts some pages, with texts of about `wanted` bytes, off the rows, of which there are more.
    pub(in crate::columnar) fn cut(&mut self, wanted: u64) -> Result<Part> {
        let wanted = match self.columns.kept.len() {
            0 => wanted,
            _ => wanted * KEPT_TEXTS,
        };
        let mut open = match self.open.take() {
            Some(open) => open,
            None => loop {
                let open = OpenGroup::new(&self.columns, self.group, wanted)?;
                if open.left > 0 {
                    break open;
                }
                self.group += 1;
            },
        };
        let column = &self.columns.text;
        let mut part = Part {
            group: self.group,
            before: open.before,
            ..Part::default()
        };
        let wanted_rows = open.slice_rows.min(open.left);
        while part.rows < wanted_rows && part.text_bytes < open.slice_bytes {
            if open.page_rows == 0 {
                let Some(rows) = column.next_page(&mut open.pages, self.group)? else {
                    // Rows that are missing are noticed when the slice is read.
                    part.rows = wanted_rows;
                    break;
                };
                open.page_rows = rows;
            }
            let rows = open.page_rows.min(wanted_rows - part.rows);
            open.page_rows -= rows;
            part.rows += rows;
            part.text_bytes = part.rows.saturating_mul(open.row_bytes);
        }
        open.before += part.rows;
        open.left -= part.rows;
        if open.left > 0 {
            self.open = Some(open);
            return Ok(part);
        }
        let has_more = |open: &mut OpenGroup| match open.page_rows {
            0 => column.next_page(&mut open.pages, self.group),
            rows => Ok(Some(rows)),
        };
        if has_more(&mut open)?.is_some_and(|rows| rows > 0) {
            let what = format!("has more than the {} rows of its group", open.before);
            return Err(column.problem(self.group, what));
        }
        self.group += 1;
        Ok(part)
    }
}
