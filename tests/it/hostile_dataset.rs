//! Damaged datasets: `verify` names the file, and no reader panics.

use crate::support;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use shardmill::Manifest;
use support::{Done, Place, fixture, output_bytes, spawn};

/// A place with a dataset of three shards in `d`, one of them with pieces of documents.
fn place(eot: &str) -> Place {
    let place = Place::new();
    let verdict = fs::read(fixture("text/the-verdict.txt")).unwrap();
    place.write("in/0.txt", verdict);
    place.write(
        "in/1.jsonl",
        "{\"text\":\"one\"}\n{\"text\":\"\"}\n{\"text\":\"two\"}\n",
    );
    place.write("in/2.txt", "");
    let args = [
        "tokenize",
        "in",
        "--out",
        "d",
        "--unit-size",
        "9kB",
        "--eot",
        eot,
    ];
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains(" 3 shards, 5 documents "), "{done:?}");
    place
}

/// Checks that a command did not panic and, if it failed, that it reports that in one line.
#[track_caller]
fn ended_well(done: &Done, codes: &[i32]) {
    let code = done.code.unwrap_or(-1);
    assert!(codes.contains(&code), "{done:?}");
    if code != 0 {
        assert!(done.stderr.starts_with("shardmill: error: "), "{done:?}");
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    }
}

/// `verify` must find `file` damaged; the other readers may or may not notice, but never panic.
#[track_caller]
fn is_damaged(place: &Place, file: &str) {
    let done = place.run(["verify", "d"]);
    ended_well(&done, &[5]);
    let start = format!("shardmill: error: d/{file}: ");
    assert!(done.stderr.starts_with(&start), "{file}: {done:?}");
    assert!(done.stdout.is_empty());
}

#[track_caller]
fn others_do_not_panic(place: &Place) {
    for args in [
        &["info", "d"][..],
        &["report", "d", "--out", "-"],
        &["decode", "d", "--documents", "1..4"],
        &["decode", "d", "--tokens", "7..99", "--keep-special"],
        &[
            "embed",
            "d",
            "--out",
            "-",
            "--init-seed",
            "1",
            "--dim",
            "1",
            "--seq-len",
            "9",
        ],
    ] {
        ended_well(&place.run(args), &[0, 1, 2]);
    }
}

/// Runs `check` with `d/file` changed by `change`, then puts it back.
fn with_changed(place: &Place, file: &str, change: impl Fn(&mut Vec<u8>), check: impl Fn()) {
    let path = Path::new("d").join(file);
    let whole = place.read(&path);
    let mut changed = whole.clone();
    change(&mut changed);
    assert_ne!(changed, whole, "{file}");
    place.write(&path, changed);
    check();
    place.write(&path, whole);
}

#[test]
fn a_flipped_bit_in_any_file_is_found_and_the_file_named() {
    let place = place("after");
    let files = output_bytes(&place.path("d"));
    assert_eq!(files.len(), 7);
    for (file, bytes) in &files {
        for (nth, at) in [0, bytes.len() / 2, bytes.len() - 1]
            .into_iter()
            .enumerate()
        {
            let flip = |bytes: &mut Vec<u8>| bytes[at] ^= 1 << (3 * nth);
            with_changed(&place, file, flip, || {
                is_damaged(&place, file);
                if nth == 1 {
                    others_do_not_panic(&place);
                }
            });
        }
    }
    assert_eq!(place.run(["verify", "d"]).code, Some(0), "all was put back");
}

#[test]
fn any_byte_of_the_manifest_counts() {
    let place = place("after");
    let length = place.read("d/manifest.json").len();
    for at in (0..length).step_by(length / 25) {
        let flip = |bytes: &mut Vec<u8>| bytes[at] ^= 1;
        with_changed(&place, "manifest.json", flip, || {
            let done = place.run(["verify", "d"]);
            ended_well(&done, &[5]);
            let is_named = done
                .stderr
                .starts_with("shardmill: error: d/manifest.json: ");
            assert!(is_named, "byte {at}: {done:?}");
            ended_well(&place.run(["info", "d"]), &[1]);
        });
    }
}

