//! Windows that never cross a document, found through the mapped document records.
//!
//! Memory holds one number per 64 records: how many windows come before them. A window is found by
//! two binary searches and a walk over at most 64 records, which are half a page; 10^8 documents
//! take 12.5 MB. A document's windows count for the record in which it begins, wherever its other
//! pieces lie, so the windows are the same for every unit size.

use std::ops::{Deref, Range};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use shardmill_core::choice;

use crate::dataset::{DocRecord, Shard, TokenStore};
use crate::error::{Error, Result};
use crate::window::{at_least_1, covered, repeated};

/// How many records lie between two entries of the index.
const BLOCK_RECORDS: usize = 64;

choice! {
    /// How to handle a document's last, incomplete window.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Tail {
        /// Drop it and count it: every window has `seq_len` inputs with their targets.
        #[default]
        Drop = "drop",
        /// Add one more window if targets are left, padded with the end-of-text id. The targets of
        /// padding are [`IGNORED_TARGET`](crate::window::IGNORED_TARGET).
        Pad = "pad",
    }
}

/// What is in no window of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The number of documents without a window.
    pub documents: u64,
    /// The number of tokens that are neither an input nor a target.
    pub tokens: u64,
}

/// A window within a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentWindow {
    /// The number of the document in the dataset.
    pub document: u64,
    /// Its tokens, as offsets in the dataset: the inputs and the target of the last input. There
    /// are `seq_len + 1`, or fewer, but at least 2, if the rest is padding.
    pub tokens: Range<u64>,
}

/// How a document of a given length is cut into windows.
#[derive(Clone, Copy, Debug)]
struct Cut {
    seq_len: u64,
    stride: u64,
    tail: Tail,
}

impl Cut {
    /// The number of windows of a document of `n_tokens` tokens.
    fn count(self, n_tokens: u64) -> u64 {
        let Self {
            seq_len, stride, ..
        } = self;
        // In a corpus of short documents, most need no division.
        match self.tail {
            Tail::Drop if n_tokens <= seq_len => 0,
            Tail::Drop => (n_tokens - seq_len).div_ceil(stride),
            Tail::Pad if n_tokens < 2 => 0,
            Tail::Pad if n_tokens - 1 <= seq_len => 1,
            Tail::Pad => {
                let n_targets = n_tokens - 1;
                let count = 1 + (n_targets - seq_len).div_ceil(stride);
                if stride <= seq_len {
                    return count;
                }
                // There are gaps between windows, and the last window must begin before the last
                // target.
                count.min(n_targets.div_ceil(stride))
            }
        }
    }

    /// The number of tokens of a document that are in one of its `count` windows.
    fn covered(self, count: u64, n_tokens: u64) -> u64 {
        covered(count, n_tokens, self.seq_len, self.stride)
    }
}

/// The index of one shard.
#[derive(Debug)]
struct ShardIndex {
    /// The number of windows, and of documents, that begin in earlier shards.
    windows_before: u64,
    documents_before: u64,
    /// The number of tokens of the shard's last document that lie in later shards.
    later_tokens: u64,
    /// For each block, the number of windows of the shard's records before it.
    blocks: Vec<u64>,
}

/// The result of one pass over the records of a shard.
#[derive(Debug)]
struct Scan {
    /// The number of windows before each block, and of all records.
    blocks: Vec<u64>,
    windows: u64,
    left_out: LeftOut,
    repeated: u64,
    documents: u64,
}

/// The windows of the documents of a dataset, document by document. In a document of `n` tokens,
/// they start at `0, stride, 2*stride, ...` while `start < n - seq_len`, counted from its first
/// token. `n` includes the end-of-text token.
///
/// `S` is a reference or an [`Arc`](std::sync::Arc) to the dataset.
///
/// ```no_run
/// use shardmill::TokenStore;
/// use shardmill::window::{DocumentWindows, Tail};
///
/// let store = TokenStore::open("out".as_ref())?;
/// let windows = DocumentWindows::new(&store, 256, 128, Tail::Drop)?;
/// let last = windows.window(windows.len() - 1)?;
/// let left_out = windows.left_out();
/// println!("{} tokens, none of {} documents", last.tokens.end - last.tokens.start, left_out.documents);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Debug)]
pub struct DocumentWindows<S> {
    store: S,
    cut: Cut,
    shards: Vec<ShardIndex>,
    len: u64,
    left_out: LeftOut,
    repeated: u64,
}

