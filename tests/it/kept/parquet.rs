//! Columns of Parquet files that are kept.

use std::process::Command;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::json;

use super::{BOUND, documents, run};
use crate::compressed::bombs::peak;
use crate::support::{Place, fixture, skipped};

#[test]
fn columns_are_kept_whoever_wrote_the_file() {
    let place = Place::new();
    let names = [
        "pyarrow",
        "pyarrow-v2",
        "pyarrow-groups",
        "polars",
        "duckdb",
        "fastparquet",
    ];
    for (name, field) in names
        .map(|name| (name, ""))
        .into_iter()
        .chain([("pyarrow-nested", "document.")])
    {
        let path = fixture(&format!("parquet/{name}.parquet"));
        let (text, id) = (format!("{field}text"), format!("{field}id"));
        let args = [
            "tokenize",
            path.to_str().unwrap(),
            "--out",
            "d",
            "--overwrite",
        ];
        let fields = [
            "--text-field",
            &text,
            "--id-field",
            &id,
            "--unit-size",
            "5kB",
        ];
        run(&place, &[&args[..], &fields].concat());
        run(&place, &["verify", "d"]);
        let found = documents(&place, "d");
        assert_eq!(found.len(), 200, "{name}");
        for (index, (_, line)) in found.iter().enumerate() {
            assert_eq!(*line, json!({"id": index}), "{name}");
        }
    }
}

/// Writes the next column.
fn column<T: parquet::data_type::DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: &[T::T],
    levels: Option<&[i16]>,
) {
    let mut column = group.next_column().unwrap().unwrap();
    let repetition = vec![0; levels.map_or(0, <[i16]>::len)];
    let is_list = column.typed::<T>().get_descriptor().max_rep_level() > 0;
    let repetition = is_list.then_some(&repetition[..]);
    column
        .typed::<T>()
        .write_batch(values, levels, repetition)
        .unwrap();
    column.close().unwrap();
}

/// A file of `rows` rows with columns of many types, in pages of a few rows.
fn typed(rows: usize) -> Vec<u8> {
    let schema = "message schema { required binary text (string); optional boolean flag; \
                  required int32 count (integer(32,false)); required int64 size; \
                  required float score; required double weight; optional binary url (string); \
                  required int64 time (timestamp(millis,true)); repeated int32 list; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(10);
    let mut bytes = Vec::new();
    let mut file =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties.build())).unwrap();
    let mut group = file.next_row_group().unwrap();
    let texts: Vec<ByteArray> = (0..rows)
        .map(|row| format!("row {row}").as_str().into())
        .collect();
    column::<ByteArrayType>(&mut group, &texts, None);
    let levels: Vec<_> = (0..rows).map(|row| i16::from(row % 3 != 0)).collect();
    let flags: Vec<_> = (0..rows)
        .filter(|row| row % 3 != 0)
        .map(|row| row % 2 == 0)
        .collect();
    column::<BoolType>(&mut group, &flags, Some(&levels));
    let of = |row: usize| i32::try_from(row).unwrap();
    let counts: Vec<_> = (0..rows).map(|row| -of(row) - 1).collect();
    column::<Int32Type>(&mut group, &counts, None);
    let sizes: Vec<_> = (0..rows).map(|row| i64::MIN + i64::from(of(row))).collect();
    column::<Int64Type>(&mut group, &sizes, None);
    let scores: Vec<_> = (0..rows)
        .map(|row| if row == 4 { f32::NAN } else { 0.1 })
        .collect();
    column::<FloatType>(&mut group, &scores, None);
    let weights: Vec<_> = (0..rows).map(|row| f64::from(of(row)) / 3.0).collect();
    column::<DoubleType>(&mut group, &weights, None);
    let urls: Vec<ByteArray> = (0..rows)
        .filter(|row| row % 3 != 0)
        .map(|row| match row {
            7 => b"\xff\"".to_vec().into(),
            row => format!("u{row}").as_str().into(),
        })
        .collect();
    column::<ByteArrayType>(&mut group, &urls, Some(&levels));
    column::<Int64Type>(&mut group, &sizes, None);
    column::<Int32Type>(&mut group, &[], Some(&vec![0; rows]));
    group.close().unwrap();
    file.close().unwrap();
    bytes
}

