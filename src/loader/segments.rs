//! Which documents lie in a range of a dataset's tokens.

use std::ops::Range;

use crate::dataset::{DocRecord, TokenStore};
use crate::error::{Error, Result};

/// Where the documents of a dataset begin, by shard.
#[derive(Debug)]
pub(super) struct Segments {
    /// For each shard, the number of documents that begin in earlier shards.
    documents_before: Vec<u64>,
}

/// Joins the pieces of a document that spans several shards.
struct Join<F: FnMut(u64, u64)> {
    document: u64,
    tokens: u64,
    found: F,
}

impl<F: FnMut(u64, u64)> Join<F> {
    fn add(&mut self, document: u64, tokens: u64) {
        if document != self.document {
            self.finish();
            self.document = document;
        }
        self.tokens += tokens;
    }

    /// Reports the open document, if it has a token.
    fn finish(&mut self) {
        if self.tokens > 0 {
            (self.found)(self.document, self.tokens);
        }
        self.tokens = 0;
    }
}

impl Segments {
    pub(super) fn new(store: &TokenStore) -> Self {
        let shards = store.manifest().shards.iter();
        let documents_before = shards.scan(0_u64, |before, info| {
            let here = *before;
            *before = before.saturating_add(info.documents);
            Some(here)
        });
        Self {
            documents_before: documents_before.collect(),
        }
    }

    /// Calls `found`, document by document, with the number of the document and how many of its
    /// tokens lie in `tokens`, a range of offsets in the dataset.
    ///
    /// # Errors
    /// [`Error::Shard`] if the records do not reach as far as the tokens.
    pub(super) fn walk(
        &self,
        store: &TokenStore,
        tokens: Range<u64>,
        found: impl FnMut(u64, u64),
    ) -> Result<()> {
        let mut join = Join {
            document: 0,
            tokens: 0,
            found,
        };
        let first = shard_of(store, tokens.start);
        for number in first..store.n_shards() {
            let Range { start, end } = store.shard_tokens(number);
            if start >= tokens.end {
                break;
            }
            let within = tokens.start.max(start) - start..tokens.end.min(end) - start;
            self.walk_shard(store, number, within, &mut join)?;
        }
        join.finish();
        Ok(())
    }

    /// The documents of `tokens`, a range of offsets in shard `number`.
    fn walk_shard<F: FnMut(u64, u64)>(
        &self,
        store: &TokenStore,
        number: usize,
        tokens: Range<u64>,
        join: &mut Join<F>,
    ) -> Result<()> {
        if tokens.is_empty() {
            return Ok(());
        }
        let shard = store.shard(number)?;
        let records = shard.documents();
        let starts_inside = u64::from(records.first().is_some_and(DocRecord::began_earlier));
        let mut at = tokens.start;
        let first = records.partition_point(|record| record.end_tokens <= at);
        for (record, place) in records[first..].iter().zip(first as u64..) {
            if at == tokens.end {
                break;
            }
            // A damaged record may end anywhere, so clamp its end to the rest of the range.
            let to = record.end_tokens.clamp(at, tokens.end);
            let document = self.documents_before[number] + place;
            join.add(document.saturating_sub(starts_inside), to - at);
            at = to;
        }
        if at < tokens.end {
            return Err(Error::shard(
                shard.files()[1].path(),
                (
                    format!("ends at token {at}, the shard has {}", shard.tokens().len()),
                    "`verify` says what is damaged",
                ),
            ));
        }
        Ok(())
    }
}

/// The last shard that begins at or before token `offset`.
fn shard_of(store: &TokenStore, offset: u64) -> usize {
    let (mut low, mut high) = (0, store.n_shards());
    while low < high {
        let middle = usize::midpoint(low, high);
        if store.shard_start(middle) <= offset {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low.saturating_sub(1)
}
