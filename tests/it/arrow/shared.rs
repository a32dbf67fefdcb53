//! Units of Arrow files: shared among processes, resumed, repaired and verified.

use std::fs;

use super::{Layout, arrow};
use crate::columnar::texts;
use crate::inputs::units;
use crate::support::Place;

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
    units::are_shared_resumed_and_repaired(&place);
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
