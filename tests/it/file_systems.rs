//! File systems that lack features: outputs on them have the same bytes.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use support::{Done, Place, output_bytes, skipped};

/// Every command that writes, with its output in `o`; each needs those before it.
const WRITERS: [&str; 7] = [
    "tokenize a.txt --threads 2 --out o/d",
    "tokenize a.txt --threads 2 --out o/u --units 0/1",
    "finish o/u",
    "embed o/d --seq-len 64 --stride 64 --init-seed 1 --dim 2 --out o/e",
    "run a.txt --threads 2 --seq-len 64 --stride 64 --init-seed 1 --dim 2 --out o/r",
    "positions --kind alibi --heads 8 --seq-len 512 --out o/p.npy",
    "tokenize a.txt --threads 2 --repair --out o/r",
];

/// A place with a text whose shard, 3.6 MB, bypasses the page cache.
fn place() -> Place {
    let place = Place::new();
    let words: Vec<_> = (0..300_000_u32).map(|i| (i % 1000).to_string()).collect();
    place.write("a.txt", words.join(" a, "));
    place
}

/// Makes every output again with `command`; returns all of their bytes.
fn outputs(place: &Place, command: impl Fn(&[&str]) -> Command) -> BTreeMap<String, Vec<u8>> {
    let _ = fs::remove_dir_all(place.path("o"));
    for line in WRITERS {
        if line.contains("--repair") {
            let shard = place.path("o/r/shard-00000.u32");
            let mut bytes = fs::read(&shard).unwrap();
            bytes[100] ^= 1;
            fs::write(shard, bytes).unwrap();
        }
        let args: Vec<_> = line.split(' ').collect();
        let done = Done::new(command(&args).output().unwrap());
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
    }
    output_bytes(&place.path("o"))
}

fn is_on_disk(place: &Place) -> bool {
    let stat = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(place.path(""))
        .output();
    let kind = String::from_utf8(stat.unwrap().stdout).unwrap();
    let is_memory = ["tmpfs", "ramfs"].contains(&kind.trim());
    if is_memory {
        skipped(
            "no way past the page cache",
            "temporary files lie in memory",
        );
    }
    !is_memory
}

/// Refuses large direct writes with `REFUSAL`, and leaves a file that records it.
const REFUSING: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
ssize_t write(int fd, const void *from, size_t n) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = dlsym(RTLD_NEXT, "write");
    if (fcntl(fd, F_GETFL) & O_DIRECT) {
        close(open(getenv("REFUSED"), O_WRONLY | O_CREAT, 0600));
        errno = REFUSAL;
        return -1;
    }
    return next(fd, from, n);
}
"#;

#[test]
fn where_direct_writes_are_refused_every_command_makes_the_same_bytes() {
    let place = place();
    if !is_on_disk(&place) {
        return;
    }
    let expected = outputs(&place, |args| place.command(args));
    place.write("refusing.c", REFUSING);
    for refusal in ["EINVAL", "EOPNOTSUPP"] {
        let cc = Command::new("cc")
            .args([
                "-shared",
                "-fPIC",
                "-O1",
                "-o",
                "refusing.so",
                "refusing.c",
                "-ldl",
            ])
            .arg(format!("-DREFUSAL={refusal}"))
            .current_dir(place.path(""))
            .status();
        if !cc.is_ok_and(|cc| cc.success()) {
            return skipped("refused direct writes", "need a C compiler");
        }
        let made = outputs(&place, |args| {
            let mut command = place.command(args);
            command
                .env("LD_PRELOAD", place.path("refusing.so"))
                .env("REFUSED", place.path(format!("refused-{}", args[0])));
            command
        });
        assert!(made == expected, "{refusal}");
        for name in ["tokenize", "embed", "run", "positions"] {
            let refused = fs::remove_file(place.path(format!("refused-{name}")));
            assert!(refused.is_ok(), "{name}: no write was refused");
        }
    }
}

#[test]
fn where_the_flag_for_direct_writes_is_refused_every_command_makes_the_same_bytes() {
    let place = place();
    if !is_on_disk(&place) {
        return;
    }
    if let Err(error) = Command::new("strace").arg("-V").output() {
        return skipped("a refused flag", &format!("strace: {error}"));
    }
    let expected = outputs(&place, |args| place.command(args));
    for refusal in ["EINVAL", "EOPNOTSUPP"] {
        let made = outputs(&place, |args| {
            let mut strace = Command::new("strace");
            // The thread that writes a file first queries its flags.
            strace
                .args(["-f", "-qq", "-A", "-o", "strace.log", "-e", "trace=fcntl"])
                .args(["-e", &format!("inject=fcntl:error={refusal}:when=2")])
                .arg(env!("CARGO_BIN_EXE_shardmill"))
                .args(args)
                .current_dir(place.path(""))
                .stdin(Stdio::null());
            strace
        });
        assert!(made == expected, "{refusal}");
        let calls = fs::read_to_string(place.path("strace.log")).unwrap();
        fs::remove_file(place.path("strace.log")).unwrap();
        let is_refused = |call: &str| call.contains("O_DIRECT") && call.contains("(INJECTED)");
        let refused = calls.lines().filter(|call| is_refused(call)).count();
        // One file per command, and three of those that embed, some of which are small.
        assert!(refused >= 5, "{refused}: {calls}");
    }
}

#[test]
fn a_file_system_without_a_known_size_takes_every_output() {
    const SCRIPT: &str = "mkdir -p m kept
mount -t tmpfs -o size=0 none m && test \"$(stat -f -c %b m)\" = 0 || exit 99
\"$0\" \"$@\" && cp -r m/. kept";
    let place = Place::new();
    place.write("a.txt", "some words to cut ".repeat(400));
    let expected = outputs(&place, |args| place.command(args));
    for line in WRITERS {
        if line.contains("--units") || line.starts_with("finish") || line.contains("--repair") {
            continue;
        }
        let done = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT])
            .arg(env!("CARGO_BIN_EXE_shardmill"))
            .args(line.replace("--out o/", "--out m/").split(' '))
            .current_dir(place.path(""))
            .output();
        match done.map(Done::new) {
            Ok(done) if done.code == Some(99) => {
                return skipped("a file system without a size", done.stderr.trim());
            }
            Ok(done) => assert_eq!(done.code, Some(0), "{line}: {done:?}"),
            Err(error) => return skipped("a file system without a size", &error.to_string()),
        }
    }
    let mut made = output_bytes(&place.path("kept"));
    assert_eq!(made.len(), 15, "{:?}", made.keys());
    made.retain(|name, bytes| expected[name] != *bytes);
    assert!(made.is_empty(), "{:?}", made.keys());
}
