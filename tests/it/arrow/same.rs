//! The same ids and documents as from JSON Lines.

use std::fs;
use std::process::Command;

use shardmill::document::Format;
use tempfile::TempDir;

use super::{Kind, Layout, arrow};
use crate::columnar::{check, check_fixtures, check_threads, dataset, texts};
use crate::common_dataset::{Dataset, config, encoding, write};
use crate::compressed::bombs::peak;
use crate::support::{Place, fixture, skipped};

#[test]
fn files_of_every_kind_hold_the_same_documents() {
    let fixtures = check_fixtures("arrow", Format::Arrow);
    assert_eq!(fixtures.len(), 10, "{fixtures:?}");
    for (name, documents) in fixtures {
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
    let expected = dataset(&rows);
    for layout in layouts() {
        let what = format!("{layout:?}");
        let path = write(directory.path(), "a.arrow", arrow(&rows, layout));
        let units = check_threads(&path, Format::Arrow, &expected, &what);
        assert_eq!(units > 1, layout.batch_rows < 400, "{what}");
    }
}

#[test]
fn a_stream_may_end_without_a_mark() {
    let directory = TempDir::new().unwrap();
    let rows = texts(60);
    let expected = dataset(&rows);
    let mut bytes = arrow(&rows, Layout::PLAIN);
    bytes.truncate(bytes.len() - 8);
    let path = write(directory.path(), "a.arrows", bytes);
    check(&path, Format::Arrow, &expected, &config(1 << 30), "no mark");
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
