//! The library's one error type.
//!
//! A variant per cause that a caller would treat differently. Every message is one line and says
//! where (path, then line or byte) and, where that is known, what to do.

use std::io;
use std::path::{Path, PathBuf};

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in shardmill.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a call.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What was being done, such as "cannot open".
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The operating system could not read an input to its end.
    #[error("{}: byte {offset}: cannot read: {source}", path.display())]
    Read {
        /// The input.
        path: PathBuf,
        /// Byte offset in the input of the first byte that did not come.
        offset: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// An input cannot be used as it is.
    #[error("{}: {what}", path.display())]
    Input {
        /// The input.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// An input is not valid UTF-8.
    #[error(
        "{}: byte {offset}: invalid UTF-8; use --invalid-utf8 replace or ignore to accept it",
        path.display()
    )]
    Utf8 {
        /// The input.
        path: PathBuf,
        /// Byte offset of the first invalid sequence in the input.
        offset: u64,
    },
    /// A byte position of an input is not acceptable.
    #[error("{}: byte {offset}: {what}", path.display())]
    Byte {
        /// The input.
        path: PathBuf,
        /// Byte offset in the input.
        offset: u64,
        /// What is wrong there and what to do.
        what: String,
    },
    /// A line of a JSON Lines input is not acceptable.
    #[error("{}: line {line}: {what}", path.display())]
    Json {
        /// The input.
        path: PathBuf,
        /// Line number, counted from 1.
        line: u64,
        /// What is wrong with the line and what to do.
        what: String,
    },
    /// A dataset is damaged or is not one.
    #[error("{}: {what}", path.display())]
    Shard {
        /// The file or directory.
        path: PathBuf,
        /// What does not hold.
        what: String,
    },
    /// A table file is not one that can be used.
    #[error("{}: {what}", path.display())]
    Table {
        /// The table's file, with `#key` where it has several.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// Sizes that do not fit together.
    #[error("{what}")]
    Shape {
        /// What does not fit what.
        what: String,
    },
    /// There is no encoding of that name.
    #[error("unknown encoding '{name}'; known are {known}")]
    UnknownEncoding {
        /// The name asked for.
        name: String,
        /// The names there are, separated by commas.
        known: String,
    },
    /// A setting is out of range or contradicts another.
    #[error("{field}: {what}")]
    Config {
        /// The setting, as its command line option is spelled.
        field: &'static str,
        /// What is wrong with its value.
        what: String,
    },
    /// The output is there already, or cannot be where it was asked to be.
    #[error("{}: {what}", path.display())]
    Output {
        /// The output.
        path: PathBuf,
        /// What is in the way and what to do.
        what: String,
    },
    /// The run was asked to end, by [`Stats::stop`](crate::Stats::stop).
    #[error("stopped before the end")]
    Stopped,
    /// Another run is writing the same output.
    #[error("{}: another run is writing here; wait for it to end or choose another --out", path.display())]
    Locked {
        /// The directory that the other run holds.
        path: PathBuf,
    },
    /// There is not enough room for the output.
    #[error("{}: needs {needed_bytes} bytes and the disk has {free_bytes} free; make room or lower the size", path.display())]
    NoRoom {
        /// Where the output would have gone.
        path: PathBuf,
        /// What it needs.
        needed_bytes: u64,
        /// What is free there.
        free_bytes: u64,
    },
    /// The system starts no more threads.
    #[error("cannot start {threads} threads: {what}; use fewer --threads")]
    Threads {
        /// How many there were to be.
        threads: usize,
        /// What the system says.
        what: String,
    },
    /// There is not enough memory.
    #[error("there is no memory for {needed_bytes} bytes; free some or lower the sizes")]
    Memory {
        /// What was asked for.
        needed_bytes: u64,
    },
}

impl Error {
    /// Wraps a system error; made for `map_err`.
    pub(crate) fn io(path: impl AsRef<Path>, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.as_ref().to_owned(),
            what,
            source,
        }
    }
}
