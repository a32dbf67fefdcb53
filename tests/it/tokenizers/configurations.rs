//! Configurations of `tokenizer.json`, every field alone and many at random, beside the ids that HF
//! tokenizers returned. `tests/oracle/configurations.py` makes them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use shardmill::{Special, Tokenizer};

use super::{open, unpacked};

/// What became of the configurations.
#[derive(Debug, Default)]
struct Counts {
    equal: usize,
    refused_by_both: usize,
    refused_by_us: usize,
}

/// Compares the configurations in `lines`.
fn compare(lines: impl Iterator<Item = String>) -> Counts {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let mut counts = Counts::default();
    for (number, line) in lines.enumerate() {
        let made: Value = serde_json::from_str(&line).unwrap();
        fs::write(&path, made["tokenizer"].to_string()).unwrap();
        let is_refused_there = made.get("error").is_some();
        match open(&path) {
            Err(error) => {
                assert!(error.is_usage(), "configuration {number}: {error}");
                let count = if is_refused_there {
                    &mut counts.refused_by_both
                } else {
                    &mut counts.refused_by_us
                };
                *count += 1;
            }
            // What HF cannot load has no ids to compare.
            Ok(_) if is_refused_there => {}
            Ok(tokenizer) => {
                check(number, &tokenizer, &made);
                counts.equal += 1;
            }
        }
    }
    counts
}

fn check(number: usize, tokenizer: &Tokenizer, made: &Value) {
    let modes = [
        ("ids", Special::Encode),
        ("special_as_text_ids", Special::Text),
    ];
    let texts = made["texts"].as_array().unwrap();
    for (mode, special) in modes {
        for (text, expected) in texts.iter().zip(made[mode].as_array().unwrap()) {
            // Null: HF fails.
            let Ok(expected) = serde_json::from_value::<Vec<u32>>(expected.clone()) else {
                continue;
            };
            let text = text.as_str().unwrap();
            let found = tokenizer.encode(text, special).unwrap();
            assert_eq!(
                found, expected,
                "configuration {number}, {mode} of {text:?}"
            );
        }
    }
}

#[test]
fn ids_are_those_of_hf_or_the_configuration_is_refused() {
    let all = unpacked("configurations.jsonl");
    let counts = compare(all.lines().map(Result::unwrap));
    assert!(counts.equal >= 300, "{counts:?}");
    assert!(counts.refused_by_both >= 60, "{counts:?}");
}

/// Needs Python with tokenizers 0.23.3: `SHARDMILL_ORACLE=path/to/python`.
#[test]
#[ignore = "long; needs HF tokenizers"]
fn ids_of_new_random_configurations_are_those_of_hf() {
    let python = std::env::var("SHARDMILL_ORACLE").expect("SHARDMILL_ORACLE names a Python");
    let count = std::env::var("CONFIGURATIONS").unwrap_or_else(|_| "20000".to_owned());
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/oracle/configurations.py"
    );
    let mut made = Command::new(python)
        .args([
            script,
            "--seed",
            &std::process::id().to_string(),
            "--count",
            &count,
        ])
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(made.stdout.take().unwrap()).lines();
    let counts = compare(lines.map(Result::unwrap));
    assert!(made.wait().unwrap().success());
    println!("{counts:?}");
    assert!(
        counts.equal * 3 > count.parse::<usize>().unwrap(),
        "{counts:?}"
    );
}

/// Smallest forms of what random configurations found.
#[test]
fn what_random_configurations_found_stays_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    // An empty prefix repeats characters in HF.
    let empty = r#"{"version":"1.0","normalizer":{"type":"Prepend","prepend":""},
        "model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#;
    fs::write(&path, empty).unwrap();
    let refused = open(&path).unwrap_err().to_string();
    assert!(
        refused.contains("normalizer.prepend \"\" is not supported"),
        "{refused}"
    );
    // With `ignore_merges`, only a whole pretoken is looked up, not a part of it.
    let whole = r#"{"version":"1.0",
        "pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":false},
        "model":{"type":"BPE","ignore_merges":true,
            "vocab":{"x":0,"a":1,"b":2,"c":3,"ab":4,"bc":5,"abc":6},
            "merges":[["b","c"],["a","b"],["ab","c"]]}}"#;
    fs::write(&path, whole).unwrap();
    let tokenizer = open(&path).unwrap();
    assert_eq!(tokenizer.encode_ordinary("abc"), [6]);
    assert_eq!(tokenizer.encode_ordinary("xabc"), [0, 1, 5]);
    // Of two tokens that strip towards each other, nothing is left of the second.
    let strips = r#"{"version":"1.0",
        "added_tokens":[{"id":1,"content":"  ","single_word":false,"lstrip":true,"rstrip":true,
            "normalized":false,"special":false}],
        "model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#;
    fs::write(&path, strips).unwrap();
    assert_eq!(
        open(&path)
            .unwrap()
            .encode("    a", Special::Encode)
            .unwrap(),
        [1, 0]
    );
    // What normalization leaves empty, HF finds between any two characters.
    let vanishes = r#"{"version":"1.0","normalizer":{"type":"Strip","strip_left":false,"strip_right":true},
        "added_tokens":[{"id":1,"content":"  ","single_word":false,"lstrip":false,"rstrip":false,
            "normalized":true,"special":false}],
        "model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#;
    fs::write(&path, vanishes).unwrap();
    let refused = open(&path).unwrap_err().to_string();
    let what = r#"added_tokens: "  ", of which normalization leaves nothing, is not supported"#;
    assert!(refused.contains(what), "{refused}");
    // A word marker is no white space that a token could strip.
    let marker = r#"{"version":"1.0",
        "normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},
        "added_tokens":[{"id":2,"content":"b","single_word":false,"lstrip":true,"rstrip":true,
            "normalized":true,"special":false}],
        "model":{"type":"BPE","vocab":{"a":0,"▁":1},"merges":[]}}"#;
    fs::write(&path, marker).unwrap();
    assert_eq!(
        open(&path).unwrap().encode_ordinary("a b a"),
        [0, 1, 2, 1, 0]
    );
    // One that is no token is spelled out as itself.
    let bytes = (0..=u8::MAX).map(|byte| (format!("<0x{byte:02X}>"), u32::from(byte)));
    let vocab: BTreeMap<_, _> = bytes.chain([("a".to_owned(), 256)]).collect();
    let spelled = serde_json::json!({"version": "1.0",
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "model": {"type": "BPE", "byte_fallback": true, "vocab": vocab, "merges": []}});
    fs::write(&path, spelled.to_string()).unwrap();
    assert_eq!(
        open(&path).unwrap().encode_ordinary("a a"),
        [256, 226, 150, 129, 256]
    );
}
