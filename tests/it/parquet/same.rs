//! The same ids and documents as from JSON Lines.

use std::fs;
use std::process::Command;
use std::slice::from_ref;

use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterVersion;
use shardmill::document::Format;
use tempfile::TempDir;

use super::{Layout, parquet};
use crate::columnar::{check, check_fixtures, check_threads, dataset, lines, texts};
use crate::common_dataset::{Dataset, assert_same_files, config, encoding, fifo, text, write};
use crate::compressed::bombs::peak;
use crate::support::{Place, skipped};

#[test]
fn files_of_every_writer_hold_the_same_documents() {
    assert_eq!(check_fixtures("parquet", Format::Parquet).len(), 7);
}

fn layouts() -> Vec<Layout> {
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ];
    let encodings = [
        None,
        Some(Encoding::PLAIN),
        Some(Encoding::DELTA_BYTE_ARRAY),
        Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
    ];
    let mut layouts = Vec::new();
    for (index, compression) in compressions.into_iter().enumerate() {
        for (other, encoding) in encodings.into_iter().enumerate() {
            layouts.push(Layout {
                compression,
                encoding,
                version: [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0][index % 2],
                group_rows: [1, 7, 100, 1000][(index + other) % 4],
                page_bytes: [1, 5000, 1 << 20][(index + 2 * other) % 3],
                is_optional: (index / 2 + other) % 2 == 0,
            });
        }
    }
    layouts
}

#[test]
fn every_layout_of_the_rows_gives_the_same_documents() {
    let directory = TempDir::new().unwrap();
    let rows = texts(400);
    let expected = dataset(&rows);
    for layout in layouts() {
        let what = format!("{layout:?}");
        let path = write(directory.path(), "a.parquet", parquet(&rows, layout));
        let units = check_threads(&path, Format::Parquet, &expected, &what);
        assert_eq!(units > 1, layout.group_rows < 400, "{what}");
    }
}

/// A few texts that most rows share: a page has far more text than bytes.
#[test]
fn slices_end_inside_pages_with_much_text() {
    let directory = TempDir::new().unwrap();
    let some = texts(18);
    let rows: Vec<_> = (0..6000).map(|row| some[row * row % 18].clone()).collect();
    let records = write(directory.path(), "a.jsonl", lines(&rows));
    let expected = Dataset::make(&[records], encoding("gpt2"), &config(1 << 30));
    let layout = Layout {
        encoding: None,
        group_rows: 6000,
        ..Layout::PLAIN
    };
    let bytes = parquet(&rows, layout);
    assert!(bytes.len() < 300_000, "{}", bytes.len());
    let path = write(directory.path(), "a.parquet", bytes);
    for threads in [1, 3] {
        let mut config = config(1 << 30);
        config.threads = threads;
        check(&path, Format::Parquet, &expected, &config, "a dictionary");
    }
}

/// All rows are in one row group, and their indices in a few pages: more rows take no more memory.
#[test]
fn memory_does_not_grow_with_the_text_of_a_dictionary() {
    if Command::new("python3").arg("-V").output().is_err() {
        return skipped("the memory of dictionaries", "no python3");
    }
    let place = Place::new();
    // Many texts, and few of which each is long.
    let long = Some(text("tinyshakespeare.txt")[..100_000].to_owned());
    for (some, counts) in [(texts(18), [5_000, 120_000]), (vec![long], [40, 2_000])] {
        let peaks = counts.map(|count| {
            let rows = some.iter().cycle().take(count).map(Option::as_deref);
            let rows: Vec<_> = rows.collect();
            let layout = Layout {
                encoding: None,
                group_rows: count,
                ..Layout::PLAIN
            };
            let bytes = parquet(&rows, layout);
            assert!(bytes.len() < 1_500_000, "{}", bytes.len());
            place.write("a.parquet", bytes);
            // How far several threads are ahead of the writer varies.
            peak(&place, &["a.parquet", "--threads", "1"])
        });
        let [little, much] = peaks;
        assert!(much < little + (48 << 20), "{little} and {much} bytes");
    }
}

