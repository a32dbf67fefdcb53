//! Processes that share the units of one plan.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::damages::{DAMAGES, flip};
use super::{SHARDS, TOKENIZE, args, corpus, done_before, expected, finish_run};
use crate::support::{Done, Place, output_bytes, spawn};

/// Runs one part of the units.
#[track_caller]
fn part(place: &Place, units: &str) -> Done {
    let done = place.run(args("d", &["--units", units]));
    assert_eq!(done.code, Some(0), "{done:?}");
    done
}

#[test]
fn processes_that_share_the_units_give_the_bytes_of_one() {
    let place = corpus();
    let expected = expected(&place);
    let mut first = place.command(args("d", &["--units", "0/3"]));
    let mut second = place.command(args("d", &["--units", "1/3"]));
    let mut twice = place.command(args("d", &["--units", "1/3"]));
    let mut killed = place.command(args("d", &["--units", "2/3"]));
    let running = [&mut first, &mut second, &mut twice].map(spawn);
    let mut killed = spawn(&mut killed);
    std::thread::sleep(Duration::from_millis(12));
    killed.kill().unwrap();
    killed.wait().unwrap();
    for child in running {
        let done = Done::new(child.wait_with_output().unwrap());
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    assert!(!place.path("d").exists(), "a part does not publish");
    let done = part(&place, "2/3");
    let end = "none left, run `shardmill finish` to publish; ";
    assert!(done.stderr.contains(end), "{done:?}");
    // The inputs are no longer needed.
    fs::remove_dir_all(place.path("in")).unwrap();
    let status = place.run(["status", "d", "--json"]).json();
    assert_eq!(status["partial"]["done"].as_array().unwrap().len(), SHARDS);
    finish_run(&place, &["finish", "d"], "d", &expected);
    let verified = place.run(["verify", "d"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let there = place.run(["finish", "d"]);
    assert!(there.stderr.contains("was there already"), "{there:?}");
}

#[test]
fn finish_names_missing_and_damaged_units_and_changes_nothing() {
    let place = corpus();
    let expected = expected(&place);
    let none = "d: nothing to finish: no units found; run `tokenize --units` first";
    place.run(["finish", "d"]).failed(1, none);
    part(&place, "0/3");
    let before = place.tree();
    let missing = "d.partial: 5 of 8 units not done: 1, 2, 4, 5, 7; run `tokenize --units` for \
                   them, or `tokenize` alone for all that is left";
    place.run(["finish", "d"]).failed(1, missing);
    assert_eq!(place.tree(), before);
    part(&place, "1/3");
    part(&place, "2/3");
    flip(&place.path("d.partial/new/shard-00004.u32"), 8);
    let before = place.tree();
    let damaged = "d.partial/new/shard-00004.u32: damaged in the 16 MiB block 0, from byte 0";
    place.run(["finish", "d"]).failed(1, damaged);
    assert_eq!(place.tree(), before);
    for (_, damage) in DAMAGES {
        let broken = place.path("broken.partial");
        fs::create_dir_all(broken.join("new")).unwrap();
        for (name, bytes) in output_bytes(&place.path("d.partial")) {
            fs::write(broken.join(name), bytes).unwrap();
        }
        damage(&broken);
        let done = place.run(["finish", "broken"]);
        assert_eq!(
            (done.code, done.stderr.lines().count()),
            (Some(1), 1),
            "{done:?}"
        );
        assert!(!place.path("broken").exists());
        fs::remove_dir_all(broken).unwrap();
    }
    let done = part(&place, "1/3");
    assert!(
        done.stderr.contains("d: 3 units (2 done before)"),
        "{done:?}"
    );
    finish_run(&place, &["finish", "d"], "d", &expected);
}

#[test]
fn a_run_without_units_goes_on_with_those_that_are_there() {
    let place = corpus();
    let expected = expected(&place);
    part(&place, "1/4");
    let done = finish_run(&place, &args("d", &[]), "d", &expected);
    assert_eq!(done_before(&done), 2);
}

#[test]
fn parts_of_another_plan_or_of_other_contents_are_refused() {
    let place = corpus();
    part(&place, "0/2");
    let before = place.tree();
    let done = place.run(args("d", &["--units", "1/2", "--eot", "none"]));
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("--eot was after and is none"),
        "{done:?}"
    );
    let mut a = place.read("in/a.txt");
    a[4990..5030].fill(b'x');
    place.write("in/a.txt", a);
    let other = "d.partial: has a plan for inputs of the same sizes and other contents; give all \
                 processes the same inputs, or run `tokenize` alone to make again what changed";
    place.run(args("d", &["--units", "1/2"])).failed(1, other);
    assert_eq!(place.tree(), before);
    let stream = "--units: a stream cannot be shared: each process would have to read all of it";
    place
        .run_with(["tokenize", "-", "--out", "x", "--units", "0/2"], b"a")
        .failed(2, stream);
    assert_eq!(place.tree(), before);
}

#[test]
fn an_input_edited_between_two_processes_is_refused_by_finish() {
    for (what, edit) in [
        ("of other content", 0..9),
        (
            "modified in between, or copied with another time",
            12_500..12_509,
        ),
    ] {
        let place = corpus();
        part(&place, "0/2");
        let mut a = place.read("in/a.txt");
        // Same length as before, with the same places to cut.
        for byte in &mut a[edit] {
            *byte = if *byte == b' ' { b' ' } else { b'x' };
        }
        place.write("in/a.txt", a);
        part(&place, "1/2");
        let before = place.tree();
        let line = format!(
            "d.partial: units 0 and 1 were made from different versions of 'a.txt': {what}; run \
             `tokenize` alone, which reads the inputs again and makes again what changed"
        );
        place.run(["finish", "d"]).failed(1, &line);
        assert_eq!(place.tree(), before);
        let expected = expected(&place);
        // Each process may also recheck what it made.
        if what == "of other content" {
            part(&place, "0/2");
            finish_run(&place, &["finish", "d"], "d", &expected);
        } else {
            let done = finish_run(&place, &args("d", &[]), "d", &expected);
            assert!(done_before(&done) >= SHARDS as u64 - 1, "{done:?}");
        }
    }
}

#[test]
fn a_whole_run_and_finish_wait_for_nobody() {
    let place = corpus();
    part(&place, "0/2");
    let directory = fs::File::open(place.path("d.partial")).unwrap();
    directory.lock_shared().unwrap();
    let locked = "d.partial: another run is writing here; wait for it to end or choose another \
                  --out";
    place.run(args("d", &[])).failed(4, locked);
    place.run(["finish", "d"]).failed(4, locked);
    let status = place.run(["status", "d", "--json"]).json();
    assert_eq!(status["partial"]["is_locked"], true);
    // Another part has a piece of it.
    part(&place, "1/2");
    directory.unlock().unwrap();
    directory.lock().unwrap();
    place.run(args("d", &["--units", "1/2"])).failed(4, locked);
    directory.unlock().unwrap();
    assert_eq!(place.run(["finish", "d"]).code, Some(0));
}

#[test]
fn the_plan_and_the_status_say_what_a_run_does() {
    let place = corpus();
    let mut args = vec!["plan"];
    args.extend(&TOKENIZE[1..4]);
    let done = place.run(&args).said(&[]);
    let first = done.text().lines().next().unwrap().to_owned();
    args.push("--json");
    let plan = place.run(&args).json();
    let units = plan["units"].as_array().unwrap();
    assert_eq!(units.len(), SHARDS);
    assert!(
        first.starts_with("8 units from ") && first.ends_with(" in 4 sources"),
        "{first}"
    );
    part(&place, "0/2");
    let status = place.run(["status", "d"]).said(&[]);
    assert!(
        status
            .text()
            .starts_with("d: being made, 4 of 8 units done, "),
        "{status:?}"
    );
    assert!(
        status
            .text()
            .ends_with("; no run is at work\nmissing  1, 3, 5, 7\n"),
        "{status:?}"
    );
    let status = place.run(["status", "d", "--json"]).json();
    assert_eq!(status["partial"]["plan_id"], plan["plan_id"]);
    part(&place, "1/2");
    finish_run(&place, &["finish", "d"], "d", &expected(&place));
    let manifest: Value = serde_json::from_slice(&place.read("d/manifest.json")).unwrap();
    let shards = manifest["shards"].as_array().unwrap().iter();
    assert!(
        shards
            .zip(units)
            .all(|(a, b)| a["start"] == b["start"] && a["end"] == b["end"])
    );
    let status = place.run(["status", "d"]).said(&[]);
    let id = manifest["dataset_id"].as_str().unwrap();
    assert_eq!(status.text(), format!("d: published, dataset {id}\n"));
    let none = "nope: is no dataset, and no run is making one there";
    place.run(["status", "nope"]).failed(1, none);
}
