//! The place of an output: its names, and whether an existing output may be replaced.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::publish::durability::{Durability, sync_directory};
use crate::publish::inventory::{Inventory, OutputRecord, RUN, Room, is_record};
use crate::publish::lock::create_partial;
use crate::publish::state::RunId;
use crate::publish::temp_file::temporary_name;
use crate::publish::terms::Terms;

/// The suffix of an output's directory while it is being made.
const PARTIAL: &str = ".partial";

/// The hint if an output can never be there.
pub(super) const ANOTHER_OUT: &str = "choose another `out`";

/// `out` as a path that a rename can target, and the path of the directory that is filled for it.
///
/// # Errors
/// [`Error::Output`] if `out` does not end in a name, or ends in one that is reserved for
/// directories that are being filled.
pub(crate) fn places(out: &Path) -> Result<(PathBuf, PathBuf)> {
    let refuse = |what: &str| Error::output(out, (what, ANOTHER_OUT));
    let Some(name) = out.file_name() else {
        return Err(refuse("is not a name for a new directory"));
    };
    if name.as_encoded_bytes().ends_with(PARTIAL.as_bytes()) {
        return Err(refuse(
            "ends in .partial, as directories do that are being filled",
        ));
    }
    let mut partial = name.to_owned();
    partial.push(PARTIAL);
    // `dir/.` names dir, but a rename cannot put anything there.
    Ok((out.with_file_name(name), out.with_file_name(partial)))
}

/// Identifies a directory, whatever its name.
pub(crate) type Identity = (u64, u64);

fn identity_of(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// The identity of what is at `path` now; `None` if nothing is.
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    let found = fs::symlink_metadata(path).ok()?;
    Some(identity_of(&found))
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates `directory` and its missing ancestors; each name is synced.
pub(crate) fn create_directories(directory: &Path, durability: Durability) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = parent_of(directory);
    if parent != directory {
        create_directories(parent, durability)?;
    }
    match fs::create_dir(directory) {
        // Another run may have created it, too.
        Err(_) if directory.is_dir() => Ok(()),
        Err(error) => Err(Error::io(directory, "cannot create")(error)),
        Ok(()) => sync_directory(parent, durability),
    }
}

/// Creates a directory that becomes an output, unless it exists. The umask may let the group write
/// to it, but not everyone.
pub(crate) fn create_output(directory: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o775).create(directory) {
        Err(_) if directory.is_dir() => Ok(()),
        created => created.map_err(Error::io(directory, "cannot create")),
    }
}

/// Refuses to work in `partial` if another user made it, or if every user may write to it: what is
/// published could be theirs.
pub(super) fn check_owner(partial: &Path, found: &Metadata) -> Result<()> {
    const WRITABLE_BY_ALL: u32 = 0o002;
    let refuse = |what: &str| {
        Err(Error::output(
            partial,
            (what, "move it elsewhere or choose another `out`"),
        ))
    };
    if found.mode() & WRITABLE_BY_ALL != 0 {
        return refuse("can be written to by every user, so what lies there is not to be trusted");
    }
    let user = rustix::process::geteuid().as_raw();
    if [0, user].contains(&found.uid()) || owner_of_new(parent_of(partial)) == Some(found.uid()) {
        return Ok(());
    }
    refuse("belongs to another user")
}

/// The owner of a new directory in `parent`: on network file systems, not always the user.
fn owner_of_new(parent: &Path) -> Option<u32> {
    let probe = parent.join(temporary_name("owner"));
    create_partial(&probe).ok()?;
    let owner = fs::symlink_metadata(&probe).map(|found| found.uid());
    let _ = fs::remove_dir(&probe);
    owner.ok()
}

