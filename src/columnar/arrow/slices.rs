//! Cuts the rows of a record batch into slices.

use std::sync::{Arc, Mutex};

use crate::columnar::arrow::Fault;
use crate::columnar::arrow::column::{Column, ColumnRows};
use crate::columnar::arrow::file::File;
use crate::columnar::arrow::schema::{Column as SchemaColumn, check_kept, check_text};
use crate::columnar::arrow::values::Values;
use crate::columnar::layout::Part;
use crate::document::Fields;
use crate::error::{Error, Problem, Result};

/// A slice has no more rows.
const MAX_SLICE_ROWS: u64 = 1 << 20;

/// The columns of the text and of the kept fields.
pub(in crate::columnar) struct Columns {
    pub(super) text: Column,
    pub(super) kept: Vec<Column>,
    /// Those that were left, to be read on.
    pub(super) left: Mutex<Vec<OpenRows>>,
}

/// The rows of a record batch that are being read.
pub(super) struct OpenRows {
    pub(super) group: usize,
    pub(super) texts: ColumnRows,
    pub(super) kept: Vec<ColumnRows>,
    /// The next row.
    pub(super) next: u64,
}

/// Cuts rows of a column into slices. Reads only offsets and views.
pub(in crate::columnar) struct Cutter {
    columns: Arc<Columns>,
    /// The record batch that is cut next.
    group: usize,
    open: Option<OpenBatch>,
}

/// A record batch that is being cut.
struct OpenBatch {
    /// How many of its rows were handed out, and how many are left.
    before: u64,
    left: u64,
    lengths: Lengths,
    /// About the length of a row's kept fields.
    kept_bytes: u64,
}

/// How long the texts of a record batch are.
enum Lengths {
    Each(Box<Values>),
    /// About as long as this.
    Average(u64),
}

impl Columns {
    /// The columns `fields` of `file`.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such column, or it does not hold a text
    /// in each row, or, for a kept field, a value that can be kept.
    pub(in crate::columnar) fn new(file: &Arc<File>, fields: &Fields) -> Result<Self> {
        type Check = fn(&SchemaColumn) -> std::result::Result<(), Problem>;
        let column = |field: &str, setting, check: Check| -> Result<Column> {
            let found = file.schema.column(field, setting, check);
            Ok(Column {
                entry: found
                    .map_err(|problem| Error::input(&file.path, problem))?
                    .clone(),
                file: Arc::clone(file),
                last: Mutex::default(),
            })
        };
        let mut names = fields.names();
        let text = names.next().unwrap_or_default();
        let text = column(text.0, text.1, check_text)?;
        let kept = names.map(|(field, setting)| column(field, setting, check_kept));
        let kept = kept.collect::<Result<_>>()?;
        Ok(Self {
            text,
            kept,
            left: Mutex::default(),
        })
    }
}

impl OpenBatch {
    fn new(columns: &Columns, group: usize) -> Result<Self> {
        let text = &columns.text;
        let (batch, body) = text.batch(group)?;
        let rows = body.rows;
        // What was found when the file was opened.
        if rows != batch.rows {
            return Err(text.error(group, Fault::damaged("is not what it was")));
        }
        let mut open = Self {
            before: 0,
            left: rows,
            lengths: Lengths::Average(0),
            kept_bytes: 0,
        };
        let average = |column: &Column| -> std::result::Result<u64, Fault> {
            Ok(match column.dictionary(batch)? {
                Some(dictionary) => dictionary.average_bytes(),
                None => column.stored_bytes(&body)? / rows.max(1),
            })
        };
        for column in &columns.kept {
            let bytes = average(column).map_err(|fault| column.error(group, fault))?;
            open.kept_bytes = open.kept_bytes.saturating_add(bytes);
        }
        let lengths = if text.entry.dictionary.is_some() || body.codec.is_some() {
            average(text).map(Lengths::Average)
        } else {
            // Nothing is compressed, and so nothing takes memory.
            text.values(&body, &mut 0)
                .map(|values| Lengths::Each(Box::new(values)))
        };
        open.lengths = lengths.map_err(|fault| text.error(group, fault))?;
        Ok(open)
    }
}

impl Cutter {
    /// Begins with record batch `group` of those that have rows.
    pub(in crate::columnar) fn new(columns: &Arc<Columns>, group: usize) -> Self {
        Self {
            columns: Arc::clone(columns),
            group,
            open: None,
        }
    }

    /// Cuts some rows, with texts of about `wanted` bytes, off those that are left, of which there is at
    /// least one.
    pub(in crate::columnar) fn cut(&mut self, wanted: u64) -> Result<Part> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => OpenBatch::new(&self.columns, self.group)?,
        };
        let mut part = Part {
            group: self.group,
            before: open.before,
            ..Part::default()
        };
        match &mut open.lengths {
            Lengths::Average(bytes) => {
                let row = bytes.saturating_add(open.kept_bytes).max(1);
                part.rows = (wanted / row).clamp(1, MAX_SLICE_ROWS).min(open.left);
                part.text_bytes = part.rows.saturating_mul(row);
            }
            Lengths::Each(values) => {
                let rows = open.left.min(MAX_SLICE_ROWS);
                while part.rows < rows && part.text_bytes < wanted {
                    let length = values.len(part.before + part.rows);
                    let length =
                        length.map_err(|fault| self.columns.text.error(self.group, fault))?;
                    part.rows += 1;
                    let row = length.saturating_add(open.kept_bytes);
                    part.text_bytes = part.text_bytes.saturating_add(row);
                }
            }
        }
        open.before += part.rows;
        open.left -= part.rows;
        if open.left > 0 {
            self.open = Some(open);
        } else {
            self.group += 1;
        }
        Ok(part)
    }
}
