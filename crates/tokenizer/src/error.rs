//! The crate's one error type.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use shardmill_core::map::OutOfMemory;
use shardmill_core::show::name;

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no tokenizer, or a tokenizer cannot do what is asked.
///
/// Its display is one line, free of control characters: the problem, then the
/// [`hint`](Self::hint), if there is one.
///
/// ```
/// let error = shardmill_tokenizer::Tokenizer::by_name("gpt1").unwrap_err();
/// assert!(error.to_string().starts_with("unknown tokenizer 'gpt1'; known are gpt2, "));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No built-in tokenizer has that name.
    Unknown {
        /// The name asked for.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },
    /// A file is damaged, is no tokenizer, or uses something that cannot be done exactly.
    File {
        /// The file, or the name that was requested.
        path: PathBuf,
        /// What is wrong, with its place in the file.
        what: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
    /// The operating system refused a call.
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What was being done, such as "cannot open".
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A text has a special token and must not.
    Special(SpecialFound),
    /// Ids or pretokens are not those of this tokenizer or text.
    Argument {
        /// What does not match.
        what: String,
    },
    /// There is not enough memory.
    Memory(OutOfMemory),
}

/// A special token that was found in a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("special token {token} in the text")]
pub struct SpecialFound {
    /// Its byte offset in the text.
    pub offset: usize,
    /// Its text.
    pub token: String,
}

impl SpecialFound {
    /// What to do.
    pub const fn hint(&self) -> &'static str {
        "use `special` text or encode to accept it"
    }
}

impl From<SpecialFound> for Error {
    fn from(found: SpecialFound) -> Self {
        Self::Special(found)
    }
}

impl From<OutOfMemory> for Error {
    fn from(memory: OutOfMemory) -> Self {
        Self::Memory(memory)
    }
}

impl Error {
    /// The file concerned, or the name that was requested as one; `None` if there is none.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } | Self::Io { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Wraps a system error; for use with `map_err`.
    pub(crate) fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            what,
            source,
        }
    }

    /// What to do, if known. Parameters have their Rust names, in backquotes.
    ///
    /// ```
    /// use shardmill_tokenizer::{Special, Tokenizer};
    ///
    /// let gpt2 = Tokenizer::by_name("gpt2")?;
    /// let error = gpt2.encode("<|endoftext|>", Special::Error).unwrap_err();
    /// assert_eq!(error.hint(), Some("use `special` text or encode to accept it"));
    /// # Ok::<(), shardmill_tokenizer::Error>(())
    /// ```
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::File { hint, .. } => hint.as_deref(),
            Self::Special(found) => Some(found.hint()),
            Self::Unknown { .. } | Self::Io { .. } | Self::Argument { .. } | Self::Memory(_) => {
                None
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name: asked, known } => {
                write!(f, "unknown tokenizer '{}'; known are {known}", name(asked))?;
            }
            Self::File { path, what, .. } => write!(f, "{}: {}", name(path), name(what))?,
            Self::Io { path, what, source } => write!(f, "{}: {what}: {source}", name(path))?,
            Self::Special(found) => {
                write!(f, "byte {}: {}", found.offset, name(&found.to_string()))?;
            }
            Self::Argument { what } => write!(f, "{}", name(what))?,
            Self::Memory(memory) => write!(f, "{memory}")?,
        }
        match self.hint() {
            Some(hint) => write!(f, "; {}", name(hint)),
            None => Ok(()),
        }
    }
}
