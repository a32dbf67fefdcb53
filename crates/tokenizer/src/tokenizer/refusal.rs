//! Why a tokenizer that was read cannot be used.

use std::path::PathBuf;

use crate::error::Error;

/// The error without the file's path, which [`open`](super::open) adds.
pub(super) fn unsupported(what: impl Into<String>) -> Error {
    Error::File {
        path: PathBuf::new(),
        what: what.into(),
        hint: None,
    }
}
