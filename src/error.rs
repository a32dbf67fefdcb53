//! The library's one error type.
//!
//! One variant per cause that a caller would treat differently. Every message is one line, free of
//! control characters whatever names it contains. It says where (path, then line or byte) and, if
//! known, what to do. Settings are named by their Rust fields and parameters, in backquotes; a
//! front end that calls them something else translates these.

mod below;
mod message;
mod problem;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

pub(crate) use problem::Problem;

/// The result of every fallible function in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in shardmill.
///
/// Its display is one line: [`problem`](Self::problem), then [`hint`](Self::hint), if there is one.
///
/// ```
/// let mut config = shardmill::EmbedConfig::default();
/// config.windows.seq_len = 0;
/// let error = config.validate().unwrap_err();
/// assert_eq!(error.to_string(), "seq_len: must be at least 1");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a call.
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What was being done, such as "cannot open".
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The operating system could not read an input to its end.
    Read {
        /// The input.
        path: PathBuf,
        /// Byte offset in the input of the first byte that could not be read.
        offset: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// An input cannot be used as it is.
    Input {
        /// The input.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// An input is not valid UTF-8.
    Utf8 {
        /// The input.
        path: PathBuf,
        /// Byte offset of the first invalid sequence in the input.
        offset: u64,
    },
    /// A byte position of an input is not acceptable.
    Byte {
        /// The input.
        path: PathBuf,
        /// Byte offset in the input.
        offset: u64,
        /// What is wrong there.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// A line of a JSON Lines input is not acceptable.
    Json {
        /// The input.
        path: PathBuf,
        /// Line number, counted from 1.
        line: u64,
        /// What is wrong with the line.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// A row of an input with columns is not acceptable.
    Row {
        /// The input.
        path: PathBuf,
        /// The row of the file, counted from 0.
        row: u64,
        /// What is wrong with the row.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// A dataset is damaged or is not one.
    Shard {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// A table file cannot be used.
    Table {
        /// The table's file, with `#key` if a key was given.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// Sizes do not match.
    Shape {
        /// What does not match.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// No built-in tokenizer has that name.
    UnknownTokenizer {
        /// The name asked for.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },
    /// A tokenizer's file is damaged, is none, or uses something that cannot be done exactly.
    Tokenizer {
        /// The file, or the name that was requested.
        path: PathBuf,
        /// What is wrong, with its place in the file.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// A setting is out of range or contradicts another.
    Config {
        /// The setting: the name of the Rust field or parameter.
        field: &'static str,
        /// What is wrong with its value.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// The output already exists, or cannot be in the requested place.
    Output {
        /// The output.
        path: PathBuf,
        /// What is in the way.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// The run was asked to end, by [`Stats::stop`](crate::Stats::stop).
    Stopped,
    /// Another run is writing the same output.
    Locked {
        /// The directory that the other run holds.
        path: PathBuf,
    },
    /// There is not enough disk space for the output.
    NoRoom {
        /// Where the output would have been written.
        path: PathBuf,
        /// The number of bytes that it needs.
        needed_bytes: u64,
        /// The number of bytes that are free there.
        free_bytes: u64,
    },
    /// The system cannot start enough threads.
    Threads {
        /// How many threads were requested.
        threads: usize,
        /// What the system says.
        what: String,
    },
    /// There is not enough memory.
    Memory {
        /// The number of bytes that were requested.
        needed_bytes: u64,
    },
}

impl Error {
    /// Whether the same call may succeed later with the same inputs and settings: the system
    /// refused something that it may grant later, another run was working here, or this run was
    /// stopped. A caller may retry.
    ///
    /// ```
    /// use shardmill::TokenStore;
    ///
    /// let error = TokenStore::open("no/such/dataset".as_ref()).unwrap_err();
    /// assert!(!error.is_retryable());
    /// ```
    pub fn is_retryable(&self) -> bool {
        match self {
            // A wrong path is still wrong at the next try.
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
            | Self::Row { .. }
            | Self::Shard { .. }
            | Self::Table { .. }
            | Self::Shape { .. }
            | Self::UnknownTokenizer { .. }
            | Self::Tokenizer { .. }
            | Self::Config { .. }
            | Self::Output { .. } => false,
        }
    }

    /// Whether a setting is wrong, whatever the data: the caller must change the call.
    ///
    /// ```
    /// let unknown = shardmill::Tokenizer::by_name("gpt1").unwrap_err();
    /// assert!(shardmill::Error::from(unknown).is_usage());
    /// ```
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::UnknownTokenizer { .. } | Self::Tokenizer { .. } | Self::Config { .. }
        )
    }

    /// Whether the data is at fault: an input, a table, or whatever is in the place of the output
    /// is missing, damaged or unsuitable. Settings and retries do not help; a caller reports the
    /// error or leaves that file out.
    ///
    /// Every error is exactly one of three kinds: usage, data, or [retryable](Self::is_retryable).
    ///
    /// ```
    /// let dir = std::env::temp_dir();
    /// let error = shardmill::TokenStore::open(&dir.join("no-dataset")).unwrap_err();
    /// assert!(error.is_data());
    /// ```
    pub fn is_data(&self) -> bool {
        !self.is_usage() && !self.is_retryable()
    }

    /// Whether a path is wrong: nothing is there, it leads through something that is not a
    /// directory, or it is not a file name. A caller that gets paths from a user asks for another
    /// one.
    ///
    /// ```
    /// let error = shardmill::TokenStore::open("no/such/dataset".as_ref()).unwrap_err();
    /// assert!(error.is_wrong_path());
    /// ```
    pub fn is_wrong_path(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Read { source, .. } => is_of_path(source),
            _ => false,
        }
    }

    /// Whether another run holds the output: the caller waits for it to end, or uses another
    /// output.
    ///
    /// ```
    /// # fn example(done: shardmill::Result<shardmill::pipeline::Outcome>) {
    /// match done {
    ///     Err(error) if error.is_locked() => println!("is being made by another process"),
    ///     done => println!("{done:?}"),
    /// }
    /// # }
    /// ```
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Locked { .. })
    }

    /// Whether the run ended because of [`Stats::stop`](crate::Stats::stop): a caller that called
    /// it has nothing to report.
    ///
    /// ```
    /// assert!(shardmill::Error::Stopped.is_stopped());
    /// ```
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped)
    }

    /// The file or directory concerned, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. }
            | Self::Read { path, .. }
            | Self::Input { path, .. }
            | Self::Utf8 { path, .. }
            | Self::Byte { path, .. }
            | Self::Json { path, .. }
            | Self::Row { path, .. }
            | Self::Shard { path, .. }
            | Self::Table { path, .. }
            | Self::Tokenizer { path, .. }
            | Self::Output { path, .. }
            | Self::Locked { path }
            | Self::NoRoom { path, .. } => Some(path),
            Self::Shape { .. }
            | Self::UnknownTokenizer { .. }
            | Self::Config { .. }
            | Self::Stopped
            | Self::Threads { .. }
            | Self::Memory { .. } => None,
        }
    }

    /// The byte offset in the input, if known.
    pub fn byte(&self) -> Option<u64> {
        match self {
            Self::Read { offset, .. } | Self::Utf8 { offset, .. } | Self::Byte { offset, .. } => {
                Some(*offset)
            }
            _ => None,
        }
    }

    /// The line of the input, counted from 1, if known.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Json { line, .. } => Some(*line),
            _ => None,
        }
    }

    /// The row of the input, counted from 0, if known.
    pub fn row(&self) -> Option<u64> {
        match self {
            Self::Row { row, .. } => Some(*row),
            _ => None,
        }
    }
}

/// Whether the path itself is wrong: it does not exist, is not a name, or is another kind of file.
fn is_of_path(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    // There is no `ErrorKind` for a loop of links, or for a socket or device with nothing behind
    // it.
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
