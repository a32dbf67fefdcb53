//! The numbers of a report, counted again in the plainest way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use shardmill::dataset::{Eot, TokenDtype};
use shardmill::document::{BadKind, BadRecords, InvalidUtf8};
use shardmill::report::{Distribution, SourceSums};
use shardmill::{Error, Report, Stats, TokenizeConfig, Tokenizer};
use tempfile::TempDir;

use crate::common_dataset::model::Document;
use crate::common_dataset::{Dataset, config, encoding, records_path, text, text_path, write};
use crate::compressed::gzip;
use crate::parquet::{Layout, parquet};

/// Sources of every kind: texts, one of them empty and one not UTF-8, records, some of them bad or
/// empty, compressed ones, and rows.
fn inputs(directory: &TempDir) -> Vec<PathBuf> {
    let put = |name: &str, bytes: &[u8]| write(directory.path(), name, bytes);
    let records = "{\"text\":\"one two\"}\n{\"text\":null}\n{\"text\":\"\"}\nbroken\n{\"no\":1}\n\
                   {\"text\":\"\u{e9}t\u{e9} \u{1f600}\"}\n"
        .repeat(9);
    let rows: Vec<_> = (0..40)
        .map(|i| (i % 7 > 0).then(|| "row ".repeat(i % 5)))
        .collect();
    vec![
        text_path("the-verdict.txt"),
        text_path("edge/empty.txt"),
        put("bad.txt", b"some \xff bytes \xe2\x82 here"),
        put("a.jsonl", records.as_bytes()),
        put("b.jsonl.gz", &gzip(&[records.as_bytes(), b"\n"])),
        put("c.txt.gz", &gzip(&[text("udhr.txt").as_bytes()])),
        put("rows.parquet", &parquet(&rows, Layout::PLAIN)),
        records_path(),
        put("empty.jsonl", b"{\"text\":\"\"}\n{\"text\":\"\"}\n"),
        text_path("markdown.md"),
    ]
}

/// The ids of a document's text, without those that begin and end it.
fn text_ids<'a>(document: &'a Document, config: &TokenizeConfig) -> &'a [u32] {
    let ids = &document.ids;
    let settings = &config.settings;
    let before = usize::from(settings.eot == Eot::Before) + usize::from(settings.bos.is_some());
    &ids[before..ids.len() - usize::from(settings.eot == Eot::After)]
}

/// Checks a distribution of `numbers`. Percentiles may be a thousandth too low from 2,048 on.
#[track_caller]
fn is_of(found: &Distribution, mut numbers: Vec<u64>) {
    numbers.sort_unstable();
    let n = numbers.len();
    assert_eq!(found.n, n as u64);
    assert_eq!(found.sum, numbers.iter().sum::<u64>());
    assert_eq!(found.min, numbers[0]);
    assert_eq!(found.max, numbers[n - 1]);
    for (percent, percentile) in [
        (10, found.p10),
        (50, found.median),
        (90, found.p90),
        (99, found.p99),
    ] {
        let exact = numbers[(n * percent).div_ceil(100) - 1];
        assert!(percentile <= exact && (exact - percentile) * 1000 <= exact);
        assert!(exact >= 2048 || percentile == exact);
    }
    for bar in &found.bars {
        let is_in = |n: &&u64| **n >= bar.from && bar.until.is_none_or(|until| **n < until);
        assert_eq!(bar.count, numbers.iter().filter(is_in).count() as u64);
    }
    let in_bars: u64 = found.bars.iter().map(|bar| bar.count).sum();
    assert_eq!(in_bars, found.n);
}

