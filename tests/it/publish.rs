//! A reader, concurrent with a run that replaces what it reads, sees the old version or the new
//! one, and what it has open stays as it is.

use crate::support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use shardmill::{Stats, TokenStore, verify};
use support::Place;

/// The ids of the current dataset.
fn ids(store: &TokenStore) -> Vec<u32> {
    let mut ids = vec![0; usize::try_from(store.n_tokens()).unwrap()];
    store.read(0, &mut ids).unwrap();
    ids
}

#[test]
fn a_reader_has_the_old_version_or_the_new_one() {
    let place = Place::new();
    place.write("old.txt", "one ".repeat(3000));
    place.write("new.txt", "two three ".repeat(2000));
    let make = |input: &str, out: &str| {
        let args = [
            "tokenize",
            input,
            "--out",
            out,
            "--overwrite",
            "--unit-size",
            "1kB",
            "--durability",
            "none",
        ];
        let done = place.run(args);
        assert_eq!(done.code, Some(0), "{done:?}");
    };
    let versions = ["old.txt", "new.txt"].map(|input| {
        let out = input.replace(".txt", "");
        make(input, &out);
        ids(&TokenStore::open(&place.path(out)).unwrap())
    });
    assert_ne!(versions[0], versions[1]);
    make("old.txt", "d");
    let dir = place.path("d");
    let held = TokenStore::open(&dir).unwrap();
    let is_over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = [0, 0];
            while !is_over.load(Ordering::Relaxed) {
                // There is no gap between two versions: they are exchanged in one step.
                let store = TokenStore::open(&dir).unwrap();
                let found = ids(&store);
                let version = versions.iter().position(|ids| *ids == found);
                seen[version.expect("a whole version")] += 1;
                verify(&dir, &Stats::default()).unwrap();
            }
            seen
        });
        for n in 0..30 {
            make(["new.txt", "old.txt"][n % 2], "d");
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(seen.iter().all(|&n| n > 0), "{seen:?}");
    assert!(ids(&held) == versions[0], "what is open stays");
}
