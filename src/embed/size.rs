//! The size of a run's output, computed before any of it is made.

use std::path::Path;

use shardmill_core::show::counted;

use crate::dataset::TokenStore;
use crate::embed::EmbedConfig;
use crate::error::{Error, Result};
use crate::sink::{self, ArrayLayout};
use crate::window::{Batches, WindowSet};

/// The windows that `config` asks for.
pub(super) fn windows<'a>(
    store: &'a TokenStore,
    config: &EmbedConfig,
) -> Result<WindowSet<&'a TokenStore>> {
    config.windows.open(store, config.threads)
}

/// The shape `[n, seq_len, dim]` of the embeddings of `windows` under `config`.
pub(super) fn shape(
    windows: &WindowSet<&TokenStore>,
    config: &EmbedConfig,
    dim: u64,
) -> Result<[u64; 3]> {
    windows.check_not_empty()?;
    let batches = Batches::new(
        windows.len(),
        config.windows.batch_size,
        config.windows.drop_last,
    )?;
    if batches.n_rows() == 0 {
        return Err(Error::config(
            "drop_last",
            format!(
                "would drop everything: {} cannot fill a batch of {}",
                counted(windows.len(), "window"),
                config.windows.batch_size
            ),
        ));
    }
    Ok([batches.n_rows(), config.windows.seq_len, dim])
}

/// Refuses arrays at `out` that do not fit on its disk.
pub(super) fn check_room(out: &Path, arrays: ArrayLayout) -> Result<()> {
    let needed_bytes = arrays
        .file_bytes()
        .and_then(|bytes| bytes.into_iter().try_fold(0_u64, u64::checked_add));
    sink::check_room(out, needed_bytes.unwrap_or(u64::MAX))
}
