//! The threads of commands that read in parallel.

use anyhow::{Context, Result};

/// Starts rayon's own threads, which it would else start at the first parallel loop, and panic where
/// it cannot.
pub(crate) fn start_threads() -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .build_global()
        .context("cannot start a thread")
}
