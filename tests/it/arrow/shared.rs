//! Units of Arrow files: shared among processes, resumed, repaired and verified.

use std::fs;

use super::{Layout, arrow};
use crate::parquet::texts;
use crate::support::{Place, output_bytes};

#[test]
fn units_are_shared_resumed_and_repaired() {
    let place = Place::new();
    for index in 0..3 {
        let layout = Layout {
            is_file: index == 1,
            is_compressed: index == 2,
            ..Layout::PLAIN
        };
        let rows = texts(500 + index);
        place.write(format!("in/{index}.arrow"), arrow(&rows, layout));
    }
    let run = |command: &str, more: &[&str]| {
        let args = [&[command, "in", "--unit-size", "100kB"][..], more].concat();
        let done = place.run(args);
        assert_eq!(done.code, Some(0), "{done:?}");
        done
    };
    run("tokenize", &["--out", "expected"]);
    let units = run("plan", &["--json"]).json()["units"]
        .as_array()
        .unwrap()
        .len();
    assert!(units > 6, "{units}");
    let check = || {
        let same = output_bytes(&place.path("d")) == output_bytes(&place.path("expected"));
        assert!(same);
        let verified = place.run(["verify", "d", "--inputs", "in"]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
    };
    for share in ["1/2", "0/2"] {
        run("tokenize", &["--out", "d", "--units", share]);
    }
    let done = place.run(["finish", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    check();
    // A shard that is damaged is made again.
    let shard = place.path("d/shard-00002.u32");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[9] ^= 1;
    fs::write(&shard, bytes).unwrap();
    run("tokenize", &["--out", "d", "--repair"]);
    check();
    fs::remove_dir_all(place.path("d")).unwrap();
    // Half of the units were made before.
    run("tokenize", &["--out", "d", "--units", "0/2"]);
    let done = run("tokenize", &["--out", "d", "--json"]);
    assert!(done.json()["units_done_before"].as_u64().unwrap() > 2);
    check();
}

#[test]
fn another_schema_makes_other_units() {
    let place = Place::new();
    for is_file in [false, true] {
        let layout = Layout {
            is_file,
            ..Layout::PLAIN
        };
        let mut bytes = arrow(&texts(500), layout);
        place.write("in/a.arrow", &bytes);
        let args = ["tokenize", "in", "--unit-size", "100kB", "--out", "d"];
        let done = place.run([&args[..], &["--units", "0/2"]].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        // The same record batches: only the name of another column changes, where it counts.
        let mut names = bytes
            .windows(4)
            .enumerate()
            .filter(|(_, name)| name == b"code");
        let at = if is_file {
            names.next_back()
        } else {
            names.next()
        };
        let at = at.unwrap().0;
        bytes[at] = b'm';
        place.write("in/a.arrow", &bytes);
        let done = place.run([&args[..], &["--json"]].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(done.json()["units_done_before"], 0);
        fs::remove_dir_all(place.path("d")).unwrap();
    }
}
