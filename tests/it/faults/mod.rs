//! Failed calls and power cuts: an error is reported once, what is visible is whole, and the next
//! run makes the bytes of an undisturbed one.

mod power;

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::disk::Disk;
use support::{Done, Place, output_bytes, skipped};

/// A place with two sources, which [`TOKENIZE`] makes into three units.
fn corpus() -> Place {
    let place = Place::new();
    let words: Vec<_> = (0..1500)
        .map(|i| format!("word{}", i % 1000 * 7919 % 1000))
        .collect();
    let text = words.join(" ");
    place.write("in/a.txt", &text[..9000]);
    place.write("in/b.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\"}\n");
    place
}

const TOKENIZE: [&str; 8] = [
    "tokenize",
    "in",
    "--unit-size",
    "4kB",
    "--threads",
    "1",
    "--out",
    "d",
];

/// What happens to a call.
struct Injection<'a> {
    /// System calls, separated by commas.
    calls: &'a str,
    /// What strace does to the call, such as `error=EIO`.
    fault: &'a str,
    /// Which of the calls, counted from 1.
    nth: usize,
}

/// A run in which a call failed.
#[derive(Debug)]
struct Injected {
    done: Done,
    /// Whether a write to standard error failed.
    is_silenced: bool,
}

/// Runs the program, and makes the `nth` call of each thread fail. `None` if all make fewer calls.
fn injected(place: &Place, injection: &Injection<'_>, args: &[&str]) -> Option<Injected> {
    let Injection { calls, fault, nth } = injection;
    let log = place.path("strace.log");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o"])
        .arg(&log)
        .args(["-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={calls}:{fault}:when={nth}")])
        .arg(env!("CARGO_BIN_EXE_shardmill"))
        .args(args)
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .env_remove("RUST_BACKTRACE");
    let done = Done::new(strace.output().unwrap());
    let calls = fs::read_to_string(&log).unwrap();
    fs::remove_file(log).unwrap();
    let mut hits = calls
        .lines()
        .filter(|call| call.contains("(INJECTED)"))
        .peekable();
    hits.peek()?;
    Some(Injected {
        done,
        is_silenced: hits.any(|call| call.contains(" write(2,")),
    })
}

fn has_strace(untested: &str) -> bool {
    let version = Command::new("strace").arg("-V").output();
    if let Err(error) = &version {
        skipped(untested, &format!("strace: {error}"));
    }
    version.is_ok()
}

/// A sweep over the calls of one command, each of which fails once.
struct Sweep<'a> {
    place: &'a Place,
    args: &'a [&'a str],
    /// The output of the command, and where it is made.
    out: &'a str,
    partial: &'a str,
    expected: BTreeMap<String, Vec<u8>>,
}

impl Sweep<'_> {
    /// Makes each of `calls` fail in its own run; returns how many runs ended with an error.
    fn run(&self, calls: &str, fault: &str) -> usize {
        let mut errors = 0;
        for nth in 1.. {
            assert!(nth < 2000, "{calls} {fault}: no end");
            let injection = Injection { calls, fault, nth };
            let Some(run) = injected(self.place, &injection, self.args) else {
                // No call was left to fail.
                fs::remove_dir_all(self.place.path(self.out)).unwrap();
                break;
            };
            let what = format!("{calls} {fault} {nth}: {run:?}");
            let done = &run.done;
            // The dynamic loader opens libraries, too, and reports its own errors.
            if done.code != Some(127) {
                self.check(&run, &what);
            }
            errors += usize::from(done.code == Some(3));
            self.check_next_run(&what);
        }
        errors
    }

    fn check(&self, run: &Injected, what: &str) {
        let done = &run.done;
        assert!([Some(0), Some(3)].contains(&done.code), "{what}");
        let out = self.place.path(self.out);
        let is_whole = out.exists() && output_bytes(&out) == self.expected;
        assert!(is_whole || !out.exists(), "{what}: is not whole");
        if done.code == Some(0) {
            assert!(is_whole, "{what}: is not there");
            return;
        }
        if !run.is_silenced {
            // After the error, a run may still report what it leaves.
            let errors = done.stderr.lines().filter(|line| line.contains(" error: "));
            assert_eq!(errors.count(), 1, "{what}");
            assert!(done.stderr.starts_with("shardmill: error: "), "{what}");
        }
        let left = self.place.tree();
        assert!(
            !left.iter().any(|name| name.contains(".tmp-")),
            "{what}: {left:?}"
        );
    }

    fn check_next_run(&self, what: &str) {
        let out = self.place.path(self.out);
        let done = self.place.run(self.args);
        assert_eq!(done.code, Some(0), "after {what}: {done:?}");
        assert!(output_bytes(&out) == self.expected, "after {what}");
        assert!(!self.place.path(self.partial).exists(), "after {what}");
        fs::remove_dir_all(out).unwrap();
    }
}