#[test]
fn wild_document_records_do_not_panic_readers() {
    for eot in ["after", "before"] {
        let place = place(eot);
        for file in ["shard-00000.docs", "shard-00002.docs"] {
            // `end_tokens`, `byte_start`, `byte_len`, `source` and `flags` of the first record.
            for field in [0..8, 8..16, 16..24, 24..28, 28..32] {
                let fill = |bytes: &mut Vec<u8>| bytes[field.clone()].fill(0xff);
                with_changed(&place, file, fill, || {
                    is_damaged(&place, file);
                    let decode = ["decode", "d", "--documents", "0..4"];
                    ended_well(&place.run(decode), &[0, 1]);
                });
            }
        }
    }
}

#[test]
fn ids_beyond_the_vocabulary_are_an_error_of_every_reader() {
    let place = place("after");
    let file = "shard-00001.u32";
    let wild = |bytes: &mut Vec<u8>| bytes[400..404].fill(0xff);
    with_changed(&place, file, wild, || {
        is_damaged(&place, file);
        let done = place.run(["decode", "d"]);
        ended_well(&done, &[1]);
        assert!(done.stderr.starts_with("shardmill: error: d: "), "{done:?}");
        assert!(done.stderr.contains(" 4294967295"), "{done:?}");
        let what_to_do = "; shardmill verify says what is damaged\n";
        assert!(done.stderr.ends_with(what_to_do), "{done:?}");
        // `embed` compares hashes before it reads an id.
        let embed = ["embed", "d", "--out", "e", "--init-seed", "1", "--dim", "1"];
        let line = format!("d/{file}: damaged in the 16 MiB block 0, from byte 0");
        place.run(embed).failed(1, &line);
        assert!(!place.path("e").exists() && !place.path("e.partial").exists());
    });
}

#[test]
fn a_damaged_last_target_is_an_error_although_it_is_no_input() {
    let place = place("none");
    let manifest = place.run(["info", "d", "--json"]).json();
    let n = manifest["manifest"]["totals"]["tokens"].as_u64().unwrap();
    let seq_len = (n - 1).to_string();
    let args = [
        "embed",
        "d",
        "--out",
        "e",
        "--init-seed",
        "1",
        "--dim",
        "1",
        "--seq-len",
        &seq_len,
    ];
    let last = manifest["manifest"]["shards"]
        .as_array()
        .unwrap()
        .iter()
        .rev();
    let file = last
        .filter(|shard| shard["tokens"] != 0)
        .map(|shard| shard["file"].as_str().unwrap())
        .next()
        .unwrap();
    let wild = |bytes: &mut Vec<u8>| {
        let start = bytes.len() - 4;
        bytes[start..].fill(0xff);
    };
    with_changed(&place, file, wild, || {
        let done = place.run(args);
        ended_well(&done, &[1]);
        assert!(
            done.stderr.contains(&format!("d/{file}: damaged in ")),
            "{done:?}"
        );
        assert!(!place.path("e").exists());
    });
    assert_eq!(place.run(args).code, Some(0));
}

#[test]
fn a_damaged_output_is_not_taken_for_a_finished_one() {
    let place = place("after");
    let again = [
        "tokenize",
        "in",
        "--out",
        "d",
        "--unit-size",
        "9kB",
        "--eot",
        "after",
    ];
    let embed = ["embed", "d", "--out", "e", "--init-seed", "1", "--dim", "2"];
    assert_eq!(place.run(embed).code, Some(0));
    for (directory, file, args) in [
        ("d", "shard-00001.u32", &again[..]),
        ("d", "shard-00000.docs", &again),
        ("e", "targets.npy", &embed),
    ] {
        assert!(place.run(args).stderr.contains("was there already"));
        let path = Path::new(directory).join(file);
        let whole = place.read(&path);
        let mut changed = whole.clone();
        changed[whole.len() - 3] ^= 1;
        place.write(&path, changed);
        let done = place.run(args);
        ended_well(&done, &[1]);
        assert!(done.stderr.contains("--overwrite to "), "{done:?}");
        place.write(&path, whole);
    }
}

