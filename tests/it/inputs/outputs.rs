//! Files that are read twice, and outputs that would be read.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::json;

use super::{names, said};
use crate::support::{Place, skipped};

#[test]
fn a_file_that_is_given_twice_is_read_twice_and_said_so() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write("in/b.txt", "b");
    place.write("other/a.txt", "c");
    fs::hard_link(place.path("in/b.txt"), place.path("in/hard.txt")).unwrap();
    symlink("a.txt", place.path("in/soft.txt")).unwrap();
    for (inputs, count, first) in [
        (&["in"][..], 2, ["in/hard.txt", "in/b.txt"]),
        (&["in/a.txt", "in/a.txt"], 1, ["in/a.txt", "in/a.txt"]),
        (&["in/[ab]*", "in"], 4, ["in/a.txt", "in/a.txt"]),
        (&["in/soft.txt", "in/*.txt"], 3, ["in/a.txt", "in/soft.txt"]),
    ] {
        let args = [
            &["tokenize", "--out", "out", "--overwrite", "--json"],
            inputs,
        ]
        .concat();
        let done = place.run(args);
        let files = if count == 1 { "file" } else { "files" };
        let line = format!(
            "shardmill: read again: {count} {files} that the inputs name more than once, such as \
             {}, which is {}\n",
            first[0], first[1]
        );
        assert!(done.stderr.starts_with(&line), "{done:?}");
        let repeated = &done.json()["inputs"]["repeated"];
        assert_eq!(repeated["count"], count, "{inputs:?}");
        assert_eq!(repeated["paths"][0], json!(first), "{inputs:?}");
        assert_eq!(done.json()["sources"], names(&place, "out").len());
    }
    // Files with the same name are not the same file; they are told apart by argument or number.
    assert_eq!(said(&place, &["in/a.txt", "other"])["repeated"]["count"], 0);
    assert_eq!(names(&place, "out"), ["a.txt", "a.txt"]);
    let plan = place.run(["plan", "in/a.txt", "other", "in/b.txt", "--unit-size", "1"]);
    let starts: Vec<_> = plan
        .said(&[])
        .text()
        .lines()
        .filter(|line| line.contains("from byte"))
        .map(|line| line.rsplit(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(starts, ["in/a.txt", "other/a.txt", "b.txt"]);
    let info = place.run(["info", "out"]);
    let sources = "2: a.txt (source 0, 1 B), a.txt (source 1, 1 B)";
    assert!(info.text().contains(sources), "{}", info.text());
}

#[test]
fn an_output_is_refused_wherever_the_next_run_would_read_it() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write("in/x/b.txt", "b");
    place.write("in/z.json", "[]");
    place.write("else/c.txt", "c");
    symlink("../else", place.path("in/link")).unwrap();
    for (args, shown) in [
        ("in --out in/o", "in"),
        ("in --out in/x/y/o", "in"),
        ("in --out in", "in"),
        ("in --out else/o", "in"),
        ("in/* --out in/o", "in/"),
        ("in/**/*.json --out in/x/o", "in/"),
        ("in --exclude o --out in/o", "in"),
        (". --out o", "."),
        ("* --out o", "."),
    ] {
        let args: Vec<_> = ["tokenize"].into_iter().chain(args.split(' ')).collect();
        let out = args[args.len() - 1];
        let line = format!("{out}: is inside the input {shown}; choose an output outside of it");
        place.run(&args).failed(1, &line);
    }
    for args in [
        "in/*.txt --out in/o",
        "in/**/*.txt --out in/x/o",
        "in --exclude o* --out in/o",
        "in --out in/.o",
        "in --exclude link --exclude ?* --include * in/a.txt --out else/o",
    ] {
        let args: Vec<_> = ["tokenize"].into_iter().chain(args.split(' ')).collect();
        let done = place.run(&args);
        if args.contains(&"?*") {
            // Nothing is left of the directory.
            assert_eq!(done.code, Some(1), "{args:?} {done:?}");
            continue;
        }
        assert_eq!(done.code, Some(0), "{args:?} {done:?}");
        let again = place.run(&args);
        assert!(
            again.stderr.contains("was there already"),
            "{args:?} {again:?}"
        );
        fs::remove_dir_all(place.path(args[args.len() - 1])).unwrap();
    }
}

#[test]
fn a_mount_does_not_hide_that_an_output_is_inside_an_input() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    fs::create_dir_all(place.path("in/empty")).unwrap();
    for name in ["whole", "part"] {
        fs::create_dir_all(place.path(name)).unwrap();
    }
    // In its own namespace, so that nothing is left mounted.
    let script = "mount --bind in whole && mount --bind in/empty part && echo mounted >&2
        for out in whole/o whole/empty/o part/o whole; do \"$0\" tokenize in --out $out; echo $?; done
        \"$0\" tokenize in/a.txt --out whole; echo $?";
    let done = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            script,
            env!("CARGO_BIN_EXE_shardmill"),
        ])
        .current_dir(place.path(""))
        .output();
    let Some(done) = done
        .ok()
        .filter(|done| done.stderr.starts_with(b"mounted\n"))
    else {
        skipped("a bind mount", "needs root and unshare");
        return;
    };
    let said = String::from_utf8(done.stderr).unwrap();
    let lines: Vec<_> = said.lines().skip(1).collect();
    let inside = |out: &str| {
        format!("shardmill: error: {out}: is inside the input in; choose an output outside of it")
    };
    let holds = "shardmill: error: whole: holds the input in/a.txt; choose an output outside of it";
    assert_eq!(
        lines,
        [
            &inside("whole/o"),
            &inside("whole/empty/o"),
            &inside("part/o"),
            &inside("whole"),
            holds,
        ]
    );
    assert_eq!(done.stdout, b"1\n1\n1\n1\n1\n");
}