impl<S: Deref<Target = TokenStore>> DocumentWindows<S> {
    /// Reads all document records of `store` once, shards in parallel on rayon's current threads.
    ///
    /// # Errors
    /// [`Error::Config`] if `seq_len` or `stride` is 0; [`Error::Shard`] names a record that does
    /// not fit the ones around it.
    pub fn new(store: S, seq_len: u64, stride: u64, tail: Tail) -> Result<Self> {
        at_least_1("seq_len", seq_len)?;
        at_least_1("stride", stride)?;
        let cut = Cut {
            seq_len,
            stride,
            tail,
        };
        let later = later_tokens(&store)?;
        let store_ref = &*store;
        let scans: Vec<_> = later
            .par_iter()
            .enumerate()
            .map(|(index, &later)| scan(&*store_ref.shard(index)?, later, cut))
            .collect();
        let mut windows = Self {
            shards: Vec::with_capacity(scans.len()),
            store,
            cut,
            len: 0,
            left_out: LeftOut::default(),
            repeated: 0,
        };
        let mut documents = 0;
        for (scan, later_tokens) in scans.into_iter().zip(later) {
            // The first damage in shard order is the one that is reported.
            let scan = scan?;
            windows.shards.push(ShardIndex {
                windows_before: windows.len,
                documents_before: documents,
                later_tokens,
                blocks: scan.blocks,
            });
            windows.len += scan.windows;
            windows.left_out.documents += scan.left_out.documents;
            windows.left_out.tokens += scan.left_out.tokens;
            windows.repeated += scan.repeated;
            documents += scan.documents;
        }
        Ok(windows)
    }

    /// The number of windows.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no windows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is in no window.
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// The number of tokens that are an input of more than one window.
    pub fn n_repeated(&self) -> u64 {
        self.repeated
    }

    /// How the ends of documents are handled.
    pub fn tail(&self) -> Tail {
        self.cut.tail
    }

    /// Window `i`.
    ///
    /// # Errors
    /// [`Error::Shard`] if the records are no longer those that were counted.
    ///
    /// # Panics
    /// If `i` is not less than [`len`](Self::len).
    pub fn window(&self, i: u64) -> Result<DocumentWindow> {
        assert!(i < self.len, "window {i} of {}", self.len);
        let number = self
            .shards
            .partition_point(|shard| shard.windows_before <= i)
            - 1;
        let index = &self.shards[number];
        let shard = self.store.shard(number)?;
        let rest = i - index.windows_before;
        let block = index.blocks.partition_point(|&before| before <= rest) - 1;
        let mut rest = rest - index.blocks[block];
        for (record, within) in ranges(&shard, block * BLOCK_RECORDS).take(BLOCK_RECORDS) {
            let n_tokens = document_tokens(shard.documents(), record, &within, index.later_tokens);
            let count = self.cut.count(n_tokens);
            if rest < count {
                let first = shard.documents().first();
                let starts_inside = u64::from(first.is_some_and(DocRecord::began_earlier));
                let start = rest * self.cut.stride;
                let size = self.cut.seq_len.saturating_add(1).min(n_tokens - start);
                let start = self.store.shard_start(number) + within.start + start;
                return Ok(DocumentWindow {
                    document: (index.documents_before + record as u64)
                        .saturating_sub(starts_inside),
                    tokens: start..start + size,
                });
            }
            rest -= count;
        }
        Err(damaged(&shard, "changed while it was read".to_owned()))
    }
}

fn damaged(shard: &Shard, what: String) -> Error {
    Error::shard(shard.files()[1].path().to_owned(), what)
}

/// For each shard, the number of tokens of its last document that lie in later shards.
fn later_tokens(store: &TokenStore) -> Result<Vec<u64>> {
    let mut later = vec![0; store.n_shards()];
    // If the next shard continues a document, the number of tokens from its start that do.
    let mut going_on: Option<u64> = None;
    for (index, later) in later.iter_mut().enumerate().rev() {
        let shard = store.shard(index)?;
        let records = shard.documents();
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            continue;
        };
        if last.goes_on() != going_on.is_some() {
            let what = "is the piece of a document whose other pieces are not there";
            return Err(damaged(
                &shard,
                format!("record {}: {what}", records.len() - 1),
            ));
        }
        *later = going_on.unwrap_or(0);
        let rest = if records.len() == 1 { *later } else { 0 };
        // A record that claims more tokens than its shard has is reported when the shard is
        // scanned.
        let first_tokens = first.end_tokens.min(shard.tokens().len() as u64);
        going_on = first.began_earlier().then_some(first_tokens + rest);
    }
    if going_on.is_some() {
        return Err(damaged(
            &*store.shard(0)?,
            "record 0: continues a document that did not begin".to_owned(),
        ));
    }
    Ok(later)
}

/// The records from `first` on with their tokens in the shard. These never overlap or reach past
/// the shard, whatever the file says by now.
fn ranges(shard: &Shard, first: usize) -> impl Iterator<Item = (usize, Range<u64>)> {
    let records = shard.documents();
    let n_tokens = shard.tokens().len() as u64;
    let mut start = match first.checked_sub(1) {
        Some(before) => records[before].end_tokens.min(n_tokens),
        None => 0,
    };
    (first..)
        .zip(&records[first..])
        .map(move |(record, found)| {
            let range = start..found.end_tokens.clamp(start, n_tokens);
            start = range.end;
            (record, range)
        })
}

