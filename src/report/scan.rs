//! Reads every shard once, and counts its ids, documents and bytes.
//!
//! Threads take 16 MiB blocks of ids. Documents that lie in several blocks are joined afterwards,
//! in order.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use shardmill_core::token::TokenId;
use shardmill_tokenizer::Tokenizer;

use crate::dataset::{
    DocRecord, DocumentCheck, Eot, ShardInfo, TokenStore, Tokens, beyond_vocabulary, check_block,
    check_blocks,
};
use crate::error::{Error, Result};
use crate::hash::BLOCK_BYTES;
use crate::progress::Stats;
use crate::report::buckets::Buckets;
use crate::report::sources::{SourceSums, Tally};

/// What was counted.
#[derive(Debug)]
pub(super) struct Counted {
    /// How often each id occurs, up to the largest that does.
    pub(super) ids: Vec<u64>,
    /// The lengths of documents, in tokens.
    pub(super) lengths: Buckets,
    /// Hundredths of bytes per token of the documents that have text; none without a tokenizer.
    pub(super) density: Buckets,
    pub(super) sources: Tally,
}

/// Checks and counts everything, on rayon's current threads.
pub(super) fn scan(
    store: &TokenStore,
    tokenizer: Option<&Tokenizer>,
    stats: &Stats,
) -> Result<Counted> {
    let manifest = store.manifest();
    let sizes = manifest.shards.iter();
    stats.begin(sizes.fold(0, |sum, info| {
        sum.saturating_add(info.bytes)
            .saturating_add(info.docs_bytes)
    }));
    check_documents(store, stats)?;
    let scan = Scan {
        store,
        stats,
        lens: tokenizer.map(TokenBytes::of),
        sources: Tally::new(manifest.sources.len()),
        workers: Mutex::default(),
    };
    let found: Vec<_> = blocks(&manifest.shards)
        .into_par_iter()
        .map(|block| scan.with_worker(|worker| scan.block(block, worker)))
        .collect();
    let mut total = Worker::default();
    let mut open = Piece::default();
    for edges in found {
        // The first damage in the order of the shards is the one that is reported.
        let edges = edges?;
        if let Some(head) = edges.head {
            open.extend(head);
            if edges.head_ends {
                total.document(std::mem::take(&mut open), scan.lens.is_some());
            }
        }
        if let Some(tail) = edges.tail {
            open = tail;
        }
    }
    let workers = scan.workers.into_inner();
    for worker in workers.unwrap_or_else(PoisonError::into_inner) {
        total.merge(&worker);
    }
    Ok(Counted {
        ids: total.counts,
        lengths: total.lengths,
        density: total.density,
        sources: scan.sources,
    })
}

/// Checks all document records, as `verify` does.
fn check_documents(store: &TokenStore, stats: &Stats) -> Result<()> {
    let manifest = store.manifest();
    let mut check = DocumentCheck::new(store.path(), manifest)?;
    for (info, shard) in manifest.shards.iter().zip(store.shards()) {
        if stats.is_stopped() {
            return Err(Error::Stopped);
        }
        let shard = shard?;
        let [_, docs] = shard.files();
        check_blocks(docs, &info.docs_blocks, stats)?;
        if let Some((fields, map)) = info.fields.as_ref().zip(shard.fields_file()) {
            check_blocks(map, &fields.blocks, stats)?;
            map.release(0..map.len());
        }
        check.check_shard(info, &shard)?;
        docs.release(0..docs.len());
    }
    check.check_totals(store.path())
}

/// A block of a shard's ids.
#[derive(Clone, Copy, Debug)]
struct Block {
    shard: usize,
    index: usize,
}

/// The blocks of all shards. A shard without ids has one, too, for its documents.
fn blocks(shards: &[ShardInfo]) -> Vec<Block> {
    let blocks = shards.iter().enumerate().flat_map(|(shard, info)| {
        let count = info.bytes.div_ceil(BLOCK_BYTES as u64).max(1);
        // The file is mapped, so its blocks fit in usize.
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        (0..count).map(move |index| Block { shard, index })
    });
    blocks.collect()
}

