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

/// The corpus of a directory, listed by `threads` threads.
fn open_with(directory: &Path, threads: usize) -> Result<Corpus> {
    let options = CorpusOptions {
        threads,
        ..CorpusOptions::default()
    };
    Corpus::open(&[directory.into()], &options)
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
    for (bytes, now, at) in [
        (3, 2, 2),
        (3, 4, 4),
        (3, 9, 4),
        (2 << 20, 1 << 20, 1 << 20),
        (2 << 20, 3 << 20, (2 << 20) + 1),
    ] {
        let path = dir.path().join("a.txt");
        fs::write(&path, vec![b'a'; bytes]).unwrap();
        let corpus = open(&[&path]).unwrap();
        assert!(corpus.sources()[0].open(&path).is_ok());
        fs::write(&path, vec![b'a'; now]).unwrap();
        // However much memory there is for it.
        for memory in [Vec::new(), Vec::with_capacity(100)] {
            let error = corpus.sources()[0].open_into(&path, memory).unwrap_err();
            assert_eq!(error.byte(), Some(at), "{error}");
        }
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

#[test]
fn many_files_are_listed_alike_by_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let names = (0..12_000).map(|n| match n % 3 {
        // A large directory, one in which it lies, and many small ones.
        0 => format!("large/{n}.txt"),
        1 => format!("small/{}/{n}.json", n % 100),
        _ => format!("{n}"),
    });
    let mut names: Vec<OsString> = names.map(Into::into).collect();
    names.push(OsString::from("large.txt"));
    names.push(OsStr::from_bytes(b"large/\xff\xfe").to_owned());
    for name in &names {
        write(&dir.path().join(name), "[]");
    }
    for name in ["large/loop", "small/7/loop"] {
        symlink(dir.path(), dir.path().join(name)).unwrap();
    }
    symlink("../small/8", dir.path().join("large/eight")).unwrap();
    symlink("nowhere", dir.path().join("small/nowhere")).unwrap();
    write(&dir.path().join("large/.hidden"), "");
    names.extend((8..12_000).step_by(100).filter_map(|n| {
        let is_there = n % 3 == 1;
        is_there.then(|| OsString::from(format!("large/eight/{n}.json")))
    }));
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));

    let alone = open_with(dir.path(), 1).unwrap();
    let found: Vec<_> = alone.sources().iter().map(Source::relative).collect();
    assert_eq!(found, names);
    let report = alone.report();
    assert_eq!(report.left_out.hidden.count, 1);
    assert_eq!(report.left_out.dangling_links.count, 1);
    assert_eq!(report.left_out.circles.count, 2);
    assert_eq!(report.repeated.count, 40);
    assert_eq!(report.json_as_text.count, 4040);
    assert!(report.json_as_text.paths.is_sorted());
    for threads in [2, 16, 1000] {
        let corpus = open_with(dir.path(), threads).unwrap();
        assert_eq!(
            format!("{:?}", corpus.sources()),
            format!("{:?}", alone.sources())
        );
        assert_eq!(corpus.report(), report);
    }
}

#[test]
fn of_several_failures_the_first_in_order_is_reported() {
    use rustix::fs::{Mode, OFlags, mkdirat, open, openat};
    let dir = tempfile::tempdir().unwrap();
    for n in 0..3000 {
        write(&dir.path().join(format!("m/{n}.txt")), "a");
    }
    let failed = |threads| {
        let error = open_with(dir.path(), threads).unwrap_err().to_string();
        let path = error.strip_prefix(dir.path().to_str().unwrap()).unwrap();
        path.to_owned()
    };
    let same = |start: &str, end: &str| {
        for threads in [1, 2, 16] {
            let failed = failed(threads);
            assert!(failed.starts_with(start), "{threads}: {failed}");
            assert!(failed.ends_with(end), "{threads}: {failed}");
        }
    };
    // Looking into it fails.
    for name in ["m/x.json", "m/50.json", "z.json"] {
        symlink("/proc/self/mem", dir.path().join(name)).unwrap();
    }
    same("/m/50.json: cannot read", "(os error 5)");
    // Its path is too long to be entered.
    for name in ["y", "a"] {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = open(dir.path(), flags, Mode::empty()).unwrap();
        for name in std::iter::once(name.to_owned()).chain(vec!["d".repeat(255); 17]) {
            mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = openat(&at, &name, flags, Mode::empty()).unwrap();
        }
    }
    same("/a/dddd", "cannot list: File name too long (os error 36)");
}
