//! Claims the place of an output, or finds the requested output there.

use std::fs::{self, File};
use std::path::Path;

use crate::error::{Error, Result};
use crate::publish::durability::{Durability, sync_directory};
use crate::publish::lock::{Sharing, lock_existing};
use crate::publish::staging::Staging;
use crate::publish::state::{Stage, stage};
use crate::publish::target::{identity, parent_of, places};
use crate::publish::terms::Terms;

/// The result of [`claim`].
pub(crate) enum Claim<T> {
    /// The requested output already exists.
    There(T),
    /// It does not exist, and this run holds its place.
    Mine(Staging),
}

/// Claims the place of `out` for this run, unless `look` finds the requested output there. If
/// another run publishes it between the look and the lock, this looks again.
///
/// # Errors
/// Those of `look` and [`Staging::open`].
pub(crate) fn claim<T>(
    out: &Path,
    terms: Terms,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Claim<T>> {
    loop {
        let seen = identity(out);
        if let Some(there) = look()? {
            match settle(out, terms) {
                // It was replaced in the meantime.
                Err(_) if identity(out) != seen => continue,
                settled => return settled.map(|()| Claim::There(there)),
            }
        }
        let opened = Staging::open(out, terms);
        if identity(out) == seen {
            return opened.map(Claim::Mine);
        }
    }
}

/// Cleans up what an earlier run left next to an output that is exactly the requested one: removes
/// what is not needed, and makes sure that the output is on the disk before it is reported.
fn settle(out: &Path, terms: Terms) -> Result<()> {
    sync_output(out, terms.durability)?;
    // Outputs made from this one are made inside it.
    tidy_beside(&out.join(terms.inventory.nested), terms)?;
    tidy_beside(out, terms)
}

/// Removes what an earlier run left next to `out`, if it is not needed or may be discarded.
fn tidy_beside(out: &Path, terms: Terms) -> Result<()> {
    let (out, partial) = &places(out)?;
    let found = lock_existing(partial, Sharing::Alone);
    // Leave a directory that another run holds, or that no run made.
    let Ok(Some(lock)) = found else { return Ok(()) };
    let mut staging = Staging::new(out, terms, lock)?;
    if staging.check_found().is_err() {
        return Ok(());
    }
    match stage(out, partial) {
        Ok(Stage::Making) if !terms.discards && !terms.inventory.receipts(partial)?.is_empty() => {
            Ok(())
        }
        Ok(Stage::Complete | Stage::Unknown) if !terms.discards => Ok(()),
        Ok(Stage::Displaced) | Err(_) => Ok(()),
        Ok(Stage::Empty | Stage::Published | Stage::Making | Stage::Complete | Stage::Unknown) => {
            match staging.remove_partial() {
                // The run that needs the place will report what no run made.
                Err(Error::Output { .. }) => Ok(()),
                removed => removed,
            }
        }
    }
}

/// Forces an output and its name to the disk, because the run that made it may not have synced it.
pub(crate) fn sync_output(out: &Path, durability: Durability) -> Result<()> {
    fn sync_all(directory: &Path, durability: Durability) -> Result<()> {
        let entries = fs::read_dir(directory).map_err(Error::io(directory, "cannot list"))?;
        for entry in entries {
            let entry = entry.map_err(Error::io(directory, "cannot list"))?;
            let path = entry.path();
            let file_type = entry.file_type();
            let file_type = file_type.map_err(Error::io(&path, "cannot open"))?;
            if file_type.is_dir() {
                sync_all(&path, durability)?;
            } else if file_type.is_file() {
                let file = File::open(&path).map_err(Error::io(&path, "cannot open"))?;
                durability.sync(&file, &path)?;
            }
        }
        sync_directory(directory, durability)
    }
    if durability == Durability::None {
        return Ok(());
    }
    sync_all(out, durability)?;
    sync_directory(parent_of(out), durability)
}
