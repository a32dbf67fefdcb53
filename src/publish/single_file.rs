//! One file as output: where it goes, and whether what is there may be replaced.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::publish::durability::{Durability, sync_directory};
use crate::publish::outside::check_outside;
use crate::publish::temp_file::TempFile;

/// The directory of `out` and its name there, which must end in `ending`, such as `npy`.
///
/// # Errors
/// [`Error::Output`]; also if `out` lies in another output.
pub(crate) fn place<'p>(out: &'p Path, ending: &str) -> Result<(&'p Path, &'p str)> {
    let name = out.file_name().and_then(|name| name.to_str());
    let has_ending = out.extension().is_some_and(|end| end == ending);
    match name {
        Some(name) if has_ending => {
            check_outside(out, None)?;
            let parent = out.parent().filter(|parent| *parent != Path::new(""));
            Ok((parent.unwrap_or(Path::new(".")), name))
        }
        _ => {
            let what = format!("is not a name that ends in .{ending}");
            Err(Error::output(out, (what, "choose another `out`")))
        }
    }
}

/// Refuses to replace `out`, which exists and has other contents, unless it is a file and
/// `overwrite` is set.
pub(crate) fn check_replaceable(out: &Path, is_file: bool, overwrite: bool) -> Result<()> {
    let problem = match (is_file, overwrite) {
        (true, true) => return Ok(()),
        (true, false) => (
            "exists and holds something else",
            "use `overwrite` or another `out`",
        ),
        (false, _) => ("exists and is not a file", "choose another `out`"),
    };
    Err(Error::output(out, problem))
}

/// Writes the file `out`, which appears once it is complete. Returns whether it existed already,
/// with exactly these `bytes`, and was left as it is.
pub(crate) fn write_file(
    out: &Path,
    ending: &str,
    bytes: &[u8],
    overwrite: bool,
    durability: Durability,
) -> Result<bool> {
    let (directory, name) = place(out, ending)?;
    if let Ok(found) = fs::metadata(out) {
        // What cannot be read holds something else.
        let is_same = found.is_file()
            && found.len() == bytes.len() as u64
            && fs::read(out).is_ok_and(|found| found == bytes);
        if is_same {
            return Ok(true);
        }
        check_replaceable(out, found.is_file(), overwrite)?;
    }
    fs::create_dir_all(directory).map_err(Error::io(directory, "cannot create"))?;
    let mut file = TempFile::create_nameless(directory, name, durability)?;
    file.write(bytes)?;
    file.finish(bytes.len() as u64)?;
    sync_directory(directory, durability)?;
    Ok(false)
}
