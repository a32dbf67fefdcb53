//! Datasets made with tokenizers from files are the same, wherever texts are cut.

use std::fs;
use std::path::Path;

use shardmill::{
    Corpus, CorpusOptions, Durability, Special, Stats, TokenStore, TokenizeConfig, Tokenizer,
    tokenize,
};

use super::{open, unpack};

/// The ids of a text, through the whole pipeline.
fn through_pipeline(
    tokenizer: &Tokenizer,
    text: &str,
    unit: u64,
    threads: usize,
    dir: &Path,
) -> Vec<u32> {
    let input = dir.join("input.txt");
    fs::write(&input, text).unwrap();
    let mut config = TokenizeConfig::default();
    config.settings.unit_size_bytes = unit;
    config.settings.special = Special::Encode;
    config.threads = threads;
    config.durability = Durability::None;
    config.overwrite = true;
    let corpus = Corpus::open(&[input.into()], &CorpusOptions::default()).unwrap();
    let out = dir.join("out");
    let run = serde_json::json!({});
    tokenize(&corpus, tokenizer, &config, &out, &run, &Stats::default()).unwrap();
    let store = TokenStore::open(&out).unwrap();
    let mut ids = vec![0; usize::try_from(store.n_tokens()).unwrap()];
    store.read(0, &mut ids).unwrap();
    assert_eq!(ids.pop(), tokenizer.end_of_text());
    ids
}

#[test]
fn units_of_any_size_have_the_ids_of_the_whole_text() {
    let dir = tempfile::tempdir().unwrap();
    let texts = [
        "It's 1 effort, 22 tests;\n\n  333 spaces   and<|endoftext|> 4444 é e\u{301} 中文字、日本 \r\n\tend  ",
        " begins with a space</s> <s>x 日本。a  b\u{3000}c [INST] d",
        "",
    ];
    for file in [
        "dolma2.json",
        "gpt_neox_20b.json",
        "mistral_7b_v03.json",
        "mistral_7b_v03.model",
    ] {
        let path = unpack(file, dir.path());
        let tokenizer = open(&path).unwrap();
        for text in texts {
            let text = text.repeat(3);
            let expected = tokenizer.encode(&text, Special::Encode).unwrap();
            for (unit, threads) in [(1, 2), (7, 1), (37, 2), (1000, 7)] {
                let found = through_pipeline(&tokenizer, &text, unit, threads, dir.path());
                assert_eq!(found, expected, "{file}, units of {unit}: {text:?}");
            }
        }
    }
}

/// Normalization to NFC may change the characters beside a cut, so it must not be where the changed
/// ones belong together.
#[test]
fn parts_of_a_text_that_normalization_changes_have_the_ids_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = open(&unpack("gpt_neox_20b.json", dir.path())).unwrap();
    let parts = [
        "e\u{301}",
        "e",
        "b",
        "1",
        " ",
        "\n",
        "'s",
        "中",
        "=\u{338}",
        "\u{301}",
        "\u{37e}",
        "\u{f900}",
        "\u{1100}\u{1161}",
        "\u{9c7}\u{9be}",
    ];
    let texts = parts.iter().flat_map(|a| {
        let rest = parts.iter().flat_map(|b| parts.map(|c| format!("{b}{c}")));
        rest.map(move |rest| format!("{a}{rest}"))
    });
    let mut cuts = 0;
    for text in texts {
        let whole = tokenizer.encode_ordinary(&text);
        for at in 1..text.len() {
            if tokenizer.next_cut(text.as_bytes(), at) == Some(at) {
                let mut ids = tokenizer.encode_ordinary(&text[..at]);
                ids.extend(tokenizer.encode_ordinary(&text[at..]));
                assert_eq!(ids, whole, "{text:?}, cut at {at}");
                cuts += 1;
            }
        }
    }
    assert!(cuts > 100);
}

/// An added token that takes white space is not parted from it by a cut, nor from what follows.
#[test]
fn units_are_not_cut_in_white_space_that_tokens_take() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::read(unpack("mistral_7b_v03.json", dir.path())).unwrap();
    let mut file: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let path = dir.path().join("changed.json");
    let text = "two words<|end|>\n\n \n\n\t\u{a0}\nand  some  more\n\n\n <|end|>words ".repeat(4);
    for (lstrip, rstrip) in [(false, true), (true, false), (true, true)] {
        let added = file["added_tokens"].as_array_mut().unwrap();
        added.retain(|token| token["content"] != "<|end|>");
        added.push(
            serde_json::json!({"id": 32_768, "content": "<|end|>", "single_word": false,
            "lstrip": lstrip, "rstrip": rstrip, "normalized": false, "special": false}),
        );
        fs::write(&path, file.to_string()).unwrap();
        let tokenizer = open(&path).unwrap();
        let tokenizer = tokenizer.with_end_of_text(Some(2));
        let expected = tokenizer.encode(&text, Special::Encode).unwrap();
        for unit in [1, 2, 3, 5, 7, 11, 13, 37] {
            let found = through_pipeline(&tokenizer, &text, unit, 1, dir.path());
            assert_eq!(found, expected, "{lstrip} {rstrip}, units of {unit}");
        }
    }
}

#[test]
fn a_large_text_is_cut_into_chunks_with_the_same_ids() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(crate::support::fixture("text/udhr.txt"))
        .unwrap()
        .repeat(3);
    for file in ["gpt_neox_20b.json", "mistral_7b_v03.json"] {
        let tokenizer = open(&unpack(file, dir.path())).unwrap();
        let expected = tokenizer.encode(&text, Special::Encode).unwrap();
        let found = through_pipeline(&tokenizer, &text, 64 << 20, 2, dir.path());
        assert!(found == expected, "{file}");
    }
}
