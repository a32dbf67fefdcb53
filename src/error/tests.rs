use std::io;

use super::*;

/// An error of every variant.
fn all() -> Vec<Error> {
    let source = |kind| io::Error::from(kind);
    let path = || PathBuf::from("a\nb");
    vec![
        Error::io("a", "cannot open")(source(io::ErrorKind::NotFound)),
        Error::io("a", "cannot open")(source(io::ErrorKind::PermissionDenied)),
        Error::Read {
            path: path(),
            offset: 7,
            source: source(io::ErrorKind::IsADirectory),
        },
        Error::Read {
            path: path(),
            offset: 7,
            source: source(io::ErrorKind::TimedOut),
        },
        Error::input("a", ("is wrong", "do that")),
        Error::Utf8 {
            path: path(),
            offset: 7,
        },
        Error::at_byte("a", 7, ("is wrong", "do that")),
        Error::at_line("a", 7, "is\nwrong"),
        Error::at_row("a", 7, ("is wrong", "do that")),
        Error::shard("a", "is wrong"),
        Error::table("a", "is wrong"),
        Error::shape(("is wrong", "do\nthat")),
        Error::UnknownTokenizer {
            name: "a\nb".to_owned(),
            known: "c".to_owned(),
        },
        Error::config("seq_len", ("is wrong", "do that")),
        Error::output("a", ("is wrong", "do that")),
        Error::Stopped,
        Error::Locked { path: path() },
        Error::NoRoom {
            path: path(),
            needed_bytes: 2000,
            free_bytes: 1,
        },
        Error::Threads {
            threads: 3,
            what: "no more".to_owned(),
        },
        Error::Memory { needed_bytes: 7 },
    ]
}

#[test]
fn every_error_is_of_usage_or_of_data_or_worth_another_try() {
    for error in all() {
        let is = [error.is_usage(), error.is_data(), error.is_retryable()];
        assert_eq!(is.iter().filter(|&&is| is).count(), 1, "{error}");
        assert!(!error.is_locked() || error.is_retryable(), "{error}");
        assert!(!error.is_stopped() || error.is_retryable(), "{error}");
        assert!(!error.is_wrong_path() || error.is_data(), "{error}");
    }
}

#[test]
fn a_line_is_the_problem_and_then_the_hint() {
    for error in all() {
        let line = match error.hint() {
            Some(hint) => format!("{}; {}", error.problem(), shardmill_core::show::name(hint)),
            None => error.problem(),
        };
        assert_eq!(error.to_string(), line);
        assert_eq!(line.lines().count(), 1, "{line:?}");
    }
}

#[test]
fn a_line_says_where_first() {
    let lines: Vec<_> = all().iter().map(ToString::to_string).collect();
    for line in [
        "a: cannot open: entity not found",
        r"a\nb: byte 7: cannot read: is a directory",
        "a: is wrong; do that",
        r"a\nb: byte 7: invalid UTF-8; use `invalid_utf8` replace or ignore to accept it",
        "a: byte 7: is wrong; do that",
        r"a: line 7: is\nwrong",
        r"is wrong; do\nthat",
        r"unknown tokenizer 'a\nb'; known are c",
        "seq_len: is wrong; do that",
        r"a\nb: another run is writing here; wait for it to end or choose another `out`",
        r"a\nb: needs 2,000 bytes and the disk has 1 free; make room or choose another place",
        "cannot start 3 threads: no more; use fewer `threads`",
        "out of memory: cannot allocate 7 bytes; use smaller sizes or fewer threads",
    ] {
        assert!(
            lines.iter().any(|found| found == line),
            "{line}: {lines:#?}"
        );
    }
}
