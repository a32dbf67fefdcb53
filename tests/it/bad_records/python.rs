//! An independent oracle: Python's `json.loads` accepts the same records, and reads the same texts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use shardmill::dataset::bad_records;
use shardmill::{TokenStore, Tokenizer};

use super::{BAD, tokenize};
use crate::support::{Place, fixture, skipped};

/// Prints what Python reads in each line of its first argument, a file: the text, or null.
const PYTHON: &str = r#"
import json, sys
sys.set_int_max_str_digits(0)
path, policy = sys.argv[1:]
source = open(path, "rb").read()
if source.startswith(b"\xef\xbb\xbf"):
    source = source[3:]
found = []
for line in source.split(b"\n"):
    line = line[:-1] if line.endswith(b"\r") else line
    if not line.strip(b" \t\r"):
        continue
    text = None
    try:
        value = json.loads(line.decode("utf-8", policy))
        if isinstance(value, dict) and isinstance(value.get("text"), str):
            text = value["text"]
            if policy == "replace":
                # As tiktoken does.
                text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            else:
                text = text.encode("utf-8", policy).decode("utf-8")
    except ValueError:
        text = None
    found.append(text)
json.dump(found, sys.stdout)
"#;

/// Hand-picked lines.
const CHOSEN: &[&str] = &[
    r#"{"a":NaN,"text":"x"}"#,
    r#"{"a":-NaN,"text":"x"}"#,
    r#"{"a":[Infinity,-Infinity],"text":"x"}"#,
    r#"{"a":+1,"text":"x"}"#,
    r#"{"a":1e999,"b":-1E-999,"text":"x"}"#,
    r#"{"text":1e999}"#,
    r#"{"a":0123,"text":"x"}"#,
    r#"{"a":1.,"text":"x"}"#,
    r#"{"a":.5,"text":"x"}"#,
    r#"{"a":1e,"text":"x"}"#,
    r#"{"a":-,"text":"x"}"#,
    r#"{"a":-0,"text":"x"}"#,
    r#"{"\ud800":"\udfff","text":"x"}"#,
    r#"{"te\u0078t":"escaped"}"#,
    r#"{"te\u0058t":"escaped"}"#,
    r#"{"text":"\ud83d\ude00\ude00\ud83d"}"#,
    r#"{"text":"\ud83d\ud83d\ude00"}"#,
    r#"{"text":"\ud83dx\ude00"}"#,
    r#"{"text":"\ud83d\\ude00"}"#,
    r#"{"text":"\ud83d\u00e9"}"#,
    r#"{"text":"\uD83D\uDE00"}"#,
    r#"{"text":"\ud83d\u"}"#,
    r#"{"text":"\u+123"}"#,
    r#"{"text":"\u 123"}"#,
    r#"{"text":"\u12_3"}"#,
    r#"{"text":"\v"}"#,
    r#"{"text":"\/\b\f\n\r\t\"\\"}"#,
    r#"{"text":"a","text":"b"}"#,
    r#"{"text":1,"text":"b"}"#,
    r#"{"text":"a","text":1}"#,
    r#"{"text":"a"}}"#,
    r#"{"text":"a"},"#,
    r#"{"text":"a",}"#,
    r#"{,"text":"a"}"#,
    r#"{"text":"a"} {"text":"b"}"#,
    r#"{"text" : "spaced" } "#,
    "{\"text\"\t:\r\"tabs\"}",
    "{\"text\":\"\u{7f}\u{80}\u{2028}\u{feff}\"}",
    "{\"text\":\"a\u{b}\"}",
    "{\"text\":\"nul \u{0}\"}",
    "\u{feff}{\"text\":\"a mark\"}",
    "\u{a0}{\"text\":\"no space\"}",
    "{\"text\":\"\"}",
    "{}",
    "[]",
    "null",
    "NaN",
    "Infinity",
    "\"text\"",
    "1",
    "nul",
    "{\"text\":tru}",
    "{\"text\":True}",
    "{\"text\":\"a\" /* no */}",
    "// no",
    "{text:\"a\"}",
    "{\"text\":\"a\"",
    "{",
    "{\"",
    "{\"text",
    "{\"text\"",
    "{\"text\":",
    "{\"\":{\"\":{\"text\":\"inside\"}},\"text\":\"outside\"}",
    "{\"a\":{\"b\":[}],\"text\":\"x\"}",
];

/// Lines for the oracle: some hand-picked, the others random.
fn oracle_lines() -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = BAD.iter().map(|&(line, ..)| line.to_vec()).collect();
    for directory in [
        "hostile/broken",
        "hostile/duplicate_keys",
        "hostile/invalid_utf8",
    ] {
        lines.push(fs::read(fixture(&format!("{directory}.jsonl"))).unwrap());
    }
    for name in [
        "lone_surrogate",
        "missing_field",
        "non_string",
        "not_object",
        "null_field",
    ] {
        lines.push(fs::read(fixture(&format!("hostile/{name}.jsonl"))).unwrap());
    }
    lines.extend(CHOSEN.iter().map(|line| line.as_bytes().to_vec()));
    let nested = |open: &str, close: &str, depth| {
        format!(
            "{{\"a\":{}1{},\"b\":NaN,\"text\":\"deep\"}}",
            open.repeat(depth),
            close.repeat(depth)
        )
        .into_bytes()
    };
    lines.push(nested("[", "]", 500));
    lines.push(nested("{\"a\":", "}", 500));
    lines.push(format!("{{\"a\":{},\"b\":NaN,\"text\":\"long\"}}", "9".repeat(5000)).into_bytes());
    lines.extend(by_chance());
    lines.join(&b'\n')
}

