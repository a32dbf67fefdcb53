//! The threads of a run, as many as it may use.
//!
//! Without a pool, rayon starts its own threads, one for each core, and panics if it cannot.

use crate::error::{Error, Result};

/// A rayon pool of `threads` threads.
///
/// # Errors
/// [`Error::Threads`] if they cannot start.
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
