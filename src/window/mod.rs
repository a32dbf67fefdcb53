//! Training windows: which ranges of a token stream are inputs and targets, and in what order.
//!
//! Reads counts of tokens and document records; does not know what is done with the windows.
//!
//! A window starts at `0, stride, 2*stride, ...` while `start < n_tokens - seq_len`; its inputs are
//! `start..start + seq_len`, and its targets the same range shifted by one.
//!
//! ```text
//! mod        windows of a stream, and batches of windows: pure arithmetic on counts
//! config     which windows, in what order and batches
//! documents  windows within documents, over the mapped document records
//! set        either kind, with their ids
//! order      the order of the windows: sequential, PyTorch's, or keyed
//! keyed      a permutation that needs no memory
//! rank       which places of an order each process takes
//! ```

mod config;
mod documents;
mod keyed;
mod order;
mod rank;
mod set;

use std::ops::Range;

use crate::error::{Error, Result};

pub use config::WindowConfig;
pub use documents::{DocumentWindow, DocumentWindows, LeftOut, Tail};
pub use keyed::KeyedPermutation;
pub use order::{Order, ShuffleOrder};
pub use rank::Rank;
pub(crate) use set::WindowSet;
pub use set::{IGNORED_TARGET, WindowKind};

/// The windows of a stream of `n_tokens`, each of `seq_len` tokens, `stride` tokens apart.
///
/// # Examples
///
/// ```
/// use shardmill::Windows;
///
/// let windows = Windows::new(10, 4, 3)?;
/// assert_eq!(windows.len(), 2);
/// assert_eq!(windows.inputs(1), 3..7);
/// assert_eq!(windows.targets(1), 4..8);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    n_tokens: u64,
    seq_len: u64,
    stride: u64,
}

impl Windows {
    /// Windows over `n_tokens` tokens. A stream of `seq_len` tokens or fewer has none, because the
    /// last target would be missing.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `seq_len` or `stride` is 0.
    pub fn new(n_tokens: u64, seq_len: u64, stride: u64) -> Result<Self> {
        at_least_1("seq_len", seq_len)?;
        at_least_1("stride", stride)?;
        Ok(Self {
            n_tokens,
            seq_len,
            stride,
        })
    }

    /// The number of tokens in the stream.
    pub fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// The number of tokens in a window.
    pub fn seq_len(&self) -> u64 {
        self.seq_len
    }

    /// Tokens from the start of one window to the start of the next.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// The number of windows.
    pub fn len(&self) -> u64 {
        self.n_tokens
            .saturating_sub(self.seq_len)
            .div_ceil(self.stride)
    }

    /// Whether there are no windows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of tokens of the stream that are neither an input nor a target.
    pub fn n_left_out(&self) -> u64 {
        self.n_tokens - covered(self.len(), self.n_tokens, self.seq_len, self.stride)
    }

    /// The number of tokens of the stream that are an input of more than one window.
    pub fn n_repeated(&self) -> u64 {
        repeated(self.len(), self.seq_len, self.stride)
    }

    /// The first token of window `i`.
    ///
    /// # Panics
    ///
    /// Where `i` is not less than [`len`](Self::len).
    pub fn start(&self, i: u64) -> u64 {
        assert!(i < self.len(), "window {i} of {}", self.len());
        i * self.stride
    }

    /// The tokens of window `i`.
    ///
    /// # Panics
    ///
    /// Like [`start`](Self::start).
    pub fn inputs(&self, i: u64) -> Range<u64> {
        let start = self.start(i);
        start..start + self.seq_len
    }

    /// The targets of window `i`: its inputs shifted by one.
    ///
    /// # Panics
    ///
    /// Like [`start`](Self::start).
    pub fn targets(&self, i: u64) -> Range<u64> {
        let Range { start, end } = self.inputs(i);
        start + 1..end + 1
    }

    /// The windows in batches of `batch_size`. If the last batch is incomplete, it has fewer rows,
    /// or is left out if `drop_last` is set.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `batch_size` is 0.
    pub fn batches(&self, batch_size: u64, drop_last: bool) -> Result<Batches> {
        Batches::new(self.len(), batch_size, drop_last)
    }
}

/// The batches of a set of windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// The number of windows in all batches together.
    n_rows: u64,
    batch_size: u64,
}

impl Batches {
    /// Batches of `batch_size` out of `n_windows` windows, as in [`Windows::batches`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `batch_size` is 0.
    pub fn new(n_windows: u64, batch_size: u64, drop_last: bool) -> Result<Self> {
        at_least_1("batch_size", batch_size)?;
        Ok(Self {
            n_rows: if drop_last {
                n_windows - n_windows % batch_size
            } else {
                n_windows
            },
            batch_size,
        })
    }

