//! Outputs that cannot be written: occupied, locked, read-only, too small.

use crate::support;

use std::fs;
use std::io::Write as _;
use std::process::Command;

use support::{Done, Place, after, fixture, output_bytes, skipped, spawn};

#[track_caller]
fn refused(place: &Place, args: &[&str], code: i32, line: &str) {
    let before = place.tree();
    place.run(args).failed(code, line);
    assert_eq!(place.tree(), before, "something is left or lost");
}

#[test]
fn what_is_in_the_way_is_left_alone() {
    let place = Place::new();
    place.write("a.txt", "a");
    place.write("file", "mine");
    place.write("folder/thesis.txt", "mine");
    let foreign = "exists and was not made by shardmill; remove it or choose another --out";
    let no_directory = "exists and is not a directory; choose another --out";
    for more in [&[][..], &["--overwrite"]] {
        let tokenize = |out| [&["tokenize", "a.txt", "--out", out], more].concat();
        refused(
            &place,
            &tokenize("folder"),
            1,
            &format!("folder: {foreign}"),
        );
        for out in ["file", "a.txt"] {
            refused(&place, &tokenize(out), 1, &format!("{out}: {no_directory}"));
        }
        let into_file = "file: cannot create: File exists (os error 17)";
        refused(&place, &tokenize("file/d"), 1, into_file);
        refused(
            &place,
            &tokenize("/"),
            1,
            "/: is not a name for a new directory; choose another --out",
        );
    }
    place.write("d.partial/thesis.txt", "mine");
    refused(
        &place,
        &["tokenize", "a.txt", "--out", "d"],
        1,
        "d.partial: is in the way: it has no state.json, so no run of this version made it; move it \
         elsewhere",
    );
    assert_eq!(place.read("d.partial/thesis.txt"), b"mine");
}

#[test]
fn a_link_is_replaced_only_when_asked_and_its_target_is_left_alone() {
    let place = Place::new();
    place.write("a.txt", "a");
    place.write("folder/thesis.txt", "mine");
    place.run(["tokenize", "a.txt", "--out", "other", "--eot", "none"]);
    let other = output_bytes(&place.path("other"));
    let is_a_link = "is a link; use --overwrite to replace the link and leave its target alone, or \
                     choose another --out";
    for target in ["nowhere", "folder", "folder/thesis.txt", "other"] {
        std::os::unix::fs::symlink(target, place.path("link")).unwrap();
        let args = ["tokenize", "a.txt", "--out", "link"];
        refused(&place, &args, 1, &format!("link: {is_a_link}"));
        let done = place.run([&args[..], &["--overwrite"]].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(place.path("link").symlink_metadata().unwrap().is_dir());
        assert!(place.path("link/manifest.json").exists());
        assert!(place.path("link.partial").symlink_metadata().is_err());
        fs::remove_dir_all(place.path("link")).unwrap();
    }
    assert_eq!(place.read("folder/thesis.txt"), b"mine");
    assert_eq!(output_bytes(&place.path("other")), other);
}

#[test]
fn an_output_inside_of_an_input_is_refused() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    std::os::unix::fs::symlink("in", place.path("link")).unwrap();
    for out in ["in/out", "in/new/out", "link/out", "in", "../in/out"] {
        // The last one uses the name of the place itself.
        let name = place.path("");
        let name = name.file_name().unwrap().to_str().unwrap();
        let out = out.replace("..", &format!("../{name}"));
        let line = format!("{out}: is inside the input in; choose an output outside of it");
        refused(&place, &["tokenize", "in", "--out", &out], 1, &line);
    }
}

