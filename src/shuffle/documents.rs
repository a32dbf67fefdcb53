//! The documents of a dataset by number, in any order.

use std::sync::OnceLock;

use crate::dataset::{DocRecord, ShardRef, TokenStore};
use crate::error::{Error, Result};
use crate::shuffle::lines::LineStarts;

/// The documents of a dataset.
#[derive(Debug)]
pub(super) struct Documents<'a> {
    store: &'a TokenStore,
    /// How many documents begin before shard `i`; one more entry than shards.
    before: Vec<u64>,
    /// Where the lines of kept fields begin in each shard, once it has been used.
    lines: Vec<OnceLock<LineStarts>>,
}

impl<'a> Documents<'a> {
    pub(super) fn of(store: &'a TokenStore) -> Self {
        let mut before = vec![0_u64];
        let mut total = 0_u64;
        for shard in &store.manifest().shards {
            total = total.saturating_add(shard.documents);
            before.push(total);
        }
        Self {
            store,
            before,
            lines: store
                .manifest()
                .shards
                .iter()
                .map(|_| OnceLock::new())
                .collect(),
        }
    }

    pub(super) fn store(&self) -> &TokenStore {
        self.store
    }

    pub(super) fn len(&self) -> u64 {
        self.before.last().copied().unwrap_or(0)
    }

    /// The shard in which document `number` begins, its index, and the index of its record there.
    fn place(&self, number: u64) -> Result<(ShardRef<'_>, usize, usize)> {
        let index = self.before.partition_point(|&before| before <= number) - 1;
        let shard = self.store.shard(index)?;
        // Only the first record of a shard may be of a document that began earlier.
        let first = shard.documents().first();
        let earlier = u64::from(first.is_some_and(DocRecord::began_earlier));
        let record = number - self.before[index] + earlier;
        Ok((shard, index, usize::try_from(record).unwrap_or(usize::MAX)))
    }

    /// Passes the line with the kept fields of document `number` to `each`, if any are kept.
    pub(super) fn read_fields(
        &self,
        number: u64,
        each: impl FnOnce(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if !self.store.manifest().settings.keeps_fields() {
            return Ok(());
        }
        let (shard, index, record) = self.place(number)?;
        let starts = self.lines[index].get_or_init(|| LineStarts::of(shard.fields()));
        let line = starts.line(shard.fields(), record);
        line.map_or_else(|| Err(self.damaged(index)), each)
    }

    /// Document `number`: passes the ids of its pieces to `each`, as bytes, and returns its record,
    /// with the pieces joined, and with `end_tokens` as its number of tokens.
    pub(super) fn read(
        &self,
        number: u64,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<DocRecord> {
        let (mut shard, mut index, mut record) = self.place(number)?;
        let mut document: Option<DocRecord> = None;
        loop {
            let (piece, ids) = self.piece(&shard, index, record)?;
            each(ids)?;
            let n_tokens = (ids.len() as u64) / self.id_bytes();
            let whole = document.get_or_insert(DocRecord {
                end_tokens: 0,
                byte_len: 0,
                flags: piece.flags & DocRecord::EMPTY,
                ..piece
            });
            whole.end_tokens += n_tokens;
            whole.byte_len = whole.byte_len.saturating_add(piece.byte_len);
            if !piece.goes_on() {
                return Ok(*whole);
            }
            index += 1;
            if index == self.store.n_shards() {
                return Err(self.damaged(index - 1));
            }
            shard = self.store.shard(index)?;
            record = 0;
        }
    }

    /// Record `record` of shard `index`, and its ids as bytes.
    fn piece<'s>(
        &self,
        shard: &'s ShardRef<'_>,
        index: usize,
        record: usize,
    ) -> Result<(DocRecord, &'s [u8])> {
        let records = shard.documents();
        let start = match record.checked_sub(1) {
            Some(before) => records.get(before).map(|before| before.end_tokens),
            None => Some(0),
        };
        let found = start.zip(records.get(record)).and_then(|(start, &piece)| {
            let ids = shard.tokens().bytes(start..piece.end_tokens)?;
            Some((piece, ids))
        });
        found.ok_or_else(|| self.damaged(index))
    }

    fn id_bytes(&self) -> u64 {
        self.store.manifest().settings.token_dtype.size_bytes()
    }

    /// The dataset was verified, so it has changed since.
    fn damaged(&self, index: usize) -> Error {
        let name = &self.store.manifest().shards[index].docs_file;
        let what = ("changed while it was read", "`verify` says what is damaged");
        Error::shard(self.store.path().join(name), what)
    }
}
