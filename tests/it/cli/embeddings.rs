//! `embed`: windows, seeds, orders, standard output.

use super::*;

#[test]
fn embed_says_what_it_made_and_refuses_to_replace_it() {
    let place = dataset();
    let made = "e: embeddings of 6 windows (1 token in none), 2 x 4 f32, 672 B";
    let done = place
        .run(with(&EMBED, &["--json"]))
        .said(&[&format!("{made} in TIME (RATE)")]);
    let said = done.json();
    assert_eq!(
        (&said["was_there"], &said["bytes"]),
        (&json!(false), &json!(672))
    );
    let before = output_bytes(&place.path("e"));
    let again = place
        .run(EMBED)
        .said(&[&format!("{made}; was there already, left as it is")]);
    assert!(again.stdout.is_empty());

    let other = with(&EMBED, &["--shuffle", "7"]);
    place.run(&other).failed(
        1,
        "e: exists and is not exactly this output; use --overwrite to replace it or choose another --out",
    );
    assert_eq!(output_bytes(&place.path("e")), before);
    place
        .run(with(&other, &["--overwrite"]))
        .said(&[&format!("{made} in TIME (RATE)")]);
    assert_ne!(output_bytes(&place.path("e")), before);
    let whole = "e: whole: embeddings of 6 windows checked in TIME (RATE)";
    let done = place.run(["verify", "e", "--json"]).said(&[whole]);
    assert_eq!(done.json()["embeddings"]["windows"], 6);
}

#[test]
fn windows_lie_end_to_end_unless_a_stride_is_given() {
    let place = dataset();
    // 14 tokens: windows at 0, 4 and 8, and the target at 12.
    let tables = ["--seq-len", "4", "--init-seed", "1", "--dim", "2", "--json"];
    let embed =
        |out, more: &[&str]| place.run([&["embed", "d", "--out", out], &tables[..], more].concat());
    let line = "e: embeddings of 3 windows (1 token in none), 4 x 2 f32, 576 B in TIME (RATE)";
    let said = embed("e", &[]).said(&[line]).json();
    assert_eq!(said["record"]["stride"], 4);
    assert_eq!(
        (
            &said["tokens_in_no_window"],
            &said["tokens_in_several_windows"]
        ),
        (&json!(1), &json!(0))
    );
    let line = line.replace(" in TIME (RATE)", "; was there already, left as it is");
    embed("e", &["--stride", "4"]).said(&[&line]);

    for (stride, what, none, several) in [
        // Windows at 0, 2, 4, 6 and 8: all tokens from 2 to 9 are in two of them.
        (
            "2",
            "5 windows (1 token in none, 8 tokens in several)",
            1,
            8,
        ),
        ("3", "4 windows (3 tokens in several)", 0, 3),
        ("6", "2 windows (4 tokens in none)", 4, 0),
    ] {
        let line = format!("{stride}: embeddings of {what}, 4 x 2 f32, ");
        let done = embed(stride, &["--stride", stride]);
        assert!(
            done.stderr.starts_with(&format!("shardmill: {line}")),
            "{done:?}"
        );
        let said = done.json();
        assert_eq!(
            (
                &said["tokens_in_no_window"],
                &said["tokens_in_several_windows"]
            ),
            (&json!(none), &json!(several))
        );
        let info = place.run(["info", "d", "--seq-len", "4", "--stride", stride, "--json"]);
        let said = info.json()["embeddings"].take();
        assert_eq!(
            (
                &said["tokens_in_no_window"],
                &said["tokens_in_several_windows"]
            ),
            (&json!(none), &json!(several))
        );
    }
    let info = place.run(["info", "d", "--seq-len", "4"]);
    assert!(
        info.text()
            .contains("3 windows of 4 tokens (1 token in none), every 4, ")
    );
    // The library has the same default.
    let mut config = shardmill::EmbedConfig::default();
    config.windows.seq_len = 77;
    assert_eq!(config.windows.stride(), 77);
    let mut config = shardmill::LoaderConfig::default();
    config.windows.seq_len = 77;
    assert_eq!(config.windows.stride(), 77);
}

#[test]
fn seeds_below_zero_are_those_of_pytorch() {
    let place = dataset();
    let tables = |seed, out| {
        [
            "embed",
            "d",
            "--out",
            out,
            "--seq-len",
            "2",
            "--dim",
            "4",
            "--init-seed",
            seed,
            "--shuffle",
            seed,
        ]
    };
    assert_eq!(place.run(tables("-1", "e")).code, Some(0));
    // What torch.initial_seed() returns after torch.manual_seed(-1).
    let there = place.run(tables("18446744073709551615", "e"));
    assert!(
        there.stderr.ends_with("was there already, left as it is\n"),
        "{there:?}"
    );
}

