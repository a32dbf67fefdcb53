//! Units of inputs of any kind: shared among processes, resumed, repaired, and killed.

use std::fs;
use std::time::Duration;

use crate::support::{Place, output_bytes, spawn};

const IN_UNITS: [&str; 3] = ["in", "--unit-size", "100kB"];

fn args<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[command][..], &IN_UNITS, more].concat()
}

#[track_caller]
fn succeed(place: &Place, args: &[&str]) -> crate::support::Done {
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{args:?}: {done:?}");
    done
}

/// Runs to success, checks what is in `d`, and removes it.
#[track_caller]
fn made(place: &Place, args: &[&str]) {
    succeed(place, args);
    let same = output_bytes(&place.path("d")) == output_bytes(&place.path("expected"));
    assert!(same, "{args:?}");
    succeed(place, &["verify", "d", "--inputs", "in"]);
    fs::remove_dir_all(place.path("d")).unwrap();
}

/// Makes a dataset of the corpus `in`, at least six units, in every way that units can be made: each has
/// the bytes of an undisturbed run.
#[track_caller]
pub(crate) fn are_shared_resumed_and_repaired(place: &Place) {
    succeed(place, &args("tokenize", &["--out", "expected"]));
    let plan = succeed(place, &args("plan", &["--json"])).json();
    let units = plan["units"].as_array().unwrap().len();
    assert!(units > 6, "{units} units");

    for share in ["2/3", "0/3", "1/3"] {
        succeed(place, &args("tokenize", &["--out", "d", "--units", share]));
    }
    made(place, &["finish", "d"]);

    // Some units were made before, and one of them is damaged.
    succeed(place, &args("tokenize", &["--out", "d", "--units", "1/2"]));
    let resumed = succeed(place, &args("tokenize", &["--out", "d", "--json"]));
    assert_eq!(resumed.json()["units_done_before"], units / 2);
    let shard = place.path("d/shard-00003.u32");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[9] ^= 1;
    fs::write(&shard, bytes).unwrap();
    made(place, &args("tokenize", &["--out", "d", "--repair"]));

    // Kills at any time.
    let command = args("tokenize", &["--out", "d", "--threads", "1"]);
    let mut interrupted = 0;
    for after in [3, 10, 20, 35, 50, 80, 110, 140] {
        let mut child = spawn(&mut place.command(&command));
        std::thread::sleep(Duration::from_millis(after));
        child.kill().unwrap();
        child.wait().unwrap();
        interrupted += usize::from(place.path("d.partial").exists());
        made(place, &command);
    }
    assert!(interrupted > 0, "no kill came in time");
}
