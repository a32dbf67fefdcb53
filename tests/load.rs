//! Corpora of a size that offsets and memory must be made for. They take minutes and some GB of
//! the disk: cargo test --test load -- --ignored

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use support::{Done, Place, spawn};
use tempfile::TempDir;

/// Runs the program; gives also the most memory of its own that it had, in bytes, by looks at it
/// every few milliseconds.
fn measured(place: &Place, line: &str) -> (Done, u64) {
    let mut child = spawn(&mut place.command(line.split(' ')));
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(own_bytes(&child).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    (Done::new(child.wait_with_output().unwrap()), most)
}

/// What a process has for itself; pages of mapped files do not count.
fn own_bytes(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

/// Without a bound of what grows with the input: 64 MB and 96 MB for each of two threads.
const MAX_OWN_BYTES: u64 = (64 + 2 * 96) * 1_000_000;

#[test]
#[ignore = "takes a minute and 5 GB: cargo test --test load -- --ignored"]
fn records_beyond_4_gib_have_their_offsets_and_memory_stays_flat() {
    const FIRST: &[u8] = b"{\"text\":\"the first\"}\n";
    const LAST: &[u8] = b"{\"text\":\"the last\"}\n";
    let place = Place::new();
    let blank = vec![b'\n'; 1 << 20];
    let mut file = BufWriter::new(File::create(place.path("a.jsonl")).unwrap());
    file.write_all(FIRST).unwrap();
    for _ in 0..4097 {
        file.write_all(&blank).unwrap();
    }
    file.write_all(LAST).unwrap();
    drop(file);
    let line = "tokenize a.jsonl --out d --threads 2 --durability none";
    let (done, own_bytes) = measured(&place, line);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!((1..MAX_OWN_BYTES).contains(&own_bytes), "{own_bytes}");
    assert_eq!(place.run(["verify", "d"]).code, Some(0));
    for (document, text) in [("0", "the first"), ("1", "the last")] {
        let done = place.run(["decode", "d", "--document", document]);
        assert_eq!(done.said(&[]).text(), text);
    }
    let store = shardmill::TokenStore::open(&place.path("d")).unwrap();
    let start = FIRST.len() as u64 + (4097 << 20);
    let bytes: Vec<_> = store.documents().map(|document| document.bytes).collect();
    // Without the line ends.
    let ends = [FIRST.len() as u64 - 1, start + LAST.len() as u64 - 1];
    assert_eq!(bytes, [0..ends[0], start..ends[1]]);
}

#[test]
#[ignore = "reads 4 GiB of nothing: cargo test --test load -- --ignored"]
fn a_bad_byte_beyond_4_gib_of_a_sparse_text_is_named() {
    const AT: u64 = (4 << 30) + 4097;
    let place = Place::new();
    let path = place.write("a.txt", "some words");
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(AT).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"\xff", AT).unwrap();
    let (done, own_bytes) = measured(&place, "tokenize a.txt --out d --threads 2");
    let line = format!(
        "a.txt: byte {AT}: invalid UTF-8; use --invalid-utf8 replace or ignore to accept it"
    );
    done.failed(1, &line);
    assert!((1..MAX_OWN_BYTES).contains(&own_bytes), "{own_bytes}");
}

#[test]
#[ignore = "makes a million files: cargo test --test load -- --ignored"]
fn a_million_files_are_planned_in_a_minute_and_300_mb() {
    const SIDE: u32 = 1000;
    let place = Place::new();
    // In memory, where there is such a thing: a disk takes minutes to make and remove them.
    let memory = Path::new("/dev/shm");
    let files = if memory.is_dir() {
        TempDir::new_in(memory).unwrap()
    } else {
        TempDir::new().unwrap()
    };
    for outer in 0..SIDE {
        let directory = files.path().join(outer.to_string());
        fs::create_dir_all(&directory).unwrap();
        for inner in 0..SIDE {
            fs::write(directory.join(format!("{inner}.txt")), "a b").unwrap();
        }
    }
    let started = Instant::now();
    let line = format!("plan {}", files.path().display());
    let (done, own_bytes) = measured(&place, &line);
    let time = started.elapsed();
    assert_eq!(done.code, Some(0), "{done:?}");
    let units = "1 unit from 3.0 MB in 1,000,000 sources";
    assert!(done.text().starts_with(units), "{}", done.text());
    assert!(time < Duration::from_mins(1), "{time:?}");
    assert!((1..300_000_000).contains(&own_bytes), "{own_bytes}");
    eprintln!("{time:?}, {own_bytes} bytes");
}
