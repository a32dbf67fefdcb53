//! What `plan` expects a run to make, beside what it makes.

use serde_json::Value;

use crate::common_dataset::text;
use crate::compressed::{all, pack, records};
use crate::parquet::{Layout, parquet};
use crate::support::Place;

/// The estimate for `inputs`, and the totals of a dataset of them.
fn both(place: &Place, inputs: &[&str]) -> (Value, Value) {
    let plan = place.run([&["plan", "--json"], inputs].concat());
    assert_eq!(plan.code, Some(0), "{plan:?}");
    let made = place.run([&["tokenize", "--out", "out", "--overwrite"], inputs].concat());
    assert_eq!(made.code, Some(0), "{made:?}");
    let manifest: Value = serde_json::from_slice(&place.read("out/manifest.json")).unwrap();
    (plan.json()["estimate"].take(), manifest["totals"].clone())
}

/// A file with columns has few places to cut, and none of them at its end.
#[test]
fn files_of_one_row_group_are_estimated() {
    let place = Place::new();
    let text = uneven(12);
    let texts: Vec<_> = text.split("\n\n").collect();
    // Of all kinds everywhere: only the start of a row group is read.
    let row = |index: usize| Some(texts[index * 7919 % texts.len()].to_owned());
    let rows: Vec<Option<String>> = (0..texts.len()).map(row).collect();
    for (index, rows) in rows.chunks(rows.len().div_ceil(3)).enumerate() {
        let layout = Layout {
            group_rows: rows.len(),
            ..Layout::PLAIN
        };
        place.write(format!("in/{index}.parquet"), parquet(rows, layout));
    }
    let (estimate, totals) = both(&place, &["in"]);
    for what in ["tokens", "documents"] {
        let of = |value: &Value| value[what].as_f64().unwrap();
        let ratio = of(&estimate) / of(&totals);
        assert!((ratio - 1.0).abs() < 0.25, "{what}: {estimate} {totals}");
    }
    assert!(
        estimate["sample_bytes"].as_u64() > Some(100_000),
        "{estimate}"
    );
}

/// Texts of three kinds, one after another, with very different numbers of bytes for a token.
fn uneven(repeats: usize) -> String {
    let english = text("the-verdict.txt").repeat(20 * repeats);
    [
        english,
        text("udhr.txt").repeat(repeats),
        text("code.txt").repeat(repeats),
    ]
    .concat()
}

#[test]
fn a_small_corpus_is_counted() {
    let place = Place::new();
    place.write("in/a.txt", uneven(1));
    place.write("in/b.jsonl", records(700_000));
    place.write("in/empty.txt", "");
    for (compression, extension) in all() {
        let data = pack(compression, &[&records(50_000)]);
        place.write(format!("in/c.jsonl.{extension}"), data);
    }
    for more in [
        &["in"][..],
        &["in", "--eot", "none", "--token-dtype", "u16"],
    ] {
        let (estimate, totals) = both(&place, more);
        assert_eq!(estimate["tokens"], totals["tokens"]);
        assert_eq!(estimate["tokens_error"], 0);
        assert_eq!(estimate["documents"], totals["documents"]);
    }
    let plan = place.run(["plan", "in"]);
    assert!(plan.text().contains(" tokens in "), "{plan:?}");
    place.write("none.txt", "");
    let (estimate, totals) = both(&place, &["none.txt"]);
    assert_eq!(estimate["tokens"], 1);
    assert_eq!(estimate["documents"], totals["documents"]);
}

#[test]
fn a_large_corpus_is_estimated_within_its_error() {
    let place = Place::new();
    let text = uneven(12);
    place.write("text/a.txt", &text);
    let lines = records(4_000_000).repeat(8);
    place.write("lines/a.jsonl", &lines);
    for index in 0..40 {
        let part = &text[text.floor_char_boundary(index * 900_000)..];
        let part = &part[..part.floor_char_boundary(700_000)];
        let (compression, extension) = all().nth(index % 2).unwrap();
        place.write(
            format!("packed/{index}.txt.{extension}"),
            pack(compression, &[part.as_bytes()]),
        );
    }
    for input in ["text", "lines", "packed"] {
        let (estimate, totals) = both(&place, &[input]);
        let of = |value: &Value| value.as_f64().unwrap();
        let (expected, found) = (of(&totals["tokens"]), of(&estimate["tokens"]));
        let error = of(&estimate["tokens_error"]);
        // It is the same in each run, so it cannot fail one in twenty times.
        assert!(
            (found - expected).abs() <= 1.5 * error,
            "{input}: {estimate} {totals}"
        );
        assert!(
            error > 0.0 && error < 0.25 * expected,
            "{input}: {estimate} {totals}"
        );
        let bytes = of(&estimate["bytes"]);
        assert!(
            (bytes / (4.0 * found) - 1.0).abs() < 0.2,
            "{input}: {estimate}"
        );
    }
    let plan = place.run(["plan", "text"]);
    assert!(plan.text().contains(" % more or less) in "), "{plan:?}");
    // One record has most of the corpus, and one large file is compressed.
    let long = format!("{{\"text\":\"{}\"}}\n", "some words ".repeat(2_000_000));
    let short = records(8_000_000);
    place.write("long/a.jsonl", [&short, long.as_bytes(), &short].concat());
    for (compression, extension) in all() {
        place.write(
            format!("{extension}/a.jsonl.{extension}"),
            pack(compression, &[&lines]),
        );
    }
    for input in all().map(|(_, extension)| extension).chain(["long"]) {
        let (estimate, totals) = both(&place, &[input]);
        for what in ["tokens", "documents"] {
            let of = |value: &Value| value[what].as_f64().unwrap();
            let (expected, found) = (of(&totals), of(&estimate));
            let is_near = (found / expected - 1.0).abs() < 0.25;
            assert!(is_near, "{input} {what}: {estimate} {totals}");
        }
    }
    // A plan needs no estimate.
    place.write("bad.txt", b"\xff");
    let plan = place.run(["plan", "bad.txt", "--json"]);
    assert_eq!(plan.code, Some(0), "{plan:?}");
    let said = "shardmill: no estimate: bad.txt: byte 0: invalid UTF-8; use --invalid-utf8";
    assert!(plan.stderr.contains(said), "{plan:?}");
    assert!(plan.json()["estimate"].is_null());
    let why = plan.json()["no_estimate"].clone();
    assert!(
        why.as_str().unwrap().starts_with("bad.txt: byte 0"),
        "{why}"
    );
}

#[test]
fn sources_that_cannot_be_cut_are_named() {
    let place = Place::new();
    let data = pack(all().next().unwrap().0, &[uneven(1).as_bytes()]);
    place.write("in/a.txt.gz", &data);
    place.write("in/b.txt.gz", &data[..]);
    let plan = place.run(["plan", "in", "--unit-size", "100kB"]);
    let line = "2 compressed sources larger than a unit cannot be cut, the largest is in/";
    assert!(plan.text().contains(line), "{plan:?}");
    let plan = place.run(["plan", "in"]);
    assert!(!plan.text().contains("cannot be cut"), "{plan:?}");
}