#[test]
fn windows_within_documents_say_what_they_leave_out() {
    // Documents of 8, 3, 1 and 2 tokens.
    let place = dataset();
    let documents = with(&EMBED, &["--window", "documents", "--json"]);
    let what = "4 windows within documents (2 documents and 4 tokens in none)";
    let line = format!("e: embeddings of {what}, 2 x 4 f32, 576 B in TIME (RATE)");
    let said = place.run(&documents).said(&[&line]).json();
    let record = &said["record"];
    assert_eq!(
        (&record["window"], &record["tail"], &record["padding"]),
        (&json!("documents"), &json!("drop"), &json!(null))
    );
    assert_eq!(
        record["left_out"],
        json!({"windows": 0, "documents": 2, "tokens": 4})
    );
    let file: serde_json::Value = serde_json::from_slice(&place.read("e/embed.json")).unwrap();
    assert_eq!(file, *record);

    // Other windows or another tail make another output.
    let refused = "e: exists and is not exactly this output; use --overwrite to replace it or choose another --out";
    place.run(EMBED).failed(1, refused);
    place
        .run(with(&documents, &["--tail", "pad"]))
        .failed(1, refused);

    let to_pipe = with(
        &["embed", "d", "--out", "-", "--window", "documents"],
        &EMBED[4..],
    );
    let done = place.run(to_pipe).said(&[&format!(
        "standard output: {what} of 2 x 4 f32 in TIME (RATE)"
    )]);
    let array = place.read("e/embeddings.npy");
    assert_eq!(done.stdout, array[array.len() - 4 * 2 * 4 * 4..]);

    let info = with(&["info", "d", "--window", "documents"], &EMBED[4..8]);
    let done = place.run(&info).said(&[]);
    let last = done.text().lines().last().unwrap().to_owned();
    assert!(
        last.contains("4 windows of 2 tokens within documents (2 documents and 4 tokens in none)"),
        "{last}"
    );
    let said = place.run(with(&info, &["--json"])).said(&[]).json();
    assert_eq!(
        said["embeddings"]["left_out"],
        json!({"documents": 2, "tokens": 4})
    );
}

#[test]
fn padded_windows_keep_the_ends_of_documents() {
    let place = dataset();
    let options = "--window documents --tail pad --drop-last --batch-size 5";
    let args = with(&EMBED, &options.split(' ').collect::<Vec<_>>());
    let said = place.run(with(&args, &["--json"])).said(&[
        "e: embeddings of 5 windows within documents (1 document and 1 token in none, 1 window \
         dropped), 2 x 4 f32, 624 B in TIME (RATE)",
    ]);
    let record = said.json()["record"].take();
    assert_eq!(
        record["padding"],
        json!({"input": 50256, "target": (-100_i32).cast_unsigned()})
    );
    assert_eq!(
        record["left_out"],
        json!({"windows": 1, "documents": 1, "tokens": 1})
    );
    let ids = |name: &str| -> Vec<i32> {
        let array = place.read(format!("e/{name}.npy"));
        let ids = array[array.len() - 5 * 2 * 4..].as_chunks::<4>().0.iter();
        ids.map(|id| i32::from_le_bytes(*id)).collect()
    };
    // "Hello world, a story.\n", "one two"; "three" would be the sixth window.
    let inputs = [15496, 995, 11, 257, 1621, 13, 198, 50256, 505, 734];
    assert_eq!(ids("inputs"), inputs);
    let targets = [995, 11, 257, 1621, 13, 198, 50256, -100, 734, 50256];
    assert_eq!(ids("targets"), targets);
}

#[test]
fn the_keyed_order_needs_no_pytorch_and_says_its_name() {
    let place = dataset();
    let keyed = with(
        &EMBED,
        &["--shuffle", "123", "--shuffle-order", "keyed", "--json"],
    );
    let said = place.run(&keyed).json();
    assert_eq!(
        said["record"]["shuffle"],
        json!({"order": "keyed", "seed": 123, "epoch": 0})
    );
    let sequential = place.run(with(&["embed", "d", "--out", "s"], &EMBED[4..]));
    assert_eq!(sequential.code, Some(0));
    let rows = |name: &str| -> Vec<Vec<u8>> {
        let array = place.read(format!("{name}/inputs.npy"));
        let rows = &array[array.len() - 6 * 2 * 4..];
        rows.chunks(8).map(<[u8]>::to_vec).collect()
    };
    let order = shardmill::window::KeyedPermutation::new(6, 123, 0).unwrap();
    let expected: Vec<_> = (0..6)
        .map(|i| rows("s")[usize::try_from(order.at(i)).unwrap()].clone())
        .collect();
    assert_eq!(rows("e"), expected);
    assert_ne!(rows("e"), rows("s"));
}

#[test]
fn embed_to_standard_output_writes_the_rows_alone() {
    let place = dataset();
    place.write("wte.npy", npy_table(50257, 3));
    for dtype in ["f32", "f16", "bf16"] {
        let embed = |out| {
            place.run([
                "embed",
                "d",
                "--out",
                out,
                "--seq-len",
                "2",
                "--stride",
                "2",
                "--token-table",
                "wte.npy",
                "--position-table",
                "sinusoidal",
                "--dtype",
                dtype,
            ])
        };
        assert_eq!(embed(dtype).code, Some(0));
        let line =
            format!("standard output: 6 windows (1 token in none) of 2 x 3 {dtype} in TIME (RATE)");
        let streamed = embed("-").said(&[&line]).stdout;
        let size = if dtype == "f32" { 4 } else { 2 };
        assert_eq!(streamed.len(), 6 * 2 * 3 * size);
        let array = place.read(format!("{dtype}/embeddings.npy"));
        assert_eq!(streamed, array[array.len() - streamed.len()..]);
        assert_eq!((array.len() - streamed.len()) % 64, 0, "a .npy header");
    }
}
