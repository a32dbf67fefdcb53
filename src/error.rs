//! The library's one error type.
//!
//! A variant per cause that a caller would treat differently. Every message is one line, without
//! control characters whatever the names in it hold, and says where (path, then line or byte) and,
//! where that is known, what to do.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::show::{self, count, counted, name};

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in shardmill.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a call.
    #[error("{}: {what}: {source}", name(path))]
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What was being done, such as "cannot open".
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The operating system could not read an input to its end.
    #[error("{}: byte {offset}: cannot read: {source}", name(path))]
    Read {
        /// The input.
        path: PathBuf,
        /// Byte offset in the input of the first byte that did not come.
        offset: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// An input cannot be used as it is.
    #[error("{}: {}", name(path), name(what))]
    Input {
        /// The input.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// An input is not valid UTF-8.
    #[error(
        "{}: byte {offset}: invalid UTF-8; use --invalid-utf8 replace or ignore to accept it",
        name(path)
    )]
    Utf8 {
        /// The input.
        path: PathBuf,
        /// Byte offset of the first invalid sequence in the input.
        offset: u64,
    },
    /// A byte position of an input is not acceptable.
    #[error("{}: byte {offset}: {}", name(path), name(what))]
    Byte {
        /// The input.
        path: PathBuf,
        /// Byte offset in the input.
        offset: u64,
        /// What is wrong there and what to do.
        what: String,
    },
    /// A line of a JSON Lines input is not acceptable.
    #[error("{}: line {line}: {}", name(path), name(what))]
    Json {
        /// The input.
        path: PathBuf,
        /// Line number, counted from 1.
        line: u64,
        /// What is wrong with the line and what to do.
        what: String,
    },
    /// A dataset is damaged or is not one.
    #[error("{}: {}", name(path), name(what))]
    Shard {
        /// The file or directory.
        path: PathBuf,
        /// What does not hold.
        what: String,
    },
    /// A table file is not one that can be used.
    #[error("{}: {}", name(path), name(what))]
    Table {
        /// The table's file, with `#key` where it has several.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// Sizes that do not fit together.
    #[error("{}", name(what))]
    Shape {
        /// What does not fit what.
        what: String,
    },
    /// There is no encoding of that name.
    #[error("unknown encoding '{}'; known are {known}", show::name(name))]
    UnknownEncoding {
        /// The name asked for.
        name: String,
        /// The names there are, separated by commas.
        known: String,
    },
    /// A setting is out of range or contradicts another.
    #[error("{field}: {}", name(what))]
    Config {
        /// The setting, as its command line option is spelled.
        field: &'static str,
        /// What is wrong with its value.
        what: String,
    },
    /// The output is there already, or cannot be where it was asked to be.
    #[error("{}: {}", name(path), name(what))]
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
    #[error(
        "{}: another run is writing here; wait for it to end or choose another --out",
        name(path)
    )]
    Locked {
        /// The directory that the other run holds.
        path: PathBuf,
    },
    /// There is not enough room for the output.
    #[error(
        "{}: needs {} and the disk has {} free; make room or lower the size",
        name(path),
        counted(*needed_bytes, "byte"),
        count(*free_bytes)
    )]
    NoRoom {
        /// Where the output would have gone.
        path: PathBuf,
        /// What it needs.
        needed_bytes: u64,
        /// What is free there.
        free_bytes: u64,
    },
    /// The system starts no more threads.
    #[error("cannot start {}: {what}; use fewer --threads", counted(*threads as u64, "thread"))]
    Threads {
        /// How many there were to be.
        threads: usize,
        /// What the system says.
        what: String,
    },
    /// There is not enough memory.
    #[error(
        "out of memory: cannot allocate {}; use smaller sizes or fewer threads",
        counted(*needed_bytes, "byte")
    )]
    Memory {
        /// What was asked for.
        needed_bytes: u64,
    },
}

impl Error {
    /// Whether the same call may go well another time, with the same inputs and settings: the system
    /// refused what it may grant later, another run was at work here, or this one was stopped.
    ///
    /// ```
    /// use shardmill::TokenStore;
    ///
    /// let error = TokenStore::open("no/such/dataset".as_ref()).unwrap_err();
    /// assert!(!error.is_retryable());
    /// ```
    pub fn is_retryable(&self) -> bool {
        match self {
            // A path that is wrong is still so at the next try.
            Self::Io { source, .. } | Self::Read { source, .. } => !is_of_path(source),
            Self::NoRoom { .. }
            | Self::Memory { .. }
            | Self::Threads { .. }
            | Self::Stopped
            | Self::Locked { .. } => true,
            Self::Input { .. }
            | Self::Utf8 { .. }
            | Self::Byte { .. }
            | Self::Json { .. }
            | Self::Shard { .. }
            | Self::Table { .. }
            | Self::Shape { .. }
            | Self::UnknownEncoding { .. }
            | Self::Config { .. }
            | Self::Output { .. } => false,
        }
    }

    /// Wraps a system error; made for `map_err`.
    pub(crate) fn io(path: impl AsRef<Path>, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.as_ref().to_owned(),
            what,
            source,
        }
    }

    /// The file or directory concerned, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. }
            | Self::Read { path, .. }
            | Self::Input { path, .. }
            | Self::Utf8 { path, .. }
            | Self::Byte { path, .. }
            | Self::Json { path, .. }
            | Self::Shard { path, .. }
            | Self::Table { path, .. }
            | Self::Output { path, .. }
            | Self::Locked { path }
            | Self::NoRoom { path, .. } => Some(path),
            Self::Shape { .. }
            | Self::UnknownEncoding { .. }
            | Self::Config { .. }
            | Self::Stopped
            | Self::Threads { .. }
            | Self::Memory { .. } => None,
        }
    }

    /// The byte offset in the input, where one is known.
    pub fn byte(&self) -> Option<u64> {
        match self {
            Self::Read { offset, .. } | Self::Utf8 { offset, .. } | Self::Byte { offset, .. } => {
                Some(*offset)
            }
            _ => None,
        }
    }

    /// The line of the input, counted from 1, where one is known.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Json { line, .. } => Some(*line),
            _ => None,
        }
    }
}

/// Whether the path itself is wrong: it is not there, is no name, or is another kind of thing.
fn is_of_path(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    // A circle of links, and a socket or device that nothing stands behind, have no kind.
    matches!(errno, Some(Errno::LOOP | Errno::NXIO))
        || matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::AlreadyExists
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::InvalidFilename
        )
}
