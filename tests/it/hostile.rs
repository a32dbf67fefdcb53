//! Bad input: one line that says which file, where in it and what to do; afterwards nothing is
//! visible.

use crate::support;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;

use support::{Done, Place, fixture, spawn};

/// Runs `tokenize ARGS --out out`, which must fail and leave nothing.
#[track_caller]
fn refused(place: &Place, args: &[&str], code: i32, line: &str) {
    let before = place.tree();
    let args = [&["tokenize", "--out", "out"], args].concat();
    place.run(args).failed(code, line);
    assert_eq!(place.tree(), before, "something is left");
}

/// Like [`refused`], but units before the bad one may be finished, and are all that is left.
#[track_caller]
fn refused_midway(place: &Place, args: &[&str], code: i32, line: &str) {
    let before = place.tree();
    let args = [&["tokenize", "--out", "out"], args].concat();
    place.run(args).failed(code, line);
    if place.path("out.partial").exists() {
        fs::remove_dir_all(place.path("out.partial")).unwrap();
    }
    assert_eq!(place.tree(), before, "something is left");
}

/// A place with one of the bad files of `fixtures/hostile`.
fn hostile(name: &str) -> Place {
    let place = Place::new();
    let path = fixture("hostile").join(name);
    place.write(name, fs::read(path).unwrap());
    place
}

#[test]
fn an_input_that_is_not_there_is_named() {
    let place = Place::new();
    let none = "cannot open: No such file or directory (os error 2)";
    refused(&place, &["nope.txt"], 1, &format!("nope.txt: {none}"));
    refused(
        &place,
        &["nope/*.txt"],
        1,
        "nope/*.txt: no file has this name or matches this pattern",
    );
    // The first of two, and before a good one is processed.
    place.write("a.txt", "a");
    refused(&place, &["a.txt", "b", "c"], 1, &format!("b: {none}"));
    refused(
        &place,
        &["a.txt/b"],
        1,
        "a.txt/b: cannot open: Not a directory (os error 20)",
    );
}

#[test]
fn a_directory_without_files_is_refused() {
    let place = Place::new();
    fs::create_dir_all(place.path("empty/inside")).unwrap();
    place.write("hidden/.a.txt", "a");
    place.write("hidden/.git/b.txt", "b");
    refused(&place, &["empty"], 1, "empty: has no files to read");
    let line = "hidden: has no files to read; left out: 2 hidden entries";
    refused(&place, &["hidden"], 1, line);
    let line =
        "hidden/*: no file has this name or matches this pattern; left out: 2 hidden entries";
    refused(&place, &["hidden/*"], 1, line);
}

#[test]
fn a_socket_is_no_input() {
    let place = Place::new();
    let _socket = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    refused(
        &place,
        &["socket"],
        1,
        "socket: is neither a file, a directory nor a FIFO",
    );
}

#[test]
fn a_name_with_a_line_end_stays_on_one_line() {
    let place = Place::new();
    refused(
        &place,
        &["no\nsuch\rfile"],
        1,
        "no\\nsuch\\rfile: cannot open: No such file or directory (os error 2)",
    );
    place.write("a\nb", "a");
    place
        .run(["tokenize", "a\nb", "--out", "c\nd"])
        .said(&["c\\nd: 2 tokens, 1 shard, 1 document from 1 B in TIME (RATE)"]);
}

#[test]
fn names_that_are_not_utf8_are_taken_and_shown() {
    let place = Place::new();
    let name = OsStr::from_bytes(b"in\xff");
    let good = OsStr::from_bytes(b"in\xff/100%\xfe.txt");
    let out = OsStr::from_bytes(b"out\xff");
    place.write(good, "Hello");
    let args = ["tokenize".as_ref(), name, "--out".as_ref(), out];
    place
        .run(args)
        .said(&["out\u{fffd}: 2 tokens, 1 shard, 1 document from 5 B in TIME (RATE)"]);
    let manifest = String::from_utf8(place.read(OsStr::from_bytes(b"out\xff/manifest.json")));
    let manifest = manifest.unwrap();
    assert!(
        manifest.contains("\"name\": \"100%25%FE.txt\""),
        "{manifest}"
    );
    assert_eq!(
        place.run(["decode".as_ref(), out]).said(&[]).text(),
        "Hello"
    );

    place.write(OsStr::from_bytes(b"in\xff/bad\xfe.txt"), b"ab\xffc");
    let args = ["tokenize".as_ref(), name, "--out".as_ref(), "new".as_ref()];
    place.run(args).failed(
        1,
        "in\u{fffd}/bad\u{fffd}.txt: byte 2: invalid UTF-8; use --invalid-utf8 replace or ignore \
         to accept it",
    );
}

