//! The format that a file or a stream is read as.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::read;
use crate::support::{Place, output_bytes, skipped};

const RECORDS: &str = "{\"text\":\"one\"}\n{\"text\":\"two\", \"n\": NaN}\n";
const LOOKS: &str = "looks like JSON Lines; choose --input-format jsonl or text";

#[test]
fn json_lines_called_json_are_json_lines_to_every_command() {
    let place = Place::new();
    let records = RECORDS.replace("NaN", "1");
    place.write("in/a.json", &records);
    // A record longer than the head that is examined first.
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
    // Processes that share the units, and a resumed run, see the same.
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
    // An explicit format is trusted.
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
    // Also after another input, where a stream is copied first.
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
    // A stream among other inputs behaves the same.
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
    // An explicit text format is trusted, whatever the text begins with.
    let magic = b"ARROW1\0\0 and so on";
    place.write("a.txt", magic);
    let line = "is Arrow data, and its name does not say so; let its name end in .arrow";
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
    // This is reported before anything is typed.
    stderr.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), line);
    let mut typing = fs::File::from(terminal);
    typing.write_all(b"Hello\n\x04").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(place.run(["decode", "out"]).text(), "Hello\n");
}
