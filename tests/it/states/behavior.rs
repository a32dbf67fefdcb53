//! One test per promise, each of which was once broken.

use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use serde_json::Value;

use super::*;
use crate::support::{skipped, spawn, strace};

/// Kills a command at its `k`-th call; panics if it ends before that. `None` without strace.
pub(super) fn kill(place: &Place, calls: &str, k: usize, args: &[String]) -> Option<()> {
    let done = strace::killed_at(place, calls, k, &refs(args))?.0;
    assert!(done.is_none(), "{args:?} ended: {done:?}");
    Some(())
}

#[test]
fn finish_killed_after_the_exchange_leaves_the_new_dataset() {
    let place = place();
    ok(&place, &tokenize("in1", "d", ""));
    ok(&place, &tokenize("in2", "new", ""));
    ok(&place, &tokenize("in2", "d", "--units 0/1 --overwrite"));
    let units = snapshot(&place, "d");
    let new = visible(&place, "new").unwrap();
    for k in 1..8 {
        restore(&place, "d", &units);
        let finish = words("finish d --overwrite --threads 1");
        // Files of the old dataset, then the records of how far the new one was.
        if kill(&place, "unlink", k, &finish).is_none() {
            return;
        }
        assert_eq!(visible(&place, "d").unwrap(), new, "{k}");
        for again in [&finish[..], &words("finish d")] {
            ok(&place, again);
            assert_eq!(visible(&place, "d").unwrap(), new, "{k}");
            assert!(!place.path("d.partial").exists(), "{:?}", place.tree());
        }
    }
}

#[test]
fn finish_killed_at_any_sync_leaves_the_old_dataset_or_the_new_and_ends_with_the_new() {
    let place = place();
    ok(&place, &tokenize("in1", "d", ""));
    ok(&place, &tokenize("in2", "new", ""));
    ok(&place, &tokenize("in2", "d", "--units 0/1 --overwrite"));
    let units = snapshot(&place, "d");
    let [old, new] = ["d", "new"].map(|out| visible(&place, out));
    let finish = words("finish d --overwrite --threads 1");
    let mut seen = [0, 0];
    for k in 1.. {
        restore(&place, "d", &units);
        let Some(end) = strace::killed_at(&place, "fsync", k, &refs(&finish)) else {
            return;
        };
        let found = visible(&place, "d");
        let is_new = usize::from(found == new);
        assert!(is_new == 1 || found == old, "{k}: {:?}", place.tree());
        seen[is_new] += 1;
        ok(&place, &finish);
        assert_eq!(visible(&place, "d"), new, "{k}");
        assert!(!place.path("d.partial").exists(), "{k}: {:?}", place.tree());
        if end.0.is_some() {
            break;
        }
    }
    // Kills came before the exchange, and between it and the record that it is done.
    assert!(seen.iter().all(|&kills| kills > 2), "{seen:?}");
}

#[test]
fn a_dataset_whose_name_ends_in_partial_is_neither_made_nor_taken() {
    let place = place();
    let line = "wiki.partial: ends in .partial, as directories do that are being filled; choose \
                another --out";
    place
        .run(tokenize("in1", "wiki.partial", ""))
        .failed(1, line);
    place.run(embed("d", "wiki.partial", "")).code.unwrap();
    // A dataset with that name, copied from elsewhere or from a backup.
    ok(&place, &tokenize("in1", "d", ""));
    let copied = Command::new("cp")
        .args(["-r", "d", "d.partial"])
        .current_dir(place.path(""))
        .status();
    assert!(copied.unwrap().success());
    let before = snapshot(&place, "d");
    ok(&place, &tokenize("in1", "d", ""));
    ok(&place, &tokenize("in1", "d", "--overwrite"));
    let line = "d.partial: is in the way: it has no state.json, so no run of this version made it; \
                move it elsewhere";
    for more in ["--overwrite", "--units 0/2 --overwrite"] {
        place.run(tokenize("in2", "d", more)).failed(1, line);
    }
    place.run(words("finish d --overwrite")).failed(1, line);
    assert_eq!(snapshot(&place, "d"), before);
}

