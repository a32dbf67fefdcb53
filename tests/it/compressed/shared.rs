//! Units of compressed sources: shared among processes, resumed, repaired and verified.

use std::fs;

use super::{all, pack, records, thirds};
use crate::common_dataset::text;
use crate::inputs::units;
use crate::support::Place;

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

#[test]
fn units_are_shared_resumed_and_repaired() {
    units::are_shared_resumed_and_repaired(&corpus());
}

/// The text is the same, and what is stored is not.
#[test]
fn what_is_stored_is_verified() {
    let place = corpus();
    let whole = place.run(["tokenize", "in", "--unit-size", "100kB", "--out", "d"]);
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
