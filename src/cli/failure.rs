//! Why a command fails.

use std::io;
use std::path::PathBuf;

use shardmill::Error;

/// The result of a command.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of the library.
    Library(Error),
    /// The command line asks for something impossible.
    Usage { option: &'static str, what: String },
    /// The value of an option is data that is wrong.
    Data {
        option: &'static str,
        what: String,
        hint: Option<String>,
    },
    /// Any error of `verify`: a check of `dir` that failed.
    Check { error: Error, dir: PathBuf },
    /// An error of a run to `out` that may have left finished units.
    Unfinished { error: Error, out: PathBuf },
    /// Standard output cannot be written.
    Stdout(io::Error),
    /// The system refused something that is not about a file.
    System {
        what: &'static str,
        source: io::Error,
    },
}

impl Failure {
    /// Wraps a system error; for use with `map_err`.
    pub(crate) fn system<E>(what: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |error| Self::System {
            what,
            source: io::Error::other(error),
        }
    }
}

impl From<shardmill::tokenizer::Error> for Failure {
    fn from(error: shardmill::tokenizer::Error) -> Self {
        Self::Library(error.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}
