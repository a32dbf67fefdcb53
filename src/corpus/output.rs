//! Where an output must not be: inside an input, or around it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use shardmill_core::show::name;

use crate::corpus::visit::{FileId, id_of};
use crate::corpus::{Corpus, Kind};
use crate::error::{Error, Result};

/// The files of an output, one name of each kind.
const MADE: [&str; 5] = [
    "manifest.json",
    "run.json",
    "shard-00000.u32",
    "shard-00000.docs",
    "embeddings/embeddings.npy",
];

impl Corpus {
    /// Refuses an output inside a directory whose files are sources, because the next run would
    /// read it, and an output that contains sources, because it might replace them. Directories are
    /// compared by identity, not by name, so links and mounts hide nothing.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn check_output(&self, out: &Path) -> Result<()> {
        let overlap = |relation: &str, input: &Path| {
            Err(Error::output(
                out,
                (
                    format!("{relation} the input {}", name(input)),
                    "choose an output outside of it",
                ),
            ))
        };
        let real_out = real_path(out);
        let mut partial = real_out.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        if let Some(input) = self.that_reads(&real_out).or(self.that_reads(&partial)) {
            return overlap("is inside", &input);
        }
        if let Some(source) = self.source_in(&real_out) {
            return overlap("holds", &source);
        }
        if let Some(source) = self.source_in(&partial) {
            return overlap("is made in a .partial directory that holds", &source);
        }
        Ok(())
    }

    /// The directory of an argument from which the next run would read what is made in `out`.
    fn that_reads(&self, out: &Path) -> Option<PathBuf> {
        // Each directory that `out` is in, by its id, with the rest of the path.
        let above: HashMap<FileId, &Path> = out
            .ancestors()
            .filter_map(|parent| {
                let rest = out.strip_prefix(parent).ok()?;
                Some((id_of(&parent.metadata().ok()?), rest))
            })
            .collect();
        self.walks.iter().find_map(|walk| {
            let reads = walk.directories.iter().any(|directory| {
                above.get(&directory.id).is_some_and(|rest| {
                    let out = Path::new(&directory.relative).join(rest);
                    let mut made = MADE.iter().map(|name| out.join(name));
                    made.any(|made| walk.would_read(&made, &self.filter))
                })
            });
            reads.then(|| walk.shown_base())
        })
    }

    /// A source that lies in the directory `out`, at any depth.
    fn source_in(&self, out: &Path) -> Option<PathBuf> {
        // A directory that does not exist holds nothing.
        let out = id_of(&out.metadata().ok()?);
        // Directories that are known to be outside `out`.
        let mut outside = HashSet::new();
        let mut checked = PathBuf::new();
        self.sources.iter().find_map(|source| {
            if source.kind() == Kind::Stdin || source.object().is_some() {
                return None;
            }
            let path = self.path(source);
            let parent = path.parent().unwrap_or(&path);
            // Sources of the same directory are adjacent.
            if parent == checked {
                return None;
            }
            parent.clone_into(&mut checked);
            let real = real_path(parent);
            let is_in = real
                .ancestors()
                .take_while(|parent| outside.insert(parent.to_path_buf()))
                .any(|parent| parent.metadata().is_ok_and(|found| id_of(&found) == out));
            is_in.then_some(path)
        })
    }
}

/// `path` with links resolved as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .ancestors()
        .find_map(|parent| {
            let rest = absolute.strip_prefix(parent).ok()?;
            Some(parent.canonicalize().ok()?.join(rest))
        })
        .unwrap_or(absolute)
}