#[test]
fn the_first_byte_that_is_not_utf8_is_named() {
    for (name, offset) in [("invalid_utf8.txt", 53), ("invalid_utf8.jsonl", 41)] {
        let line = |shown: &str| {
            format!(
                "{shown}: byte {offset}: invalid UTF-8; use --invalid-utf8 replace or ignore to \
                 accept it"
            )
        };
        let place = hostile(name);
        refused(&place, &[name], 1, &line(name));

        let format = if name.ends_with("txt") {
            "text"
        } else {
            "jsonl"
        };
        let args = ["tokenize", "-", "--input-format", format, "--out", "out"];
        place
            .run_with(args, &place.read(name))
            .failed(1, &line("-"));
        assert_eq!(place.tree(), [name]);
    }
}

#[test]
fn invalid_utf8_is_replaced_or_left_out_as_in_python() {
    let bytes = fs::read(fixture("hostile/invalid_utf8.txt")).unwrap();
    let replaced = String::from_utf8_lossy(&bytes).into_owned();
    let ignored: String = bytes.utf8_chunks().map(|chunk| chunk.valid()).collect();
    // The count of Python's `bytes.decode`.
    assert_eq!(replaced.matches('\u{fffd}').count(), 52);
    assert_eq!(bytes.len() - ignored.len(), 59);
    for (policy, text) in [("replace", replaced), ("ignore", ignored)] {
        let place = hostile("invalid_utf8.txt");
        let args = [
            "tokenize",
            "invalid_utf8.txt",
            "--invalid-utf8",
            policy,
            "--out",
            "d",
        ];
        let done = place.run(args);
        assert!(
            done.stderr
                .contains(" from 408 B, 52 sequences of invalid UTF-8 in "),
            "{done:?}"
        );
        assert_eq!(done.code, Some(0));
        assert_eq!(
            place.run(["decode", "d"]).said(&[]).text(),
            text,
            "{policy}"
        );
    }
}

#[test]
fn invalid_utf8_in_a_record_is_replaced_or_left_out_and_counted() {
    for (policy, texts) in [
        (
            "replace",
            "valid: €truncated \u{fffd} herevalid againvalidsurrogate \u{fffd}\u{fffd}\u{fffd}",
        ),
        (
            "ignore",
            "valid: €truncated  herevalid againvalidsurrogate ",
        ),
    ] {
        let place = hostile("invalid_utf8.jsonl");
        let args = ["tokenize", "invalid_utf8.jsonl", "--invalid-utf8", policy];
        let done = place.run([&args[..], &["--out", "d", "--json"]].concat());
        assert_eq!(done.json()["totals"]["invalid_sequences"], 5, "{policy}");
        assert_eq!(
            place.run(["decode", "d"]).said(&[]).text(),
            texts,
            "{policy}"
        );
    }
}

/// The message about half of a surrogate pair.
const LONE: &str = "an escape \\u is half of a surrogate pair; use --invalid-utf8 replace or ignore \
                    to accept it";

/// The message about each bad line of a fixture, by its number.
const BAD_LINES: [(&str, &[(usize, &str)]); 6] = [
    (
        "broken.jsonl",
        &[(3, "column 16: the line ends inside an object")],
    ),
    (
        "missing_field.jsonl",
        &[(
            4,
            "no field \"text\"; there are \"Text\", \"meta\", \"texts\"; choose one with --text-field",
        )],
    ),
    (
        "null_field.jsonl",
        &[(2, "field \"text\" is null, not a string")],
    ),
    (
        "non_string.jsonl",
        &[
            (2, "field \"text\" is an array, not a string"),
            (3, "field \"text\" is a number, not a string"),
            (4, "field \"text\" is an object, not a string"),
            (5, "field \"text\" is a boolean, not a string"),
        ],
    ),
    (
        "not_object.jsonl",
        &[
            (2, "is an array, not an object"),
            (3, "is a string, not an object"),
        ],
    ),
    (
        "lone_surrogate.jsonl",
        &[
            (2, "column 22: LONE"),
            (3, "column 21: LONE"),
            (4, "column 26: LONE"),
            (5, "column 22: LONE"),
            (6, "column 36: LONE"),
        ],
    ),
];