#[test]
fn truncated_longer_and_missing_files_are_an_error_of_every_reader() {
    let place = place("after");
    for file in ["shard-00001.u32", "shard-00002.docs"] {
        let size = place.read(Path::new("d").join(file)).len();
        for new_size in [0, size - 1, size - 4, size + 1] {
            let resize = |bytes: &mut Vec<u8>| bytes.resize(new_size, 0);
            with_changed(&place, file, resize, || {
                let line = format!("d/{file}: has {new_size} bytes, the manifest says {size}");
                place.run(["verify", "d"]).failed(5, &line);
                for args in [
                    &["info", "d"][..],
                    &["decode", "d"],
                    &["embed", "d", "--out", "e", "--init-seed", "1", "--dim", "1"],
                ] {
                    place.run(args).failed(1, &line);
                }
            });
        }
        let path = place.path("d").join(file);
        let aside = place.path("aside");
        fs::rename(&path, &aside).unwrap();
        let line = format!("d/{file}: is missing");
        place.run(["verify", "d"]).failed(5, &line);
        place.run(["info", "d"]).failed(1, &line);
        fs::rename(&aside, &path).unwrap();
    }
}

#[test]
fn an_edited_manifest_is_not_believed() {
    let place = place("after");
    let edit = |from: &str, to: &str, line: &str| {
        let edit = |bytes: &mut Vec<u8>| {
            let text = String::from_utf8(std::mem::take(bytes)).unwrap();
            *bytes = text.replacen(from, to, 1).into_bytes();
        };
        with_changed(&place, "manifest.json", edit, || {
            place.run(["verify", "d"]).failed(5, line);
            place.run(["info", "d"]).failed(1, line);
        });
    };
    let edited =
        "d/manifest.json: was changed after it was written: its dataset_id is not its hash";
    edit("\"name\": \"gpt2\"", "\"name\": \"r50k_base\"", edited);
    edit("\"shard-00000.u32\"", "\"../secret.u32\"", edited);
    edit("\"tokens\": ", "\"tokens\": 1", edited);
    edit(
        "\"format_version\": 2",
        "\"format_version\": 3",
        "d/manifest.json: has format version 3, this program reads 1 to 2; use the release that \
         wrote it or make the dataset again",
    );
}

#[test]
fn a_manifest_that_calls_shards_by_other_names_is_refused() {
    let place = place("after");
    // The files that the names lead to exist, whole and of the right length.
    let shard = place.read("d/shard-00001.u32");
    let outside = place.write("outside.u32", &shard);
    place.write("d/again.u32", &shard);
    let manifest: Manifest = serde_json::from_slice(&place.read("d/manifest.json")).unwrap();
    for name in [
        "../outside.u32",
        outside.to_str().unwrap(),
        "again.u32",
        "./shard-00001.u32",
        "shard-00001.u32\0",
        "",
    ] {
        let mut forged = manifest.clone();
        name.clone_into(&mut forged.shards[1].file);
        is_refused(&place, forged, 1);
    }
    // One shard listed twice, with everything about it.
    let mut forged = manifest.clone();
    forged.shards[2] = forged.shards[1].clone();
    let totals = &mut forged.totals;
    totals.tokens += manifest.shards[1].tokens - manifest.shards[2].tokens;
    is_refused(&place, forged, 2);
}

/// A manifest with a valid id is refused because of a shard's name.
#[track_caller]
fn is_refused(place: &Place, mut forged: Manifest, shard: usize) {
    forged.dataset_id = forged.computed_id();
    let text = serde_json::to_string_pretty(&forged).unwrap() + "\n";
    place.write("d/manifest.json", text);
    let name = format!("shard-0000{shard}");
    let line = format!("d/manifest.json: does not call shard {shard} {name}.u32 and {name}.docs");
    place.run(["verify", "d"]).failed(5, &line);
    place.run(["info", "d"]).failed(1, &line);
}

