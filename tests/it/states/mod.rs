//! What happens to DIR and DIR.partial, whatever they were before and wherever a command was
//! killed: the visible output is the whole old one or the whole new one; the same command resumes
//! and leaves nothing else; what no command made stays.

mod behavior;
mod embeddings;
mod evidence;
mod file_systems;
mod kills;
mod power;
mod sequences;
use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use support::{Done, Place, output_bytes, tree};

/// Files by their names.
type Bytes = BTreeMap<String, Vec<u8>>;

/// Inputs whose datasets are two units each.
const INPUTS: [&str; 3] = ["in1", "in2", "in3"];

/// What every command that makes units has in common.
const COMMON: [&str; 4] = ["--unit-size", "1kB", "--threads", "1"];
const EMBED: [&str; 8] = [
    "--seq-len",
    "8",
    "--stride",
    "8",
    "--init-seed",
    "1",
    "--dim",
    "2",
];

/// A place with inputs, and files that no command may touch.
fn place() -> Place {
    let place = Place::new();
    for (n, input) in INPUTS.iter().enumerate() {
        let words: Vec<_> = (0..500)
            .map(|i| format!("w{}", (i * 7 + n * 31) % 97))
            .collect();
        place.write(format!("{input}/a.txt"), &words.join(" ")[..1300]);
        place.write(format!("{input}/b.txt"), "the end ".repeat(n + 1));
    }
    for file in [
        "d.txt",
        "d.partial.txt",
        "mine/thesis.txt",
        ".d.partial.tmp",
    ] {
        place.write(file, "years of work");
    }
    place
}

/// Checks the files that no command made.
#[track_caller]
fn assert_bystanders(place: &Place) {
    for file in [
        "d.txt",
        "d.partial.txt",
        "mine/thesis.txt",
        ".d.partial.tmp",
    ] {
        assert_eq!(place.read(file), b"years of work", "{file}");
    }
}

/// How thorough the long tests are: `FAULT_CUTS`, or 1000.
fn cuts() -> usize {
    let wanted = std::env::var("FAULT_CUTS").ok();
    wanted.map_or(1000, |cuts| cuts.parse().unwrap())
}

/// The words of a command line.
fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// `shardmill tokenize INPUT --out OUT` and `more`.
fn tokenize(input: &str, out: &str, more: &str) -> Vec<String> {
    let line = format!("tokenize {input} --out {out} {} {more}", COMMON.join(" "));
    words(line.trim_end())
}

/// `shardmill run`, likewise.
fn run(input: &str, out: &str, more: &str) -> Vec<String> {
    let [common, embed] = [COMMON.join(" "), EMBED.join(" ")];
    words(format!("run {input} --out {out} {common} {embed} {more}").trim_end())
}

/// `shardmill embed`, likewise.
fn embed(dataset: &str, out: &str, more: &str) -> Vec<String> {
    let embed = EMBED.join(" ");
    words(format!("embed {dataset} --out {out} --threads 1 {embed} {more}").trim_end())
}

/// `shardmill shuffle`, likewise.
fn shuffle(dataset: &str, out: &str, more: &str) -> Vec<String> {
    words(format!("shuffle {dataset} --seed 1 --out {out} --threads 1 {more}").trim_end())
}

fn refs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// Runs a command, which must exit with 0.
#[track_caller]
fn ok(place: &Place, args: &[String]) -> Done {
    let done = place.run(args);
    assert_eq!(done.code, Some(0), "{args:?}: {done:?} {:?}", place.tree());
    done
}

/// The files of the output `out`; `None` if there is none.
fn visible(place: &Place, out: &str) -> Option<Bytes> {
    let out = place.path(out);
    let mut bytes = out.symlink_metadata().is_ok().then(|| output_bytes(&out))?;
    // Embeddings in the making inside it are as invisible as a dataset in the making next to it.
    bytes.retain(|name, _| !name.starts_with("embeddings.partial/"));
    Some(bytes)
}

/// Everything in an output and in what is made next to it: bytes, links, and also `run.json`.
fn snapshot(place: &Place, out: &str) -> Bytes {
    let mut found = Bytes::new();
    for name in [out.to_owned(), format!("{out}.partial")] {
        let path = place.path(&name);
        let Ok(there) = path.symlink_metadata() else {
            continue;
        };
        if !there.is_dir() {
            found.insert(name, b"no directory".to_vec());
            continue;
        }
        found.insert(format!("{name}/"), Vec::new());
        for file in tree(&path).into_iter().filter(|file| !file.ends_with('/')) {
            found.insert(
                format!("{name}/{file}"),
                fs::read(path.join(&file)).unwrap(),
            );
        }
    }
    found
}

/// Restores what [`snapshot`] saw, and nothing else.
fn restore(place: &Place, out: &str, files: &Bytes) {
    for name in [out.to_owned(), format!("{out}.partial")] {
        let path = place.path(&name);
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
    }
    for (name, bytes) in files {
        match name.strip_suffix('/') {
            Some(directory) => fs::create_dir_all(place.path(directory)).unwrap(),
            None => drop(place.write(Path::new(name), bytes)),
        }
    }
}
