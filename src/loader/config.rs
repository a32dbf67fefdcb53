//! How a loader traverses a dataset.

use shardmill_core::dtype::Dtype;
use shardmill_core::show::counted;

use crate::error::{Error, Result};
use crate::window::{Rank, WindowConfig};

/// More threads or batches ahead than this make no sense; a larger number is a typo.
const MAX_DEPTH: usize = 1024;

/// How a [`Loader`](crate::Loader) traverses a dataset.
///
/// ```
/// let mut config = shardmill::LoaderConfig::default();
/// config.windows.seq_len = 1024;
/// config.windows.batch_size = 8;
/// config.windows.shuffle = Some(123);
/// config.windows.shuffle_order = shardmill::window::ShuffleOrder::Keyed;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoaderConfig {
    /// Which windows, and in what order and batches. Without `drop_last`, the last batch may have
    /// fewer rows, and some processes may have one row or one batch fewer than others. A resumed
    /// pass keeps its own epoch.
    pub windows: WindowConfig,
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
            windows: WindowConfig::default(),
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
    /// Checks that the settings are in range and do not contradict each other.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn validate(&self) -> Result<()> {
        self.windows.validate()?;
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
        let WindowConfig {
            batch_size,
            seq_len,
            ..
        } = self.windows;
        let tokens = batch_size.checked_mul(seq_len);
        if tokens.is_none_or(|tokens| tokens > i32::MAX.cast_unsigned().into()) {
            return Err(Error::config(
                "batch_size",
                format!(
                    "{} of {seq_len} are more than 2,147,483,647 tokens",
                    counted(batch_size, "window")
                ),
            ));
        }
        Ok(())
    }
}
