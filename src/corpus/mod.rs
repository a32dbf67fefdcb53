//! Where bytes come from: an ordered list of sources.
//!
//! Turns arguments (files, directories, globs, FIFOs, `-`) into sources with a name, a size and a
//! format, in the order that the dataset keeps. Reads no contents.

mod list;
mod source;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::document::Format;
use crate::show::name;
use crate::{Error, Result};

pub(crate) use source::{Kind, MAP_FROM_BYTES, Opened, Source, refuse_foreign};

/// The inputs of a run, in their order.
///
/// ```no_run
/// use shardmill::Corpus;
///
/// let corpus = Corpus::open(&["books/".into(), "web/*.jsonl".into()], None)?;
/// println!("{} sources, {} bytes", corpus.len(), corpus.total_bytes());
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Debug)]
pub struct Corpus {
    /// What the paths of the sources are relative to, one per argument.
    bases: Vec<PathBuf>,
    sources: Vec<Source>,
    /// Directories whose contents are sources.
    roots: Vec<PathBuf>,
    skipped: Skipped,
}

/// What was found in directories and left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// Files and directories whose name begins with a dot.
    pub hidden: u64,
    /// Symbolic links.
    pub symlinks: u64,
}

impl Corpus {
    /// Lists the sources that `arguments` name; `format` is for all of them, or chosen by
    /// extension.
    ///
    /// An argument is a file, a FIFO, `-` for standard input, a directory (its regular files at
    /// any depth, without hidden ones and symbolic links) or, where no file has that name, a glob.
    /// Arguments keep their order; inside one, sources are ordered by the bytes of their names.
    ///
    /// # Errors
    /// An argument that names nothing, or something that cannot be read.
    pub fn open(arguments: &[OsString], format: Option<Format>) -> Result<Self> {
        let mut corpus = Self {
            bases: Vec::new(),
            sources: Vec::new(),
            roots: Vec::new(),
            skipped: Skipped::default(),
        };
        for argument in arguments {
            list::add(&mut corpus, argument, format)?;
        }
        if u32::try_from(corpus.sources.len()).is_err() {
            return Err(Error::Config {
                field: "INPUT",
                what: "more than 4294967295 sources; make several datasets".to_owned(),
            });
        }
        Ok(corpus)
    }

    /// How many sources there are.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there is no source.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Bytes of all sources whose size is known in advance.
    pub fn total_bytes(&self) -> u64 {
        self.sources.iter().filter_map(Source::bytes).sum()
    }

    /// What directories held and was left out.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Whether a source is a stream, whose size is not known in advance.
    pub fn has_stream(&self) -> bool {
        self.sources.iter().any(|source| source.bytes().is_none())
    }

    /// Refuses an output that lies in a directory whose files are sources, where the next run
    /// would read it, and one in which sources lie, which it might replace.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn check_output(&self, out: &Path) -> Result<()> {
        let refuse = |relation: &str, input: &Path| {
            Err(Error::Output {
                path: out.to_owned(),
                what: format!(
                    "{relation} the input {}; choose an output outside of it",
                    name(input)
                ),
            })
        };
        let real_out = real_path(out);
        let inside = |root: &&PathBuf| real_out.starts_with(real_path(root));
        if let Some(root) = self.roots.iter().find(inside) {
            return refuse("is inside", root);
        }
        let mut partial = real_out.clone().into_os_string();
        partial.push(".partial");
        let mut checked = PathBuf::new();
        for source in self
            .sources
            .iter()
            .filter(|source| source.kind() != Kind::Stdin)
        {
            let path = self.path(source);
            let parent = path.parent().unwrap_or(&path);
            // Sources of one directory follow each other.
            if parent != checked {
                parent.clone_into(&mut checked);
                let real = real_path(parent);
                if real.starts_with(&real_out) {
                    return refuse("holds", &path);
                }
                if real.starts_with(&partial) {
                    return refuse("is made in a .partial directory that holds", &path);
                }
            }
        }
        Ok(())
    }

    /// Where source `index` lies: its argument and its name there; `None` where there is no such
    /// source.
    pub fn source_path(&self, index: usize) -> Option<PathBuf> {
        self.sources.get(index).map(|source| self.path(source))
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub(crate) fn path(&self, source: &Source) -> PathBuf {
        self.bases[source.base()].join(source.relative())
    }

    /// The path of source `index`, for messages.
    pub(crate) fn path_of(&self, index: usize) -> PathBuf {
        self.path(&self.sources[index])
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

#[cfg(test)]
mod tests;
