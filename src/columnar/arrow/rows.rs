//! Decodes the rows of a slice.

use std::sync::{Arc, MutexGuard, PoisonError};

use crate::columnar::arrow::Fault;
use crate::columnar::arrow::buffer::WHOLE_BYTES;
use crate::columnar::arrow::column::Column;
use crate::columnar::arrow::slices::{Columns, OpenRows};
use crate::columnar::arrow::values::Value;
use crate::columnar::layout::Part;
use crate::document::{Cell, push_cell, push_row};
use crate::error::Result;

/// Decodes the rows of a slice.
pub(in crate::columnar) struct Rows {
    columns: Arc<Columns>,
    /// `None` after the last row.
    open: Option<OpenRows>,
    /// The row after the last.
    end: u64,
    /// Whether later rows are read with the same decoders.
    is_compressed: bool,
}

impl Rows {
    /// Begins to decode the rows of `part`, of which there is at least one.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if they are damaged.
    pub(in crate::columnar) fn new(columns: &Arc<Columns>, part: &Part) -> Result<Self> {
        let (batch, body) = columns.text.batch(part.group)?;
        let mut open = take_left(columns, part);
        if open.is_none() {
            let mut budget = WHOLE_BYTES;
            let mut rows = |column: &Column| {
                let rows = column.rows(batch, &body, &mut budget);
                rows.map_err(|fault| column.error(part.group, fault))
            };
            open = Some(OpenRows {
                group: part.group,
                texts: rows(&columns.text)?,
                kept: columns.kept.iter().map(&mut rows).collect::<Result<_>>()?,
                next: 0,
            });
        }
        if let Some(open) = &mut open {
            open.next = part.before;
        }
        Ok(Self {
            columns: Arc::clone(columns),
            open,
            end: part.before + part.rows,
            is_compressed: body.codec.is_some(),
        })
    }

    /// Appends rows to `rows`, as `document/rows.rs` says, until they have `wanted` bytes; returns
    /// how many, 0 after the last.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if they are damaged.
    pub(in crate::columnar) fn read(&mut self, rows: &mut Vec<u8>, wanted: usize) -> Result<u64> {
        let Some(open) = &mut self.open else {
            return Ok(0);
        };
        let first = open.next;
        let long = |what: &str| Fault::Problem(what.into());
        while rows.len() < wanted && open.next < self.end {
            let text = open.texts.get(open.next).and_then(|value| {
                let text = match value {
                    Value::Text(text) => Some(text),
                    Value::Null | Value::Json(_) => None,
                };
                let is_pushed = push_row(rows, text);
                is_pushed
                    .then_some(())
                    .ok_or_else(|| long("has a text of 4 GiB or more"))
            });
            text.map_err(|fault| self.columns.text.error(open.group, fault))?;
            for (cells, column) in open.kept.iter_mut().zip(&self.columns.kept) {
                let cell = cells.get(open.next).and_then(|value| {
                    let cell = match value {
                        Value::Text(text) => Some(Cell::Text(text)),
                        Value::Json(json) => Some(Cell::Json(json)),
                        Value::Null => None,
                    };
                    let is_pushed = push_cell(rows, cell.as_ref());
                    is_pushed
                        .then_some(())
                        .ok_or_else(|| long("has a value of 4 GiB or more"))
                });
                cell.map_err(|fault| column.error(open.group, fault))?;
            }
            open.next += 1;
        }
        let count = open.next - first;
        if open.next == self.end
            && let Some(open) = self.open.take()
            && self.is_compressed
        {
            lock(&self.columns).push(open);
        }
        Ok(count)
    }
}

fn lock(columns: &Columns) -> MutexGuard<'_, Vec<OpenRows>> {
    let left = columns.left.lock();
    left.unwrap_or_else(PoisonError::into_inner)
}

/// What was left closest before `part`, to be read on from there.
fn take_left(columns: &Columns, part: &Part) -> Option<OpenRows> {
    let mut left = lock(columns);
    // Record batches are read in order, so no earlier one is needed again.
    left.retain(|open| open.group >= part.group);
    let before = left
        .iter()
        .enumerate()
        .filter(|(_, open)| open.group == part.group && open.next <= part.before);
    let (index, _) = before.max_by_key(|(_, open)| open.next)?;
    Some(left.swap_remove(index))
}
