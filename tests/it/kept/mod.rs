//! Fields that are kept beside documents.

mod parquet;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use shardmill::TokenStore;

use crate::common_dataset::text;
use crate::compressed::bombs::peak;
use crate::compressed::gzip;
use crate::support::{Place, fixture, output_bytes, skipped};

const KEEP: [&str; 4] = ["--id-field", "doc", "--keep-fields", "meta.n,tags"];

/// The text of document `id`, which begins with its number.
fn text_of(id: usize) -> String {
    format!("{id} {}", "is a document. ".repeat(id % 40))
}

/// Documents as JSON Lines, each with its number.
fn records(count: usize) -> String {
    let record = |id| {
        let (doc, n) = (format!("doc-{id}"), id * 3);
        let mut record = json!({"doc": doc, "meta": {"n": n}, "text": text_of(id)});
        if id % 3 == 0 {
            record["tags"] = json!(["a b", {"c": null}]);
        }
        format!("{record}\n")
    };
    (0..count).map(record).collect()
}

/// The line of document `id`.
fn line_of(id: usize) -> Value {
    let tags = if id.is_multiple_of(3) {
        json!(["a b", {"c": null}])
    } else {
        Value::Null
    };
    json!({"id": format!("doc-{id}"), "meta.n": id * 3, "tags": tags})
}

/// The texts of all document records of dataset `out`, each with its line.
fn documents(place: &Place, out: &str) -> Vec<(String, Value)> {
    let store = TokenStore::open(&place.path(out)).unwrap();
    let tokenizer = shardmill::Tokenizer::by_name("gpt2").unwrap();
    let mut found = Vec::new();
    for index in 0..store.n_shards() {
        let shard = store.shard(index).unwrap();
        let lines = shard.fields().split_inclusive(|&byte| byte == b'\n');
        let lines: Vec<Value> = lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines.len(), shard.documents().len());
        let mut start = 0;
        for (record, line) in shard.documents().iter().zip(lines) {
            let end = usize::try_from(record.end_tokens).unwrap();
            let shardmill::dataset::Tokens::U32(ids) = shard.tokens() else {
                unreachable!("the default is u32");
            };
            let ids = &ids[start..end];
            let ids = ids.strip_suffix(&[50256]).unwrap_or(ids);
            let text = tokenizer.decode_bytes(ids).unwrap();
            found.push((String::from_utf8_lossy(&text).into_owned(), line));
            start = end;
        }
    }
    found
}

