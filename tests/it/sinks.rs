//! Where embeddings go: files in three formats, pipes and devices.

use crate::checks::sign;
use crate::support;

use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::thread;
use std::time::Duration;

use safetensors::SafeTensors;
use serde_json::{Value, json};
use shardmill::embed::EmbedRecord;
use sign::sign;
use support::{Done, Place, skipped, spawn};

/// Each format, and the extension of its files.
const FORMATS: [(&str, &str); 3] = [
    ("npy", "npy"),
    ("safetensors", "safetensors"),
    ("raw", "bin"),
];

/// Windows of 2 tokens, embedded in rows of 4.
const WINDOWS: [&str; 8] = [
    "--seq-len",
    "2",
    "--stride",
    "1",
    "--init-seed",
    "1",
    "--dim",
    "4",
];

/// A place with the dataset `d` of 7 tokens: 5 windows.
fn dataset() -> Place {
    let place = Place::new();
    place.write("a.txt", "one two three four five six");
    let done = place.run(["tokenize", "a.txt", "--out", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    place
}

fn embed<'a>(out: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let command = ["embed", "d", "--out", out];
    [&command, &WINDOWS[..], options].concat()
}

#[test]
fn every_format_holds_the_same_elements() {
    let place = dataset();
    for (dtype, named, size) in [("f32", "F32", 4), ("f16", "F16", 2), ("bf16", "BF16", 2)] {
        for (format, extension) in FORMATS {
            let out = format!("{dtype}-{format}");
            let options = ["--dtype", dtype, "--format", format];
            assert_eq!(place.run(embed(&out, &options)).code, Some(0));
            let verified = place.run(["verify", &out]);
            assert_eq!(verified.code, Some(0), "{verified:?}");

            let record: Value =
                serde_json::from_slice(&place.read(format!("{out}/embed.json"))).unwrap();
            assert_eq!(record["format"], json!(format));
            for (array, shape, named, size) in [
                ("embeddings", &[5, 2, 4][..], named, size),
                ("inputs", &[5, 2], "U32", 4),
                ("targets", &[5, 2], "U32", 4),
            ] {
                let raw = place.read(format!("{dtype}-npy/{array}.npy"));
                let elements = shape.iter().product::<usize>() * size;
                let elements = &raw[raw.len() - elements..];
                let file = place.read(format!("{out}/{array}.{extension}"));
                assert!(file.ends_with(elements), "{out} {array}");
                match format {
                    "raw" => assert_eq!(file, elements, "{out} {array}"),
                    "safetensors" => {
                        let file = SafeTensors::deserialize(&file).unwrap();
                        assert_eq!(file.names(), [array]);
                        let tensor = file.tensor(array).unwrap();
                        assert_eq!(tensor.shape(), shape);
                        assert_eq!(tensor.dtype().to_string(), named);
                        assert_eq!(tensor.data(), elements);
                    }
                    _ => assert!(file.starts_with(b"\x93NUMPY")),
                }
            }
        }
    }
}

#[test]
fn a_stream_is_what_the_file_would_be() {
    let place = dataset();
    for (format, extension) in FORMATS {
        let options = ["--format", format];
        assert_eq!(place.run(embed(format, &options)).code, Some(0));
        let file = place.read(format!("{format}/embeddings.{extension}"));
        let done = place.run(embed("-", &options));
        done.said(&[
            "standard output: 5 windows (4 tokens in several) of 2 x 4 f32 in TIME (RATE)",
        ]);
        assert_eq!(place.run(embed("-", &options)).stdout, file, "{format}");
        if format == "raw" {
            assert_eq!(place.run(embed("-", &[])).stdout, file, "the default");
        }
    }
}

#[test]
fn a_fifo_takes_the_rows() {
    let place = dataset();
    let expected = place.run(embed("-", &[])).stdout;
    let fifo = place.fifo("fifo");
    let reader = thread::spawn(move || {
        let mut found = Vec::new();
        File::open(fifo).unwrap().read_to_end(&mut found).unwrap();
        found
    });
    let line = "fifo: 5 windows (4 tokens in several) of 2 x 4 f32 in TIME (RATE)";
    let said = place.run(embed("fifo", &["--json"])).said(&[line]).json();
    assert_eq!(
        (&said["out"], &said["shape"], &said["bytes"]),
        (&json!("fifo"), &json!([5, 2, 4]), &json!(160))
    );
    assert_eq!(reader.join().unwrap(), expected);
}

#[test]
fn a_device_that_takes_nothing_is_said() {
    let place = dataset();
    place.run(embed("/dev/full", &[])).failed(
        3,
        "/dev/full: cannot write: No space left on device (os error 28)",
    );
}

#[test]
fn another_format_is_another_output() {
    let place = dataset();
    assert_eq!(place.run(embed("e", &[])).code, Some(0));
    let refused = "e: exists and is not exactly this output; use --overwrite to replace it or choose another --out";
    place
        .run(embed("e", &["--format", "raw"]))
        .failed(1, refused);
    let replaced = place.run(embed("e", &["--format", "raw", "--overwrite"]));
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    for (file, is_there) in [
        ("embed.json", true),
        ("embeddings.bin", true),
        ("inputs.bin", true),
        ("targets.bin", true),
        ("embeddings.npy", false),
    ] {
        let path = place.path("e").join(file);
        assert_eq!(path.exists(), is_there, "{file}");
    }
}

#[test]
fn sizes_that_are_not_those_of_the_shape_are_damage() {
    let place = dataset();
    assert_eq!(place.run(embed("e", &["--format", "raw"])).code, Some(0));
    let record = String::from_utf8(place.read("e/embed.json")).unwrap();
    // Without a header, only the record says how many elements there are.
    let lying = record.replacen("    5,", "    4,", 1);
    assert_ne!(lying, record);
    let mut huge: serde_json::Value = serde_json::from_str(&record).unwrap();
    for file in huge["files"].as_array_mut().unwrap() {
        // Their sum overflows u64.
        file["bytes"] = u64::MAX.into();
    }
    let huge = serde_json::from_value::<EmbedRecord>(huge).unwrap();
    let huge = serde_json::to_string_pretty(&huge).unwrap() + "\n";
    for wrong in [lying, huge] {
        let mut wrong = wrong.into_bytes();
        sign("embed.json", &mut wrong);
        place.write("e/embed.json", &wrong);
        place.run(["verify", "e"]).failed(
            5,
            "e/embed.json: lists sizes that are not those of its shape",
        );
    }
}

#[test]
fn a_signal_leaves_nothing_of_embeddings() {
    let place = Place::new();
    place.write("a.txt", "some words and more ".repeat(50_000));
    let made = place.run(["tokenize", "a.txt", "--out", "d"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    // About 1 GB.
    let args = "embed d --out e --seq-len 128 --stride 8 --init-seed 1 --dim 64".split(' ');
    let run = spawn(&mut place.command(args));
    while !place.tree().iter().any(|name| name.contains("embeddings")) {
        thread::sleep(Duration::from_millis(2));
    }
    let kill = Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let done = Done::new(run.wait_with_output().unwrap());
    assert_eq!(
        (done.code, done.stderr.as_str()),
        (Some(130), "shardmill: error: stopped by SIGINT\n")
    );
    assert!(
        !place.tree().iter().any(|name| name.starts_with('e')),
        "{:?}",
        place.tree()
    );
}

#[test]
fn a_kill_leaves_nothing_of_positions() {
    let place = Place::new();
    let is_nameless = rustix::fs::openat(
        rustix::fs::CWD,
        place.path(""),
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::TMPFILE,
        rustix::fs::Mode::RWXU,
    );
    if let Err(errno) = is_nameless {
        skipped("a kill of positions", &format!("O_TMPFILE: {errno}"));
        return;
    }
    // The bytes are written, but the file has no name yet.
    let mut strace = Command::new("strace");
    strace.args(
        "-f -qq -o /dev/null -e trace=fsync -e inject=fsync:signal=SIGKILL:when=1".split(' '),
    );
    strace.arg(env!("CARGO_BIN_EXE_shardmill"));
    strace.args("positions --kind t5 --seq-len 1000 --out t5.npy".split(' '));
    match strace.current_dir(place.path("")).status() {
        Ok(status) => assert!(!status.success()),
        Err(error) => return skipped("a kill of positions", &format!("strace: {error}")),
    }
    assert_eq!(place.tree(), [""; 0]);
}
