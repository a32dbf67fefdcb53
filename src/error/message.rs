//! What an error says: what is wrong and where, then what to do.

use std::fmt;

use shardmill_core::show::{count, counted, name};

use crate::error::Error;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_problem(f)?;
        match self.hint() {
            Some(hint) => write!(f, "; {}", name(hint)),
            None => Ok(()),
        }
    }
}

/// An error without its hint.
struct Bare<'a>(&'a Error);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_problem(f)
    }
}

impl Error {
    /// What is wrong and where, in one line, without what to do about it.
    ///
    /// ```
    /// use shardmill::InitialTables;
    /// use shardmill::table::{Rope, RopeStyle};
    ///
    /// let error = Rope::new(RopeStyle::Half, 16, 7, 1e4).unwrap_err();
    /// assert!(error.problem().ends_with("rows of 7 elements are not made of pairs"));
    /// assert_eq!(error.hint(), Some("use tables of an even dim"));
    /// ```
    pub fn problem(&self) -> String {
        Bare(self).to_string()
    }

    /// What to do, if known. Settings and functions have their Rust names, in backquotes.
    ///
    /// ```
    /// use shardmill::{Tokenizer, Special};
    ///
    /// let gpt2 = Tokenizer::by_name("gpt2")?;
    /// let error = gpt2.encode("<|endoftext|>", Special::Error).unwrap_err();
    /// assert_eq!(error.hint(), Some("use `special` text or encode to accept it"));
    /// # Ok::<(), shardmill::Error>(())
    /// ```
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Input { hint, .. }
            | Self::Byte { hint, .. }
            | Self::Json { hint, .. }
            | Self::Row { hint, .. }
            | Self::Shard { hint, .. }
            | Self::Table { hint, .. }
            | Self::Shape { hint, .. }
            | Self::Tokenizer { hint, .. }
            | Self::Config { hint, .. }
            | Self::Output { hint, .. } => hint.as_deref(),
            Self::Utf8 { .. } => Some("use `invalid_utf8` replace or ignore to accept it"),
            Self::Locked { .. } => Some("wait for it to end or choose another `out`"),
            Self::NoRoom { .. } => Some("make room or choose another place"),
            Self::Threads { .. } => Some("use fewer `threads`"),
            Self::Memory { .. } => Some("use smaller sizes or fewer threads"),
            Self::Io { .. } | Self::Read { .. } | Self::UnknownTokenizer { .. } | Self::Stopped => {
                None
            }
        }
    }

    fn write_problem(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.path() {
            write!(f, "{}: ", name(path))?;
        }
        if let Some(offset) = self.byte() {
            write!(f, "byte {offset}: ")?;
        }
        if let Some(line) = self.line() {
            write!(f, "line {line}: ")?;
        }
        if let Some(row) = self.row() {
            write!(f, "row {row}: ")?;
        }
        match self {
            Self::Io { what, source, .. } => write!(f, "{what}: {source}"),
            Self::Read { source, .. } => write!(f, "cannot read: {source}"),
            Self::Config { field, what, .. } => write!(f, "{field}: {}", name(what)),
            Self::Input { what, .. }
            | Self::Byte { what, .. }
            | Self::Json { what, .. }
            | Self::Row { what, .. }
            | Self::Shard { what, .. }
            | Self::Table { what, .. }
            | Self::Shape { what, .. }
            | Self::Tokenizer { what, .. }
            | Self::Output { what, .. } => write!(f, "{}", name(what)),
            Self::Utf8 { .. } => f.write_str("invalid UTF-8"),
            Self::UnknownTokenizer { name: asked, known } => {
                write!(f, "unknown tokenizer '{}'; known are {known}", name(asked))
            }
            Self::Stopped => f.write_str("stopped before the end"),
            Self::Locked { .. } => f.write_str("another run is writing here"),
            Self::NoRoom {
                needed_bytes,
                free_bytes,
                ..
            } => {
                let (needed, free) = (counted(*needed_bytes, "byte"), count(*free_bytes));
                write!(f, "needs {needed} and the disk has {free} free")
            }
            Self::Threads { threads, what } => {
                write!(
                    f,
                    "cannot start {}: {what}",
                    counted(*threads as u64, "thread")
                )
            }
            Self::Memory { needed_bytes } => {
                let needed = counted(*needed_bytes, "byte");
                write!(f, "out of memory: cannot allocate {needed}")
            }
        }
    }
}
