//! Units of Parquet files: shared among processes, resumed, repaired and verified.

use std::fs;
use std::time::Duration;

use super::{Layout, parquet, texts};
use crate::support::{Place, output_bytes, spawn};

const UNIT: [&str; 3] = ["in", "--unit-size", "100kB"];

/// Three files, of more units.
fn corpus() -> Place {
    let place = Place::new();
    for index in 0..3 {
        let rows = texts(500 + index);
        place.write(format!("in/{index}.parquet"), parquet(&rows, Layout::PLAIN));
    }
    place
}

fn args<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[command][..], &UNIT, more].concat()
}

/// Runs to success, and compares what is in `d`.
#[track_caller]
fn made(place: &Place, args: &[&str]) {
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let same = output_bytes(&place.path("d")) == output_bytes(&place.path("expected"));
    assert!(same, "{args:?}");
    let verified = place.run(["verify", "d", "--inputs", "in"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn units_are_shared_resumed_and_repaired() {
    let place = corpus();
    let whole = place.run(args("tokenize", &["--out", "expected"]));
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let plan = place.run(args("plan", &["--json"])).json();
    let units = plan["units"].as_array().unwrap().len();
    assert!(units > 6, "{units}");

    for share in ["1/2", "0/2"] {
        let done = place.run(args("tokenize", &["--out", "d", "--units", share]));
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    made(&place, &["finish", "d"]);

    // A shard that is damaged is made again.
    let shard = place.path("d/shard-00002.u32");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[9] ^= 1;
    fs::write(&shard, bytes).unwrap();
    made(&place, &args("tokenize", &["--out", "d", "--repair"]));
    fs::remove_dir_all(place.path("d")).unwrap();

    // Kills at any time.
    let mut hits = 0;
    for after in [5, 20, 40, 60] {
        let command = args("tokenize", &["--out", "d", "--threads", "1"]);
        let mut child = spawn(&mut place.command(&command));
        std::thread::sleep(Duration::from_millis(after));
        hits += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        made(&place, &command);
        fs::remove_dir_all(place.path("d")).unwrap();
    }
    assert!(hits > 0, "no kill hit");
}

#[test]
fn other_metadata_makes_other_units() {
    let place = Place::new();
    let mut bytes = parquet(&texts(500), Layout::PLAIN);
    place.write("in/a.parquet", &bytes);
    let done = place.run(args("tokenize", &["--out", "d", "--units", "0/2"]));
    assert_eq!(done.code, Some(0), "{done:?}");
    // The same pages: only the metadata at the end changes, in the name of the writer.
    let writer = b"parquet-rs version";
    let at = bytes.windows(writer.len()).rposition(|part| part == writer);
    bytes[at.unwrap()] = b'P';
    place.write("in/a.parquet", &bytes);
    let done = place.run(args("tokenize", &["--out", "d", "--json"]));
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.json()["units_done_before"], 0);
    let verified = place.run(["verify", "d", "--inputs", "in"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}
