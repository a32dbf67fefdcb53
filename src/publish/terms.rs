//! What a run may do to what it finds at the place of its output.

use crate::publish::durability::Durability;
use crate::publish::inventory::Inventory;
use crate::publish::lock::Sharing;

/// How an output may be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The names that runs make.
    pub(crate) inventory: &'static Inventory,
    /// Whether an existing output may be replaced.
    pub(crate) replaces: bool,
    /// The record of a kind of output that is never replaced, and why.
    pub(crate) spares: Option<(&'static str, &'static str)>,
    /// Whether finished work of another run may be discarded.
    pub(crate) discards: bool,
    /// Whether the output may be the one that belongs in another output.
    pub(crate) nests: bool,
    pub(crate) durability: Durability,
    pub(crate) sharing: Sharing,
}

impl Terms {
    /// The terms of a run that works alone; `overwrite` allows it to replace and discard.
    pub(crate) fn alone(
        inventory: &'static Inventory,
        overwrite: bool,
        durability: Durability,
    ) -> Self {
        Self {
            inventory,
            replaces: overwrite,
            spares: None,
            discards: overwrite,
            nests: false,
            durability,
            sharing: Sharing::Alone,
        }
    }
}
