//! Which files an argument names, what they are read as, and what is said of those left out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use support::{Done, Place, output_bytes, skipped, spawn};

/// The names of the sources of the dataset `out`.
fn names(place: &Place, out: &str) -> Vec<String> {
    let manifest: Value =
        serde_json::from_slice(&place.read(format!("{out}/manifest.json"))).unwrap();
    let sources = manifest["sources"].as_array().unwrap();
    let name = |source: &Value| source["name"].as_str().unwrap().to_owned();
    sources.iter().map(name).collect()
}

/// Tokenizes `inputs` and gives the names of the sources.
#[track_caller]
fn read(place: &Place, inputs: &[&str]) -> Vec<String> {
    let args = [&["tokenize", "--out", "out", "--overwrite"], inputs].concat();
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{inputs:?} {done:?}");
    names(place, "out")
}

/// What `tokenize --json` says of `inputs`.
#[track_caller]
fn said(place: &Place, inputs: &[&str]) -> Value {
    let args = [
        &["tokenize", "--out", "out", "--overwrite", "--json"],
        inputs,
    ]
    .concat();
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{inputs:?} {done:?}");
    done.json()["inputs"].take()
}

/// What was left out, without kinds of which there was nothing.
fn left_out(said: &Value) -> Value {
    let mut kinds = said["left_out"].clone();
    let kinds = kinds.as_object_mut().unwrap();
    kinds.retain(|_, listed| listed["count"] != 0);
    json!(kinds)
}

#[test]
fn a_glob_takes_names_that_are_not_utf8() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write(OsStr::from_bytes(b"in/\xe9t.txt"), "b");
    place.write(OsStr::from_bytes(b"in/\xe9/c.txt"), "c");
    assert_eq!(read(&place, &["in/*.txt"]), ["a.txt", "%E9t.txt"]);
    assert_eq!(read(&place, &["in/?/*"]), ["%E9/c.txt"]);
    assert_eq!(read(&place, &["in/**/?.txt"]), ["a.txt", "%E9/c.txt"]);
    // Also where the pattern is none of UTF-8, before or behind the first wildcard.
    for (pattern, name) in [(&b"in/\xe9*.txt"[..], "%E9t.txt"), (b"in/\xe9/*", "c.txt")] {
        let args = [
            "tokenize".as_ref(),
            OsStr::from_bytes(pattern),
            "--out".as_ref(),
            "out".as_ref(),
            "--overwrite".as_ref(),
        ];
        assert_eq!(place.run(args).code, Some(0));
        assert_eq!(names(&place, "out"), [name]);
    }
    let args = [
        "tokenize".as_ref(),
        "in".as_ref(),
        "--exclude".as_ref(),
        OsStr::from_bytes(b"\xe9*"),
        "--out".as_ref(),
        "out".as_ref(),
        "--overwrite".as_ref(),
        "--json".as_ref(),
    ];
    let said = place.run(args).json();
    assert_eq!(
        left_out(&said["inputs"]),
        json!({"excluded": {"count": 2, "paths": ["in/%E9", "in/%E9t.txt"]}})
    );
}

#[test]
fn a_wildcard_is_a_whole_character() {
    let place = Place::new();
    place.write("é.txt", "a");
    place.write("café.md", "b");
    assert_eq!(read(&place, &["?.txt", "caf[éè].*"]), ["é.txt", "café.md"]);
}

#[test]
fn hidden_names_are_read_where_they_are_asked_for_and_never_the_parent() {
    let place = Place::new();
    place.write("in/parent.txt", "p");
    for name in [
        ".dot.txt",
        "a.txt",
        ".git/b.txt",
        ".git/.c.txt",
        "d/.e/f.txt",
    ] {
        place.write(format!("in/d/{name}"), name);
    }
    assert_eq!(read(&place, &["in/d/.*"]), [".dot.txt", ".git/b.txt"]);
    assert_eq!(read(&place, &["in/d/.*.txt"]), [".dot.txt"]);
    assert_eq!(
        read(&place, &["in/d/.dot.txt", "in/d/.git"]),
        [".dot.txt", "b.txt"]
    );
    assert_eq!(read(&place, &["in/d/**/.e/*"]), ["d/.e/f.txt"]);
    for all in ["in/d", "in/d/**", "in/d/*", "in/{d,x}"] {
        let said = said(&place, &[all]);
        assert_eq!(names(&place, "out").len(), 1, "{all}");
        assert_eq!(
            left_out(&said),
            json!({"hidden": {"count": 3, "paths": ["in/d/.dot.txt", "in/d/.git", "in/d/d/.e"]}}),
            "{all}"
        );
    }
    // What is not meant is not left out.
    assert_eq!(left_out(&said(&place, &["in/d/a*"])), json!({}));
}

