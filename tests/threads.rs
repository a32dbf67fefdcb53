//! Checks that nothing starts rayon's global threads, one per core whatever the settings. This test
//! is alone in its executable, because these threads stay once anything has started them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::sync::Arc;

use serde_json::json;
use shardmill::window::WindowKind;
use shardmill::{
    Corpus, CorpusOptions, EmbedConfig, Loader, LoaderConfig, Stats, TokenStore, TokenizeConfig,
    Tokenizer, embed, repair, tokenize,
};

#[test]
fn runs_start_no_threads_beside_those_that_they_may_have() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let (run, stats) = (json!({}), Stats::default());

    fs::write(path("a.txt"), "some words to make windows of ".repeat(1000)).unwrap();
    let corpus = Corpus::open(&[path("a.txt").into()], &CorpusOptions::default()).unwrap();
    let encoding = Tokenizer::by_name("gpt2").unwrap();
    let mut config = TokenizeConfig::default();
    config.threads = 1;
    let out = path("d");
    // The second finds the first one's output, and verifies it.
    for was_there in [false, true] {
        let done = tokenize(&corpus, &encoding, &config, &out, &run, &stats).unwrap();
        assert_eq!(done.was_there, was_there);
    }
    let shard = out.join("shard-00000.u32");
    let mut ids = fs::read(&shard).unwrap();
    ids[0] ^= 1;
    fs::write(&shard, ids).unwrap();
    repair(&corpus, &encoding, &config, &out, &run, &stats).unwrap();

    let rows = encoding.n_vocab();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 1), }}");
    let header = format!("{header:117}\n");
    let mut table = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    table.extend(header.bytes());
    table.extend(vec![0; 4 * rows as usize]);
    fs::write(path("t.npy"), table).unwrap();
    let store = TokenStore::open(&out).unwrap();
    let mut config = EmbedConfig::default();
    config.threads = 1;
    config.windows.seq_len = 8;
    config.windows.window = WindowKind::Documents;
    config.token_table = Some(path("t.npy").into());
    config.position_table = Some("none".into());
    for was_there in [false, true] {
        let done = embed(&store, &config, &path("e"), &run, &stats).unwrap();
        assert_eq!(done.was_there, was_there);
    }

    let mut config = LoaderConfig::default();
    (config.windows.seq_len, config.windows.window) = (8, WindowKind::Documents);
    let batches = Loader::new(&Arc::new(store), &config, None).unwrap();
    assert!(batches.count() > 0);

    // This can start them only if nothing has.
    rayon::ThreadPoolBuilder::new().build_global().unwrap();
}
