//! How a loader traverses a dataset.

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::show::counted;
use crate::window::{Order, Rank, ShuffleOrder, Tail, WindowKind, at_least_1};

/// More threads or batches ahead than this make no sense; a larger number is a typo.
const MAX_DEPTH: usize = 1024;

/// How a [`Loader`](crate::Loader) traverses a dataset.
///
/// ```
/// let mut config = shardmill::LoaderConfig::default();
/// config.seq_len = 1024;
/// config.batch_size = 8;
/// config.shuffle = Some(123);
/// config.shuffle_order = shardmill::window::ShuffleOrder::Keyed;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoaderConfig {
    /// Tokens in a window.
    pub seq_len: u64,
    /// Tokens from the start of one window to the start of the next. If `None`, `seq_len`, so that
    /// windows neither overlap nor leave gaps.
    pub stride: Option<u64>,
    /// Whether windows stay within documents.
    pub window: WindowKind,
    /// How to handle a document's last, incomplete window, if windows stay within documents.
    pub tail: Tail,
    /// Windows per batch and process.
    pub batch_size: u64,
    /// Whether to leave out the windows at the end that do not fill a batch for every process.
    /// Otherwise, the last batch may have fewer rows, and some processes may have one row or one
    /// batch fewer than others.
    pub drop_last: bool,
    /// The seed of a shuffled order; if `None`, dataset order.
    pub shuffle: Option<u64>,
    /// The algorithm that turns the seed and the epoch into an order.
    pub shuffle_order: ShuffleOrder,
    /// The pass over the dataset, counted from 0. A resumed pass keeps its own.
    pub epoch: u32,
    /// The number of this process, counted from 0.
    pub rank: u32,
    /// The number of processes that share the dataset.
    pub world_size: u32,
    /// Whether positions restart at 0 with each document, or run over the whole window as in
    /// [`embed`](crate::embed()). Windows within documents have one document each, so there both
    /// are the same except for padding.
    pub restart_positions: bool,
    /// Element type of the embeddings.
    pub dtype: Dtype,
    /// How many threads prepare batches, each on one core; the batches do not depend on this.
    pub threads: usize,
    /// How many batches are made ahead of the one in use. More threads than this are of no use.
    /// There is one more buffer than this.
    pub depth: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            seq_len: 256,
            stride: None,
            window: WindowKind::default(),
            tail: Tail::default(),
            batch_size: 4,
            drop_last: false,
            shuffle: None,
            shuffle_order: ShuffleOrder::default(),
            epoch: 0,
            rank: 0,
            world_size: 1,
            restart_positions: false,
            dtype: Dtype::F32,
            threads: 1,
            depth: 2,
        }
    }
}

impl LoaderConfig {
    /// Tokens from the start of one window to the start of the next.
    pub fn stride(&self) -> u64 {
        self.stride.unwrap_or(self.seq_len)
    }

    /// The order of `n` windows in the pass `epoch`.
    pub(super) fn order(&self, n: u64, epoch: u32) -> Result<Order> {
        match self.shuffle {
            None => Ok(Order::Sequential),
            Some(seed) => Order::shuffled(n, self.shuffle_order, seed, epoch),
        }
    }

    /// Checks that the settings are in range and do not contradict each other.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn validate(&self) -> Result<()> {
        at_least_1("seq_len", self.seq_len)?;
        at_least_1("stride", self.stride())?;
        at_least_1("batch_size", self.batch_size)?;
        self.window.check_tail(self.tail)?;
        Rank::new(self.rank, self.world_size)?;
        for (field, value) in [("threads", self.threads), ("depth", self.depth)] {
            if !(1..=MAX_DEPTH).contains(&value) {
                return Err(Error::config(
                    field,
                    format!("must be from 1 to {MAX_DEPTH}"),
                ));
            }
        }
        // `cu_seqlens` counts the tokens of a batch in i32.
        let tokens = self.batch_size.checked_mul(self.seq_len);
        if tokens.is_none_or(|tokens| tokens > i32::MAX.cast_unsigned().into()) {
            return Err(Error::config(
                "batch_size",
                format!(
                    "{} of {} are more than 2,147,483,647 tokens",
                    counted(self.batch_size, "window"),
                    self.seq_len
                ),
            ));
        }
        Ok(())
    }
}
