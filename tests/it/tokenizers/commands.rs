//! `shardmill tokenizer`, and the program with a tokenizer's file.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use shardmill::TokenStore;

use crate::support::{Place, fixture};

use super::unpack;

fn shardmill(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardmill"));
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
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
fn a_text_that_may_be_meant_as_a_file_is_said_to_be_none() {
    for (text, said) in [
        ("no/such/file", true),
        ("file.txt", true),
        ("Mr. Smith", false),
        ("one", false),
    ] {
        let done = shardmill(&["tokenizer", "gpt2", "--check", text]);
        let stderr = String::from_utf8(done.stderr).unwrap();
        let line =
            format!("shardmill: there is no file {text}, so these are the ids of that text\n");
        assert_eq!(stderr, if said { line } else { String::new() });
        assert!(done.status.success() && !done.stdout.is_empty());
    }
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

/// The space that the tokenizer puts before each text is not in it.
#[test]
fn decoded_documents_begin_as_their_texts_do() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = unpack("mistral_7b_v03.json", dir.path());
    let tokenizer = tokenizer.to_str().unwrap();
    let texts = dir.path().join("texts.jsonl");
    fs::write(
        &texts,
        "{\"text\":\"one word\"}\n{\"text\":\"\\u4e2d two\"}\n",
    )
    .unwrap();
    let out = dir.path().join("out");
    for eot in ["after", "none"] {
        let made = shardmill(&[
            "tokenize",
            texts.to_str().unwrap(),
            "--tokenizer",
            tokenizer,
            "--eot",
            eot,
            "--overwrite",
            "--out",
            out.to_str().unwrap(),
        ]);
        assert!(made.status.success(), "{made:?}");
        for (options, expected) in [
            (&["--document", "1"][..], "\u{4e2d} two"),
            (&[], "one word\u{4e2d} two"),
            (&["--tokens", "1..3"], " word"),
        ] {
            let args = ["decode", out.to_str().unwrap(), "--tokenizer", tokenizer];
            let decoded = shardmill(&[&args, options].concat());
            assert_eq!(
                String::from_utf8(decoded.stdout).unwrap(),
                expected,
                "{options:?}"
            );
        }
    }
}

/// Tokens that begin and end documents are left out by `decode`, wherever they stand.
#[test]
fn documents_may_begin_with_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = unpack("mistral_7b_v03.json", dir.path());
    let tokenizer = tokenizer.to_str().unwrap();
    let text = dir.path().join("text.txt");
    fs::write(&text, "word").unwrap();
    let out = dir.path().join("out");
    for (eot, ids) in [("before", [1, 2, 2475]), ("after", [1, 2475, 2])] {
        let made = shardmill(&[
            "tokenize",
            text.to_str().unwrap(),
            "--tokenizer",
            tokenizer,
            "--bos-token",
            "<s>",
            "--eot",
            eot,
            "--out",
            out.to_str().unwrap(),
            "--overwrite",
        ]);
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let store = TokenStore::open(&out).unwrap();
        let mut found = [0; 3];
        store.read(0, &mut found).unwrap();
        assert_eq!(found, ids, "{eot}");
        let decoded = shardmill(&["decode", out.to_str().unwrap(), "--tokenizer", tokenizer]);
        assert_eq!(decoded.stdout, b"word", "{eot}");
    }
}

/// The name of a directory is a word, too, and what is wrong in it must not be hidden.
#[test]
fn a_word_that_is_a_path_is_no_misspelled_name() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("bert");
    fs::create_dir(&model).unwrap();
    fs::write(
        model.join("tokenizer.json"),
        r#"{"model":{"type":"WordPiece"}}"#,
    )
    .unwrap();
    let run = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardmill"));
        let done = command
            .current_dir(&dir)
            .args(["tokenizer", name])
            .output()
            .unwrap();
        String::from_utf8(done.stderr).unwrap()
    };
    assert!(
        run("bert").contains("model.type \"WordPiece\" is not supported"),
        "{}",
        run("bert")
    );
    assert!(
        run("brt").contains("unknown tokenizer 'brt'"),
        "{}",
        run("brt")
    );
}

