//! For any single flipped bit in any file of an output, `verify` names the file and the block, and
//! no reader panics.

use crate::checks;
use crate::support;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use checks::readers::read_all;
use shardmill::{Error, Stats, Tokenizer, verify, verify_embeddings};
use support::{Place, output_bytes};

/// Flips each bit of every file of the output `dir` once; `check` gets the file's name and what it
/// must find damaged.
fn each_flipped_bit(dir: &Path, files: &[(String, Vec<u8>)], check: impl Fn(&str, &str)) {
    for (name, bytes) in files {
        let path = dir.join(name);
        let file = File::options().write(true).open(&path).unwrap();
        for (at, &byte) in (0..).zip(bytes) {
            for bit in 0..8 {
                file.write_all_at(&[byte ^ 1 << bit], at).unwrap();
                check(name, &format!("{name}: bit {bit} of byte {at}"));
            }
            file.write_all_at(&[byte], at).unwrap();
        }
        assert!(fs::read(&path).unwrap() == *bytes, "{name} was put back");
    }
}

/// Whether a file is JSON, and not hashed in blocks.
fn is_record(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "json")
}

/// Checks that `error` is about the file `name` in `dir`, and about its block if it has blocks.
fn is_placed(error: &Error, dir: &Path, name: &str, what: &str) {
    let error = error.to_string();
    let start = format!("{}: ", dir.join(name).display());
    assert!(error.starts_with(&start), "{what}: {error}");
    if !is_record(name) {
        let block = "damaged in the 16 MiB block 0, from byte 0";
        assert_eq!(error[start.len()..], *block, "{what}");
    }
}

/// A place with a dataset of three shards in `d` and its embeddings in `d/embeddings`.
fn place() -> Place {
    let place = Place::new();
    // Names that the manifest has to escape, in JSON and for bytes that are not UTF-8.
    place.write("in/a\u{1b}\"é.txt", "Hello world, a story of one.");
    place.write("in/b.jsonl", "{\"text\":\"one\"}\n{\"text\":\"\"}\n");
    let args = "run in --out d --unit-size 20 --seq-len 4 --stride 4 --init-seed 1 --dim 2 \
                --position-table rope --rope-base 1e16";
    let done = place.run(args.split_whitespace());
    assert_eq!(done.code, Some(0), "{done:?}");
    place
}

#[test]
fn each_flipped_bit_of_a_dataset_is_found_and_placed() {
    let place = place();
    let dir = place.path("d");
    let files: Vec<_> = output_bytes(&dir)
        .into_iter()
        .filter(|(name, _)| !name.contains('/'))
        .collect();
    let kinds = [".u32", ".docs", "manifest.json"].map(|kind| {
        let names = files.iter().map(|(name, _)| name);
        names.filter(|name| name.ends_with(kind)).count()
    });
    assert_eq!((kinds, files.len()), ([3, 3, 1], 7));
    let encoding = Tokenizer::by_name("gpt2").unwrap();
    each_flipped_bit(&dir, &files, |name, what| {
        let found = verify(&dir, &Stats::default());
        is_placed(&found.expect_err(what), &dir, name, what);
        // No reader gets past a changed manifest.
        if !is_record(name) {
            read_all(&dir, &encoding);
        }
    });
    verify(&dir, &Stats::default()).unwrap();
}

#[test]
fn each_flipped_bit_of_embeddings_is_found_and_placed() {
    let place = place();
    let dir = place.path("d/embeddings");
    let files: Vec<_> = output_bytes(&dir).into_iter().collect();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["embed.json", "embeddings.npy", "inputs.npy", "targets.npy"]
    );
    each_flipped_bit(&dir, &files, |name, what| {
        let found = verify_embeddings(&dir, &Stats::default());
        is_placed(&found.expect_err(what), &dir, name, what);
    });
    verify_embeddings(&dir, &Stats::default()).unwrap();
}

/// Flips a bit of a file and asks the program.
#[track_caller]
fn block_is_named(place: &Place, file: &str, at: u64, block: u64) {
    let path = place.path(file);
    let open = File::options().read(true).write(true).open(&path).unwrap();
    let mut byte = [0];
    open.read_exact_at(&mut byte, at).unwrap();
    open.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    let from = block << 24;
    let line = format!("{file}: damaged in the 16 MiB block {block}, from byte {from}");
    place.run(["verify", "d"]).failed(5, &line);
    open.write_all_at(&byte, at).unwrap();
}

#[test]
fn the_block_is_named_in_files_that_have_several() {
    let place = Place::new();
    // A token of 4 bytes for each " a", a record of 32 for each line.
    place.write("in/a.txt", " a".repeat((16 << 18) + 99));
    place.write("in/b.jsonl", "{\"text\":\"\"}\n".repeat((16 << 15) + 9));
    let args = "run in --out d --seq-len 8192 --stride 8192 --init-seed 1 --dim 1 \
                --durability none --position-table none";
    let done = place.run(args.split_whitespace());
    assert_eq!(done.code, Some(0), "{done:?}");
    let files = output_bytes(&place.path("d"));
    for name in [
        "shard-00000.u32",
        "shard-00000.docs",
        "embeddings/embeddings.npy",
        "embeddings/inputs.npy",
    ] {
        let last = files[name].len() as u64 - 1;
        assert_eq!(last >> 24, 1, "{name}");
        let name = format!("d/{name}");
        block_is_named(&place, &name, (1 << 24) - 1, 0);
        block_is_named(&place, &name, 1 << 24, 1);
        block_is_named(&place, &name, last, 1);
    }
    assert_eq!(place.run(["verify", "d"]).code, Some(0));
}
