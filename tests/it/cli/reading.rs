//! `info`, `verify` and `decode`, and what happens if their output is closed or full.

use super::*;

#[test]
fn info_gives_the_numbers() {
    let place = dataset();
    let info = ["info", "d", "--seq-len", "4", "--stride", "3", "--dim", "5"];
    let done = place.run(info).said(&[]);
    insta::assert_snapshot!("info", done.text());

    let said = place
        .run(with(&info, &["--json", "--dtype", "bf16"]))
        .said(&[])
        .json();
    // Windows start at 0, 3, 6 and 9: the fifth would need token 16 of 14.
    assert_eq!(
        said["embeddings"],
        json!({
            "windows": 4, "shape": [4, 4, 5], "stride": 3, "dtype": "bf16", "bytes": 160,
            "window": "stream", "tail": null, "left_out": null,
            "tokens_in_no_window": 0, "tokens_in_several_windows": 3,
        })
    );
    let manifest: serde_json::Value =
        serde_json::from_slice(&place.read("d/manifest.json")).unwrap();
    assert_eq!(said["manifest"], manifest);
}

#[test]
fn verify_says_what_it_checked() {
    let place = dataset();
    let line = "d: whole: 14 tokens, 1 shard, 4 documents checked in TIME (RATE)";
    assert!(place.run(["verify", "d"]).said(&[line]).stdout.is_empty());
    let mut said = place.run(["verify", "d", "--json"]).said(&[line]).json();
    let id = said["dataset"]["dataset_id"].take();
    assert_eq!(id.as_str().map(str::len), Some(32));
    assert_eq!(
        said,
        json!({
            "is_whole": true, "embeddings": null, "seconds": 0,
            "dataset": {
                "bytes": 184, "dataset_id": null, "documents": 4, "shards": 1, "tokens": 14,
            },
        })
    );
}

#[test]
fn decode_gives_the_text_back() {
    let place = dataset();
    for (args, text) in [
        (&[][..], "Hello world, a story.\none twothree"),
        (&["--document", "1"], "one two"),
        (&["--document", "2"], ""),
        (&["--documents", "0..2"], "Hello world, a story.\none two"),
        (&["--documents", "2..2"], ""),
        (&["--tokens", "1..4"], " world, a"),
        (&["--tokens", "14..14"], ""),
        (
            &["--keep-special"],
            "Hello world, a story.\n<|endoftext|>one two<|endoftext|><|endoftext|>three\
             <|endoftext|>",
        ),
        (&["--document", "2", "--keep-special"], "<|endoftext|>"),
    ] {
        let done = place.run(with(&["decode", "d"], args)).said(&[]);
        assert_eq!(done.text(), text, "{args:?}");
    }
    let done = place.run(["decode", "d", "--documents", "1..3", "--json"]);
    assert_eq!(
        done.said(&[]).json(),
        json!({"tokens": {"start": 8, "end": 12}, "bytes": 7, "text": "one two"})
    );
}

#[test]
fn decode_leaves_end_of_text_out_wherever_it_stands() {
    for eot in ["before", "none"] {
        let place = corpus();
        let made = place.run(with(&TOKENIZE, &["--eot", eot]));
        assert_eq!(made.code, Some(0), "{made:?}");
        let done = place.run(["decode", "d"]).said(&[]);
        assert_eq!(done.text(), "Hello world, a story.\none twothree", "{eot}");
        let done = place.run(["decode", "d", "--document", "3"]).said(&[]);
        assert_eq!(done.text(), "three", "{eot}");
    }
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let place = Place::new();
    let text = fixture("text/tinyshakespeare.txt");
    let made = place.run([
        "tokenize".as_ref(),
        text.as_os_str(),
        "--out".as_ref(),
        "d".as_ref(),
    ]);
    assert_eq!(made.code, Some(0), "{made:?}");
    // Both write more than a pipe holds, so they notice that it is closed, whenever it is.
    for args in [
        &["decode", "d"][..],
        &["embed", "d", "--out", "-", "--init-seed", "1", "--dim", "8"],
    ] {
        let mut child = spawn(&mut place.command(args));
        drop(child.stdout.take());
        let done = Done::new(child.wait_with_output().unwrap());
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn a_full_standard_output_is_an_error_and_no_panic() {
    let place = dataset();
    let line = "standard output: No space left on device (os error 28)";
    for args in [
        &["info", "d"][..],
        &["info", "d", "--json"],
        &["verify", "d", "--json"],
        &["decode", "d"],
        &["decode", "d", "--json"],
        &["--help"],
        &["--version"],
    ] {
        run_to_full_disk(&mut place.command(args)).failed(3, line);
    }
    let rows = with(&["embed", "d", "--out", "-"], &EMBED[4..]);
    run_to_full_disk(&mut place.command(rows)).failed(
        3,
        "standard output: cannot write: No space left on device (os error 28)",
    );

    // The dataset that was made stays.
    let args = ["tokenize", "a.txt", "--out", "f", "--json"];
    run_to_full_disk(&mut place.command(args)).failed(3, line);
    assert_eq!(place.run(["verify", "f"]).code, Some(0));
}

#[test]
fn work_is_done_where_nobody_listens() {
    let place = corpus();
    let mut command = place.command(TOKENIZE);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = command.stdout(Stdio::null()).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(place.run(["verify", "d"]).code, Some(0));
}
