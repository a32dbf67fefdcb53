//! `shardmill positions` as a user sees it.

use crate::support;

use std::fs;

use serde_json::json;

use support::Place;

const T5: [&str; 7] = [
    "positions",
    "--kind",
    "t5",
    "--seq-len",
    "4",
    "--out",
    "t5.npy",
];
const MADE: &str = "t5.npy: t5 positions, 4 x 4 i32, 192 B";

/// `positions` with these options.
fn positions(options: &str) -> Vec<&str> {
    ["positions"]
        .into_iter()
        .chain(options.split(' '))
        .collect()
}

#[test]
fn a_file_is_made_once_and_left_the_second_time() {
    let place = Place::new();
    place.run(T5).said(&[&format!("{MADE} in TIME (RATE)")]);
    let made = fs::metadata(place.path("t5.npy")).unwrap().modified();
    place
        .run(T5)
        .said(&[&format!("{MADE}; was there already, left as it is")]);
    assert_eq!(
        fs::metadata(place.path("t5.npy"))
            .unwrap()
            .modified()
            .unwrap(),
        made.unwrap()
    );
    assert_eq!(place.tree(), ["t5.npy"]);
}

#[test]
fn other_bytes_are_kept_until_overwrite_is_given() {
    let place = Place::new();
    place.run(T5);
    let whole = place.read("t5.npy");
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    for other in [changed, b"years of work".to_vec()] {
        place.write("t5.npy", &other);
        place.run(T5).failed(
            1,
            "t5.npy: exists and holds something else; use --overwrite or another --out",
        );
        assert_eq!(place.read("t5.npy"), other);
        place
            .run(T5.into_iter().chain(["--overwrite"]))
            .said(&[&format!("{MADE} in TIME (RATE)")]);
        assert_eq!(place.read("t5.npy"), whole);
    }
    fs::create_dir(place.path("d.npy")).unwrap();
    place
        .run(positions("--kind t5 --seq-len 4 --overwrite --out d.npy"))
        .failed(1, "d.npy: exists and is not a file; choose another --out");
}

#[test]
fn the_json_says_what_the_array_is() {
    let place = Place::new();
    let done = place.run(positions(
        "--kind alibi --heads 2 --query-len 1 --key-len 3 --out new/alibi.npy --json",
    ));
    assert_eq!(
        done.json(),
        json!({
            "out": "new/alibi.npy",
            "was_there": false,
            "kind": "alibi",
            "shape": [2, 1, 3],
            "dtype": "f32",
            "bytes": 152,
            "seconds": 0,
            "slopes": [0.0625, 0.003_906_25],
        })
    );
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 3), }";
    assert_eq!(
        &place.read("new/alibi.npy")[10..][..header.len()],
        header.as_bytes()
    );
}

#[test]
fn what_is_missing_or_of_no_use_is_said() {
    let place = Place::new();
    for (options, code, line) in [
        (
            "--kind rope --dim 8 --out a.npy",
            2,
            "--seq-len: is needed with --kind rope",
        ),
        (
            "--kind rope --seq-len 8 --out a.npy",
            2,
            "--dim: is needed with --kind rope",
        ),
        (
            "--kind shaw --query-len 8 --clip-distance 2 --out a.npy",
            2,
            "--key-len: is needed with --kind shaw; or --seq-len for both",
        ),
        (
            "--kind alibi --seq-len 8 --out a.npy",
            2,
            "--heads: is needed with --kind alibi",
        ),
        (
            "--kind shaw --seq-len 8 --out a.npy",
            2,
            "--clip-distance: is needed with --kind shaw",
        ),
        (
            "--kind t5 --seq-len 8 --base 7 --out a.npy",
            2,
            "--base: goes with --kind rope or sinusoidal, not t5",
        ),
        (
            "--kind sinusoidal --seq-len 8 --dim 2 --bidirectional --out a.npy",
            2,
            "--bidirectional: goes with --kind t5 or alibi, not sinusoidal",
        ),
        (
            "--kind t5 --seq-len 8 --query-len 2 --key-len 3 --out a.npy",
            2,
            "--seq-len: has no effect with both --query-len and --key-len; leave it out",
        ),
        (
            "--kind t5 --seq-len 0 --out a.npy",
            2,
            "--query-len: must be at least 1",
        ),
        (
            "--kind rope --seq-len 8 --dim 7 --out a.npy",
            2,
            "--dim: is 7; rotary positions turn pairs of columns, so it is even",
        ),
        (
            "--kind t5 --seq-len 8 --out -",
            1,
            "-: is not a name that ends in .npy; choose another --out",
        ),
        (
            "--kind t5 --seq-len 9999999999 --out a.npy",
            1,
            "an array of shape [9999999999, 9999999999] is larger than any file",
        ),
    ] {
        place.run(positions(options)).failed(code, line);
    }
    let done = place.run(positions("--kind t5 --seq-len 1000000000 --out a.npy"));
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(
        done.stderr
            .contains("needs 4,000,000,000,000,000,128 bytes"),
        "{done:?}"
    );
    assert!(place.tree().is_empty());
}

