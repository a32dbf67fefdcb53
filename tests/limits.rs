//! Limits of the machine end a run with one line and a code that says it is worth a retry.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::fs::{self, OpenOptions};
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Done, Place, fixture, output_bytes, spawn};

/// Runs the program under a limit of the shell's `ulimit`.
fn run_limited(place: &Place, limit: &str, args: &[&str]) -> Done {
    let program = place.command(args);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("ulimit {limit} && exec \"$0\" \"$@\""))
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(place.path("."))
        .env_remove("RUST_BACKTRACE");
    Done::new(shell.output().unwrap())
}

/// A MB of text in many languages, of which an encoder remembers much.
fn corpus(place: &Place) {
    let text = fs::read(fixture("text/udhr.txt")).unwrap();
    place.write("a.txt", text.repeat(1_000_000_usize.div_ceil(text.len())));
}

/// Whatever the limit, a run ends well and with the same bytes, or with one line.
#[test]
fn little_memory_is_an_error_or_enough() {
    let place = Place::new();
    corpus(&place);
    let run = |out| {
        [
            "run",
            "a.txt",
            "--out",
            out,
            "--encoding",
            "o200k_base",
            "--threads",
            "3",
            "--init-seed",
            "1",
            "--dim",
            "16",
            "--seq-len",
            "64",
            "--stride",
            "64",
        ]
    };
    assert_eq!(place.run(run("whole")).code, Some(0));
    let whole = output_bytes(&place.path("whole"));
    let mut ends = [0, 0];
    // Kilobytes; with less the program itself cannot be loaded.
    for kilobytes in (40_000..440_000).step_by(16_000) {
        let done = run_limited(&place, &format!("-v {kilobytes}"), &run("out"));
        match done.code {
            Some(0) => {
                assert!(output_bytes(&place.path("out")) == whole, "{kilobytes}");
                fs::remove_dir_all(place.path("out")).unwrap();
            }
            Some(3) => {
                assert!(!place.path("out").exists(), "{kilobytes}");
                let (error, more) = done.stderr.split_once('\n').unwrap();
                assert!(error.starts_with("shardmill: error: "), "{done:?}");
                assert!(more.is_empty() || more.ends_with("to go on\n"), "{done:?}");
            }
            _ => panic!("{kilobytes}: {done:?}"),
        }
        ends[usize::from(done.code == Some(0))] += 1;
    }
    assert!(ends.iter().all(|&end| end > 0), "{ends:?}");
}

#[test]
fn a_file_size_limit_is_an_error_of_the_write() {
    let place = Place::new();
    corpus(&place);
    let done = run_limited(&place, "-f 100", &["tokenize", "a.txt", "--out", "out"]);
    done.failed(
        3,
        "out.partial/shard-00000.u32: cannot write: File too large (os error 27)",
    );
    assert_eq!(place.tree(), ["a.txt"]);
}

/// The text becomes shorter under the map: a line with the file and the byte, and the next run
/// makes what it would have made.
#[test]
fn a_text_that_shrinks_while_it_is_read_is_an_error() {
    let place = Place::new();
    let text = fs::read(fixture("text/tinyshakespeare.txt")).unwrap();
    let path = place.write("a.txt", text.repeat(100));
    let args = ["tokenize", "a.txt", "--out", "out", "--threads", "1"];
    let child = spawn(&mut place.command(args));
    let started = Instant::now();
    let begun = || place.tree().iter().any(|name| name.contains("shard-"));
    while !begun() && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(1));
    }
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1000)
        .unwrap();
    let done = Done::new(child.wait_with_output().unwrap());
    assert!(matches!(done.code, Some(1 | 3)), "{done:?}");
    let path = path.to_str().unwrap();
    let line = done.stderr.strip_prefix("shardmill: error: ").unwrap();
    // Met by a read, or by the check behind the last one.
    let is_met = line.starts_with(&format!("{path}: byte ")) && line.contains("became shorter");
    assert!(is_met || line.starts_with("a.txt: "), "{done:?}");
    assert_eq!(line.lines().count(), 1, "{done:?}");
    assert!(!place.path("out").exists());

    let again = place.run(args);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(place.run(["verify", "out"]).code == Some(0));
}
