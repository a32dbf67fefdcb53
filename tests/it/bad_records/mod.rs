//! JSON Lines records that hold no document: they end the run, or are left out, counted by kind and
//! listed next to their shard, with the same bytes however the work is cut or interrupted.

mod damage;
mod python;
mod runs;
use crate::support;

use serde_json::{Value, json};
use shardmill::dataset::{BadRecord, bad_records};
use shardmill::document::BadKind;
use shardmill::{Manifest, Stats, TokenStore, verify};
use support::{Place, output_bytes};

/// A record of each kind that holds no document, and its message.
const BAD: [(&[u8], BadKind, &str); 8] = [
    (
        b"{\"text\":\"cut",
        BadKind::BrokenJson,
        "column 13: the line ends inside a string",
    ),
    (
        b"{'text':'quoted'}",
        BadKind::BrokenJson,
        "column 2: expected a string as the key",
    ),
    (
        b"[\"text\"]",
        BadKind::NotAnObject,
        "is an array, not an object",
    ),
    (
        b"{\"id\":7,\"body\":\"\"}",
        BadKind::MissingField,
        "no field \"text\"; there are \"id\", \"body\"; choose one with --text-field",
    ),
    (
        b"{\"text\":null}",
        BadKind::NullField,
        "field \"text\" is null, not a string",
    ),
    (
        b"{\"text\":7}",
        BadKind::NotAString,
        "field \"text\" is a number, not a string",
    ),
    (
        b"{\"text\":\"\xff\"}",
        BadKind::InvalidUtf8,
        "column 10: invalid UTF-8",
    ),
    (
        b"{\"text\":\"a\\ud83d\"}",
        BadKind::LoneSurrogate,
        "column 11: an escape \\u is half of a surrogate pair; use --invalid-utf8 replace or \
         ignore to accept it",
    ),
];

const SKIP: [&str; 2] = ["--bad-records", "skip"];

fn tokenize<'a>(input: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["tokenize", input, "--out", out], &SKIP[..], more].concat()
}

/// The lines of a source, each followed by a line end, and its bad records, except for their
/// source.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
    bad: Vec<BadRecord>,
}

impl Lines {
    fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.count += 1;
    }

    fn push_bad(&mut self, (line, kind, message): (&[u8], BadKind, &str)) {
        let byte_start = self.bytes.len() as u64;
        self.push(line);
        self.bad.push(BadRecord {
            source: 0,
            name: String::new(),
            byte_start,
            byte_len: line.len() as u64,
            line: Some(self.count),
            lines: 1,
            row: None,
            kind,
            message: message.to_owned(),
        });
    }
}

/// Three sources in `in`, one of them with several chunks, another with only bad records; and the
/// bad records in them, in order.
fn corpus() -> (Place, Vec<BadRecord>) {
    let place = Place::new();
    let mut long = Lines::default();
    for number in 0..40_000_usize {
        match number % 97 {
            13 => long.push(b"\r"),
            40 => long.push_bad(BAD[number / 97 % BAD.len()]),
            _ => long
                .push(format!("{{\"text\":\"record {number} {}\"}}", "a ".repeat(30)).as_bytes()),
        }
    }
    let mut bad_alone = Lines::default();
    for bad in BAD {
        bad_alone.push_bad(bad);
        bad_alone.push(b"");
    }
    let mut good = Lines::default();
    good.push(b"{\"text\":\"one\"}");
    place.write("in/c.txt", "Not JSON at all: {\n");
    let mut expected = Vec::new();
    for (source, name, lines) in [
        (0, "a.jsonl", long),
        (1, "b.jsonl", bad_alone),
        (3, "d.jsonl", good),
    ] {
        place.write(format!("in/{name}"), &lines.bytes);
        expected.extend(lines.bad.into_iter().map(|bad| BadRecord {
            source,
            name: name.to_owned(),
            ..bad
        }));
    }
    (place, expected)
}

fn manifest(place: &Place, out: &str) -> Manifest {
    serde_json::from_slice(&place.read(format!("{out}/manifest.json"))).unwrap()
}

