//! Error lines and exit codes.
//!
//! 0 ok, 1 bad input or data, 2 usage, 3 I/O or resources, 4 output locked by another run, 5 a
//! check failed.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use shardmill::Error;

/// Marks an error of `verify`, whatever it is, as a check that failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct CheckFailed(pub(crate) Error);

/// Prints clap's help, or its complaint on one line.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return code(error.print().map_err(anyhow::Error::from));
    }
    let text = error.render().to_string();
    // clap says what is wrong, then tips, then the usage, in paragraphs.
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let what = text.split("\n\nUsage:").next().unwrap_or(text);
    let what = what
        .split("\n\nFor more information")
        .next()
        .unwrap_or(what);
    let what: Vec<_> = what.split_whitespace().collect();
    say(&format!("{}; see --help", what.join(" ")));
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
            .is_some_and(|io| io.kind() == ErrorKind::BrokenPipe)
    });
    if is_broken_pipe {
        return ExitCode::SUCCESS;
    }
    // The library's errors hold their cause in their own line.
    let (line, code) = if let Some(CheckFailed(error)) = error.downcast_ref() {
        (error.to_string(), 5)
    } else if let Some(error) = error.downcast_ref::<Error>() {
        (error.to_string(), code_of(error))
    } else {
        (format!("{error:#}"), 3)
    };
    say(&line);
    ExitCode::from(code)
}

fn code_of(error: &Error) -> u8 {
    match error {
        Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => 1,
        Error::Io { .. } | Error::NoRoom { .. } => 3,
        Error::UnknownEncoding { .. } | Error::Config { .. } => 2,
        Error::Locked { .. } => 4,
        _ => 1,
    }
}

fn say(line: &str) {
    // Paths may hold line ends; an error is one line whatever they hold.
    let line = line.replace('\n', "\\n").replace('\r', "\\r");
    // If stderr is gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "shardmill: error: {line}");
}
