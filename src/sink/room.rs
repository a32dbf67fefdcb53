//! Whether an output fits on its disk, before any of it is made.

use std::path::Path;

use crate::{Error, Result};

/// Refuses an output of `needed_bytes` at `out` that does not fit on its disk.
pub(crate) fn check_room(out: &Path, needed_bytes: u64) -> Result<()> {
    let absolute = std::path::absolute(out).map_err(Error::io(out, "cannot find"))?;
    let there = absolute
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(&absolute);
    let stat = rustix::fs::statvfs(there)
        .map_err(|errno| Error::io(there, "cannot ask for free space")(errno.into()))?;
    let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free_bytes < needed_bytes {
        return Err(Error::NoRoom {
            path: out.to_owned(),
            needed_bytes,
            free_bytes,
        });
    }
    Ok(())
}
