//! What a person types and sees: the only room that prints.
//!
//! `args` is what was typed, `config` turns it into what the library takes; one file per command
//! does the work and says what came of it.

mod args;
mod bad;
mod bench;
mod config;
mod coverage;
mod decode;
mod embed;
mod exit;
mod finish;
mod human;
mod info;
mod inputs;
mod interrupt;
mod output;
mod plan;
mod positions;
mod progress;
mod run;
mod status;
mod tokenize;
mod verify;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use args::{Cli, Command};

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    if cli.command.prints_json() {
        exit::tell_as_json();
    }
    if let Err(error) = crate::fault::watch().context("cannot watch for signals") {
        return exit::code(Err(error));
    }
    let outcome = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Tokenize(args) => tokenize::run(args),
        Command::Embed(args) => embed::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Status(args) => status::run(args),
        Command::Finish(args) => finish::run(args),
        Command::Info(args) => info::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Decode(args) => decode::run(args),
        Command::Positions(args) => positions::run(args),
        Command::Bench(args) => bench::run(args),
    };
    exit::code(outcome)
}

/// Starts rayon's own threads, which it would else start at the first parallel loop, and panic where
/// it cannot.
fn start_threads() -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new()
        .build_global()
        .context("cannot start a thread")
}
