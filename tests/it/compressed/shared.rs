//! Units of compressed sources: shared among processes, resumed, repaired and verified.

use std::fs;
use std::time::Duration;

use super::{all, pack, records, thirds};
use crate::common_dataset::text;
use crate::support::{Place, output_bytes, spawn};

/// Eight compressed files and two plain ones, in about as many units.
fn corpus() -> Place {
    let place = Place::new();
    let lines = records(500_000);
    for (compression, extension) in all() {
        for index in 0..4 {
            let name = format!("in/{index}.jsonl.{extension}");
            let some = &lines[..lines.len() - 1000 * index];
            let end = some.iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
            place.write(name, pack(compression, &thirds(&some[..end])));
        }
    }
    place.write("in/0.txt", text("tinyshakespeare.txt"));
    place.write("in/4.jsonl", &lines);
    place
}

fn args<'a>(command: &'a str, out: &'a str) -> Vec<&'a str> {
    vec![command, "in", "--unit-size", "100kB", "--out", out]
}

/// Runs to success, and compares what is in `d`.
#[track_caller]
fn made(place: &Place, args: &[&str], expected: &str) {
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let same = output_bytes(&place.path("d")) == output_bytes(&place.path(expected));
    assert!(same, "{args:?}");
    let verified = place.run(["verify", "d", "--inputs", "in"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    fs::remove_dir_all(place.path("d")).unwrap();
}

#[test]
fn units_are_shared_resumed_and_repaired() {
    let place = corpus();
    let whole = place.run(args("tokenize", "expected"));
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let units = place
        .run(["plan", "in", "--unit-size", "100kB", "--json"])
        .json();
    let units = units["units"].as_array().unwrap().len();
    assert!(units > 8, "{units} units");
    for part in ["0/3", "1/3", "2/3"] {
        let done = place.run([&args("tokenize", "d")[..], &["--units", part]].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    made(&place, &["finish", "d"], "expected");
    // Some units are done before.
    let done = place.run([&args("tokenize", "d")[..], &["--units", "1/2"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let resumed = place.run([&args("tokenize", "d")[..], &["--json"]].concat());
    assert_eq!(resumed.json()["units_done_before"], units / 2);
    let shard = place.path("d/shard-00003.u32");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[100] ^= 1;
    fs::write(&shard, bytes).unwrap();
    let repair = [&args("tokenize", "d")[..], &["--repair"]].concat();
    made(&place, &repair, "expected");
}

#[test]
fn a_run_that_was_killed_resumes() {
    let place = corpus();
    let whole = place.run(args("tokenize", "expected"));
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let mut interrupted = 0;
    for k in 0..8 {
        let mut run = spawn(&mut place.command(args("tokenize", "d")));
        std::thread::sleep(Duration::from_millis(3 + 25 * k));
        run.kill().unwrap();
        run.wait().unwrap();
        interrupted += usize::from(place.path("d.partial").exists());
        made(&place, &args("tokenize", "d"), "expected");
    }
    assert!(interrupted > 0, "no kill came in time");
}

/// The text is the same, and what is stored is not.
#[test]
fn what_is_stored_is_verified() {
    let place = corpus();
    let whole = place.run(args("tokenize", "d"));
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let path = place.path("in/1.jsonl.gz");
    let mut bytes = fs::read(&path).unwrap();
    // The time in the header.
    bytes[5] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let line = "in/1.jsonl.gz: has changed since the dataset was made from it: its hash is \
                another; make the dataset again, or restore the file";
    place.run(["verify", "d", "--inputs", "in"]).failed(5, line);
}