#[test]
fn bad_records_are_left_out_counted_by_kind_named_and_listed() {
    let place = Place::new();
    let mut lines = Lines::default();
    lines.push(b"{\"text\":\"one\"}");
    lines.push(b"");
    for bad in BAD {
        lines.push_bad(bad);
    }
    lines.push(b"{\"text\":\"two\"}");
    place.write("a.jsonl", &lines.bytes);
    let named = lines.bad[..5].iter().map(|bad| {
        let line = bad.line.unwrap();
        format!("left out: a.jsonl: line {line}: {}", bad.message)
    });
    let mut said: Vec<_> = named.collect();
    said.push("left out: 3 more; all are in d/shard-*.bad.jsonl".to_owned());
    let counts = "8 bad records (2 broken JSON, 1 not an object, 1 missing field, 1 null field, 1 \
                  not a string, 1 invalid UTF-8, 1 lone surrogate)";
    let made = format!("d: 4 tokens, 1 shard, 2 documents from 147 B, {counts} left out");
    said.push(format!("{made} in TIME (RATE)"));
    let said: Vec<_> = said.iter().map(String::as_str).collect();
    let done = place.run(tokenize("a.jsonl", "d", &["--json"])).said(&said);
    let kinds = json!({
        "broken_json": 2, "not_an_object": 1, "missing_field": 1, "null_field": 1,
        "not_a_string": 1, "invalid_utf8": 1, "lone_surrogate": 1,
    });
    let json = done.json();
    assert_eq!(json["bad_records"], kinds);
    assert_eq!(json["totals"]["bad_records"], kinds);

    let text: Value = serde_json::from_slice(&place.read("d/manifest.json")).unwrap();
    assert_eq!(text["totals"]["bad_records"], kinds);
    assert_eq!(text["settings"]["bad_records"], "skip");
    let shard = &text["shards"][0]["bad_records"];
    assert_eq!(shard["file"], "shard-00000.bad.jsonl");
    assert_eq!(shard["counts"], kinds);
    let list = String::from_utf8(place.read("d/shard-00000.bad.jsonl")).unwrap();
    assert_eq!(shard["bytes"], list.len());
    assert_eq!(
        list.lines().next().unwrap(),
        "{\"source\":0,\"name\":\"a.jsonl\",\"byte_start\":16,\"byte_len\":12,\"line\":3,\
         \"kind\":\"broken_json\",\"message\":\"column 13: the line ends inside a string\"}"
    );
    let expected: Vec<_> = lines
        .bad
        .into_iter()
        .map(|bad| BadRecord {
            name: "a.jsonl".to_owned(),
            ..bad
        })
        .collect();
    assert_eq!(bad_records(&place.path("d"), 99).unwrap(), expected);
    assert_eq!(bad_records(&place.path("d"), 3).unwrap(), expected[..3]);

    assert_eq!(place.run(["decode", "d"]).said(&[]).text(), "onetwo");
    let info = place.run(["info", "d"]).said(&[]);
    assert!(
        info.text().contains(&format!("left out    {counts}\n")),
        "{info:?}"
    );
    // The next run finds it as it is, and reports the same again.
    let there = said.len() - 1;
    let again = format!("{made}; was there already, left as it is");
    let again = [&said[..there], &[again.as_str()]].concat();
    place.run(tokenize("a.jsonl", "d", &[])).said(&again);
}

#[test]
fn the_first_bad_record_ends_the_run_unless_they_are_skipped() {
    for (line, kind, message) in BAD {
        let place = Place::new();
        place.write(
            "a.jsonl",
            [b"{\"text\":\"one\"}\n", line, b"\nworse\n"].concat(),
        );
        let expected = if kind == BadKind::InvalidUtf8 {
            "a.jsonl: byte 24: invalid UTF-8; use --invalid-utf8 replace or ignore to accept it"
                .to_owned()
        } else {
            format!("a.jsonl: line 2: {message}")
        };
        place
            .run(["tokenize", "a.jsonl", "--out", "d"])
            .failed(1, &expected);
        assert_eq!(place.tree(), ["a.jsonl"]);
    }
}

#[test]
fn a_dataset_without_bad_records_has_no_list_of_them() {
    let place = Place::new();
    place.write("a.jsonl", "{\"text\":\"one\"}\n");
    for (more, name) in [(&[][..], "error"), (&SKIP, "skip")] {
        let out = format!("d-{name}");
        let done = place.run([&["tokenize", "a.jsonl", "--json", "--out", &out], more].concat());
        assert_eq!(done.json()["bad_records"]["broken_json"], 0);
        let files: Vec<_> = output_bytes(&place.path(&out)).into_keys().collect();
        assert_eq!(
            files,
            ["manifest.json", "shard-00000.docs", "shard-00000.u32"]
        );
        let text = String::from_utf8(place.read(format!("{out}/manifest.json"))).unwrap();
        assert_eq!(
            text.matches("bad_records").count(),
            usize::from(name == "skip")
        );
    }
    let refused = "d-skip: exists and is not exactly this output; use --overwrite to replace it or \
                   choose another --out";
    place
        .run(["tokenize", "a.jsonl", "--out", "d-skip"])
        .failed(1, refused);
}