#[test]
fn an_output_inside_of_another_output_is_refused() {
    let place = Place::new();
    place.write("a.txt", "a b c d e");
    let made = place.run(["tokenize", "a.txt", "--out", "d"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    std::os::unix::fs::symlink("d", place.path("link")).unwrap();
    let directory = place.path("").canonicalize().unwrap();
    let refused_in = |out: &str, args: &[&str], inside: &str, what: &str| {
        let inside = directory.join(inside);
        let line = format!(
            "{out}: is inside the output {}, {what}; choose another --out",
            inside.display()
        );
        refused(&place, &[args, &["--out", out]].concat(), 1, &line);
    };
    let replaced = "which no run could replace then";
    let tokenize = ["tokenize", "a.txt"];
    let embed = "embed d --init-seed 1 --dim 1 --seq-len 2";
    let embed: Vec<_> = embed.split(' ').collect();
    for out in ["d/e", "d/e/f", "link/e", "d/embeddings", "d/embeddings/e"] {
        refused_in(out, &tokenize, "d", replaced);
        if out != "d/embeddings" {
            refused_in(out, &embed, "d", replaced);
        }
    }
    refused_in("d/a.html", &["report", "d"], "d", replaced);
    let positions = [
        "positions",
        "--kind",
        "sinusoidal",
        "--seq-len",
        "2",
        "--dim",
        "2",
    ];
    refused_in("d/a.npy", &positions, "d", replaced);
    // What belongs there is made, and hinders nothing.
    let done = place.run([&embed[..], &["--out", "d/embeddings"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    refused_in(
        "d/embeddings/a.html",
        &["report", "d"],
        "d/embeddings",
        replaced,
    );
    let again = [
        "tokenize",
        "a.txt",
        "--out",
        "d",
        "--eot",
        "none",
        "--overwrite",
    ];
    assert_eq!(place.run(again).code, Some(0));

    place.write("p.partial/state.json", "{\"state\": \"making\"}");
    let making = "in which another output is being made";
    for out in ["p.partial/e", "p.partial/new/e"] {
        refused_in(out, &tokenize, "p.partial", making);
    }
    refused_in("p.partial/a.html", &["report", "d"], "p.partial", making);
    // Directories of other programs are none of ours.
    place.write("x/run.json", "{\"run_id\": 7}");
    place.write("x.partial/state.json", "{\"state\": \"CA\"}");
    for out in ["x/e", "x.partial/e"] {
        let done = place.run([&tokenize[..], &["--out", out]].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
    }
}

#[test]
fn a_second_run_on_the_same_output_is_refused_at_once() {
    let place = Place::new();
    place.write("a.txt", "a");
    let pipe = place.fifo("pipe");
    let first = spawn(&mut place.command(["tokenize", "pipe", "--out", "out"]));
    // Returns when the first run has opened the other end, and so holds its output.
    let mut writer = fs::File::create(pipe).unwrap();
    let line = "out.partial: another run is writing here; wait for it to end or choose another \
                --out";
    let run = [
        "run",
        "a.txt",
        "--out",
        "out",
        "--init-seed",
        "1",
        "--dim",
        "1",
    ];
    for args in [&["tokenize", "a.txt", "--out", "out"][..], &run] {
        place.run(args).failed(4, line);
    }
    writer.write_all(b"Hello").unwrap();
    drop(writer);
    Done::new(first.wait_with_output().unwrap())
        .said(&["out: 2 tokens, 1 shard, 1 document from 5 B in TIME (RATE)"]);
    assert!(!place.path("out.partial").exists());
}

#[test]
fn no_room_for_embeddings_is_said_before_any_work() {
    let place = Place::new();
    let text = fixture("text/tinyshakespeare.txt");
    let text = text.to_str().unwrap();
    let made = place.run(["tokenize", text, "--out", "d"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    // (338,026 - 169,000) windows x 169,000 x (256 x 4 + 8) bytes: 29 TB.
    let embed = [
        "embed",
        "d",
        "--out",
        "e",
        "--seq-len",
        "169000",
        "--stride",
        "1",
        "--dim",
        "256",
        "--init-seed",
        "1",
        "--position-table",
        "none",
    ];
    let done = place.run(embed);
    assert_eq!(done.code, Some(3), "{done:?}");
    let start = "shardmill: error: e: needs 29,479,486,608,384 bytes and the disk has ";
    assert!(done.stderr.starts_with(start), "{done:?}");
    assert!(
        done.stderr
            .ends_with(" free; make room or choose another place\n"),
        "{done:?}"
    );
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    assert!(!place.path("e").exists() && !place.path("e.partial").exists());
}

/// Embeddings of 135 TB, whose tables would take 20 GB.
#[test]
fn no_room_for_embeddings_is_said_before_tables_are_drawn() {
    let place = Place::new();
    place.write(
        "a.txt",
        fs::read(fixture("text/tinyshakespeare.txt")).unwrap(),
    );
    let sizes = "--init-seed 1 --dim 100000 --seq-len 1000 --stride 1 --threads 2";
    let limited = |line: &str| {
        let command = place.command(format!("{line} {sizes}").split(' '));
        // Kilobytes.
        let mut limited = after("ulimit -v 1000000", &command);
        Done::new(limited.output().unwrap())
    };
    for line in [
        "run a.txt --out d",
        "run a.txt --out d --position-table sinusoidal",
        "run a.txt --out d --position-table rope",
    ] {
        let done = limited(line);
        assert_eq!(done.code, Some(3), "{done:?}");
        let (error, note) = done.stderr.split_once('\n').unwrap();
        assert!(
            error.starts_with("shardmill: error: d: needs 13"),
            "{done:?}"
        );
        // The user can make room.
        assert!(
            note.ends_with("run the same command again to continue\n"),
            "{done:?}"
        );
    }
    assert_eq!(place.run("tokenize a.txt --out d".split(' ')).code, Some(0));
    for line in [
        "run a.txt --out d",
        "embed d --out e",
        "embed d --out e --position-table none",
    ] {
        let done = limited(line);
        assert_eq!(done.code, Some(3), "{done:?}");
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
        assert!(done.stderr.contains(": needs 13"), "{done:?}");
    }
}

#[test]
fn a_window_longer_than_the_corpus_is_refused_with_one_that_is_not() {
    let place = Place::new();
    place.write("a.txt", "one two three four");
    place.write("b.txt", "one");
    let run = |seq_len: &str, input: &str| {
        let line = format!(
            "run {input} --out {input}.d --eot none --init-seed 1 --dim 2 --seq-len {seq_len}"
        );
        place.run(line.split(' '))
    };
    run("5", "a.txt").failed(
        1,
        "a.txt.d: has 4 tokens, no window of 5 and its target; lower --seq-len to 3 or less",
    );
    let done = run("3", "a.txt");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("1 shard (1 done before)"), "{done:?}");
    run("5", "b.txt").failed(
        1,
        "b.txt.d: has 1 token, no window and its target, whatever --seq-len; add more text",
    );
}

#[test]
fn to_go_on_is_no_advice_where_that_would_fail_the_same_way() {
    let place = Place::new();
    place.write("in/a.txt", "some words to cut ".repeat(100));
    place.write("in/b.txt", b"\xff");
    let args = "tokenize in --out d --unit-size 500B --threads 1".split(' ');
    let done = place.run(args);
    done.failed(
        1,
        "in/b.txt: byte 0: invalid UTF-8; use --invalid-utf8 replace or ignore to accept it",
    );
    let left = place.tree();
    assert!(
        left.contains(&"d.partial/shard-00000.json".to_owned()),
        "{left:?}"
    );
}

/// Runs the program with its own file system on `disk`, mounted with `options`; also returns what
/// is on it afterwards. `None`, with a notice, if mounting is not allowed.
fn on_disk(place: &Place, options: &str, args: &[&str]) -> Option<(Done, String)> {
    const SCRIPT: &str = "mount -t tmpfs -o \"$0\" none disk || exit 99
\"$@\"; code=$?; find disk -mindepth 1 > left; exit $code";
    fs::create_dir_all(place.path("disk")).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT, options])
        .arg(env!("CARGO_BIN_EXE_shardmill"))
        .args(args)
        .current_dir(place.path(""));
    let name = format!("{} on a file system with {options}", args[0]);
    let done = match command.output() {
        Ok(output) => Done::new(output),
        Err(error) => {
            skipped(&name, &format!("unshare: {error}"));
            return None;
        }
    };
    let Ok(left) = fs::read_to_string(place.path("left")) else {
        skipped(&name, done.stderr.trim());
        return None;
    };
    Some((done, left))
}

#[test]
fn a_disk_that_runs_full_is_an_error_worth_a_retry_and_leaves_only_what_is_done() {
    let place = Place::new();
    let text = fs::read(fixture("text/tinyshakespeare.txt")).unwrap();
    place.write("a.txt", &text);
    for threads in ["1", "7"] {
        let args = [
            "tokenize",
            "a.txt",
            "--out",
            "disk/out",
            "--threads",
            threads,
            "--unit-size",
            "200kB",
        ];
        let Some((done, left)) = on_disk(&place, "size=1m", &args) else {
            return;
        };
        assert_eq!(done.code, Some(3), "{done:?}");
        let full = ": cannot write: No space left on device (os error 28)";
        let start = "shardmill: error: disk/out.partial/";
        let (error, note) = done.stderr.split_once('\n').unwrap();
        assert!(
            error.starts_with(start) && error.ends_with(full),
            "{done:?}"
        );
        let units = left.lines().filter(|name| name.contains(".json")).count();
        let Some(units) = units.checked_sub(2) else {
            assert_eq!((note, &*left), ("", ""));
            continue;
        };
        // Two directories, the state and the plan, and each finished unit with its two files.
        assert_eq!(left.lines().count(), 2 + 2 + 3 * units, "{left}");
        assert!(!left.contains(".tmp-"), "{left}");
        let next = "units done; run the same command again to continue";
        assert_eq!(note, format!("shardmill: {units} of 6 {next}\n"));
    }
}

#[test]
fn a_disk_without_free_inodes_is_an_error_worth_a_retry() {
    let place = Place::new();
    place.write("a.txt", "some words to cut ".repeat(400));
    let args = "tokenize a.txt --out disk/out --threads 1 --unit-size 1kB";
    let args: Vec<_> = args.split(' ').collect();
    // For the file system, two directories, the state and the plan; three per unit.
    for inodes in 1..14 {
        let options = format!("size=1m,nr_inodes={inodes}");
        let Some((done, left)) = on_disk(&place, &options, &args) else {
            return;
        };
        let what = format!("{inodes}: {done:?}, left {left}");
        assert_eq!(done.code, Some(3), "{what}");
        let error = done.stderr.lines().next().unwrap();
        assert!(
            error.starts_with("shardmill: error: disk/out.partial")
                && error.ends_with(": cannot create: No space left on device (os error 28)"),
            "{what}"
        );
        assert!(!left.contains(".tmp-"), "{what}");
        let units = left.matches(".json").count().saturating_sub(2);
        assert_eq!(left.matches("shard-").count(), 3 * units, "{what}");
    }
}

#[test]
fn embeddings_that_do_not_fit_are_refused_before_any_work() {
    let place = Place::new();
    place.write("a.txt", "All work and no play. ".repeat(100));
    let made = place.run(["tokenize", "a.txt", "--out", "d"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let args = [
        "embed",
        "d",
        "--out",
        "disk/e",
        "--stride",
        "1",
        "--init-seed",
        "1",
        "--dim",
        "8",
    ];
    let Some((done, left)) = on_disk(&place, "size=1m", &args) else {
        return;
    };
    assert_eq!(done.code, Some(3), "{done:?}");
    let end = " bytes and the disk has 1,048,576 free; make room or choose another place\n";
    assert!(
        done.stderr.starts_with("shardmill: error: disk/e: needs "),
        "{done:?}"
    );
    assert!(done.stderr.ends_with(end), "{done:?}");
    assert_eq!(left, "");
}

#[test]
fn a_read_only_output_is_said_at_the_start() {
    let place = Place::new();
    // Bad input that is never reached.
    place.write("a.txt", b"\xff");
    for out in ["disk/out", "disk/new/out"] {
        let args = ["tokenize", "a.txt", "--out", out];
        let Some((done, _)) = on_disk(&place, "ro", &args) else {
            return;
        };
        let made = if out == "disk/out" {
            "disk/out.partial"
        } else {
            "disk/new"
        };
        let line = format!("{made}: cannot create: Read-only file system (os error 30)");
        done.failed(3, &line);
    }
}

#[test]
fn embeddings_never_replace_what_they_are_made_from() {
    let place = Place::new();
    place.write("a.txt", "some words to make a window of");
    let made = place.run(["tokenize", "a.txt", "--out", "d"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let before = place.tree();
    let args = [
        "embed",
        "d",
        "--out",
        "d",
        "--overwrite",
        "--init-seed",
        "1",
        "--dim",
        "2",
        "--seq-len",
        "2",
    ];
    place
        .run(args)
        .failed(1, "d: holds the input d; choose another --out");
    assert_eq!(place.tree(), before);
}
