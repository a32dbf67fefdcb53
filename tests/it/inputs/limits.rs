//! Documents that are left out for their size.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::common_dataset::text;
use crate::inputs::split::{documents, texts_in, write_all};
use crate::support::{Place, output_bytes};

const MAX_BYTES: usize = 200_000;
const MIN_TOKENS: usize = 20;
const MAX_TOKENS: usize = 30_000;
const LIMITS: [&str; 6] = [
    "--max-document-bytes",
    "200kB",
    "--min-tokens",
    "20",
    "--max-tokens",
    "30000",
];

fn n_tokens(text: &str) -> usize {
    tiktoken_rs::r50k_base_singleton()
        .encode_ordinary(text)
        .len()
}

/// The documents inside the limits, with how often each is there, and how many are outside.
fn expected(documents: &[String]) -> (BTreeMap<String, u32>, Value) {
    let mut inside = BTreeMap::new();
    let (mut longer, mut fewer, mut more) = (0, 0, 0);
    for document in documents {
        match n_tokens(document) {
            _ if document.len() > MAX_BYTES => longer += 1,
            tokens if tokens < MIN_TOKENS => fewer += 1,
            tokens if tokens > MAX_TOKENS => more += 1,
            _ => *inside.entry(document.clone()).or_default() += 1,
        }
    }
    assert!(longer > 0 && fewer > 0 && more > 0 && inside.len() > 100);
    let outside = json!({"max_document_bytes": longer, "min_tokens": fewer, "max_tokens": more});
    (inside, outside)
}

fn manifest(place: &Place, out: &str) -> Value {
    serde_json::from_slice(&place.read(format!("{out}/manifest.json"))).unwrap()
}

#[test]
fn documents_outside_the_limits_are_counted_however_they_are_stored() {
    let place = Place::new();
    let mut documents = documents();
    // Longer than a chunk, and of few tokens.
    documents.push(text("udhr.txt").repeat(3));
    documents.push(" ".repeat(3 << 20));
    let (inside, outside) = expected(&documents);
    for input in write_all(&place, &documents) {
        let mut first = None;
        for (unit, threads) in [("64MiB", "1"), ("10kB", "1"), ("10kB", "3")] {
            let args = ["tokenize", input, "--out", "out", "--overwrite"];
            let how = ["--unit-size", unit, "--threads", threads];
            let done = place.run([&args[..], &LIMITS, &how].concat());
            assert_eq!(done.code, Some(0), "{done:?}");
            assert!(done.stderr.contains("outside of the limits"), "{done:?}");
            assert!(texts_in(&place, "out") == inside, "{input} {unit}");
            let manifest = manifest(&place, "out");
            let totals = &manifest["totals"];
            assert_eq!(totals["outside_limits"], outside, "{input} {unit}");
            let shards = manifest["shards"].as_array().unwrap();
            let counts = shards
                .iter()
                .filter_map(|shard| shard["outside_limits"]["min_tokens"].as_u64());
            assert_eq!(json!(counts.sum::<u64>()), outside["min_tokens"]);
            let verified = place.run(["verify", "out", "--inputs", input]);
            assert_eq!(verified.code, Some(0), "{verified:?}");
            if unit == "10kB" {
                let files = output_bytes(&place.path("out"));
                let first = first.get_or_insert_with(|| files.clone());
                assert!(*first == files, "{input}");
            }
        }
    }
    let info = place.run(["info", "out"]);
    let line = format!(
        "{} documents of fewer tokens than 20",
        outside["min_tokens"].as_u64().unwrap()
    );
    let info = String::from_utf8(info.stdout).unwrap();
    assert!(info.contains(&line), "{info}");
}

#[test]
fn units_and_sides_and_streams_have_the_same_documents() {
    let place = Place::new();
    let documents = documents();
    let (inside, _) = expected(&documents);
    write_all(&place, &documents);

    let place_of = ["tokenize", "lines", "--unit-size", "10kB"];
    let whole = [&place_of[..], &["--out", "whole"], &LIMITS].concat();
    assert_eq!(place.run(whole).code, Some(0));
    for share in ["0/2", "1/2"] {
        let shared = ["--out", "shared", "--units", share];
        let done = place.run([&place_of[..], &shared, &LIMITS].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    assert_eq!(place.run(["finish", "shared"]).code, Some(0));
    let files = |out: &str| output_bytes(&place.path(out));
    assert!(files("whole") == files("shared"));

    // An end-of-text token does not count, and documents of the other side are not counted twice.
    let sides = ["train", "validation"].map(|side| {
        let split = ["--out", side, "--validation", "30%", "--side", side];
        let done = place.run([&place_of[..], &split, &LIMITS].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        let totals = manifest(&place, side)["totals"].clone();
        let outside = totals["outside_limits"].as_object().unwrap();
        let outside = outside.values().map(|count| count.as_u64().unwrap());
        let count = |name: &str| totals[name].as_u64().unwrap();
        let kept = count("documents");
        let total = kept + count("other_side") + outside.sum::<u64>();
        assert_eq!(total, documents.len() as u64);
        kept
    });
    let n_inside = inside.values().sum::<u32>();
    assert_eq!(sides[0] + sides[1], u64::from(n_inside));

    // A text that cannot be cut is one unit, also where it comes from a stream.
    let long = text("udhr.txt").repeat(4);
    let args = ["tokenize", "-", "--unit-size", "100kB", "--out", "stream"];
    let done = place.run_with(
        [&args[..], &["--min-tokens", "5"]].concat(),
        long.as_bytes(),
    );
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        manifest(&place, "stream")["shards"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(texts_in(&place, "stream"), BTreeMap::from([(long, 1)]));
}

#[test]
fn other_limits_are_another_dataset_and_impossible_ones_are_refused() {
    let place = Place::new();
    place.write("a.txt", "one two three");
    let make =
        |limits: &[&str]| place.run([&["tokenize", "a.txt", "--out", "out"][..], limits].concat());
    let done = make(&["--min-tokens", "3"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(make(&["--min-tokens", "3"]).code, Some(0));
    assert_eq!(make(&["--min-tokens", "4"]).code, Some(1));
    let done = make(&["--min-tokens", "4", "--overwrite"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(manifest(&place, "out")["totals"]["documents"], 0);
    assert_eq!(manifest(&place, "out")["totals"]["tokens"], 0);

    for bad in ["-1", "1.5", "many", "18446744073709551616"] {
        let refused = make(&["--min-tokens", bad]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        let message = "it must be a whole number from 0 to 2^64 - 1";
        assert!(refused.stderr.contains(message), "{refused:?}");
    }
    let refused = make(&["--min-tokens", "5", "--max-tokens", "4"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let message = "--min-tokens: 5 is more than --max-tokens, 4";
    assert!(refused.stderr.contains(message), "{refused:?}");
}

#[test]
fn a_plan_estimates_the_documents_inside_the_limits() {
    let place = Place::new();
    for index in 0..2000 {
        let words = if index % 4 == 0 { 3 } else { 4000 };
        place.write(format!("in/{index:04}.txt"), "word ".repeat(words));
    }
    let planned = place.run(["plan", "in", "--min-tokens", "100", "--json"]);
    let plan: Value = serde_json::from_slice(&planned.stdout).unwrap();
    let documents = plan["estimate"]["documents"].as_u64().unwrap();
    assert!((1400..=1600).contains(&documents), "{documents}");
}
