//! A walk through a directory and all below it, for the entries that are meant.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{FileType, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::corpus::report::{Listed, SkippedFiles};
use crate::corpus::select::{Filter, Selection, State, is_hidden};
use crate::{Error, Result};

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
    root: PathBuf,
    filter: &'a Filter,
    skipped: &'a mut SkippedFiles,
    /// Each directory on the way to where the walk is, and the state in it.
    way: Vec<(FileId, State)>,
    /// How often a link led to a directory.
    ways: HashMap<FileId, u32>,
}

/// Finds what `selection` and `filter` leave of the files below `base`, each by every name it has,
/// and gives them to `take` in no order.
pub(super) fn walk(
    base: PathBuf,
    selection: Selection,
    filter: &Filter,
    skipped: &mut SkippedFiles,
    mut take: impl FnMut(Found) -> Result<()>,
) -> Result<Walk> {
    let root = root_of(&base);
    let mut entries = WalkDir::new(&root).follow_links(true).into_iter();
    let mut walker = Walker {
        walk: Walk {
            base,
            selection,
            directories: Vec::new(),
            has_links: false,
        },
        root,
        filter,
        skipped,
        way: Vec::new(),
        ways: HashMap::new(),
    };
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {
                if !walker.enters(&entry)? {
                    entries.skip_current_dir();
                }
            }
            Ok(entry) => {
                if let Some(found) = walker.find(&entry)? {
                    take(found)?;
                }
            }
            Err(error) => walker.passes(error)?,
        }
    }
    Ok(walker.walk)
}

impl Walker<'_> {
    fn relative<'p>(&self, path: &'p Path) -> &'p OsStr {
        path.strip_prefix(&self.root).unwrap_or(path).as_os_str()
    }

    /// `path` as it is shown, without the dot of the working directory.
    fn shown(&self, path: &Path) -> PathBuf {
        self.walk.base.join(self.relative(path))
    }

    /// How far the patterns come below the entry at `path`, and whether they select it; `None`,
    /// after it has been counted, where it is left out.
    fn step(&mut self, path: &Path, depth: usize, is_dir: bool) -> Option<(State, bool)> {
        let name = path.file_name().unwrap_or(OsStr::new(""));
        let (_, state) = &self.way[depth - 1];
        let selection = &self.walk.selection;
        let step = selection.step(state, name, false);
        if !step.is_meant(is_dir) {
            if is_hidden(name) && selection.step(state, name, true).is_meant(is_dir) {
                let path = self.shown(path);
                self.skipped.hidden.add(&path);
            }
            return None;
        }
        if self.filter.excludes(self.relative(path)) {
            let path = self.shown(path);
            self.skipped.excluded.add(&path);
            return None;
        }
        Some((step.below, step.is_selected))
    }

    /// Whether the walk goes into a directory.
    fn enters(&mut self, entry: &DirEntry) -> Result<bool> {
        let path = entry.path();
        let state = if entry.depth() == 0 {
            self.walk.selection.start(path)
        } else {
            let Some((mut below, _)) = self.step(path, entry.depth(), true) else {
                return Ok(false);
            };
            self.walk.selection.prefer_literal(&mut below, path);
            below
        };
        let id = id_of(&metadata_of(entry, path)?);
        self.way.truncate(entry.depth());
        if self.way.iter().any(|&(above, _)| above == id) {
            // Not a link itself, but below one that leads up.
            let path = self.shown(path);
            self.skipped.circles.add(&path);
            return Ok(false);
        }
        if entry.path_is_symlink() && entry.depth() > 0 {
            self.walk.has_links = true;
            let ways = self.ways.entry(id).or_default();
            *ways += 1;
            if *ways > MAX_WAYS {
                return Err(Error::Input {
                    path: self.shown(path),
                    what: format!(
                        "is a link to a directory to which more than {MAX_WAYS} links led before; \
                         exclude some of them"
                    ),
                });
            }
        }
        self.walk.directories.push(Directory {
            id,
            relative: self.relative(path).into(),
        });
        self.way.push((id, state));
        Ok(true)
    }

    /// What is no directory, if it is a file that is read.
    fn find(&mut self, entry: &DirEntry) -> Result<Option<Found>> {
        let path = entry.path();
        if entry.depth() == 0 {
            // A pattern below something that is no directory.
            return Ok(None);
        }
        let Some((_, true)) = self.step(path, entry.depth(), false) else {
            return Ok(None);
        };
        let relative = self.relative(path);
        if !self.filter.includes(relative) {
            let path = self.shown(path);
            self.skipped.excluded.add(&path);
            return Ok(None);
        }
        if !entry.file_type().is_file() {
            let path = self.shown(path);
            if let Some(kind) = irregular(self.skipped, entry.file_type()) {
                kind.add(&path);
            }
            return Ok(None);
        }
        self.walk.has_links |= entry.path_is_symlink();
        Ok(Some(Found {
            relative: relative.to_owned(),
            metadata: metadata_of(entry, path)?,
        }))
    }

    /// Goes on behind a link that leads nowhere or in a circle.
    fn passes(&mut self, error: walkdir::Error) -> Result<()> {
        let depth = error.depth();
        let path = error.path().unwrap_or(&self.root).to_owned();
        let is_circle = error.loop_ancestor().is_some();
        if depth > 0 && (is_circle || is_dangling(&path)) {
            if self.step(&path, depth, true).is_some() {
                let path = self.shown(&path);
                let kind = if is_circle {
                    &mut self.skipped.circles
                } else {
                    &mut self.skipped.dangling_links
                };
                kind.add(&path);
            }
            return Ok(());
        }
        let source = error.into_io_error().unwrap_or(ErrorKind::Other.into());
        let is_absent = matches!(
            source.kind(),
            ErrorKind::NotFound | ErrorKind::NotADirectory
        );
        if depth == 0 && is_absent {
            return Ok(());
        }
        Err(Error::io(self.shown(&path), "cannot list")(source))
    }
}

