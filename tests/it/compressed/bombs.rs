//! Data that decodes to much more than it is: the memory of a run does not grow with it.

use std::io::Write;
use std::process::Command;

use crate::support::{Done, Place};

/// `repeats` times `piece`, as gzip data.
fn bomb(piece: &[u8], repeats: usize) -> Vec<u8> {
    let mut data = Vec::new();
    let mut encoder = flate2::write::GzEncoder::new(&mut data, flate2::Compression::fast());
    for _ in 0..repeats {
        encoder.write_all(piece).unwrap();
    }
    encoder.finish().unwrap();
    data
}

/// The most memory that `tokenize` with these arguments uses, in bytes.
pub(crate) fn peak(place: &Place, args: &[&str]) -> u64 {
    let program = place.command([&["tokenize", "--out", "out"], args].concat());
    let script = "
import os, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(code)
";
    let mut python = Command::new("python3");
    python
        .args(["-c", script])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(place.path("."));
    let done = Done::new(python.output().unwrap());
    assert_eq!(done.code, Some(0), "{done:?}");
    std::fs::remove_dir_all(place.path("out")).unwrap();
    done.text().trim().parse().unwrap()
}

#[test]
fn a_bomb_takes_no_more_memory_than_little_data() {
    if Command::new("python3").arg("-V").output().is_err() {
        return crate::support::skipped("the memory of bombs", "no python3");
    }
    let place = Place::new();
    let line = b"{\"text\":\"ab cd\"}\n".repeat(1 << 12);
    let words = b"many words ".repeat(1 << 13);
    let blank = vec![b'\n'; 1 << 16];
    let record = &b"{\"text\":\"a\"}\n"[..];
    for (name, end, piece) in [
        ("a.jsonl.gz", record, &line[..]),
        ("a.txt.gz", b"Once", &words),
        ("b.jsonl.gz", record, &blank),
        ("a.json.gz", record, &blank),
    ] {
        let megabytes = |n: usize| {
            let text = bomb(piece, (n << 20) / piece.len());
            [bomb(end, 1), text, bomb(end, 1)].concat()
        };
        place.write(name, megabytes(8));
        let little = peak(&place, &[name, "--threads", "2"]);
        place.write(name, megabytes(80));
        let much = peak(&place, &[name, "--threads", "2"]);
        assert!(
            much < little + (24 << 20),
            "{name}: {little} and {much} bytes"
        );
    }
}

#[test]
fn many_small_files_take_no_more_memory_than_few() {
    if Command::new("python3").arg("-V").output().is_err() {
        return crate::support::skipped("the memory of small files", "no python3");
    }
    let place = Place::new();
    let [little, much] = [100, 8000].map(|files| {
        for index in 0..files {
            place.write(format!("in/{index}.txt.gz"), bomb(b"a few words ", 50));
        }
        peak(&place, &["in", "--threads", "2"])
    });
    assert!(much < little + (24 << 20), "{little} and {much} bytes");
}
