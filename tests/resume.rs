//! Runs that end early and runs that share the work: what is visible is complete at any moment,
//! what is finished stays, and the bytes are those of one undisturbed run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Done, Place, output_bytes, skipped, spawn, tree};

/// 40 kB in three sources; with these units 8 shards, the first source in several of them.
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

/// Units of the corpus.
const SHARDS: usize = 8;

/// Runs with `args` until a thread of the process makes its `k`-th call of one of `calls`, which
/// kills it; says whether it came to that. `None`, said aloud, where there is no strace.
fn killed_at(place: &Place, calls: &str, k: usize, args: &[&str]) -> Option<bool> {
    let inject = format!("inject={calls}:signal=SIGKILL:when={k}");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject]);
    strace.args(["-e", &format!("trace={calls}")]);
    let done = strace
        .arg(env!("CARGO_BIN_EXE_shardmill"))
        .args(args)
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match done {
        Ok(status) => Some(!status.success()),
        Err(error) => {
            skipped("a kill at a system call", &format!("strace: {error}"));
            None
        }
    }
}

/// What a run to `out` leaves is nothing, or everything.
#[track_caller]
fn assert_complete_or_absent(place: &Place, out: &str, expected: &BTreeMap<String, Vec<u8>>) {
    if place.path(out).exists() {
        assert!(
            output_bytes(&place.path(out)) == *expected,
            "{out} is incomplete"
        );
    }
}

/// Runs to `out` once more, which must give the expected bytes and leave nothing else.
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

/// Units that a run says were done before it began.
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

/// Leaves a run to `d` killed after some units: at the rename of the `k`-th receipt or so.
fn interrupted(place: &Place) -> Option<usize> {
    killed_at(place, "rename", 14, &args("d", &[]))?;
    let done = receipts(place, "d.partial");
    assert!((1..SHARDS).contains(&done), "{:?}", place.tree());
    Some(done)
}

#[test]
fn a_kill_at_each_rename_or_sync_costs_no_finished_unit() {
    let place = corpus();
    let expected = expected(&place);
    let mut most = 0;
    for (calls, step) in [("rename", 4), ("fsync", 9), ("renameat2", 1)] {
        for k in (1..).step_by(step) {
            let out = format!("{calls}-{k}");
            let args = args(&out, &[]);
            let Some(was_killed) = killed_at(&place, calls, k, &args) else {
                return;
            };
            assert_complete_or_absent(&place, &out, &expected);
            let left = receipts(&place, &format!("{out}.partial")) as u64;
            most = most.max(left);
            let was_published = place.path(&out).exists();
            let done = finish_run(&place, &args, &out, &expected);
            if !was_published {
                assert!(done_before(&done) >= left, "{done:?}");
            }
            if calls == "renameat2" && was_killed {
                // Complete, its receipts gone, not visible yet.
                assert_eq!((left, done_before(&done)), (0, SHARDS as u64), "{done:?}");
            }
            if !was_killed {
                break;
            }
        }
    }
    assert!(most >= 6, "only {most} units were finished before a kill");
}

#[test]
fn a_kill_at_any_moment_gives_the_same_bytes() {
    let place = corpus();
    let expected = expected(&place);
    for k in 0..10_u64 {
        let mut run = spawn(&mut place.command(args("d", &[])));
        std::thread::sleep(Duration::from_micros(2_000 + 2_500 * k));
        run.kill().unwrap();
        run.wait().unwrap();
        assert_complete_or_absent(&place, "d", &expected);
        finish_run(&place, &args("d", &[]), "d", &expected);
        fs::remove_dir_all(place.path("d")).unwrap();
    }
}

