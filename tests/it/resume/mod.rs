//! Runs that end early and runs that share the work: what is visible is always complete, what is
//! finished stays, and the bytes are those of one undisturbed run.

mod changes;
mod damages;
mod ends;
mod kills;
mod parts;
use crate::support;

use std::collections::BTreeMap;
use std::fs;

use support::{Done, Place, output_bytes, strace};

/// 40 kB in three sources; with these units, 8 shards, with the first source in several of them.
const TOKENIZE: [&str; 7] = [
    "tokenize",
    "in",
    "--unit-size",
    "5kB",
    "--threads",
    "1",
    "--out",
];

fn words(n: usize) -> String {
    let words = (0..n).map(|i| format!("word{}", i * 7919 % 1000));
    words.collect::<Vec<_>>().join(" ")
}

fn corpus() -> Place {
    let place = Place::new();
    let text = words(4000);
    place.write("in/a.txt", &text[..25_000]);
    let records: Vec<_> = (0..150)
        .map(|i| format!("{{\"text\":\"record {i} {}\"}}\n", &text[i..i + 40]))
        .collect();
    let records = records.concat();
    place.write("in/b.jsonl", records);
    place.write("in/c.txt", &text[..5000]);
    place.write("in/empty.txt", "");
    place
}

fn args<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&TOKENIZE[..], &[out], more].concat()
}

/// The bytes of an undisturbed run over `in`.
fn expected(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let done = place.run(args("expected", &[]));
    assert_eq!(done.code, Some(0), "{done:?}");
    let bytes = output_bytes(&place.path("expected"));
    assert_eq!(bytes.len(), 2 * SHARDS + 1);
    bytes
}

/// The number of units of the corpus.
const SHARDS: usize = 8;

/// Runs with `args` until a thread of the process makes its `k`-th call of one of `calls`, which
/// kills it; returns whether that happened. `None`, with a notice, if there is no strace.
fn killed_at(place: &Place, calls: &str, k: usize, args: &[&str]) -> Option<bool> {
    strace::killed_at(place, calls, k, args).map(|end| end.0.is_none())
}

/// Checks that a run to `out` leaves nothing, or everything.
#[track_caller]
fn assert_complete_or_absent(place: &Place, out: &str, expected: &BTreeMap<String, Vec<u8>>) {
    if place.path(out).exists() {
        assert!(
            output_bytes(&place.path(out)) == *expected,
            "{out} is incomplete"
        );
    }
}

/// Runs to `out` once more, which must make the expected bytes and leave nothing else.
#[track_caller]
fn finish_run(
    place: &Place,
    args: &[&str],
    out: &str,
    expected: &BTreeMap<String, Vec<u8>>,
) -> Done {
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        output_bytes(&place.path(out)) == *expected,
        "{out}: other bytes"
    );
    assert!(!place.path(format!("{out}.partial")).exists());
    done
}

/// The number of units that a run reports as done before it began.
fn done_before(done: &Done) -> u64 {
    let rest = done.stderr.split_once(" shards (").map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split_once(" done before)"))
        .map_or(0, |(n, _)| n.parse().unwrap())
}

fn receipts(place: &Place, directory: &str) -> usize {
    let Ok(entries) = fs::read_dir(place.path(directory)) else {
        return 0;
    };
    entries
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_str()
                .unwrap()
                .strip_prefix("shard-")
                .is_some_and(|rest| rest.contains(".json"))
        })
        .count()
}

/// Leaves a run to `d` that was killed after some units, at about the rename of the `k`-th receipt.
fn interrupted(place: &Place) -> Option<usize> {
    killed_at(place, "rename", 14, &args("d", &[]))?;
    let done = receipts(place, "d.partial");
    assert!((1..SHARDS).contains(&done), "{:?}", place.tree());
    Some(done)
}