/// Refuses an existing `out` that must not be overwritten, one that is not an output of ours, and
/// one that a rename cannot replace.
pub(super) fn check_replaceable(out: &Path, terms: Terms) -> Result<()> {
    let Terms {
        replaces: overwrite,
        inventory,
        ..
    } = terms;
    let Ok(found) = fs::symlink_metadata(out) else {
        return Ok(());
    };
    if found.is_dir() {
        check_searchable(out, inventory)?;
    }
    let has_record = || {
        inventory
            .records
            .iter()
            .any(|record| is_record(&out.join(record.name)))
    };
    // An output with a damaged record is still ours.
    let is_ours = || has_record() || RunId::of(out).is_some();
    let problem = if found.is_symlink() {
        if overwrite {
            // The link itself is replaced; what it points to is never touched.
            return Ok(());
        }
        (
            "is a link",
            "use `overwrite` to replace the link and leave its target alone, or choose another \
             `out`",
        )
    } else if !found.is_dir() {
        ("exists and is not a directory", ANOTHER_OUT)
    } else if is_mount_point(out, &found) {
        (
            "is a mount point, which no rename can replace",
            "choose a directory in it for `out`",
        )
    } else if is_empty(out) {
        return Ok(());
    } else if !is_ours() {
        (
            "exists and was not made by shardmill",
            "remove it or choose another `out`",
        )
    } else if let Some((_, why)) = terms
        .spares
        .filter(|(record, _)| is_record(&out.join(record)))
    {
        (why, ANOTHER_OUT)
    } else if !overwrite {
        (
            "exists and is not exactly this output",
            "use `overwrite` to replace it or choose another `out`",
        )
    } else {
        // Everything in it is removed when it is replaced.
        inventory.check_own(out, Room::Output)?;
        return check_listed(out, inventory);
    };
    Err(Error::output(out, problem))
}

/// Refuses a directory that cannot be inspected: it may well be ours.
fn check_searchable(out: &Path, inventory: &Inventory) -> Result<()> {
    for record in inventory.records {
        match fs::symlink_metadata(out.join(record.name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(out, "cannot look into it")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Refuses an output that has files with names of ours that its record does not list.
fn check_listed(out: &Path, inventory: &Inventory) -> Result<()> {
    let is_there = |record: &&OutputRecord| out.join(record.name).exists();
    let record = inventory.records.iter().find(is_there);
    let files = record.and_then(|record| (record.files)(out));
    let Some(files) = files else {
        if is_empty(out) {
            return Ok(());
        }
        return Err(Error::output(
            out,
            (
                "has no record that can be read, so nothing says which of its files a run made",
                "remove the directory if none is needed, or choose another `out`",
            ),
        ));
    };
    inventory.each_entry(out, Room::Output, |entry| match entry.room {
        Some(Room::Output) => check_listed(entry.path, inventory),
        Some(Room::Partial) => Ok(()),
        None if inventory.is_record_name(entry.name)
            || entry.name == RUN
            || files.contains(entry.name) =>
        {
            Ok(())
        }
        None => Err(Error::output(
            entry.path,
            (
                "is not listed by the output that it lies in, so no run made it",
                "move it elsewhere",
            ),
        )),
    })
}

fn is_mount_point(directory: &Path, found: &Metadata) -> bool {
    fs::metadata(parent_of(directory)).is_ok_and(|parent| parent.dev() != found.dev())
}

/// Refuses an `out` in a lower layer of an overlay, which cannot be renamed; `partial` is next to
/// it and not empty.
pub(super) fn check_can_move(out: &Path, partial: &Path) -> Result<()> {
    const OVERLAY: u64 = 0x794c_7630;
    let file_system = File::open(out)
        .ok()
        .and_then(|file| rustix::fs::fstatfs(file).ok());
    let is_overlay = file_system
        .and_then(|found| u64::try_from(found.f_type).ok())
        .is_some_and(|kind| kind == OVERLAY);
    // A directory cannot replace one that is not empty, so this changes nothing. An overlay checks
    // its layers first.
    let is_fixed = is_overlay
        && fs::rename(out, partial)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::CrossesDevices);
    if is_fixed {
        return Err(Error::output(
            out,
            (
                "lies in a lower layer of an overlay file system, where no directory can be \
                 renamed",
                "remove it or choose another `out`",
            ),
        ));
    }
    Ok(())
}