    /// The number of batches.
    pub fn len(&self) -> u64 {
        self.n_rows.div_ceil(self.batch_size)
    }

    /// Whether there are no batches.
    pub fn is_empty(&self) -> bool {
        self.n_rows == 0
    }

    /// The number of windows in all batches together, without those that `drop_last` leaves out.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// The places in the order of the rows of batch `b`.
    ///
    /// # Panics
    ///
    /// If `b` is not less than [`len`](Self::len).
    pub fn rows(&self, b: u64) -> Range<u64> {
        assert!(b < self.len(), "batch {b} of {}", self.len());
        let start = b * self.batch_size;
        start..start + self.batch_size.min(self.n_rows - start)
    }
}

/// How many of `n_tokens` are in one of `count` windows of `seq_len` inputs and a target.
fn covered(count: u64, n_tokens: u64, seq_len: u64, stride: u64) -> u64 {
    let Some(earlier) = count.checked_sub(1) else {
        return 0;
    };
    let size = seq_len.saturating_add(1);
    let last = size.min(n_tokens - earlier * stride);
    earlier * stride.min(size) + last
}

/// How many tokens are an input of more than one of `count` windows.
fn repeated(count: u64, seq_len: u64, stride: u64) -> u64 {
    let overlap = seq_len.saturating_sub(stride);
    match count.checked_sub(2) {
        // Each window but the last overlaps the next one; by more than a stride if a token is in
        // three.
        Some(more) => more * overlap.min(stride) + overlap,
        None => 0,
    }
}

pub(crate) fn at_least_1(field: &'static str, value: u64) -> Result<()> {
    if value == 0 {
        return Err(Error::config(field, "must be at least 1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_sizes_are_refused_by_name() {
        let error = |result: Result<Windows>| result.unwrap_err().to_string();
        assert!(error(Windows::new(9, 0, 1)).starts_with("seq_len: "));
        assert!(error(Windows::new(9, 1, 0)).starts_with("stride: "));
        let windows = Windows::new(9, 1, 1).unwrap();
        let error = windows.batches(0, true).unwrap_err().to_string();
        assert!(error.starts_with("batch_size: "));
    }

    proptest! {
        #[test]
        fn windows_equal_the_loop(n in 0u64..300, seq_len in 1u64..40, stride in 1u64..40) {
            let mut starts = Vec::new();
            let mut start = 0;
            while start + seq_len < n {
                starts.push(start);
                start += stride;
            }
            let windows = Windows::new(n, seq_len, stride).unwrap();
            let all: Vec<_> = (0..windows.len()).map(|i| windows.start(i)).collect();
            prop_assert_eq!(all, starts);
            let is_repeated = |token: &u64| {
                (0..windows.len()).filter(|i| windows.inputs(*i).contains(token)).count() > 1
            };
            prop_assert_eq!(windows.n_repeated(), (0..n).filter(is_repeated).count() as u64);
        }

        #[test]
        fn batches_equal_the_loop(n in 0u64..300, batch_size in 1u64..40, drop_last: bool) {
            let windows = Windows::new(n + 1, 1, 1).unwrap();
            let rows: Vec<u64> = (0..n).collect();
            let expected: Vec<_> = rows
                .chunks(usize::try_from(batch_size).unwrap())
                .filter(|rows| !drop_last || rows.len() as u64 == batch_size)
                .map(<[u64]>::to_vec)
                .collect();
            let batches = windows.batches(batch_size, drop_last).unwrap();
            let all: Vec<Vec<u64>> = (0..batches.len()).map(|b| batches.rows(b).collect()).collect();
            prop_assert_eq!(batches.n_rows(), expected.iter().flatten().count() as u64);
            prop_assert_eq!(batches.is_empty(), expected.is_empty());
            prop_assert_eq!(all, expected);
        }

        #[test]
        fn nothing_overflows(
            n: u64, seq_len in 1u64.., stride in 1u64.., batch_size in 1u64.., drop_last: bool,
        ) {
            for (n, seq_len, stride) in [(n, seq_len, stride), (u64::MAX, 1 + seq_len % 9, 1 + stride % 9)] {
                let windows = Windows::new(n, seq_len, stride).unwrap();
                prop_assert!(windows.n_repeated() <= n);
                if let Some(last) = windows.len().checked_sub(1) {
                    let start = u128::from(windows.start(last));
                    let end = u128::from(n - seq_len);
                    prop_assert!(start < end && start + u128::from(stride) >= end);
                    prop_assert!(windows.targets(last).end <= n);
                }
                let batches = windows.batches(batch_size, drop_last).unwrap();
                if let Some(last) = batches.len().checked_sub(1) {
                    prop_assert_eq!(batches.rows(last).end, batches.n_rows());
                }
            }
        }
    }
}
