//! Kills every command, in every earlier state, at the calls that change the file system.

use super::*;
use crate::support::strace::{CHANGES, killed_at};

/// A command, and what is visible after it exits with 0; `None` means what was visible before.
struct Case {
    args: Vec<String>,
    expected: Option<Bytes>,
}

/// Earlier states of `d` and `d.partial`, by name.
fn states(place: &Place) -> Option<Vec<(&'static str, Bytes)>> {
    let mut states = vec![("nothing", Bytes::new())];
    ok(place, &tokenize("in1", "d", "--units 0/2"));
    states.push(("a unit", snapshot(place, "d")));
    ok(place, &tokenize("in1", "d", "--units 1/2"));
    states.push(("all units", snapshot(place, "d")));
    ok(place, &words("finish d"));
    states.push(("a dataset", snapshot(place, "d")));
    ok(place, &tokenize("in2", "d", "--units 0/1 --overwrite"));
    let both = snapshot(place, "d");
    let finish = words("finish d --overwrite");
    // The exchange, and the second file of the old dataset.
    killed(place, "renameat2", 1, &finish)?;
    states.push(("a dataset, and another whole one", snapshot(place, "d")));
    restore(place, "d", &both);
    killed(place, "unlink", 2, &finish)?;
    states.push((
        "a dataset, and half of what it replaced",
        snapshot(place, "d"),
    ));
    states.push(("a dataset, and units of another", both));
    restore(place, "d", &Bytes::new());
    ok(place, &run("in1", "d", ""));
    states.push(("a dataset with embeddings", snapshot(place, "d")));
    restore(place, "d", &Bytes::new());
    Some(states)
}

fn killed(place: &Place, calls: &str, k: usize, args: &[String]) -> Option<()> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let done = killed_at(place, calls, k, &args)?.0;
    assert!(done.is_none(), "{args:?}: {done:?}");
    Some(())
}

fn cases(place: &Place) -> Vec<Case> {
    ok(place, &tokenize("in1", "one", ""));
    ok(place, &tokenize("in2", "two", ""));
    ok(place, &run("in1", "three", ""));
    ok(place, &embed("two", "four", ""));
    ok(place, &shuffle("two", "five", ""));
    let mut cases = Vec::new();
    for more in ["", "--overwrite"] {
        let mut case = |args, out: Option<&str>| {
            cases.push(Case {
                args,
                expected: out.map(|out| visible(place, out).unwrap()),
            });
        };
        case(tokenize("in1", "d", more), Some("one"));
        case(tokenize("in2", "d", more), Some("two"));
        case(run("in1", "d", more), Some("three"));
        case(embed("two", "d", more), Some("four"));
        case(shuffle("two", "d", more), Some("five"));
        case(
            tokenize("in2", "d", format!("--units 0/2 {more}").trim_end()),
            None,
        );
        case(words(format!("finish d {more}").trim_end()), None);
        case(
            tokenize("in1", "d", format!("--repair {more}").trim_end()),
            Some("one"),
        );
    }
    cases
}

/// Kills each command in each state at each of its calls, for every `step`-th triple of state,
/// command and call. Returns how often.
fn sweep(step: usize) -> Option<usize> {
    let place = place();
    let cases = cases(&place);
    let states = states(&place)?;
    let (mut kills, mut triple) = (0, 0);
    for (state, before) in &states {
        for case in &cases {
            let calls = CHANGES.iter().filter(|_| {
                triple += 1;
                triple % step == 0
            });
            let calls: Vec<_> = calls.collect();
            if calls.is_empty() {
                continue;
            }
            let what = format!("{state}: {:?}", case.args);
            let found = Undisturbed::of(&place, before, case, &what);
            for call in calls {
                for k in 1.. {
                    restore(&place, "d", before);
                    let args: Vec<_> = case.args.iter().map(String::as_str).collect();
                    let ended = killed_at(&place, call, k, &args)?.0.is_some();
                    found.check(&place, case, &format!("{what} killed at {call} {k}"));
                    if ended {
                        break;
                    }
                    kills += 1;
                }
            }
        }
    }
    Some(kills)
}

/// A command in a state, and its undisturbed result.
struct Undisturbed {
    code: Option<i32>,
    old: Option<Bytes>,
    new: Option<Bytes>,
    /// The files that it leaves.
    names: Vec<String>,
}

impl Undisturbed {
    #[track_caller]
    fn of(place: &Place, before: &Bytes, case: &Case, what: &str) -> Self {
        restore(place, "d", before);
        let old = visible(place, "d");
        let done = place.run(&case.args);
        let after = snapshot(place, "d");
        let new = visible(place, "d");
        check_undisturbed(&done, case, before, &after, new.as_ref(), what);
        Self {
            code: done.code,
            old,
            new,
            names: after.into_keys().collect(),
        }
    }

    /// Checks what a kill left, and that the same command resumes from there.
    #[track_caller]
    fn check(&self, place: &Place, case: &Case, what: &str) {
        let found = visible(place, "d");
        let is_whole = found == self.old || found == self.new;
        assert!(is_whole, "{what}: {:?}", place.tree());
        let again = place.run(&case.args);
        assert_eq!(again.code, self.code, "{what}: {again:?}");
        assert!(visible(place, "d") == self.new, "{what}: {again:?}");
        let names: Vec<_> = snapshot(place, "d").into_keys().collect();
        assert_eq!(names, self.names, "{what}");
        assert_bystanders(place);
    }
}

/// Checks that an undisturbed command makes what it should, or changes nothing.
#[track_caller]
fn check_undisturbed(
    done: &Done,
    case: &Case,
    before: &Bytes,
    after: &Bytes,
    new: Option<&Bytes>,
    what: &str,
) {
    match done.code {
        Some(0) => {
            if let (Some(expected), Some(new)) = (&case.expected, new) {
                let has_all = expected
                    .iter()
                    .all(|(name, bytes)| new.get(name) == Some(bytes));
                assert!(has_all, "{what}: {done:?}");
            }
        }
        Some(1) => assert_eq!(before, after, "{what}: {done:?}"),
        _ => panic!("{what}: {done:?}"),
    }
}

#[test]
fn a_kill_in_any_state_leaves_the_old_or_the_new_and_the_next_run_the_rest() {
    if let Some(kills) = sweep(29) {
        assert!(kills > 30, "{kills}");
    }
}

#[test]
#[ignore = "takes minutes: cargo test states:: -- --ignored"]
fn a_kill_at_each_call_in_any_state_leaves_the_old_or_the_new() {
    if let Some(kills) = sweep(1000_usize.div_ceil(cuts())) {
        eprintln!("{kills} kills, each in a state of its own");
        assert!(2 * kills > cuts(), "{kills}");
    }
}
