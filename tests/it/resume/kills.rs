//! Runs that are killed at a system call or at an arbitrary moment.

use std::fs;
use std::time::Duration;

use super::{
    SHARDS, args, assert_complete_or_absent, corpus, done_before, expected, finish_run, killed_at,
    receipts,
};
use crate::support::{output_bytes, spawn};

#[test]
fn a_kill_at_each_rename_or_sync_costs_no_finished_unit() {
    let place = corpus();
    let expected = expected(&place);
    let mut most = 0;
    for (calls, step) in [("rename", 4), ("fsync", 9)] {
        for k in (1..).step_by(step) {
            let out = format!("{calls}-{k}");
            let args = args(&out, &[]);
            let Some(was_killed) = killed_at(&place, calls, k, &args) else {
                return;
            };
            assert_complete_or_absent(&place, &out, &expected);
            let left = receipts(&place, &format!("{out}.partial")) as u64;
            most = most.max(left);
            let was_published = place.path(&out).exists();
            let done = finish_run(&place, &args, &out, &expected);
            if !was_published {
                assert!(done_before(&done) >= left, "{done:?}");
            }
            if !was_killed {
                break;
            }
        }
    }
    assert!(most >= 6, "only {most} units were finished before a kill");
}

#[test]
fn a_kill_at_any_moment_gives_the_same_bytes() {
    let place = corpus();
    let expected = expected(&place);
    for k in 0..10_u64 {
        let mut run = spawn(&mut place.command(args("d", &[])));
        std::thread::sleep(Duration::from_micros(2_000 + 2_500 * k));
        run.kill().unwrap();
        run.wait().unwrap();
        assert_complete_or_absent(&place, "d", &expected);
        finish_run(&place, &args("d", &[]), "d", &expected);
        fs::remove_dir_all(place.path("d")).unwrap();
    }
}

#[test]
fn a_killed_run_with_embeddings_goes_on_with_its_dataset() {
    let place = corpus();
    let embed = ["--init-seed", "1", "--dim", "4", "--seq-len", "8"];
    let run = |out| [&["run"], &args(out, &embed)[1..]].concat();
    let done = place.run(run("expected"));
    assert_eq!(done.code, Some(0), "{done:?}");
    let expected = output_bytes(&place.path("expected"));
    // The directory of the embeddings is made once the dataset is done.
    for k in 1..5 {
        let Some(was_killed) = killed_at(&place, "mkdir", k, &run("d")) else {
            return;
        };
        assert!(was_killed, "{:?}", place.tree());
        if receipts(&place, "d.partial") == SHARDS {
            break;
        }
    }
    assert_eq!(receipts(&place, "d.partial"), SHARDS);
    let after = finish_run(&place, &run("d"), "d", &expected);
    assert_eq!(done_before(&after), SHARDS as u64);
}

#[test]
fn a_kill_while_an_output_is_replaced_leaves_the_old_or_the_new() {
    let place = corpus();
    let new = expected(&place);
    let old_args = args("d", &["--eot", "before"]);
    place.run(&old_args);
    let old = output_bytes(&place.path("d"));
    place.write("mine/thesis.txt", "mine");
    let replace = args("d", &["--overwrite"]);
    for link in [false, true] {
        for k in (1..).step_by(9) {
            fs::remove_dir_all(place.path("d")).unwrap();
            if link {
                std::os::unix::fs::symlink("mine", place.path("d")).unwrap();
            } else {
                place.run(&old_args);
            }
            // Receipts are removed before the exchange, the old output after it.
            let Some(was_killed) = killed_at(&place, "unlink,rmdir", k, &replace) else {
                return;
            };
            if place.path("d").symlink_metadata().unwrap().is_dir() {
                let found = output_bytes(&place.path("d"));
                assert!(found == new || found == old, "{:?}", place.tree());
            }
            finish_run(&place, &replace, "d", &new);
            assert!(place.path("d.partial").symlink_metadata().is_err());
            if !was_killed {
                break;
            }
        }
    }
    assert_eq!(place.read("mine/thesis.txt"), b"mine");
}
