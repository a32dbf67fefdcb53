//! What to say if a store refuses, fails or is silent. Its own messages have whole URLs in them, with
//! what gives access, and several lines.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::path::Path;

use object_store::Error as StoreError;
use object_store::path::Error as KeyError;
use shardmill_core::show;

use crate::error::Error;

/// The message for an object that is not what was listed.
const CHANGED: (&str, &str) = (
    "the object changed while it was in use",
    "run again when nothing writes to it",
);

/// The message for an object that was listed, and is not there. In a listing, a slash at the start or
/// the end of a key does not show.
const GONE: (&str, &str) = (
    "the object is gone since it was listed, or its key begins or ends with '/'",
    "run again when nothing removes objects, or rename it",
);

/// What to do, by what is in a message.
const HINTS: [(&str, &str); 7] = [
    ("(ExpiredToken)", "renew the credentials in the environment"),
    ("(RequestTimeTooSkewed)", "set the clock of this machine"),
    ("(AuthorizationHeaderMalformed)", REGION),
    ("(PermanentRedirect)", REGION),
    ("redirect without LOCATION", REGION),
    (
        "UnknownIssuer",
        "if an authority of your own signed its certificate, name the authority's file in \
         SSL_CERT_FILE",
    ),
    (
        "URL scheme is not allowed",
        "it redirects from https to http; ask for a URL without such a redirect",
    ),
];

const REGION: &str = "set AWS_REGION to the region of the bucket";

/// Why what is at `path` cannot be opened or listed, as `what` says.
pub(super) fn refused(path: &Path, what: &'static str, error: &StoreError) -> Error {
    match error {
        StoreError::InvalidPath { source } => {
            let key = match source {
                KeyError::EmptySegment { path } | KeyError::BadSegment { path, .. } => path,
                _ => "",
            };
            let what = format!(
                "{what}: the key '{}' has a name in it that is empty, '.' or '..', or has a control \
                 character",
                show::name(key)
            );
            Error::input(path, (what, "rename that object, or read others by name"))
        }
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
        StoreError::NotFound { .. } => Error::at_byte(path, at, GONE),
        StoreError::Precondition { .. } | StoreError::NotModified { .. } => changed(path, at),
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
    if let Some((_, hint)) = HINTS.iter().find(|(text, _)| reason.contains(text)) {
        return io::Error::other(format!("{reason}; {hint}"));
    }
    if answers("401") || answers("403") {
        let text = format!("{reason}; check the credentials in the environment");
        return io::Error::new(ErrorKind::PermissionDenied, text);
    }
    io::Error::other(reason)
}

/// Whether an answer broke off, so that it may be asked for again. If no answer came, the client of the
/// store has asked again already.
pub(super) fn breaks_off(error: &StoreError) -> bool {
    let StoreError::Generic { source, .. } = error else {
        return false;
    };
    let mut next: Option<&(dyn StdError + 'static)> = Some(&**source);
    while let Some(error) = next {
        if error.to_string().starts_with("Error performing") {
            return false;
        }
        next = error.source();
    }
    true
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
