//! What is wrong, before its location is known: the parts of errors, and errors built from them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// What is wrong and, if known, what to do. Made from one text, or from two:
/// `("exists and is not a file", "choose another `out`")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    what: String,
    hint: Option<String>,
}

impl Problem {
    /// The same with `place` before it.
    pub(crate) fn at(self, place: impl fmt::Display) -> Self {
        Self {
            what: format!("{place}{}", self.what),
            hint: self.hint,
        }
    }
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self { what, hint: None }
    }
}

impl From<&str> for Problem {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

impl<W: Into<String>, H: Into<String>> From<(W, H)> for Problem {
    fn from((what, hint): (W, H)) -> Self {
        Self {
            what: what.into(),
            hint: Some(hint.into()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hint {
            Some(hint) => write!(f, "{}; {hint}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// A constructor for each variant that holds a problem.
impl Error {
    pub(crate) fn input(path: impl Into<PathBuf>, problem: impl Into<Problem>) -> Self {
        let Problem { what, hint } = problem.into();
        let path = path.into();
        Self::Input { path, what, hint }
    }

    pub(crate) fn at_byte(
        path: impl Into<PathBuf>,
        offset: u64,
        problem: impl Into<Problem>,
    ) -> Self {
        let Problem { what, hint } = problem.into();
        Self::Byte {
            path: path.into(),
            offset,
            what,
            hint,
        }
    }

    pub(crate) fn at_line(
        path: impl Into<PathBuf>,
        line: u64,
        problem: impl Into<Problem>,
    ) -> Self {
        let Problem { what, hint } = problem.into();
        Self::Json {
            path: path.into(),
            line,
            what,
            hint,
        }
    }

    pub(crate) fn at_row(path: impl Into<PathBuf>, row: u64, problem: impl Into<Problem>) -> Self {
        let Problem { what, hint } = problem.into();
        Self::Row {
            path: path.into(),
            row,
            what,
            hint,
        }
    }

    pub(crate) fn shard(path: impl Into<PathBuf>, problem: impl Into<Problem>) -> Self {
        let Problem { what, hint } = problem.into();
        let path = path.into();
        Self::Shard { path, what, hint }
    }

    pub(crate) fn table(path: impl Into<PathBuf>, problem: impl Into<Problem>) -> Self {
        let Problem { what, hint } = problem.into();
        let path = path.into();
        Self::Table { path, what, hint }
    }

    pub(crate) fn shape(problem: impl Into<Problem>) -> Self {
        let Problem { what, hint } = problem.into();
        Self::Shape { what, hint }
    }

    pub(crate) fn config(field: &'static str, problem: impl Into<Problem>) -> Self {
        let Problem { what, hint } = problem.into();
        Self::Config { field, what, hint }
    }

    pub(crate) fn output(path: impl Into<PathBuf>, problem: impl Into<Problem>) -> Self {
        let Problem { what, hint } = problem.into();
        let path = path.into();
        Self::Output { path, what, hint }
    }

    /// The same error again, of a read that is reported twice.
    #[cfg(feature = "parquet")]
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Byte {
                path,
                offset,
                what,
                hint,
            } => Self::Byte {
                path: path.clone(),
                offset: *offset,
                what: what.clone(),
                hint: hint.clone(),
            },
            Self::Read {
                path,
                offset,
                source,
            } => Self::Read {
                path: path.clone(),
                offset: *offset,
                source: io::Error::new(source.kind(), source.to_string()),
            },
            other => Self::input(other.path().unwrap_or(Path::new("")), other.problem()),
        }
    }

    /// Byte `offset` of the input at `path` cannot be read. If the reader says why in an error of this
    /// crate, that is returned.
    pub(crate) fn read(path: &Path, offset: u64, source: io::Error) -> Self {
        source.downcast().unwrap_or_else(|source| Self::Read {
            path: path.to_owned(),
            offset,
            source,
        })
    }

    /// Wraps a system error; for use with `map_err`.
    pub(crate) fn io(path: impl AsRef<Path>, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.as_ref().to_owned(),
            what,
            source,
        }
    }
}
