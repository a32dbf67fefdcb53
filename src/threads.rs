//! The threads of a run, as many as it may use.
//!
//! Without a pool, rayon starts its own threads, one for each core, and panics if it cannot.

use crate::error::{Error, Result};

/// No machine has this many CPUs; a larger number is a typo.
const MAX_THREADS: usize = 1024;

/// One thread for each CPU that this process may use: the default of every setting `threads`.
pub(crate) fn one_each_cpu() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Checks the setting `threads`.
///
/// # Errors
/// [`Error::Config`] if it is out of range.
pub(crate) fn check_threads(threads: usize) -> Result<()> {
    if (1..=MAX_THREADS).contains(&threads) {
        return Ok(());
    }
    let what = format!("must be from 1 to {MAX_THREADS}");
    Err(Error::config("threads", what))
}

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