/// A document, or the part of one that lies in a block.
#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    tokens: u64,
    bytes: u64,
    is_empty: bool,
}

impl Piece {
    fn extend(&mut self, more: Self) {
        self.tokens += more.tokens;
        self.bytes += more.bytes;
        self.is_empty &= more.is_empty;
    }
}

/// The documents that are not wholly in a block.
#[derive(Clone, Copy, Debug, Default)]
struct Edges {
    /// The end of one that began in an earlier block, or all of the block.
    head: Option<Piece>,
    /// Whether that one ends here.
    head_ends: bool,
    /// The beginning of one that ends in a later block.
    tail: Option<Piece>,
}

/// What one thread counted. There are as many as threads that work at the same time.
#[derive(Debug, Default)]
struct Worker {
    counts: Vec<u64>,
    lengths: Buckets,
    density: Buckets,
}

impl Worker {
    /// Counts a whole document.
    fn document(&mut self, document: Piece, has_bytes: bool) {
        self.lengths.add(document.tokens);
        if has_bytes && !document.is_empty && document.tokens > 0 {
            let hundredths = u128::from(document.bytes) * 100 / u128::from(document.tokens);
            self.density
                .add(u64::try_from(hundredths).unwrap_or(u64::MAX));
        }
    }

    /// Counts `ids`.
    ///
    /// # Errors
    /// The place among `ids` of the first that is not below `n_vocab`.
    fn count<T: Copy + Into<TokenId>>(
        &mut self,
        ids: &[T],
        n_vocab: u32,
    ) -> std::result::Result<(), usize> {
        for (at, &id) in ids.iter().enumerate() {
            let id = id.into();
            if let Some(count) = self.counts.get_mut(id as usize) {
                *count += 1;
            } else if id < n_vocab {
                self.grow(id, n_vocab);
                self.counts[id as usize] += 1;
            } else {
                return Err(at);
            }
        }
        Ok(())
    }

    /// Makes room for the count of `id`. There is none for ids that are far beyond all that occur,
    /// whatever the manifest says about the vocabulary.
    #[cold]
    fn grow(&mut self, id: TokenId, n_vocab: u32) {
        let len = (id as usize + 1).next_power_of_two().min(n_vocab as usize);
        self.counts.resize(len, 0);
    }

    fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.lengths.merge(&other.lengths);
        self.density.merge(&other.density);
    }
}

/// How many bytes each id stands for.
#[derive(Debug)]
struct TokenBytes<'a> {
    tokenizer: &'a Tokenizer,
    lens: Vec<u32>,
}

impl<'a> TokenBytes<'a> {
    fn of(tokenizer: &'a Tokenizer) -> Self {
        let len = |id| tokenizer.token_bytes(id).map_or(0, <[u8]>::len);
        let lens = (0..tokenizer.n_vocab()).map(|id| u32::try_from(len(id)).unwrap_or(u32::MAX));
        Self {
            tokenizer,
            lens: lens.collect(),
        }
    }

    fn sum<T: Copy + Into<TokenId>>(&self, ids: &[T]) -> u64 {
        let lens = ids.iter().map(|&id| {
            self.lens
                .get(id.into() as usize)
                .copied()
                .map_or(0, u64::from)
        });
        lens.sum()
    }

    /// How many bytes of token `id`, the first of a text, the tokenizer put before the text.
    fn put_before(&self, id: TokenId) -> u64 {
        let bytes = self.tokenizer.token_bytes(id).unwrap_or_default();
        let spaces = bytes.iter().take(self.tokenizer.leading_spaces() as usize);
        spaces.take_while(|&&byte| byte == b' ').count() as u64
    }
}

/// What all threads share.
struct Scan<'a> {
    store: &'a TokenStore,
    stats: &'a Stats,
    lens: Option<TokenBytes<'a>>,
    sources: Tally,
    /// The workers that no thread uses right now.
    workers: Mutex<Vec<Worker>>,
}