#[test]
fn two_stars_are_any_number_of_directories_and_also_none() {
    let place = Place::new();
    for name in ["1.txt", "s/2.md", "s/t/3.txt", "s/t/u/4.txt"] {
        place.write(format!("gl/{name}"), name);
    }
    let all = ["1.txt", "s/2.md", "s/t/3.txt", "s/t/u/4.txt"];
    for pattern in ["gl/**", "gl/**/", "gl/**/*", "gl/**/**", "gl/*", "gl"] {
        assert_eq!(read(&place, &[pattern]), all, "{pattern}");
    }
    for (pattern, names) in [
        ("gl/**/*.txt", &["1.txt", "s/t/3.txt", "s/t/u/4.txt"][..]),
        ("gl/**/t/*.txt", &["s/t/3.txt"]),
        ("gl/**/t", &["s/t/3.txt", "s/t/u/4.txt"]),
        ("gl/*/", &["s/2.md", "s/t/3.txt", "s/t/u/4.txt"]),
        ("gl/s/**/*.txt", &["t/3.txt", "t/u/4.txt"]),
        ("gl/**.txt", &["1.txt"]),
        ("**/u/*", &["gl/s/t/u/4.txt"]),
    ] {
        // The last walks through the output, too.
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            read(&place, &[pattern, "--exclude", "out"]),
            names,
            "{pattern}"
        );
    }
}

#[test]
fn braces_are_either_of_what_they_hold() {
    let place = Place::new();
    for name in ["a.txt", "b.md", "c.rs", "x/d.txt", "y/z/e.txt"] {
        place.write(format!("in/{name}"), name);
    }
    assert_eq!(read(&place, &["in/*.{txt,md}"]), ["a.txt", "b.md"]);
    assert_eq!(
        read(&place, &["in/{x,y/z}/*.txt"]),
        ["x/d.txt", "y/z/e.txt"]
    );
    assert_eq!(
        read(&place, &["in/{c.rs,{a,b}.*}"]),
        ["a.txt", "b.md", "c.rs"]
    );
}

#[test]
fn a_name_that_exists_is_itself_and_no_pattern() {
    let place = Place::new();
    for name in [
        "wiki [v1]/a.txt",
        "wiki 1/b.txt",
        "wiki v/c.txt",
        "{x,y}/d.txt",
        "x/e.txt",
    ] {
        place.write(format!("in/{name}"), name);
    }
    assert_eq!(read(&place, &["in/wiki [v1]"]), ["a.txt"]);
    assert_eq!(read(&place, &["in/wiki [v1]/*.txt"]), ["a.txt"]);
    assert_eq!(
        read(&place, &["i*/wiki [v1]/*.txt"]),
        ["in/wiki [v1]/a.txt"]
    );
    assert_eq!(read(&place, &["in/{x,y}/*"]), ["d.txt"]);
    assert_eq!(
        read(&place, &["in/wiki [1v]/*.txt"]),
        ["wiki 1/b.txt", "wiki v/c.txt"]
    );
    assert_eq!(read(&place, &["in/wiki \\[v1\\]/*"]), ["wiki [v1]/a.txt"]);
}

