//! Where bytes come from: an ordered list of sources.
//!
//! Turns arguments (files, directories, globs, FIFOs, `-`) into sources with a name, a size and a
//! format, in the order that the dataset keeps. Looks into a file only if its name leaves the
//! format open.
//!
//! ```text
//! arguments  all arguments, in order
//! list       which sources an argument names, their order and their formats
//! walk       which directories are entered: links, circles, mazes
//! visit      what the entries of a directory are
//! crew       the threads that list and sort
//! select     which entries of a directory match, and whether hidden ones do
//! pattern    how one path pattern is read, and which names match it
//! objects    which objects of a store a URL names
//! json       whether a `.json` file holds JSON Lines
//! columns    the file with columns that was opened last
//! field      which field or column holds the documents
//! source     how a source is read, and whether it changed or contradicts its format
//! report     what was left out, repeated or read as text
//! output     where an output must not be
//! ```

mod arguments;
mod columns;
mod crew;
mod field;
mod json;
mod list;
mod objects;
mod output;
mod pattern;
mod report;
mod select;
mod source;
mod visit;
mod walk;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::document::{Format, TextDocuments};
use crate::error::{Error, Result};
use crate::threads::one_each_cpu;

pub use report::{CorpusReport, Listed, Repeated, SkippedFiles};
pub(crate) use source::{CHANGED, Kind, MAP_FROM_BYTES, Opened, Source};

pub(crate) use columns::ColumnFile;
use columns::LastColumns;
use list::Listing;
use select::Filter;
use walk::Walk;

/// How a corpus is listed.
///
/// ```
/// let mut options = shardmill::CorpusOptions::default();
/// options.include = vec!["*.{txt,md}".into()];
/// options.exclude = vec!["drafts".into()];
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CorpusOptions {
    /// The format of all sources, whatever they look like. If `None`, each source's name and
    /// content decide.
    pub format: Option<Format>,
    /// What is a document in a text source.
    pub documents: TextDocuments,
    /// From directories and globs, only files that match one of these patterns are read. A pattern
    /// without a slash matches a name at any depth, one with a slash the path relative to the
    /// argument. A pattern that matches a directory applies to everything in it.
    pub include: Vec<OsString>,
    /// Whatever matches one of these patterns, by the same rules, is left out.
    pub exclude: Vec<OsString>,
    /// How many threads may list large directories; the corpus does not depend on this.
    pub threads: usize,
}

impl Default for CorpusOptions {
    fn default() -> Self {
        Self {
            format: None,
            documents: TextDocuments::default(),
            include: Vec::new(),
            exclude: Vec::new(),
            threads: one_each_cpu(),
        }
    }
}

/// The inputs of a run, in order.
///
/// ```no_run
/// use shardmill::{Corpus, CorpusOptions};
///
/// let inputs = ["books/".into(), "web/*.jsonl".into()];
/// let corpus = Corpus::open(&inputs, &CorpusOptions::default())?;
/// println!("{} sources, {} bytes", corpus.len(), corpus.total_bytes());
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Debug)]
pub struct Corpus {
    /// The directories that the sources' paths are relative to, one per argument.
    bases: Vec<PathBuf>,
    sources: Vec<Source>,
    /// The directories that were walked, by argument.
    walks: Vec<Walk>,
    filter: Filter,
    report: CorpusReport,
    last_columns: LastColumns,
}

impl Corpus {
    /// Lists the sources that `arguments` name.
    ///
    /// An argument is a file, a FIFO, `-` for standard input, a directory (its files at any depth)
    /// or, if nothing has that name, a pattern: `*`, `?`, `[a-z]` and `{a,b}` as in a shell, and
    /// `**` for any number of directories. A directory that matches is read like one that is named.
    /// Links are followed. Hidden files are read only if a pattern or the argument itself names
    /// them, FIFOs only if an argument does. What is left out is counted in [`Self::report`].
    ///
    /// With the cargo feature `remote`, an argument may also be a URL: `s3://`, `gs://` or `az://`, then
    /// a bucket, and an object, a prefix or a pattern, by the same rules; or an `https://` URL of one
    /// object. Credentials and endpoints come from the environment.
    ///
    /// Arguments keep their order; within an argument, sources are ordered by the bytes of their
    /// names. `.jsonl` and `.ndjson` are JSON Lines, and so is `.json` if its first lines are
    /// objects; `.csv`, `.tsv` and `.parquet` are what they say; `.arrow`, `.arrows`, `.feather` and
    /// `.ipc` are Arrow. Everything else is text, which is refused if it looks like JSON Lines, Parquet
    /// or Arrow when it is read. `.gz`, `.zst`, `.xz` and `.bz2` after all but Parquet and Arrow, as in
    /// `a.jsonl.gz`, say that a file is compressed.
    ///
    /// # Errors
    /// Fails if an argument names nothing, or something that cannot be read.
    pub fn open(arguments: &[OsString], options: &CorpusOptions) -> Result<Self> {
        let filter = Filter::new(&options.include, &options.exclude)
            .map_err(|(path, what)| Error::input(path, what))?;
        let mut listing = Listing::new(options, filter);
        listing.add_all(arguments)?;
        Ok(listing.finish())
    }

    fn empty(filter: Filter) -> Self {
        Self {
            bases: Vec::new(),
            sources: Vec::new(),
            walks: Vec::new(),
            filter,
            report: CorpusReport::default(),
            last_columns: LastColumns::default(),
        }
    }

    /// Adds the directory that an argument's paths are relative to.
    fn add_base(&mut self, base: PathBuf) -> usize {
        self.bases.push(base);
        self.bases.len() - 1
    }

    fn base(&self, index: usize) -> &Path {
        &self.bases[index]
    }

    /// The number of sources.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are no sources.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The total bytes of all sources whose size is known in advance.
    pub fn total_bytes(&self) -> u64 {
        self.sources.iter().filter_map(Source::bytes).sum()
    }

    /// What a user should know about how the sources were listed.
    pub fn report(&self) -> &CorpusReport {
        &self.report
    }

    /// Whether a source is standard input.
    pub fn has_stdin(&self) -> bool {
        self.sources
            .iter()
            .any(|source| source.kind() == Kind::Stdin)
    }

    /// Whether a source is a stream, whose size is not known in advance.
    pub fn has_stream(&self) -> bool {
        self.sources.iter().any(|source| source.bytes().is_none())
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub(crate) fn path(&self, source: &Source) -> PathBuf {
        let base = self.bases[source.base()].as_os_str();
        let relative = source.relative();
        // Of the right size at once: a path that grows meets a lock of the allocator, and there may be
        // a million files.
        let mut path = PathBuf::with_capacity(base.len() + 1 + relative.len());
        path.extend([base, relative]);
        path
    }

    /// The path of source `index`, for messages.
    ///
    /// # Panics
    /// If `index` is not less than [`Self::len`].
    pub fn path_of(&self, index: usize) -> PathBuf {
        self.path(&self.sources[index])
    }
}

#[cfg(test)]
mod tests;
