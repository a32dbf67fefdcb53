//! Wrong arguments.

use super::*;

/// Arguments, and the error that they cause.
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
        "unexpected argument '-1' found; see --help",
    ),
    (
        &["tokenize", "a", "--out", "x", "--include", ""],
        "invalid value '' for '--include <PATTERN>': it is empty; see --help",
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
        "unknown tokenizer 'gpt5'; known are gpt2, r50k_base, p50k_base, p50k_edit, \
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
        "--document: the dataset has 4 documents, counted from 0",
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
