//! What an earlier run left, when the settings or the inputs have changed.

use std::fs;

use crate::support::tree;

use super::{args, corpus, done_before, expected, finish_run, interrupted, killed_at, receipts};

#[test]
fn units_of_another_plan_are_refused_by_the_first_difference() {
    let place = corpus();
    let Some(done) = interrupted(&place) else {
        return;
    };
    let before = tree(&place.path("d.partial"));
    let refused = |difference: &str, args: &[&str]| {
        let line = format!(
            "d.partial: holds {done} finished units of another run: {difference}; run that command \
             again to continue it, use --overwrite to discard it or choose another --out"
        );
        place.run(args).failed(1, &line);
        assert_eq!(tree(&place.path("d.partial")), before);
    };
    refused(
        "--eot was after and is before",
        &args("d", &["--eot", "before"]),
    );
    refused(
        "--tokenizer was gpt2 and is o200k_base",
        &args("d", &["--encoding", "o200k_base"]),
    );
    refused(
        "--validation was none and is train of 5000 millionths",
        &args("d", &["--validation", "0.5%"]),
    );
    refused(
        "--unit-size was 5000 bytes and is 6000 bytes",
        &["tokenize", "in", "--unit-size", "6kB", "--out", "d"],
    );
    refused(
        "there were 4 sources and are 1",
        &["tokenize", "in/a.txt", "--unit-size", "5kB", "--out", "d"],
    );
    fs::rename(place.path("in/c.txt"), place.path("in/d.txt")).unwrap();
    refused(
        "source 2 was 'c.txt' (text, 5000 bytes) and is 'd.txt' (text, 5000 bytes)",
        &args("d", &[]),
    );
    fs::rename(place.path("in/d.txt"), place.path("in/c.txt")).unwrap();
    // Now it may be discarded.
    let done = place.run(args("d", &["--eot", "before", "--overwrite"]));
    assert_eq!((done.code, done_before(&done)), (Some(0), 0), "{done:?}");
    assert!(!place.path("d.partial").exists());
}

#[test]
fn a_plan_without_finished_units_is_replaced() {
    let place = corpus();
    let expected = expected(&place);
    let before = args("d", &["--eot", "before"]);
    if killed_at(&place, "rename", 3, &before).is_none() {
        return;
    }
    assert!(place.path("d.partial/plan.json").exists());
    finish_run(&place, &args("d", &[]), "d", &expected);
}

#[test]
fn a_source_that_changed_under_the_same_size_is_noticed() {
    let place = corpus();
    let Some(done) = interrupted(&place) else {
        return;
    };
    let mut a = place.read("in/a.txt");
    // In the first unit; the cuts stay the same.
    a[100] = b'W';
    place.write("in/a.txt", a);
    let expected = expected(&place);
    let after = finish_run(&place, &args("d", &[]), "d", &expected);
    assert_eq!(done_before(&after), done as u64 - 1, "{after:?}");
}

#[test]
fn a_file_that_is_mended_costs_only_the_units_from_there() {
    let place = corpus();
    let text = String::from_utf8(place.read("in/b.jsonl")).unwrap();
    // Far into the records, which span more than one unit.
    let bad = text.replace("\"record 130 ", "\"record 130 \\x");
    place.write("in/b.jsonl", bad);
    let failed = place.run(args("d", &[]));
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let done = receipts(&place, "d.partial") as u64;
    assert!(done > 5, "{failed:?}");
    place.write(
        "in/b.jsonl",
        text.replace("\"record 130 ", "\"a longer record 130 "),
    );
    let expected = expected(&place);
    let after = finish_run(&place, &args("d", &[]), "d", &expected);
    assert_eq!(done_before(&after), done, "{after:?}");
}

#[test]
fn a_file_that_grew_is_gone_on_with_by_processes_too() {
    let place = corpus();
    let units = |units| place.run(args("d", &["--units", units]));
    assert_eq!(units("0/2").code, Some(0));
    let mut c = place.read("in/c.txt");
    c.extend_from_slice(b" and more");
    place.write("in/c.txt", c);
    let expected = expected(&place);
    assert_eq!(units("1/2").code, Some(0));
    let again = units("0/2");
    assert!(
        again.stderr.contains("d: 4 units (3 done before)"),
        "{again:?}"
    );
    finish_run(&place, &["finish", "d"], "d", &expected);
}

#[test]
fn other_cuts_under_the_same_sizes_give_the_bytes_of_one_run() {
    let place = corpus();
    if interrupted(&place).is_none() {
        return;
    }
    let mut a = place.read("in/a.txt");
    a[4990..5030].fill(b'x');
    place.write("in/a.txt", a);
    let expected = expected(&place);
    finish_run(&place, &args("d", &[]), "d", &expected);
}

#[test]
fn a_damaged_plan_is_refused_until_it_may_be_discarded() {
    let place = corpus();
    let expected = expected(&place);
    let Some(done) = interrupted(&place) else {
        return;
    };
    let plan = place.read("d.partial/plan.json");
    let text = String::from_utf8(plan.clone()).unwrap();
    let hostile: [(&str, Vec<u8>); 5] = [
        (
            "is not a plan: EOF while parsing",
            plan[..plan.len() / 2].to_vec(),
        ),
        (
            "its plan_id is not its hash",
            text.replace("\"a.txt\"", "\"../a\"").into(),
        ),
        (
            "has format version 7",
            text.replacen("version\": 2", "version\": 7", 1).into(),
        ),
        (
            "does not follow the one before",
            text.replacen("\"byte\": 0", "\"byte\": 1", 2)
                .replacen("\"byte\": 1", "\"byte\": 0", 1)
                .into(),
        ),
        ("is not a plan: ", vec![b'['; 200_000]),
    ];
    for (what, bytes) in hostile {
        place.write("d.partial/plan.json", bytes);
        let done = place.run(args("d", &[]));
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stderr.contains(what), "{what}: {done:?}");
        assert!(done.stderr.contains("use --overwrite"), "{done:?}");
    }
    let huge = fs::File::create(place.path("d.partial/plan.json")).unwrap();
    huge.set_len(9 << 30).unwrap();
    let refused = place.run(args("d", &[]));
    assert!(refused.stderr.contains("a plan has at most"), "{refused:?}");
    assert_eq!(receipts(&place, "d.partial"), done);
    let after = finish_run(&place, &args("d", &["--overwrite"]), "d", &expected);
    assert_eq!(done_before(&after), 0);
}
