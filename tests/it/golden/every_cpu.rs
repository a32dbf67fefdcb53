//! The bytes of datasets and embeddings are those that are written on every kind of CPU: hashes of
//! them are in `fixtures/golden/every_cpu.json`, which `UPDATE_EVERY_CPU=1` writes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde_json::json;
use shardmill::document::{BadRecords, InvalidUtf8};
use shardmill::table::RopeStyle;
use shardmill::tokenizer::BUILTIN_NAMES;
use shardmill::{
    Corpus, CorpusOptions, Dtype, Durability, EmbedConfig, Special, Stats, TokenStore,
    TokenizeConfig, Tokenizer, embed, tokenize,
};

use super::support::{fixture, sha256};

/// SHA-256 of the files of an output, by its name and theirs.
type Hashes = BTreeMap<String, BTreeMap<String, String>>;

/// The files of `directory` that hold content. The others have times, or the version of the program.
fn hashes(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| !["manifest.json", "embed.json", "run.json"].contains(&name.as_str()))
        .map(|name| {
            let bytes = fs::read(directory.join(&name)).unwrap();
            (name, sha256(&bytes))
        })
        .collect()
}

/// All texts and records.
fn make_dataset(encoding: &str, out: &Path) {
    let inputs = ["fixtures/text", "fixtures/jsonl"].map(OsString::from);
    let corpus = Corpus::open(&inputs, &CorpusOptions::default()).unwrap();
    let mut config = TokenizeConfig::default();
    config.durability = Durability::None;
    config.settings.invalid_utf8 = InvalidUtf8::Replace;
    config.settings.bad_records = BadRecords::Skip;
    config.settings.special = Special::Encode;
    let tokenizer = Tokenizer::by_name(encoding).unwrap();
    let stats = Stats::default();
    tokenize(&corpus, &tokenizer, &config, out, &json!({}), &stats).unwrap();
}

/// Rows added to, rotated, and alone; whole vectors long, and not.
fn embeddings() -> [(&'static str, EmbedConfig); 5] {
    let config = |dim, positions: Option<&str>, style| {
        let mut config = EmbedConfig::default();
        (config.windows.seq_len, config.windows.stride) = (64, Some(7000));
        (config.init_seed, config.dim) = (Some(123), Some(dim));
        config.position_table = positions.map(OsString::from);
        config.rope_style = style;
        config.durability = Durability::None;
        config
    };
    [
        ("added", config(64, None, None)),
        ("added-77", config(77, None, None)),
        ("pairs", config(72, Some("rope"), None)),
        ("halves", config(72, Some("rope"), Some(RopeStyle::Half))),
        ("plain", config(64, Some("none"), None)),
    ]
}

#[test]
fn the_bytes_are_those_of_every_cpu() {
    let place = tempfile::tempdir().unwrap();
    let mut found = Hashes::new();
    for encoding in BUILTIN_NAMES {
        let out = place.path().join(encoding);
        make_dataset(encoding, &out);
        found.insert(encoding.to_owned(), hashes(&out));
    }
    let store = TokenStore::open(&place.path().join("gpt2")).unwrap();
    for (name, mut config) in embeddings() {
        for dtype in Dtype::ALL {
            config.dtype = dtype;
            let name = format!("{name}-{}", dtype.name());
            let out = place.path().join(&name);
            embed(&store, &config, &out, &json!({}), &Stats::default()).unwrap();
            found.insert(name, hashes(&out));
        }
    }
    let path = fixture("golden/every_cpu.json");
    if std::env::var_os("UPDATE_EVERY_CPU").is_some() {
        let text = serde_json::to_string_pretty(&found).unwrap();
        fs::write(&path, text + "\n").unwrap();
    }
    let expected: Hashes = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(expected.len(), 7 + 5 * 3);
    for (name, files) in &expected {
        assert_eq!(&found[name], files, "{name}");
    }
    assert_eq!(found.len(), expected.len());
}
