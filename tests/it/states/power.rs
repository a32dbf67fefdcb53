//! Power failures: what an exit of 0 with full durability reported is there afterwards.

use super::*;
use crate::support::disk::Disk;
use crate::support::strace::{CHANGES, killed_at};

/// A place whose outputs are on their own disk. `None`, with a notice, if that is impossible.
fn disk() -> Option<(Place, Disk)> {
    let place = place();
    ok(&place, &tokenize("in1", "one", ""));
    ok(&place, &tokenize("in2", "two", ""));
    ok(&place, &run("in1", "three", ""));
    ok(&place, &embed("two", "four", ""));
    let disk = Disk::new(&place)?;
    Some((place, disk))
}

/// A command, and the call at which it is killed, if any.
type Earlier = (Vec<String>, Option<(&'static str, usize)>);

/// A history of commands, the last of which reports what must stay.
struct History {
    name: &'static str,
    before: Vec<Earlier>,
    last: Vec<String>,
    /// The output, and its expected contents.
    out: &'static str,
    expected: &'static str,
}

const D: &str = "disk/d";
const NO_SYNCS: &str = "--durability none";

fn history(
    name: &'static str,
    before: Vec<Earlier>,
    last: Vec<String>,
    expected: &'static str,
) -> History {
    History {
        name,
        before,
        last,
        out: D,
        expected,
    }
}

fn histories() -> Vec<History> {
    let [d, none] = [D, NO_SYNCS];
    // The sync of the parent, which comes after the rename that publishes.
    let after_publishing = Some(("fsync", 11));
    let mut histories = vec![
        history("tokenize", vec![], tokenize("in1", d, ""), "one"),
        history("run", vec![], run("in1", d, ""), "three"),
        history("embed", vec![], embed("two", d, ""), "four"),
        history(
            "tokenize below new directories",
            vec![],
            tokenize("in1", "disk/new/parents/d", ""),
            "one",
        ),
        history(
            "tokenize after the same without syncs",
            vec![(tokenize("in1", d, none), None)],
            tokenize("in1", d, ""),
            "one",
        ),
        history(
            "run after the same without syncs",
            vec![(run("in1", d, none), None)],
            run("in1", d, ""),
            "three",
        ),
        history(
            "embed after the same without syncs",
            vec![(embed("two", d, none), None)],
            embed("two", d, ""),
            "four",
        ),
        history(
            "finish after units without syncs",
            vec![(tokenize("in1", d, &format!("--units 0/1 {none}")), None)],
            words("finish disk/d"),
            "one",
        ),
        history(
            "finish after finish without syncs",
            vec![
                (tokenize("in1", d, &format!("--units 0/1 {none}")), None),
                (words(&format!("finish disk/d {none}")), None),
            ],
            words("finish disk/d"),
            "one",
        ),
        history(
            "tokenize after a kill at the end",
            vec![(tokenize("in1", d, ""), after_publishing)],
            tokenize("in1", d, ""),
            "one",
        ),
    ];
    histories.extend(replacing_histories());
    histories
}

/// Histories in which an output replaces another.
fn replacing_histories() -> Vec<History> {
    let [d, none] = [D, NO_SYNCS];
    vec![
        history(
            "a replaced dataset",
            vec![(tokenize("in2", d, ""), None)],
            tokenize("in1", d, "--overwrite"),
            "one",
        ),
        history(
            "a replaced dataset, after the same without syncs",
            vec![
                (tokenize("in2", d, ""), None),
                (tokenize("in1", d, &format!("--overwrite {none}")), None),
            ],
            tokenize("in1", d, "--overwrite"),
            "one",
        ),
        history(
            "replaced embeddings, after the same without syncs",
            vec![
                (embed("one", d, ""), None),
                (embed("two", d, &format!("--overwrite {none}")), None),
            ],
            embed("two", d, ""),
            "four",
        ),
    ]
}

fn run_killed(place: &Place, args: &[String], kill: Option<(&str, usize)>) -> Option<()> {
    let Some((calls, k)) = kill else {
        ok(place, args);
        return Some(());
    };
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let end = killed_at(place, calls, k, &args)?;
    assert!(end.0.is_none(), "{args:?}: {end:?}");
    assert!(visible(place, D).is_some(), "{args:?}: {:?}", place.tree());
    Some(())
}

fn clear(place: &Place) {
    for entry in fs::read_dir(place.path("disk")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name != "lost+found") {
            fs::remove_dir_all(&path).unwrap_or_else(|_| fs::remove_file(path).unwrap());
        }
    }
}

#[test]
#[ignore = "needs root: cargo test states:: -- --ignored"]
fn what_was_reported_survives_a_power_cut() {
    let Some((place, disk)) = disk() else { return };
    for history in histories() {
        clear(&place);
        for (args, kill) in &history.before {
            if run_killed(&place, args, *kill).is_none() {
                return;
            }
        }
        ok(&place, &history.last);
        disk.lose_power();
        let out = history.last.iter().find(|word| word.starts_with("disk/"));
        let out = out.map_or(history.out, String::as_str);
        let found = visible(&place, out);
        let expected = visible(&place, history.expected);
        assert!(found == expected, "{}: {:?}", history.name, place.tree());
        // It is reported again, with nothing left next to it.
        ok(&place, &history.last);
        assert!(
            !place.path(format!("{out}.partial")).exists(),
            "{}",
            history.name
        );
    }
}

#[test]
#[ignore = "needs root: cargo test states:: -- --ignored"]
fn repaired_embeddings_survive_a_power_cut() {
    let Some((place, disk)) = disk() else { return };
    ok(&place, &run("in1", "disk/d", "--durability none"));
    let mut shard = place.read("disk/d/shard-00000.u32");
    shard[0] ^= 1;
    place.write("disk/d/shard-00000.u32", shard);
    ok(&place, &tokenize("in1", "disk/d", "--repair"));
    disk.lose_power();
    assert!(visible(&place, "disk/d") == visible(&place, "three"));
}

/// Cuts the power at each call of `call` in `step`, which replaces `in2` by `in1`; returns how
/// often. `None` without strace.
fn cut_at_each(place: &Place, disk: &Disk, call: &str, step: &[String]) -> Option<usize> {
    let [one, two] = ["one", "two"].map(|out| visible(place, out));
    for k in 1.. {
        clear(place);
        ok(place, &tokenize("in2", "disk/d", ""));
        if step[0] == "finish" {
            ok(place, &tokenize("in1", "disk/d", "--units 0/1 --overwrite"));
        }
        let args: Vec<_> = step.iter().map(String::as_str).collect();
        let ended = killed_at(place, call, k, &args)?.0;
        disk.lose_power();
        let what = format!("{step:?} {call} {k}");
        let found = visible(place, "disk/d");
        let is_whole = found == one || found == two;
        assert!(is_whole, "{what}: {:?}", place.tree());
        ok(place, step);
        assert!(visible(place, "disk/d") == one, "{what}");
        assert!(!place.path("disk/d.partial").exists(), "{what}");
        if ended.is_some() {
            return Some(k - 1);
        }
    }
    None
}

#[test]
#[ignore = "takes minutes and needs root: cargo test states:: -- --ignored"]
fn power_that_goes_at_any_call_leaves_the_old_or_the_new() {
    let Some((place, disk)) = disk() else { return };
    let steps = [
        tokenize("in1", "disk/d", "--overwrite"),
        words("finish disk/d --overwrite"),
    ];
    let mut cuts = 0;
    for step in &steps {
        for call in CHANGES {
            let Some(made) = cut_at_each(&place, &disk, call, step) else {
                return;
            };
            cuts += made;
        }
    }
    eprintln!("{cuts} cuts");
    assert!(cuts > 40, "{cuts}");
}