#[test]
fn bad_records_are_named_by_their_line() {
    for (name, bad_lines) in BAD_LINES {
        let text = String::from_utf8(fs::read(fixture("hostile").join(name)).unwrap()).unwrap();
        let lines: Vec<_> = text.split('\n').collect();
        for (nth, &(number, what)) in bad_lines.iter().enumerate() {
            // The bad lines before this one become blank.
            let earlier: Vec<_> = bad_lines[..nth].iter().map(|&(n, _)| n).collect();
            let kept: Vec<_> = (1..)
                .zip(&lines)
                .map(|(n, &line)| if earlier.contains(&n) { "" } else { line })
                .collect();
            let place = Place::new();
            place.write(name, kept.join("\n"));
            refused(
                &place,
                &[name],
                1,
                &format!("{name}: line {number}: {}", what.replace("LONE", LONE)),
            );
        }
    }
}

#[test]
fn of_duplicate_keys_the_last_wins() {
    let place = hostile("duplicate_keys.jsonl");
    let args = ["tokenize", "duplicate_keys.jsonl", "--out", "d"];
    assert_eq!(place.run(args).code, Some(0));
    let texts = [
        "last of two",
        "a string after a number",
        "last, key escaped",
        "",
    ];
    for (index, text) in texts.into_iter().enumerate() {
        let done = place.run(["decode", "d", "--document", &index.to_string()]);
        assert_eq!(done.said(&[]).text(), text);
    }
}

/// 2.5 MB of records with blank lines among them; line 20,001 is truncated.
fn long_jsonl() -> String {
    let mut text = String::new();
    for line in 1..=25_000 {
        match line {
            20_001 => text.push_str("{\"text\":\"cut\n"),
            _ if line % 97 == 0 => text.push_str("\r\n"),
            _ => writeln!(text, "{{\"text\":\"{line:0>90}\"}}").unwrap(),
        }
    }
    text
}

#[test]
fn lines_count_from_the_start_of_a_long_input() {
    let place = Place::new();
    place.write("long.jsonl", long_jsonl());
    let line = |name: &str| format!("{name}: line 20001: column 13: the line ends inside a string");
    for (threads, unit_size) in [("1", "256MiB"), ("2", "300KiB"), ("7", "256MiB")] {
        let args = ["long.jsonl", "--threads", threads, "--unit-size", unit_size];
        refused_midway(&place, &args, 1, &line("long.jsonl"));
        let args = [
            &["tokenize", "-", "--input-format", "jsonl", "--out", "out"],
            &args[1..],
        ];
        place
            .run_with(args.concat(), &place.read("long.jsonl"))
            .failed(1, &line("-"));
    }
    assert_eq!(place.tree(), ["long.jsonl"]);
}

#[test]
fn bytes_count_from_the_start_of_a_long_input() {
    let place = Place::new();
    let mut text = "All work and no play. ".repeat(120_000).into_bytes();
    text[2_345_678] = 0xc3;
    place.write("long.txt", &text);
    let line = |name: &str| {
        format!(
            "{name}: byte 2345678: invalid UTF-8; use --invalid-utf8 replace or ignore to accept it"
        )
    };
    for (threads, unit_size) in [("1", "256MiB"), ("2", "300KiB"), ("7", "256MiB")] {
        let args = ["long.txt", "--threads", threads, "--unit-size", unit_size];
        refused_midway(&place, &args, 1, &line("long.txt"));
        let args = [&["tokenize", "-", "--out", "out"], &args[1..]];
        place.run_with(args.concat(), &text).failed(1, &line("-"));
    }
}

#[test]
fn of_several_bad_inputs_the_first_in_corpus_order_is_reported() {
    let place = Place::new();
    for index in 0..40 {
        let mut text = format!("File {index}: the quick brown fox. ")
            .repeat(100)
            .into_bytes();
        if [11, 12, 33].contains(&index) {
            text[2000 + index] = 0xff;
        }
        place.write(format!("in/{index:02}.txt"), text);
    }
    for threads in ["1", "2", "7"] {
        for unit_size in ["256MiB", "1KiB", "10KiB"] {
            let line = "in/11.txt: byte 2011: invalid UTF-8; use --invalid-utf8 replace or ignore \
                        to accept it";
            let args = ["in", "--threads", threads, "--unit-size", unit_size];
            refused_midway(&place, &args, 1, line);
        }
    }
}