/// What random lines are made of.
const VALUES: [&str; 24] = [
    "\"a\"",
    "\"\"",
    "\"\\ud83d\"",
    "\"\\ude00\"",
    "\"\\ud83d\\ude00\"",
    "\"\\u00e9\\n\"",
    "\"é😀\"",
    "1",
    "-0.5e+7",
    "1E400",
    "12345678901234567890123",
    "NaN",
    "Infinity",
    "-Infinity",
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "[1,[\"a\",{\"text\":\"b\"}]]",
    "{\"text\":\"in\"}",
    "\"\\\\\"",
    "\"\\\"\"",
    "[NaN]",
];
const KEYS: [&str; 11] = [
    "\"text\"",
    "\"text\"",
    "\"text\"",
    "\"text\"",
    "\"text\"",
    "\"a\"",
    "\"te\\u0078t\"",
    "\"\\ud800\"",
    "\"Text\"",
    "\"text \"",
    "\"\"",
];
const JUNK: [&[u8]; 22] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u",
    b"d8",
    b"N",
    b"-",
    b"0",
    b"e",
    b".",
    b" ",
    b"\t",
    b"\x01",
    b"\xff",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"'",
];

/// Thousands of random lines that are nearly records.
fn by_chance() -> Vec<Vec<u8>> {
    let mut state = 7_u64;
    let mut below = |n: usize| {
        // Knuth's multiplier; the high bits are good enough.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % n
    };
    let mut lines = Vec::new();
    for _ in 0..9000 {
        let members: Vec<_> = (0..=below(4))
            .map(|_| {
                let space = ["", "", " ", "\t"][below(4)];
                format!(
                    "{space}{}{space}:{space}{}",
                    KEYS[below(KEYS.len())],
                    VALUES[below(VALUES.len())]
                )
            })
            .collect();
        let mut line = format!("{{{}}}", members.join(",")).into_bytes();
        for _ in 0..below(3) {
            let at = below(line.len() + 1);
            match below(3) {
                0 => drop(line.splice(at..at, JUNK[below(JUNK.len())].iter().copied())),
                1 if at < line.len() => drop(line.remove(at)),
                _ => line.truncate(at.max(1)),
            }
        }
        lines.push(line);
    }
    lines
}

#[test]
fn records_are_those_of_pythons_json() {
    let place = Place::new();
    place.write(
        "mark.jsonl",
        [&b"\xef\xbb\xbf"[..], &oracle_lines()].concat(),
    );
    place.write("a.jsonl", oracle_lines());
    let encoding = Tokenizer::by_name("gpt2").unwrap();
    for (file, policy) in [
        ("a.jsonl", "replace"),
        ("a.jsonl", "ignore"),
        ("a.jsonl", "strict"),
        ("mark.jsonl", "replace"),
    ] {
        let python = Command::new("python3")
            .args(["-c", PYTHON, file, policy])
            .current_dir(place.path(""))
            .output();
        let Ok(python) = python else {
            return skipped("records beside Python's json", "there is no python3");
        };
        let message = String::from_utf8_lossy(&python.stderr);
        assert!(python.status.success(), "{message}");
        let expected: Vec<Option<String>> = serde_json::from_slice(&python.stdout).unwrap();
        let texts = expected.iter().flatten().count();
        assert!(
            expected.len() > 9000 && texts > 500 && texts < 5000,
            "{texts}"
        );

        let more = ["--invalid-utf8", policy, "--overwrite"];
        let done = place.run(tokenize(file, "d", &more));
        assert_eq!(done.code, Some(0), "{done:?}");
        let found = records(&place.path("d"), &encoding);
        let source = place.read(file);
        let lines: Vec<_> = found.keys().map(|&start| line_at(&source, start)).collect();
        let found: Vec<_> = found.into_values().collect();
        assert_eq!(found.len(), expected.len());
        for ((found, expected), line) in found.iter().zip(&expected).zip(lines) {
            assert_eq!(found, expected, "{policy}: {line}");
        }
    }
}

/// Each record of the only source of a dataset, by its start: its text, or `None` if it is bad.
fn records(dataset: &Path, encoding: &Tokenizer) -> BTreeMap<u64, Option<String>> {
    let store = TokenStore::open(dataset).unwrap();
    let texts = store.documents().map(|document| {
        let document = document.unwrap();
        let tokens = document.tokens;
        let mut ids = vec![0; usize::try_from(tokens.end - tokens.start).unwrap()];
        store.read(tokens.start, &mut ids).unwrap();
        assert_eq!(ids.pop(), encoding.end_of_text());
        let text = String::from_utf8(encoding.decode_bytes(&ids).unwrap()).unwrap();
        (document.bytes.start, Some(text))
    });
    let bad = bad_records(dataset, usize::MAX).unwrap();
    texts
        .chain(bad.into_iter().map(|bad| (bad.byte_start, None)))
        .collect()
}

fn line_at(source: &[u8], start: u64) -> String {
    let rest = &source[usize::try_from(start).unwrap()..];
    let line = rest.split(|&byte| byte == b'\n').next().unwrap();
    String::from_utf8_lossy(line).into_owned()
}
