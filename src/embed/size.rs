//! How large the output of a run is, before any of it is made.

use std::path::Path;

use crate::embed::EmbedConfig;
use crate::sink::{self, headers};
use crate::window::{Batches, WindowSet};
use crate::{Dtype, Error, Result, TokenStore};

/// The windows that `config` asks for.
pub(super) fn windows<'a>(
    store: &'a TokenStore,
    config: &EmbedConfig,
) -> Result<WindowSet<&'a TokenStore>> {
    let sizes = (config.seq_len, config.stride);
    WindowSet::new(store, sizes, config.window, config.tail)
}

/// `[n, seq_len, dim]` of what `config` makes of `windows`.
pub(super) fn shape(
    windows: &WindowSet<&TokenStore>,
    config: &EmbedConfig,
    dim: u64,
) -> Result<[u64; 3]> {
    windows.check_not_empty()?;
    let batches = Batches::new(windows.len(), config.batch_size, config.drop_last)?;
    if batches.n_rows() == 0 {
        return Err(Error::Config {
            field: "--drop-last",
            what: format!(
                "leaves nothing: {} windows are no batch of {}",
                windows.len(),
                config.batch_size
            ),
        });
    }
    Ok([batches.n_rows(), config.seq_len, dim])
}

/// Bytes of the three arrays; `None` beyond what a file can hold.
fn output_bytes(shape: [u64; 3], dtype: Dtype) -> Option<u64> {
    let [rows, seq_len, dim] = shape;
    let ids = rows.checked_mul(seq_len)?;
    let element_bytes = dtype.size_bytes() as u64;
    let embeddings_bytes = ids.checked_mul(dim)?.checked_mul(element_bytes)?;
    // Two arrays of u32.
    let ids_bytes = ids.checked_mul(8)?;
    let header_bytes: u64 = headers(shape, dtype)
        .iter()
        .map(|header| header.len() as u64)
        .sum();
    embeddings_bytes
        .checked_add(ids_bytes)?
        .checked_add(header_bytes)
}

/// Refuses an output at `out` that does not fit on its disk.
pub(super) fn check_room(out: &Path, shape: [u64; 3], dtype: Dtype) -> Result<()> {
    let needed_bytes = output_bytes(shape, dtype).unwrap_or(u64::MAX);
    sink::check_room(out, needed_bytes)
}
