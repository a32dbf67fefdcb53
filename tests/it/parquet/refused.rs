//! What is refused, and rows that hold no text.

use std::fs;

use shardmill::dataset::bad_records;
use shardmill::document::{BadKind, BadRecords, InvalidUtf8};
use shardmill::{Stats, verify};
use tempfile::TempDir;

use super::{Layout, parquet, texts};
use crate::common_dataset::{Dataset, config, encoding, try_tokenize, write};
use crate::compressed::gzip;
use crate::support::Place;

/// Files, the column that is asked for, and the message.
const REFUSED: [(&str, &str, &str); 11] = [
    (
        "a.parquet",
        "body",
        "has no column 'body'; there are 'id', 'text', 'more.text', 'more.list'; choose one with --text-field",
    ),
    (
        "a.parquet",
        "id",
        "column 'id' holds no text, but values of type INT64; choose another with --text-field",
    ),
    (
        "a.parquet",
        "more",
        "column 'more' has columns in it, such as 'more.text'; choose one of them with --text-field",
    ),
    (
        "a.parquet",
        "more.list",
        "column 'more.list' is a list, or lies in one, so a row has more than one text; choose another with --text-field",
    ),
    (
        "a.txt",
        "text",
        "is Parquet data, and its name does not say so; let its name end in .parquet",
    ),
    (
        "a.jsonl",
        "text",
        "is Parquet data, and its name does not say so; let its name end in .parquet",
    ),
    (
        "a.parquet.gz",
        "text",
        "Parquet data that is compressed as a whole cannot be read; decompress it first; its columns have their own compression",
    ),
    (
        "a.jsonl.gz",
        "text",
        "has Parquet data in it; write it to a file whose name ends in .parquet",
    ),
    (
        "text.parquet",
        "text",
        "is not Parquet data; rename it to what it is, or choose its --input-format",
    ),
    (
        "empty.parquet",
        "text",
        "is not Parquet data; rename it to what it is, or choose its --input-format",
    ),
    (
        "PARE.parquet",
        "text",
        "is encrypted Parquet, which is not supported; decrypt it",
    ),
];

/// Formats that are asked for, and the message.
const REFUSED_STREAMS: [(&str, &str); 2] = [
    (
        "parquet",
        "Parquet data cannot be read from a stream; write it to a file",
    ),
    (
        "jsonl",
        "is Parquet data, which cannot be read from a stream; write it to a file whose name ends in .parquet",
    ),
];

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let place = Place::new();
    let file = parquet(&texts(20), Layout::PLAIN);
    place.write("a.parquet", &file);
    place.write("a.txt", &file);
    place.write("a.jsonl", &file);
    place.write("a.parquet.gz", gzip(&[&file]));
    place.write("a.jsonl.gz", gzip(&[&file]));
    place.write("text.parquet", "This is text.\n");
    place.write("empty.parquet", "");
    place.write("PARE.parquet", "PARE....PARE");
    for (input, field, expected) in REFUSED {
        let done = place.run(["tokenize", input, "--out", "d", "--text-field", field]);
        done.failed(1, &format!("{input}: {expected}"));
        assert!(!place.path("d").exists());
    }
    for (format, expected) in REFUSED_STREAMS {
        let args = ["tokenize", "-", "--input-format", format, "--out", "d"];
        place
            .run_with(args, &file)
            .failed(1, &format!("-: {expected}"));
    }
    let args = [
        "tokenize",
        "a.parquet",
        "--input-format",
        "jsonl",
        "--out",
        "d",
    ];
    let line = "a.parquet: is Parquet data; choose --input-format parquet or auto";
    place.run(args).failed(1, line);
    // No writer is waited for.
    place.fifo("fifo.parquet");
    let line = "fifo.parquet: Parquet data cannot be read from a stream; write it to a file";
    place
        .run(["tokenize", "fifo.parquet", "--out", "d"])
        .failed(1, line);
    // Any name will do, if the user says what it is.
    let args = [
        "tokenize",
        "a.txt",
        "--input-format",
        "parquet",
        "--out",
        "d",
    ];
    assert_eq!(place.run(args).code, Some(0));
}

#[test]
fn rows_without_a_text_end_the_run_or_are_listed() {
    let directory = TempDir::new().unwrap();
    let mut rows = texts(300);
    for row in [7, 120, 121, 299] {
        rows[row] = None;
    }
    let path = write(directory.path(), "a.parquet", parquet(&rows, Layout::PLAIN));
    let out = directory.path().join("out");
    let error = try_tokenize(&[&path], encoding("gpt2"), &config(1 << 30), &out).unwrap_err();
    assert_eq!(error.row(), Some(7), "{error}");
    let message = format!(
        "{}: row 7: field \"text\" is null, not a string",
        path.display()
    );
    assert_eq!(error.to_string(), message);
    for unit in [1, 1 << 30] {
        let mut config = config(unit);
        config.settings.bad_records = BadRecords::Skip;
        let made = Dataset::make(&[&path], encoding("gpt2"), &config);
        assert_eq!(made.store.manifest().totals.documents, 296);
        let bad = bad_records(&made.out(), 10).unwrap();
        let found: Vec<_> = bad
            .iter()
            .map(|bad| (bad.row, bad.line, bad.kind))
            .collect();
        let expected = [7, 120, 121, 299].map(|row| (Some(row), None, BadKind::NullField));
        assert_eq!(found, expected);
        verify(&made.out(), &Stats::default()).unwrap();
    }
}

#[test]
fn bytes_that_are_not_utf8_are_treated_as_the_setting_says() {
    let directory = TempDir::new().unwrap();
    let rows = [Some(&b"good"[..]), Some(b"b\xffd"), Some(b"\xc3")];
    let path = write(directory.path(), "a.parquet", parquet(&rows, Layout::PLAIN));
    let out = directory.path().join("out");
    let error = try_tokenize(&[&path], encoding("gpt2"), &config(1 << 30), &out).unwrap_err();
    assert_eq!(error.row(), Some(1), "{error}");
    assert_eq!(
        error.problem(),
        format!(
            "{}: row 1: byte 1 of the text: invalid UTF-8",
            path.display()
        )
    );
    assert_eq!(
        error.hint(),
        Some("use `invalid_utf8` replace or ignore to accept it")
    );
    let texts = ["good", "b\u{fffd}d", "\u{fffd}"].map(|text| serde_json::json!({ "text": text }));
    let lines = texts.map(|record| format!("{record}\n")).concat();
    let lines = write(directory.path(), "a.jsonl", lines);
    let expected = Dataset::make(&[lines], encoding("gpt2"), &config(1 << 30));
    let mut config = config(1 << 30);
    config.settings.invalid_utf8 = InvalidUtf8::Replace;
    let made = Dataset::make(&[&path], encoding("gpt2"), &config);
    assert_eq!(made.ids(), expected.ids());
    assert_eq!(made.store.manifest().totals.invalid_sequences, 2);
    fs::remove_file(path).unwrap();
}
