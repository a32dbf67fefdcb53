//! What is refused, and rows that hold no text.

use std::fs;

use tempfile::TempDir;

use super::{Kind, Layout, arrow};
use crate::columnar::{INVALID, check_invalid, check_nulls, texts, texts_with_nulls};
use crate::common_dataset::write;
use crate::compressed::gzip;
use crate::support::{Place, fixture};

/// Files, the column that is asked for, and the message.
const REFUSED: [(&str, &str, &str); 12] = [
    (
        "a.arrow",
        "body",
        "has no column 'body'; there are 'id', 'text', 'more.code', 'more.list'; choose one with --text-field",
    ),
    (
        "a.arrow",
        "id",
        "column 'id' holds no text, but values of type Int32; choose another with --text-field",
    ),
    (
        "a.arrow",
        "more",
        "column 'more' has columns in it, such as 'more.code'; choose one of them with --text-field",
    ),
    (
        "a.arrow",
        "more.list",
        "column 'more.list' is a list, or lies in one, so a row has more than one text; choose another with --text-field",
    ),
    (
        "a.txt",
        "text",
        "is Arrow data, and its name does not say so; let its name end in .arrow",
    ),
    (
        "b.txt",
        "text",
        "is Arrow data, and its name does not say so; let its name end in .arrow",
    ),
    (
        "a.arrow.gz",
        "text",
        "Arrow data that is compressed as a whole cannot be read; decompress it first; its columns have their own compression",
    ),
    (
        "a.jsonl.gz",
        "text",
        "has Arrow data in it; write it to a file whose name ends in .arrow",
    ),
    (
        "text.feather",
        "text",
        "is not Arrow data; rename it to what it is, or choose its --input-format",
    ),
    (
        "rows.arrow",
        "text",
        "is Parquet data, not Arrow; let its name end in .parquet, or choose --input-format parquet",
    ),
    (
        "gz.arrow",
        "text",
        "is gzip data, and its name does not say so; let its name end in .gz",
    ),
    (
        "empty.arrow",
        "text",
        "is not Arrow data; rename it to what it is, or choose its --input-format",
    ),
];

/// Formats that are asked for, and the message.
const REFUSED_STREAMS: [(&str, &str); 2] = [
    (
        "arrow",
        "Arrow data cannot be read from a stream; write it to a file",
    ),
    (
        "jsonl",
        "is Arrow data, which cannot be read from a stream; write it to a file whose name ends in .arrow",
    ),
];

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let place = Place::new();
    let stream = arrow(&texts(20), Layout::PLAIN);
    let layout = Layout {
        is_file: true,
        ..Layout::PLAIN
    };
    place.write("a.arrow", &stream);
    place.write("a.txt", &stream);
    place.write("b.txt", arrow(&texts(20), layout));
    place.write("a.arrow.gz", gzip(&[&stream]));
    place.write("a.jsonl.gz", gzip(&[&stream]));
    place.write("text.feather", "This is text.\n");
    let rows = fs::read(fixture("parquet/pyarrow-groups.parquet")).unwrap();
    place.write("rows.arrow", rows);
    place.write("gz.arrow", gzip(&[&stream]));
    place.write("empty.arrow", "");
    for (input, field, expected) in REFUSED {
        let done = place.run(["tokenize", input, "--out", "d", "--text-field", field]);
        done.failed(1, &format!("{input}: {expected}"));
        assert!(!place.path("d").exists());
    }
    for (format, expected) in REFUSED_STREAMS {
        let args = ["tokenize", "-", "--input-format", format, "--out", "d"];
        place
            .run_with(args, &stream)
            .failed(1, &format!("-: {expected}"));
    }
    let keep = [
        "tokenize",
        "a.arrow",
        "--out",
        "d",
        "--keep-fields",
        "more.code",
    ];
    let line = "a.arrow: column 'more.code' holds values of type Timestamp, which cannot be kept; \
                keep other fields";
    place.run(keep).failed(1, line);
    // Any name will do, if the user says what it is.
    for input in ["a.txt", "b.txt"] {
        let args = ["tokenize", input, "--input-format", "arrow", "--out", input];
        let args = [&args[..], &["--out", "d", "--overwrite"]].concat();
        let args = [&args[..4], &args[6..]].concat();
        assert_eq!(place.run(args).code, Some(0));
    }
}

#[test]
fn other_machines_versions_and_messages_are_refused_by_name() {
    let place = Place::new();
    let stream = fs::read(fixture("arrow/stream.arrow")).unwrap();
    let run = |bytes: &[u8], line: &str| {
        place.write("a.arrow", bytes);
        place
            .run(["tokenize", "a.arrow", "--out", "d"])
            .failed(1, &format!("a.arrow: {line}"));
    };
    let ours = arrow(&texts(3), Layout::PLAIN);
    // The version is the first field of the root, and the byte order that of the schema.
    let root = 8 + usize::from(ours[8]);
    let mut version = ours.clone();
    version[root + 8] = 2;
    run(
        &version,
        "has metadata of version V3, which is not supported; write the file again with a version of Arrow from 1.0 on",
    );
    let schema = root + 24 + usize::from(ours[root + 24]);
    let mut order = ours.clone();
    order[schema + 8] = 1;
    run(
        &order,
        "has big-endian columns, which are not supported; write it on a little-endian machine",
    );
    let twice = [&stream[..], &stream].concat();
    let line = format!(
        "byte {}: has {} bytes after the end of its stream; write each stream to a file of its own",
        stream.len(),
        "36,448"
    );
    run(&twice, &line);
    let twice = [&stream[..stream.len() - 8], &stream].concat();
    let line = format!(
        "byte {}: the message has a second schema; write each stream to a file of its own",
        stream.len() - 8
    );
    run(&twice, &line);
    // The last footer would suit the first of two files with the same layout.
    let file = Layout {
        is_file: true,
        ..Layout::PLAIN
    };
    let file = arrow(&texts(3), file);
    let line =
        "has 32,910 bytes between its last record batch and its footer; write each file by itself";
    run(&[&file[..], &file].concat(), line);
}

#[test]
fn rows_without_a_text_end_the_run_or_are_listed() {
    let directory = TempDir::new().unwrap();
    let rows = texts_with_nulls().0;
    for (kind, is_compressed) in [
        (Kind::Utf8, false),
        (Kind::Utf8, true),
        (Kind::View, false),
        (Kind::View, true),
    ] {
        let layout = Layout {
            kind,
            is_compressed,
            ..Layout::PLAIN
        };
        check_nulls(&write(directory.path(), "a.arrow", arrow(&rows, layout)));
    }
}

#[test]
fn bytes_that_are_not_utf8_are_treated_as_the_setting_says() {
    let directory = TempDir::new().unwrap();
    let bytes = arrow(&INVALID, Layout::PLAIN);
    check_invalid(&write(directory.path(), "a.arrow", bytes));
}
