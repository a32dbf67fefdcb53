//! Tokens per second of the loader, with and without embeddings, next to the bare gather of the
//! same ids.
//!
//! One thread makes batches, two ahead; the consumer only counts them. Windows of 1024 tokens
//! overlap, so that a pass over the fixture is long compared with its start-up, which is timed with
//! it. Tables are PyTorch's initial weights. `gather` refills one buffer, on huge pages like the
//! loader's: read `loader` as a share of it.
//!
//! `window` finds windows within documents in a keyed order, in a dataset where each line of the
//! corpus is a document; no ids are read.
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops at the first surprise"
)]

#[allow(dead_code, reason = "the corpora are for other benches as well")]
mod common;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};
use shardmill::window::{DocumentWindows, KeyedPermutation, ShuffleOrder, Tail, WindowKind};
use shardmill::{
    Corpus, CorpusOptions, Dtype, Element, Elements, Gatherer, Hash128, InitialTables, Loader,
    LoaderConfig, Stats, TokenStore, TokenizeConfig, Tokenizer, tokenize,
};

const SEQ_LEN: usize = 1024;
const STRIDE: u64 = 32;
const BATCH_SIZE: usize = 8;
const DIM: usize = 768;

/// A dataset of `text`, in `directory`.
fn dataset(directory: &Path, file: &str, text: &str) -> Arc<TokenStore> {
    let input = directory.join(file);
    std::fs::write(&input, text).unwrap();
    let corpus = Corpus::open(&[input.into()], &CorpusOptions::default()).unwrap();
    let encoding = Tokenizer::by_name("gpt2").unwrap();
    let out = directory.join(format!("{file}.out"));
    let (config, run) = (TokenizeConfig::default(), serde_json::json!({}));
    tokenize(&corpus, &encoding, &config, &out, &run, &Stats::default()).unwrap();
    Arc::new(TokenStore::open(&out).unwrap())
}

fn config() -> LoaderConfig {
    let mut config = LoaderConfig::default();
    config.windows.seq_len = SEQ_LEN as u64;
    config.windows.stride = Some(STRIDE);
    config.windows.batch_size = BATCH_SIZE as u64;
    config.windows.drop_last = true;
    config
}

/// Runs a pass; returns the number of its tokens.
fn pass(store: &Arc<TokenStore>, config: &LoaderConfig, gatherer: Option<&Gatherer>) -> usize {
    let loader = Loader::new(store, config, gatherer.cloned()).unwrap();
    loader
        .map(|batch| black_box(batch.unwrap()).inputs().len())
        .sum()
}

fn checksum(elements: Elements<'_>) -> Hash128 {
    match elements {
        Elements::F32(values) => Hash128::of(bytemuck::cast_slice(values)),
        Elements::F16(values) => Hash128::of(bytemuck::cast_slice(values)),
        Elements::BF16(values) => Hash128::of(bytemuck::cast_slice(values)),
    }
}

/// The ids of every batch of a pass.
fn batches(store: &Arc<TokenStore>, config: &LoaderConfig) -> Vec<Vec<u32>> {
    let loader = Loader::new(store, config, None).unwrap();
    loader
        .map(|batch| batch.unwrap().inputs().to_vec())
        .collect()
}

/// Checks that the loader returns what the gather returns, then times both.
fn bench_dtype<E: Element>(
    c: &mut Criterion,
    corpus: &str,
    store: &Arc<TokenStore>,
    gatherer: &Gatherer,
    ids: &[Vec<u32>],
) {
    let mut config = config();
    config.dtype = E::DTYPE;
    let bytes = BATCH_SIZE * SEQ_LEN * DIM * size_of::<E>();
    let mut map = memmap2::MmapMut::map_anon(bytes).unwrap();
    #[cfg(target_os = "linux")]
    map.advise(memmap2::Advice::HugePage).unwrap();
    let out: &mut [E] = bytemuck::cast_slice_mut(&mut map);

    let mut loader = Loader::new(store, &config, Some(gatherer.clone())).unwrap();
    for ids in ids {
        let batch = loader.next().unwrap().unwrap();
        gatherer.gather_into(ids, SEQ_LEN, out).unwrap();
        let expected = Hash128::of(bytemuck::cast_slice(out));
        assert_eq!(checksum(batch.embeddings().unwrap()), expected);
    }
    assert!(loader.next().is_none());

    let id = format!("{corpus}/{}-d{DIM}", E::DTYPE.name());
    let tokens = ids.iter().map(Vec::len).sum::<usize>();
    let mut group = c.benchmark_group("gather");
    group.throughput(Throughput::Elements(tokens as u64));
    group.bench_function(&id, |b| {
        b.iter(|| {
            for ids in ids {
                gatherer
                    .gather_into(ids, SEQ_LEN, black_box(&mut *out))
                    .unwrap();
            }
        });
    });
    group.finish();
    let mut group = c.benchmark_group("loader");
    group.throughput(Throughput::Elements(tokens as u64));
    group.bench_function(&id, |b| b.iter(|| pass(store, &config, Some(gatherer))));
    group.finish();
}

