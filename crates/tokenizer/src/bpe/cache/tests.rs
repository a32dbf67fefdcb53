//! The cache returns what was put in, even while other threads put things in.

use shardmill_core::simd::scalar::Scalar;

use super::*;

fn key(text: &str) -> Key {
    Key::new(text.as_bytes())
}

/// Names of 1 to 23 bytes, most of them up to 16.
fn name(i: u32) -> String {
    let long = "a name of many bytes: ";
    format!("{}{i:x}", &long[..(i as usize * 7) % 17])
}

/// Lists of 1 to 9 ids.
fn ids(i: u32) -> Vec<TokenId> {
    (0..=i % 9)
        .map(|n| (i ^ n) % (1 << hash::ID_BITS))
        .collect()
}

fn put(memory: &Memory, tables: &Tables, i: u32) {
    let name = name(i);
    let (key, hash) = key_and_hash(&name);
    let added = tables.remember(name.as_bytes(), key, hash, &ids(i));
    memory.added(tables, name.len(), added);
}

fn get(tables: &Tables, i: u32) -> Option<Vec<TokenId>> {
    let name = name(i);
    let (key, hash) = key_and_hash(&name);
    if key == Key::NONE {
        let mut ids = vec![7];
        let is_known = tables.get_long(name.as_bytes(), hash, &mut ids);
        assert_eq!(ids.remove(0), 7);
        is_known.then_some(ids)
    } else {
        let mut ids = [7; KEY_BYTES];
        let count = tables.short().get(key, hash, Scalar, &mut ids)?;
        Some(ids[..count].to_vec())
    }
}

fn key_and_hash(name: &str) -> (Key, u64) {
    if name.len() > KEY_BYTES {
        (Key::NONE, hash::of_long(name.as_bytes()))
    } else {
        (key(name), key(name).hash())
    }
}

#[test]
fn keys_tell_lengths_and_do_not_see_what_follows() {
    let nuls = "\0".repeat(16);
    for len in 1..16 {
        assert_ne!(key(&nuls[..len]), key(&nuls[..=len]));
        let long = format!("{}{}", &nuls[..len], "after it comes more text");
        let bytes = *long.as_bytes().first_chunk().unwrap();
        assert_eq!(Key::of(bytes, len), key(&nuls[..len]));
    }
}

#[test]
fn what_was_put_in_is_found() {
    let memory = Memory::new().unwrap();
    // Enough that all tables grow several times.
    for i in 0..100_000 {
        let tables = memory.tables();
        assert_eq!(get(&tables, i), None);
        put(&memory, &tables, i);
    }
    let tables = memory.tables();
    let found = (0..100_000).filter(|&i| match get(&tables, i) {
        Some(found) => {
            assert_eq!(found, ids(i), "{}", name(i));
            true
        }
        None => false,
    });
    // Only a few found no place.
    assert!(found.count() > 97_000);
    assert!(tables.short.len() > 10 * MIN_SHORT_LINES);
    assert!(tables.long.len() > 10 * MIN_LONG_LINES);
}

/// The sizes of the short table while it fills, if `bytes` of text are expected.
fn short_sizes(bytes: usize) -> Vec<usize> {
    let memory = Memory::new().unwrap();
    memory.expect(bytes);
    let mut sizes = Vec::new();
    for i in 0..300_000 {
        let tables = memory.tables();
        sizes.push(tables.short.len());
        put(&memory, &tables, i);
    }
    sizes.dedup();
    sizes
}

#[test]
fn a_table_grows_at_once_to_what_a_long_text_needs() {
    let first = [MIN_SHORT_LINES, 4 * MIN_SHORT_LINES, 16 * MIN_SHORT_LINES];
    let unknown = short_sizes(0);
    assert_eq!(unknown[..3], first);
    assert!(unknown.len() > 5 && unknown[2..].windows(2).all(|two| two[1] == 2 * two[0]));
    let long = short_sizes(usize::MAX);
    assert_eq!(long, [&first[..], &[MAX_SHORT_LINES]].concat());
}

#[test]
fn threads_see_what_others_put_in_and_nothing_else() {
    let memory = Memory::new().unwrap();
    let met = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (memory, met) = (&memory, &met);
            scope.spawn(move || {
                let mut tables = memory.tables();
                for i in 0..200_000_u32 {
                    if memory.is_newer(&tables) {
                        tables = memory.tables();
                    }
                    // Each thread in its own order, sometimes alongside others and sometimes apart.
                    let i = (i ^ (thread * 0x155)) % 60_000;
                    let (_, hash) = key_and_hash(&name(i));
                    let long = tables
                        .short()
                        .get(Key::NONE, hash, Scalar, &mut [0; KEY_BYTES]);
                    assert_eq!(long, None);
                    match get(&tables, i) {
                        Some(found) => {
                            assert_eq!(found, ids(i), "{}", name(i));
                            met.fetch_add(1, Ordering::Relaxed);
                        }
                        None => put(memory, &tables, i),
                    }
                }
            });
        }
    });
    assert!(met.into_inner() > 400_000);
}

#[test]
fn a_full_memory_begins_anew_within_its_bound() {
    for encoders in [1, 2] {
        let memory = Memory::new().unwrap();
        (0..encoders).for_each(|_| memory.join());
        // Of the short table alone, and of everything.
        let mut restarts = [0, 0];
        let mut tables = memory.tables();
        let count = 5_000_000 * encoders;
        for i in 0..count {
            put(&memory, &tables, i);
            if memory.is_newer(&tables) {
                let next = memory.tables();
                let has_grown = next.short.len() > tables.short.len();
                if !Arc::ptr_eq(&next.arena, &tables.arena) {
                    restarts[1] += 1;
                } else if !Arc::ptr_eq(&next.short, &tables.short) && !has_grown {
                    restarts[0] += 1;
                    assert!(Arc::ptr_eq(&next.long, &tables.long));
                }
                tables = next;
            }
            let [short, long] = [tables.short.len(), tables.long.len()];
            assert!(short <= MAX_SHORT_LINES);
            assert!(long <= max_long_lines(usize::try_from(encoders).unwrap()));
        }
        assert!(restarts.iter().all(|&n| n > 0), "{encoders}: {restarts:?}");
        let last = count - 1000..count;
        assert!(last.filter(|&i| get(&tables, i) == Some(ids(i))).count() > 900);
    }
}
