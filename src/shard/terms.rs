//! What a run may do to what it finds at the place of its output.

use crate::shard::lock::Sharing;
use crate::shard::temp_file::Durability;

/// How an output is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Whether what is at its place may be replaced.
    pub(crate) replaces: bool,
    /// Whether a dataset is not to be replaced all the same.
    pub(crate) spares_datasets: bool,
    /// Whether finished work of another run may be discarded.
    pub(crate) discards: bool,
    pub(crate) durability: Durability,
    pub(crate) sharing: Sharing,
}

impl Terms {
    /// Those of a run that is alone; `overwrite` lets it replace and discard.
    pub(crate) fn alone(overwrite: bool, durability: Durability) -> Self {
        Self {
            replaces: overwrite,
            spares_datasets: false,
            discards: overwrite,
            durability,
            sharing: Sharing::Alone,
        }
    }
}
