//! What the system does with files: loops of links, disks that cannot be read, calls that do less
//! than requested.

use crate::support;

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
    for (name, code, what) in [("loop", 1, many), ("broken", 1, none)] {
        let line = format!("{name}: cannot open: {what}");
        place
            .run(["tokenize", name, "--out", "d"])
            .failed(code, &line);
        let line = format!("{name}: cannot open the dataset: {what}");
        place.run(["info", name]).failed(code, &line);
        let table = format!("embed in --out e --token-table {name}.npy --position-table none");
        assert_eq!(place.run(table.split(' ')).code, Some(1));
    }
    // A directory that contains itself is walked once.
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

impl<'a> Disk<'a> {
    /// A disk with a copy of `name`, of which nothing is in memory; `None`, with a notice, if the
    /// test may not have one.
    fn new(place: &'a Place, name: &str) -> Option<Self> {
        let script = format!(
            "rm -f disk.img && truncate -s 32M disk.img && mkfs.ext4 -q -F -b 4096 -O ^has_journal disk.img
             mkdir -p disk && mount -o loop disk.img disk && cp {name} disk && umount disk
             mount -o loop,ro disk.img disk"
        );
        let is_made = shell(place, &script);
        if !is_made {
            skipped(
                "a disk that cannot be read",
                "needs root, mkfs.ext4 and loop devices",
            );
        }
        is_made.then(|| Self(place))
    }

    /// Loses `text`, which is in the file `name`, and everything after it on the disk.
    fn lose_from(&self, name: &str, text: &[u8]) {
        // The file's metadata stays in memory.
        let file = File::open(self.0.path("disk").join(name)).unwrap();
        assert!(file.metadata().unwrap().len() > LOST_FROM);
        let image = self.0.read("disk.img");
        let start = memchr::memmem::find(&image, text).unwrap();
        let image = File::options().write(true).open(self.0.path("disk.img"));
        image.unwrap().set_len(start as u64).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        shell(self.0, "umount -l disk");
    }
}

/// Where in a file the disk begins to fail: no piece that the kernel reads has bytes of both sides.
const LOST_FROM: u64 = 256 << 10;

#[test]
fn a_disk_that_cannot_be_read_is_an_error_with_the_place() {
    let place = Place::new();
    // One is read, also as a stream; one is mapped.
    for (name, numbers) in [("small.txt", 100_000), ("large.txt", 1_000_000)] {
        let words: Vec<_> = (0..numbers).map(|number: u32| number.to_string()).collect();
        let text = words.join(" ").into_bytes();
        place.write(name, &text);
        let Some(disk) = Disk::new(&place, name) else {
            return;
        };
        let lost_from = usize::try_from(LOST_FROM).unwrap();
        disk.lose_from(name, &text[lost_from..][..100]);
        let input = format!("disk/{name}");
        let file = File::open(place.path(&input)).unwrap();
        let mut streamed = place.command(["tokenize", "-", "--out", "d"]);
        let streamed = Done::new(streamed.stdin(file).output().unwrap());
        let read = format!("byte {LOST_FROM}: cannot read: Input/output error (os error 5)");
        streamed.failed(3, &format!("-: {read}"));
        let done = place.run(["tokenize", &input, "--out", "d"]);
        if name == "small.txt" {
            done.failed(3, &format!("{input}: {read}"));
        } else {
            assert_eq!(done.code, Some(3), "{done:?}");
            assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
            let path = place.path(&input);
            let start = format!("shardmill: error: {}: byte ", path.display());
            let rest = done.stderr.strip_prefix(&start).unwrap();
            let (offset, what) = rest.split_once(": ").unwrap();
            // The first lost byte that was requested.
            let is_lost = (LOST_FROM..text.len() as u64).contains(&offset.parse().unwrap());
            assert!(is_lost && what.starts_with("cannot be read: "), "{done:?}");
        }
        assert!(!place.path("d").exists(), "{done:?}");
    }
}

/// Calls that do only part of what is requested, as they may.
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
    // The embeddings are larger than what is written through the page cache.
    let line = |out: &str| {
        format!(
            "run a.txt --out {out} --unit-size 9kB --threads 1 --init-seed 1 --dim 256 --seq-len 8 --stride 8"
        )
    };
    assert_eq!(place.run(line("whole").split(' ')).code, Some(0));
    let whole = output_bytes(&place.path("whole"));
    assert!(whole.values().any(|bytes| bytes.len() > 4 << 20));
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

/// Whether a call under the shim does less than requested, which `dd` counts as a partial record.
fn is_short(shim: &Path) -> bool {
    let dd = Command::new("dd")
        .args(["if=/dev/zero", "of=/dev/null", "bs=4k", "count=1"])
        .env("LD_PRELOAD", shim)
        .output();
    dd.is_ok_and(|done| String::from_utf8_lossy(&done.stderr).starts_with("0+1 records in"))
}
