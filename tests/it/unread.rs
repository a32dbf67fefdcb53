//! What cannot be read now is neither damaged nor something else: a retry may find it whole.

use crate::support;

use std::fs;
use std::process::{Command, Stdio};

use support::{Done, Place, output_bytes, skipped};

const EMBED: &str = "--seq-len 4 --stride 4 --init-seed 1 --dim 2 --threads 1";

/// Commands that read an existing output.
fn lines() -> [String; 7] {
    [
        format!("run a.txt --out d {EMBED}"),
        "tokenize a.txt --out d --threads 1".to_owned(),
        "verify d".to_owned(),
        "finish d".to_owned(),
        format!("embed d --out e {EMBED}"),
        "verify e".to_owned(),
        "positions --kind alibi --heads 2 --seq-len 8 --out p.npy".to_owned(),
    ]
}

/// Makes each of `calls` of each `wanted` command fail once with `error`; returns how many commands
/// failed.
fn sweep(calls: &str, error: &str, wanted: impl Fn(&str) -> bool) -> usize {
    let place = Place::new();
    place.write("a.txt", "some words to cut ".repeat(20));
    for line in lines() {
        let done = place.run(line.split(' '));
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
    }
    let expected = ["d", "e"].map(|out| output_bytes(&place.path(out)));
    let mut failed = 0;
    for line in lines().into_iter().filter(|line| wanted(line)) {
        for nth in 1.. {
            let mut strace = Command::new("strace");
            strace
                .args(["-f", "-qq", "-o", "strace.log"])
                .args(["-e", &format!("trace={calls}")])
                .args(["-e", &format!("inject={calls}:error={error}:when={nth}")])
                .arg(env!("CARGO_BIN_EXE_shardmill"))
                .args(line.split(' '))
                .current_dir(place.path(""))
                .stdin(Stdio::null());
            let done = Done::new(strace.output().unwrap());
            let log = fs::read_to_string(place.path("strace.log")).unwrap();
            let Some(call) = log.lines().find(|call| call.contains("(INJECTED)")) else {
                break;
            };
            if call.contains("mmap(") && !call.contains("MAP_SHARED") {
                // It was memory, or a library.
                continue;
            }
            let what = format!("{line}, {nth}: {call}: {done:?}");
            // The dynamic linker opens libraries, and reports what is missing.
            assert!(matches!(done.code, Some(0 | 3 | 127)), "{what}");
            for wrong in ["damaged", "overwrite", "not being made", "is not a dataset"] {
                assert!(!done.stderr.contains(wrong), "{what}");
            }
            failed += usize::from(done.code == Some(3));
        }
    }
    let found = ["d", "e"].map(|out| output_bytes(&place.path(out)));
    assert!(found == expected);
    failed
}

#[test]
fn what_cannot_be_opened_or_mapped_is_not_called_damaged() {
    if let Err(error) = Command::new("strace").arg("-V").output() {
        return skipped("files that cannot be opened", &format!("strace: {error}"));
    }
    // A manifest and a shard's two files; more for most commands.
    assert!(sweep("openat", "EMFILE", |_| true) >= 20);
    assert!(sweep("openat", "EIO", |line| line.ends_with(" d")) >= 6);
    assert!(sweep("mmap", "ENOMEM", |line| line.ends_with(" d")) >= 6);
}