#[test]
fn a_snapshot_of_links_is_read_by_the_names_of_the_links() {
    let place = Place::new();
    place.write("hub/blobs/ab12", "{\"text\":\"one\"}\n");
    place.write("hub/blobs/cd34", "two");
    place.write("hub/extra/more.txt", "three");
    fs::create_dir_all(place.path("hub/snapshots/main")).unwrap();
    let link =
        |to: &str, name: &str| symlink(to, place.path("hub/snapshots/main").join(name)).unwrap();
    link("../../blobs/ab12", "data.jsonl");
    link("../../blobs/cd34", "README.md");
    link("../../extra", "extra");
    link("nowhere", "gone.txt");
    link("itself.txt", "itself.txt");
    link("../../../hub/snapshots", "up");
    let all = ["README.md", "data.jsonl", "extra/more.txt"];
    for input in [
        "hub/snapshots/main",
        "hub/snapshots/main/*",
        "hub/snapshots/main/**",
    ] {
        let said = said(&place, &[input]);
        assert_eq!(names(&place, "out"), all, "{input}");
        let base = "hub/snapshots/main";
        let dangling = [format!("{base}/gone.txt"), format!("{base}/itself.txt")];
        // The way up leads back down to where it began.
        let circle = [format!("{base}/up/main")];
        assert_eq!(
            left_out(&said),
            json!({
                "dangling_links": {"count": 2, "paths": dangling},
                "circles": {"count": 1, "paths": circle},
            }),
            "{input}"
        );
        assert_eq!(said["repeated"], json!({"count": 0, "paths": []}));
    }
    let format = String::from_utf8(place.read("out/manifest.json")).unwrap();
    assert!(format.contains("\"jsonl\""), "{format}");
}

#[test]
fn a_maze_of_links_is_refused_and_not_walked_for_ever() {
    let place = Place::new();
    for a in 0..9 {
        place.write(format!("in/{a}/{a}.txt"), "a");
        for b in (0..9).filter(|&b| b != a) {
            symlink(format!("../{b}"), place.path(format!("in/{a}/to{b}"))).unwrap();
        }
    }
    let done = place.run(["tokenize", "in", "--out", "out"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr
            .contains("to which more than 1000 links led before")
    );
    let names = read(&place, &["in", "--exclude", "to*"]);
    assert_eq!(names.len(), 9);
}

#[test]
fn what_is_no_file_is_counted_by_kind_with_a_glob_as_with_a_directory() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write("in/.b.txt", "b");
    place.fifo("in/fifo.txt");
    let _socket = UnixListener::bind(place.path("in/socket.txt")).unwrap();
    symlink("nowhere", place.path("in/link.txt")).unwrap();
    symlink("/dev/null", place.path("in/null.txt")).unwrap();
    let mut expected = json!({
        "hidden": {"count": 1, "paths": ["in/.b.txt"]},
        "fifos": {"count": 1, "paths": ["in/fifo.txt"]},
        "sockets": {"count": 1, "paths": ["in/socket.txt"]},
        "dangling_links": {"count": 1, "paths": ["in/link.txt"]},
        "devices": {"count": 1, "paths": ["in/null.txt"]},
    });
    for input in ["in", "in/*", "in/*.txt", "in/**/*.txt"] {
        assert_eq!(left_out(&said(&place, &[input])), expected, "{input}");
        let line = "left out: 1 hidden entry, 1 FIFO, 1 socket, 1 device and 1 dangling link";
        let done = place.run(["plan", input]);
        assert_eq!(done.stderr, format!("shardmill: {line}\n"), "{input}");
        let done = place.run(["plan", input, "--json"]);
        assert_eq!(left_out(&done.json()["inputs"]), expected, "{input}");
        let args = "--out e --overwrite --init-seed 1 --dim 2 --seq-len 1 --json";
        let args = ["run", input].into_iter().chain(args.split(' '));
        let done = place.run(args);
        assert_eq!(left_out(&done.json()["inputs"]), expected, "{input}");
        let units = ["tokenize", input, "--out", "u", "--units", "0/1", "--json"];
        let done = place.run(units);
        assert_eq!(left_out(&done.json()["inputs"]), expected, "{input}");
        fs::remove_dir_all(place.path("u.partial")).unwrap();
    }
    // The first twenty are named, whatever the order in which the directory has them.
    for index in 0..30 {
        place.write(format!("in/.{index:02}"), "");
    }
    expected["hidden"]["count"] = 31.into();
    let first: Vec<_> = (0..20).map(|index| format!("in/.{index:02}")).collect();
    expected["hidden"]["paths"] = json!(first);
    assert_eq!(left_out(&said(&place, &["in"])), expected);
}

