//! The lists of bad records are the same however the work is cut or interrupted.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use shardmill::dataset::bad_records;
use shardmill::{Stats, verify};

use super::{corpus, tokenize};
use crate::support::{Place, output_bytes, skipped};

#[test]
fn lists_are_the_same_whatever_the_threads_and_the_units() {
    let (place, expected) = corpus();
    let mut one = BTreeMap::new();
    for (unit, shards) in [("256MiB", 1), ("700KiB", 5), ("1B", 0)] {
        if unit == "1B" {
            // One unit per line, for the small sources only.
            place.write("in/a.jsonl", "{\"text\":\"one\"}\n");
        }
        for threads in ["1", "2", "7"] {
            let more = ["--unit-size", unit, "--threads", threads, "--overwrite"];
            let done = place.run(tokenize("in", "d", &more));
            assert_eq!(done.code, Some(0), "{done:?}");
            verify(&place.path("d"), &Stats::default()).unwrap();
            let files = output_bytes(&place.path("d"));
            if threads == "1" {
                one.clone_from(&files);
            }
            assert!(files == one, "{threads} threads, units of {unit}");
        }
        let found = bad_records(&place.path("d"), 1 << 20).unwrap();
        if shards > 0 {
            assert_eq!(found, expected, "{unit}");
            let lists = one
                .keys()
                .filter(|name| name.ends_with(".bad.jsonl"))
                .count();
            assert_eq!(lists, shards, "{unit}");
        } else {
            let small: Vec<_> = expected
                .iter()
                .filter(|bad| bad.source > 0)
                .cloned()
                .collect();
            assert_eq!(found, small);
        }
    }
}

#[test]
fn a_stream_gives_the_list_of_the_file() {
    let (place, _) = corpus();
    let bytes = place.read("in/a.jsonl");
    for unit in ["256MiB", "700KiB"] {
        let more = ["--unit-size", unit, "--overwrite"];
        let done = place.run(tokenize("in/a.jsonl", "file", &more));
        assert_eq!(done.code, Some(0), "{done:?}");
        let more = [&more[..], &["--input-format", "jsonl"]].concat();
        let done = place.run_with(tokenize("-", "stream", &more), &bytes);
        assert_eq!(done.code, Some(0), "{done:?}");
        let [mut file, stream] =
            ["file", "stream"].map(|out| bad_records(&place.path(out), 1 << 20).unwrap());
        assert!(file.len() > 400);
        for record in &mut file {
            "-".clone_into(&mut record.name);
        }
        assert_eq!(stream, file);
    }
}

#[test]
#[ignore = "reads 4 GiB, most of them holes"]
fn lines_are_counted_for_units_in_the_first_4_gib_of_a_source() {
    let place = Place::new();
    let path = place.write("a.jsonl", "bad\n");
    // A line of NULs, and where the unit after it begins.
    for (end, is_counted) in [
        ((4 << 30) - 99, true),
        (4 << 30, true),
        ((4 << 30) + 1, false),
    ] {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(end - 1).unwrap();
        file.write_all_at(b"\nbad\nbad\n", end - 1).unwrap();
        for threads in ["1", "2"] {
            let more = ["--unit-size", "1GiB", "--threads", threads, "--overwrite"];
            let done = place.run(tokenize("a.jsonl", "d", &more));
            assert_eq!(done.code, Some(0), "{done:?}");
            let found = bad_records(&place.path("d"), 9).unwrap();
            let lines: Vec<_> = found.iter().map(|bad| bad.line).collect();
            let [third, fourth] = [3, 4].map(|line| Some(line).filter(|_| is_counted));
            assert_eq!(lines, [Some(1), Some(2), third, fourth], "{end}");
            assert_eq!(found[2].byte_start, end);
        }
        file.set_len(4).unwrap();
    }
}

