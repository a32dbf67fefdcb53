//! The place of an output: its names, whether it may be replaced, and what was replaced there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shard::lock::{Sharing, lock_existing};
use crate::shard::own::{MARKS, check_own, clear, is_record, receipts};
use crate::shard::plan::PLAN;
use crate::{Error, Result};

/// Removes what `out` replaced, where a run was killed before it did so itself: it has no plan and
/// no receipts. Anything else stays, as does what another run holds.
pub(crate) fn remove_replaced(out: &Path, overwrite: bool) {
    let Ok((out, partial)) = places(out) else {
        return;
    };
    if overwrite {
        remove_replaced_link(&out, &partial);
    }
    let Ok(Some(_lock)) = lock_existing(&partial, Sharing::Alone) else {
        return;
    };
    let is_old = fs::symlink_metadata(partial.join(PLAN)).is_err()
        && receipts(&partial).is_ok_and(|units| units.is_empty());
    if is_old {
        // Whatever stays in the way is reported by the run that needs the place.
        let _ = remove_old(&partial);
    }
}

/// Removes a link that lies where a replaced one lies before it is removed: beside an output of
/// ours. Its target stays.
pub(super) fn remove_replaced_link(out: &Path, partial: &Path) {
    let is_link = fs::symlink_metadata(partial).is_ok_and(|metadata| metadata.is_symlink());
    let is_published = fs::symlink_metadata(out).is_ok_and(|metadata| metadata.is_dir())
        && MARKS.iter().any(|mark| is_record(&out.join(mark)));
    if is_link && is_published {
        let _ = fs::remove_file(partial);
    }
}

/// `out` as a name that a rename can take, and the name of the directory that is filled for it.
pub(crate) fn places(out: &Path) -> Result<(PathBuf, PathBuf)> {
    let Some(name) = out.file_name() else {
        return Err(Error::Output {
            path: out.to_owned(),
            what: "is not a name for a new directory; choose another --out".to_owned(),
        });
    };
    let mut partial = name.to_owned();
    partial.push(".partial");
    // `dir/.` names dir, but no rename can put anything there.
    Ok((out.with_file_name(name), out.with_file_name(partial)))
}

/// Removes what was exchanged for the output: a directory that a run made, or a link, whose
/// target stays.
pub(super) fn remove_old(old: &Path) -> Result<()> {
    let metadata = fs::symlink_metadata(old).map_err(Error::io(old, "cannot open"))?;
    if metadata.is_symlink() {
        fs::remove_file(old)
    } else {
        clear(old)?;
        fs::remove_dir(old)
    }
    .map_err(Error::io(old, "cannot remove what was overwritten"))
}

pub(super) fn parent_of(path: &Path) -> Option<&Path> {
    path.parent().map(|parent| {
        if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        }
    })
}

/// Refuses an existing `out` that may not be overwritten, and one that is no output of ours.
pub(super) fn check_replaceable(out: &Path, overwrite: bool) -> Result<()> {
    let Ok(metadata) = fs::symlink_metadata(out) else {
        return Ok(());
    };
    let is_ours = metadata.is_dir() && MARKS.iter().any(|mark| is_record(&out.join(mark)));
    let what = if metadata.is_symlink() {
        if overwrite {
            // The link itself goes; what it points to is never touched.
            return Ok(());
        }
        "is a link; add --overwrite to replace the link and leave its target alone, or choose \
         another --out"
    } else if !metadata.is_dir() {
        "exists and is not a directory; choose another --out"
    } else if !overwrite && is_ours {
        "exists and is not exactly this output; add --overwrite to replace it or choose another --out"
    } else if !is_ours {
        "exists and was not made by shardmill; remove it or choose another --out"
    } else {
        // All of it goes when it is replaced.
        return check_own(out);
    };
    Err(Error::Output {
        path: out.to_owned(),
        what: what.to_owned(),
    })
}
