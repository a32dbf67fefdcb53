//! Renames that replace nothing, or that replace something in one step, and their fallbacks.
//!
//! Local file systems on Linux support both. NFS, `CephFS`, Lustre, 9p and many file systems in
//! user space refuse the flags with EINVAL. There a file gets its name by a link, and two
//! directories trade places by two plain renames, between which a reader finds neither.
//!
//! On macOS the calls are `renameatx_np` with `RENAME_EXCL` and `RENAME_SWAP`. rename(2) there: the
//! first "will cause EEXIST to be returned if the destination already exists", the second "will
//! cause the source and target to be atomically swapped", both "on file systems that support it". Any
//! other refuses with one of the errors of [`is_unknown`], and the fallbacks are the same.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Whether the file system does not support the operation.
fn is_unknown(errno: Errno) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP].contains(&errno)
}

/// Renames a file, unless the new name is taken.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if it is.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(errno) if is_unknown(errno) => {}
        outcome => return Ok(outcome?),
    }
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // No hard links either: if two runs do this at once, both may succeed, and the second file
        // stays.
        Err(_) if fs::symlink_metadata(to).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

/// Exchanges `a` and `b` in one step; `false` if the file system cannot do that.
pub(super) fn exchange(a: &Path, b: &Path) -> io::Result<bool> {
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(errno) if is_unknown(errno) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_stays() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        let error = rename_new(&from, &to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&to).unwrap();
        rename_new(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"new");
        assert!(!from.exists());
    }
}