impl Scan<'_> {
    fn with_worker<T>(&self, work: impl FnOnce(&mut Worker) -> T) -> T {
        let workers = || self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = workers().pop();
        let mut worker = idle.unwrap_or_default();
        let done = work(&mut worker);
        workers().push(worker);
        done
    }

    /// Checks and counts a block.
    fn block(&self, block: Block, worker: &mut Worker) -> Result<Edges> {
        if self.stats.is_stopped() {
            return Err(Error::Stopped);
        }
        let shard = self.store.shard(block.shard)?;
        let manifest = self.store.manifest();
        let [map, docs] = shard.files();
        check_block(
            map,
            &manifest.shards[block.shard].blocks,
            block.index,
            self.stats,
        )?;
        let start = block.index * BLOCK_BYTES;
        let bytes = start..map.len().min(start + BLOCK_BYTES);
        let size = shard.tokens().size_bytes();
        let within = bytes.start / size..bytes.end / size;
        let n_vocab = manifest.encoding.n_vocab;
        let counted = match shard.tokens() {
            Tokens::U16(ids) => worker.count(&ids[within.clone()], n_vocab),
            Tokens::U32(ids) => worker.count(&ids[within.clone()], n_vocab),
        };
        counted.map_err(|at| beyond_vocabulary(&shard, within.start + at, n_vocab))?;
        let edges = match shard.tokens() {
            Tokens::U16(ids) => self.documents(shard.documents(), ids, within.clone(), worker),
            Tokens::U32(ids) => self.documents(shard.documents(), ids, within.clone(), worker),
        };
        map.release(bytes);
        docs.release(record_bytes(shard.documents(), &within));
        Ok(edges)
    }

    /// Counts the documents of a shard with these `records` and `ids`, as far as they are `within`
    /// the block.
    fn documents<T: Copy + Into<TokenId>>(
        &self,
        records: &[DocRecord],
        ids: &[T],
        within: Range<usize>,
        worker: &mut Worker,
    ) -> Edges {
        let mut edges = Edges::default();
        let mut run = (0, SourceSums::default());
        for (record, tokens) in records_within(records, &within, ids.len()) {
            let here = tokens.start.max(within.start)..tokens.end.min(within.end);
            let begins = tokens.start >= within.start && !record.began_earlier();
            let ends = tokens.end <= within.end && !record.goes_on();
            let piece = Piece {
                tokens: here.len() as u64,
                bytes: self.text_bytes(record, tokens, &here, ids),
                is_empty: record.is_empty(),
            };
            match (begins, ends) {
                (true, true) => worker.document(piece, self.lens.is_some()),
                (true, false) => edges.tail = Some(piece),
                (false, _) => {
                    edges.head = Some(piece);
                    edges.head_ends = ends;
                }
            }
            if run.0 != record.source {
                self.sources.add(run.0, std::mem::take(&mut run.1));
                run.0 = record.source;
            }
            run.1.tokens += piece.tokens;
            run.1.documents += u64::from(begins);
            run.1.text_bytes += piece.bytes;
        }
        self.sources.add(run.0, run.1);
        edges
    }

    /// The bytes of text that the ids `here` stand for, which belong to a record with these
    /// `tokens`.
    fn text_bytes<T: Copy + Into<TokenId>>(
        &self,
        record: &DocRecord,
        tokens: Range<usize>,
        here: &Range<usize>,
        ids: &[T],
    ) -> u64 {
        let Some(lens) = &self.lens else { return 0 };
        let settings = &self.store.manifest().settings;
        let mut text = tokens;
        if !record.began_earlier() {
            text.start += usize::from(settings.eot == Eot::Before);
            text.start += usize::from(settings.bos.is_some());
        }
        if !record.goes_on() {
            text.end = text
                .end
                .saturating_sub(usize::from(settings.eot == Eot::After));
        }
        let first = text.start;
        let start = text.start.max(here.start);
        let text = start..text.end.min(here.end).max(start);
        let Some(text_ids) = ids.get(text.clone()).filter(|ids| !ids.is_empty()) else {
            return 0;
        };
        let put_before = if record.began_earlier() || start > first {
            0
        } else {
            lens.put_before(text_ids[0].into())
        };
        lens.sum(text_ids) - put_before
    }
}