/// The number of tokens of the document that begins with `record`; 0 if none begins there.
fn document_tokens(records: &[DocRecord], record: usize, within: &Range<u64>, later: u64) -> u64 {
    let is_last = record + 1 == records.len();
    if records[record].began_earlier() {
        0
    } else {
        within.end - within.start + if is_last { later } else { 0 }
    }
}

/// Checks and counts the records of a shard.
fn scan(shard: &Shard, later_tokens: u64, cut: Cut) -> Result<Scan> {
    let records = shard.documents();
    let mut found = Scan {
        blocks: Vec::with_capacity(records.len().div_ceil(BLOCK_RECORDS)),
        windows: 0,
        left_out: LeftOut::default(),
        repeated: 0,
        documents: 0,
    };
    let mut end = 0;
    for (record, within) in ranges(shard, 0) {
        let DocRecord { end_tokens, .. } = records[record];
        let is_last = record + 1 == records.len();
        let is_piece =
            records[record].began_earlier() && record > 0 || records[record].goes_on() && !is_last;
        if within.end != end_tokens || is_piece {
            let what = if is_piece {
                "is a piece of a document in the middle of the shard"
            } else {
                "ends before the one before it or after the shard"
            };
            return Err(damaged(shard, format!("record {record}: {what}")));
        }
        end = end_tokens;
        if record.is_multiple_of(BLOCK_RECORDS) {
            found.blocks.push(found.windows);
        }
        if records[record].began_earlier() {
            continue;
        }
        let n_tokens = document_tokens(records, record, &within, later_tokens);
        let count = cut.count(n_tokens);
        found.windows += count;
        found.documents += 1;
        found.left_out.documents += u64::from(count == 0);
        found.left_out.tokens += n_tokens - cut.covered(count, n_tokens);
        found.repeated += repeated(count, cut.seq_len, cut.stride);
    }
    if end != shard.tokens().len() as u64 {
        let what = format!(
            "ends at token {end}, the shard has {}",
            shard.tokens().len()
        );
        return Err(damaged(shard, what));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::window::Windows;

    /// The windows of a document as ranges of its tokens, literally as documented.
    fn model(n_tokens: u64, cut: Cut) -> Vec<Range<u64>> {
        let size = cut.seq_len + 1;
        let mut found: Vec<Range<u64>> = Vec::new();
        let mut start = 0;
        while start + size <= n_tokens {
            found.push(start..start + size);
            start += cut.stride;
        }
        let last_target = found.last().map_or(0, |range| range.end - 1);
        if cut.tail == Tail::Pad && last_target + 1 < n_tokens && start + 2 <= n_tokens {
            found.push(start..n_tokens);
        }
        found
    }

    proptest! {
        #[test]
        fn counts_equal_the_loop(n_tokens in 0_u64..200, seq_len in 1_u64..40, stride in 1_u64..60) {
            for tail in Tail::ALL {
                let cut = Cut { seq_len, stride, tail };
                let windows = model(n_tokens, cut);
                let count = windows.len() as u64;
                prop_assert_eq!(cut.count(n_tokens), count);
                let inputs = |window: &Range<u64>| window.start..window.end.min(window.start + seq_len);
                let is_repeated = |token: &u64| {
                    windows.iter().filter(|window| inputs(window).contains(token)).count() > 1
                };
                let n_repeated = (0..n_tokens).filter(is_repeated).count() as u64;
                prop_assert_eq!(repeated(count, seq_len, stride), n_repeated);
                let tokens: std::collections::BTreeSet<_> = windows.into_iter().flatten().collect();
                prop_assert_eq!(cut.covered(count, n_tokens), tokens.len() as u64);
            }
            let windows = Windows::new(n_tokens, seq_len, stride).unwrap();
            let cut = Cut { seq_len, stride, tail: Tail::Drop };
            prop_assert_eq!(windows.len(), cut.count(n_tokens));
            prop_assert_eq!(n_tokens - windows.n_left_out(), cut.covered(windows.len(), n_tokens));
        }

        #[test]
        fn nothing_overflows(n_tokens in 0_u64..1 << 62, seq_len in 1_u64.., stride in 1_u64..) {
            for tail in Tail::ALL {
                let cut = Cut { seq_len, stride, tail };
                let count = cut.count(n_tokens);
                prop_assert!(cut.covered(count, n_tokens) <= n_tokens);
                prop_assert!(repeated(count, seq_len, stride) <= n_tokens);
            }
        }
    }
}
