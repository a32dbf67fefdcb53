//! Text -> ids on one thread, and file -> dataset on all.
//!
//! `pretokenize` only splits, at each level of the CPU; everything else runs at the best level.
//! `lookup` encodes a text that is already split and was seen before. `merge` encodes each of a
//! text's pretokens that are not tokens once, with an encoding that has seen none. `new` encodes each
//! distinct pretoken of a text once, in the order of the text: its times are those of one pretoken,
//! `first` with an encoding that has seen none, `known` with one that has seen all. `encode` does
//! everything: `first` with an encoding that has seen no text, `warm` with one that has seen this
//! text. `long` encodes texts that the split pattern does not split, or not where it would help.
//! `dataset` makes a dataset of the fixtures. Before anything is timed, splits are checked against
//! the scalar level, and ids, except those of `dataset`, against tiktoken-rs.

mod common;
#[path = "../tests/it/support/long_texts.rs"]
mod long_texts;

use std::collections::{BTreeSet, HashSet};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use shardmill::{Corpus, CorpusOptions, Level, Stats, TokenizeConfig, Tokenizer, tokenize};

fn pretokenize(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pretokenize");
    group.sample_size(20);
    for name in ["gpt2", "cl100k_base", "o200k_base"] {
        let encoding = Tokenizer::by_name(name).expect("a built-in encoding");
        for (corpus, file) in common::CORPORA {
            let text = common::text(file);
            let expected = encoding.pretoken_ends(&text, Level::scalar());
            group.throughput(Throughput::Bytes(text.len() as u64));
            for level in Level::available() {
                let split = || encoding.pretoken_ends(&text, level);
                assert_eq!(split(), expected, "{name} {corpus} {level}");
                group.bench_function(format!("{name}/{corpus}/{level}"), |bencher| {
                    bencher.iter(|| black_box(split()));
                });
            }
        }
    }
    group.finish();
}

/// Encodes texts that are already split.
fn split(criterion: &mut Criterion) {
    let level = Level::detect();
    for (name, oracle) in common::encodings() {
        for (corpus, file) in common::CORPORA {
            let text = common::text(file);
            let encoding = || Tokenizer::by_name(name).expect("a built-in encoding");
            let warm = encoding();
            let ends = warm.pretoken_ends(&text, level);
            let encode = |encoding: &Tokenizer, text: &str, ends: &[usize]| {
                encoding.encode_pretokens(text, ends).expect("ends rise")
            };
            let expected = oracle.encode_ordinary(&text);
            assert!(encode(&warm, &text, &ends) == expected, "{name} {corpus}");

            let mut group = criterion.benchmark_group("lookup");
            group.sample_size(10);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("{name}/{corpus}/{level}"), |bencher| {
                bencher.iter(|| black_box(encode(&warm, &text, &ends)));
            });
            group.finish();

            let starts = std::iter::once(&0).chain(&ends);
            let pretokens: BTreeSet<&str> = starts
                .zip(&ends)
                .map(|(&start, &end)| &text[start..end])
                .filter(|pretoken| oracle.encode_ordinary(pretoken).len() > 1)
                .collect();
            let text: String = pretokens.iter().copied().collect();
            let ends: Vec<usize> = pretokens
                .iter()
                .scan(0, |end, pretoken| {
                    *end += pretoken.len();
                    Some(*end)
                })
                .collect();
            let one_by_one = pretokens.iter().map(|text| oracle.encode_ordinary(text));
            let expected: Vec<_> = one_by_one.flatten().collect();
            let merged = encode(&encoding(), &text, &ends);
            assert!(merged == expected, "{name} {corpus}");
            let mut group = criterion.benchmark_group("merge");
            group.sample_size(10);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("{name}/{corpus}/{level}"), |bencher| {
                bencher.iter_batched(
                    encoding,
                    |encoding| black_box(encode(&encoding, &text, &ends)),
                    BatchSize::PerIteration,
                );
            });
            group.finish();
        }
    }
}

