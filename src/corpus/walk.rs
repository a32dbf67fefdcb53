//! Walks a directory and everything below it, for the entries that are selected.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, FileType, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::corpus::report::{Listed, SkippedFiles};
use crate::corpus::select::{Filter, Selection, State, is_hidden};
use crate::error::{Error, Result};

/// Links to one directory that are followed; more would be a maze of links, in which the ways
/// multiply.
const MAX_WAYS: u32 = 1000;

/// What tells files apart whatever they are called: device and inode.
pub(super) type FileId = (u64, u64);

pub(super) fn id_of(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// Where a walk went.
#[derive(Debug)]
pub(super) struct Walk {
    /// What paths are relative to; empty for the working directory.
    pub(super) base: PathBuf,
    pub(super) selection: Selection,
    /// The directories whose entries were looked at.
    pub(super) directories: Vec<Directory>,
    /// Whether a link was followed.
    pub(super) has_links: bool,
}

#[derive(Debug)]
pub(super) struct Directory {
    pub(super) id: FileId,
    pub(super) relative: Box<OsStr>,
    /// The directory that it was found in, by its index.
    above: Option<usize>,
}

/// A file that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) relative: OsString,
    pub(super) metadata: Metadata,
}

/// What a walk comes upon.
struct Walker<'a> {
    walk: Walk,
    filter: &'a Filter,
    skipped: &'a mut SkippedFiles,
    /// Directories that are still to be gone into. One after another, so that however deep they
    /// lie, one is open.
    ahead: Vec<Ahead>,
    /// How often a link led to a directory.
    ways: HashMap<FileId, u32>,
}

/// A directory that was found.
struct Ahead {
    path: PathBuf,
    relative: OsString,
    state: State,
    above: Option<usize>,
    is_link: bool,
}

/// Finds what `selection` and `filter` leave of the files below `base`, each by every name it has,
/// and gives them with their paths to `take`, in no order.
pub(super) fn walk(
    base: PathBuf,
    selection: Selection,
    filter: &Filter,
    skipped: &mut SkippedFiles,
    mut take: impl FnMut(&Path, Found) -> Result<()>,
) -> Result<Walk> {
    let first = Ahead {
        path: base.clone(),
        relative: OsString::new(),
        state: selection.start(),
        above: None,
        is_link: false,
    };
    let mut walker = Walker {
        walk: Walk {
            base,
            selection,
            directories: Vec::new(),
            has_links: false,
        },
        filter,
        skipped,
        ahead: vec![first],
        ways: HashMap::new(),
    };
    while let Some(next) = walker.ahead.pop() {
        walker.enter(next, &mut take)?;
    }
    Ok(walker.walk)
}

