//! Datasets of more shards than a process may have maps or open files.

use crate::support;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;

use shardmill::TokenStore;
use shardmill::window::{DocumentWindows, Tail};
use support::{Done, Place, after};

/// A place with a text that makes `n` shards in units of 2 bytes: one token each, and one more in
/// the first.
fn words(n: usize) -> Place {
    let place = Place::new();
    let words: Vec<_> = (0..=n).map(|i| ["a", "b", "c"][i % 7 % 3]).collect();
    place.write("a.txt", words.join(" "));
    place
}

const TOKENIZE: &str = "tokenize a.txt --unit-size 2B --durability none --threads 2 --out d";

/// Runs the program with few open files.
fn limited(place: &Place, line: &str) -> Child {
    after("ulimit -n 64", &place.command(line.split(' ')))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The number of files in `directory` that this process has mapped.
fn maps_in(directory: &Path) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let directory = directory.to_str().unwrap();
    maps.lines().filter(|map| map.contains(directory)).count()
}

#[test]
fn shards_of_a_large_dataset_are_mapped_as_they_are_used() {
    const SHARDS: usize = 4500;
    let place = words(SHARDS);
    let whole = place.run(
        TOKENIZE
            .replace("--out d", "--out w")
            .replace(" 2B ", " 1MB ")
            .split(' '),
    );
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let ids = |out: &str| {
        let store = TokenStore::open(&place.path(out)).unwrap();
        let mut ids = vec![0; usize::try_from(store.n_tokens()).unwrap()];
        store.read(0, &mut ids).unwrap();
        (store, ids)
    };
    let expected = ids("w").1;

    for line in [
        TOKENIZE,
        TOKENIZE,
        "verify d",
        "info d --seq-len 8 --window documents",
        "embed d --out e --seq-len 8 --stride 8 --shuffle 1 --init-seed 1 --dim 1",
        "finish d",
    ] {
        let done = Done::new(limited(&place, line).wait_with_output().unwrap());
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
    }
    let text = place.run("decode d".split(' '));
    assert!(text.said(&[]).stdout == place.read("a.txt"));

    let (store, found) = ids("d");
    assert_eq!(store.n_shards(), SHARDS);
    assert!(found == expected);
    assert_eq!(store.documents().count(), 1);
    let windows = DocumentWindows::new(&store, 8, 8, Tail::Drop).unwrap();
    assert_eq!(windows.window(windows.len() - 1).unwrap().document, 0);
    thread::scope(|scope| {
        for step in [1, 7, 4097] {
            let (store, expected) = (&store, &expected);
            scope.spawn(move || {
                for i in 0..SHARDS {
                    let i = i * step % (SHARDS - 1);
                    let start = store.shard_start(i);
                    let at = usize::try_from(start).unwrap();
                    let mut ids = [0; 2];
                    store.read(start, &mut ids).unwrap();
                    assert_eq!(ids, expected[at..at + 2]);
                    let shard = store.shard(i).unwrap();
                    assert_eq!(shard.tokens().len(), 1 + usize::from(i == 0));
                    let record = store.document_of(start).unwrap().unwrap();
                    assert_eq!(record, shard.documents()[0]);
                }
            });
        }
    });
    let maps = maps_in(&place.path("d"));
    assert!((1..=2 * 4096).contains(&maps), "{maps}");

    // What was mapped stays; what was not mapped is gone.
    let again = TOKENIZE.replace(" 2B ", " 3B ") + " --overwrite";
    assert_eq!(place.run(again.split(' ')).code, Some(0));
    let errors = store.shards().filter_map(Result::err);
    let errors: Vec<_> = errors
        .map(|error| (error.is_retryable(), error.to_string()))
        .collect();
    assert!(errors.len() >= SHARDS - 4096, "{}", errors.len());
    let replaced = "was replaced while it was read";
    let is_said = |(is_retryable, line): &(bool, String)| *is_retryable && line.contains(replaced);
    assert!(errors.iter().all(is_said), "{:?}", errors[0]);
}