#[test]
fn text_numbers_and_booleans_are_kept_as_they_are() {
    let place = Place::new();
    // Several slices of one row group.
    place.write("a.parquet", typed(5000));
    let args = [
        "tokenize",
        "a.parquet",
        "--out",
        "d",
        "--invalid-utf8",
        "replace",
    ];
    let keep = [
        "--keep-fields",
        "flag,count,size,score,weight",
        "--keep-fields",
        "url",
    ];
    run(&place, &[&args[..], &keep, &["--threads", "3"]].concat());
    run(&place, &["verify", "d"]);
    let found = documents(&place, "d");
    assert_eq!(found.len(), 5000);
    for (row, (text, line)) in found.iter().enumerate() {
        assert_eq!(*text, format!("row {row}"));
        let is_there = row % 3 != 0;
        let url = if row == 7 {
            "\u{fffd}\"".to_owned()
        } else {
            format!("u{row}")
        };
        let expected = json!({
            "flag": is_there.then_some(row % 2 == 0),
            "count": u32::MAX - u32::try_from(row).unwrap(),
            "size": i64::MIN + i64::try_from(row).unwrap(),
            "score": if row == 4 { None } else { Some(0.1) },
            "weight": f64::from(u32::try_from(row).unwrap()) / 3.0,
            "url": is_there.then_some(url),
        });
        assert_eq!(*line, expected);
    }
    let manifest = place.read("d/manifest.json");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["totals"]["invalid_sequences"], 1);
    assert_eq!(manifest["shards"][0]["fields"]["found"]["score"], 4999);
}

#[test]
fn columns_that_cannot_be_kept_are_refused_by_name() {
    let place = Place::new();
    place.write("a.parquet", typed(20));
    for (field, line) in [
        (
            "time",
            "column 'time' holds values of type Timestamp, which cannot be kept; keep other fields",
        ),
        (
            "list",
            "column 'list' is a list, or lies in one, which cannot be kept; keep other fields",
        ),
        (
            "no",
            "has no column 'no'; there are 'text', 'flag', 'count', 'size', 'score', 'weight', 'url', \
             'time', 'list'; choose one with --keep-fields",
        ),
    ] {
        let done = place.run([
            "tokenize",
            "a.parquet",
            "--out",
            "d",
            "--keep-fields",
            field,
        ]);
        done.failed(1, &format!("a.parquet: {line}"));
    }
    let url = [
        "tokenize",
        "a.parquet",
        "--out",
        "d",
        "--keep-fields",
        "flag,url",
    ];
    let what = "a.parquet: row 7: byte 0 of the kept field \"url\": invalid UTF-8; use --invalid-utf8 \
                replace or ignore to accept it";
    place.run(url).failed(1, what);
    run(&place, &[&url[..], &["--bad-records", "skip"]].concat());
    assert_eq!(documents(&place, "d").len(), 19);
}

/// A file of `rows` short texts, each with the same long value, in a dictionary or not.
fn long_values(rows: usize, has_dictionary: bool) -> Vec<u8> {
    let schema = "message schema { required binary text (string); required binary html (string); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(has_dictionary);
    let mut bytes = Vec::new();
    let mut file =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties.build())).unwrap();
    let mut group = file.next_row_group().unwrap();
    let texts: Vec<ByteArray> = (0..rows)
        .map(|row| row.to_string().as_str().into())
        .collect();
    column::<ByteArrayType>(&mut group, &texts, None);
    let html = ByteArray::from("<p>".repeat(7000).as_str());
    column::<ByteArrayType>(&mut group, &vec![html; rows], None);
    group.close().unwrap();
    file.close().unwrap();
    bytes
}

#[test]
fn long_values_beside_short_texts_take_no_more_memory() {
    if Command::new("python3").arg("-V").output().is_err() {
        return skipped("the memory of kept columns", "no python3");
    }
    let place = Place::new();
    for has_dictionary in [true, false] {
        place.write("a.parquet", long_values(20_000, has_dictionary));
        let found = peak(
            &place,
            &["a.parquet", "--keep-fields", "html", "--threads", "1"],
        );
        assert!(found < BOUND, "dictionary {has_dictionary}: {found}");
    }
}
