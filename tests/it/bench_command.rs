//! `shardmill bench` as a user sees it.

use crate::support;

use std::collections::HashSet;

use serde_json::Value;

use support::{Place, fixture};

/// A short run: little memory, little text.
fn small(more: &[&str]) -> (Place, Vec<String>) {
    let text = fixture("text/the-verdict.txt");
    let args = [
        "bench",
        text.to_str().unwrap(),
        "--size",
        "1MiB",
        "--dims",
        "64,96",
    ];
    let args = args.iter().chain(more).map(|arg| (*arg).to_owned());
    (Place::new(), args.collect())
}

#[test]
fn every_rate_is_in_the_json() {
    let (place, args) = small(&["--threads", "3", "--json"]);
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["threads"], 3);
    let samples = |part: &str| report[part].as_array().unwrap().clone();
    let [ceilings, tokenize, gather] = ["ceilings", "tokenize", "gather"].map(samples);
    // Three for memory on one thread and on three; two for files, one for a pipe.
    assert_eq!(
        (ceilings.len(), tokenize.len(), gather.len()),
        (9, 2, 2 * 9 * 2)
    );
    for sample in ceilings.iter().chain(&tokenize).chain(&gather) {
        let seconds = ["min_seconds", "median_seconds", "max_seconds"]
            .map(|key| sample[key].as_f64().unwrap());
        assert!(seconds[0] > 0.0 && seconds.is_sorted(), "{sample}");
        assert!(sample["repetitions"].as_u64().unwrap() >= 5, "{sample}");
    }
    assert_eq!(ceilings[0]["ceiling"], "streaming_store");
    assert_eq!(ceilings[0]["bytes"], 1 << 20);
    assert_eq!(tokenize[0]["bytes"], 20_480);
    assert_eq!(tokenize[0]["tokens"], 5146);
    for (sample, element_bytes) in gather[..6].iter().zip([4, 4, 2, 2, 2, 2]) {
        assert_eq!(
            (&sample["table_dtype"], &sample["dim"]),
            (&"f32".into(), &64.into())
        );
        // 4096 rows of 64.
        assert_eq!(sample["bytes"], 4096 * 64 * element_bytes, "{sample}");
    }
    // The rows are those of the text's ids, as from tiktoken.
    let text = std::fs::read_to_string(fixture("text/the-verdict.txt")).unwrap();
    let ids = tiktoken_rs::r50k_base().unwrap().encode_ordinary(&text);
    let distinct: HashSet<_> = ids[..4096].iter().map(|id| id % 4096).collect();
    assert_eq!(gather[0]["distinct_rows"], distinct.len());
    assert!(
        done.stderr.starts_with("shardmill: 47 rates in "),
        "{done:?}"
    );
    assert!(place.tree().is_empty());
}

#[test]
fn the_table_has_a_line_for_each_rate() {
    let (place, args) = small(&["--threads", "1"]);
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let lines: Vec<_> = done.text().lines().collect();
    let labels = [
        "streaming store",
        "copy",
        "file write, synced",
        "pipe",
        "gpt2, 20.5 kB",
    ];
    for label in labels
        .into_iter()
        .chain([" f32 to bf16 dim 96", "bf16 to f32  dim 64"])
    {
        let line = lines.iter().find(|line| line.starts_with(label));
        assert!(
            line.is_some_and(|line| line.contains(" to ")),
            "{label}: {lines:#?}"
        );
    }
    let shares = lines.iter().filter(|line| line.ends_with(" %")).count();
    assert_eq!(shares, 1 + 2 * 9, "{lines:#?}");
    assert!(!done.text().contains("2 threads"));
}

