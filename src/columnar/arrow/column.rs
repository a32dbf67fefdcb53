//! The values of a column in a record batch, and what is wrong with them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::columnar::arrow::Fault;
use crate::columnar::arrow::batch::BatchBody;
use crate::columnar::arrow::buffer::Buffer;
use crate::columnar::arrow::dictionary::{Dictionary, Lookup};
use crate::columnar::arrow::file::{Batch, File};
use crate::columnar::arrow::schema;
use crate::columnar::arrow::values::{Value, Values, has_bit};
use crate::error::{Error, Result};

/// A column that is read.
pub(super) struct Column {
    pub(super) file: Arc<File>,
    /// What the schema says of it.
    pub(super) entry: schema::Column,
    /// The dictionary that was read last.
    pub(super) last: Mutex<Option<Arc<Dictionary>>>,
}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Column")
            .field("file", &self.file)
            .field("name", &self.entry.name)
            .finish_non_exhaustive()
    }
}

/// The values of a column in a record batch, row by row.
pub(super) struct ColumnRows {
    /// Which rows of the structs that it lies in are null.
    outer: Vec<Buffer>,
    values: Values,
    /// Into which the values are indices.
    dictionary: Option<Lookup>,
}

impl Column {
    /// The error for `fault` in record batch `group` of those that have rows.
    pub(super) fn error(&self, group: usize, fault: Fault) -> Error {
        match fault {
            Fault::Error(error) => error,
            Fault::Problem(problem) => {
                let index = self.file.batches.get(group).map_or(0, |batch| batch.index);
                let place = format!("record batch {index}, column '{}': ", self.entry.name);
                Error::input(&self.file.path, problem.at(place))
            }
        }
    }

    /// Record batch `group` of those that have rows, with its metadata.
    pub(super) fn batch(&self, group: usize) -> Result<(&Batch, BatchBody)> {
        let batch = self.file.batches.get(group);
        let batch = batch.ok_or_else(|| self.error(group, Fault::damaged("is missing")))?;
        let body = BatchBody::open(&self.file.stored, &batch.place);
        Ok((batch, body.map_err(|fault| self.error(group, fault))?))
    }

    /// The dictionary that applies to a record batch; `None` if the column has none.
    pub(super) fn dictionary(
        &self,
        batch: &Batch,
    ) -> std::result::Result<Option<Arc<Dictionary>>, Fault> {
        let Some((number, _)) = self.entry.dictionary else {
            return Ok(None);
        };
        let lock = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (which, last) = ((number, self.entry.kind), lock().clone());
        let dictionary = Dictionary::open(&self.file, which, batch.dictionaries, last)?;
        *lock() = Some(Arc::clone(&dictionary));
        Ok(Some(dictionary))
    }

    /// What is in the buffers of a record batch: the values, or indices.
    pub(super) fn values(
        &self,
        body: &BatchBody,
        budget: &mut u64,
    ) -> std::result::Result<Values, Fault> {
        let kind = self
            .entry
            .dictionary
            .map_or(self.entry.kind, |(_, index)| index);
        Values::open(body, self.entry.parts, kind, false, budget)
    }

    /// About how many bytes its values are stored in.
    pub(super) fn stored_bytes(&self, body: &BatchBody) -> std::result::Result<u64, Fault> {
        body.bytes(self.entry.parts, self.entry.kind)
    }

    /// The rows of a record batch, which needs no more memory than `budget` for what is read as a whole.
    pub(super) fn rows(
        &self,
        batch: &Batch,
        body: &BatchBody,
        budget: &mut u64,
    ) -> std::result::Result<ColumnRows, Fault> {
        let mut outer = Vec::new();
        let mut inside = self.entry.inside;
        while let Some(index) = inside {
            let Some(found) = self.file.schema.structs.get(index) else {
                break;
            };
            let (first, _) = body.place(found.parts, schema::Kind::Other("Struct"))?;
            outer.extend(body.nulls(found.parts, first)?);
            inside = found.inside;
        }
        let dictionary = self.dictionary(batch)?;
        Ok(ColumnRows {
            outer,
            values: self.values(body, budget)?,
            dictionary: dictionary.map(Dictionary::lookup),
        })
    }
}

impl ColumnRows {
    /// The value of row `row`. Rows are asked for in order.
    pub(super) fn get(&mut self, row: u64) -> std::result::Result<Value<'_>, Fault> {
        for outer in &mut self.outer {
            if !has_bit(outer, row)? {
                return Ok(Value::Null);
            }
        }
        match &mut self.dictionary {
            None => self.values.get(row),
            Some(dictionary) => match self.values.index(row)? {
                Some(index) => dictionary.get(index),
                None => Ok(Value::Null),
            },
        }
    }
}