#[test]
fn a_whole_dataset_that_a_kill_kept_from_its_place_is_not_discarded_unasked() {
    let place = place();
    ok(&place, &tokenize("in1", "whole", ""));
    ok(&place, &tokenize("in1", "d", "--units 0/1"));
    let units = snapshot(&place, "d");
    // The last rename publishes.
    for k in (1..9).rev() {
        restore(&place, "d", &units);
        let Some(ended) = strace::killed_at(&place, "rename", k, &refs(&words("finish d"))) else {
            return;
        };
        if ended.0.is_none() {
            break;
        }
    }
    let status = place.run(["status", "d", "--json"]).json();
    assert_eq!(status["partial"]["is_complete"], true, "{status}");
    let before = snapshot(&place, "d");
    for args in [
        tokenize("in2", "d", ""),
        tokenize("in2", "d", "--units 0/2"),
        run("in2", "d", ""),
        embed("whole", "d", ""),
    ] {
        let done = place.run(&args);
        assert_eq!(done.code, Some(1), "{args:?}: {done:?}");
        assert!(
            done.stderr.contains("holds a whole output of another run"),
            "{done:?}"
        );
        assert_eq!(snapshot(&place, "d"), before);
    }
    for args in [
        words("finish d"),
        tokenize("in1", "d", ""),
        run("in1", "d", ""),
    ] {
        restore(&place, "d", &before);
        ok(&place, &args);
        let found = visible(&place, "d").unwrap();
        let whole = visible(&place, "whole").unwrap();
        assert!(
            whole.iter().all(|(name, bytes)| found[name] == *bytes),
            "{args:?}"
        );
        assert!(!place.path("d.partial").exists());
    }
}

#[test]
fn files_that_look_like_ours_by_their_beginning_stay() {
    let place = place();
    for name in [
        "stream-of-consciousness.txt",
        "shard-.docs",
        ".x.tmp-1",
        ".thesis.tmp-1-0123456789abcdef",
    ] {
        ok(&place, &tokenize("in1", "d", ""));
        place.write(format!("d/{name}"), "mine");
        let before = snapshot(&place, "d");
        let line =
            format!("d/{name}: was not made by shardmill and is in the way; move it elsewhere");
        place
            .run(tokenize("in2", "d", "--overwrite"))
            .failed(1, &line);
        assert_eq!(snapshot(&place, "d"), before);
        fs::remove_file(place.path(format!("d/{name}"))).unwrap();
        ok(
            &place,
            &tokenize("in1", "d", "--units 0/2 --eot none --overwrite"),
        );
        place.write(format!("d.partial/{name}"), "mine");
        place.write(format!("d.partial/new/{name}"), "mine");
        for args in [
            words("finish d --overwrite"),
            tokenize("in2", "d", "--overwrite"),
        ] {
            assert_eq!(place.run(args).code, Some(1));
        }
        assert_eq!(place.read(format!("d.partial/{name}")), b"mine");
        assert_eq!(place.read(format!("d.partial/new/{name}")), b"mine");
        fs::remove_dir_all(place.path("d.partial")).unwrap();
        fs::remove_dir_all(place.path("d")).unwrap();
    }
}

#[test]
fn embeddings_never_come_to_lie_in_another_dataset_than_theirs() {
    let place = place();
    ok(&place, &tokenize("in1", "d", ""));
    ok(&place, &tokenize("in2", "other", ""));
    // Locks the dataset like a run that makes its embeddings.
    let directory = fs::File::open(place.path("d")).unwrap();
    directory.lock_shared().unwrap();
    let replace = tokenize("in2", "d", "--overwrite");
    let held = "d: another run is writing here; wait for it to end or choose another --out";
    place.run(&replace).failed(4, held);
    drop(directory);
    ok(&place, &replace);
    assert!(!place.path("d.partial").exists());
    let line = "d/embeddings: lies in a dataset other than whole, or in one that replaced it; choose \
                another --out";
    ok(&place, &tokenize("in1", "whole", ""));
    place
        .run(embed("whole", "d/embeddings", ""))
        .failed(1, line);
}