#[test]
fn units_end_between_row_groups() {
    let directory = TempDir::new().unwrap();
    let rows = texts(300);
    let path = write(directory.path(), "a.parquet", parquet(&rows, Layout::PLAIN));
    let made = Dataset::make(&[path], encoding("gpt2"), &config(1));
    let shards = &made.store.manifest().shards;
    let documents: Vec<_> = shards.iter().map(|shard| shard.documents).collect();
    assert_eq!(documents, [50; 6]);
    let first_rows: Vec<_> = (made.store.shards())
        .map(|shard| shard.unwrap().documents()[0].byte_start)
        .collect();
    assert_eq!(first_rows, [0, 50, 100, 150, 200, 250]);
}

#[test]
fn the_schema_says_which_column_holds_the_documents() {
    let place = Place::new();
    let rows = texts(20);
    let mut bytes = parquet(&rows, Layout::PLAIN);
    place.write("text.parquet", &bytes);
    // The name is in the schema, and as the path of each column.
    for at in 0..bytes.len() - 6 {
        if bytes[at..].starts_with(b"\x04text") {
            bytes[at + 1..at + 5].copy_from_slice(b"body");
        }
    }
    place.write("body.parquet", &bytes);
    let done = place.run(["tokenize", "text.parquet", "--out", "text"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let done = place.run(["tokenize", "body.parquet", "--out", "body"]);
    let line = "body.parquet: has no column 'text'; there are 'id', 'body', 'more.body', \
                'more.list'; choose one with --text-field";
    done.failed(1, line);
    let done = place.run([
        "tokenize",
        "body.parquet",
        "--out",
        "body",
        "--text-field",
        "body",
    ]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        place.read("text/shard-00000.u32"),
        place.read("body/shard-00000.u32")
    );
}

#[test]
fn a_file_without_rows_has_no_documents() {
    let directory = TempDir::new().unwrap();
    let bytes = parquet::<&str>(&[], Layout::PLAIN);
    let path = write(directory.path(), "a.parquet", &bytes);
    let made = Dataset::make(&[&path], encoding("gpt2"), &config(1));
    assert_eq!(made.store.manifest().totals.documents, 0);
    assert_eq!(made.store.manifest().sources[0].bytes, bytes.len() as u64);
}

#[test]
fn markers_next_to_data_are_left_out() {
    let place = Place::new();
    let file = parquet(&texts(20), Layout::PLAIN);
    place.write("in/part-0.parquet", &file);
    place.write("in/_SUCCESS", "");
    place.write("in/_metadata", &file);
    place.write("in/_common_metadata", &file);
    let done = place.run(["tokenize", "in", "--out", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.stderr.contains("left out: 3 hidden entries"),
        "{done:?}"
    );
    assert!(done.stderr.contains(" 20 documents from "), "{done:?}");
}

#[test]
fn parquet_files_lie_among_others_and_next_to_streams() {
    let directory = TempDir::new().unwrap();
    let rows = texts(200);
    let parts = [&rows[..70], &rows[70..90], &rows[90..]];
    let corpus = directory.path().join("corpus");
    write(&corpus, "0.jsonl", lines(parts[0]));
    write(&corpus, "1.parquet", parquet(parts[1], Layout::PLAIN));
    write(&corpus, "2.parquet", parquet(parts[2], Layout::PLAIN));
    let records = write(directory.path(), "all.jsonl", lines(&rows));
    let expected = Dataset::make(&[records], encoding("gpt2"), &config(1 << 30));
    let mixed = Dataset::make(from_ref(&corpus), encoding("gpt2"), &config(20_000));
    assert!(mixed.ids() == expected.ids());
    // The same names, so that all of the manifest is the same.
    let streams = directory.path().join("streams");
    fs::create_dir(&streams).unwrap();
    fs::copy(corpus.join("1.parquet"), streams.join("1.parquet")).unwrap();
    fs::copy(corpus.join("2.parquet"), streams.join("2.parquet")).unwrap();
    let feeder = fifo(&streams.join("0.jsonl"), lines(parts[0]));
    let files = ["0.jsonl", "1.parquet", "2.parquet"].map(|name| streams.join(name));
    let streamed = Dataset::make(&files, encoding("gpt2"), &config(20_000));
    feeder.join().unwrap();
    assert_same_files(&streamed.files(), &mixed.files(), "next to a stream");
}