#[test]
fn what_cannot_be_measured_is_said_at_once() {
    let place = Place::new();
    place.write("bad.txt", b"ab\xff");
    for (args, code, line) in [
        (
            "missing.txt",
            1,
            "missing.txt: cannot open: No such file or directory (os error 2)",
        ),
        (
            "bad.txt",
            1,
            "bad.txt: byte 2: invalid UTF-8; give a text in UTF-8",
        ),
        ("--dims 0", 2, "--dims: must be from 1 to 65536 each"),
        ("--threads 0", 2, "--threads: must be from 1 to 1024"),
        ("--size 1000", 2, "--size: must be from 1MiB to 1TiB"),
    ] {
        let args = ["bench"].into_iter().chain(args.split(' '));
        place.run(args).failed(code, line);
    }
    let done = place.run(["bench", "--dir", "missing", "--size", "1MiB"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("missing/.shardmill-bench-"),
        "{done:?}"
    );
    let done = place.run(["bench", "--size", "1TiB"]);
    assert_eq!(done.code, Some(3), "{done:?}");
}

#[test]
fn the_serial_parts_are_in_the_table_and_in_the_json() {
    let place = Place::new();
    let text = fixture("text/the-verdict.txt");
    let args = ["bench", "serial", text.to_str().unwrap()];
    let args = [&args[..], &["--repetitions", "1"]].concat();
    let done = place.run(&args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let lines: Vec<_> = done.text().lines().collect();
    assert_eq!(lines[0], "20.5 kB in 1 file, gpt2, one thread");
    for label in ["documents to ids", "under the lock of all threads"] {
        let line = lines.iter().find(|line| line.ends_with(label)).unwrap();
        let seconds: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
        assert!(seconds > 0.0, "{line}");
    }
    for threads in [16, 64, 192] {
        let line = format!("{threads:7}  ");
        assert!(
            lines.iter().any(|found| found.starts_with(&line)),
            "{lines:#?}"
        );
    }
    assert!(place.tree().is_empty());

    let done = place.run([&args[..], &["--json"]].concat());
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (&report["bytes"], &report["files"]),
        (&20_480.into(), &1.into())
    );
    assert_eq!(report["limits"].as_array().unwrap().len(), 3);
    let [work, encode] = ["work", "encode"].map(|key| report[key].as_f64().unwrap());
    assert!(work >= encode && encode > 0.0, "{report}");
}

#[test]
fn what_has_no_serial_parts_is_refused() {
    let place = Place::new();
    place.write("empty.txt", b"");
    let run = |args: &str| place.run(["bench", "serial"].into_iter().chain(args.split(' ')));
    run("empty.txt").failed(1, "empty.txt: is empty; give about 100 MB of text");
    let stream = "-: is a stream, which cannot be read several times; give a file";
    run("-").failed(1, stream);
    let missing = "missing: cannot open: No such file or directory (os error 2)";
    run("empty.txt --dir missing").failed(1, missing);
    assert_eq!(place.tree(), ["empty.txt"]);
    run("empty.txt --repetitions 0").failed(2, "--repetitions: must be at least 1");
    run("missing.txt").failed(
        1,
        "missing.txt: cannot open: No such file or directory (os error 2)",
    );
    // The options of `bench` are not those of `bench serial`.
    assert_eq!(run("empty.txt --dims 64").code, Some(2));
}

#[test]
fn settings_of_the_gather_are_in_the_table_and_in_the_json() {
    let place = Place::new();
    let args = ["bench", "gather-tuning", "--size", "1MiB"];
    let done = place.run([&args[..], &["--dims", "96,300", "--threads", "1"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let lines: Vec<_> = done.text().lines().collect();
    assert!(lines[0].ends_with(" instructions; GB/s of output, median"));
    for (line, label) in lines[3..7].iter().zip([
        "   96  f32         1  ",
        "   96  f16         1  ",
        "  300  f32         1  ",
        "  300  f16         1  ",
    ]) {
        assert!(line.starts_with(label), "{lines:#?}");
        let default = if label.contains("96") {
            "token 96 x 16 t0"
        } else {
            "position 300 x 10 t0"
        };
        assert!(line.contains(default), "{lines:#?}");
    }
    assert!(lines[8].starts_with("smallest share: "), "{lines:#?}");
    assert_eq!(lines.len(), 9);

    let more = ["--dims", "1024", "--threads", "2", "--json"];
    let done = place.run([&args[..], &more].concat());
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let shapes = report["shapes"].as_array().unwrap();
    let keys = shapes.iter().map(|shape| {
        let best = &shape["best"];
        let share = shape["share"].as_f64().unwrap();
        assert!(share > 0.0 && share <= 1.0, "{share}");
        assert_eq!(shape["default"]["is_default"], true);
        assert_eq!(shape["default"]["repetitions"], 9);
        let samples = shape["samples"].as_array().unwrap();
        assert_eq!(samples[0]["is_default"], true);
        let default = [&samples[0]["order"], &samples[0]["position_hint"]];
        assert_eq!(default, ["position_major", "nta"]);
        for key in ["order", "piece_elements", "pieces_ahead", "position_hint"] {
            let values: HashSet<_> = samples.iter().map(|sample| &sample[key]).collect();
            assert!(values.len() > 1, "{key}: {values:?}");
        }
        assert!(samples.iter().all(|sample| sample["repetitions"] == 3));
        (
            best["dtype"].as_str().unwrap(),
            best["threads"].as_u64().unwrap(),
        )
    });
    let expected = [("f32", 1), ("f32", 2), ("f16", 1), ("f16", 2)];
    assert!(keys.eq(expected), "{report}");
    assert!(place.tree().is_empty());
}

#[test]
fn settings_of_the_gather_that_cannot_be_measured_are_refused() {
    let place = Place::new();
    let run = |args: &str| {
        let args = ["bench", "gather-tuning"]
            .into_iter()
            .chain(args.split(' '));
        place.run(args)
    };
    run("--dims 0").failed(2, "--dims: must be from 1 to 65536 each");
    run("--threads 0").failed(2, "--threads: must be from 1 to 1024");
    run("--size 1000").failed(2, "--size: must be from 1MiB to 1TiB");
    // It reads no text.
    assert_eq!(run("a.txt").code, Some(2));
    let done = run("--dims 0 --json");
    let error: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(error["code"], 2);
}