/// Ids, positions, documents and `cu_seqlens` alone.
fn bench_ids(c: &mut Criterion, corpus: &str, store: &Arc<TokenStore>) {
    let mut keyed = config();
    (keyed.windows.shuffle, keyed.windows.shuffle_order) = (Some(123), ShuffleOrder::Keyed);
    let mut documents = keyed.clone();
    documents.windows.window = WindowKind::Documents;
    let mut group = c.benchmark_group("loader");
    for (name, config) in [
        ("ids", config()),
        ("ids-keyed", keyed),
        ("ids-keyed-documents", documents),
    ] {
        let tokens = pass(store, &config, None);
        let windows = (store.n_tokens() - SEQ_LEN as u64).div_ceil(STRIDE);
        let rows = usize::try_from(windows).unwrap() / BATCH_SIZE * BATCH_SIZE;
        assert_eq!(tokens, rows * SEQ_LEN, "{name}");
        group.throughput(Throughput::Elements(tokens as u64));
        group.bench_function(format!("{corpus}/{name}"), |b| {
            b.iter(|| pass(store, &config, None));
        });
    }
    group.finish();
}

/// Windows of four tokens in documents that are lines.
fn bench_documents(c: &mut Criterion, corpus: &str, store: &TokenStore) {
    let windows = DocumentWindows::new(store, 4, 4, Tail::Pad).unwrap();
    let order = KeyedPermutation::new(windows.len(), 123, 0).unwrap();
    // Windows within documents are consecutive, whatever the order.
    let tokens: u64 = (0..windows.len())
        .map(|place| windows.window(order.at(place)).unwrap().tokens)
        .map(|tokens| tokens.end - tokens.start - 1)
        .sum();
    let documents = store.manifest().totals.documents;
    assert_eq!(tokens, store.n_tokens() - documents);
    let mut group = c.benchmark_group("window");
    group.throughput(Throughput::Elements(windows.len()));
    group.bench_function(format!("{corpus}-lines/keyed-documents"), |b| {
        b.iter(|| {
            for place in 0..windows.len() {
                black_box(windows.window(order.at(place)).unwrap());
            }
        });
    });
    group.finish();
}

fn bench_loader(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let (corpus, file) = common::CORPORA[0];
    let text = common::text(file);
    let lines = text
        .lines()
        .map(|line| serde_json::json!({"text": line}).to_string() + "\n");
    let lines = dataset(directory.path(), "lines.jsonl", &lines.collect::<String>());
    bench_documents(c, corpus, &lines);
    let store = dataset(directory.path(), file, &text);
    bench_ids(c, corpus, &store);
    let n_vocab = store.manifest().encoding.n_vocab as usize;
    let tables = InitialTables::new(123, n_vocab, DIM, SEQ_LEN).tables();
    let (token, position) = tables.unwrap();
    let gatherer = Gatherer::new(token, Some(position))
        .unwrap()
        .with_threads(1);
    let ids = batches(&store, &config());
    for dtype in Dtype::ALL {
        match dtype {
            Dtype::F16 => bench_dtype::<f16>(c, corpus, &store, &gatherer, &ids),
            Dtype::BF16 => bench_dtype::<bf16>(c, corpus, &store, &gatherer, &ids),
            Dtype::F32 => bench_dtype::<f32>(c, corpus, &store, &gatherer, &ids),
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5));
    targets = bench_loader
}
criterion_main!(benches);
