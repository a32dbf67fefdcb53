use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

fn names(corpus: &Corpus) -> Vec<String> {
    corpus.sources().iter().map(Source::name).collect()
}

fn open(arguments: &[&Path]) -> Result<Corpus> {
    let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
    Corpus::open(&arguments, &CorpusOptions::default())
}

fn write(path: &Path, contents: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

#[test]
fn a_directory_is_ordered_by_the_bytes_of_whole_names() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["b.txt", "a/x.txt", "a-b/x.txt", "a.txt", "B.jsonl", "é.txt"] {
        write(&dir.path().join(name), name);
    }
    let corpus = open(&[dir.path()]).unwrap();
    assert_eq!(
        names(&corpus),
        ["B.jsonl", "a-b/x.txt", "a.txt", "a/x.txt", "b.txt", "é.txt"]
    );
    assert_eq!(corpus.sources()[0].format(), Format::Jsonl);
    assert_eq!(corpus.path_of(3), dir.path().join("a/x.txt"));
}

#[test]
fn a_link_that_is_named_itself_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a.txt"), "abc");
    symlink(dir.path().join("a.txt"), dir.path().join("link")).unwrap();
    let corpus = open(&[&dir.path().join("link")]).unwrap();
    assert_eq!(
        (names(&corpus), corpus.total_bytes()),
        (vec!["link".to_owned()], 3)
    );
}

#[test]
fn arguments_keep_their_order_and_names_may_repeat() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("x/a.txt"), "1");
    write(&dir.path().join("y/a.txt"), "22");
    let corpus = open(&[&dir.path().join("y"), &dir.path().join("x/a.txt")]).unwrap();
    assert_eq!(names(&corpus), ["a.txt", "a.txt"]);
    assert_eq!(corpus.sources()[0].bytes(), Some(2));
}

#[test]
fn a_glob_is_one_argument_named_from_its_first_wildcard() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "d/b/1.txt",
        "d/a/2.txt",
        "d/a/.h.txt",
        "d/a/3.md",
        "d/c.txt",
    ] {
        write(&dir.path().join(name), name);
    }
    let corpus = open(&[&dir.path().join("d/*/*.txt")]).unwrap();
    assert_eq!(names(&corpus), ["a/2.txt", "b/1.txt"]);
    let corpus = open(&[&dir.path().join("d/[ab]")]).unwrap();
    assert_eq!(names(&corpus), ["a/2.txt", "a/3.md", "b/1.txt"]);
    assert!(open(&[&dir.path().join("d/*.rs")]).is_err());
}

#[test]
fn a_file_whose_name_looks_like_a_glob_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a[1].txt"), "a");
    let corpus = open(&[&dir.path().join("a[1].txt")]).unwrap();
    assert_eq!(names(&corpus), ["a[1].txt"]);
}

#[test]
fn what_is_left_out_is_named_in_the_order_of_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a.txt"), "a");
    write(&dir.path().join(".hidden/b.txt"), "b");
    fs::write(dir.path().join(OsStr::from_bytes(b".%\xff")), "c").unwrap();
    symlink(dir.path(), dir.path().join("loop")).unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    let corpus = open(&[dir.path()]).unwrap();
    assert_eq!(names(&corpus), ["a.txt"]);
    let left_out = &corpus.report().left_out;
    let shown = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(left_out.hidden.count, 2);
    assert_eq!(left_out.hidden.paths, [shown(".%25%FF"), shown(".hidden")]);
    assert_eq!(left_out.circles.paths, [shown("loop")]);
    assert_eq!(left_out.dangling_links.paths, [shown("dangling")]);
    let line = left_out.describe(|count| count.to_string());
    assert_eq!(
        line.as_deref(),
        Some("2 hidden entries, 1 dangling link and 1 circle of links")
    );
    let other = open(&[&dir.path().join("a.txt")]).unwrap();
    assert_eq!(other.report(), &CorpusReport::default());
}

#[test]
fn names_that_are_not_utf8_are_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"100%\xff\xc3.txt");
    fs::write(dir.path().join(name), "a").unwrap();
    let corpus = open(&[dir.path()]).unwrap();
    assert_eq!(names(&corpus), ["100%25%FF%C3.txt"]);
    assert!(corpus.sources()[0].open(&corpus.path_of(0)).is_ok());
}

#[test]
fn a_file_that_changed_since_it_was_listed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (bytes, now) in [(3, 2), (3, 4), (2 << 20, 1 << 20), (2 << 20, 3 << 20)] {
        let path = dir.path().join("a.txt");
        fs::write(&path, vec![b'a'; bytes]).unwrap();
        let corpus = open(&[&path]).unwrap();
        assert!(corpus.sources()[0].open(&path).is_ok());
        fs::write(&path, vec![b'a'; now]).unwrap();
        assert!(matches!(
            corpus.sources()[0].open(&path),
            Err(Error::Byte { .. })
        ));
        assert!(corpus.sources()[0].check_unchanged(&path).is_err());
    }
}

#[test]
fn an_output_inside_an_input_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("in/a.txt"), "a");
    symlink(dir.path().join("in"), dir.path().join("alias")).unwrap();
    let corpus = open(&[&dir.path().join("in")]).unwrap();
    for inside in ["in/out", "in/deep/er/out", "alias/out", "in"] {
        assert!(
            corpus.check_output(&dir.path().join(inside)).is_err(),
            "{inside}"
        );
    }
    let file = open(&[&dir.path().join("in/a.txt")]).unwrap();
    assert!(file.check_output(&dir.path().join("in")).is_err());
    assert!(file.check_output(&dir.path().join("in/out")).is_ok());
    write(&dir.path().join("w.partial/b.txt"), "b");
    let partial = open(&[&dir.path().join("w.partial")]).unwrap();
    assert!(partial.check_output(&dir.path().join("w")).is_err());
    for outside in ["out", "in2", "input/out"] {
        assert!(
            corpus.check_output(&dir.path().join(outside)).is_ok(),
            "{outside}"
        );
    }
}
