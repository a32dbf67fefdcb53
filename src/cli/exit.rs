//! Exit codes.
//!
//! 0 ok, 1 bad input or data, 2 usage, 3 I/O or resources, 4 output locked by another run, 5 a
//! check failed, 128 + n ended by signal n.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use shardmill::Error;

use crate::cli::failure::{Failure, Result};
use crate::cli::interrupt;
use crate::cli::output::STDOUT;
use crate::cli::report::{Report, tell_as_json};

/// Prints clap's help, or its error on one line.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return code(error.print().map_err(Failure::Stdout));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // No command was given, so the whole help says more than one line. If stderr is closed,
        // there is nothing more to do.
        let _ = error.print();
        return ExitCode::from(2);
    }
    // The arguments did not parse, so only look for this option among them.
    let options = std::env::args_os().take_while(|argument| argument != "--");
    if options.into_iter().any(|argument| argument == "--json") {
        tell_as_json();
    }
    let text = error.render().to_string();
    // clap prints what is wrong, then tips, then the usage, in paragraphs.
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let what: Vec<_> = text
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .take_while(|what| !what.starts_with("Usage:") && !what.starts_with("For more information"))
        // For a negative number, clap says how to make an input of it.
        .filter(|what| {
            let value = what.strip_prefix("tip: to pass '-");
            value.is_none_or(|value| !value.starts_with(|c: char| c.is_ascii_digit()))
        })
        .collect();
    Report::new(format!("{}; see --help", what.join("; ")), 2).tell()
}

/// Reports the failure, if there is one, and chooses the exit code.
pub(crate) fn code(outcome: Result<()>) -> ExitCode {
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    // The reader of standard output has gone, which is not a failure. For any other file or pipe,
    // it is.
    if matches!(&failure, Failure::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let code = report(&failure).tell();
    if let Failure::Unfinished { error, out } = &failure
        && error.is_retryable()
        // If it is locked, what is there belongs to another run.
        && !error.is_locked()
    {
        interrupt::say_what_is_left(out);
    }
    code
}

fn report(failure: &Failure) -> Report {
    match failure {
        Failure::Library(error) | Failure::Unfinished { error, .. } if error.is_stopped() => {
            interrupt::outcome()
        }
        Failure::Library(error) | Failure::Unfinished { error, .. } => {
            Report::of_library(error, code_of(error))
        }
        Failure::Check { error, dir } => Report::of_library(error, code_of_check(error, dir)),
        Failure::Usage { option, what } => Report::new(format!("{option}: {what}"), 2),
        Failure::Data { option, what, hint } => Report::of_option(option, what, hint.as_deref(), 1),
        Failure::Stdout(source) => Report::new(format!("{STDOUT}: {source}"), 3),
        Failure::System { what, source } => Report::new(format!("{what}: {source}"), 3),
    }
}

fn code_of(error: &Error) -> u8 {
    if error.is_usage() {
        2
    } else if error.is_locked() {
        4
    } else if error.is_retryable() {
        3
    } else {
        1
    }
}

/// The exit code for an error of a check of `dir`.
fn code_of_check(error: &Error, dir: &Path) -> u8 {
    match code_of(error) {
        // What could not be read was not checked.
        3 => 3,
        // Nor was what does not exist.
        code if error.is_wrong_path() && error.path() == Some(dir) => code,
        _ => 5,
    }
}
