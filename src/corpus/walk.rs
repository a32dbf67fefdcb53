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

/// How many links to one directory are followed. More would be a maze of links, in which the number
/// of paths multiplies.
const MAX_WAYS: u32 = 1000;

/// Identifies a file whatever its name: device and inode.
pub(super) type FileId = (u64, u64);

pub(super) fn id_of(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// Where a walk went.
#[derive(Debug)]
pub(super) struct Walk {
    /// The directory that paths are relative to; empty for the working directory.
    pub(super) base: PathBuf,
    pub(super) selection: Selection,
    /// The directories whose entries were listed.
    pub(super) directories: Vec<Directory>,
    /// Whether a link was followed.
    pub(super) has_links: bool,
}

#[derive(Debug)]
pub(super) struct Directory {
    pub(super) id: FileId,
    pub(super) relative: Box<OsStr>,
    /// The index of the parent directory.
    above: Option<usize>,
}

/// A file that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) relative: OsString,
    pub(super) metadata: Metadata,
}

/// The state of a walk.
struct Walker<'a> {
    walk: Walk,
    filter: &'a Filter,
    skipped: &'a mut SkippedFiles,
    /// Directories still to be entered, one after another, so that only one is open at any depth.
    ahead: Vec<Ahead>,
    /// How many links led to each directory.
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

/// Finds the files below `base` that `selection` and `filter` accept, each under every name it has,
/// and passes them with their paths to `take`, in no particular order.
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
    /// Visits the entries of a directory.
    fn enter(
        &mut self,
        mut directory: Ahead,
        take: &mut impl FnMut(&Path, Found) -> Result<()>,
    ) -> Result<()> {
        let path = root_of(&directory.path);
        let metadata = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => metadata,
            // A pattern below something that is not a directory, or does not exist.
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

    /// Whether the directory `above`, or one of its ancestors, is `id`.
    fn is_above(&self, mut above: Option<usize>, id: FileId) -> bool {
        while let Some(directory) = above.map(|index| &self.walk.directories[index]) {
            if directory.id == id {
                return true;
            }
            above = directory.above;
        }
        false
    }

    /// Refuses a link to a directory that too many links led to.
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

    /// Takes an entry of `directory` if it is a file to read; queues it if it is a directory.
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
        // The target of a link; `None` if it has none.
        let mut target = None;
        if is_link {
            target = followed(&path).map_err(failed)?;
            file_type = target.as_ref().map_or(file_type, Metadata::file_type);
        }
        let is_dangling = is_link && target.is_none();
        let is_dir = file_type.is_dir();

        let selection = &self.walk.selection;
        // A dangling link may have led to a directory.
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

/// The target of the link at `path`; `None` if it has none, or leads to itself.
fn followed(path: &Path) -> io::Result<Option<Metadata>> {
    match path.metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_absence(&error) || error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the error means that nothing has this name.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
    )
}

/// `base` as a path that can be opened.
fn root_of(base: &Path) -> PathBuf {
    if base.as_os_str().is_empty() {
        return PathBuf::from(".");
    }
    base.to_owned()
}

/// The list for an entry that is neither a file nor a directory; a link here is a dangling one.
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
    /// The base, as shown in messages.
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
