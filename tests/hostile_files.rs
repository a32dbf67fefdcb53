//! What the system makes of files: links in a circle, disks that cannot be read, calls that do
//! less than they were asked for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use support::{Done, Place, fixture, output_bytes, skipped};

#[test]
fn links_that_lead_nowhere_are_named_and_end_nothing_else() {
    let place = Place::new();
    symlink("loop", place.path("loop")).unwrap();
    symlink("nowhere", place.path("broken")).unwrap();
    place.write("in/a.txt", "a");
    symlink(".", place.path("in/again")).unwrap();
    symlink("../loop", place.path("in/loop")).unwrap();
    let many = "Too many levels of symbolic links (os error 40)";
    let none = "No such file or directory (os error 2)";
    for (name, code, what) in [("loop", 3, many), ("broken", 1, none)] {
        let line = format!("{name}: cannot open: {what}");
        place
            .run(["tokenize", name, "--out", "d"])
            .failed(code, &line);
        let line = format!("{name}: cannot open the dataset: {what}");
        place.run(["info", name]).failed(code, &line);
        let table = format!("embed in --out e --token-table {name}.npy --position-table none");
        assert_eq!(place.run(table.split(' ')).code, Some(1));
    }
    // A directory that holds itself is walked once.
    let done = place.run(["tokenize", "in", "--out", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("d: 2 tokens, 1 shard, 1 document "));
}

/// Commands of a shell, one after another, in `place`.
fn shell(place: &Place, script: &str) -> bool {
    let status = Command::new("sh")
        .args(["-e", "-c", script])
        .current_dir(place.path(""))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// A mounted file system that loses the end of its disk.
struct Disk<'a>(&'a Place);

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        shell(self.0, "umount -l disk");
    }
}

#[test]
fn a_disk_that_cannot_be_read_is_an_error_with_the_place() {
    const FIRST_BYTES: u64 = 1 << 20;
    let place = Place::new();
    // One is read, one is mapped.
    place.write("small.txt", "some words ".repeat(50_000));
    place.write("large.txt", "some words ".repeat(500_000));
    let made = shell(
        &place,
        "truncate -s 32M disk.img && mkfs.ext4 -q -F -O ^has_journal disk.img && mkdir disk
         mount -o loop disk.img disk && cp small.txt large.txt disk && umount disk
         mount -o loop,ro disk.img disk",
    );
    if !made {
        skipped(
            "a disk that cannot be read",
            "needs root, mkfs.ext4 and loop devices",
        );
        return;
    }
    let _disk = Disk(&place);
    // What the file system knows of the files it has read; their bytes it has not.
    for name in ["small.txt", "large.txt"] {
        let file = File::open(place.path("disk").join(name)).unwrap();
        assert!(file.metadata().unwrap().len() > FIRST_BYTES / 2);
    }
    assert_eq!(place.run(["plan", "disk"]).code, Some(0));
    let image = File::options().write(true).open(place.path("disk.img"));
    image.unwrap().set_len(FIRST_BYTES).unwrap();
    for name in ["small.txt", "large.txt"] {
        let input = format!("disk/{name}");
        let done = place.run(["tokenize", &input, "--out", "d"]);
        assert_eq!(done.code, Some(3), "{done:?}");
        let line = done.stderr.strip_prefix("shardmill: error: ").unwrap();
        let path = place.path(&input);
        let is_named = line.starts_with(&input) || line.starts_with(path.to_str().unwrap());
        assert!(is_named, "{done:?}");
        assert_eq!(line.lines().count(), 1, "{done:?}");
        assert!(!place.path("d").exists(), "{done:?}");
    }
}

/// Calls that do a part of what they are asked for, as they may.
const SHORT: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static size_t some(size_t n) { static size_t k; return n < 2 ? n : 1 + (k += 7919) % (n - 1); }
ssize_t read(int fd, void *to, size_t n) {
    static ssize_t (*next)(int, void *, size_t);
    if (!next) next = dlsym(RTLD_NEXT, "read");
    return next(fd, to, some(n));
}
ssize_t write(int fd, const void *from, size_t n) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = dlsym(RTLD_NEXT, "write");
    return next(fd, from, fd == 2 ? n : some(n));
}
"#;

#[test]
fn short_reads_and_writes_give_the_same_bytes() {
    let place = Place::new();
    place.write("short.c", SHORT);
    if !shell(&place, "cc -shared -fPIC -O1 -o short.so short.c -ldl") {
        skipped("short reads and writes", "need a C compiler");
        return;
    }
    let text = fs::read(fixture("text/the-verdict.txt")).unwrap();
    place.write("a.txt", &text);
    let line = |out: &str| {
        format!(
            "run a.txt --out {out} --unit-size 9kB --threads 1 --init-seed 1 --dim 2 --seq-len 8"
        )
    };
    assert_eq!(place.run(line("whole").split(' ')).code, Some(0));
    let whole = output_bytes(&place.path("whole"));
    let shim = place.path("short.so");
    let short = |line: &str| -> Done {
        let mut command = place.command(line.split(' '));
        Done::new(command.env("LD_PRELOAD", &shim).output().unwrap())
    };
    assert!(is_short(&shim), "the calls do all they are asked for");
    let done = short(&line("short"));
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(output_bytes(&place.path("short")) == whole);
    let done = short("decode whole");
    assert!(done.code == Some(0) && done.stdout == text, "{done:?}");
}

/// Whether a call under the shim does less than is asked for, which `dd` counts as a partial record.
fn is_short(shim: &Path) -> bool {
    let dd = Command::new("dd")
        .args(["if=/dev/zero", "of=/dev/null", "bs=4k", "count=1"])
        .env("LD_PRELOAD", shim)
        .output();
    dd.is_ok_and(|done| String::from_utf8_lossy(&done.stderr).starts_with("0+1 records in"))
}
