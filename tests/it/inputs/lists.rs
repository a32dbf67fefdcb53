//! Inputs that a list names.

use crate::support::{Place, output_bytes};

#[test]
fn a_list_names_inputs_as_the_command_line_does() {
    let place = Place::new();
    place.write("a b.txt", "one");
    place.write("in/c.txt", "two");
    place.write("in/d.md", "three");
    let done = place.run([
        "tokenize", "a b.txt", "in/*.md", "in/c.txt", "--out", "expected",
    ]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let expected = output_bytes(&place.path("expected"));
    let list = "\nin/*.md\nin/c.txt";
    place.write("list", list);
    for from in ["list", "-"] {
        let args = ["tokenize", "a b.txt", "--files-from", from, "--out", "d"];
        let done = place.run_with(args, list.as_bytes());
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(output_bytes(&place.path("d")) == expected);
        let args = ["verify", "d", "--inputs", "a b.txt", "--files-from", from];
        let verified = place.run_with(args, list.as_bytes());
        assert_eq!(verified.code, Some(0), "{verified:?}");
    }
    let done = place.run(["tokenize", "--files-from", "list", "--out", "e"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let planned = place.run(["plan", "--files-from", "list"]);
    assert_eq!(planned.code, Some(0), "{planned:?}");
}

#[test]
fn lists_that_name_nothing_are_refused() {
    let place = Place::new();
    place.write("empty", "\n\n");
    place.write("gone", "no-such-file\n");
    let run = |list: &str| place.run(["tokenize", "--files-from", list, "--out", "d"]);
    run("empty").failed(2, "--files-from: the list names no inputs");
    place.write("zeros", "empty\0gone\0");
    let line = "--files-from: the list has NUL bytes; let it have a name on each line, as `find -print` writes it";
    run("zeros").failed(2, line);
    let done = place.run(["tokenize", "", "--out", "d"]);
    done.failed(2, "INPUT: a name is empty");
    run("gone").failed(
        1,
        "no-such-file: cannot open: No such file or directory (os error 2)",
    );
    let missing = "nothing: cannot read the list of inputs: No such file or directory (os error 2)";
    run("nothing").failed(1, missing);
    let args = ["tokenize", "--files-from", "-", "--out", "d"];
    place.run_with(args, b"-\n").failed(
        2,
        "--files-from: standard input is the list, and cannot be an input, too",
    );
    assert!(!place.path("d").exists());
}