#[test]
fn units_of_another_plan_are_refused_by_the_first_difference() {
    let place = corpus();
    let Some(done) = interrupted(&place) else {
        return;
    };
    let before = place.tree();
    let refused = |difference: &str, args: &[&str]| {
        let line = format!(
            "d.partial: holds {done} finished units of another run: {difference}; run that command \
             again to go on with it, add --overwrite to discard it or choose another --out"
        );
        place.run(args).failed(1, &line);
        assert_eq!(place.tree(), before);
    };
    refused(
        "--eot was after and is before",
        &args("d", &["--eot", "before"]),
    );
    refused(
        "--encoding was gpt2 and is o200k_base",
        &args("d", &["--encoding", "o200k_base"]),
    );
    refused(
        "--unit-size was 5000 bytes and is 6000 bytes",
        &["tokenize", "in", "--unit-size", "6kB", "--out", "d"],
    );
    refused(
        "there were 4 sources and are 1",
        &["tokenize", "in/a.txt", "--unit-size", "5kB", "--out", "d"],
    );
    let c = place.read("in/c.txt");
    place.write("in/c.txt", &c[..4999]);
    refused(
        "source 2 was 'c.txt' (text, 5000 bytes) and is 'c.txt' (text, 4999 bytes)",
        &args("d", &[]),
    );
    place.write("in/c.txt", c);
    // It may be discarded.
    let done = place.run(args("d", &["--eot", "before", "--overwrite"]));
    assert_eq!((done.code, done_before(&done)), (Some(0), 0), "{done:?}");
    assert!(!place.path("d.partial").exists());
}

#[test]
fn a_plan_without_finished_units_is_replaced() {
    let place = corpus();
    let expected = expected(&place);
    let before = args("d", &["--eot", "before"]);
    if killed_at(&place, "rename", 2, &before).is_none() {
        return;
    }
    assert!(place.path("d.partial/plan.json").exists());
    finish_run(&place, &args("d", &[]), "d", &expected);
}

#[test]
fn a_source_that_changed_under_the_same_size_is_noticed() {
    let place = corpus();
    let Some(done) = interrupted(&place) else {
        return;
    };
    let mut a = place.read("in/a.txt");
    // In the first unit; the cuts stay where they are.
    a[100] = b'W';
    place.write("in/a.txt", a);
    let expected = expected(&place);
    let after = finish_run(&place, &args("d", &[]), "d", &expected);
    assert_eq!(done_before(&after), done as u64 - 1, "{after:?}");
}

#[test]
fn other_cuts_under_the_same_sizes_give_the_bytes_of_one_run() {
    let place = corpus();
    if interrupted(&place).is_none() {
        return;
    }
    let mut a = place.read("in/a.txt");
    a[4990..5030].fill(b'x');
    place.write("in/a.txt", a);
    let expected = expected(&place);
    finish_run(&place, &args("d", &[]), "d", &expected);
}

/// Damages done to the first unit of an interrupted run.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 12] = [
    ("a changed token", |dir| {
        flip(&dir.join("shard-00000.u32"), 40);
    }),
    ("a changed record", |dir| {
        flip(&dir.join("shard-00000.docs"), 3);
    }),
    ("a short file", |dir| {
        truncate(&dir.join("shard-00000.u32"));
    }),
    ("a missing file", |dir| {
        fs::remove_file(dir.join("shard-00000.docs")).unwrap();
    }),
    ("a file of 1 TiB", |dir| {
        let docs = fs::File::options()
            .write(true)
            .open(dir.join("shard-00000.docs"));
        docs.unwrap().set_len(1 << 40).unwrap();
    }),
    ("a link for a file", |dir| {
        let file = dir.join("shard-00000.u32");
        fs::rename(&file, dir.join("../elsewhere")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", file).unwrap();
    }),
    ("a short receipt", |dir| {
        truncate(&dir.join("shard-00000.json"));
    }),
    ("no receipt at all", |dir| {
        fs::remove_file(dir.join("shard-00000.json")).unwrap();
    }),
    ("the receipt of another unit", |dir| {
        fs::copy(dir.join("shard-00001.json"), dir.join("shard-00000.json")).unwrap();
    }),
    ("a receipt of 2 GiB", |dir| {
        let receipt = fs::File::options()
            .write(true)
            .open(dir.join("shard-00000.json"));
        receipt.unwrap().set_len(2 << 30).unwrap();
    }),
    ("a pipe for a file", |dir| {
        let file = dir.join("shard-00000.docs");
        fs::remove_file(&file).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(&file)
                .status()
                .unwrap()
                .success()
        );
    }),
    ("a changed receipt", |dir| {
        let path = dir.join("shard-00000.json");
        let receipt = fs::read_to_string(&path).unwrap();
        let mut value: Value = serde_json::from_str(&receipt).unwrap();
        let hash = &mut value["done"]["shard"]["text_bytes"];
        *hash = (hash.as_u64().unwrap() + 1).into();
        fs::write(&path, value.to_string()).unwrap();
    }),
];

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 4).unwrap();
}

