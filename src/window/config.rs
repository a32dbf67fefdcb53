//! Which windows of a dataset to take, in what order and batches.

use std::ops::Deref;

use crate::dataset::TokenStore;
use crate::error::Result;
use crate::window::{Order, ShuffleOrder, Tail, WindowKind, WindowSet, at_least_1};

/// Which windows of a dataset to take, in what order and batches.
///
/// ```
/// let mut windows = shardmill::window::WindowConfig::default();
/// windows.seq_len = 1024;
/// windows.batch_size = 8;
/// windows.shuffle = Some(123);
/// assert_eq!(windows.stride(), 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowConfig {
    /// Tokens in a window.
    pub seq_len: u64,
    /// Tokens from the start of one window to the start of the next. If `None`, `seq_len`, so that
    /// windows neither overlap nor leave gaps.
    pub stride: Option<u64>,
    /// Whether windows stay within documents.
    pub window: WindowKind,
    /// How to handle a document's last, incomplete window, if windows stay within documents.
    pub tail: Tail,
    /// Windows in a batch; of each process, if several share the dataset.
    pub batch_size: u64,
    /// Whether to leave out the windows at the end that do not fill a batch (for every process).
    pub drop_last: bool,
    /// The seed of a shuffled order; if `None`, dataset order.
    pub shuffle: Option<u64>,
    /// The algorithm that turns the seed and the epoch into an order.
    pub shuffle_order: ShuffleOrder,
    /// The pass over the dataset, counted from 0. Each pass shuffles anew.
    pub epoch: u32,
}

impl Default for WindowConfig {
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
        }
    }
}

impl WindowConfig {
    /// Tokens from the start of one window to the start of the next.
    pub fn stride(&self) -> u64 {
        self.stride.unwrap_or(self.seq_len)
    }

    /// Checks that the settings are in range and do not contradict each other.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the setting.
    pub fn validate(&self) -> Result<()> {
        at_least_1("seq_len", self.seq_len)?;
        at_least_1("stride", self.stride())?;
        at_least_1("batch_size", self.batch_size)?;
        self.window.check_tail(self.tail)
    }

    /// These windows of `store`; `threads` threads read its documents.
    pub(crate) fn open<S>(&self, store: S, threads: usize) -> Result<WindowSet<S>>
    where
        S: Deref<Target = TokenStore> + Clone + Send + Sync,
    {
        let sizes = (self.seq_len, self.stride());
        WindowSet::new(store, sizes, self.window, self.tail, threads)
    }

    /// The order of `n` windows in the pass `epoch`.
    pub(crate) fn order(&self, n: u64, epoch: u32) -> Result<Order> {
        match self.shuffle {
            None => Ok(Order::Sequential),
            Some(seed) => Order::shuffled(n, self.shuffle_order, seed, epoch),
        }
    }
}