#[test]
fn a_full_disk_leaves_nothing() {
    let place = Place::new();
    // The shell ignores the signal that would otherwise end the program.
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", limited, "bash", env!("CARGO_BIN_EXE_shardmill")]);
    command.args(positions("--kind t5 --seq-len 1000 --out t5.npy"));
    let output = command.current_dir(place.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(place.tree().is_empty(), "{:?}", place.tree());
}

/// A dataset in `d`, and the command that embeds it.
fn embed(options: &str) -> (Place, Vec<String>) {
    let place = Place::new();
    place.write("a.txt", "Hello world, a story of some length.\n");
    let done = place.run(["tokenize", "a.txt", "--out", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let args = format!("embed d --seq-len 2 --stride 2 {options}");
    (place, args.split(' ').map(str::to_owned).collect())
}

#[test]
fn rotary_embeddings_say_how_they_were_turned() {
    let (place, args) = embed("--init-seed 1 --dim 4 --position-table rope --out e");
    let done = place.run(&args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let record = |directory: &str| -> serde_json::Value {
        let bytes = place.read(format!("{directory}/embed.json"));
        serde_json::from_slice(&bytes).unwrap()
    };
    assert_eq!(
        record("e")["position_table"],
        json!({
            "origin": {"rope": {"style": "interleaved", "base": 10000.0}},
            "rows": 2,
            "dim": 4,
            "dtype": "f32",
        })
    );
    // The defaults spelled out make the same embeddings; another style or base does not.
    let same = ["--rope-style", "interleaved", "--rope-base", "1e4"].map(str::to_owned);
    let done = place.run([&args[..], &same].concat());
    assert!(
        done.stderr.ends_with("was there already, left as it is\n"),
        "{done:?}"
    );
    for other in [["--rope-style", "half"], ["--rope-base", "500"]] {
        let done = place.run([&args[..], &other.map(str::to_owned)].concat());
        assert_eq!(done.code, Some(1), "{done:?}");
    }
    let done = place.run(["verify", "e"]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[test]
fn a_base_of_many_digits_is_read_as_it_was_written() {
    // Two roundings, of the digits and of the power of ten, would produce the adjacent number.
    let base = "43843.939722600284";
    let (place, args) = embed(&format!(
        "--init-seed 1 --dim 4 --position-table rope --rope-base {base} --out e"
    ));
    assert_eq!(place.run(&args).code, Some(0));
    let done = place.run(&args);
    assert!(
        done.stderr.ends_with("was there already, left as it is\n"),
        "{done:?}"
    );
    assert_eq!(place.run(["verify", "e"]).code, Some(0));
}

#[test]
fn rotary_options_that_do_not_fit_are_refused() {
    for (options, code, line) in [
        (
            "--init-seed 1 --dim 4 --rope-style half --out e",
            2,
            "--rope-style: goes with --position-table rope alone",
        ),
        (
            "--init-seed 1 --dim 4 --position-table sinusoidal --rope-base 7 --out e",
            2,
            "--rope-base: goes with --position-table rope alone",
        ),
        (
            "--init-seed 1 --dim 4 --position-table rope --rope-base 0 --out e",
            2,
            "--rope-base: is 0; it must be a number of 1 or more",
        ),
        (
            "--init-seed 1 --dim 5 --position-table rope --out e",
            2,
            "--dim: is 5; rotary positions turn pairs of columns, so it is even",
        ),
        (
            "--token-table odd.npy --position-table rope --out e",
            1,
            "rotary positions turn pairs of columns, and rows of 3 elements are not made of pairs; \
             use tables of an even dim",
        ),
    ] {
        let (place, args) = embed(options);
        place.write("odd.npy", support::npy_table(50257, 3));
        place.run(args).failed(code, line);
    }
}