#[test]
fn units_made_under_another_policy_are_not_taken_over() {
    let place = Place::new();
    place.write("a.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\"}\n");
    let args = [
        "tokenize",
        "a.jsonl",
        "--out",
        "d",
        "--unit-size",
        "15",
        "--units",
        "0/2",
    ];
    assert_eq!(place.run(args).code, Some(0));
    let done = place.run([&args[..], &SKIP].concat());
    assert_eq!(done.code, Some(1));
    assert!(
        done.stderr.contains("--bad-records was error and is skip"),
        "{done:?}"
    );
}

#[test]
fn a_byte_order_mark_belongs_to_no_record() {
    let place = Place::new();
    let mark = "\u{feff}";
    place.write(
        "in/a.jsonl",
        format!("{mark}{{\"text\":\"one\"}}\r\n{{\"text\":\"two\"}}\n"),
    );
    place.write(
        "in/b.jsonl",
        format!("{mark}\n{{\"text\":\"three\"}}\n{mark}{{\"text\":\"four\"}}\n"),
    );
    place.write("in/c.jsonl", mark);
    for unit in ["256MiB", "1B"] {
        let done = place.run(tokenize("in", "d", &["--unit-size", unit, "--overwrite"]));
        assert_eq!(done.code, Some(0), "{done:?}");
        verify(&place.path("d"), &Stats::default()).unwrap();
        let store = TokenStore::open(&place.path("d")).unwrap();
        let found: Vec<_> = store
            .documents()
            .map(|document| document.unwrap())
            .map(|document| (document.source, document.bytes))
            .collect();
        assert_eq!(found, [(0, 3..17), (0, 19..33), (1, 4..20)]);
        assert_eq!(place.run(["decode", "d"]).said(&[]).text(), "onetwothree");
        let bad = bad_records(&place.path("d"), 9).unwrap();
        assert_eq!(bad.len(), 1);
        assert_eq!(
            (bad[0].line, bad[0].byte_start, &*bad[0].message),
            (
                Some(3),
                21,
                "column 1: a byte order mark after the start of the file"
            )
        );
    }
    // In text, the mark is part of the document.
    place.write("a.txt", mark);
    assert_eq!(place.run(tokenize("a.txt", "text", &[])).code, Some(0));
    assert_eq!(place.run(["decode", "text"]).said(&[]).text(), mark);
}

/// The manifest that format version 1 had for the text `Hello`.
const VERSION_1: &str = include_str!("manifest_v1.json");

#[test]
fn a_dataset_of_format_version_1_is_read_and_checked() {
    let place = Place::new();
    place.write("a.txt", "Hello");
    place.write("d/manifest.json", VERSION_1);
    place.write("d/shard-00000.u32", b"\x88\x3c\0\0\x50\xc4\0\0");
    let mut docs = [0; 32];
    (docs[0], docs[16]) = (2, 5);
    place.write("d/shard-00000.docs", docs);
    let whole = "d: whole: 2 tokens, 1 shard, 1 document checked in TIME (RATE)";
    place.run(["verify", "d"]).said(&[whole]);
    assert_eq!(place.run(["decode", "d"]).said(&[]).text(), "Hello");
    let embed = [
        "embed",
        "d",
        "--out",
        "e",
        "--init-seed",
        "1",
        "--dim",
        "1",
        "--seq-len",
        "1",
    ];
    assert_eq!(place.run(embed).code, Some(0));
    let info = place.run(["info", "d", "--json"]).json();
    assert_eq!(
        info["manifest"],
        serde_json::from_str::<Value>(VERSION_1).unwrap()
    );
    // It is not the output that would be made now.
    let refused = "d: exists and is not exactly this output; use --overwrite to replace it or \
                   choose another --out";
    place
        .run(["tokenize", "a.txt", "--out", "d"])
        .failed(1, refused);
    let text = VERSION_1.replace("\"bytes\": 5", "\"bytes\": 6");
    place.write("d/manifest.json", text);
    let changed =
        "d/manifest.json: was changed after it was written: its dataset_id is not its hash";
    place.run(["verify", "d"]).failed(5, changed);
}

#[test]
fn a_name_in_a_record_does_nothing_to_a_terminal() {
    let place = Place::new();
    place.write(
        "a.jsonl",
        "{\"\\u001b[31m\\u202e\\n\":\"\\ud800\",\"\u{9b}\":1}\n",
    );
    place
        .run([
            "tokenize",
            "a.jsonl",
            "--out",
            "d",
            "--text-field",
            "te\u{1b}xt",
        ])
        .failed(
            1,
            "a.jsonl: line 1: no field \"te\\u{1b}xt\"; there are \"\\u{1b}[31m\\u{202e}\\n\", \
         \"\\u{9b}\"; choose one with --text-field",
        );
}