#[test]
fn special_tokens_in_the_text_are_named_where_they_are_errors() {
    let place = Place::new();
    place.write("a.txt", "Hello <|endoftext|>");
    place.write("a.jsonl", "\n{\"text\":\"Hello <|endoftext|>\"}\n");
    let what = "holds the special token";
    for (name, place_in_it) in [("a.txt", "byte 6"), ("a.jsonl", "line 2")] {
        let done = place.run(["tokenize", name, "--special", "error", "--out", "out"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        let start = format!("shardmill: error: {name}: {place_in_it}: ");
        assert!(done.stderr.starts_with(&start), "{what}: {done:?}");
        assert!(done.stderr.contains("<|endoftext|>"), "{done:?}");
        assert_eq!(done.stderr.lines().count(), 1);
    }
}

#[test]
fn compressed_and_columnar_inputs_are_refused_by_name() {
    let as_text = "give it as plain text or JSON Lines";
    let in_a_pipe = "decode it in a pipe: % -dc FILE | shardmill tokenize - --input-format FORMAT";
    let magic: [(&[u8], &str, &str); 3] = [
        (b"\x04\x22\x4d\x18\x60", "lz4", in_a_pipe),
        (b"PK\x03\x04\x14", "zip", as_text),
        (b"Obj\x01\x04", "avro", as_text),
    ];
    for (magic, name, hint) in magic {
        let place = Place::new();
        let hint = hint.replace('%', name);
        let line = |shown: &str| format!("{shown}: is {name} data, which is not supported; {hint}");
        // Whatever its name, whether read or mapped, and from a pipe.
        place.write("corpus", magic);
        let large = [magic, &vec![b'x'; 1_100_000]].concat();
        place.write("corpus.jsonl", &large);
        for file in ["corpus", "corpus.jsonl"] {
            refused(&place, &[file], 1, &line(file));
        }
        let args = ["tokenize", "-", "--out", "out"];
        place.run_with(args, &large).failed(1, &line("-"));
        assert_eq!(place.tree(), ["corpus", "corpus.jsonl"]);
    }
}

#[test]
fn a_fifo_and_standard_input_give_the_bytes_of_a_file() {
    let place = Place::new();
    let text = fs::read(fixture("text/tinyshakespeare.txt")).unwrap();
    place.write("a.txt", &text);
    let unit = ["--unit-size", "300kB"];
    let made = |out: &str| {
        format!("{out}: 338,026 tokens, 4 shards, 1 document from 1.1 MB in TIME (RATE)")
    };
    let run = [&["tokenize", "a.txt", "--out", "file"], &unit[..]].concat();
    place.run(run).said(&[&made("file")]);
    let run = [&["tokenize", "-", "--out", "stdin"], &unit[..]].concat();
    place.run_with(run, &text).said(&[&made("stdin")]);

    let pipe = place.fifo("pipe");
    let run = [&["tokenize", "pipe", "--out", "fifo"], &unit[..]].concat();
    let child = spawn(&mut place.command(run));
    fs::File::create(pipe).unwrap().write_all(&text).unwrap();
    let done = Done::new(child.wait_with_output().unwrap());
    done.said(&[&made("fifo")]);

    for index in 0..4 {
        for kind in ["u32", "docs"] {
            let file = format!("shard-{index:05}.{kind}");
            let expected = place.read(format!("file/{file}"));
            assert!(!expected.is_empty());
            for out in ["stdin", "fifo"] {
                assert!(
                    place.read(format!("{out}/{file}")) == expected,
                    "{out}/{file}"
                );
            }
        }
    }
}

#[test]
fn an_empty_input_is_one_empty_document() {
    let place = Place::new();
    place.write("empty.txt", "");
    place
        .run(["tokenize", "empty.txt", "--out", "d"])
        .said(&["d: 1 token, 1 shard, 1 document from 0 B in TIME"]);
    place
        .run_with(["tokenize", "-", "--out", "s"], b"")
        .said(&["s: 1 token, 1 shard, 1 document from 0 B in TIME"]);
    for out in ["d", "s"] {
        assert_eq!(place.run(["verify", out]).code, Some(0));
        assert_eq!(place.run(["decode", out]).said(&[]).text(), "");
    }
}
