//! Limits of the machine end a run with one line and an exit code that says that a retry may help.

use crate::checks::sign;
use crate::support;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sign::sign;
use support::{Done, Place, after, fixture, npy, npy_table, output_bytes, spawn};

/// Runs the program under a limit of the shell's `ulimit`.
fn run_limited(place: &Place, limit: &str, args: &[&str]) -> Done {
    let mut limited = after(&format!("ulimit {limit}"), &place.command(args));
    Done::new(limited.output().unwrap())
}

/// 1 MB of text in many languages, much of which an encoder caches.
fn corpus(place: &Place) {
    let text = fs::read(fixture("text/udhr.txt")).unwrap();
    place.write("a.txt", text.repeat(1_000_000_usize.div_ceil(text.len())));
}

/// Under any limit, a run succeeds with the same bytes, or fails with one line.
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
    // Kilobytes; with less, the program itself cannot be loaded.
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
                assert!(
                    more.is_empty() || more.ends_with("to continue\n"),
                    "{done:?}"
                );
            }
            _ => panic!("{kilobytes}: {done:?}"),
        }
        ends[usize::from(done.code == Some(0))] += 1;
    }
    assert!(ends.iter().all(|&end| end > 0), "{ends:?}");
}

/// A header that lies is refused before it costs anything: the memory that the program itself
/// needs, plus 64 MB, is enough.
#[test]
fn headers_that_lie_are_refused_in_little_memory_and_time() {
    let place = Place::new();
    place.write("a.txt", "some words to make a window of");
    for line in [
        "tokenize a.txt --out d",
        "embed d --out e --init-seed 1 --dim 1 --seq-len 2",
        "tokenize a.txt --out u --units 0/1",
    ] {
        assert_eq!(place.run(line.split(' ')).code, Some(0));
    }
    let huge = u64::MAX / 8;
    place.write(
        "t.npy",
        npy("<f4", "False", &format!("({huge}, 1)"), &[0; 8]),
    );
    place.write(
        "u.npy",
        [b"\x93NUMPY\x02\x00", &[0xff; 4][..], b"{}"].concat(),
    );
    place.write("t.safetensors", u64::MAX.to_le_bytes());
    let header = format!(
        "{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{huge},1],\"data_offsets\":[0,{}]}}}}",
        huge * 4
    );
    let length = (header.len() as u64).to_le_bytes();
    place.write("u.safetensors", [&length, header.as_bytes()].concat());
    // Records that list made-up sizes, with a valid hash.
    for (file, key) in [
        ("d/manifest.json", "bytes"),
        ("d/manifest.json", "docs_bytes"),
        ("e/embed.json", "bytes"),
        ("u.partial/shard-00000.json", "docs_bytes"),
        ("u.partial/plan.json", "byte"),
    ] {
        let text = String::from_utf8(place.read(file)).unwrap();
        let (before, rest) = text.rsplit_once(&format!("\"{key}\": ")).unwrap();
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let mut lying = format!("{before}\"{key}\": {huge}{rest}").into_bytes();
        sign(file, &mut lying);
        let whole = place.read(file);
        place.write(file, lying);
        let line = match file.split('/').next().unwrap() {
            "u.partial" => "finish u",
            out => &format!("verify {out}"),
        };
        is_refused(&place, line, file);
        place.write(file, whole);
    }
    for table in ["t.npy", "u.npy", "t.safetensors", "u.safetensors"] {
        let line = format!("embed d --out f --position-table none --token-table {table}");
        is_refused(&place, &line, table);
    }
}

#[track_caller]
fn is_refused(place: &Place, line: &str, file: &str) {
    // Kilobytes.
    const PROGRAM: u32 = 45_000;
    const READER: u32 = 64_000;
    let args: Vec<_> = line.split(' ').collect();
    let started = Instant::now();
    let done = run_limited(place, &format!("-v {}", PROGRAM + READER), &args);
    let time = started.elapsed();
    assert!(matches!(done.code, Some(1 | 5)), "{line}: {done:?}");
    let start = format!("shardmill: error: {file}: ");
    assert!(done.stderr.starts_with(&start), "{line}: {done:?}");
    // A tenth of a second, plus starting a program on a busy machine.
    assert!(time < Duration::from_secs(1), "{line}: {time:?}");
}