/// The bytes of an undisturbed run over the corpus in units of 300 KiB, and its arguments.
fn undisturbed(place: &Place) -> (BTreeMap<String, Vec<u8>>, [&'static str; 4]) {
    let more = ["--unit-size", "300KiB", "--threads", "1"];
    let done = place.run(tokenize("in", "expected", &more));
    assert_eq!(done.code, Some(0), "{done:?}");
    (output_bytes(&place.path("expected")), more)
}

#[test]
fn processes_that_share_the_units_make_the_lists_of_one() {
    let (place, expected) = corpus();
    let (files, more) = undisturbed(&place);
    let mut counted = 0;
    for part in ["1/2", "0/2"] {
        let more = [&more[..], &["--units", part, "--json"]].concat();
        let done = place.run(tokenize("in", "d", &more));
        assert_eq!(done.code, Some(0), "{done:?}");
        let first = done.stderr.lines().next().unwrap();
        assert!(
            first.starts_with("shardmill: left out: in/a.jsonl: line "),
            "{done:?}"
        );
        let counts = done.json()["bad_records"].clone();
        let counts = counts.as_object().unwrap().values();
        counted += counts.map(|count| count.as_u64().unwrap()).sum::<u64>();
    }
    assert_eq!(counted, expected.len() as u64);
    // Damaged units are not published.
    let list = place.path("d.partial/new/shard-00001.bad.jsonl");
    let bytes = fs::read(&list).unwrap();
    let mut damaged = bytes.clone();
    damaged[9] ^= 1;
    fs::write(&list, damaged).unwrap();
    let line = "d.partial/new/shard-00001.bad.jsonl: damaged in the 16 MiB block 0, from byte 0";
    assert!(place.run(["finish", "d"]).stderr.contains(line));
    fs::write(&list, bytes).unwrap();
    let done = place.run(["finish", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains(" bad records ("), "{done:?}");
    assert!(output_bytes(&place.path("d")) == files);
    assert!(!place.path("d.partial").exists());
}

/// Runs the program under strace with these options; `None`, with a notice, if there is no strace.
fn strace(place: &Place, options: &[&str], args: &[&str]) -> Option<bool> {
    let done = Command::new("strace")
        .args(["-f", "-qq", "-y"])
        .args(options)
        .arg(env!("CARGO_BIN_EXE_shardmill"))
        .args(args)
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match done {
        Ok(status) => Some(status.success()),
        Err(error) => {
            skipped(
                "system calls of runs with bad records",
                &format!("strace: {error}"),
            );
            None
        }
    }
}

#[test]
fn a_run_that_was_killed_goes_on_to_the_same_lists() {
    let (place, _) = corpus();
    let (files, more) = undisturbed(&place);
    let args = tokenize("in", "d", &more);
    for k in (1..).step_by(7) {
        let inject = format!("inject=rename:signal=SIGKILL:when={k}");
        let options = ["-o", "/dev/null", "-e", "trace=rename", "-e", &inject];
        let Some(ended) = strace(&place, &options, &args) else {
            return;
        };
        if place.path("d").exists() {
            assert!(output_bytes(&place.path("d")) == files);
        }
        let done = place.run(&args);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(output_bytes(&place.path("d")) == files, "rename {k}");
        assert!(!place.path("d.partial").exists());
        fs::remove_dir_all(place.path("d")).unwrap();
        if ended {
            assert!(k > 20, "{k}");
            break;
        }
    }
}

#[test]
fn a_list_is_on_the_disk_before_the_receipt() {
    let (place, _) = corpus();
    let log = place.path("strace.log");
    let options = ["-o", log.to_str().unwrap(), "-e", "trace=fsync,rename"];
    if strace(&place, &options, &tokenize("in", "d", &[])).is_none() {
        return;
    }
    let calls = fs::read_to_string(log).unwrap();
    let at = |call: &str, what: &str| {
        let found = calls
            .lines()
            .position(|line| line.contains(call) && line.contains(what));
        found.unwrap_or_else(|| panic!("no {call} of {what} in\n{calls}"))
    };
    let synced = at("fsync(", "/.shard-00000.bad.jsonl.tmp-");
    let named = at("rename(", "/shard-00000.bad.jsonl\"");
    let receipt = at("rename(", "/shard-00000.json\"");
    let directory = calls.lines().enumerate().position(|(at, line)| {
        at > named && line.contains("fsync(") && line.contains("d.partial/new>")
    });
    assert!(synced < named && named < receipt, "{calls}");
    assert!(directory.is_some_and(|at| at < receipt), "{calls}");
}
