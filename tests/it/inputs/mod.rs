//! Which files an argument names, which format they are read as, and what is reported about those
//! left out.

mod csv;
mod documents;
mod fields;
mod formats;
mod limits;
mod links;
mod lists;
mod outputs;
mod split;
pub(crate) mod units;
use crate::support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use support::Place;

/// The names of the sources of the dataset `out`.
fn names(place: &Place, out: &str) -> Vec<String> {
    let manifest: Value =
        serde_json::from_slice(&place.read(format!("{out}/manifest.json"))).unwrap();
    let sources = manifest["sources"].as_array().unwrap();
    let name = |source: &Value| source["name"].as_str().unwrap().to_owned();
    sources.iter().map(name).collect()
}

/// Tokenizes `inputs` and returns the names of the sources.
#[track_caller]
fn read(place: &Place, inputs: &[&str]) -> Vec<String> {
    let args = [&["tokenize", "--out", "out", "--overwrite"], inputs].concat();
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{inputs:?} {done:?}");
    names(place, "out")
}

/// What `tokenize --json` reports about `inputs`.
#[track_caller]
fn said(place: &Place, inputs: &[&str]) -> Value {
    let args = [
        &["tokenize", "--out", "out", "--overwrite", "--json"],
        inputs,
    ]
    .concat();
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{inputs:?} {done:?}");
    done.json()["inputs"].take()
}

/// What was left out, without empty kinds.
fn left_out(said: &Value) -> Value {
    let mut kinds = said["left_out"].clone();
    let kinds = kinds.as_object_mut().unwrap();
    kinds.retain(|_, listed| listed["count"] != 0);
    json!(kinds)
}

#[test]
fn a_glob_takes_names_that_are_not_utf8() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write(OsStr::from_bytes(b"in/\xe9t.txt"), "b");
    place.write(OsStr::from_bytes(b"in/\xe9/c.txt"), "c");
    assert_eq!(read(&place, &["in/*.txt"]), ["a.txt", "%E9t.txt"]);
    assert_eq!(read(&place, &["in/?/*"]), ["%E9/c.txt"]);
    assert_eq!(read(&place, &["in/**/?.txt"]), ["a.txt", "%E9/c.txt"]);
    // Also if the pattern is not UTF-8, before or after the first wildcard.
    for (pattern, name) in [(&b"in/\xe9*.txt"[..], "%E9t.txt"), (b"in/\xe9/*", "c.txt")] {
        let args = [
            "tokenize".as_ref(),
            OsStr::from_bytes(pattern),
            "--out".as_ref(),
            "out".as_ref(),
            "--overwrite".as_ref(),
        ];
        assert_eq!(place.run(args).code, Some(0));
        assert_eq!(names(&place, "out"), [name]);
    }
    let args = [
        "tokenize".as_ref(),
        "in".as_ref(),
        "--exclude".as_ref(),
        OsStr::from_bytes(b"\xe9*"),
        "--out".as_ref(),
        "out".as_ref(),
        "--overwrite".as_ref(),
        "--json".as_ref(),
    ];
    let said = place.run(args).json();
    assert_eq!(
        left_out(&said["inputs"]),
        json!({"excluded": {"count": 2, "paths": ["in/%E9", "in/%E9t.txt"]}})
    );
}

#[test]
fn a_wildcard_is_a_whole_character() {
    let place = Place::new();
    place.write("é.txt", "a");
    place.write("café.md", "b");
    assert_eq!(read(&place, &["?.txt", "caf[éè].*"]), ["é.txt", "café.md"]);
}

