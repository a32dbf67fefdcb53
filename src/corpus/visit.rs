//! Sorts the entries of one directory into files to read, entries to leave out, and directories to
//! enter.

use std::ffi::{OsStr, OsString};
use std::fs::{DirEntry, FileType, Metadata, ReadDir, read_dir};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::corpus::crew::{Crew, FEW};
use crate::corpus::report::{Listed, SkippedFiles};
use crate::corpus::select::{Filter, Selection, State, is_hidden};
use crate::error::{Error, Result};

/// How many entries of a directory are read in one batch.
const ENTRIES: usize = 8192;

/// Identifies a file under any name: device and inode.
pub(super) type FileId = (u64, u64);

pub(super) fn id_of(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// A directory whose entries were listed.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) id: FileId,
    pub(super) relative: Box<OsStr>,
    /// The index of the parent directory.
    pub(super) above: Option<usize>,
}

/// A directory that was found and is still to be entered.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) path: PathBuf,
    pub(super) relative: OsString,
    pub(super) state: State,
    pub(super) above: Option<usize>,
    pub(super) is_link: bool,
}

/// A file that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) relative: OsString,
    pub(super) metadata: Metadata,
}

/// What becomes of a found file; the second argument returns its path.
pub(super) trait Take<T>: Fn(Found, &dyn Fn() -> PathBuf) -> Result<T> + Sync {}

impl<T, F: Fn(Found, &dyn Fn() -> PathBuf) -> Result<T> + Sync> Take<T> for F {}

/// What was found in some directories.
#[derive(Debug)]
pub(super) struct Finds<T> {
    /// What the files became.
    pub(super) files: Vec<T>,
    /// Directories to enter.
    pub(super) ahead: Vec<Ahead>,
    pub(super) skipped: SkippedFiles,
    /// Whether a link was followed.
    pub(super) has_links: bool,
    /// The failure whose path is the first in the order of bytes.
    pub(super) failed: Option<(PathBuf, Error)>,
}

impl<T> Default for Finds<T> {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            ahead: Vec::new(),
            skipped: SkippedFiles::default(),
            has_links: false,
            failed: None,
        }
    }
}

impl<T> Finds<T> {
    fn fail(&mut self, path: &Path, error: Error) {
        if self.may_fail_first(path) {
            self.failed = Some((path.to_owned(), error));
        }
    }

    /// Whether a failure at `path`, or below it, would be the first one.
    pub(super) fn may_fail_first(&self, path: &Path) -> bool {
        let failed = self.failed.as_ref();
        failed.is_none_or(|(first, _)| path.as_os_str().as_bytes() < first.as_os_str().as_bytes())
    }

    pub(super) fn add(&mut self, mut other: Self) {
        self.files.append(&mut other.files);
        self.ahead.append(&mut other.ahead);
        self.skipped.append(other.skipped);
        self.has_links |= other.has_links;
        if let Some((path, error)) = other.failed {
            self.fail(&path, error);
        }
    }
}

/// How a directory is visited, by any thread.
pub(super) struct Visitor<'a, F> {
    pub(super) selection: &'a Selection,
    pub(super) filter: &'a Filter,
    pub(super) crew: &'a Crew,
    /// All directories that were listed before, and so all above those that are visited.
    pub(super) listed: &'a [Directory],
    pub(super) take: &'a F,
}

