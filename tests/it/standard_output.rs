//! Every command that prints, when standard output is full or has no reader.

use crate::support;

use std::fs::File;
use std::io::{self, Read};
use std::thread;

use support::{Done, Place, run_to_full_disk};

/// A place with a dataset in `d` and the units of another in `u.partial`.
fn place() -> Place {
    let place = Place::new();
    place.write("a.txt", "Hello world, a story.\n");
    assert_eq!(place.run(["tokenize", "a.txt", "--out", "d"]).code, Some(0));
    let units = "tokenize a.txt --out u --units 0/1";
    assert_eq!(place.run(units.split(' ')).code, Some(0));
    place
}

const EMBED: &str = "--seq-len 2 --stride 2 --init-seed 1 --dim 4";

/// A command line for each way that a command prints, and what it leaves.
fn lines() -> Vec<(String, Option<&'static str>)> {
    let mut lines: Vec<_> = [
        "info d",
        "info d --json",
        "verify d --json",
        "decode d",
        "decode d --json",
        "plan a.txt",
        "plan a.txt --json",
        "status u",
        "tokenizer gpt2",
        "tokenizer gpt2 --check story",
        "tokenizer gpt2 --json",
        "status u --json",
        "report d --out -",
        "bench a.txt --size 1MiB --dims 8 --json",
        "bench serial a.txt --repetitions 1 --json",
        "bench gather-tuning --size 1MiB --dims 8 --json",
        "--help",
        "--version",
    ]
    .map(|line| (line.to_owned(), None))
    .into();
    // The output is made, and is reported last.
    for (line, out) in [
        ("tokenize a.txt --out t --json", "t"),
        ("tokenize a.txt --out v --units 0/1 --json", "v.partial"),
        ("finish u --json", "u"),
        (
            "positions --kind alibi --heads 2 --seq-len 4 --out p.npy --json",
            "p.npy",
        ),
        ("report d --out o.html --json", "o.html"),
        ("shuffle d --seed 1 --out s --json", "s"),
    ] {
        lines.push((line.to_owned(), Some(out)));
    }
    lines.push((format!("run a.txt --out r --json {EMBED}"), Some("r")));
    lines.push((format!("embed d --out e --json {EMBED}"), Some("e")));
    lines
}

#[test]
fn a_full_standard_output_is_an_error_of_every_command() {
    let place = place();
    for (line, out) in lines() {
        let done = run_to_full_disk(&mut place.command(line.split(' ')));
        assert_eq!(done.code, Some(3), "{line}: {done:?}");
        let full = "shardmill: error: standard output: No space left on device (os error 28)\n";
        assert!(done.stderr.ends_with(full), "{line}: {done:?}");
        assert!(out.is_none_or(|out| place.path(out).exists()), "{line}");
    }
    let line = format!("embed d --out - {EMBED}");
    let done = run_to_full_disk(&mut place.command(line.split(' ')));
    done.failed(
        3,
        "standard output: cannot write: No space left on device (os error 28)",
    );
}

#[test]
fn a_reader_that_is_gone_is_no_error_of_any_command() {
    let place = place();
    let rows = format!("embed d --out - {EMBED}");
    for (line, out) in lines().into_iter().chain([(rows, None)]) {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(line.split(' '));
        let done = Done::new(command.stdout(writer).output().unwrap());
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
        assert!(!done.stderr.contains("error"), "{line}: {done:?}");
        assert!(out.is_none_or(|out| place.path(out).exists()), "{line}");
    }
}

#[test]
fn a_reader_of_another_pipe_that_is_gone_is_an_error() {
    let place = Place::new();
    place.write("a.txt", "some words and more ".repeat(5000));
    assert_eq!(place.run(["tokenize", "a.txt", "--out", "d"]).code, Some(0));
    let fifo = place.fifo("fifo");
    let reader = thread::spawn(move || {
        let mut begin = [0; 10];
        File::open(fifo).unwrap().read_exact(&mut begin).unwrap();
    });
    // 20 MB.
    let line = "embed d --out fifo --seq-len 4 --stride 4 --init-seed 1 --dim 256";
    let done = place.run(line.split(' '));
    reader.join().unwrap();
    done.failed(3, "fifo: cannot write: Broken pipe (os error 32)");
}

#[test]
fn no_command_is_left_out() {
    let help = Place::new().run(["--help"]);
    let commands = help.text().split_once("Commands:\n").unwrap().1;
    let commands = commands.split("\n\n").next().unwrap();
    let names = commands
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|&name| name != "help") {
        assert!(
            lines().iter().any(|(line, _)| line.starts_with(name)),
            "{name}"
        );
    }
}