/// The records that begin in the block `within`, and the one before if it reaches into the block,
/// with their tokens in the shard, which has `n_tokens`. A record without tokens at the border of
/// two blocks belongs to the later one.
fn records_within<'r>(
    records: &'r [DocRecord],
    within: &Range<usize>,
    n_tokens: usize,
) -> impl Iterator<Item = (&'r DocRecord, Range<usize>)> {
    let end_of = move |record: &DocRecord| {
        // Checked before; it stays in bounds even if the file has changed since.
        usize::try_from(record.end_tokens).map_or(n_tokens, |end| end.min(n_tokens))
    };
    let within = within.clone();
    let first = records.partition_point(|record| end_of(record) < within.start);
    let mut start = first
        .checked_sub(1)
        .map_or(0, |before| end_of(&records[before]));
    records[first..]
        .iter()
        .map(move |record| {
            let tokens = start..end_of(record).max(start);
            start = tokens.end;
            (record, tokens)
        })
        .skip_while({
            let begin = within.start;
            move |(_, tokens)| tokens.start < begin && tokens.end <= begin
        })
        .take_while(move |(_, tokens)| {
            tokens.start < within.end || tokens.start == within.end && within.end == n_tokens
        })
}

/// The bytes of the records that end in the block `within`.
fn record_bytes(records: &[DocRecord], within: &Range<usize>) -> Range<usize> {
    let ending_before = |token: usize| {
        let ends_before = |record: &DocRecord| record.end_tokens < token as u64;
        records.partition_point(ends_before) * size_of::<DocRecord>()
    };
    ending_before(within.start)..ending_before(within.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(end_tokens: u64) -> DocRecord {
        DocRecord {
            end_tokens,
            byte_start: 0,
            byte_len: 0,
            source: 0,
            flags: 0,
        }
    }

    #[test]
    fn every_record_belongs_to_the_blocks_that_it_reaches_into() {
        // Empty documents at the begin, at borders of blocks and at the end.
        let ends = [0, 0, 3, 4, 4, 4, 9, 12, 12, 16, 16];
        let records: Vec<_> = ends.iter().copied().map(record).collect();
        for size in 1..20 {
            let mut begun = 0;
            let mut tokens = vec![0; ends.len()];
            for start in (0..16).step_by(size) {
                let within = start..16.min(start + size);
                for (record, range) in records_within(&records, &within, 16) {
                    let index = records
                        .iter()
                        .position(|other| std::ptr::eq(other, record))
                        .unwrap();
                    let here = range.start.max(within.start)..range.end.min(within.end);
                    assert!(here.start <= here.end, "{size} {start} {index}");
                    tokens[index] += here.len();
                    begun += usize::from(range.start >= within.start);
                }
            }
            assert_eq!(begun, ends.len(), "each begins in one block of {size}");
            let before = [0].into_iter().chain(ends);
            let expected: Vec<_> = before
                .zip(ends)
                .map(|(start, end)| usize::try_from(end - start).unwrap())
                .collect();
            assert_eq!(tokens, expected, "{size}");
        }
        assert_eq!(records_within(&records[..2], &(0..0), 0).count(), 2);
    }

    #[test]
    fn counts_grow_with_the_ids_that_occur() {
        let mut worker = Worker::default();
        assert_eq!(worker.count(&[7_u16, 7, 300], u32::MAX), Ok(()));
        assert_eq!((worker.counts.len(), worker.counts[7]), (512, 2));
        // Never more than there are ids, so that one beyond them is noticed.
        let mut worker = Worker::default();
        assert_eq!(worker.count(&[1_u32, 400, 401], 401), Err(2));
        assert_eq!(worker.counts.len(), 401);
    }
}
