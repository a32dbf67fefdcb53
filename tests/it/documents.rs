//! Checks windows within documents against a specification that has all documents in memory, for
//! any corpus, unit size and place of the end-of-text tokens; and damaged records.
use crate::common_dataset;

use std::sync::Arc;

use common_dataset::model::{Document, any_source, documents};
use common_dataset::{Dataset, config, encoding, oracle, write};
use proptest::prelude::*;
use shardmill::dataset::{DocRecord, Eot};
use shardmill::document::Format;
use shardmill::embed::embed_to;
use shardmill::sink::MemorySink;
use shardmill::window::{DocumentWindows, IGNORED_TARGET, LeftOut, Tail, WindowKind};
use shardmill::{EmbedConfig, Stats, TokenStore};
use tempfile::TempDir;

/// A window of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    document: u64,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    /// The ids that belong to the document: inputs and the last target.
    ids: Vec<u32>,
}

/// Every window of every document, with the documents and tokens that are in no window.
fn specification(
    documents: &[Document],
    (seq_len, stride): (usize, usize),
    tail: Tail,
    end_of_text: u32,
) -> (Vec<Expected>, LeftOut) {
    let mut windows = Vec::new();
    let mut left_out = LeftOut::default();
    for (document, Document { ids, .. }) in (0..).zip(documents) {
        let mut is_seen = vec![false; ids.len()];
        let mut has_target = vec![false; ids.len()];
        let mut start = 0;
        while start + 1 < ids.len() {
            let end = ids.len().min(start + seq_len + 1);
            let is_whole = end == start + seq_len + 1;
            let has_news = has_target[start + 1..end].iter().any(|seen| !seen);
            if !is_whole && (tail == Tail::Drop || !has_news) {
                break;
            }
            is_seen[start..end].fill(true);
            has_target[start + 1..end].fill(true);
            let ids = ids[start..end].to_vec();
            let mut inputs = ids[..ids.len().min(seq_len)].to_vec();
            inputs.resize(seq_len, end_of_text);
            let mut targets = ids[1..].to_vec();
            targets.resize(seq_len, IGNORED_TARGET);
            windows.push(Expected {
                document,
                inputs,
                targets,
                ids,
            });
            start += stride;
        }
        let unseen = is_seen.iter().filter(|seen| !**seen).count();
        left_out.documents += u64::from(unseen == ids.len());
        left_out.tokens += unseen as u64;
    }
    (windows, left_out)
}

/// Writes sources and returns their paths.
fn paths(directory: &TempDir, sources: &[(Format, Vec<u8>)]) -> Vec<std::path::PathBuf> {
    let extension = |format| {
        if format == Format::Jsonl {
            "jsonl"
        } else {
            "txt"
        }
    };
    let write = |(index, (format, bytes)): (usize, &(Format, Vec<u8>))| {
        write(
            directory.path(),
            &format!("{index}.{}", extension(*format)),
            bytes,
        )
    };
    sources.iter().enumerate().map(write).collect()
}

/// Settings with negligible tables.
fn embed_config(seq_len: usize, stride: usize, tail: Tail) -> EmbedConfig {
    let mut config = EmbedConfig::default();
    (config.windows.seq_len, config.windows.stride) = (seq_len as u64, Some(stride as u64));
    (config.windows.window, config.windows.tail) = (WindowKind::Documents, tail);
    (config.init_seed, config.dim) = (Some(1), Some(1));
    config.position_table = Some("none".into());
    config
}

