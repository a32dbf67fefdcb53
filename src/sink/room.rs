//! Checks whether an output fits on its disk, before any of it is made.

use std::path::Path;

use rustix::io::Errno;

use crate::error::{Error, Result};

/// Refuses an output of `needed_bytes` at `out` that does not fit on its disk, if the free space is
/// known.
pub(crate) fn check_room(out: &Path, needed_bytes: u64) -> Result<()> {
    let absolute = std::path::absolute(out).map_err(Error::io(out, "cannot find"))?;
    let there = absolute
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(&absolute);
    let stat = match rustix::fs::statvfs(there) {
        Ok(stat) => stat,
        // If the free space is unknown, do not refuse.
        Err(Errno::NOSYS | Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(Error::io(there, "cannot ask for free space")(errno.into())),
    };
    // Some file systems in user space, and tmpfs without a limit, report no size at all.
    if stat.f_blocks == 0 {
        return Ok(());
    }
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