#[test]
fn patterns_include_and_exclude_what_directories_and_globs_have() {
    let place = Place::new();
    for name in [
        "a.txt",
        "b.md",
        "drafts/c.txt",
        "x/d.txt",
        "x/drafts/e.txt",
        "x/y/f.txt",
        "x/y/g.rs",
    ] {
        place.write(format!("in/{name}"), name);
    }
    for (options, names) in [
        (
            "--include *.txt",
            "a.txt drafts/c.txt x/d.txt x/drafts/e.txt x/y/f.txt",
        ),
        (
            "--include *.txt --exclude drafts",
            "a.txt x/d.txt x/y/f.txt",
        ),
        (
            "--include *.txt --exclude drafts/",
            "a.txt x/d.txt x/y/f.txt",
        ),
        ("--include *.{md,rs}", "b.md x/y/g.rs"),
        ("--include *.md --include *.rs", "b.md x/y/g.rs"),
        (
            "--exclude x/*.txt --exclude x/drafts",
            "a.txt b.md drafts/c.txt x/y/f.txt x/y/g.rs",
        ),
        ("--exclude x/**", "a.txt b.md drafts/c.txt"),
        (
            "--exclude /drafts",
            "a.txt b.md x/d.txt x/drafts/e.txt x/y/f.txt x/y/g.rs",
        ),
        ("--include x/y", "x/y/f.txt x/y/g.rs"),
        (
            "--include x/**/?.txt --exclude **/y/*",
            "x/d.txt x/drafts/e.txt",
        ),
    ] {
        let options: Vec<_> = options.split(' ').collect();
        let names: Vec<_> = names.split(' ').collect();
        for input in ["in", "in/*", "in/**"] {
            assert_eq!(
                read(&place, &[&[input], &options[..]].concat()),
                names,
                "{options:?}"
            );
        }
    }
    // A directory that is excluded counts once; a file that is named itself is read.
    let options = ["in", "in/b.md", "--include", "*.txt", "--exclude", "drafts"];
    let said = said(&place, &options);
    assert_eq!(
        names(&place, "out"),
        ["a.txt", "x/d.txt", "x/y/f.txt", "b.md"]
    );
    let paths = ["in/b.md", "in/drafts", "in/x/drafts", "in/x/y/g.rs"];
    assert_eq!(
        left_out(&said),
        json!({"excluded": {"count": 4, "paths": paths}})
    );
    place
        .run(["tokenize", "in", "--out", "o", "--include", "*.none"])
        .failed(1, "in: has no files to read; left out: 7 excluded entries");
    place
        .run(["tokenize", "in", "--out", "o", "--exclude", ""])
        .failed(1, ": is empty");
}

#[test]
fn an_explicit_fifo_stays_a_stream() {
    let place = Place::new();
    let pipe = place.fifo("pipe");
    let child = spawn(&mut place.command(["tokenize", "pipe", "--out", "out"]));
    fs::File::create(pipe).unwrap().write_all(b"Hello").unwrap();
    let done = Done::new(child.wait_with_output().unwrap());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(names(&place, "out"), ["pipe"]);
}

const RECORDS: &str = "{\"text\":\"one\"}\n{\"text\":\"two\", \"n\": NaN}\n";
const LOOKS: &str = "looks like JSON Lines; say --input-format jsonl or text";

