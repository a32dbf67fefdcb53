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
    /// Each with the index of its first value.
    parts: Vec<(u64, Arc<Values>)>,
    /// How many values there are.
    rows: u64,
    /// How much more of it may be decompressed.
    budget: u64,
}

/// A dictionary of which one thread reads values.
pub(super) struct Lookup {
    dictionary: Arc<Dictionary>,
    /// The index of the part that was read last, and a copy of it to read.
    open: Option<(usize, Values)>,
}

impl Dictionary {
    /// The dictionary `number` as it is after the first `messages` of the file. What `last` has of it is
    /// not read again: a stream may have a delta before each record batch.
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
        let mut dictionary = Self {
            messages: Vec::new(),
            parts: Vec::new(),
            rows: 0,
            budget: WHOLE_BYTES,
        };
        match last {
            Some(last) if last.messages == found => return Ok(last),
            Some(last) if found.starts_with(&last.messages) => {
                dictionary.parts.clone_from(&last.parts);
                dictionary.rows = last.rows;
                dictionary.budget = last.budget;
            }
            _ => {}
        }
        for index in &found[dictionary.parts.len()..] {
            let batch = BatchBody::open(&file.stored, &file.dictionaries[*index].place)?;
            let budget = &mut dictionary.budget;
            let values = Values::open(&batch, Parts::default(), kind, true, budget)?;
            let rows = dictionary.rows.checked_add(values.rows);
            dictionary.parts.push((dictionary.rows, Arc::new(values)));
            dictionary.rows = rows.ok_or_else(|| Fault::damaged("has too many values"))?;
        }
        dictionary.messages = found;
        Ok(Arc::new(dictionary))
    }

    /// About the length of a value.
    pub(super) fn average_bytes(&self) -> u64 {
        let bytes = self.parts.iter().map(|(_, part)| part.text_bytes());
        bytes.fold(0, u64::saturating_add) / self.rows.max(1)
    }

    pub(super) fn lookup(self: Arc<Self>) -> Lookup {
        Lookup {
            dictionary: self,
            open: None,
        }
    }
}

impl Lookup {
    /// The value with this index.
    pub(super) fn get(&mut self, index: u64) -> Result<Value<'_>, Fault> {
        let wrong = || Fault::damaged("has an index that is not in its dictionary");
        let parts = &self.dictionary.parts;
        let next = parts.partition_point(|(first, _)| *first <= index);
        let at = next.checked_sub(1).filter(|_| index < self.dictionary.rows);
        let (at, (first, part)) = at
            .and_then(|at| parts.get(at).map(|part| (at, part)))
            .ok_or_else(wrong)?;
        let open = match self.open.take() {
            Some(open) if open.0 == at => open,
            _ => (at, Values::clone(part)),
        };
        self.open.insert(open).1.get(index - first)
    }
}