#[test]
fn a_file_size_limit_is_an_error_of_the_write() {
    let place = Place::new();
    corpus(&place);
    let done = run_limited(&place, "-f 100", &["tokenize", "a.txt", "--out", "out"]);
    done.failed(
        3,
        "out.partial/new/shard-00000.u32: cannot write: File too large (os error 27)",
    );
    assert_eq!(place.tree(), ["a.txt"]);
}

/// The text shrinks under the map: one line names the file and the byte, and the next run makes the
/// same output as ever.
#[test]
fn a_text_that_shrinks_while_it_is_read_is_an_error() {
    let place = Place::new();
    let text = fs::read(fixture("text/tinyshakespeare.txt")).unwrap();
    let path = place.write("a.txt", text.repeat(100));
    let args = ["tokenize", "a.txt", "--out", "out", "--threads", "1"];
    let child = spawn(&mut place.command(args));
    wait_for_a_shard(&place);
    shrink(&path, 1000);
    let done = Done::new(child.wait_with_output().unwrap());
    assert!(matches!(done.code, Some(1 | 3)), "{done:?}");
    let path = path.to_str().unwrap();
    let line = done.stderr.strip_prefix("shardmill: error: ").unwrap();
    // Detected by a read, or by the check after the last read.
    let is_met = line.starts_with(&format!("{path}: byte ")) && line.contains("became shorter");
    assert!(is_met || line.starts_with("a.txt: "), "{done:?}");
    assert_eq!(line.lines().count(), 1, "{done:?}");
    assert!(!place.path("out").exists());

    let again = place.run(args);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(place.run(["verify", "out"]).code == Some(0));
}