/// The directory that `base` is.
fn root_of(base: &Path) -> PathBuf {
    if base.as_os_str().is_empty() {
        return PathBuf::from(".");
    }
    base.to_owned()
}

fn metadata_of(entry: &DirEntry, path: &Path) -> Result<Metadata> {
    entry.metadata().map_err(|error| {
        let source = error.into_io_error().unwrap_or(ErrorKind::Other.into());
        Error::io(path, "cannot open")(source)
    })
}

/// The count of what is neither a file nor a directory.
fn irregular(skipped: &mut SkippedFiles, file_type: FileType) -> Option<&mut Listed> {
    if file_type.is_fifo() {
        Some(&mut skipped.fifos)
    } else if file_type.is_socket() {
        Some(&mut skipped.sockets)
    } else if file_type.is_char_device() || file_type.is_block_device() {
        Some(&mut skipped.devices)
    } else {
        None
    }
}

/// Whether `path` is a link to nothing, be it because it leads to itself.
fn is_dangling(path: &Path) -> bool {
    let is_link = path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_symlink());
    is_link
        && path.metadata().is_err_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
            ) || error.raw_os_error() == Some(libc::ELOOP)
        })
}

impl Walk {
    /// The base as it is shown.
    pub(super) fn shown_base(&self) -> PathBuf {
        root_of(&self.base)
    }

    /// Whether the walk would read a file at `path`, relative to its base.
    pub(super) fn would_read(&self, path: &Path, filter: &Filter) -> bool {
        let mut state = self.selection.start(&self.base);
        let mut above = PathBuf::new();
        let names: Vec<_> = path.iter().collect();
        for (index, name) in names.iter().enumerate() {
            above.push(name);
            let step = self.selection.step(&state, name, false);
            let is_last = index + 1 == names.len();
            if !step.is_meant(!is_last) || filter.excludes(above.as_os_str()) {
                return false;
            }
            if is_last {
                return step.is_selected && filter.includes(above.as_os_str());
            }
            state = step.below;
        }
        false
    }
}
