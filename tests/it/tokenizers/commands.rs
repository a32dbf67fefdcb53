//! `shardmill tokenizer`, and the program with a tokenizer's file.

use std::fs;
use std::process::{Command, Output};

use crate::support::fixture;

use super::unpack;

fn shardmill(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardmill"));
    command.args(args).output().unwrap()
}

fn json(args: &[&str]) -> serde_json::Value {
    let output = shardmill(args);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_tokenizer_is_described_and_its_ids_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = unpack("dolma2.json", dir.path());
    let path = path.to_str().unwrap();
    let described = json(&["tokenizer", path, "--json"]);
    assert_eq!(described["n_vocab"], 100_278);
    assert_eq!(described["splitter"], "llama3");
    assert_eq!(described["end_of_text"], 100_257);
    let checked = json(&["tokenizer", path, "--check", "Hello world", "--json"]);
    assert_eq!(checked["ids"], serde_json::json!([9906, 1917]));
}

#[test]
fn a_dataset_made_with_a_file_is_decoded_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = unpack("gpt_neox_20b.json", dir.path());
    let tokenizer = tokenizer.to_str().unwrap();
    let text = fixture("text/the-verdict.txt");
    let out = dir.path().join("out");
    let out = out.to_str().unwrap();
    let made = json(&[
        "tokenize",
        text.to_str().unwrap(),
        "--tokenizer",
        tokenizer,
        "--out",
        out,
        "--json",
    ]);
    assert_eq!(made["n_vocab"], 50_277);
    let decoded = shardmill(&["decode", out, "--tokenizer", tokenizer]);
    assert!(decoded.status.success());
    assert_eq!(decoded.stdout, fs::read(&text).unwrap());
    let refused = shardmill(&["decode", out, "--tokenizer", "gpt2"]);
    assert_eq!(refused.status.code(), Some(2));
    let refused = shardmill(&["decode", out]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("--tokenizer: is needed"), "{message}");
}

#[test]
fn what_is_not_supported_is_named_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    for (content, expected) in [
        (
            r#"{"version":"1.0","model":{"type":"Unigram","vocab":[]}}"#,
            "model.type \"Unigram\" is not supported",
        ),
        (
            r#"{"version":"1.0","normalizer":{"type":"NFKC"},
                "model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#,
            "normalizer.type \"NFKC\" is not supported",
        ),
    ] {
        let path = dir.path().join("tokenizer.json");
        fs::write(&path, content).unwrap();
        let refused = shardmill(&["tokenizer", path.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(2));
        let message = String::from_utf8(refused.stderr).unwrap();
        assert!(message.contains(expected), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_tokenizer_without_a_known_end_needs_one_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let ranks = unpack("qwen.tiktoken", dir.path());
    let text = fixture("text/the-verdict.txt");
    let out = dir.path().join("out");
    let base = [
        "tokenize",
        text.to_str().unwrap(),
        "--tokenizer",
        ranks.to_str().unwrap(),
        "--pattern",
        "qwen2",
        "--out",
        out.to_str().unwrap(),
    ];
    let refused = shardmill(&base);
    assert_eq!(refused.status.code(), Some(2));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("--eot-token"), "{message}");
    let special = dir.path().join("special.json");
    fs::write(&special, r#"{"<|endoftext|>": 151643}"#).unwrap();
    let mut args = base.to_vec();
    args.extend(["--special-tokens", special.to_str().unwrap()]);
    assert!(shardmill(&args).status.success());
}