impl<F> Visitor<'_, F> {
    /// Looks at all entries of a directory; also returns its id, unless there is nothing to list.
    pub(super) fn visit<T: Send>(&self, directory: &Ahead) -> (Option<FileId>, Finds<T>)
    where
        F: Take<T>,
    {
        let mut finds = Finds::default();
        let id = match enter(directory) {
            Ok(Some(id)) if self.is_above(directory.above, id) => {
                finds.skipped.circles.add(&directory.path);
                None
            }
            Ok(Some(id)) => {
                finds = self.list(directory);
                Some(id)
            }
            Ok(None) => None,
            Err(error) => {
                finds.fail(&directory.path, error);
                None
            }
        };
        (id, finds)
    }

    /// Whether the directory `above`, or one of its ancestors, is `id`.
    fn is_above(&self, mut above: Option<usize>, id: FileId) -> bool {
        while let Some(directory) = above.map(|index| &self.listed[index]) {
            if directory.id == id {
                return true;
            }
            above = directory.above;
        }
        false
    }

    fn list<T: Send>(&self, directory: &Ahead) -> Finds<T>
    where
        F: Take<T>,
    {
        let mut finds = Finds::default();
        let path = root_of(&directory.path);
        let failed = |error| Error::io(&path, "cannot list")(error);
        let mut entries = match read_dir(&path) {
            Ok(entries) => Some(entries),
            Err(error) => {
                finds.fail(&directory.path, failed(error));
                return finds;
            }
        };
        let mut state = directory.state.clone();
        self.selection.prefer_literal(&mut state, &path);
        let mut some = read_some(&mut entries);
        while !matches!(&some, Ok(some) if some.is_empty()) {
            let now = match some {
                Ok(now) => now,
                Err(error) => {
                    finds.fail(&directory.path, failed(error));
                    return finds;
                }
            };
            let look = |share: &[DirEntry]| self.look_at_all(share, directory, &state);
            let (found, next) = self.crew.join(
                now.len() >= FEW,
                || self.crew.map_shares(&now, look),
                || read_some(&mut entries),
            );
            for found in found {
                finds.add(found);
            }
            some = next;
        }
        finds
    }

    fn look_at_all<T>(&self, entries: &[DirEntry], directory: &Ahead, state: &State) -> Finds<T>
    where
        F: Take<T>,
    {
        let mut finds = Finds::default();
        for entry in entries {
            if let Err(error) = self.look_at(entry, directory, state, &mut finds) {
                finds.fail(&directory.path.join(entry.file_name()), error);
            }
        }
        finds
    }

    /// Takes an entry of `directory`, which is in `state`, if it is a file to read; adds it to
    /// those ahead if it is a directory.
    fn look_at<T>(
        &self,
        entry: &DirEntry,
        directory: &Ahead,
        state: &State,
        finds: &mut Finds<T>,
    ) -> Result<()>
    where
        F: Take<T>,
    {
        let name = entry.file_name();
        let path = || directory.path.join(&name);
        let failed = |error| Error::io(path(), "cannot open")(error);
        let mut file_type = entry.file_type().map_err(failed)?;
        let is_link = file_type.is_symlink();
        // The target of a link; `None` if it has none.
        let mut target = None;
        if is_link {
            target = followed(&path()).map_err(failed)?;
            file_type = target.as_ref().map_or(file_type, Metadata::file_type);
        }
        let is_dangling = is_link && target.is_none();
        let is_dir = file_type.is_dir();

        // A dangling link may have led to a directory.
        let may_be_dir = is_dir || is_dangling;
        if !self.selection.means(state, &name, false, may_be_dir) {
            if is_hidden(&name) && self.selection.means(state, &name, true, may_be_dir) {
                finds.skipped.hidden.add(&path());
            }
            return Ok(());
        }
        let relative = below(&directory.relative, &name);
        let is_left_out =
            self.filter.excludes(&relative) || !(may_be_dir || self.filter.includes(&relative));
        if is_left_out {
            finds.skipped.excluded.add(&path());
        } else if is_dir {
            finds.has_links |= is_link;
            finds.ahead.push(Ahead {
                path: path(),
                relative,
                state: self.selection.below(state, &name),
                above: None,
                is_link,
            });
        } else if file_type.is_file() {
            finds.has_links |= is_link;
            let metadata = match target {
                Some(metadata) => metadata,
                None => entry.metadata().map_err(failed)?,
            };
            let found = Found { relative, metadata };
            finds.files.push((self.take)(found, &path)?);
        } else if let Some(kind) = irregular(&mut finds.skipped, file_type) {
            kind.add(&path());
        }
        Ok(())
    }
}

/// The id of a directory; `None` if the walk begins at something that is none.
fn enter(directory: &Ahead) -> Result<Option<FileId>> {
    let path = root_of(&directory.path);
    let is_first = directory.above.is_none();
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(Some(id_of(&metadata))),
        // A pattern below something that is not a directory, or does not exist.
        Ok(_) if is_first => Ok(None),
        Err(error) if is_first && is_absence(&error) => Ok(None),
        Ok(_) => Err(Error::io(&path, "cannot list")(
            ErrorKind::NotADirectory.into(),
        )),
        Err(error) => Err(Error::io(&path, "cannot list")(error)),
    }
}

/// The next entries of a directory; none at its end.
fn read_some(entries: &mut Option<ReadDir>) -> io::Result<Vec<DirEntry>> {
    let some: io::Result<_> = entries.iter_mut().flatten().take(ENTRIES).collect();
    if some.is_err() {
        // The error might be returned again and again.
        *entries = None;
    }
    some
}

/// The path of `name` in the directory `relative`.
fn below(relative: &OsStr, name: &OsStr) -> OsString {
    let mut path = OsString::with_capacity(relative.len() + 1 + name.len());
    path.push(relative);
    if !relative.is_empty() {
        path.push("/");
    }
    path.push(name);
    path
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
pub(super) fn root_of(base: &Path) -> PathBuf {
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