#[test]
fn hidden_names_are_read_where_they_are_asked_for_and_never_the_parent() {
    let place = Place::new();
    place.write("in/parent.txt", "p");
    for name in [
        ".dot.txt",
        "a.txt",
        ".git/b.txt",
        ".git/.c.txt",
        "d/.e/f.txt",
    ] {
        place.write(format!("in/d/{name}"), name);
    }
    assert_eq!(read(&place, &["in/d/.*"]), [".dot.txt", ".git/b.txt"]);
    assert_eq!(read(&place, &["in/d/.*.txt"]), [".dot.txt"]);
    assert_eq!(
        read(&place, &["in/d/.dot.txt", "in/d/.git"]),
        [".dot.txt", "b.txt"]
    );
    assert_eq!(read(&place, &["in/d/**/.e/*"]), ["d/.e/f.txt"]);
    for all in ["in/d", "in/d/**", "in/d/*", "in/{d,x}"] {
        let said = said(&place, &[all]);
        assert_eq!(names(&place, "out").len(), 1, "{all}");
        assert_eq!(
            left_out(&said),
            json!({"hidden": {"count": 3, "paths": ["in/d/.dot.txt", "in/d/.git", "in/d/d/.e"]}}),
            "{all}"
        );
    }
    // What is not selected does not count as left out.
    assert_eq!(left_out(&said(&place, &["in/d/a*"])), json!({}));
}

#[test]
fn two_stars_are_any_number_of_directories_and_also_none() {
    let place = Place::new();
    for name in ["1.txt", "s/2.md", "s/t/3.txt", "s/t/u/4.txt"] {
        place.write(format!("gl/{name}"), name);
    }
    let all = ["1.txt", "s/2.md", "s/t/3.txt", "s/t/u/4.txt"];
    for pattern in ["gl/**", "gl/**/", "gl/**/*", "gl/**/**", "gl/*", "gl"] {
        assert_eq!(read(&place, &[pattern]), all, "{pattern}");
    }
    for (pattern, names) in [
        ("gl/**/*.txt", &["1.txt", "s/t/3.txt", "s/t/u/4.txt"][..]),
        ("gl/**/t/*.txt", &["s/t/3.txt"]),
        ("gl/**/t", &["s/t/3.txt", "s/t/u/4.txt"]),
        ("gl/*/", &["s/2.md", "s/t/3.txt", "s/t/u/4.txt"]),
        ("gl/s/**/*.txt", &["t/3.txt", "t/u/4.txt"]),
        ("gl/**.txt", &["1.txt"]),
        ("**/u/*", &["gl/s/t/u/4.txt"]),
    ] {
        // The last one walks through the output, too.
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            read(&place, &[pattern, "--exclude", "out"]),
            names,
            "{pattern}"
        );
    }
}

#[test]
fn braces_are_either_of_what_they_hold() {
    let place = Place::new();
    for name in ["a.txt", "b.md", "c.rs", "x/d.txt", "y/z/e.txt"] {
        place.write(format!("in/{name}"), name);
    }
    assert_eq!(read(&place, &["in/*.{txt,md}"]), ["a.txt", "b.md"]);
    assert_eq!(
        read(&place, &["in/{x,y/z}/*.txt"]),
        ["x/d.txt", "y/z/e.txt"]
    );
    assert_eq!(
        read(&place, &["in/{c.rs,{a,b}.*}"]),
        ["a.txt", "b.md", "c.rs"]
    );
}

#[test]
fn a_name_that_exists_is_itself_and_no_pattern() {
    let place = Place::new();
    for name in [
        "wiki [v1]/a.txt",
        "wiki 1/b.txt",
        "wiki v/c.txt",
        "{x,y}/d.txt",
        "x/e.txt",
    ] {
        place.write(format!("in/{name}"), name);
    }
    assert_eq!(read(&place, &["in/wiki [v1]"]), ["a.txt"]);
    assert_eq!(read(&place, &["in/wiki [v1]/*.txt"]), ["a.txt"]);
    assert_eq!(
        read(&place, &["i*/wiki [v1]/*.txt"]),
        ["in/wiki [v1]/a.txt"]
    );
    assert_eq!(read(&place, &["in/{x,y}/*"]), ["d.txt"]);
    assert_eq!(
        read(&place, &["in/wiki [1v]/*.txt"]),
        ["wiki 1/b.txt", "wiki v/c.txt"]
    );
    assert_eq!(read(&place, &["in/wiki \\[v1\\]/*"]), ["wiki [v1]/a.txt"]);
}