/// Compares all numbers of the report of `dataset` with those of its documents.
fn check(dataset: &Dataset, encoding: &Tokenizer, config: &TokenizeConfig) -> Report {
    let report = Report::of(&dataset.store, Some(encoding), &Stats::default()).unwrap();
    let documents = dataset.documents();
    let mut sources: BTreeMap<u64, SourceSums> = BTreeMap::new();
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    let mut density = Vec::new();
    for document in &documents {
        let text = text_ids(document, config);
        let bytes = encoding.decode_bytes(text).unwrap().len() as u64;
        let sums = sources.entry(document.source.into()).or_default();
        sums.tokens += document.ids.len() as u64;
        sums.documents += 1;
        sums.text_bytes += bytes;
        for &id in &document.ids {
            *counts.entry(id).or_default() += 1;
        }
        if !text.is_empty() {
            density.push(bytes * 100 / document.ids.len() as u64);
        }
    }
    let lengths = documents.iter().map(|document| document.ids.len() as u64);
    is_of(&report.lengths, lengths.collect());
    is_of(report.density.as_ref().unwrap(), density);

    let manifest = dataset.store.manifest();
    assert_eq!(report.sources.count, manifest.sources.len() as u64);
    let named = &report.sources.largest;
    assert!(named.is_sorted_by_key(|source| (u64::MAX - source.sums.tokens, source.index)));
    assert_eq!(named.len(), manifest.sources.len().min(20));
    for source in named {
        let index = usize::try_from(source.index).unwrap();
        assert_eq!(source.name, manifest.sources[index].name);
        let expected = sources.remove(&source.index).unwrap_or_default();
        assert_eq!(source.sums, expected, "{}", source.name);
    }
    let others = report.sources.others;
    assert_eq!(
        others.tokens,
        sources.values().map(|sums| sums.tokens).sum::<u64>()
    );
    assert_eq!(
        others.documents,
        sources.values().map(|sums| sums.documents).sum::<u64>()
    );
    let all = named.iter().map(|source| source.sums).chain([others]);
    let text_bytes: u64 = all.map(|sums| sums.text_bytes).sum();
    assert_eq!(text_bytes, manifest.totals.text_bytes);

    let used = &report.vocabulary;
    assert_eq!(used.used, counts.len() as u64);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&(id, count)| (u64::MAX - count, id));
    let frequent = used.most_frequent.iter();
    let frequent: Vec<_> = frequent.map(|token| (token.id, token.count)).collect();
    assert_eq!(frequent, counts[..counts.len().min(50)]);
    for token in &used.most_frequent {
        assert_eq!(token.bytes.as_deref(), encoding.token_bytes(token.id));
    }
    let total = manifest.totals.tokens;
    let first = |ids: usize| counts[..ids].iter().map(|&(_, count)| count).sum::<u64>();
    for point in &used.coverage {
        assert_eq!(point.tokens, first(usize::try_from(point.ids).unwrap()));
    }
    assert_eq!(used.coverage.last().map(|point| point.tokens), Some(total));
    for (covered, per_mille) in used.to_cover.iter().zip([500, 900, 990, 999]) {
        let ids = (1..=counts.len())
            .find(|&ids| first(ids) * 1000 >= total * per_mille)
            .unwrap();
        assert_eq!((covered.ids, covered.tokens), (ids as u64, first(ids)));
    }
    assert_eq!(
        (report.totals, report.dataset_id),
        (manifest.totals, manifest.dataset_id)
    );
    report
}

#[test]
fn numbers_are_those_of_a_plain_count() {
    let directory = TempDir::new().unwrap();
    let inputs = inputs(&directory);
    let gpt2 = encoding("gpt2");
    let mut flags = BTreeSet::new();
    for (eot, unit, dtype) in [
        (Eot::After, 64 << 20, TokenDtype::U32),
        (Eot::After, 700, TokenDtype::U16),
        (Eot::Before, 1900, TokenDtype::U32),
        (Eot::Before, 90, TokenDtype::U16),
        (Eot::None, 5000, TokenDtype::U16),
    ] {
        let mut config = config(unit);
        let settings = &mut config.settings;
        (settings.eot, settings.token_dtype) = (eot, dtype);
        (settings.bad_records, settings.invalid_utf8) = (BadRecords::Skip, InvalidUtf8::Replace);
        let dataset = Dataset::make(&inputs, gpt2, &config);
        for shard in dataset.store.shards() {
            flags.extend(shard.unwrap().documents().iter().map(|record| record.flags));
        }
        let report = check(&dataset, gpt2, &config);
        assert_eq!(report.lengths.min, u64::from(eot != Eot::None));
        assert!(report.totals.empty_documents > 9 && report.totals.invalid_sequences > 1);
        let bad = report.totals.bad_records;
        assert!(bad.get(BadKind::BrokenJson) == 18 && bad.get(BadKind::NullField) >= 18);
        assert_eq!(report.bad_records.len(), 10);
        assert_eq!(report.vocabulary.holes, Some(0));
    }
    assert!(
        [0, 1, 2, 3, 4].iter().all(|flag| flags.contains(flag)),
        "{flags:?}"
    );
}

