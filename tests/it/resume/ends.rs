//! Runs that end with an error or at a signal.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{SHARDS, args, corpus, done_before, expected, finish_run, receipts, words};
use crate::support::{Done, Place, spawn, tree};

#[test]
fn an_error_keeps_finished_units() {
    let place = corpus();
    let good = place.read("in/c.txt");
    let mut bad = good.clone();
    bad[4000] = 0xff;
    let expected = expected(&place);
    place.write("in/c.txt", bad);
    let done = place.run(args("d", &[]));
    assert_eq!(done.code, Some(1), "{done:?}");
    let lines: Vec<_> = done.stderr.lines().collect();
    // Resuming needs other input.
    assert_eq!(lines.len(), 1, "{done:?}");
    assert!(
        lines[0].contains("in/c.txt: byte 4000: invalid UTF-8"),
        "{done:?}"
    );
    let left = receipts(&place, "d.partial");
    assert!(left >= 5, "{:?}", place.tree());
    // Only finished units, their plan and a state.
    assert_eq!(tree(&place.path("d.partial")).len(), 3 * left + 3);
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
fn embeddings_that_fail_leave_the_dataset_without_them() {
    let place = corpus();
    let embed = ["--init-seed", "1", "--dim", "4", "--seq-len", "1000000"];
    let done = place.run([&["run"], &args("d", &embed)[1..]].concat());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    assert_eq!(receipts(&place, "d.partial"), SHARDS);
    // No manifest and no embeddings.
    assert_eq!(tree(&place.path("d.partial")).len(), 3 * SHARDS + 3);
}

#[test]
fn a_signal_stops_a_run_with_its_number_and_leaves_what_is_done() {
    let place = Place::new();
    // Long enough that a signal arrives in the middle.
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
        assert_eq!(tree(&place.path("d.partial")).len(), 3 * left + 3);
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
fn a_run_that_waits_for_a_pipe_ends_at_a_signal_and_leaves_nothing() {
    for (input, signal, number) in [("-", "TERM", 143), ("fifo", "INT", 130)] {
        let place = Place::new();
        place.fifo("fifo");
        let args = ["tokenize", input, "--out", "d"];
        let mut run = spawn(place.command(args).stdin(Stdio::piped()));
        // It stays open, and no data comes.
        let _stdin = run.stdin.take();
        while !place.path("d.partial").exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let kill = Command::new("kill")
            .args([&format!("-{signal}"), &run.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let done = Done::new(run.wait_with_output().unwrap());
        let line = format!("shardmill: error: stopped by SIG{signal}\n");
        assert_eq!((done.code, done.stderr), (Some(number), line));
        assert_eq!(place.tree(), ["fifo"]);
    }
}
