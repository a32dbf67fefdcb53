//! Threads that a run starts, as many as it may have.
//!
//! Where rayon is used without a pool it starts threads of its own, one for each core, and panics
//! where it cannot.

use crate::error::{Error, Result};

/// Threads for what is done on rayon's.
///
/// # Errors
/// [`Error::Threads`] where they cannot start.
pub(crate) fn thread_pool(threads: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("shardmill-{index}"))
        .build()
        .map_err(|error| Error::Threads {
            threads,
            what: error.to_string(),
        })
}