fn check(
    store: &TokenStore,
    documents: &[Document],
    sizes: (usize, usize),
    tail: Tail,
) -> Result<(), TestCaseError> {
    let end_of_text = store.manifest().encoding.end_of_text.unwrap();
    let (expected, left_out) = specification(documents, sizes, tail, end_of_text);
    let windows = DocumentWindows::new(store, sizes.0 as u64, sizes.1 as u64, tail).unwrap();
    prop_assert_eq!(windows.len(), expected.len() as u64);
    prop_assert_eq!(windows.left_out(), left_out);
    for (i, expected) in (0..).zip(&expected) {
        let window = windows.window(i).unwrap();
        prop_assert_eq!(window.document, expected.document);
        let mut ids = vec![0; usize::try_from(window.tokens.end - window.tokens.start).unwrap()];
        store.read(window.tokens.start, &mut ids).unwrap();
        prop_assert_eq!(&ids, &expected.ids);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn windows_are_those_of_the_specification(
        sources in prop::collection::vec(any_source(), 1..6),
        eot in prop::sample::select(Eot::ALL.to_vec()),
        units in [1..200_u64, 1..200],
        sizes in (1..12_usize, 1..16_usize),
    ) {
        let directory = TempDir::new().unwrap();
        let paths = paths(&directory, &sources);
        let gpt2 = encoding("gpt2");
        let documents = documents(&sources, eot, oracle("gpt2"), gpt2.end_of_text().unwrap());
        for unit in units {
            let mut config = config(unit);
            config.settings.eot = eot;
            let dataset = Dataset::make(&paths, gpt2, &config);
            for tail in Tail::ALL {
                check(&dataset.store, &documents, sizes, tail)?;
            }
        }
    }
}

/// More documents than one block of the index has, some of them long, over many shards.
fn many_documents() -> Vec<(Format, Vec<u8>)> {
    let lines = (0..3000_usize).flat_map(|i| {
        let words = if i % 97 == 0 { i } else { i * 7 % 5 };
        format!("{{\"text\":\"{}\"}}\n", " word".repeat(words)).into_bytes()
    });
    vec![
        (Format::Text, b"one two ".repeat(5000)),
        (Format::Jsonl, lines.collect()),
        (Format::Text, b" three".repeat(5000)),
    ]
}

#[test]
fn many_documents_are_found_by_the_index_and_embedded_as_they_are() {
    let directory = TempDir::new().unwrap();
    let sources = many_documents();
    let paths = paths(&directory, &sources);
    let gpt2 = encoding("gpt2");
    let documents = documents(
        &sources,
        Eot::After,
        oracle("gpt2"),
        gpt2.end_of_text().unwrap(),
    );
    let mut files = Vec::new();
    for unit in [1 << 30, 10_000, 3_000] {
        let dataset = Dataset::make(&paths, gpt2, &config(unit));
        let n_shards = dataset.store.n_shards();
        assert_eq!(n_shards > 1, unit < 1 << 30, "{unit}");
        for tail in Tail::ALL {
            check(&dataset.store, &documents, (8, 5), tail).unwrap();
            let mut sink = MemorySink::default();
            let config = embed_config(8, 5, tail);
            let done = embed_to(&dataset.store, &config, &mut sink, &Stats::default()).unwrap();
            let record = done.record;
            let (expected, left_out) =
                specification(&documents, (8, 5), tail, gpt2.end_of_text().unwrap());
            assert_eq!(record.shape(), [expected.len() as u64, 8, 1]);
            assert_eq!(record.left_out(), Some(left_out));
            let inputs = expected.iter().flat_map(|window| window.inputs.clone());
            assert!(sink.inputs.iter().copied().eq(inputs));
            let targets = expected.iter().flat_map(|window| window.targets.clone());
            assert!(sink.targets.iter().copied().eq(targets));
            files.push((tail, sink.embeddings));
        }
    }
    for (tail, embeddings) in &files {
        let first = files.iter().find(|(other, _)| other == tail).unwrap();
        assert!(
            *embeddings == first.1,
            "unit sizes differ in their embeddings"
        );
    }
}

#[test]
fn a_shared_dataset_gives_the_same_windows_as_a_borrowed_one() {
    let directory = TempDir::new().unwrap();
    let paths = paths(&directory, &many_documents());
    let dataset = Dataset::make(&paths, encoding("gpt2"), &config(10_000));
    let store = Arc::new(TokenStore::open(&dataset.out()).unwrap());
    let shared = DocumentWindows::new(Arc::clone(&store), 8, 8, Tail::Drop).unwrap();
    let borrowed = DocumentWindows::new(&*store, 8, 8, Tail::Drop).unwrap();
    assert_eq!(shared.len(), borrowed.len());
    let last = shared.len() - 1;
    assert_eq!(shared.window(last).unwrap(), borrowed.window(last).unwrap());
}

type Damage = fn(&mut DocRecord);

#[test]
fn damaged_records_are_named() {
    let directory = TempDir::new().unwrap();
    let paths = paths(&directory, &many_documents());
    let dataset = Dataset::make(&paths, encoding("gpt2"), &config(10_000));
    let shards: Vec<_> = dataset.store.shards().map(Result::unwrap).collect();
    let goes_on = shards
        .iter()
        .position(|shard| shard.documents().last().is_some_and(DocRecord::goes_on))
        .unwrap();
    let whole = shards
        .iter()
        .position(|shard| shard.documents().len() > 300)
        .unwrap();
    let last = shards[whole].documents().len() - 1;
    let cases: [(usize, usize, Damage, &str); 7] = [
        (
            0,
            0,
            |r| r.flags ^= 1,
            "record 0: continues a document that did not begin",
        ),
        (
            goes_on + 1,
            0,
            |r| r.flags ^= 1,
            "whose other pieces are not there",
        ),
        (
            whole,
            7,
            |r| r.flags ^= 2,
            "record 7: is a piece of a document in the middle",
        ),
        (
            whole,
            9,
            |r| r.end_tokens = 0,
            "record 9: ends before the one before it",
        ),
        (
            whole,
            9,
            |r| r.end_tokens = u64::MAX,
            "record 9: ends before the one before it or after",
        ),
        (
            goes_on + 1,
            0,
            |r| r.end_tokens = u64::MAX,
            "record 0: ends before the one before it or after",
        ),
        (whole, usize::MAX, |r| r.end_tokens -= 1, "ends at token"),
    ];
    for (shard, record, damage, what) in cases {
        let info = &dataset.store.manifest().shards[shard];
        let path = dataset.out().join(&info.docs_file);
        let sound = std::fs::read(&path).unwrap();
        let mut bytes = sound.clone();
        let at = record.min(last) * size_of::<DocRecord>();
        let mut found: DocRecord = bytemuck::pod_read_unaligned(&bytes[at..at + 32]);
        damage(&mut found);
        bytes[at..at + 32].copy_from_slice(bytemuck::bytes_of(&found));
        std::fs::write(&path, &bytes).unwrap();
        let store = TokenStore::open(&dataset.out()).unwrap();
        let error = DocumentWindows::new(&store, 4, 4, Tail::Drop).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(what), "{what}: {text}");
        assert!(text.contains(".docs"), "{text}");
        std::fs::write(&path, &sound).unwrap();
    }
}