#[test]
fn json_lines_called_json_are_json_lines_to_every_command() {
    let place = Place::new();
    let records = RECORDS.replace("NaN", "1");
    place.write("in/a.json", &records);
    // A record longer than what is looked at first.
    let long = format!("{{\"text\":\"{}\"}}\n", "long ".repeat(40_000));
    place.write("in/b.JSON", long.repeat(2));
    place.write("in/c.jsonl", &records);
    place.write("in/d.json", "{\n  \"text\": \"a document\"\n}\n");
    place.write("in/e.json", "{\"text\": \"a document\"}\n");
    place.write("in/f.json", "[{\"text\":\"one\"},\n{\"text\":\"two\"}]\n");
    let unit = ["--unit-size", "1kB"];
    let run = ["tokenize", "in", "--out"];
    let note = "read as text: 3 .json files not of JSON Lines, such as in/d.json";
    let done = place.run([&run[..], &["whole"], &unit].concat());
    assert!(
        done.stderr.starts_with(&format!("shardmill: {note}\n")),
        "{done:?}"
    );
    let manifest: Value = serde_json::from_slice(&place.read("whole/manifest.json")).unwrap();
    let formats = |of: &Value| {
        let sources = of["sources"].as_array().unwrap().iter();
        sources
            .map(|source| source["format"].clone())
            .collect::<Vec<_>>()
    };
    let expected = ["jsonl", "jsonl", "jsonl", "text", "text", "text"];
    assert_eq!(formats(&manifest), expected);
    // Processes that share the units, and a run that goes on, see the same.
    for share in ["0/2", "1/2"] {
        let done = place.run([&run[..], &["shared", "--units", share], &unit].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let plan: Value = serde_json::from_slice(&place.read("shared.partial/plan.json")).unwrap();
    assert_eq!(formats(&plan), expected);
    let planned = place
        .run([&["plan", "in", "--json"], &unit[..]].concat())
        .json();
    assert_eq!(planned["plan_id"], plan["plan_id"]);
    assert_eq!(place.run(["finish", "shared"]).code, Some(0));
    assert!(output_bytes(&place.path("shared")) == output_bytes(&place.path("whole")));
    let again = place.run([&run[..], &["whole"], &unit].concat());
    assert!(again.stderr.contains("was there already"), "{again:?}");
    // Who says what it is is believed.
    let text = place.run(["tokenize", "in", "--input-format", "text", "--out", "text"]);
    assert_eq!(text.code, Some(0));
    assert!(!text.stderr.contains("read as text"), "{text:?}");
}

#[test]
fn a_stream_that_looks_like_json_lines_is_refused_until_its_format_is_said() {
    let place = Place::new();
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(3 << 20));
    for records in [RECORDS, "\u{feff}{\"text\":\"one\"}", &long] {
        for (args, name) in [(&["-"][..], "-"), (&["/dev/stdin"], "/dev/stdin")] {
            let args = [&["tokenize", "--out", "out"], args].concat();
            let done = place.run_with(args, records.as_bytes());
            done.failed(1, &format!("{name}: {LOOKS}"));
            assert!(place.tree().is_empty());
        }
    }
    // Also behind another input, where a stream is copied first.
    place.write("a.txt", "a");
    let args = ["tokenize", "a.txt", "-", "--out", "out"];
    place
        .run_with(args, RECORDS.as_bytes())
        .failed(1, &format!("-: {LOOKS}"));
    assert_eq!(place.tree(), ["a.txt"]);
    for text in ["", "{", "{\n \"a\": 1\n}\n", "{{ a }}\n{{ b }}\n", "[1]\n"] {
        let args = ["tokenize", "-", "--out", "out", "--overwrite"];
        let done = place.run_with(args, text.as_bytes());
        assert_eq!(done.code, Some(0), "{text} {done:?}");
        assert_eq!(place.run(["decode", "out"]).text(), text);
    }
    let args = ["tokenize", "-", "--out", "o", "--input-format"];
    let done = place.run_with([&args[..], &["text"]].concat(), RECORDS.as_bytes());
    assert_eq!(done.code, Some(0), "{done:?}");
    let records = RECORDS.replace("NaN", "1");
    let args = [&args[..], &["jsonl", "--overwrite"]].concat();
    let done = place.run_with(args, records.as_bytes());
    assert!(done.stderr.contains(" 2 documents "), "{done:?}");
}

#[test]
fn a_text_that_looks_like_json_lines_is_refused_until_its_format_is_said() {
    let place = Place::new();
    place.write("in/a.txt", "Text.");
    place.write("in/part-00000", RECORDS.replace("NaN", "1"));
    place.write("in/z.log", "{\"one\": \"record is a text\"}\n");
    let args = ["tokenize", "in", "--out", "out"];
    place
        .run(args)
        .failed(1, &format!("in/part-00000: {LOOKS}"));
    // As a stream among others it is the same.
    let args = ["tokenize", "in/part-00000", "-", "--out", "out"];
    place
        .run_with(args, b"a")
        .failed(1, &format!("in/part-00000: {LOOKS}"));
    assert_eq!(read(&place, &["in", "--input-format", "text"]).len(), 3);
    assert_eq!(
        read(&place, &["in", "--exclude", "part-*"]),
        ["a.txt", "z.log"]
    );
    let done = place.run([
        "tokenize",
        "in/part-00000",
        "--input-format",
        "jsonl",
        "--out",
        "j",
    ]);
    assert!(done.stderr.contains(" 2 documents "), "{done:?}");
}

#[test]
fn texts_that_begin_like_an_archive_are_texts_and_archives_are_named() {
    let place = Place::new();
    for text in [
        "BZhang wrote this.",
        "PAR1 is a golf hole.",
        "ARROW1 points left.",
    ] {
        place.write("a.txt", text);
        assert_eq!(read(&place, &["a.txt"]), ["a.txt"], "{text}");
    }
    // Who says that it is a text is believed, whatever it begins with.
    let magic = b"ARROW1\0\0 and so on";
    place.write("a.txt", magic);
    let line = "is arrow data, which is not supported; give it as plain text or JSON Lines";
    place
        .run(["tokenize", "a.txt", "--out", "o"])
        .failed(1, &format!("a.txt: {line}"));
    assert_eq!(
        read(&place, &["a.txt", "--input-format", "text"]),
        ["a.txt"]
    );
    let args = [
        "tokenize",
        "-",
        "--input-format",
        "text",
        "--out",
        "out",
        "--overwrite",
    ];
    assert_eq!(place.run_with(args, magic).code, Some(0));

    place.write("corpus/a.txt", "Some text.");
    let tar = Command::new("tar")
        .args(["cf", "a.tar", "corpus"])
        .current_dir(place.path(""))
        .status();
    let is_made = tar.is_ok_and(|status| status.success());
    if !is_made {
        skipped("a tar archive", "needs tar");
        return;
    }
    let line = "is tar data, which is not supported; give it as plain text or JSON Lines";
    place
        .run(["tokenize", "a.tar", "--out", "o"])
        .failed(1, &format!("a.tar: {line}"));
    place
        .run_with(["tokenize", "-", "--out", "o"], &place.read("a.tar"))
        .failed(1, &format!("-: {line}"));
}

#[test]
fn a_file_that_is_given_twice_is_read_twice_and_said_so() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write("in/b.txt", "b");
    place.write("other/a.txt", "c");
    fs::hard_link(place.path("in/b.txt"), place.path("in/hard.txt")).unwrap();
    symlink("a.txt", place.path("in/soft.txt")).unwrap();
    for (inputs, count, first) in [
        (&["in"][..], 2, ["in/hard.txt", "in/b.txt"]),
        (&["in/a.txt", "in/a.txt"], 1, ["in/a.txt", "in/a.txt"]),
        (&["in/[ab]*", "in"], 4, ["in/a.txt", "in/a.txt"]),
        (&["in/soft.txt", "in/*.txt"], 3, ["in/a.txt", "in/soft.txt"]),
    ] {
        let args = [
            &["tokenize", "--out", "out", "--overwrite", "--json"],
            inputs,
        ]
        .concat();
        let done = place.run(args);
        let files = if count == 1 { "file" } else { "files" };
        let line = format!(
            "shardmill: read again: {count} {files} that the inputs name more than once, such as \
             {}, which is {}\n",
            first[0], first[1]
        );
        assert!(done.stderr.starts_with(&line), "{done:?}");
        let repeated = &done.json()["inputs"]["repeated"];
        assert_eq!(repeated["count"], count, "{inputs:?}");
        assert_eq!(repeated["paths"][0], json!(first), "{inputs:?}");
        assert_eq!(done.json()["sources"], names(&place, "out").len());
    }
    // Files of one name are not one file; they are told by argument or number.
    assert_eq!(said(&place, &["in/a.txt", "other"])["repeated"]["count"], 0);
    assert_eq!(names(&place, "out"), ["a.txt", "a.txt"]);
    let plan = place.run(["plan", "in/a.txt", "other", "in/b.txt", "--unit-size", "1"]);
    let starts: Vec<_> = plan
        .said(&[])
        .text()
        .lines()
        .skip(1)
        .map(|line| line.rsplit(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(starts, ["in/a.txt", "other/a.txt", "b.txt"]);
    let info = place.run(["info", "out"]);
    let sources = "2: a.txt (source 0, 1 B), a.txt (source 1, 1 B)";
    assert!(info.text().contains(sources), "{}", info.text());
}

#[test]
fn an_output_is_refused_wherever_the_next_run_would_read_it() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write("in/x/b.txt", "b");
    place.write("in/z.json", "[]");
    place.write("else/c.txt", "c");
    symlink("../else", place.path("in/link")).unwrap();
    for (args, shown) in [
        ("in --out in/o", "in"),
        ("in --out in/x/y/o", "in"),
        ("in --out in", "in"),
        ("in --out else/o", "in"),
        ("in/* --out in/o", "in/"),
        ("in/**/*.json --out in/x/o", "in/"),
        ("in --exclude o --out in/o", "in"),
        (". --out o", "."),
        ("* --out o", "."),
    ] {
        let args: Vec<_> = ["tokenize"].into_iter().chain(args.split(' ')).collect();
        let out = args[args.len() - 1];
        let line = format!("{out}: is inside the input {shown}; choose an output outside of it");
        place.run(&args).failed(1, &line);
    }
    for args in [
        "in/*.txt --out in/o",
        "in/**/*.txt --out in/x/o",
        "in --exclude o* --out in/o",
        "in --out in/.o",
        "in --exclude link --exclude ?* --include * in/a.txt --out else/o",
    ] {
        let args: Vec<_> = ["tokenize"].into_iter().chain(args.split(' ')).collect();
        let done = place.run(&args);
        if args.contains(&"?*") {
            // Nothing is left of the directory.
            assert_eq!(done.code, Some(1), "{args:?} {done:?}");
            continue;
        }
        assert_eq!(done.code, Some(0), "{args:?} {done:?}");
        let again = place.run(&args);
        assert!(
            again.stderr.contains("was there already"),
            "{args:?} {again:?}"
        );
        fs::remove_dir_all(place.path(args[args.len() - 1])).unwrap();
    }
}

#[test]
fn a_mount_does_not_hide_that_an_output_is_inside_an_input() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    fs::create_dir_all(place.path("in/empty")).unwrap();
    for name in ["whole", "part"] {
        fs::create_dir_all(place.path(name)).unwrap();
    }
    // In a name space of its own, so that nothing is left mounted.
    let script = "mount --bind in whole && mount --bind in/empty part && echo mounted >&2
        for out in whole/o whole/empty/o part/o whole; do \"$0\" tokenize in --out $out; echo $?; done
        \"$0\" tokenize in/a.txt --out whole; echo $?";
    let done = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            script,
            env!("CARGO_BIN_EXE_shardmill"),
        ])
        .current_dir(place.path(""))
        .output();
    let Some(done) = done
        .ok()
        .filter(|done| done.stderr.starts_with(b"mounted\n"))
    else {
        skipped("a bind mount", "needs root and unshare");
        return;
    };
    let said = String::from_utf8(done.stderr).unwrap();
    let lines: Vec<_> = said.lines().skip(1).collect();
    let inside = |out: &str| {
        format!("shardmill: error: {out}: is inside the input in; choose an output outside of it")
    };
    let holds = "shardmill: error: whole: holds the input in/a.txt; choose an output outside of it";
    assert_eq!(
        lines,
        [
            &inside("whole/o"),
            &inside("whole/empty/o"),
            &inside("part/o"),
            &inside("whole"),
            holds,
        ]
    );
    assert_eq!(done.stdout, b"1\n1\n1\n1\n1\n");
}

