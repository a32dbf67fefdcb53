//! Lists of bad records that were damaged or forged.

use std::fs;

use shardmill::{Hash128, Manifest, Stats, TokenStore, verify};

use super::{manifest, tokenize};
use crate::compressed::gzip;
use crate::support::{Place, output_bytes};

/// A dataset of several shards with bad records and replaced sequences, in `d`.
fn with_replaced() -> (Place, Vec<&'static str>) {
    let place = Place::new();
    let lines: [&[u8]; 8] = [
        b"{\"text\":\"\xff\\ud800 a\"}",
        b"{\"text\":7,\"a\":\"\xff\"}",
        b"{\"text\":\"b\"}",
        b"{\"text\":\"\xff\xff\", \"a\":\"\xff\"}",
        b"{\"text\":\"\\udc00\",\"text\":\"c\"}",
        b"{\"text\":\"\xff",
        b"{\"a\":NaN,\"text\":\"\\udc00\\ud800\"}",
        b"",
    ];
    place.write("in/a.jsonl", lines.join(&b'\n'));
    place.write("in/b.txt", b"\xff!");
    let more = ["--invalid-utf8", "replace", "--unit-size", "30"];
    let args = tokenize("in", "d", &more);
    let done = place.run(&args);
    assert!(
        done.stderr
            .contains("8 sequences of invalid UTF-8, 2 bad records (1 "),
        "{done:?}"
    );
    (place, args)
}

#[test]
fn verify_finds_each_flipped_bit_of_a_list_and_repair_makes_it_again() {
    let (place, args) = with_replaced();
    let dir = place.path("d");
    let files = output_bytes(&dir);
    let lists: Vec<_> = files
        .keys()
        .filter(|name| name.ends_with(".bad.jsonl"))
        .collect();
    assert_eq!(lists.len(), 2, "{files:?}");
    let repair = [&args[..], &["--repair"]].concat();
    for name in lists {
        let path = dir.join(name);
        let bytes = &files[name];
        let damaged = |what: &str| {
            let error = verify(&dir, &Stats::default()).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{}: ", path.display())),
                "{what}: {error}"
            );
        };
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                fs::write(&path, flipped).unwrap();
                damaged(&format!("bit {bit} of byte {at}"));
            }
        }
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        damaged("short");
        assert_eq!(place.run(["verify", "d"]).code, Some(5));
        fs::remove_file(&path).unwrap();
        damaged("missing");
        let refused = place.run(&args);
        assert!(
            refused.stderr.contains("use `tokenize --repair`"),
            "{refused:?}"
        );
        let done = place.run(&repair);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(output_bytes(&dir) == files);
    }
    // Damage a shard without a list: those with one are reused, with their counts.
    fs::write(dir.join("shard-00000.u32"), "").unwrap();
    let done = place.run(&repair);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains(" done before)"), "{done:?}");
    assert!(output_bytes(&dir) == files);
}

#[test]
fn a_list_that_does_not_fit_its_manifest_is_found_though_its_hash_holds() {
    let (place, _) = with_replaced();
    let dir = place.path("d");
    let original = manifest(&place, "d");
    let shard = original
        .shards
        .iter()
        .position(|shard| shard.bad_records.is_some());
    let shard = shard.unwrap();
    let name = &original.shards[shard].bad_records.as_ref().unwrap().file;
    let list = String::from_utf8(place.read(format!("d/{name}"))).unwrap();
    let forge = |manifest: &mut Manifest| {
        manifest.dataset_id = manifest.computed_id();
        let text = serde_json::to_string_pretty(&manifest).unwrap() + "\n";
        place.write("d/manifest.json", text);
    };
    for (from, to, what) in [
        ("not_a_string", "null_field", "lists other kinds of records"),
        ("\"source\":0", "\"source\":9", "lies in no source"),
        (
            "\"source\":0",
            "\"source\":1",
            "calls its source by another name",
        ),
        (
            "\"name\":\"",
            "\"name\":\"x",
            "calls its source by another name",
        ),
        (
            "\"byte_start\":",
            "\"byte_start\":9",
            "lies outside of the shard's unit",
        ),
        (
            "\"byte_len\":",
            "\"byte_len\":18446744073709551",
            "lies outside of the shard's unit",
        ),
        ("\"kind\"", "\"king\"", "is no record"),
        ("\n", "", "is no record"),
    ] {
        let forged = list.replacen(from, to, 1);
        assert_ne!(forged, list, "{from}");
        place.write(format!("d/{name}"), &forged);
        let mut manifest = original.clone();
        let bad = manifest.shards[shard].bad_records.as_mut().unwrap();
        bad.bytes = forged.len() as u64;
        bad.blocks = vec![Hash128::of(forged.as_bytes())];
        forge(&mut manifest);
        let error = verify(&dir, &Stats::default()).unwrap_err().to_string();
        assert!(error.contains(what), "{from}: {error}");
    }
    place.write(format!("d/{name}"), &list);
    for name in [
        "../a.bad.jsonl",
        "shard-00000.u32",
        "shard-99999.bad.jsonl",
        "",
    ] {
        let mut manifest = original.clone();
        let bad = manifest.shards[shard].bad_records.as_mut().unwrap();
        name.clone_into(&mut bad.file);
        forge(&mut manifest);
        let error = TokenStore::open(&dir).unwrap_err().to_string();
        assert!(
            error.contains("does not call the list of bad records"),
            "{error}"
        );
    }
    let mut manifest = original.clone();
    manifest.totals.bad_records.broken_json += 1;
    forge(&mut manifest);
    let error = verify(&dir, &Stats::default()).unwrap_err().to_string();
    assert!(error.contains("its totals are not the sums"), "{error}");
}

#[test]
fn the_list_of_a_compressed_source_may_have_places_beyond_its_stored_bytes() {
    let place = Place::new();
    let lines = "{\"text\":\"word\"}\n{\"text\":null}\n".repeat(500);
    place.write("a.jsonl.gz", gzip(&[lines.as_bytes()]));
    assert!(place.read("a.jsonl.gz").len() < lines.len() / 2);
    let done = place.run([
        "tokenize",
        "a.jsonl.gz",
        "--out",
        "d",
        "--bad-records",
        "skip",
    ]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let done = place.run(["verify", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
}
