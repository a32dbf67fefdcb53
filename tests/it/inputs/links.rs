//! Links, and things that are neither files nor directories.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use serde_json::json;

use super::{left_out, names, read, said};
use crate::support::{Done, Place, spawn};

#[test]
fn a_snapshot_of_links_is_read_by_the_names_of_the_links() {
    let place = Place::new();
    place.write("hub/blobs/ab12", "{\"text\":\"one\"}\n");
    place.write("hub/blobs/cd34", "two");
    place.write("hub/extra/more.txt", "three");
    fs::create_dir_all(place.path("hub/snapshots/main")).unwrap();
    let link =
        |to: &str, name: &str| symlink(to, place.path("hub/snapshots/main").join(name)).unwrap();
    link("../../blobs/ab12", "data.jsonl");
    link("../../blobs/cd34", "README.md");
    link("../../extra", "extra");
    link("nowhere", "gone.txt");
    link("itself.txt", "itself.txt");
    link("../../../hub/snapshots", "up");
    let all = ["README.md", "data.jsonl", "extra/more.txt"];
    for input in [
        "hub/snapshots/main",
        "hub/snapshots/main/*",
        "hub/snapshots/main/**",
    ] {
        let said = said(&place, &[input]);
        assert_eq!(names(&place, "out"), all, "{input}");
        let base = "hub/snapshots/main";
        let dangling = [format!("{base}/gone.txt"), format!("{base}/itself.txt")];
        // The link up leads back down to where it began.
        let circle = [format!("{base}/up/main")];
        assert_eq!(
            left_out(&said),
            json!({
                "dangling_links": {"count": 2, "paths": dangling},
                "circles": {"count": 1, "paths": circle},
            }),
            "{input}"
        );
        assert_eq!(said["repeated"], json!({"count": 0, "paths": []}));
    }
    let format = String::from_utf8(place.read("out/manifest.json")).unwrap();
    assert!(format.contains("\"jsonl\""), "{format}");
}

#[test]
fn a_maze_of_links_is_refused_and_not_walked_for_ever() {
    let place = Place::new();
    for a in 0..9 {
        place.write(format!("in/{a}/{a}.txt"), "a");
        for b in (0..9).filter(|&b| b != a) {
            symlink(format!("../{b}"), place.path(format!("in/{a}/to{b}"))).unwrap();
        }
    }
    let done = place.run(["tokenize", "in", "--out", "out"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr
            .contains("to which more than 1000 links led before")
    );
    let names = read(&place, &["in", "--exclude", "to*"]);
    assert_eq!(names.len(), 9);
}

#[test]
fn what_is_no_file_is_counted_by_kind_with_a_glob_as_with_a_directory() {
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write("in/.b.txt", "b");
    place.fifo("in/fifo.txt");
    let _socket = UnixListener::bind(place.path("in/socket.txt")).unwrap();
    symlink("nowhere", place.path("in/link.txt")).unwrap();
    symlink("/dev/null", place.path("in/null.txt")).unwrap();
    let mut expected = json!({
        "hidden": {"count": 1, "paths": ["in/.b.txt"]},
        "fifos": {"count": 1, "paths": ["in/fifo.txt"]},
        "sockets": {"count": 1, "paths": ["in/socket.txt"]},
        "dangling_links": {"count": 1, "paths": ["in/link.txt"]},
        "devices": {"count": 1, "paths": ["in/null.txt"]},
    });
    for input in ["in", "in/*", "in/*.txt", "in/**/*.txt"] {
        assert_eq!(left_out(&said(&place, &[input])), expected, "{input}");
        let line = "left out: 1 hidden entry, 1 FIFO, 1 socket, 1 device and 1 dangling link";
        let done = place.run(["plan", input]);
        assert_eq!(done.stderr, format!("shardmill: {line}\n"), "{input}");
        let done = place.run(["plan", input, "--json"]);
        assert_eq!(left_out(&done.json()["inputs"]), expected, "{input}");
        let args = "--out e --overwrite --init-seed 1 --dim 2 --seq-len 1 --json";
        let args = ["run", input].into_iter().chain(args.split(' '));
        let done = place.run(args);
        assert_eq!(left_out(&done.json()["inputs"]), expected, "{input}");
        let units = ["tokenize", input, "--out", "u", "--units", "0/1", "--json"];
        let done = place.run(units);
        assert_eq!(left_out(&done.json()["inputs"]), expected, "{input}");
        fs::remove_dir_all(place.path("u.partial")).unwrap();
    }
    // All are listed, whatever their order in the directory.
    for index in 0..30 {
        place.write(format!("in/.{index:02}"), "");
    }
    expected["hidden"]["count"] = 31.into();
    let all = (0..30).map(|index| format!("in/.{index:02}"));
    let all: Vec<_> = all.chain(["in/.b.txt".to_owned()]).collect();
    expected["hidden"]["paths"] = json!(all);
    assert_eq!(left_out(&said(&place, &["in"])), expected);
}

#[test]
fn an_explicit_fifo_stays_a_stream() {
    let place = Place::new();
    let pipe = place.fifo("pipe");
    let child = spawn(&mut place.command(["tokenize", "pipe", "--out", "out"]));
    fs::File::create(pipe).unwrap().write_all(b"Hello").unwrap();
    let done = Done::new(child.wait_with_output().unwrap());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(names(&place, "out"), ["pipe"]);
}
