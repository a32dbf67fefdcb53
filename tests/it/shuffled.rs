//! Datasets whose documents were put in another order.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shardmill::window::KeyedPermutation;
use shardmill::{TokenId, TokenStore};

use crate::common_dataset::{records_path, text_path};
use crate::support::{Done, Place, fixture, output_bytes, skipped};

/// A document: its ids, its source, and its place there.
type Found = (Vec<TokenId>, u32, u64, u64);

fn documents(place: &Place, dataset: &str) -> Vec<Found> {
    let store = TokenStore::open(&place.path(dataset)).unwrap();
    let found = store.documents().map(|document| {
        let document = document.unwrap();
        let length = document.tokens.end - document.tokens.start;
        let mut ids = vec![0; usize::try_from(length).unwrap()];
        store.read(document.tokens.start, &mut ids).unwrap();
        (
            ids,
            document.source,
            document.bytes.start,
            document.bytes.end,
        )
    });
    found.collect()
}

fn manifest(place: &Place, dataset: &str) -> Value {
    serde_json::from_slice(&place.read(format!("{dataset}/manifest.json"))).unwrap()
}

/// A place with a dataset `d` of the given inputs.
fn dataset(inputs: &[&str], options: &str) -> Place {
    let place = Place::new();
    fs::create_dir(place.path("in")).unwrap();
    for input in inputs {
        let path = match *input {
            "records" => records_path(),
            name if name.ends_with("parquet") => fixture(name),
            name => text_path(name),
        };
        let name = path.file_name().unwrap();
        fs::copy(&path, place.path("in").join(name)).unwrap();
    }
    // Some records are broken.
    place.write(
        "in/z.jsonl",
        "{\"text\":\"one\"}\nnone\n{\"text\":\"\"}\n".repeat(50),
    );
    let line = format!("tokenize in --out d --bad-records skip {options}");
    let done = place.run(line.split_whitespace());
    assert_eq!(done.code, Some(0), "{done:?}");
    place
}

/// Inputs and options of datasets that differ in all that matters here.
const DATASETS: [(&[&str], &str); 4] = [
    // Documents over several shards.
    (
        &["udhr.txt", "tinyshakespeare.txt", "the-verdict.txt"],
        "--unit-size 60kB",
    ),
    (
        &["records", "parquet/pyarrow-groups.parquet"],
        "--unit-size 20kB --token-dtype u16 --eot before",
    ),
    (
        &["udhr.txt", "markdown.md", "records"],
        "--documents paragraphs --unit-size 10kB --eot none --validation 20% --min-tokens 4",
    ),
    (&[], "--unit-size 1B"),
];

