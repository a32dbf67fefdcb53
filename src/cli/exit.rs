//! Error lines and exit codes.
//!
//! 0 ok, 1 bad input or data, 2 usage, 3 I/O or resources, 4 output locked by another run, 5 a
//! check failed, 128 + n ended by signal n. With `--json` an error is also one object on standard
//! output: `error`, `code`, and `path`, `byte` and `line` where they are known.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::ErrorKind;
use serde_json::{Value, json};
use shardmill::{Error, show};

use crate::cli::interrupt;
use crate::cli::output::{StandardOutput, print_json};

/// Marks an error of `verify`, whatever it is, as a check of `dir` that failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct CheckFailed {
    #[source]
    pub(crate) error: Error,
    pub(crate) dir: PathBuf,
}

impl CheckFailed {
    fn code(&self) -> u8 {
        let is_of_dir = self.error.path() == Some(&self.dir);
        match (code_of(&self.error), &self.error) {
            // What could not be read was not checked.
            (3, _) => 3,
            // Nor was what is not there.
            (code, Error::Io { .. }) if is_of_dir => code,
            _ => 5,
        }
    }
}

/// Marks an error of a run that may have left finished units.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Unfinished {
    #[source]
    pub(crate) error: Error,
    pub(crate) out: PathBuf,
}

/// Whether errors are to be told on standard output too, as JSON.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Tells errors from now on as JSON too.
pub(crate) fn tell_as_json() {
    AS_JSON.store(true, Ordering::Relaxed);
}

/// Prints clap's help, or its complaint on one line.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return code(error.print().map_err(|error| StandardOutput(error).into()));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Nothing was asked for: the whole help says more than a line. If stderr is gone there is
        // nobody left to tell.
        let _ = error.print();
        return ExitCode::from(2);
    }
    // What was typed is no command line, so all that can be known of it is whether this stands there.
    let options = std::env::args_os().take_while(|argument| argument != "--");
    if options.into_iter().any(|argument| argument == "--json") {
        tell_as_json();
    }
    let text = error.render().to_string();
    // clap says what is wrong, then tips, then the usage, in paragraphs.
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let what: Vec<_> = text
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .take_while(|what| !what.starts_with("Usage:") && !what.starts_with("For more information"))
        .collect();
    Failure::new(format!("{}; see --help", what.join("; ")), 2).tell()
}

/// Tells the error, if there is one, and chooses the exit code.
pub(crate) fn code(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    if (error.downcast_ref()).is_some_and(StandardOutput::is_unread) {
        return ExitCode::SUCCESS;
    }
    let code = Failure::of(&error).tell();
    if let Some(Unfinished { out, error }) = error.downcast_ref()
        && error.is_retryable()
        // What is there belongs to another run.
        && !matches!(error, Error::Locked { .. })
    {
        interrupt::say_what_is_left(out);
    }
    code
}

/// What went wrong, as it is told.
#[derive(Debug)]
pub(super) struct Failure {
    line: String,
    code: u8,
    /// Where it was: members of the JSON object.
    place: Vec<(&'static str, Value)>,
}

impl Failure {
    pub(super) fn new(line: String, code: u8) -> Self {
        Self {
            line,
            code,
            place: Vec::new(),
        }
    }

    fn of(error: &anyhow::Error) -> Self {
        // The library's errors hold their cause in their own line.
        if let Some(check) = error.downcast_ref::<CheckFailed>() {
            return Self::of_library(&check.error, check.code());
        }
        let of_library = error
            .downcast_ref()
            .or_else(|| error.downcast_ref().map(|Unfinished { error, .. }| error));
        match of_library {
            Some(Error::Stopped) => interrupt::outcome(),
            Some(error) => Self::of_library(error, code_of(error)),
            None => Self::new(format!("{error:#}"), 3),
        }
    }

    fn of_library(error: &Error, code: u8) -> Self {
        let path = error.path().map(|path| path.to_string_lossy().into());
        let place = [
            ("path", path),
            ("byte", error.byte().map(Value::from)),
            ("line", error.line().map(Value::from)),
        ];
        let known = place
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        Self {
            line: error.to_string(),
            code,
            place: known.collect(),
        }
    }

    /// Says it on standard error; with `--json` prints an object too.
    pub(super) fn tell(self) -> ExitCode {
        let Self { line, code, place } = self;
        // In one piece, or the lines of two processes mix. If stderr is gone there is nobody to
        // tell.
        let said = format!("shardmill: error: {}\n", show::name(&line));
        let _ = io::stderr().write_all(said.as_bytes());
        if AS_JSON.load(Ordering::Relaxed) {
            let mut object = json!({"error": line, "code": code});
            for (key, value) in place {
                object[key] = value;
            }
            // What cannot be printed was said.
            let _ = print_json(&object);
        }
        ExitCode::from(code)
    }
}

fn code_of(error: &Error) -> u8 {
    match error {
        Error::UnknownEncoding { .. } | Error::Config { .. } => 2,
        Error::Locked { .. } => 4,
        _ if error.is_retryable() => 3,
        _ => 1,
    }
}
