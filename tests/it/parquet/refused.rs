//! What is refused, and rows that hold no text.

use std::fs;

use tempfile::TempDir;

use super::{Layout, parquet};
use crate::columnar::{INVALID, check_invalid, check_nulls, texts, texts_with_nulls};
use crate::common_dataset::write;
use crate::compressed::gzip;
use crate::support::{Place, fixture};

/// Files, the column that is asked for, and the message.
const REFUSED: [(&str, &str, &str); 12] = [
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
        "batches.parquet",
        "text",
        "is Arrow data, not Parquet; let its name end in .arrow, or choose --input-format arrow",
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
    let batches = fs::read(fixture("arrow/stream.arrow")).unwrap();
    place.write("batches.parquet", batches);
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
    let bytes = parquet(&texts_with_nulls().0, Layout::PLAIN);
    check_nulls(&write(directory.path(), "a.parquet", bytes));
}

#[test]
fn bytes_that_are_not_utf8_are_treated_as_the_setting_says() {
    let directory = TempDir::new().unwrap();
    let bytes = parquet(&INVALID, Layout::PLAIN);
    check_invalid(&write(directory.path(), "a.parquet", bytes));
}
