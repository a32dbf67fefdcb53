//! Finds the selected entries in a directory and below it.
//!
//! Directories are visited in batches, by several threads. What is found, and which failure is
//! reported, does not depend on the threads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::corpus::crew::{Crew, FEW};
use crate::corpus::select::{Filter, Selection};
use crate::corpus::visit::{Ahead, Directory, FileId, Finds, Take, Visitor, root_of};
use crate::error::{Error, Result};

/// How many links to one directory are followed. With more, links probably lead back to each
/// other, and the number of paths explodes.
const MAX_WAYS: u32 = 1000;

/// The number of directories that are visited at once.
const BATCH: usize = 64;

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

/// The state of a walk.
struct Walker<T> {
    walk: Walk,
    finds: Finds<T>,
    /// How many links led to each directory.
    ways: HashMap<FileId, u32>,
    /// How many entries were found.
    entries: usize,
}

/// Finds the files below `base` that `selection` and `filter` accept, each under every name it has,
/// and what `take` makes of them, in no particular order.
///
/// # Errors
/// If several things fail, returns the failure whose path is the first in the order of bytes.
pub(super) fn walk<T: Send>(
    base: PathBuf,
    selection: Selection,
    filter: &Filter,
    crew: &Crew,
    take: &impl Take<T>,
) -> Result<(Walk, Finds<T>)> {
    let mut finds = Finds::default();
    finds.ahead.push(Ahead {
        path: base.clone(),
        relative: "".into(),
        state: selection.start(),
        above: None,
        is_link: false,
    });
    let mut walker = Walker {
        walk: Walk {
            base,
            selection,
            directories: Vec::new(),
            has_links: false,
        },
        finds,
        ways: HashMap::new(),
        entries: 0,
    };
    while !walker.finds.ahead.is_empty() {
        walker.step(filter, crew, take)?;
    }
    let Walker {
        mut walk,
        mut finds,
        ..
    } = walker;
    if let Some((_, error)) = finds.failed.take() {
        return Err(error);
    }
    walk.has_links = finds.has_links;
    Ok((walk, finds))
}

impl<T: Send> Walker<T> {
    /// Visits the directories that were found last.
    fn step(&mut self, filter: &Filter, crew: &Crew, take: &impl Take<T>) -> Result<()> {
        // Until much is found, threads are not worth starting.
        let batch = if self.entries < FEW { 1 } else { BATCH };
        let ahead = &mut self.finds.ahead;
        let mut batch = ahead.split_off(ahead.len().saturating_sub(batch));
        batch.retain(|directory| self.finds.may_fail_first(&directory.path));
        let visitor = Visitor {
            selection: &self.walk.selection,
            filter,
            crew,
            listed: &self.walk.directories,
            take,
        };
        let visited = crew.map(&batch, |directory| visitor.visit(directory));
        for (directory, (id, finds)) in batch.into_iter().zip(visited) {
            self.add(directory, id, finds)?;
        }
        Ok(())
    }

    /// Adds what was found in `directory`, which was listed if it has an id.
    fn add(&mut self, directory: Ahead, id: Option<FileId>, mut finds: Finds<T>) -> Result<()> {
        if let Some(id) = id {
            if directory.is_link {
                self.count_way(&directory.path, id)?;
            }
            let index = self.walk.directories.len();
            self.walk.directories.push(Directory {
                id,
                relative: directory.relative.into(),
                above: directory.above,
            });
            self.entries += finds.files.len() + finds.ahead.len();
            // The order of a directory's entries is arbitrary.
            finds.ahead.sort_unstable_by(|a, b| b.path.cmp(&a.path));
            for ahead in &mut finds.ahead {
                ahead.above = Some(index);
            }
        }
        self.finds.add(finds);
        Ok(())
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