#[test]
fn a_pipe_in_the_place_of_a_file_makes_nobody_wait() {
    let place = place("after");
    let embed = "embed d --out e --init-seed 1 --dim 1";
    assert_eq!(place.run(embed.split(' ')).code, Some(0));
    for (dir, file) in [
        ("d", "manifest.json"),
        ("d", "shard-00001.u32"),
        ("d", "shard-00001.docs"),
        ("e", "inputs.npy"),
    ] {
        let name = format!("{dir}/{file}");
        let bytes = place.read(&name);
        fs::remove_file(place.path(&name)).unwrap();
        place.fifo(&name);
        let line = format!("{name}: is not a regular file");
        in_time(&place, &["verify", dir]).failed(5, &line);
        if dir == "d" {
            in_time(&place, &["info", dir]).failed(1, &line);
            // It is not an output that may be replaced.
            let again = ["tokenize", "in", "--out", "d"];
            ended_well(&in_time(&place, &again), &[1]);
        }
        fs::remove_file(place.path(&name)).unwrap();
        place.write(&name, bytes);
    }
    let pipe = place.fifo("t.npy");
    let args = [
        "embed",
        "d",
        "--out",
        "f",
        "--token-table",
        "t.npy",
        "--position-table",
        "none",
    ];
    in_time(&place, &args).failed(1, "t.npy: is not a regular file");
    assert!(pipe.exists() && !place.path("f").exists());
}

/// Runs the program, which must not take longer than ten seconds.
#[track_caller]
fn in_time(place: &Place, args: &[&str]) -> Done {
    let mut child = spawn(&mut place.command(args));
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{args:?} waits");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Done::new(child.wait_with_output().unwrap())
}

#[test]
fn a_manifest_without_an_end_is_not_read_into_memory() {
    let place = place("after");
    place.write("in/0.txt", "other");
    let manifest = File::options()
        .write(true)
        .open(place.path("d/manifest.json"));
    manifest.unwrap().set_len(1 << 40).unwrap();
    let line = "d/manifest.json: is not a manifest: trailing characters at line";
    let done = in_time(&place, &["verify", "d"]);
    assert!(done.stderr.contains(line), "{done:?}");
    // Nothing says which of it is ours.
    let args = ["tokenize", "in", "--out", "d", "--overwrite"];
    let done = in_time(&place, &args);
    let line = "d: has no record that can be read";
    assert!(
        done.code == Some(1) && done.stderr.contains(line),
        "{done:?}"
    );
}

#[test]
fn what_is_no_dataset_is_called_that() {
    let place = Place::new();
    place.write("a.txt", "a");
    fs::create_dir(place.path("empty")).unwrap();
    for (name, what, verify) in [
        (
            "nope",
            "cannot open the dataset: No such file or directory (os error 2)",
            1,
        ),
        (
            "a.txt",
            "cannot open the dataset: Not a directory (os error 20)",
            1,
        ),
        (
            "empty/manifest.json",
            "is missing: this is not a dataset",
            5,
        ),
    ] {
        let line = format!("{name}: {what}");
        let argument = name.trim_end_matches("/manifest.json");
        place.run(["verify", argument]).failed(verify, &line);
        place.run(["info", argument]).failed(1, &line);
        place.run(["decode", argument]).failed(1, &line);
        let embed = [
            "embed",
            argument,
            "--out",
            "e",
            "--init-seed",
            "1",
            "--dim",
            "1",
        ];
        place.run(embed).failed(1, &line);
    }
    assert_eq!(place.tree(), ["a.txt", "empty/"]);
}

#[test]
fn damaged_embeddings_are_found_and_the_file_named() {
    let place = place("after");
    let args = ["embed", "d", "--out", "e", "--init-seed", "1", "--dim", "2"];
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{done:?}");
    for (file, bytes) in output_bytes(&place.path("e")) {
        for at in [0, bytes.len() / 2, bytes.len() - 2] {
            let path = Path::new("e").join(&file);
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            place.write(&path, changed);
            let done = place.run(["verify", "e"]);
            ended_well(&done, &[5]);
            let start = format!("shardmill: error: e/{file}: ");
            assert!(done.stderr.starts_with(&start), "{file} at {at}: {done:?}");
            place.write(&path, &bytes);
        }
    }
    assert_eq!(place.run(["verify", "e"]).code, Some(0));
}