/// The time of a pretoken that is met for the first time, and that of the same ones when known.
fn new(criterion: &mut Criterion) {
    let level = Level::detect();
    let mut group = criterion.benchmark_group("new");
    group.sample_size(10);
    for (name, _) in common::encodings() {
        for (corpus, file) in common::CORPORA {
            let text = common::text(file);
            let encoding = || Tokenizer::by_name(name).expect("a built-in encoding");
            let ends = encoding().pretoken_ends(&text, level);
            let mut known = HashSet::new();
            let starts = std::iter::once(&0).chain(&ends);
            let pretokens = starts.zip(&ends).map(|(&start, &end)| &text[start..end]);
            let distinct: Vec<&str> = pretokens.filter(|&text| known.insert(text)).collect();
            let text = distinct.concat();
            let ends: Vec<usize> = distinct
                .iter()
                .scan(0, |end, pretoken| {
                    *end += pretoken.len();
                    Some(*end)
                })
                .collect();
            let time = |encoding: &Tokenizer| {
                let start = Instant::now();
                black_box(encoding.encode_pretokens(&text, &ends).expect("ends rise"));
                start.elapsed() / u32::try_from(ends.len()).expect("a short text")
            };
            group.bench_function(format!("{name}/{corpus}/first/{level}"), |bencher| {
                let first = || {
                    let encoding = encoding();
                    // Memory for the first tables is not what is measured.
                    encoding.encode_ordinary("");
                    time(&encoding)
                };
                bencher.iter_custom(|times| (0..times).map(|_| first()).sum());
            });
            let warm = encoding();
            group.bench_function(format!("{name}/{corpus}/known/{level}"), |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| time(&warm)).sum());
            });
        }
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let level = Level::detect();
    let mut group = criterion.benchmark_group("encode");
    group.sample_size(10);
    for (name, oracle) in common::encodings() {
        for (corpus, file) in common::CORPORA {
            let text = common::text(file);
            let encoding = || Tokenizer::by_name(name).expect("a built-in encoding");
            let encode = |tokenizer: &Tokenizer| tokenizer.encode_ordinary(&text);
            let warm = encoding();
            assert_eq!(
                encode(&warm),
                oracle.encode_ordinary(&text),
                "{name} {corpus}"
            );

            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("{name}/{corpus}/first/{level}"), |bencher| {
                bencher.iter_batched(
                    encoding,
                    |encoding| black_box(encode(&encoding)),
                    BatchSize::PerIteration,
                );
            });
            group.bench_function(format!("{name}/{corpus}/warm/{level}"), |bencher| {
                bencher.iter(|| black_box(encode(&warm)));
            });
        }
    }
    group.finish();
}

fn long(criterion: &mut Criterion) {
    let level = Level::detect();
    let mut group = criterion.benchmark_group("long");
    group.sample_size(10);
    for (name, oracle) in common::encodings() {
        let encoding = Tokenizer::by_name(name).expect("a built-in encoding");
        for (kind, text) in long_texts::long_texts() {
            let ids = encoding.encode_ordinary(&text);
            assert!(ids == oracle.encode_ordinary(&text), "{name} {kind}");
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("{name}/{kind}/{level}"), |bencher| {
                bencher.iter(|| black_box(encoding.encode_ordinary(&text)));
            });
        }
    }
    group.finish();
}

fn dataset(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dataset");
    group.sample_size(10);
    let corpus =
        Corpus::open(&[fixtures().into()], &CorpusOptions::default()).expect("fixtures are there");
    let encoding = Tokenizer::by_name("gpt2").expect("a built-in encoding");
    let oracle = tiktoken_rs::r50k_base().expect("the vocabulary comes with the crate");
    let documents = corpus.len() as u64;
    let mut expected = documents;
    for path in walk(&fixtures()) {
        let text = std::fs::read_to_string(path).expect("fixtures are UTF-8");
        expected += oracle.encode_ordinary(&text).len() as u64;
    }

    let dir = tempfile::tempdir().expect("a temporary directory");
    group.throughput(Throughput::Bytes(corpus.total_bytes()));
    for threads in [1, 2] {
        let mut config = TokenizeConfig::default();
        config.threads = threads;
        config.overwrite = true;
        let mut count = 0;
        group.bench_function(format!("gpt2/fixtures/threads-{threads}"), |bencher| {
            bencher.iter_batched(
                || {
                    count += 1;
                    dir.path().join(format!("out-{threads}-{count}"))
                },
                |out| {
                    let run = serde_json::Value::Null;
                    let stats = Stats::default();
                    let done = tokenize(&corpus, &encoding, &config, &out, &run, &stats);
                    let totals = done.expect("tokenizes").manifest.totals;
                    assert_eq!((totals.tokens, totals.documents), (expected, documents));
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/text")
}

/// All files below `directory`.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("fixtures are there");
    entries
        .flat_map(|entry| {
            let path = entry.expect("fixtures can be listed").path();
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

criterion_group!(benches, pretokenize, split, new, encode, long, dataset);
criterion_main!(benches);