#[test]
fn a_damaged_unit_is_made_again() {
    let place = corpus();
    let expected = expected(&place);
    for (what, damage) in DAMAGES {
        let Some(done) = interrupted(&place) else {
            return;
        };
        damage(&place.path("d.partial"));
        let after = finish_run(&place, &args("d", &[]), "d", &expected);
        assert_eq!(done_before(&after), done as u64 - 1, "{what}: {after:?}");
        fs::remove_dir_all(place.path("d")).unwrap();
    }
}

#[test]
fn a_damaged_plan_is_refused_until_it_may_be_discarded() {
    let place = corpus();
    let expected = expected(&place);
    let Some(done) = interrupted(&place) else {
        return;
    };
    let plan = place.read("d.partial/plan.json");
    let text = String::from_utf8(plan.clone()).unwrap();
    let hostile: [(&str, Vec<u8>); 5] = [
        (
            "is not a plan: EOF while parsing",
            plan[..plan.len() / 2].to_vec(),
        ),
        (
            "its plan_id is not its hash",
            text.replace("\"a.txt\"", "\"../a\"").into(),
        ),
        (
            "has format version 7",
            text.replacen("version\": 1", "version\": 7", 1).into(),
        ),
        (
            "does not follow the one before",
            text.replacen("\"byte\": 0", "\"byte\": 1", 2)
                .replacen("\"byte\": 1", "\"byte\": 0", 1)
                .into(),
        ),
        ("is not a plan: ", vec![b'['; 200_000]),
    ];
    for (what, bytes) in hostile {
        place.write("d.partial/plan.json", bytes);
        let done = place.run(args("d", &[]));
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stderr.contains(what), "{what}: {done:?}");
        assert!(done.stderr.contains("add --overwrite"), "{done:?}");
    }
    let huge = fs::File::create(place.path("d.partial/plan.json")).unwrap();
    huge.set_len(9 << 30).unwrap();
    let refused = place.run(args("d", &[]));
    assert!(refused.stderr.contains("a plan has at most"), "{refused:?}");
    assert_eq!(receipts(&place, "d.partial"), done);
    let after = finish_run(&place, &args("d", &["--overwrite"]), "d", &expected);
    assert_eq!(done_before(&after), 0);
}

#[test]
fn an_error_keeps_finished_units_and_says_how_to_go_on() {
    let place = corpus();
    let good = place.read("in/c.txt");
    let mut bad = good.clone();
    bad[4000] = 0xff;
    let expected = expected(&place);
    place.write("in/c.txt", bad);
    let done = place.run(args("d", &[]));
    assert_eq!(done.code, Some(1), "{done:?}");
    let lines: Vec<_> = done.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{done:?}");
    assert!(
        lines[0].contains("in/c.txt: byte 4000: invalid UTF-8"),
        "{done:?}"
    );
    let left = receipts(&place, "d.partial");
    assert!(left >= 5, "{:?}", place.tree());
    let next = format!(
        "shardmill: {left} of {SHARDS} units are done; run the same command again to go on"
    );
    assert_eq!(lines[1], next);
    // Finished units and their plan, and nothing else.
    assert_eq!(tree(&place.path("d.partial")).len(), 3 * left + 1);
    place.write("in/c.txt", good);
    let after = finish_run(&place, &args("d", &[]), "d", &expected);
    assert_eq!(done_before(&after), left as u64);
}

#[test]
fn an_error_before_the_first_unit_is_done_leaves_nothing() {
    let place = corpus();
    place.write("in/a.txt", b"\xff");
    let before = place.tree();
    let done = place.run(args("d", &[]));
    assert_eq!(
        (done.code, done.stderr.lines().count()),
        (Some(1), 1),
        "{done:?}"
    );
    assert_eq!(place.tree(), before);
}

