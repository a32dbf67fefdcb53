//! A loader's position: a small value to save with a checkpoint.

use serde::{Deserialize, Serialize};
use shardmill_core::hash::Hash128;

use crate::dataset::TokenStore;
use crate::error::{Error, Result};
use crate::loader::LoaderConfig;
use crate::window::{ShuffleOrder, Tail, WindowKind};

/// Incremented whenever the same state could stand for other samples.
const FORMAT_VERSION: u32 = 1;

/// The position in a pass over a dataset, and what it is a pass over.
///
/// It holds what determines the order of the samples: the dataset, the windows, the shuffle and the
/// epoch. The batch size and the processes are not part of it, because [`next_sample`] counts the
/// samples of all processes: all of them have the same state after the same step, and a run may
/// resume with another number of processes.
///
/// [`next_sample`]: Self::next_sample
///
/// ```
/// # fn example(loader: &shardmill::Loader) -> Result<(), serde_json::Error> {
/// let saved = serde_json::to_string(&loader.state())?;
/// let state: shardmill::loader::LoaderState = serde_json::from_str(&saved)?;
/// assert_eq!(state, loader.state());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    format_version: u32,
    dataset_id: Hash128,
    seq_len: u64,
    stride: u64,
    window: WindowKind,
    tail: Tail,
    /// The seed, if windows are shuffled.
    shuffle: Option<u64>,
    shuffle_order: ShuffleOrder,
    epoch: u32,
    next_sample: u64,
}

impl LoaderState {
    /// The start of the pass that `config` describes.
    pub(super) fn new(store: &TokenStore, config: &LoaderConfig) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            dataset_id: store.manifest().dataset_id,
            seq_len: config.windows.seq_len,
            stride: config.windows.stride(),
            window: config.windows.window,
            tail: config.windows.tail,
            shuffle: config.windows.shuffle,
            shuffle_order: config.windows.shuffle_order,
            epoch: config.windows.epoch,
            next_sample: 0,
        }
    }

    /// The pass, counted from 0.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The number of samples of the pass that all processes together have finished.
    pub fn next_sample(&self) -> u64 {
        self.next_sample
    }

    /// The same pass, at another sample.
    #[must_use]
    pub fn with_next_sample(mut self, next_sample: u64) -> Self {
        self.next_sample = next_sample;
        self
    }

    /// Checks that a loader that would start at `begin` can resume from this state.
    ///
    /// # Errors
    /// [`Error::Config`] names what differs.
    pub(super) fn check(&self, begin: &Self) -> Result<()> {
        same(
            "format version",
            &self.format_version,
            &begin.format_version,
        )?;
        same("dataset", &self.dataset_id, &begin.dataset_id)?;
        same("`seq_len`", &self.seq_len, &begin.seq_len)?;
        same("`stride`", &self.stride, &begin.stride)?;
        same("`window`", &self.window.name(), &begin.window.name())?;
        same("`tail`", &self.tail.name(), &begin.tail.name())?;
        let seed = |seed: Option<u64>| seed.map_or("none".to_owned(), |seed| seed.to_string());
        same("`shuffle`", &seed(self.shuffle), &seed(begin.shuffle))?;
        if self.shuffle.is_none() {
            return Ok(());
        }
        let (saved, here) = (self.shuffle_order.name(), begin.shuffle_order.name());
        same("`shuffle_order`", &saved, &here)
    }
}

fn same<T: PartialEq + std::fmt::Display>(name: &str, saved: &T, here: &T) -> Result<()> {
    if saved == here {
        return Ok(());
    }
    Err(Error::config(
        "state",
        format!("was saved with {name} {saved}, the loader has {here}; they must agree"),
    ))
}