#[test]
fn patterns_include_and_exclude_what_directories_and_globs_have() {
    let place = Place::new();
    for name in [
        "a.txt",
        "b.md",
        "drafts/c.txt",
        "x/d.txt",
        "x/drafts/e.txt",
        "x/y/f.txt",
        "x/y/g.rs",
    ] {
        place.write(format!("in/{name}"), name);
    }
    for (options, names) in [
        (
            "--include *.txt",
            "a.txt drafts/c.txt x/d.txt x/drafts/e.txt x/y/f.txt",
        ),
        (
            "--include *.txt --exclude drafts",
            "a.txt x/d.txt x/y/f.txt",
        ),
        (
            "--include *.txt --exclude drafts/",
            "a.txt x/d.txt x/y/f.txt",
        ),
        ("--include *.{md,rs}", "b.md x/y/g.rs"),
        ("--include *.md --include *.rs", "b.md x/y/g.rs"),
        (
            "--exclude x/*.txt --exclude x/drafts",
            "a.txt b.md drafts/c.txt x/y/f.txt x/y/g.rs",
        ),
        ("--exclude x/**", "a.txt b.md drafts/c.txt"),
        (
            "--exclude /drafts",
            "a.txt b.md x/d.txt x/drafts/e.txt x/y/f.txt x/y/g.rs",
        ),
        ("--include x/y", "x/y/f.txt x/y/g.rs"),
        (
            "--include x/**/?.txt --exclude **/y/*",
            "x/d.txt x/drafts/e.txt",
        ),
    ] {
        let options: Vec<_> = options.split(' ').collect();
        let names: Vec<_> = names.split(' ').collect();
        for input in ["in", "in/*", "in/**"] {
            assert_eq!(
                read(&place, &[&[input], &options[..]].concat()),
                names,
                "{options:?}"
            );
        }
    }
    // An excluded directory counts once; a file that is an argument itself is read.
    let options = ["in", "in/b.md", "--include", "*.txt", "--exclude", "drafts"];
    let said = said(&place, &options);
    assert_eq!(
        names(&place, "out"),
        ["a.txt", "x/d.txt", "x/y/f.txt", "b.md"]
    );
    let paths = ["in/b.md", "in/drafts", "in/x/drafts", "in/x/y/g.rs"];
    assert_eq!(
        left_out(&said),
        json!({"excluded": {"count": 4, "paths": paths}})
    );
    place
        .run(["tokenize", "in", "--out", "o", "--include", "*.none"])
        .failed(1, "in: has no files to read; left out: 7 excluded entries");
    place
        .run(["tokenize", "in", "--out", "o", "--exclude", "/"])
        .failed(1, "/: is empty");
}

#[test]
fn the_order_is_that_of_the_names_bytes_however_a_directory_is_read() {
    let place = Place::new();
    let mut expected: Vec<_> = (0..300)
        .map(|n| {
            format!(
                "{}{}.txt",
                ["a/", "a-b/", "", "é/", "a/b/"][n % 5],
                n * 7919 % 1009
            )
        })
        .collect();
    for name in expected.iter().rev() {
        place.write(format!("in/{name}"), name);
    }
    expected.sort();
    for input in ["in", "in/**", "in/*", "in/**/*.txt", "in/{a,a-b,é,*}"] {
        assert_eq!(read(&place, &[input]), expected, "{input}");
    }
}

#[test]
fn directories_may_lie_deeper_than_files_may_be_open() {
    let place = Place::new();
    let deep = "d/".repeat(1500);
    place.write(format!("in/{deep}a.txt"), "a");
    for input in ["in", "in/**/*.txt"] {
        assert_eq!(read(&place, &[input]), [format!("{deep}a.txt")]);
    }
}