#[test]
fn embeddings_of_another_dataset_do_not_pass_verify() {
    let place = place();
    ok(&place, &run("in1", "d", ""));
    ok(&place, &run("in2", "other", ""));
    ok(&place, &words("verify d"));
    fs::remove_dir_all(place.path("d/embeddings")).unwrap();
    fs::rename(place.path("other/embeddings"), place.path("d/embeddings")).unwrap();
    let done = place.run(["verify", "d"]);
    assert_eq!(done.code, Some(5), "{done:?}");
    assert!(
        done.stderr
            .contains("d/embeddings/embed.json: is of dataset "),
        "{done:?}"
    );
}

#[test]
fn units_of_another_run_are_not_published_after_the_output_was_there() {
    let place = place();
    ok(&place, &tokenize("in1", "d", "--units 0/1"));
    let units = snapshot(&place, "d");
    ok(&place, &tokenize("in2", "whole", ""));
    fs::rename(place.path("whole"), place.path("d")).unwrap();
    // Unless asked to remove them, a run leaves them for their own run.
    ok(&place, &tokenize("in2", "d", ""));
    assert!(
        units
            .iter()
            .all(|(name, bytes)| snapshot(&place, "d")[name] == *bytes)
    );
    ok(&place, &tokenize("in2", "d", "--units 0/2 --overwrite"));
    assert!(!place.path("d.partial").exists());
    let there = ok(&place, &words("finish d --overwrite"));
    assert!(there.stderr.contains("was there already"), "{there:?}");
}

#[test]
fn finish_killed_at_any_removal_is_done_by_the_next() {
    let place = place();
    ok(&place, &tokenize("in1", "whole", ""));
    let whole = visible(&place, "whole").unwrap();
    ok(&place, &tokenize("in1", "d", "--units 0/1"));
    let units = snapshot(&place, "d");
    for k in 1..5 {
        for again in [
            words("finish d"),
            tokenize("in1", "d", ""),
            tokenize("in1", "d", "--repair"),
        ] {
            restore(&place, "d", &units);
            if kill(&place, "unlink", k, &words("finish d")).is_none() {
                return;
            }
            ok(&place, &again);
            assert_eq!(visible(&place, "d").unwrap(), whole, "{k} {again:?}");
            assert!(!place.path("d.partial").exists(), "{k} {again:?}");
        }
    }
}

#[test]
fn killed_embeddings_leave_nothing_after_the_same_command() {
    let place = place();
    ok(&place, &tokenize("in1", "whole", ""));
    let commands = [
        (
            embed("whole", "d", "--overwrite"),
            embed("whole", "d", "--dtype f16"),
            "d.partial",
        ),
        (
            run("in1", "d", "--overwrite"),
            tokenize("in1", "d", ""),
            "d.partial",
        ),
        (
            run("in1", "d", ""),
            tokenize("in1", "d", ""),
            "d/embeddings.partial",
        ),
    ];
    for (args, before, partial) in commands {
        for k in 1..8 {
            let _ = fs::remove_dir_all(place.path("d"));
            ok(&place, &before);
            let Some(killed) = strace::killed_at(&place, "unlink,rmdir", k, &refs(&args)) else {
                return;
            };
            ok(&place, &args);
            assert!(!place.path(partial).exists(), "{k} {args:?} {killed:?}");
            ok(&place, &words("verify d"));
        }
    }
}

#[test]
fn the_same_command_twice_at_once_ends_with_0_or_4() {
    let place = place();
    let mut ends = [0, 0];
    for turn in 0..12 {
        ok(&place, &tokenize("in1", "d", "--units 0/1"));
        let both = match turn % 3 {
            0 => [words("finish d"), words("finish d")],
            1 => [
                tokenize("in1", "d", "--units 0/1"),
                tokenize("in1", "d", ""),
            ],
            _ => [tokenize("in1", "d", ""), tokenize("in1", "d", "")],
        };
        let both = both.map(|args| spawn(&mut place.command(args)));
        for child in both {
            let done = Done::new(child.wait_with_output().unwrap());
            let end = [0, 4].iter().position(|code| done.code == Some(*code));
            ends[end.unwrap_or_else(|| panic!("{done:?}"))] += 1;
        }
        ok(&place, &tokenize("in1", "d", ""));
        assert!(!place.path("d.partial").exists());
        fs::remove_dir_all(place.path("d")).unwrap();
    }
    assert!(ends[0] >= 12, "{ends:?}");
}

