//! Units of Parquet files: shared among processes, resumed, repaired and verified.

use super::{Layout, parquet};
use crate::columnar::texts;
use crate::inputs::units;
use crate::support::Place;

const TOKENIZE: [&str; 6] = ["tokenize", "in", "--unit-size", "100kB", "--out", "d"];

#[test]
fn units_are_shared_resumed_and_repaired() {
    let place = Place::new();
    for index in 0..3 {
        let rows = texts(500 + index);
        place.write(format!("in/{index}.parquet"), parquet(&rows, Layout::PLAIN));
    }
    units::are_shared_resumed_and_repaired(&place);
}

#[test]
fn other_metadata_makes_other_units() {
    let place = Place::new();
    let mut bytes = parquet(&texts(500), Layout::PLAIN);
    place.write("in/a.parquet", &bytes);
    let done = place.run([&TOKENIZE[..], &["--units", "0/2"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    // The same pages: only the metadata at the end changes, in the name of the writer.
    let writer = b"parquet-rs version";
    let at = bytes.windows(writer.len()).rposition(|part| part == writer);
    bytes[at.unwrap()] = b'P';
    place.write("in/a.parquet", &bytes);
    let done = place.run([&TOKENIZE[..], &["--json"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.json()["units_done_before"], 0);
    let verified = place.run(["verify", "d", "--inputs", "in"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}
