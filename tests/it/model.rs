//! Checks small random corpora against a second, short implementation of the dataset: units, ids,
//! end-of-text tokens and document records, from files and from streams.

use crate::common_dataset;

use common_dataset::model::{ModelShard, any_source, documents, shards};
use common_dataset::{Dataset, assert_same_files, config, encoding, fifo, oracle, widen, write};
use proptest::prelude::*;
use shardmill::TokenizeConfig;
use shardmill::dataset::{DocRecord, Eot, Position};
use shardmill::document::Format;
use tempfile::TempDir;

/// Settings of a run, small enough that most documents are cut.
fn any_config() -> impl Strategy<Value = TokenizeConfig> {
    let eot = prop::sample::select(Eot::ALL.to_vec());
    (1..200_u64, 1..4_usize, eot).prop_map(|(unit, threads, eot)| {
        let mut config = config(unit);
        config.threads = threads;
        config.settings.eot = eot;
        config
    })
}

fn name(index: usize, format: Format) -> String {
    let extension = if format == Format::Jsonl {
        "jsonl"
    } else {
        "txt"
    };
    format!("{index}.{extension}")
}

/// Compares every shard, the joined documents and the counts in the manifest.
fn check(
    dataset: &Dataset,
    sources: &[(Format, Vec<u8>)],
    encoding_name: &str,
    config: &TokenizeConfig,
) -> Result<(), TestCaseError> {
    let (bpe, end_of_text) = (
        oracle(encoding_name),
        encoding(encoding_name).end_of_text().unwrap(),
    );
    let expected = shards(
        sources,
        config.settings.unit_size_bytes,
        config.settings.eot,
        bpe,
        end_of_text,
    );
    let manifest = dataset.store.manifest();
    let starts: Vec<_> = manifest.shards.iter().map(|info| info.start).collect();
    prop_assert_eq!(
        starts,
        expected.iter().map(|shard| shard.start).collect::<Vec<_>>()
    );
    for (shard, model) in dataset.store.shards().zip(&expected) {
        let shard = shard.expect("a shard that is mapped");
        prop_assert_eq!(&widen(shard.tokens()), &model.ids);
        prop_assert_eq!(shard.documents(), &model.records);
    }
    let whole = documents(sources, config.settings.eot, bpe, end_of_text);
    prop_assert_eq!(&dataset.documents(), &whole);
    let totals = manifest.totals;
    prop_assert_eq!(
        totals.tokens,
        whole
            .iter()
            .map(|document| document.ids.len() as u64)
            .sum::<u64>()
    );
    prop_assert_eq!(totals.documents, whole.len() as u64);
    prop_assert_eq!(
        totals.source_bytes,
        sources
            .iter()
            .map(|(_, bytes)| bytes.len() as u64)
            .sum::<u64>()
    );
    for (info, (format, bytes)) in manifest.sources.iter().zip(sources) {
        prop_assert_eq!((info.format, info.bytes), (*format, bytes.len() as u64));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_dataset_is_what_the_model_says(
        sources in prop::collection::vec(any_source(), 1..6),
        streams in any::<u8>(),
        config in any_config(),
        name_of_encoding in prop::sample::select(vec!["gpt2", "p50k_edit", "cl100k_base", "o200k_base"]),
    ) {
        let [files, mixed] = [(), ()].map(|()| TempDir::new().unwrap());
        let (mut paths, mut mixed_paths, mut writers) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (format, bytes)) in sources.iter().enumerate() {
            let name = name(index, *format);
            paths.push(write(files.path(), &name, bytes));
            let path = mixed.path().join(&name);
            if streams >> index & 1 == 1 {
                writers.push(fifo(&path, bytes.clone()));
            } else {
                write(mixed.path(), &name, bytes);
            }
            mixed_paths.push(path);
        }
        let encoding = encoding(name_of_encoding);
        let by_files = Dataset::make(&paths, encoding, &config);
        check(&by_files, &sources, name_of_encoding, &config)?;
        let by_streams = Dataset::make(&mixed_paths, encoding, &config);
        assert_same_files(&by_streams.files(), &by_files.files(), "streams");
        for writer in writers {
            writer.join().unwrap();
        }
    }
}

/// Checks the model itself on a corpus small enough to do by hand.
#[test]
fn the_model_does_what_was_worked_out_by_hand() {
    let sources = [
        (Format::Text, b"the cat dog".to_vec()),
        (Format::Text, Vec::new()),
        (
            Format::Jsonl,
            b"{\"text\":\"\"}\n\n{\"text\":\" cat\"}\r\n".to_vec(),
        ),
    ];
    let record = |end_tokens, byte_start, byte_len, source, flags| DocRecord {
        end_tokens,
        byte_start,
        byte_len,
        source,
        flags,
    };
    let shard = |(source, byte), ids: &[u32], records: &[DocRecord]| ModelShard {
        start: Position { source, byte },
        ids: ids.to_vec(),
        records: records.to_vec(),
    };
    let [eot, the, cat, dog] = [50_256, 1_169, 3_797, 3_290];
    // Of 11 + 0 + 30 bytes. The multiples of 4 are followed by the space before "dog", the empty
    // source, the blank line and the last record.
    let expected = [
        shard((0, 0), &[eot, the, cat], &[record(3, 0, 7, 0, 2)]),
        shard((0, 7), &[dog], &[record(1, 7, 4, 0, 1)]),
        shard(
            (1, 0),
            &[eot, eot],
            &[record(1, 0, 0, 1, 4), record(2, 0, 11, 2, 4)],
        ),
        shard((2, 12), &[], &[]),
        shard((2, 13), &[eot, cat], &[record(2, 13, 15, 2, 0)]),
    ];
    let model = shards(&sources, 4, Eot::Before, oracle("gpt2"), eot);
    assert_eq!(model, expected);
}
