//! `tokenize` and `run`.

use super::*;

#[test]
fn tokenize_says_what_it_made_and_leaves_it_the_second_time() {
    let place = dataset();
    let files = output_bytes(&place.path("d"));
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["manifest.json", "shard-00000.docs", "shard-00000.u32"]
    );
    let there = "d: 14 tokens, 1 shard, 4 documents from 71 B; was there already, left as it is";
    let again = place.run(TOKENIZE).said(&[there]);
    assert!(again.stdout.is_empty());
    let again = place.run(with(&TOKENIZE, &["--json"])).said(&[there]);
    let manifest: serde_json::Value =
        serde_json::from_slice(&place.read("d/manifest.json")).unwrap();
    assert_eq!(
        again.json(),
        json!({
            "out": "d", "was_there": true, "units_done_before": 0,
            "dataset_id": manifest["dataset_id"],
            "encoding": "gpt2", "kept_fields": {}, "n_vocab": 50257, "sources": 2, "shards": 1, "seconds": 0,
            "inputs": again.json()["inputs"],
            "totals": {
                "documents": 4, "empty_documents": 1, "invalid_sequences": 0,
                "source_bytes": 71, "text_bytes": 34, "tokens": 14,
            },
            "bad_records": {
                "broken_json": 0, "not_an_object": 0, "missing_field": 0, "null_field": 0,
                "not_a_string": 0, "invalid_utf8": 0, "lone_surrogate": 0,
            },
        })
    );
    assert_eq!(output_bytes(&place.path("d")), files);
    assert!(!place.path("d.partial").exists());
}

#[test]
fn the_summary_comes_last_and_skipped_entries_before_it() {
    let place = Place::new();
    place.write("in/a.txt", "Hello world, a story.\n");
    place.write("in/.hidden", "no");
    place.write("in/.git/config", "no");
    std::os::unix::fs::symlink("none.txt", place.path("in/link.txt")).unwrap();
    let made = "d: 8 tokens, 1 shard, 1 document from 22 B in TIME (RATE)";
    place
        .run(["tokenize", "in", "--out", "d"])
        .said(&["left out: 2 hidden entries and 1 dangling link", made]);
}

#[test]
fn other_settings_are_refused_until_overwrite_is_given() {
    let place = dataset();
    let before = output_bytes(&place.path("d"));
    let refused = "d: exists and is not exactly this output; use --overwrite to replace it or choose another --out";
    place
        .run(with(&TOKENIZE, &["--eot", "none"]))
        .failed(1, refused);
    place.write("a.txt", "Hello world, a STORY.\n");
    place.run(TOKENIZE).failed(1, refused);
    assert_eq!(output_bytes(&place.path("d")), before);

    let made = "d: 14 tokens, 1 shard, 4 documents from 71 B in TIME (RATE)";
    place.run(with(&TOKENIZE, &["--overwrite"])).said(&[made]);
    assert_ne!(output_bytes(&place.path("d")), before);
    assert!(!place.path("d.partial").exists());
    place
        .run(["verify", "d"])
        .said(&["d: whole: 14 tokens, 1 shard, 4 documents checked in TIME (RATE)"]);
}

#[test]
fn run_makes_a_dataset_and_its_embeddings() {
    let place = corpus();
    let args = with(&["run", "a.txt", "b.jsonl"], &EMBED[2..]);
    let embeddings = "e/embeddings: embeddings of 6 windows (1 token in none), 2 x 4 f32, 672 B";
    let done = place.run(with(&args, &["--json"])).said(&[
        "e: 14 tokens, 1 shard, 4 documents from 71 B in TIME (RATE)",
        &format!("{embeddings} in TIME (RATE)"),
    ]);
    let said = done.json();
    assert_eq!(said["dataset"]["totals"]["tokens"], 14);
    assert_eq!(said["embeddings"]["out"], "e/embeddings");
    assert_eq!(said["embeddings"]["record"]["shape"], json!([6, 2, 4]));

    let dataset = "e: 14 tokens, 1 shard, 4 documents from 71 B; was there already, left as it is";
    let there = format!("{embeddings}; was there already, left as it is");
    let again = place.run(&args).said(&[dataset, &there]);
    assert!(again.stdout.is_empty());
    place.run(["verify", "e"]).said(&[
        "e: whole: 14 tokens, 1 shard, 4 documents and embeddings of 6 windows checked in TIME \
         (RATE)",
    ]);

    // The dataset is the requested one; the embeddings are not.
    let other = with(&args, &["--dtype", "f16"]);
    place.run(&other).failed(
        1,
        "e/embeddings: exists and is not exactly this output; use --overwrite to replace it or choose \
         another --out",
    );
    place.run(with(&other, &["--overwrite"])).said(&[
        dataset,
        "e/embeddings: embeddings of 6 windows (1 token in none), 2 x 4 f16, 576 B in TIME (RATE)",
    ]);
    let left: Vec<_> = output_bytes(&place.path("e")).into_keys().collect();
    assert_eq!(
        left,
        [
            "embeddings/embed.json",
            "embeddings/embeddings.npy",
            "embeddings/inputs.npy",
            "embeddings/targets.npy",
            "manifest.json",
            "shard-00000.docs",
            "shard-00000.u32",
        ]
    );
}
