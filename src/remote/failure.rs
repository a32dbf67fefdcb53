//! What to say if a store refuses, fails or is silent. Its own messages have whole URLs in them, with
//! what gives access, and several lines.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::path::Path;

use object_store::Error as StoreError;

use crate::error::Error;
use crate::show;

/// The message for an object that is not what was listed.
const CHANGED: (&str, &str) = (
    "the object changed while it was in use",
    "run again when nothing writes to it",
);

/// Why what is at `path` cannot be opened or listed, as `what` says.
pub(super) fn refused(path: &Path, what: &'static str, error: &StoreError) -> Error {
    match error {
        StoreError::InvalidPath { .. } => Error::input(
            path,
            format!(
                "{what}: a name in it is empty, '.' or '..': {}",
                reason(error)
            ),
        ),
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => {
            Error::input(path, format!("{what}: {}", reason(error)))
        }
        error => Error::Io {
            path: path.to_owned(),
            what,
            source: cause(error),
        },
    }
}

/// Why byte `at` of the object at `path`, which was listed, cannot be read.
pub(super) fn unread(path: &Path, at: u64, error: &StoreError) -> Error {
    match error {
        StoreError::NotFound { .. }
        | StoreError::Precondition { .. }
        | StoreError::NotModified { .. } => changed(path, at),
        StoreError::NotSupported { .. } => Error::at_byte(
            path,
            at,
            (
                "the server does not send ranges of an object",
                "download the object first",
            ),
        ),
        error => Error::Read {
            path: path.to_owned(),
            offset: at,
            source: cause(error),
        },
    }
}

/// The error for an object that is not what was listed.
pub(super) fn changed(path: &Path, at: u64) -> Error {
    Error::at_byte(path, at, CHANGED)
}

fn cause(error: &StoreError) -> io::Error {
    let reason = reason(error);
    // For lists, there are no variants.
    let answers = |status: &str| reason.starts_with(&format!("{ANSWERS} {status}"));
    if answers("404") || matches!(error, StoreError::NotFound { .. }) {
        return io::Error::new(ErrorKind::NotFound, reason);
    }
    if answers("401") || answers("403") {
        let text = format!("{reason}; check the credentials in the environment");
        return io::Error::new(ErrorKind::PermissionDenied, text);
    }
    io::Error::other(reason)
}

const ANSWERS: &str = "the server answers";

/// The cause of `error` in one line.
pub(super) fn reason(error: &(dyn StdError + 'static)) -> String {
    const STATUS: &str = "Server returned non-2xx status code: ";
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        causes.push(error.to_string());
        next = error.source();
    }
    let mut answers = causes.iter().filter_map(|cause| cause.strip_prefix(STATUS));
    let text = match answers.next_back() {
        Some(answer) => {
            let (status, body) = answer.split_once(": ").unwrap_or((answer, ""));
            // What a store says, in XML.
            let code = body
                .split_once("<Code>")
                .and_then(|(_, rest)| rest.split_once("</Code>"));
            let code = code.map_or_else(String::new, |(code, _)| format!(" ({code})"));
            format!("{ANSWERS} {}{code}", status.trim_end_matches(':'))
        }
        None => causes.pop().unwrap_or_default(),
    };
    let words = text.split_whitespace().map(show::url);
    let mut line = words.collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(200) {
        line.truncate(end);
        line += "...";
    }
    line
}