/// Machines may keep the file in other places and layouts; the rules are the same.
#[test]
fn the_manifest_says_which_rules_it_has_wherever_the_file_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = unpack("gpt_neox_20b.json", dir.path());
    let value: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    let other = other.join("gpt_neox_20b.json");
    fs::write(&other, serde_json::to_vec(&value).unwrap()).unwrap();
    let [a, b] = [&file, &other].map(|path| json(&["tokenizer", path.to_str().unwrap(), "--json"]));
    assert_eq!(a["name"], "gpt_neox_20b.json");
    assert_eq!(a["name"], b["name"]);
    assert_eq!(a["file"]["rules_hash"], b["file"]["rules_hash"]);
    assert_ne!(a["file"]["file_hash"], b["file"]["file_hash"]);
    let mut changed = value;
    changed["normalizer"] = serde_json::Value::Null;
    fs::write(&other, serde_json::to_vec(&changed).unwrap()).unwrap();
    let c = json(&["tokenizer", other.to_str().unwrap(), "--json"]);
    assert_ne!(a["file"]["rules_hash"], c["file"]["rules_hash"]);
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
    let mut args = base.to_vec();
    args.extend(["--eot", "none", "--overwrite"]);
    assert!(shardmill(&args).status.success());
    // There is nothing to pad windows with.
    let padded = shardmill(&[
        "embed",
        out.to_str().unwrap(),
        "--out",
        "-",
        "--seq-len",
        "4",
        "--window",
        "documents",
        "--tail",
        "pad",
        "--init-seed",
        "1",
        "--dim",
        "4",
    ]);
    assert_eq!(padded.status.code(), Some(2));
    let message = String::from_utf8(padded.stderr).unwrap();
    assert!(
        message.contains("--tail: pad needs an end-of-text token"),
        "{message}"
    );
}

/// The ids and the datasets are the same without a compiled tokenizer, with one, and with a
/// damaged one.
#[test]
fn compiled_tokenizers_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = unpack("mistral_7b_v03.json", dir.path());
    let cache = dir.path().join("cache");
    let run = |cache: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardmill"));
        command.env("XDG_CACHE_HOME", cache);
        let out = dir.path().join("out");
        let done = command
            .args(["tokenize", "--tokenizer"])
            .arg(&path)
            .arg(fixture("text/the-verdict.txt"))
            .args(["--overwrite", "--out"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        let manifest = fs::read_to_string(out.join("manifest.json")).unwrap();
        (fs::read(out.join("shard-00000.u32")).unwrap(), manifest)
    };
    // A file in the place of the directory.
    let expected = run(&path);
    let kept = cache.join("shardmill");
    assert!(!kept.exists());
    assert!(run(&cache) == expected);
    let files = || -> Vec<_> {
        let entries = fs::read_dir(&kept).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let [file] = &files()[..] else {
        panic!("{:?}", files());
    };
    let whole = fs::read(file).unwrap();
    assert!(run(&cache) == expected);
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for content in [&damaged[..], &whole[..whole.len() / 2], b""] {
        fs::write(file, content).unwrap();
        assert!(run(&cache) == expected);
        // It is replaced.
        assert!(fs::read(file).unwrap() == whole);
    }
    assert_eq!(files().len(), 1);
}

#[test]
fn a_special_token_in_the_text_is_wrong_data() {
    let place = Place::new();
    place.write("a.txt", "a<|endoftext|>");
    let what = "byte 1: special token <|endoftext|> in the text; use --special text or encode to accept it";
    let args = ["tokenizer", "gpt2", "--special", "error", "--check"];
    for (check, from) in [("a<|endoftext|>", "--check"), ("a.txt", "a.txt")] {
        for more in [&[][..], &["--json"]] {
            let done = place.run([&args[..], &[check], more].concat());
            done.failed(1, &format!("{from}: {what}"));
        }
    }
    let done = place.run(["tokenize", "a.txt", "--special", "error", "--out", "a"]);
    done.failed(1, &format!("a.txt: {what}"));
}