impl Walker<'_> {
    /// Goes through the entries of a directory.
    fn enter(
        &mut self,
        mut directory: Ahead,
        take: &mut impl FnMut(&Path, Found) -> Result<()>,
    ) -> Result<()> {
        let path = root_of(&directory.path);
        let metadata = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => metadata,
            // A pattern below something that is no directory, or is not there.
            Ok(_) if directory.above.is_none() => return Ok(()),
            Err(error) if directory.above.is_none() && is_absence(&error) => return Ok(()),
            Ok(_) => {
                return Err(Error::io(&path, "cannot list")(
                    ErrorKind::NotADirectory.into(),
                ));
            }
            Err(error) => return Err(Error::io(&path, "cannot list")(error)),
        };
        let id = id_of(&metadata);
        if self.is_above(directory.above, id) {
            self.skipped.circles.add(&directory.path);
            return Ok(());
        }
        if directory.is_link {
            self.count_way(&directory.path, id)?;
        }
        let state = &mut directory.state;
        self.walk.selection.prefer_literal(state, &path);
        let index = self.walk.directories.len();
        self.walk.directories.push(Directory {
            id,
            relative: directory.relative.as_os_str().into(),
            above: directory.above,
        });
        for entry in fs::read_dir(&path).map_err(Error::io(&path, "cannot list"))? {
            let entry = entry.map_err(Error::io(&path, "cannot list"))?;
            self.look_at(&entry, &directory, index, take)?;
        }
        Ok(())
    }

    /// Whether the directory `above`, or one that it is in, is `id`.
    fn is_above(&self, mut above: Option<usize>, id: FileId) -> bool {
        while let Some(directory) = above.map(|index| &self.walk.directories[index]) {
            if directory.id == id {
                return true;
            }
            above = directory.above;
        }
        false
    }

    /// Refuses a link to a directory where there are too many.
    fn count_way(&mut self, path: &Path, id: FileId) -> Result<()> {
        let ways = self.ways.entry(id).or_default();
        *ways += 1;
        if *ways <= MAX_WAYS {
            return Ok(());
        }
        Err(Error::input(
            path,
            (
                format!("is a link to a directory to which more than {MAX_WAYS} links led before"),
                "exclude some of them",
            ),
        ))
    }

    /// Takes an entry of `directory` if it is a file that is read, and remembers a directory.
    fn look_at(
        &mut self,
        entry: &DirEntry,
        directory: &Ahead,
        above: usize,
        take: &mut impl FnMut(&Path, Found) -> Result<()>,
    ) -> Result<()> {
        let name = entry.file_name();
        let path = directory.path.join(&name);
        let failed = |error| Error::io(&path, "cannot open")(error);
        let mut file_type = entry.file_type().map_err(failed)?;
        let is_link = file_type.is_symlink();
        // What a link leads to; `None` where that is nothing.
        let mut target = None;
        if is_link {
            target = followed(&path).map_err(failed)?;
            file_type = target.as_ref().map_or(file_type, Metadata::file_type);
        }
        let is_dangling = is_link && target.is_none();
        let is_dir = file_type.is_dir();

        let selection = &self.walk.selection;
        // A link to nothing may have been one to a directory.
        let may_be_dir = is_dir || is_dangling;
        if !selection.means(&directory.state, &name, false, may_be_dir) {
            if is_hidden(&name) && selection.means(&directory.state, &name, true, may_be_dir) {
                self.skipped.hidden.add(&path);
            }
            return Ok(());
        }
        let relative = if directory.relative.is_empty() {
            name.clone()
        } else {
            Path::new(&directory.relative).join(&name).into_os_string()
        };
        let is_left_out =
            self.filter.excludes(&relative) || !(may_be_dir || self.filter.includes(&relative));
        if is_left_out {
            self.skipped.excluded.add(&path);
        } else if is_dir {
            self.walk.has_links |= is_link;
            self.ahead.push(Ahead {
                path,
                relative,
                state: selection.below(&directory.state, &name),
                above: Some(above),
                is_link,
            });
        } else if file_type.is_file() {
            self.walk.has_links |= is_link;
            let metadata = match target {
                Some(metadata) => metadata,
                None => entry.metadata().map_err(failed)?,
            };
            take(&path, Found { relative, metadata })?;
        } else if let Some(kind) = irregular(self.skipped, file_type) {
            kind.add(&path);
        }
        Ok(())
    }
}

/// What the link at `path` leads to; `None` where that is nothing, be it because it leads to
/// itself.
fn followed(path: &Path) -> io::Result<Option<Metadata>> {
    match path.metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_absence(&error) || error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is nothing of a name.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
    )
}

/// The directory that `base` is.
fn root_of(base: &Path) -> PathBuf {
    if base.as_os_str().is_empty() {
        return PathBuf::from(".");
    }
    base.to_owned()
}

/// The count of what is neither a file nor a directory, of links those to nothing.
fn irregular(skipped: &mut SkippedFiles, file_type: FileType) -> Option<&mut Listed> {
    if file_type.is_symlink() {
        Some(&mut skipped.dangling_links)
    } else if file_type.is_fifo() {
        Some(&mut skipped.fifos)
    } else if file_type.is_socket() {
        Some(&mut skipped.sockets)
    } else if file_type.is_char_device() || file_type.is_block_device() {
        Some(&mut skipped.devices)
    } else {
        None
    }
}

impl Walk {
    /// The base as it is shown.
    pub(super) fn shown_base(&self) -> PathBuf {
        root_of(&self.base)
    }

    /// Whether the walk would read a file at `path`, relative to its base.
    pub(super) fn would_read(&self, path: &Path, filter: &Filter) -> bool {
        let mut state = self.selection.start();
        self.selection.prefer_literal(&mut state, &self.base);
        let mut above = PathBuf::new();
        let mut names = path.iter().peekable();
        while let Some(name) = names.next() {
            above.push(name);
            let is_last = names.peek().is_none();
            if !self.selection.means(&state, name, false, !is_last)
                || filter.excludes(above.as_os_str())
            {
                return false;
            }
            if is_last {
                return filter.includes(above.as_os_str());
            }
            state = self.selection.below(&state, name);
        }
        false
    }
}
