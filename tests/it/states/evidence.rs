//! Nothing is taken to be ours, unchanged or on the disk without proof.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use super::{ok, place, refs, run, tokenize, visible, words};
use crate::support::{Done, skipped, strace};

#[test]
fn what_has_no_readable_record_is_not_overwritten() {
    let place = place();
    let line = "d: has no record that can be read, so nothing says which of its files a run made; \
                remove the directory if none is needed, or choose another --out";
    for damage in ["", "xx", "{\"dataset_id\": 1}"] {
        ok(&place, &tokenize("in1", "d", ""));
        place.write("d/shard-00009.u32", "precious");
        place.write("d/manifest.json", damage);
        place
            .run(tokenize("in2", "d", "--overwrite"))
            .failed(1, line);
        fs::remove_file(place.path("d/manifest.json")).unwrap();
        place
            .run(tokenize("in2", "d", "--overwrite"))
            .failed(1, line);
        assert_eq!(place.read("d/shard-00009.u32"), b"precious");
        fs::remove_dir_all(place.path("d")).unwrap();
    }
}

#[test]
fn a_directory_like_one_in_the_making_in_an_output_stays() {
    let place = place();
    ok(&place, &tokenize("in1", "d", ""));
    place.write("d/embeddings.partial/state.json", "mine");
    let line =
        "d/embeddings.partial: was not made by shardmill and is in the way; move it elsewhere";
    place
        .run(tokenize("in2", "d", "--overwrite"))
        .failed(1, line);
    assert_eq!(place.read("d/embeddings.partial/state.json"), b"mine");
}

#[test]
fn links_in_the_place_of_embeddings_are_damage() {
    let place = place();
    ok(&place, &run("in1", "d", ""));
    for name in [
        "embeddings/embeddings.npy",
        "embeddings/embed.json",
        "embeddings",
    ] {
        let path = place.path(format!("d/{name}"));
        let away = place.path("away");
        fs::rename(&path, &away).unwrap();
        symlink(&away, &path).unwrap();
        let done = place.run(words("verify d"));
        assert_eq!(done.code, Some(5), "{name}: {done:?}");
        fs::remove_file(&path).unwrap();
        fs::rename(&away, &path).unwrap();
    }
    ok(&place, &words("verify d"));
    // Embeddings may be addressed through a link.
    symlink(place.path("d/embeddings"), place.path("link")).unwrap();
    ok(&place, &words("verify link"));
}

#[test]
fn a_unit_that_cannot_be_synced_is_made_again() {
    let place = place();
    ok(&place, &tokenize("in1", "whole", ""));
    for (k, file) in [(1, "shard-00000.u32"), (2, "shard-00000.docs")] {
        ok(&place, &tokenize("in1", "d", "--units 0/1"));
        let failing = format!("fsync:error=EIO:when={k}");
        let finish = words("finish d --threads 1");
        let Some(done) = strace::injected(&place, &[&failing], &refs(&finish)) else {
            return;
        };
        assert_eq!(done.code, Some(3), "{done:?}");
        assert!(
            done.stderr.contains(&format!("{file}: cannot sync")),
            "{done:?}"
        );
        let missing = place.run(&finish);
        assert!(
            missing.stderr.contains("1 of 2 units not done: 0"),
            "{missing:?}"
        );
        ok(&place, &tokenize("in1", "d", ""));
        assert_eq!(visible(&place, "d"), visible(&place, "whole"));
        fs::remove_dir_all(place.path("d")).unwrap();
    }
}

#[test]
fn standard_input_is_not_compared() {
    let place = place();
    let text = fs::File::open(place.path("in1/a.txt")).unwrap();
    let mut command = place.command(["tokenize", "-", "--out", "d"]);
    let done = Done::new(command.stdin(text).output().unwrap());
    assert_eq!(done.code, Some(0), "{done:?}");
    place.run(words("verify d --inputs in1/a.txt")).failed(
        2,
        "INPUT: the dataset was made from standard input, which cannot be read again",
    );
}

#[test]
fn an_input_that_is_replaced_after_it_was_cut_is_noticed() {
    let place = place();
    let records = |salt: usize| -> String {
        let words = (0..200).map(|i| format!("{{\"text\":\"{}\"}}\n", "w".repeat((i * salt) % 37)));
        words.collect::<String>()
    };
    let (first, second) = (records(7), records(11));
    let size = first.len().min(second.len()) - 100;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for (name, text) in [("in/b.jsonl", first), ("other", second)] {
        let text = format!("{}\n{}", &text[..size - 1], "");
        place.write(name, text);
        let file = fs::File::open(place.path(name)).unwrap();
        file.set_modified(time).unwrap();
    }
    let child = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync"])
        .args(["-e", "inject=fsync:delay_enter=300000:when=1..6"])
        .arg(env!("CARGO_BIN_EXE_shardmill"))
        .args(words(
            "tokenize in --out d --unit-size 1kB --threads 1 --bad-records skip",
        ))
        .current_dir(place.path(""))
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) => return skipped("a file replaced at a certain moment", &error.to_string()),
    };
    let is_planned = || {
        let entries = fs::read_dir(place.path("d.partial")).into_iter().flatten();
        let mut names = entries.map(|entry| entry.unwrap().file_name());
        names.any(|name| name.to_string_lossy().contains("plan.json"))
    };
    while !is_planned() {
        sleep(Duration::from_millis(5));
    }
    fs::rename(place.path("other"), place.path("in/b.jsonl")).unwrap();
    let done = Done::new(child.wait_with_output().unwrap());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("the file changed while it was in use"),
        "{done:?}"
    );
    assert!(!place.path("d").exists());
    let again = words("tokenize in --out d --unit-size 1kB --threads 1 --bad-records skip");
    ok(&place, &again);
    ok(&place, &words("verify d --inputs in"));
}