#[test]
fn an_empty_directory_is_taken_as_the_output() {
    let place = place();
    for args in [
        tokenize("in1", "d", ""),
        run("in1", "d", ""),
        tokenize("in1", "d", "--units 0/1"),
    ] {
        fs::create_dir(place.path("d")).unwrap();
        fs::set_permissions(place.path("d"), fs::Permissions::from_mode(0o710)).unwrap();
        ok(&place, &args);
        if !place.path("d/manifest.json").exists() {
            ok(&place, &words("finish d"));
        }
        ok(&place, &words("verify d"));
        let mode = fs::metadata(place.path("d")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o710);
        fs::remove_dir_all(place.path("d")).unwrap();
    }
}

#[test]
fn a_directory_in_the_making_that_is_another_users_is_refused() {
    let place = place();
    ok(&place, &tokenize("in1", "d", "--units 0/2"));
    let partial = place.path("d.partial");
    if chown(&partial, Some(12345), None).is_err() {
        return skipped("another user's directory", "needs root");
    }
    let line = "d.partial: belongs to another user; move it elsewhere or choose another --out";
    let before = snapshot(&place, "d");
    for args in [
        tokenize("in1", "d", ""),
        tokenize("in1", "d", "--units 1/2"),
        words("finish d"),
    ] {
        place.run(args).failed(1, line);
    }
    chown(&partial, Some(0), None).unwrap();
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o777)).unwrap();
    let line = "d.partial: can be written to by every user, so what lies there is not to be trusted; \
                move it elsewhere or choose another --out";
    place.run(tokenize("in1", "d", "")).failed(1, line);
    assert_eq!(snapshot(&place, "d"), before);
}

#[test]
fn what_a_run_publishes_has_an_id_of_its_own_in_its_record() {
    let place = place();
    ok(&place, &tokenize("in1", "d", ""));
    let id = |out: &str| {
        let run: Value = serde_json::from_slice(&place.read(format!("{out}/run.json"))).unwrap();
        run["run_id"].as_str().unwrap().to_owned()
    };
    let first = id("d");
    ok(&place, &tokenize("in1", "e", ""));
    assert_ne!(first, id("e"));
    // The id is not among the bytes that are compared.
    assert_eq!(visible(&place, "d"), visible(&place, "e"));
}

#[test]
fn verify_compares_inputs_with_those_that_a_dataset_was_made_from() {
    let place = place();
    ok(&place, &tokenize("in1", "d", ""));
    let verify = words("verify d --inputs in1");
    let done = ok(&place, &verify);
    assert!(
        done.stderr.contains(" and 2 inputs unchanged checked in "),
        "{done:?}"
    );
    assert_eq!(
        ok(&place, &words("verify d --json --inputs in1")).json()["inputs"],
        2
    );
    // The changed file keeps its size and its time.
    let path = place.path("in1/a.txt");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let bytes = place.read("in1/a.txt");
    let mut other = bytes.clone();
    other[700] ^= 1;
    place.write("in1/a.txt", other);
    fs::File::open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let changed = "in1/a.txt: has changed since the dataset was made from it: its hash is another; \
                   make the dataset again, or restore the file";
    place.run(&verify).failed(5, changed);
    place.write("in1/a.txt", &bytes[1..]);
    let longer = "in1/a.txt: has 1,299 bytes, and had 1,300 when the dataset was made from it";
    place.run(&verify).failed(5, longer);
    place.write("in1/a.txt", bytes);
    place
        .run(words("verify d --inputs in1/a.txt"))
        .failed(5, "d: was made from 2 sources, and the inputs are 1");
    place
        .run(words("verify d --inputs in1/b.txt in1/a.txt"))
        .failed(
            5,
            "in1/b.txt: is source 0 of the inputs, where the dataset has 'a.txt'",
        );
    ok(&place, &verify);
}
