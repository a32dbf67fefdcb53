//! What a user sees: every command, its standard output, its lines on standard error, its exit code.

mod datasets;
mod embeddings;
mod reading;
mod usage;

use crate::support;

use std::fs;
use std::process::Stdio;

use serde_json::json;

use support::{Done, Place, fixture, npy_table, output_bytes, run_to_full_disk, spawn};

const COMMANDS: [&str; 14] = [
    "run",
    "tokenize",
    "tokenizer",
    "shuffle",
    "embed",
    "plan",
    "status",
    "finish",
    "info",
    "verify",
    "decode",
    "report",
    "positions",
    "bench",
];

/// Four documents: a text file, and three lines of JSON, the second with an empty text.
fn corpus() -> Place {
    let place = Place::new();
    place.write("a.txt", "Hello world, a story.\n");
    place.write(
        "b.jsonl",
        "{\"text\":\"one two\"}\n\n{\"text\":\"\"}\n{\"text\":\"three\"}\n",
    );
    place
}

const TOKENIZE: [&str; 5] = ["tokenize", "a.txt", "b.jsonl", "--out", "d"];
const MADE: &str = "d: 14 tokens, 1 shard, 4 documents from 71 B in TIME (RATE)";
const EMBED: [&str; 12] = [
    "embed",
    "d",
    "--out",
    "e",
    "--seq-len",
    "2",
    "--stride",
    "2",
    "--init-seed",
    "1",
    "--dim",
    "4",
];

/// The corpus with its dataset in `d`.
fn dataset() -> Place {
    let place = corpus();
    place.run(TOKENIZE).said(&[MADE]);
    place
}

/// `args`, then `more`.
fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

#[test]
fn help_is_as_it_was() {
    let place = Place::new();
    let commands = COMMANDS
        .into_iter()
        .chain(["", "bench serial", "bench gather-tuning"]);
    for command in commands {
        let args = command.split_whitespace().chain(["--help"]);
        let done = place.run(args.clone()).said(&[]);
        let name = match command {
            "" => "all".to_owned(),
            command => command.replace(' ', "-"),
        };
        insta::assert_snapshot!(format!("help-{name}"), done.text());
        let mut wide = place.command(args);
        let wide = Done::new(wide.env("COLUMNS", "400").output().unwrap());
        assert_eq!(
            wide.text(),
            done.text(),
            "help depends on a wide terminal's width"
        );
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let done = Place::new().run(["--version"]).said(&[]);
    assert_eq!(
        done.text(),
        concat!("shardmill ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn no_arguments_at_all_show_the_help_and_are_a_usage_error() {
    let place = Place::new();
    let done = place.run([""; 0]);
    assert_eq!((done.code, done.text()), (Some(2), ""));
    assert_eq!(done.stderr, place.run(["--help"]).text());
}