#[test]
fn each_document_is_at_its_place_with_its_source() {
    for (inputs, options) in DATASETS {
        let place = dataset(inputs, options);
        let before = documents(&place, "d");
        let n = before.len() as u64;
        let order = KeyedPermutation::new(n, 123, 0).unwrap();
        let expected = (0..n).map(|at| before[usize::try_from(order.at(at)).unwrap()].clone());
        let mut first: Option<BTreeMap<_, _>> = None;
        for threads in ["1", "2", "7"] {
            let args = ["shuffle", "d", "--seed", "123", "--out", "s", "--threads"];
            let done = place.run([&args[..], &[threads, "--overwrite"]].concat());
            assert_eq!(done.code, Some(0), "{done:?}");
            let files = output_bytes(&place.path("s"));
            let first = first.get_or_insert_with(|| files.clone());
            assert!(*first == files, "{threads}");
            fs::remove_dir_all(place.path("s")).unwrap();
        }
        let done = place.run(["shuffle", "d", "--seed", "123", "--out", "s"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(documents(&place, "s").into_iter().eq(expected), "{options}");

        let [old, new] = ["d", "s"].map(|dataset| manifest(&place, dataset));
        let shuffled = json!({"seed": 123, "dataset_id": old["dataset_id"]});
        assert_eq!(new["shuffled"], shuffled);
        assert_eq!(new["totals"], old["totals"]);
        assert_eq!(new["sources"], old["sources"]);
        assert_ne!(new["dataset_id"], old["dataset_id"]);
        // Records that were left out are listed as before.
        for (name, bytes) in output_bytes(&place.path("d")) {
            if name.ends_with(".bad.jsonl") {
                assert_eq!(place.read(format!("s/{name}")), bytes);
            }
        }
        // Shards have whole documents, and as many as the others.
        let counts = new["shards"].as_array().unwrap().iter();
        let counts = counts.map(|shard| shard["documents"].as_u64().unwrap());
        let (least, most) = (counts.clone().min().unwrap(), counts.max().unwrap());
        assert!(most - least <= 1, "{least} to {most}");

        let split = if options.contains("paragraphs") {
            &["--documents", "paragraphs"][..]
        } else {
            &[]
        };
        let verified = place.run([&["verify", "s", "--inputs", "in"], split].concat());
        assert_eq!(verified.code, Some(0), "{verified:?}");
        for command in [
            "info s",
            "decode s --document 3",
            "report s --out s.html",
            "embed s --out e --window documents --tail pad --init-seed 1 --dim 2 --seq-len 8",
        ] {
            // Padding needs an end-of-text token.
            let tail = if options.contains("none") {
                "drop"
            } else {
                "pad"
            };
            let command = command.replace("--tail pad", &format!("--tail {tail}"));
            let done = place.run(command.split(' '));
            assert_eq!(done.code, Some(0), "{command}: {done:?}");
        }
    }
}

#[test]
fn another_seed_is_another_order_and_a_shuffled_dataset_may_be_shuffled() {
    let place = dataset(&[], "");
    for (from, seed, out) in [("d", "1", "a"), ("d", "2", "b"), ("a", "1", "c")] {
        let done = place.run(["shuffle", from, "--seed", seed, "--out", out]);
        assert_eq!(done.code, Some(0), "{done:?}");
        let line = format!("{out}: 100 documents in a new order");
        assert!(done.stderr.contains(&line), "{done:?}");
        assert_eq!(place.run(["verify", out]).code, Some(0));
    }
    let orders = ["d", "a", "b", "c"].map(|dataset| documents(&place, dataset));
    for (index, one) in orders.iter().enumerate() {
        let sorted = |order: &Vec<Found>| {
            let mut order = order.clone();
            order.sort_unstable();
            order
        };
        assert_eq!(sorted(one), sorted(&orders[0]));
        assert!(orders[..index].iter().all(|other| other != one));
    }
}

#[test]
fn what_is_there_is_left_and_nothing_is_replaced_unasked() {
    let place = dataset(&[], "--unit-size 100B");
    let shuffle = |args: &str| place.run(format!("shuffle d {args}").split(' '));
    assert_eq!(shuffle("--seed 1 --out s").code, Some(0));
    let files = output_bytes(&place.path("s"));
    let again = shuffle("--seed 1 --out s --json");
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(again.json()["was_there"], true);
    assert_eq!(shuffle("--seed 2 --out s").code, Some(1));
    assert!(output_bytes(&place.path("s")) == files);

    // A shuffled dataset is not that of its inputs, though it has their settings.
    let tokenize = "tokenize in --out s --bad-records skip --unit-size 100B";
    for more in ["", " --repair", " --repair --overwrite"] {
        let refused = place.run(format!("{tokenize}{more}").split(' '));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(output_bytes(&place.path("s")) == files);
        let line = "s: is shuffled, and `tokenize --repair` makes a dataset in the order of its inputs; \
                    shuffle the dataset that it was made from again";
        let is_said = refused.stderr.contains(line);
        assert_eq!(is_said, more.contains("repair"), "{refused:?}");
    }
    let replaced = place.run(format!("{tokenize} --overwrite").split(' '));
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    assert!(output_bytes(&place.path("s")) == output_bytes(&place.path("d")));

    for (out, what) in [("d", "is"), ("d/s", "lies in"), (".", "holds")] {
        let refused = shuffle(&format!("--seed 1 --out {out} --overwrite"));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let what = format!("{what} the dataset d that is read; choose another --out");
        assert!(refused.stderr.contains(&what), "{refused:?}");
    }
    assert_eq!(place.run(["verify", "d"]).code, Some(0));
}

#[test]
fn damage_is_found_before_anything_is_made() {
    let place = dataset(&[], "--unit-size 100B");
    let shuffle = || place.run("shuffle d --seed 1 --out s".split(' '));
    assert_eq!(shuffle().code, Some(0));
    let mut ids = place.read("s/shard-00001.u32");
    ids[5] ^= 1;
    place.write("s/shard-00001.u32", &ids);
    let block = "damaged in the 16 MiB block 0, from byte 0";
    shuffle().failed(
        1,
        &format!("s: is damaged: s/shard-00001.u32: {block}; use --overwrite to make it again"),
    );
    fs::remove_dir_all(place.path("s")).unwrap();

    let mut ids = place.read("d/shard-00001.u32");
    ids[5] ^= 1;
    place.write("d/shard-00001.u32", &ids);
    shuffle().failed(1, &format!("d/shard-00001.u32: {block}"));
    assert!(!place.path("s").exists());
}

/// A dataset is verified, read, and its checksums are compared again.
#[test]
fn what_is_made_of_a_dataset_that_changes_meanwhile_is_not_published() {
    for (command, written) in [
        ("shuffle d --seed 1", "shard-00000.docs"),
        (
            "embed d --init-seed 1 --dim 2 --seq-len 8",
            "embeddings.npy",
        ),
    ] {
        let place = dataset(&[], "--unit-size 1kB");
        // Each file takes a while to reach the disk.
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync"])
            .args(["-e", "inject=fsync:delay_enter=300000"])
            .arg(env!("CARGO_BIN_EXE_shardmill"))
            .args(command.split(' '))
            .args(["--out", "s", "--threads", "1"])
            .current_dir(place.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let running = match strace.spawn() {
            Ok(running) => running,
            Err(error) => return skipped("changes during a copy", &format!("strace: {error}")),
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        // A file has a temporary name while it is written.
        let is_written = |name: &String| name.starts_with("s.partial/") && name.contains(written);
        while !place.tree().iter().any(is_written) {
            assert!(Instant::now() < deadline, "{:?}", place.tree());
            std::thread::sleep(Duration::from_millis(5));
        }
        let shard = place.path("d/shard-00000.u32");
        let ids = fs::File::options().write(true).open(shard).unwrap();
        ids.write_all_at(&[5, 0, 0, 0], 8).unwrap();
        let done = Done::new(running.wait_with_output().unwrap());
        let line = "d/shard-00000.u32: damaged in the 16 MiB block 0, from byte 0";
        done.failed(1, line);
        assert!(!place.path("s").exists());
    }
}

#[test]
fn a_manifest_that_says_what_is_not_so_is_damage() {
    let place = dataset(&[], "--unit-size 100B");
    let done = place.run("shuffle d --seed 1 --out s".split(' '));
    assert_eq!(done.code, Some(0), "{done:?}");
    let mut pairs = vec![];
    for (dataset, other) in [("d", "s"), ("s", "d")] {
        let mut manifest = manifest(&place, dataset);
        let shuffled = self::manifest(&place, other).get("shuffled").cloned();
        let object = manifest.as_object_mut().unwrap();
        match shuffled {
            Some(shuffled) => object.insert("shuffled".to_owned(), shuffled),
            None => object.remove("shuffled"),
        };
        pairs.push((dataset, manifest));
    }
    for (dataset, manifest) in pairs {
        let path = place.path(dataset).join("manifest.json");
        // The id is that of the values, so nothing but them is wrong.
        let manifest: shardmill::Manifest = serde_json::from_value(manifest).unwrap();
        let id = manifest.computed_id();
        let mut value = serde_json::to_value(&manifest).unwrap();
        value["dataset_id"] = json!(id);
        let manifest: shardmill::Manifest = serde_json::from_value(value).unwrap();
        let text = serde_json::to_string_pretty(&manifest).unwrap() + "\n";
        fs::write(path, text).unwrap();
        let verified = place.run(["verify", dataset]);
        assert_eq!(verified.code, Some(5), "{verified:?}");
    }
}
