//! Which objects a URL names, and in which order.

use serde_json::json;

use super::server::server;
use super::{run, upload};
use crate::support::{Place, output_bytes};

const ODD: [&str; 12] = [
    "a b.txt",
    "a+b.txt",
    "a%20b.txt",
    "a%.txt",
    "a?x=1.txt",
    "a#b.txt",
    "a&b;c=d,e.txt",
    "'\"~@:$!().txt",
    "gr\u{fc}n/\u{65e5}\u{672c}.txt",
    "A/z.txt",
    "a-b/x.txt",
    "a/x.txt",
];

/// The names of the sources of `input`, and what was left out.
#[track_caller]
fn listed(place: &Place, endpoint: &str, input: &str, more: &[&str]) -> (Vec<String>, String) {
    let args = [
        &[
            "tokenize",
            input,
            "--out",
            "listed",
            "--overwrite",
            "--json",
        ],
        more,
    ]
    .concat();
    let done = run(place, endpoint, &args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let manifest: serde_json::Value =
        serde_json::from_slice(&place.read("listed/manifest.json")).unwrap();
    let sources = manifest["sources"].as_array().unwrap();
    let names = sources
        .iter()
        .map(|source| source["name"].as_str().unwrap().to_owned());
    (
        names.collect(),
        done.json()["inputs"]["left_out"].to_string(),
    )
}

#[test]
fn odd_names_come_in_the_order_of_their_bytes() {
    let Some(server) = server("odd names of objects") else {
        return;
    };
    let place = Place::new();
    for name in ODD {
        place.write(format!("in/{name}"), name);
    }
    let bucket = upload(server, &place);
    let url = format!("s3://{bucket}/pre/");
    for (input, out) in [("in", "local"), (&url, "remote")] {
        let done = run(&place, &server.url(), &["tokenize", input, "--out", out]);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    assert!(output_bytes(&place.path("local")) == output_bytes(&place.path("remote")));
    for name in ODD {
        let url = format!("s3://{bucket}/pre/{name}");
        let base = name.rsplit('/').next().unwrap().replace('%', "%25");
        let (names, _) = listed(&place, &server.url(), &url, &[]);
        assert_eq!(names, [base]);
    }
}

#[test]
fn a_name_that_cannot_be_read_is_reported() {
    let Some(server) = server("names that cannot be read") else {
        return;
    };
    let place = Place::new();
    place.write("in/a.txt", "a");
    let bucket = upload(server, &place);
    let what = "cannot list: the key";
    let why = "has a name in it that is empty, '.' or '..', or has a control character; rename that \
               object, or read others by name";
    for key in ["empty/a//b.txt", "dots/../b.txt", "control/b.txt\u{1}"] {
        server.put(&bucket, key, b"b");
        let url = format!("s3://{bucket}/{}/", key.split('/').next().unwrap());
        let shown = key.replace('\u{1}', "\\u{1}");
        let done = run(&place, &server.url(), &["tokenize", &url, "--out", "d"]);
        done.failed(1, &format!("{url}: {what} '{shown}' {why}"));
    }
    let url = format!("s3://{bucket}//a.txt");
    let done = run(&place, &server.url(), &["tokenize", &url, "--out", "d"]);
    done.failed(1, &format!("{url}: cannot open: the key '/a.txt' {why}"));
}

#[test]
fn a_slash_at_the_end_of_a_key_adds_and_hides_nothing() {
    let Some(server) = server("keys that end in a slash") else {
        return;
    };
    let place = Place::new();
    place.write("in/both", "a");
    place.write("in/both.txt", "b");
    let bucket = upload(server, &place);
    server.put(&bucket, "pre/both/", b"");
    let (names, _) = listed(&place, &server.url(), &format!("s3://{bucket}/pre/"), &[]);
    assert_eq!(names, ["both", "both.txt"]);

    let failed = |url: String, what: &str| {
        let done = run(&place, &server.url(), &["tokenize", &url, "--out", "d"]);
        done.failed(1, &format!("{url}{what}"));
    };
    server.put(&bucket, "full/dir/", b"c");
    failed(
        format!("s3://{bucket}/full/"),
        "dir: byte 0: the object is gone since it was listed, or its key begins or ends with '/'; \
         run again when nothing removes objects, or rename it",
    );
    server.put(&bucket, "full/dir", b"d");
    failed(
        format!("s3://{bucket}/full/"),
        "dir: is the name of two objects, as a slash at the start or the end of a key does not \
         show; rename one",
    );
    server.put(&bucket, "mark", b"");
    server.put(&bucket, "mark/a.txt", b"e");
    failed(
        format!("s3://{bucket}/mark"),
        ": is an empty object, and there are objects below it; to read those, put '/' after the URL",
    );
    let (names, _) = listed(&place, &server.url(), &format!("s3://{bucket}/mark/"), &[]);
    assert_eq!(names, ["a.txt"]);
}

#[test]
fn what_is_left_out_of_directories_is_left_out_of_prefixes() {
    let Some(server) = server("what is left out of prefixes") else {
        return;
    };
    let place = Place::new();
    for name in [
        "a.txt",
        "b.md",
        "c/d.txt",
        "c/.e.txt",
        ".f/g.txt",
        ".f/h.txt",
        "_SUCCESS",
        "drafts/i.txt",
        "empty.txt",
        "c/j/k.txt",
    ] {
        place.write(
            format!("in/{name}"),
            if name == "empty.txt" { "" } else { name },
        );
    }
    let bucket = upload(server, &place);
    // What consoles leave behind, which is no object to read.
    server.put(&bucket, "pre/c/", b"");
    server.put(&bucket, "pre/nothing/", b"");
    let same = |remote: &str, local: &str, more: &[&str]| {
        let remote = format!("s3://{bucket}/{remote}");
        let (names, left_out) = listed(&place, &server.url(), &remote, more);
        let (expected, expected_left_out) = listed(&place, &server.url(), local, more);
        assert_eq!(names, expected, "{remote}");
        let left_out = left_out.replace(&format!("s3://{bucket}/pre/"), "in/");
        assert_eq!(left_out, expected_left_out, "{remote}");
        names.len()
    };
    assert_eq!(same("pre/", "in", &[]), 6);
    assert_eq!(same("pre", "in", &["--exclude", "drafts"]), 5);
    assert_eq!(same("pre/", "in", &["--include", "*.md"]), 1);
    assert_eq!(same("pre/*.txt", "in/*.txt", &[]), 2);
    assert_eq!(same("pre/**/*.txt", "in/**/*.txt", &[]), 5);
    assert_eq!(same("pre/{c,drafts}", "in/{c,drafts}", &[]), 3);
    assert_eq!(same("pre/.f/*", "in/.f/*", &[]), 2);
    let (names, _) = listed(&place, &server.url(), &format!("s3://{bucket}"), &[]);
    assert_eq!(names[0], "pre/a.txt");
    let url = format!("s3://{bucket}/pre/a.txt");
    let args = ["tokenize", &url, &url, "--out", "twice", "--json"];
    let done = run(&place, &server.url(), &args).json();
    assert_eq!(done["inputs"]["repeated"]["paths"], json!([[url, url]]));
}