/// Waits until the program has begun a shard in `place`.
fn wait_for_a_shard(place: &Place) {
    let started = Instant::now();
    let begun = || place.tree().iter().any(|name| name.contains("shard-"));
    while !begun() && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn shrink(path: &Path, bytes: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(bytes).unwrap();
}

#[test]
fn threads_that_meet_a_text_which_shrank_at_once_end_with_one_line() {
    let place = Place::new();
    let text = fs::read(fixture("text/tinyshakespeare.txt")).unwrap();
    let text = text.repeat(100);
    // Not in every round does a second thread read further before the first has ended the program.
    for _ in 0..5 {
        let path = place.write("a.txt", &text);
        many_threads_meet_the_end(&place, &path);
        let _ = fs::remove_dir_all(place.path("out.partial"));
    }
}

/// The first thread that hits the end must wait for standard error, which is full, so other threads
/// hit it, too, before the program ends.
fn many_threads_meet_the_end(place: &Place, path: &Path) {
    let (mut reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut filling = 0;
    while let Ok(bytes) = (&writer).write(&[b'.'; 4096]) {
        filling += bytes;
    }
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let mut command = place.command(["tokenize", "a.txt", "--out", "out", "--threads", "8"]);
    let mut child = command.stderr(writer).spawn().unwrap();
    // It also holds the other end of the pipe.
    drop(command);
    wait_for_a_shard(place);
    shrink(path, 0);
    let shrunk = Instant::now();
    while child.try_wait().unwrap().is_none() && shrunk.elapsed() < Duration::from_millis(200) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut stderr = Vec::new();
    reader.read_to_end(&mut stderr).unwrap();
    let stderr = String::from_utf8(stderr.split_off(filling)).unwrap();
    let status = child.wait().unwrap();
    // Detected by a read, or by the check after the last read.
    assert!(matches!(status.code(), Some(1 | 3)), "{status}: {stderr}");
    assert!(stderr.starts_with("shardmill: error: "), "{stderr}");
    assert!(stderr.contains("a.txt: byte "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

/// A signal from another process is not a file that shrank.
#[test]
fn a_bus_error_that_was_sent_ends_the_program_as_ever() {
    let place = Place::new();
    let fifo = place.fifo("a.txt");
    let child = spawn(&mut place.command(["tokenize", "a.txt", "--out", "out"]));
    // It waits for more.
    let _writer = OpenOptions::new().write(true).open(fifo).unwrap();
    let kill = Command::new("kill")
        .args(["-BUS", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(7), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// `FAULT_CUTS`, or 2000.
fn cuts() -> usize {
    let wanted = std::env::var("FAULT_CUTS").ok();
    wanted.map_or(2000, |cuts| cuts.parse().unwrap())
}

/// What is read, and by which command. Each file is restored before the next run.
const READERS: [(&str, &str); 5] = [
    ("a.txt", "tokenize a.txt --out out --durability none"),
    ("b.jsonl", "tokenize b.jsonl --out out --durability none"),
    (
        "d/shard-00000.u32",
        "embed d --out out --durability none --seq-len 64 --stride 64 --init-seed 1 --dim 16",
    ),
    (
        "t.npy",
        "embed d --out out --durability none --seq-len 64 --token-table t.npy --position-table none",
    ),
    ("d/shard-00000.u32", "verify d"),
];

#[test]
#[ignore = "takes minutes: cargo test limits:: -- --ignored"]
fn files_cut_short_at_any_moment_end_a_run_with_a_line() {
    let place = Place::new();
    let text = fs::read_to_string(fixture("text/tinyshakespeare.txt")).unwrap();
    place.write("a.txt", text.repeat(4));
    let record = serde_json::json!({"text": &text[..100_000]}).to_string() + "\n";
    place.write("b.jsonl", record.repeat(40));
    place.write("t.npy", npy_table(50257, 16));
    assert_eq!(place.run(["tokenize", "a.txt", "--out", "d"]).code, Some(0));
    let mut ends = BTreeMap::new();
    for cut in 0..cuts() {
        let (file, line) = READERS[cut % READERS.len()];
        let threads = [1, 2, 8][cut / READERS.len() % 3];
        let mut args: Vec<_> = line.split(' ').map(str::to_owned).collect();
        if !line.starts_with("verify") {
            args.extend(["--threads".to_owned(), threads.to_string()]);
        }
        let whole = place.read(file);
        let started = Instant::now();
        assert_eq!(place.run(&args).code, Some(0));
        let time = started.elapsed();
        let _ = fs::remove_dir_all(place.path("out"));
        let child = spawn(&mut place.command(&args));
        // Moments spread over a run, in no particular order.
        std::thread::sleep(time * u32::try_from(cut * 37 % 101).unwrap() / 100);
        let bytes = [0, 1000, whole.len() as u64 / 2, whole.len() as u64 - 1][cut % 4];
        shrink(&place.path(file), bytes);
        let done = Done::new(child.wait_with_output().unwrap());
        let what = format!("cut {cut}: {line}, {threads} threads: {done:?}");
        let errors = done.stderr.lines().filter(|line| line.contains(" error: "));
        match done.code {
            Some(0) => assert_eq!(errors.count(), 0, "{what}"),
            Some(1 | 3) => assert_eq!(errors.count(), 1, "{what}"),
            Some(5) if line.starts_with("verify") => assert_eq!(errors.count(), 1, "{what}"),
            _ => panic!("{what}"),
        }
        *ends
            .entry((line.split(' ').next(), threads, done.code))
            .or_insert(0) += 1;
        place.write(file, whole);
        let _ = fs::remove_dir_all(place.path("out"));
        let _ = fs::remove_dir_all(place.path("out.partial"));
    }
    eprintln!("{ends:?}");
}

/// Like a user or a container that may not have more threads.
#[test]
fn where_no_thread_starts_a_run_says_so_in_a_line() {
    let place = Place::new();
    corpus(&place);
    for line in [
        "tokenize a.txt --out d",
        "tokenize a.txt --out u --units 0/1",
    ] {
        assert_eq!(place.run(line.split(' ')).code, Some(0), "{line}");
    }
    for line in [
        "bench a.txt --size 1MiB --dims 64 --threads 3",
        "tokenize a.txt --out e",
        "run a.txt --out e --seq-len 4 --init-seed 1 --dim 8",
        "embed d --out e --seq-len 4 --init-seed 1 --dim 8",
        "verify d",
        "info d --seq-len 4 --window documents",
        "finish u",
        "positions --kind t5 --seq-len 8 --out p.npy",
    ] {
        let mut command = place.command(line.split(' '));
        // No system has this much memory for a stack.
        command.env("RUST_MIN_STACK", (1_u64 << 60).to_string());
        let done = Done::new(command.output().unwrap());
        assert_eq!(done.code, Some(3), "{line}: {done:?}");
        assert!(done.stderr.starts_with("shardmill: error: cannot start "));
        assert_eq!(done.stderr.lines().count(), 1, "{line}: {done:?}");
        assert!(!place.path("e").exists(), "{line}");
    }
}