/// The sweep of the command `args`. Its output, `out`, is removed between runs.
fn sweep<'a>(place: &'a Place, args: &'a [&'a str], [out, partial]: [&'a str; 2]) -> Sweep<'a> {
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let expected = output_bytes(&place.path(out));
    fs::remove_dir_all(place.path(out)).unwrap();
    Sweep {
        place,
        args,
        out,
        partial,
        expected,
    }
}

/// Calls that change what is on the disk.
const CHANGES: [&str; 3] = ["write", "fsync", "rename,renameat2"];

#[test]
fn each_call_of_tokenize_may_fail_once() {
    if !has_strace("calls that fail") {
        return;
    }
    let place = corpus();
    let sweep = sweep(&place, &TOKENIZE, ["d", "d.partial"]);
    for calls in CHANGES {
        for fault in ["error=EIO", "error=ENOSPC"] {
            // Three units of three files each, which another thread writes; the main thread's calls
            // fail in the same runs.
            let errors = sweep.run(calls, fault);
            assert!(errors >= 8, "{calls}: {errors}");
        }
    }
    assert!(sweep.run("openat", "error=EMFILE") >= 9);
    assert!(sweep.run("mkdir", "error=ENOSPC") >= 1);
}

#[test]
fn each_call_of_embed_may_fail_once() {
    if !has_strace("calls that fail") {
        return;
    }
    let place = corpus();
    assert_eq!(place.run(TOKENIZE).code, Some(0));
    let args = "embed d --out e --seq-len 8 --stride 8 --init-seed 1 --dim 2 --threads 1";
    let args: Vec<_> = args.split(' ').collect();
    let sweep = sweep(&place, &args, ["e", "e.partial"]);
    for calls in CHANGES {
        // Three arrays, their record and the record of the run.
        let errors = sweep.run(calls, "error=EIO");
        assert!(errors >= 5, "{calls}: {errors}");
    }
}

#[test]
fn each_call_of_shuffle_may_fail_once() {
    if !has_strace("calls that fail") {
        return;
    }
    let place = corpus();
    assert_eq!(place.run(TOKENIZE).code, Some(0));
    let args = "shuffle d --seed 1 --out s --threads 1";
    let args: Vec<_> = args.split(' ').collect();
    let sweep = sweep(&place, &args, ["s", "s.partial"]);
    for calls in CHANGES {
        for fault in ["error=EIO", "error=ENOSPC"] {
            // Three shards of two files each, the manifest and the record of the run.
            let errors = sweep.run(calls, fault);
            assert!(errors >= 7, "{calls}: {errors}");
        }
    }
}

#[test]
fn an_interrupted_call_is_made_again() {
    if !has_strace("interrupted calls") {
        return;
    }
    let place = corpus();
    let sweep = sweep(&place, &TOKENIZE, ["d", "d.partial"]);
    for calls in ["write", "fsync", "read"] {
        assert_eq!(sweep.run(calls, "error=EINTR"), 0, "{calls}");
    }
}

/// A place with a text whose shard is 9 MB.
fn large_corpus() -> Place {
    let place = Place::new();
    let words: Vec<_> = (0..750_000_u32).map(|i| (i % 1000).to_string()).collect();
    place.write("in.txt", words.join(" a, "));
    place
}

const TOKENIZE_LARGE: [&str; 6] = ["tokenize", "in.txt", "--threads", "1", "--out", "d"];

/// Whether `place` is on a disk. Files in memory do not need to reach one.
fn is_on_disk(place: &Place) -> bool {
    let stat = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(place.path(""))
        .output();
    let kind = String::from_utf8(stat.unwrap().stdout).unwrap();
    let is_memory = ["tmpfs", "ramfs"].contains(&kind.trim());
    if is_memory {
        skipped("the way to the disk", "temporary files lie in memory");
    }
    !is_memory
}

#[test]
fn each_write_of_a_large_shard_may_fail_once() {
    if !has_strace("calls that fail") {
        return;
    }
    let place = large_corpus();
    if !is_on_disk(&place) {
        return;
    }
    let sweep = sweep(&place, &TOKENIZE_LARGE, ["d", "d.partial"]);
    // Four pieces, which another thread writes, then the end and all other files.
    for fault in ["error=EIO", "error=ENOSPC"] {
        let errors = sweep.run("write", fault);
        assert!(errors >= 6, "{errors}");
    }
    // Only this call reports that bytes could not be written back: no later sync does.
    assert_eq!(sweep.run("sync_file_range", "error=EIO"), 1);
    let write_back = Injection {
        calls: "sync_file_range",
        fault: "error=EIO",
        nth: 1,
    };
    let run = injected(&place, &write_back, &TOKENIZE_LARGE).unwrap();
    let line = "shard-00000.u32: cannot write: Input/output error";
    assert!(run.done.stderr.contains(line), "{run:?}");
    assert_eq!(sweep.run("write", "error=EINTR"), 0);
    assert!(sweep.run("clone,clone3", "error=EAGAIN") >= 2);
    // If direct writes cannot be turned on, the page cache is used; turning them off must work.
    assert!(sweep.run("fcntl", "error=EINVAL") <= 2);
}

#[test]
fn a_large_shard_reaches_the_disk_while_it_is_made() {
    if !has_strace("the way to the disk") {
        return;
    }
    let place = large_corpus();
    if !is_on_disk(&place) {
        return;
    }
    let done = Command::new("strace")
        .args(["-f", "-qq", "-o", "strace.log"])
        .args(["-e", "trace=fcntl,write,fsync"])
        .arg(env!("CARGO_BIN_EXE_shardmill"))
        .args(TOKENIZE_LARGE)
        .current_dir(place.path(""))
        .output();
    let done = Done::new(done.unwrap());
    assert_eq!(done.code, Some(0), "{done:?}");
    let calls = fs::read_to_string(place.path("strace.log")).unwrap();
    let direct = calls.lines().position(|call| call.contains("O_DIRECT"));
    let direct = direct.unwrap();
    if !calls.lines().nth(direct).unwrap().ends_with("= 0") {
        return skipped("the way to the disk", "the file system has no O_DIRECT");
    }
    let pieces: Vec<_> = (calls.lines().enumerate())
        .filter(|(_, call)| call.ends_with(" 2097152) = 2097152"))
        .map(|(at, _)| at)
        .collect();
    assert_eq!(pieces.len(), 4, "{calls}");
    let earlier = &calls.lines().collect::<Vec<_>>()[direct..pieces[3]];
    let is_synced = earlier.iter().any(|call| call.contains("fsync("));
    assert!(direct < pieces[0] && !is_synced, "{calls}");
}