#[test]
fn the_order_is_that_of_the_names_bytes_however_a_directory_is_read() {
    let place = Place::new();
    let mut expected: Vec<_> = (0..300)
        .map(|n| {
            format!(
                "{}{}.txt",
                ["a/", "a-b/", "", "é/", "a/b/"][n % 5],
                n * 7919 % 1009
            )
        })
        .collect();
    for name in expected.iter().rev() {
        place.write(format!("in/{name}"), name);
    }
    expected.sort();
    for input in ["in", "in/**", "in/*", "in/**/*.txt", "in/{a,a-b,é,*}"] {
        assert_eq!(read(&place, &[input]), expected, "{input}");
    }
}

#[test]
fn a_terminal_is_told_what_is_waited_for() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let place = Place::new();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = OsString::from_vec(ptsname(&terminal, Vec::new()).unwrap().into_bytes());
    let side = fs::File::options()
        .read(true)
        .write(true)
        .open(name)
        .unwrap();
    let mut command = place.command(["tokenize", "-", "--out", "out"]);
    let mut child = command.stdin(side).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let line = "shardmill: reads text from the terminal until Ctrl-D at the start of a line\n";
    let mut said = vec![0; line.len()];
    // It is said before anything is typed.
    stderr.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), line);
    let mut typing = fs::File::from(terminal);
    typing.write_all(b"Hello\n\x04").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(place.run(["decode", "out"]).text(), "Hello\n");
}
