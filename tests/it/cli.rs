//! What a user sees: every command, its standard output, its lines on standard error, its exit code.

use crate::support;

use std::fs;
use std::process::Stdio;

use serde_json::json;

use support::{Done, Place, fixture, npy_table, output_bytes, run_to_full_disk, spawn};

const COMMANDS: [&str; 11] = [
    "run",
    "tokenize",
    "embed",
    "plan",
    "status",
    "finish",
    "info",
    "verify",
    "decode",
    "positions",
    "bench",
];

/// Four documents: one file of text, three lines of JSON, the second of them empty.
fn corpus() -> Place {
    let place = Place::new();
    place.write("a.txt", "Hello world, a story.\n");
    place.write(
        "b.jsonl",
        "{\"text\":\"one two\"}\n\n{\"text\":\"\"}\n{\"text\":\"three\"}\n",
    );
    place
}

const TOKENIZE: [&str; 5] = ["tokenize", "a.txt", "b.jsonl", "--out", "d"];
const MADE: &str = "d: 14 tokens, 1 shard, 4 documents from 71 B in TIME (RATE)";
const EMBED: [&str; 12] = [
    "embed",
    "d",
    "--out",
    "e",
    "--seq-len",
    "2",
    "--stride",
    "2",
    "--init-seed",
    "1",
    "--dim",
    "4",
];

/// The corpus with its dataset in `d`.
fn dataset() -> Place {
    let place = corpus();
    place.run(TOKENIZE).said(&[MADE]);
    place
}

/// Arguments with more behind them.
fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

