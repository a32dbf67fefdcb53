//! Error lines and exit codes.
//!
//! 0 ok, 1 bad input or data, 2 usage, 3 I/O or resources, 4 output locked by another run, 5 a
//! check failed, 128 + n ended by signal n.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::error::ErrorKind;
use shardmill::Error;

use crate::cli::interrupt;
use crate::cli::output::one_line;

/// Marks an error of `verify`, whatever it is, as a check that failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct CheckFailed(pub(crate) Error);

/// Marks an error of a run that may have left finished units.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Unfinished {
    #[source]
    pub(crate) error: Error,
    pub(crate) out: PathBuf,
}

/// Prints clap's help, or its complaint on one line.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return code(error.print().context("standard output"));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Nothing was asked for: the whole help says more than a line. If stderr is gone there is
        // nobody left to tell.
        let _ = error.print();
        return ExitCode::from(2);
    }
    let text = error.render().to_string();
    // clap says what is wrong, then tips, then the usage, in paragraphs.
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let what: Vec<_> = text
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .take_while(|what| !what.starts_with("Usage:") && !what.starts_with("For more information"))
        .collect();
    say(&format!("{}; see --help", what.join("; ")));
    ExitCode::from(2)
}

/// Prints the error, if there is one, and chooses the exit code.
pub(crate) fn code(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    let is_broken_pipe = error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    });
    if is_broken_pipe {
        return ExitCode::SUCCESS;
    }
    // The library's errors hold their cause in their own line.
    let of_library = error
        .downcast_ref()
        .or_else(|| error.downcast_ref().map(|Unfinished { error, .. }| error));
    let (line, code) = if let Some(CheckFailed(error)) = error.downcast_ref() {
        // What could not be read was not checked.
        let is_for_retry = code_of(error) == 3;
        (error.to_string(), if is_for_retry { 3 } else { 5 })
    } else if let Some(Error::Stopped) = of_library {
        interrupt::outcome()
    } else if let Some(error) = of_library {
        (error.to_string(), code_of(error))
    } else {
        (format!("{error:#}"), 3)
    };
    say(&line);
    if let Some(Unfinished { out, error }) = error.downcast_ref()
        // What is there belongs to another run.
        && !matches!(error, Error::Output { .. } | Error::Locked { .. })
    {
        interrupt::say_what_is_left(out);
    }
    ExitCode::from(code)
}

fn code_of(error: &Error) -> u8 {
    match error {
        // A path that is not there, or is another kind of thing, is still so at the next try.
        Error::Io { source, .. } | Error::Read { source, .. }
            if matches!(
                source.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::AlreadyExists
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::IsADirectory
            ) =>
        {
            1
        }
        Error::Io { .. }
        | Error::Read { .. }
        | Error::NoRoom { .. }
        | Error::Memory { .. }
        | Error::Threads { .. } => 3,
        Error::UnknownEncoding { .. } | Error::Config { .. } => 2,
        Error::Locked { .. } => 4,
        _ => 1,
    }
}

pub(super) fn say(line: &str) {
    // In one piece, or the lines of two processes mix. If stderr is gone there is nobody to tell.
    let line = format!("shardmill: error: {}\n", one_line(line));
    let _ = io::stderr().write_all(line.as_bytes());
}