#[test]
fn documents_are_joined_over_blocks_whatever_the_number_of_threads() {
    // 36 MB of ids in one shard: three blocks. Documents of all lengths, one of two blocks.
    let directory = TempDir::new().unwrap();
    let words = |n: usize| "a b c d e f g ".repeat(n);
    let lines: Vec<_> = (0..900)
        .map(|i| format!("{{\"text\":\"{}\"}}\n", words(i * i % 977)))
        .collect();
    let inputs = [
        write(directory.path(), "a.jsonl", lines.concat()),
        write(directory.path(), "b.txt", words(700_000)),
        write(directory.path(), "c.jsonl", lines.concat()),
    ];
    let gpt2 = encoding("gpt2");
    for eot in [Eot::After, Eot::Before] {
        let mut config = config(64 << 20);
        config.settings.eot = eot;
        // A token before each document, too.
        config.settings.bos = (eot == Eot::Before).then_some(198);
        let dataset = Dataset::make(&inputs, gpt2, &config);
        assert!(
            dataset.store.n_tokens() > 9 << 20,
            "{}",
            dataset.store.n_tokens()
        );
        let report = check(&dataset, gpt2, &config);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let again = pool
                .unwrap()
                .install(|| Report::of(&dataset.store, Some(gpt2), &Stats::default()).unwrap());
            assert!(again == report, "{threads} threads");
        }
    }
}

#[test]
fn without_a_tokenizer_there_are_ids_but_no_bytes() {
    let gpt2 = encoding("gpt2");
    let dataset = Dataset::make(&[text_path("the-verdict.txt")], gpt2, &config(3000));
    let stats = Stats::default();
    let with = Report::of(&dataset.store, Some(gpt2), &stats).unwrap();
    let without = Report::of(&dataset.store, None, &stats).unwrap();
    assert_eq!(stats.done(), stats.total());
    assert_eq!((&without.density, without.vocabulary.holes), (&None, None));
    assert_eq!(without.lengths, with.lengths);
    let ids = |report: &Report| {
        let frequent = report.vocabulary.most_frequent.iter();
        frequent
            .map(|token| (token.id, token.count))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&without), ids(&with));
    assert!(
        without
            .vocabulary
            .most_frequent
            .iter()
            .all(|token| token.bytes.is_none())
    );
    let error = Report::of(&dataset.store, Some(encoding("cl100k_base")), &stats).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tokenizer: has other tokens than gpt2, which the dataset was made with"
    );
    stats.stop();
    let stopped = Report::of(&dataset.store, Some(gpt2), &stats).unwrap_err();
    assert!(matches!(stopped, Error::Stopped));
}

#[test]
fn a_dataset_without_tokens_has_a_report() {
    let directory = TempDir::new().unwrap();
    let mut config = config(1000);
    config.settings.eot = Eot::None;
    let empty = write(directory.path(), "a.txt", "");
    let dataset = Dataset::make(&[empty], encoding("gpt2"), &config);
    let report = Report::of(&dataset.store, Some(encoding("gpt2")), &Stats::default()).unwrap();
    assert_eq!((report.lengths.n, report.lengths.max), (1, 0));
    assert_eq!(report.vocabulary.used, 0);
    assert!(shardmill::page::html(&report).contains("0 tokens of"));
}

#[test]
fn many_sources_are_summed_and_few_are_named() {
    let directory = TempDir::new().unwrap();
    for i in 0..3000 {
        write(
            directory.path(),
            &format!("in/{i:05}.txt"),
            "word ".repeat(1 + i % 100),
        );
    }
    let config = config(64 << 20);
    let gpt2 = encoding("gpt2");
    let dataset = Dataset::make(&[directory.path().join("in")], gpt2, &config);
    let report = check(&dataset, gpt2, &config);
    assert_eq!(
        (report.sources.count, report.sources.largest.len()),
        (3000, 20)
    );
    assert_eq!(report.sources.others.documents, 2980);
    let page = shardmill::page::html(&report);
    assert!(page.contains("2,980 others"));
    // The page does not grow with the sources.
    assert!(page.len() < 60_000, "{}", page.len());
}