#[test]
fn help_is_as_it_was() {
    let place = Place::new();
    for command in std::iter::once(None).chain(COMMANDS.map(Some)) {
        let args = command.into_iter().chain(["--help"]);
        let done = place.run(args.clone()).said(&[]);
        insta::assert_snapshot!(format!("help-{}", command.unwrap_or("all")), done.text());
        let mut wide = place.command(args);
        let wide = Done::new(wide.env("COLUMNS", "400").output().unwrap());
        assert_eq!(
            wide.text(),
            done.text(),
            "help depends on a wide terminal's width"
        );
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let done = Place::new().run(["--version"]).said(&[]);
    assert_eq!(
        done.text(),
        concat!("shardmill ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn no_arguments_at_all_show_the_help_and_are_a_usage_error() {
    let place = Place::new();
    let done = place.run([""; 0]);
    assert_eq!((done.code, done.text()), (Some(2), ""));
    assert_eq!(done.stderr, place.run(["--help"]).text());
}

/// Arguments and what is said of them.
const USAGE_ERRORS: &[(&[&str], &str)] = &[
    (&["mill"], "unrecognized subcommand 'mill'; see --help"),
    (
        &["tokenize", "--out", "x"],
        "the following required arguments were not provided: <INPUT>...; see --help",
    ),
    (
        &["tokenize", "a.txt"],
        "the following required arguments were not provided: --out <DIR>; see --help",
    ),
    (
        &["tokenize", "a.txt", "--out", "x", "--eot", "sometimes"],
        "invalid value 'sometimes' for '--eot <EOT>' [possible values: after, before, none]; see \
             --help",
    ),
    (
        &["tokenize", "a.txt", "--out", "x", "--unit-size", "1.5GX"],
        "invalid value '1.5GX' for '--unit-size <SIZE>': a size is a number with a unit such as \
             kB, MiB or GB, or bytes; see --help",
    ),
    (
        &["tokenize", "a.txt", "--out", "x", "--unit-size", "1.5B"],
        "invalid value '1.5B' for '--unit-size <SIZE>': is not a whole number of bytes; see --help",
    ),
    (
        &["embed", "d", "--out", "x", "--init-seed", "1.5"],
        "invalid value '1.5' for '--init-seed <SEED>': a seed is a whole number from -2^63 to \
             2^64 - 1, as PyTorch takes it; see --help",
    ),
    (
        &["tokenize", "a.txt", "--out", "x", "--threads", "-1"],
        "unexpected argument '-1' found; tip: to pass '-1' as a value, use '-- -1'; see --help",
    ),
    (
        &["tokenize", "a.txt", "--out", "x", "--threads", "0"],
        "--threads: must be from 1 to 1024",
    ),
    (
        &["tokenize", "a.txt", "--out", "x", "--unit-size", "0"],
        "--unit-size: must be at least 1 byte",
    ),
    (
        &["tokenize", "-", "-", "--out", "x"],
        "INPUT: '-' is given twice; standard input can be read once",
    ),
    (
        &["tokenize", "a.txt", "--out", "-"],
        "--out: a dataset is a directory and cannot go to standard output; name one, or ./- \
             for one of this name",
    ),
    (
        &["tokenize", "a.txt", "--out", "x", "--encoding", "gpt5"],
        "unknown encoding 'gpt5'; known are gpt2, r50k_base, p50k_base, p50k_edit, \
             cl100k_base, o200k_base, o200k_harmony",
    ),
    (
        &[
            "tokenize",
            "a.txt",
            "--out",
            "x",
            "--encoding",
            "cl100k_base",
            "--token-dtype",
            "u16",
        ],
        "--token-dtype: cl100k_base has 100277 ids, which do not fit u16; use u32",
    ),
    (
        &["embed", "d", "--out", "x"],
        "--token-table: is needed; give a file, or --init-seed and --dim to draw one",
    ),
    (
        &["embed", "d", "--out", "x", "--init-seed", "1"],
        "--dim: is needed with --init-seed: how many columns the tables have",
    ),
    (
        &[
            "embed",
            "d",
            "--out",
            "-",
            "--json",
            "--init-seed",
            "1",
            "--dim",
            "2",
        ],
        "--json: and --out - both write to standard output; leave one out",
    ),
    (
        &[
            "embed",
            "d",
            "--out",
            "x",
            "--init-seed",
            "1",
            "--dim",
            "2",
            "--shuffle-order",
            "keyed",
        ],
        "the following required arguments were not provided: --shuffle <SEED>; see --help",
    ),
    (
        &[
            "embed",
            "d",
            "--out",
            "x",
            "--init-seed",
            "1",
            "--dim",
            "2",
            "--tail",
            "pad",
        ],
        "--tail: pad needs --window documents; a stream has one tail, which is left out",
    ),
    (
        &["info", "d", "--tail", "pad"],
        "--tail: pad needs --window documents; a stream has one tail, which is left out",
    ),
    (
        &["decode", "d", "--tokens", "3"],
        "invalid value '3' for '--tokens <FIRST..END>': a range is FIRST..END, such as 0..10; \
             see --help",
    ),
    (
        &["decode", "d", "--tokens", "0..15"],
        "--tokens: 15 is beyond the 14 tokens that there are",
    ),
    (
        &["decode", "d", "--documents", "0..5"],
        "--documents: 5 is beyond the 4 documents that there are",
    ),
    (
        &["decode", "d", "--document", "4"],
        "--document: there are 4 documents, counted from 0",
    ),
    (
        &["info", "d", "--seq-len", "0"],
        "--seq-len: must be at least 1",
    ),
];

#[test]
fn usage_errors_are_one_line_and_exit_2() {
    let place = dataset();
    for &(args, line) in USAGE_ERRORS {
        place.run(args).failed(2, line);
        assert!(!place.path("x").exists(), "{args:?}");
    }
}

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
            "encoding": "gpt2", "n_vocab": 50257, "sources": 2, "shards": 1, "seconds": 0,
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

    // The dataset is as asked for, the embeddings are not.
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
    config.seq_len = 77;
    assert_eq!(config.stride(), 77);
    let mut config = shardmill::LoaderConfig::default();
    config.seq_len = 77;
    assert_eq!(config.stride(), 77);
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
    // What torch.initial_seed() says after torch.manual_seed(-1).
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

    // Another kind of window, tail or order is another output.
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
    // "Hello world, a story.\n", "one two"; "three" would be the sixth.
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
    // Both write more than a pipe holds, so they find it closed whenever that is.
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

    // What was made stays made.
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