#[track_caller]
fn run(place: &Place, args: &[&str]) {
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[track_caller]
fn verify(place: &Place, out: &str) {
    run(place, &["verify", out, "--inputs", "in"]);
}

/// A corpus of JSON Lines, plain and compressed, and a text that is longer than a unit.
fn corpus() -> Place {
    let place = Place::new();
    place.write("in/a.jsonl", records(700));
    place.write(
        "in/b.txt",
        text("tinyshakespeare.txt").get(..200_000).unwrap(),
    );
    place.write("in/c.jsonl.gz", gzip(&[records(50).as_bytes()]));
    place
}

#[test]
fn each_document_has_its_line_whatever_the_units_and_threads() {
    let place = corpus();
    for unit in ["1kB", "50kB", "1MiB"] {
        let mut first = None;
        for threads in ["1", "2", "7"] {
            let more = [
                "--unit-size",
                unit,
                "--threads",
                threads,
                "--out",
                "d",
                "--overwrite",
            ];
            run(&place, &[&["tokenize", "in"][..], &KEEP, &more].concat());
            let made = output_bytes(&place.path("d"));
            assert!(
                *first.get_or_insert_with(|| made.clone()) == made,
                "{unit} {threads}"
            );
        }
        verify(&place, "d");
        let found = documents(&place, "d");
        let nulls = json!({"id": null, "meta.n": null, "tags": null});
        let of_text = found.iter().filter(|(_, line)| *line == nulls).count();
        // The text is in pieces.
        assert_eq!(of_text > 1, unit != "1MiB");
        let others = found.into_iter().filter(|(_, line)| *line != nulls);
        let expected = (0..700).chain(0..50).map(|id| (text_of(id), line_of(id)));
        assert!(others.eq(expected), "{unit}");
    }
    let info = place.run(["info", "d"]);
    let kept =
        "kept        id from doc of 750 documents, meta.n of 750 documents, tags of 251 documents";
    assert!(info.text().contains(kept), "{info:?}");
}

#[test]
fn a_stream_has_the_same_lines() {
    let place = corpus();
    let more = ["in/a.jsonl", "--out", "d", "--unit-size", "5kB"];
    run(&place, &[&["tokenize"][..], &KEEP, &more].concat());
    let more = [
        "-",
        "--out",
        "s",
        "--unit-size",
        "5kB",
        "--input-format",
        "jsonl",
    ];
    let args = [&["tokenize"][..], &KEEP, &more].concat();
    let done = place.run_with(args, records(700).as_bytes());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(documents(&place, "s"), documents(&place, "d"));
}

#[test]
fn documents_that_are_left_out_have_no_line() {
    let place = Place::new();
    let broken = "{\"doc\":\"bad\"}\n{\"doc\":\"bad\",\"text\":null}\nnone\n";
    place.write(
        "in/a.jsonl",
        format!("{}{broken}{}", records(90), records(400)),
    );
    for options in [
        "--bad-records skip",
        "--bad-records skip --min-tokens 20 --max-document-bytes 500",
        "--bad-records skip --validation 30% --side validation",
        "--bad-records skip --validation 30% --max-tokens 99 --unit-size 3kB",
    ] {
        let options: Vec<_> = options.split(' ').collect();
        let args = [
            &["tokenize", "in", "--out", "d", "--overwrite"][..],
            &KEEP,
            &options,
        ];
        run(&place, &args.concat());
        verify(&place, "d");
        let found = documents(&place, "d");
        assert!(found.len() > 50 && found.len() <= 490, "{}", found.len());
        for (text, line) in found {
            let id: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!((text, line), (text_of(id), line_of(id)));
        }
    }
}

#[test]
fn a_shuffled_dataset_takes_its_lines_along() {
    let place = Place::new();
    place.write("in/a.jsonl", records(700));
    place.write(
        "in/b.txt",
        text("tinyshakespeare.txt").get(..50_000).unwrap(),
    );
    let more = ["--unit-size", "10kB", "--out", "d"];
    run(&place, &[&["tokenize", "in"][..], &KEEP, &more].concat());
    run(&place, &["shuffle", "d", "--seed", "5", "--out", "s"]);
    run(&place, &["verify", "s"]);
    let sorted = |out: &str| {
        let mut found = documents(&place, out);
        found.retain(|(_, line)| !line["id"].is_null());
        for (text, line) in &found {
            let id: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!((text.clone(), line.clone()), (text_of(id), line_of(id)));
        }
        let before = found.clone();
        found.sort_by_key(|(text, _)| text.clone());
        (before, found)
    };
    let (given, shuffled) = (sorted("d"), sorted("s"));
    assert_eq!(given.1, shuffled.1);
    assert_ne!(given.0, shuffled.0);
    let found = |out| {
        let store = TokenStore::open(&place.path(out)).unwrap();
        ["id", "meta.n", "tags"].map(|key| store.manifest().fields_found(key))
    };
    assert_eq!(found("s"), [700, 700, 234]);
    assert_eq!(found("d"), found("s"));
}

#[test]
fn units_are_shared_resumed_and_repaired() {
    let place = corpus();
    let all = [&["tokenize", "in", "--unit-size", "20kB"][..], &KEEP].concat();
    run(&place, &[&all[..], &["--out", "expected"]].concat());
    for share in ["1/2", "0/2"] {
        run(
            &place,
            &[&all[..], &["--out", "d", "--units", share]].concat(),
        );
    }
    // A finished unit without its lines is made again.
    let lines = place.path("d.partial/new/shard-00001.fields.jsonl");
    fs::write(&lines, "").unwrap();
    run(&place, &[&all[..], &["--out", "d"]].concat());
    let expected = output_bytes(&place.path("expected"));
    assert!(output_bytes(&place.path("d")) == expected);
    // One that is damaged is found and repaired.
    let path = place.path("d/shard-00001.fields.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    bytes[9] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let what = "d/shard-00001.fields.jsonl: damaged in the 16 MiB block 0, from byte 0";
    place.run(["verify", "d"]).failed(5, what);
    place
        .run(["report", "d", "--out", "d.html"])
        .failed(1, what);
    run(&place, &[&all[..], &["--out", "d", "--repair"]].concat());
    assert!(output_bytes(&place.path("d")) == expected);
    fs::remove_file(&path).unwrap();
    let missing = place.run(["verify", "d"]);
    assert_eq!(missing.code, Some(5), "{missing:?}");
    run(&place, &[&all[..], &["--out", "d", "--repair"]].concat());
    assert!(output_bytes(&place.path("d")) == expected);
}

#[test]
fn other_fields_are_other_work() {
    let place = corpus();
    let share = ["tokenize", "in", "--out", "d", "--units", "0/2"];
    run(&place, &[&share[..], &KEEP].concat());
    let done = place.run(["tokenize", "in", "--out", "d", "--id-field", "doc"]);
    let what = "--keep-fields was 'meta.n', 'tags' and is none";
    assert!(
        done.code == Some(1) && done.stderr.contains(what),
        "{done:?}"
    );
    let done = place.run([
        "tokenize",
        "in",
        "--out",
        "d",
        "--keep-fields",
        "meta.n,tags",
    ]);
    let what = "--id-field was 'doc' and is none";
    assert!(
        done.code == Some(1) && done.stderr.contains(what),
        "{done:?}"
    );
}

#[test]
fn fields_that_cannot_be_kept_are_refused_by_name() {
    let place = corpus();
    let usage = |fields: &[&str], line: &str| {
        let args = [&["tokenize", "in", "--out", "d"][..], fields].concat();
        place.run(args).failed(2, line);
    };
    usage(
        &["--keep-fields", "a,b,a"],
        "--keep-fields: names 'a' twice",
    );
    usage(
        &["--keep-fields", "a,id", "--id-field", "doc"],
        "--keep-fields: names 'id', which is what 'doc' is kept as",
    );
    usage(
        &["--keep-fields", "a,"],
        "--keep-fields: names a field without a name",
    );
    let many: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    let what = "--keep-fields: names 300 fields, and 256 can be kept at most";
    usage(&["--keep-fields", &many.join(",")], what);
    let deep = "a".to_owned() + &".a".repeat(2000);
    let done = place.run(["tokenize", "in", "--out", "d", "--id-field", &deep]);
    assert!(
        done.stderr.contains("--id-field: has 2000 dots"),
        "{done:?}"
    );
    // A column must be there; a field of a record need not.
    let csv = fixture("csv/records.csv");
    let args = [
        "tokenize",
        csv.to_str().unwrap(),
        "--out",
        "d",
        "--keep-fields",
        "url",
    ];
    let done = place.run(args);
    let what = "has no column 'url'; there are 'id', 'text', 'note'; choose one with --keep-fields";
    assert!(
        done.code == Some(1) && done.stderr.contains(what),
        "{done:?}"
    );
    let done = place.run(["tokenize", "in", "--out", "d", "--keep-fields", "url"]);
    assert_eq!(done.code, Some(0));
    assert!(done.stderr.contains(", no field 'url' in any "), "{done:?}");
    let again = [
        "tokenize",
        "in",
        "--out",
        "d",
        "--overwrite",
        "--id-field",
        "nope",
        "--json",
    ];
    let done = place.run([&again[..], &["--keep-fields=-x,tags"]].concat());
    assert!(
        done.stderr.contains(", no field 'nope' and 1 more in any "),
        "{done:?}"
    );
    assert_eq!(
        done.json()["kept_fields"],
        json!({"id": 0, "-x": 0, "tags": 251})
    );
}

#[test]
fn csv_fields_are_kept_as_strings() {
    let place = Place::new();
    let csv = fixture("csv/records.csv");
    let args = [
        "tokenize",
        csv.to_str().unwrap(),
        "--out",
        "d",
        "--id-field",
        "id",
    ];
    run(&place, &[&args[..], &["--keep-fields", "note"]].concat());
    let found = documents(&place, "d");
    for (index, (_, line)) in found.iter().enumerate() {
        assert_eq!(*line, json!({"id": index.to_string(), "note": "a, \"b\""}));
    }
    assert_eq!(found.len(), 200);
}

/// The memory that one thread may take, in bytes.
const BOUND: u64 = (64 + 96) << 20;

#[test]
fn short_documents_with_many_fields_take_no_more_memory() {
    if Command::new("python3").arg("-V").output().is_err() {
        return skipped("the memory of kept fields", "no python3");
    }
    let place = Place::new();
    place.write("lines.txt", "a\n".repeat(400_000));
    place.write("empty.jsonl", "{\"text\":\"\"}\n".repeat(60_000));
    let keys: Vec<_> = (0..60)
        .map(|n| format!("a_field_of_this_number_{n}"))
        .collect();
    let keep = ["--keep-fields", &keys.join(",")];
    for input in [&["lines.txt", "--documents", "lines"][..], &["empty.jsonl"]] {
        let found = peak(&place, &[input, &keep, &["--threads", "1"]].concat());
        assert!(found < BOUND, "{input:?}: {found}");
    }
}

#[test]
fn a_record_of_many_members_takes_little_memory() {
    if Command::new("python3").arg("-V").output().is_err() {
        return skipped("the memory of many members", "no python3");
    }
    let place = Place::new();
    let members = "\"\":0,".repeat(4_000_000);
    place.write("wide.jsonl", format!("{{{members}\"text\":\"\"}}\n"));
    let found = peak(
        &place,
        &["wide.jsonl", "--id-field", "doc", "--threads", "1"],
    );
    assert!(found < BOUND, "{found}");
}
