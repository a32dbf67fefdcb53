//! The thread pool of commands that read in parallel.

use crate::cli::failure::{Failure, Result};

/// Starts rayon's global threads now. The first parallel loop would also start them, but panics if
/// it cannot.
pub(crate) fn start_threads() -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .build_global()
        .map_err(Failure::system("cannot start a thread"))
}
