//! The values of dictionaries.

use std::sync::Arc;

use crate::columnar::arrow::Fault;
use crate::columnar::arrow::batch::BatchBody;
use crate::columnar::arrow::buffer::WHOLE_BYTES;
use crate::columnar::arrow::file::File;
use crate::columnar::arrow::schema::{Kind, Parts};
use crate::columnar::arrow::values::{Value, Values};

/// A dictionary: one part, and one for each delta.
pub(super) struct Dictionary {
    /// Which messages of the file have them.
    messages: Vec<usize>,
    parts: Vec<Values>,
}

/// A dictionary of which one thread reads values.
pub(super) struct Lookup {
    /// Each with the index of its first value.
    parts: Vec<(u64, Values)>,
    rows: u64,
}

impl Dictionary {
    /// The dictionary `number` as it is after the first `messages` of the file: `last`, if that is it.
    pub(super) fn open(
        file: &File,
        (number, kind): (i64, Kind),
        messages: usize,
        last: Option<Arc<Self>>,
    ) -> Result<Arc<Self>, Fault> {
        let parts = file.dictionaries.iter().enumerate().take(messages);
        let mut found = Vec::new();
        for (index, part) in parts.rev().filter(|(_, part)| part.number == number) {
            found.push(index);
            if !part.is_delta {
                break;
            }
        }
        found.reverse();
        let is_base = |index: &usize| !file.dictionaries[*index].is_delta;
        if !found.first().is_some_and(is_base) {
            return Err(Fault::damaged("has no dictionary"));
        }
        if let Some(last) = last.filter(|last| last.messages == found) {
            return Ok(last);
        }
        let mut budget = WHOLE_BYTES;
        let mut parts = Vec::with_capacity(found.len());
        for index in &found {
            let batch = BatchBody::open(&file.stored, &file.dictionaries[*index].place)?;
            let values = Values::open(&batch, Parts::default(), kind, true, &mut budget)?;
            parts.push(values);
        }
        Ok(Arc::new(Self {
            messages: found,
            parts,
        }))
    }

    /// About the length of a value.
    pub(super) fn average_bytes(&self) -> u64 {
        let bytes = self.parts.iter().map(Values::text_bytes);
        let rows = self.parts.iter().map(|part| part.rows);
        bytes.fold(0, u64::saturating_add) / rows.fold(0, u64::saturating_add).max(1)
    }

    pub(super) fn lookup(&self) -> Lookup {
        let mut rows = 0_u64;
        let parts = self.parts.iter().map(|part| {
            let first = rows;
            rows = rows.saturating_add(part.rows);
            (first, part.clone())
        });
        Lookup {
            parts: parts.collect(),
            rows,
        }
    }
}

impl Lookup {
    /// The value with this index.
    pub(super) fn get(&mut self, index: u64) -> Result<Value<'_>, Fault> {
        let next = self.parts.partition_point(|(first, _)| *first <= index);
        match next.checked_sub(1).and_then(|at| self.parts.get_mut(at)) {
            Some((first, part)) if index < self.rows => part.get(index - *first),
            _ => Err(Fault::damaged("has an index that is not in its dictionary")),
        }
    }
}
