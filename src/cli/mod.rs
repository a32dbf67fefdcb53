//! What a person types and sees. This is the only room that prints.
//!
//! Each command is one file with its arguments, its help and its `run`, and one row in the table
//! below. Commands use only the shared files, and no shared file uses a command:
//!
//! ```text
//! args              the options of several commands
//! inputs            which corpus the options name, and what is reported about it
//! tokenize_options  how a corpus becomes tokens
//! embed_options     how windows become embeddings
//! options           what the library's settings are called on the command line
//! threads           starts the threads of commands that read in parallel
//! output            standard output, the last line on standard error, and run.json
//! made              describes what a command made, for people and for `--json`
//! made_with         the tokenizer that a dataset was made with
//! bad               describes the records that were left out
//! coverage          describes the tokens that are in no window, or in several
//! human             numbers for people, and sizes and seeds as people type them
//! progress          the progress bar
//! interrupt         what a signal does to a run
//! failure           why a command fails
//! report            how a failure is shown: one line, and one JSON object
//! exit              which exit code a failure has
//! ```

mod args;
mod bad;
mod bench;
mod bench_serial;
mod bench_tuning;
mod coverage;
mod decode;
mod embed;
mod embed_options;
mod exit;
mod failure;
mod finish;
mod human;
mod info;
mod inputs;
mod interrupt;
mod made;
mod made_with;
mod options;
mod output;
mod plan;
mod positions;
mod progress;
mod report;
mod report_command;
mod run;
mod shuffle;
mod status;
mod threads;
mod tokenize;
mod tokenize_options;
mod tokenizer;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::{Failure, Result};

#[derive(Debug, Parser)]
#[command(
    name = "shardmill",
    version,
    about = "Corpus in, token shards and input embeddings out",
    after_help = HELP,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Examples:
  shardmill tokenize books/ --out books.shards
  shardmill info books.shards
  shardmill run notes.txt --out notes --seq-len 256 --init-seed 123 --dim 256

Exit codes:
  0        done
  1        bad input or data
  2        wrong usage
  3        I/O error, or not enough memory or disk; worth a retry
  4        the output is locked by another run
  5        a check failed
  128 + n  ended by signal n";

/// Defines the enum of all commands, from rows of each one's purpose, name and arguments.
macro_rules! commands {
    ($($(#[$about:meta])* $name:ident($module:ident::$args:ident),)+) => {
        #[derive(Debug, Subcommand)]
        enum Command {
            $($(#[$about])* #[command(after_help = $module::HELP)] $name($module::$args),)+
        }

        impl Command {
            fn run(&self) -> Result<()> {
                match self {
                    $(Self::$name(args) => $module::run(args),)+
                }
            }

            /// Whether `--json` was given.
            fn has_json(&self) -> bool {
                match self {
                    $(Self::$name(args) => args.stdout.json,)+
                }
            }
        }
    };
}

commands! {
    /// Tokenize a corpus and make its embeddings, in one step
    Run(run::RunArgs),
    /// Tokenize a corpus into a dataset of token shards
    Tokenize(tokenize::TokenizeArgs),
    /// Describe a tokenizer, and check its ids
    Tokenizer(tokenizer::TokenizerCommandArgs),
    /// Put the documents of a dataset in another order
    Shuffle(shuffle::ShuffleArgs),
    /// Make input embeddings from the windows of a dataset
    Embed(embed::EmbedArgs),
    /// Show the units a corpus will be cut into
    Plan(plan::PlanArgs),
    /// Show whether a dataset is published, or which of its units are done
    Status(status::StatusArgs),
    /// Check and publish the units made by tokenize --units
    Finish(finish::FinishArgs),
    /// Show what is in a dataset and how large its embeddings would be
    Info(info::InfoArgs),
    /// Verify every checksum and invariant of a dataset
    Verify(verify::VerifyArgs),
    /// Decode the token ids of a dataset back into text
    Decode(decode::DecodeArgs),
    /// Show what is in a dataset on one page: sources, lengths, tokens
    Report(report_command::ReportArgs),
    /// Write an array of relative or absolute positions
    Positions(positions::PositionsArgs),
    /// Measure this machine's limits and how close shardmill comes to them
    Bench(bench::BenchArgs),
}

impl Command {
    /// Whether the command prints one JSON object to standard output.
    fn prints_json(&self) -> bool {
        // Both on standard output is refused, and the reader there expects embeddings or a page.
        let is_taken = match self {
            Self::Embed(args) => args.is_to_stdout(),
            Self::Report(args) => args.is_to_stdout(),
            _ => false,
        };
        let is_inner = matches!(self, Self::Bench(args) if args.inner_has_json());
        (self.has_json() || is_inner) && !is_taken
    }
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    if cli.command.prints_json() {
        report::tell_as_json();
    }
    let watched = crate::fault::watch();
    if let Err(failure) = watched.map_err(Failure::system("cannot watch for signals")) {
        return exit::code(Err(failure));
    }
    exit::code(cli.command.run())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
