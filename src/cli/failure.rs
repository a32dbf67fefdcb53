//! Why a command fails.

use std::io;
use std::path::PathBuf;

use shardmill::Error;

/// What a command returns.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of the library.
    Library(Error),
    /// What was typed cannot be done.
    Usage { option: &'static str, what: String },
    /// An error of `verify`, whatever it is: a check of `dir` that failed.
    Check { error: Error, dir: PathBuf },
    /// An error of a run to `out` that may have left finished units.
    Unfinished { error: Error, out: PathBuf },
    /// Standard output takes nothing more.
    Stdout(io::Error),
    /// The system refused something that belongs to no file.
    System {
        what: &'static str,
        source: io::Error,
    },
}

impl Failure {
    /// Wraps what the system refused; made for `map_err`.
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}
