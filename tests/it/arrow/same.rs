//! The same ids and documents as from JSON Lines.

use std::fs;
use std::path::Path;
use std::process::Command;

use shardmill::document::Format;
use shardmill::{Corpus, CorpusOptions, Stats, TokenizeConfig, verify_inputs};
use tempfile::TempDir;

use super::{Kind, Layout, arrow};
use crate::common_dataset::{Dataset, assert_same_files, config, encoding, write};
use crate::compressed::bombs::peak;
use crate::parquet::{lines, texts};
use crate::support::{Place, fixture, skipped};

/// Makes a dataset of `path`, and checks it against one of the JSON Lines `expected`.
#[track_caller]
fn check(path: &Path, expected: &Dataset, config: &TokenizeConfig, what: &str) -> Dataset {
    let made = Dataset::make(&[path], encoding("gpt2"), config);
    assert!(made.ids() == expected.ids(), "{what}");
    let (totals, others) = (
        made.store.manifest().totals,
        expected.store.manifest().totals,
    );
    assert_eq!(totals.documents, others.documents, "{what}");
    assert_eq!(totals.text_bytes, others.text_bytes, "{what}");
    assert_eq!(totals.empty_documents, others.empty_documents, "{what}");
    let source = &made.store.manifest().sources[0];
    assert_eq!(source.format, Format::Arrow);
    assert_eq!(source.bytes, fs::metadata(path).unwrap().len());
    // Each document is a row.
    let rows = made.store.documents().map(|document| document.unwrap());
    let others = expected.store.documents().map(|document| document.unwrap());
    for ((row, document), other) in (0_u64..).zip(rows).zip(others) {
        assert_eq!(document.bytes.start, row, "{what}");
        assert_eq!(document.tokens, other.tokens, "{what}");
    }
    let corpus = Corpus::open(&[path.into()], &CorpusOptions::default()).unwrap();
    verify_inputs(&made.out(), &corpus, &Stats::default()).unwrap();
    made
}

#[test]
fn files_of_every_kind_hold_the_same_documents() {
    let records = fixture("parquet/documents.jsonl");
    let expected = Dataset::make(&[records], encoding("gpt2"), &config(1 << 30));
    let mut names: Vec<_> = fs::read_dir(fixture("arrow"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 10, "{names:?}");
    for name in names {
        let mut config = config(1000);
        if name.contains("nested") {
            "document.text".clone_into(&mut config.settings.text_field);
        }
        let made = check(
            &fixture(&format!("arrow/{name}")),
            &expected,
            &config,
            &name,
        );
        let shards = made.store.manifest().shards.iter();
        let documents: Vec<_> = shards.map(|shard| shard.documents).collect();
        assert_eq!(documents, [60, 60, 60, 20], "{name}");
    }
}

fn layouts() -> impl Iterator<Item = Layout> {
    let kinds = [Kind::Utf8, Kind::LargeBinary, Kind::View];
    (0..12).map(move |index| Layout {
        is_file: index % 2 == 0,
        batch_rows: [1, 7, 100, 1000][index % 4],
        kind: kinds[index % 3],
        is_compressed: index / 2 % 2 == 0,
    })
}

#[test]
fn every_layout_of_the_rows_gives_the_same_documents() {
    let directory = TempDir::new().unwrap();
    let rows = texts(400);
    let records = write(directory.path(), "a.jsonl", lines(&rows));
    let expected = Dataset::make(&[records], encoding("gpt2"), &config(1 << 30));
    for layout in layouts() {
        let what = format!("{layout:?}");
        let path = write(directory.path(), "a.arrow", arrow(&rows, layout));
        let mut first: Option<Dataset> = None;
        for threads in [1, 2, 7] {
            let mut config = config(40_000);
            config.threads = threads;
            let made = check(&path, &expected, &config, &what);
            match &first {
                Some(first) => assert_same_files(&made.files(), &first.files(), &what),
                None => first = Some(made),
            }
        }
        let units = first.unwrap().store.manifest().shards.len();
        assert_eq!(units > 1, layout.batch_rows < 400, "{what}");
    }
}

#[test]
fn a_stream_may_end_without_a_mark() {
    let directory = TempDir::new().unwrap();
    let rows = texts(60);
    let records = write(directory.path(), "a.jsonl", lines(&rows));
    let expected = Dataset::make(&[records], encoding("gpt2"), &config(1 << 30));
    let mut bytes = arrow(&rows, Layout::PLAIN);
    bytes.truncate(bytes.len() - 8);
    let path = write(directory.path(), "a.arrows", bytes);
    check(&path, &expected, &config(1 << 30), "no mark");
}

#[test]
fn a_file_without_rows_has_no_documents() {
    let directory = TempDir::new().unwrap();
    for is_file in [false, true] {
        let layout = Layout {
            is_file,
            ..Layout::PLAIN
        };
        let path = write(directory.path(), "a.arrow", arrow::<&str>(&[], layout));
        let made = Dataset::make(&[&path], encoding("gpt2"), &config(1));
        assert_eq!(made.store.manifest().totals.documents, 0);
    }
}

/// All rows are in one record batch: more of them take no more memory.
#[test]
fn memory_does_not_grow_with_a_record_batch() {
    if Command::new("python3").arg("-V").output().is_err() {
        return skipped("the memory of record batches", "no python3");
    }
    let place = Place::new();
    // That of what is mapped counts as well, so the values are compressed.
    let peaks = [2_000, 40_000].map(|count| {
        let some = texts(18);
        let rows: Vec<_> = (0..count).map(|row| some[row % 18].clone()).collect();
        let layout = Layout {
            batch_rows: count,
            is_compressed: true,
            ..Layout::PLAIN
        };
        place.write("a.arrow", arrow(&rows, layout));
        peak(&place, &["a.arrow", "--threads", "1"])
    });
    let [little, much] = peaks;
    assert!(much < little + (48 << 20), "{little} and {much} bytes");
}

#[test]
fn columns_are_kept() {
    let place = Place::new();
    let fields = |out: &str| -> Vec<u8> {
        let names = (0..4).map(|unit| format!("{out}/shard-0000{unit}.fields.jsonl"));
        names.flat_map(|name| place.read(name)).collect()
    };
    let expected: Vec<_> = (0..200).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let expected = expected.concat();
    for (name, outer) in [
        ("stream.arrow", ""),
        ("legacy.arrows", ""),
        ("zstd.feather", ""),
        ("views.arrow", ""),
        ("deltas.ipc", ""),
        ("nested.arrow", "document."),
    ] {
        let path = fixture(&format!("arrow/{name}"));
        let (text, id) = (format!("{outer}text"), format!("{outer}id"));
        let path = path.to_str().unwrap();
        let args = ["tokenize", path, "--out", name, "--unit-size", "1kB"];
        let fields_of = ["--text-field", &text, "--id-field", &id];
        let done = place.run([&args[..], &fields_of].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        let found = String::from_utf8(fields(name)).unwrap();
        assert_eq!(found.replace(&id, "id"), expected, "{name}");
    }
    // Texts are kept as strings, also those of a dictionary.
    let path = fixture("arrow/deltas.ipc");
    let path = path.to_str().unwrap();
    let args = ["tokenize", path, "--out", "d", "--keep-fields", "text"];
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let records = place.read("d/shard-00000.fields.jsonl");
    let records = records
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let documents = fs::read(fixture("parquet/documents.jsonl")).unwrap();
    let documents = documents
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let value = |line: &[u8]| serde_json::from_slice::<serde_json::Value>(line).unwrap();
    assert!(records.map(value).eq(documents.map(value)));
}
