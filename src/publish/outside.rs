//! Outputs do not lie in other outputs: what replaces one removes all that is in it, and so refuses
//! what it does not know.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::publish::inventory::{MAX_STATE_BYTES, STATE};
use crate::publish::json_file::read_json;
use crate::publish::state::{RunId, State};
use crate::publish::target::ANOTHER_OUT;

/// Refuses an `out` that lies, at any depth, in an output or in a directory that becomes one. The name
/// `nested` belongs in an output.
///
/// # Errors
/// [`Error::Output`].
pub(crate) fn check_outside(out: &Path, nested: Option<&str>) -> Result<()> {
    let real = real_path(out);
    let is_nested = nested.is_some_and(|nested| real.file_name() == Some(OsStr::new(nested)));
    for (depth, directory) in real.ancestors().skip(1).enumerate() {
        let what = if is_partial(directory) {
            "in which another output is being made"
        } else if RunId::of(directory).is_some() && !(is_nested && depth == 0) {
            "which no run could replace then"
        } else {
            continue;
        };
        let what = format!("is inside the output {}, {what}", directory.display());
        return Err(Error::output(out, (what, ANOTHER_OUT)));
    }
    Ok(())
}

/// Whether a run makes an output in `directory`.
fn is_partial(directory: &Path) -> bool {
    let state = || read_json::<State>(&directory.join(STATE), "state", MAX_STATE_BYTES);
    let has_name = directory.extension() == Some(OsStr::new("partial"));
    has_name && matches!(state(), Ok(Some(_)))
}

/// `path` with links resolved as far as it exists; of the last part, only what it lies in.
fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .ancestors()
        .skip(1)
        .find_map(|parent| {
            let rest = absolute.strip_prefix(parent).ok()?;
            Some(parent.canonicalize().ok()?.join(rest))
        })
        .unwrap_or(absolute)
}
