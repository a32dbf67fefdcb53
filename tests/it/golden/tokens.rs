//! Checks the ids of the notebook's text, from the encoding and from the shards of a dataset.

use std::collections::BTreeSet;
use std::path::Path;

use shardmill::dataset::{Eot, TokenDtype, Tokens};
use shardmill::{Corpus, CorpusOptions, Stats, TokenStore, TokenizeConfig, Tokenizer, tokenize};

use super::support::{flat_u32, golden, sha256, verdict_path};

fn gpt2() -> Tokenizer {
    Tokenizer::by_name("gpt2").unwrap()
}

fn verdict() -> String {
    std::fs::read_to_string(verdict_path()).unwrap()
}

fn u32_bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

fn u16_bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter()
        .flat_map(|&id| u16::try_from(id).unwrap().to_le_bytes())
        .collect()
}

/// CRC-32, as in zlib.
fn crc32(bytes: &[u8]) -> String {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc = (crc >> 1) ^ (0xedb8_8320 * low);
        }
    }
    format!("{:08x}", !crc)
}

/// Checks everything that the golden file says about the ids.
fn check(ids: &[u32]) {
    let golden = golden("tokens");
    assert_eq!(ids.len() as u64, golden["count"]);
    assert_eq!(
        BTreeSet::from_iter(ids).len() as u64,
        golden["distinct"],
        "different ids"
    );
    assert_eq!(ids[..64], flat_u32(&golden["first_64"]));
    assert_eq!(ids[ids.len() - 32..], flat_u32(&golden["last_32"]));
    assert_eq!(sha256(&u32_bytes(ids)), golden["u32le_sha256"]);
    assert_eq!(crc32(&u32_bytes(ids)), golden["u32le_crc32"]);
    assert_eq!(sha256(&u16_bytes(ids)), golden["u16le_sha256"]);
}

#[test]
fn the_encoding_gives_tiktokens_ids() {
    let (text, golden) = (verdict(), golden("tokens"));
    assert_eq!(text.len() as u64, golden["text_bytes"]);
    assert_eq!(sha256(text.as_bytes()), golden["text_sha256"]);
    check(&gpt2().encode_ordinary(&text));

    let golden = &golden["without_last_newline"];
    let text = text.strip_suffix('\n').unwrap();
    assert_eq!(text.len() as u64, golden["text_bytes"]);
    let ids = gpt2().encode_ordinary(text);
    assert_eq!(ids.len() as u64, golden["count"]);
}

#[test]
fn the_checksum_is_zlibs() {
    assert_eq!(crc32(b"123456789"), "cbf43926");
}

/// Makes a dataset of `input`; returns it with the bytes of its only shard.
fn dataset(input: &Path, out: &Path, eot: Eot, dtype: TokenDtype) -> (TokenStore, Vec<u8>) {
    let corpus = Corpus::open(&[input.into()], &CorpusOptions::default()).unwrap();
    let mut config = TokenizeConfig::default();
    config.settings.eot = eot;
    config.settings.token_dtype = dtype;
    let run = serde_json::json!({});
    tokenize(&corpus, &gpt2(), &config, out, &run, &Stats::default()).unwrap();
    let shard = std::fs::read(out.join(format!("shard-00000.{}", dtype.name()))).unwrap();
    (TokenStore::open(out).unwrap(), shard)
}

fn ids(store: &TokenStore) -> Vec<u32> {
    let mut ids = vec![0; usize::try_from(store.n_tokens()).unwrap()];
    store.read(0, &mut ids).unwrap();
    ids
}

#[test]
fn the_shard_of_a_dataset_holds_tiktokens_ids() {
    let dir = tempfile::tempdir().unwrap();
    for (dtype, hash) in [
        (TokenDtype::U32, "u32le_sha256"),
        (TokenDtype::U16, "u16le_sha256"),
    ] {
        let out = dir.path().join(dtype.name());
        let (store, shard) = dataset(&verdict_path(), &out, Eot::None, dtype);
        assert_eq!(sha256(&shard), golden("tokens")[hash]);
        check(&ids(&store));
        let is_wide = matches!(store.shard(0).unwrap().tokens(), Tokens::U32(_));
        assert_eq!(is_wide, dtype == TokenDtype::U32);
    }
}

#[test]
fn end_of_text_is_added_before_or_after_the_same_ids() {
    let dir = tempfile::tempdir().unwrap();
    let after = dataset(
        &verdict_path(),
        &dir.path().join("after"),
        Eot::After,
        TokenDtype::U32,
    );
    let before = dataset(
        &verdict_path(),
        &dir.path().join("before"),
        Eot::Before,
        TokenDtype::U32,
    );
    let (after, before) = (ids(&after.0), ids(&before.0));
    let (last, rest) = after.split_last().unwrap();
    assert_eq!(*last, 50256);
    check(rest);
    let (first, rest) = before.split_first().unwrap();
    assert_eq!(*first, 50256);
    check(rest);
}

#[test]
fn a_dataset_of_the_text_without_its_last_newline() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("text.txt");
    let text = verdict();
    std::fs::write(&input, text.strip_suffix('\n').unwrap()).unwrap();
    let out = dir.path().join("out");
    let (store, _) = dataset(&input, &out, Eot::None, TokenDtype::U32);
    let golden = &golden("tokens")["without_last_newline"];
    assert_eq!(store.n_tokens(), golden["count"]);
    assert_eq!(store.manifest().sources[0].bytes, golden["text_bytes"]);
}