#[test]
fn a_signal_stops_a_run_with_its_number_and_leaves_what_is_done() {
    let place = Place::new();
    // Long enough that a signal comes in the middle of it.
    let text = words(400_000);
    for n in 0..8 {
        place.write(format!("in/{n}.txt"), &text);
    }
    let args = ["tokenize", "in", "--unit-size", "1MiB", "--out", "d"];
    for (signal, number) in [("INT", 130), ("TERM", 143)] {
        let run = spawn(&mut place.command(args));
        while receipts(&place, "d.partial") == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        let kill = Command::new("kill")
            .args([&format!("-{signal}"), &run.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let done = Done::new(run.wait_with_output().unwrap());
        assert_eq!(done.code, Some(number), "{done:?}");
        let left = receipts(&place, "d.partial");
        let lines = format!("shardmill: error: stopped by SIG{signal}\nshardmill: {left} of ");
        assert!(done.stderr.starts_with(&lines), "{done:?}");
        assert_eq!(tree(&place.path("d.partial")).len(), 3 * left + 1);
        fs::remove_dir_all(place.path("d.partial")).unwrap();
    }
}

#[test]
fn a_stream_leaves_nothing_when_it_fails() {
    let place = Place::new();
    let mut text = "some words ".repeat(2000).into_bytes();
    text.push(0xff);
    let done = place.run_with(["tokenize", "-", "--unit-size", "1kB", "--out", "d"], &text);
    assert_eq!(
        (done.code, done.stderr.lines().count()),
        (Some(1), 1),
        "{done:?}"
    );
    assert_eq!(place.tree(), [""; 0]);
}

#[test]
fn a_killed_run_with_embeddings_goes_on_with_its_dataset() {
    let place = corpus();
    let embed = ["--init-seed", "1", "--dim", "4", "--seq-len", "8"];
    let run = |out| [&["run"], &args(out, &embed)[1..]].concat();
    let done = place.run(run("expected"));
    assert_eq!(done.code, Some(0), "{done:?}");
    let expected = output_bytes(&place.path("expected"));
    // The directory of the embeddings is made when the dataset is done.
    for k in 1..5 {
        let Some(was_killed) = killed_at(&place, "mkdir", k, &run("d")) else {
            return;
        };
        assert!(was_killed, "{:?}", place.tree());
        if receipts(&place, "d.partial") == SHARDS {
            break;
        }
    }
    assert_eq!(receipts(&place, "d.partial"), SHARDS);
    let after = finish_run(&place, &run("d"), "d", &expected);
    assert_eq!(done_before(&after), SHARDS as u64);
}

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
    let end = "all 8 are done, shardmill finish publishes them; ";
    assert!(done.stderr.contains(end), "{done:?}");
    // The inputs are not needed any more.
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
    let none = "d: is not being made: no unit of it is there; run tokenize --units first";
    place.run(["finish", "d"]).failed(1, none);
    part(&place, "0/3");
    let before = place.tree();
    let missing = "d.partial: 5 of 8 units are not done: 1, 2, 4, 5, 7; run tokenize --units for \
                   them, or without --units for all that is left";
    place.run(["finish", "d"]).failed(1, missing);
    assert_eq!(place.tree(), before);
    part(&place, "1/3");
    part(&place, "2/3");
    flip(&place.path("d.partial/shard-00004.u32"), 8);
    let before = place.tree();
    let damaged = "d.partial/shard-00004.u32: damaged in the 16 MiB block 0, from byte 0";
    place.run(["finish", "d"]).failed(1, damaged);
    assert_eq!(place.tree(), before);
    for (_, damage) in DAMAGES {
        let broken = place.path("broken.partial");
        fs::create_dir(&broken).unwrap();
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
                 processes the same inputs, or run without --units to make again what changed";
    place.run(args("d", &["--units", "1/2"])).failed(1, other);
    assert_eq!(place.tree(), before);
    let stream = "--units: a stream cannot be shared: each process would have to read all of it";
    place
        .run_with(["tokenize", "-", "--out", "x", "--units", "0/2"], b"a")
        .failed(2, stream);
    assert_eq!(place.tree(), before);
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
    // Another part shares it.
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

#[test]
fn a_kill_while_an_output_is_replaced_leaves_the_old_or_the_new() {
    let place = corpus();
    let new = expected(&place);
    let old_args = args("d", &["--eot", "before"]);
    place.run(&old_args);
    let old = output_bytes(&place.path("d"));
    place.write("mine/thesis.txt", "mine");
    let replace = args("d", &["--overwrite"]);
    for link in [false, true] {
        for k in (1..).step_by(9) {
            fs::remove_dir_all(place.path("d")).unwrap();
            if link {
                std::os::unix::fs::symlink("mine", place.path("d")).unwrap();
            } else {
                place.run(&old_args);
            }
            // Receipts are removed before the exchange, the old output after it.
            let Some(was_killed) = killed_at(&place, "unlink,rmdir", k, &replace) else {
                return;
            };
            if place.path("d").symlink_metadata().unwrap().is_dir() {
                let found = output_bytes(&place.path("d"));
                assert!(found == new || found == old, "{:?}", place.tree());
            }
            finish_run(&place, &replace, "d", &new);
            assert!(place.path("d.partial").symlink_metadata().is_err());
            if !was_killed {
                break;
            }
        }
    }
    assert_eq!(place.read("mine/thesis.txt"), b"mine");
}

#[test]
fn what_was_replaced_is_removed_by_the_next_run() {
    let place = corpus();
    let expected = expected(&place);
    let old = ["tokenize", "in", "--out", "old"];
    for again in [
        args("d", &[]),
        args("d", &["--overwrite"]),
        vec!["tokenize", "in/a.txt", "--out", "d", "--overwrite"],
    ] {
        place.run(args("d", &["--overwrite"]));
        place.run(old);
        fs::rename(place.path("old"), place.path("d.partial")).unwrap();
        assert_eq!(place.run(&again).code, Some(0));
        assert!(!place.path("d.partial").exists());
    }
    // A link, only where replacing was asked for.
    place.run(args("d", &["--overwrite"]));
    std::os::unix::fs::symlink("in", place.path("d.partial")).unwrap();
    assert_eq!(place.run(args("d", &[])).code, Some(0));
    assert!(place.path("d.partial").is_symlink());
    finish_run(&place, &args("d", &["--overwrite"]), "d", &expected);
    assert!(!place.path("d.partial").is_symlink() && place.path("in/a.txt").exists());
}

#[test]
fn repair_makes_damaged_shards_again_and_keeps_the_others() {
    let place = corpus();
    // Invalid UTF-8, whose count stands in the manifest alone.
    let mut c = place.read("in/c.txt");
    c[3000..3003].copy_from_slice(b"\xff\xfe\xff");
    place.write("in/c.txt", c);
    let embed = ["--init-seed", "1", "--dim", "4", "--seq-len", "8"];
    let run = args("d", &["--invalid-utf8", "replace"]);
    let done = place.run([&["run"], &run[1..], &embed].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let expected = output_bytes(&place.path("d"));
    let repair = [&run[..], &["--repair"]].concat();
    for (what, damage) in &DAMAGES[..6] {
        damage(&place.path("d"));
        let damaged = place.tree();
        let refused = place.run(&run);
        assert_eq!(refused.code, Some(1), "{what}: {refused:?}");
        assert!(
            refused.stderr.contains("d: is damaged: d/shard-0000"),
            "{refused:?}"
        );
        assert!(refused.stderr.contains("add --repair"), "{refused:?}");
        assert_eq!(place.tree(), damaged);
        let done = finish_run(&place, &repair, "d", &expected);
        assert_eq!(done_before(&done), SHARDS as u64 - 1, "{what}: {done:?}");
        assert_eq!(place.run(["verify", "d"]).code, Some(0));
        let _ = fs::remove_file(place.path("elsewhere"));
    }
    let done = place.run(&repair);
    assert!(done.stderr.contains("was there already"), "{done:?}");
    // Other inputs are no damage.
    let mut a = place.read("in/a.txt");
    a[100] = b'W';
    place.write("in/a.txt", a);
    let other = "d: exists and is not exactly this output; add --overwrite to replace it or choose \
                 another --out";
    flip(&place.path("d/shard-00001.u32"), 8);
    place.run(&repair).failed(1, other);
}

#[test]
fn embeddings_that_fail_leave_the_dataset_without_them() {
    let place = corpus();
    let embed = ["--init-seed", "1", "--dim", "4", "--seq-len", "1000000"];
    let done = place.run([&["run"], &args("d", &embed)[1..]].concat());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("8 of 8 units are done"), "{done:?}");
    assert_eq!(receipts(&place, "d.partial"), SHARDS);
    // Neither a manifest nor embeddings.
    assert_eq!(tree(&place.path("d.partial")).len(), 3 * SHARDS + 1);
}
