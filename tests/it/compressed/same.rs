//! The same documents from plain and compressed files, streams, and Python's data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice::from_ref;

use shardmill::dataset::{DocRecord, Totals};
use shardmill::document::Format;
use shardmill::{Corpus, CorpusOptions, Stats, tokenize, verify_inputs};
use tempfile::TempDir;

use super::{all, gzip, pack, records, skippable, thirds, zstd};
use crate::common_dataset::{
    Dataset, assert_same_files, config, encoding, fifo, shardmill, text, write,
};
use crate::support::{fixture, skipped};

/// What must not depend on how the sources are stored.
fn contents(dataset: &Dataset) -> (Vec<u32>, Vec<DocRecord>, Totals) {
    let manifest = dataset.store.manifest();
    let mut tokens = 0;
    let mut records = Vec::new();
    for shard in dataset.store.shards().map(Result::unwrap) {
        let before = tokens;
        records.extend(shard.documents().iter().map(|&record| DocRecord {
            end_tokens: before + record.end_tokens,
            ..record
        }));
        tokens += shard.tokens().len() as u64;
    }
    let totals = Totals {
        source_bytes: 0,
        ..manifest.totals
    };
    (dataset.ids(), records, totals)
}

/// A text and records, each of several chunks, and the empty text.
fn plain() -> [(&'static str, Vec<u8>); 3] {
    let long = text("tinyshakespeare.txt").repeat(3);
    [
        ("a.txt", long.into_bytes()),
        ("b.jsonl", records(3_000_000)),
        ("c.txt", Vec::new()),
    ]
}

#[test]
fn compressed_files_and_streams_hold_the_documents_of_plain_ones() {
    let directory = TempDir::new().unwrap();
    for (name, bytes) in plain() {
        let plain = write(directory.path(), name, &bytes);
        // All in one unit, as what is compressed is.
        let expected = contents(&Dataset::make(&[plain], encoding("gpt2"), &config(1 << 30)));
        for (compression, extension) in all() {
            let data = pack(compression, &thirds(&bytes));
            let name = format!("{name}.{extension}");
            let file = write(directory.path(), &name, &data);
            // Units of one byte, and yet there is only one.
            let made = Dataset::make(from_ref(&file), encoding("gpt2"), &config(1));
            assert!(contents(&made) == expected, "{name}");
            let source = &made.store.manifest().sources[0];
            assert_eq!(source.bytes, data.len() as u64);
            assert_eq!(source.compression, Some(compression));
            // The same name, so that all of the manifest is the same.
            let pipe = directory.path().join("pipe").join(&name);
            fs::create_dir_all(pipe.parent().unwrap()).unwrap();
            let feeder = fifo(&pipe, data.clone());
            let streamed = Dataset::make(&[pipe], encoding("gpt2"), &config(1));
            feeder.join().unwrap();
            assert_same_files(&streamed.files(), &made.files(), &name);
            let out = format!("{name}.out");
            let format = if name.starts_with('b') {
                "jsonl"
            } else {
                "text"
            };
            let args = ["tokenize", "-", "--input-format", format, "--out", &out];
            shardmill(directory.path(), &args, &data);
            let shard = fs::read(directory.path().join(&out).join("shard-00000.u32")).unwrap();
            assert!(shard == made.files()["shard-00000.u32"], "{name} from -");
        }
    }
}

/// Several threads share the decoding of these.
#[test]
fn many_frames_and_blocks_hold_the_documents_of_the_plain_file() {
    let directory = TempDir::new().unwrap();
    let repeated = |name| fs::read(fixture(name)).unwrap().repeat(200);
    let lines = repeated("parquet/documents.jsonl");
    let blocks = repeated("compressed/bgzip.jsonl.gz");
    let [small, large] = [70_000, 2_000_000].map(|bytes| {
        let parts: Vec<_> = lines.chunks(bytes).collect();
        zstd(&parts)
    });
    let plain = write(directory.path(), "a.jsonl", &lines);
    let expected = contents(&Dataset::make(&[plain], encoding("gpt2"), &config(1 << 30)));
    for (name, data) in [
        ("blocks.jsonl.gz", blocks),
        ("small.jsonl.zst", small),
        ("large.jsonl.zst", large),
    ] {
        let file = write(directory.path(), name, &data);
        let make = |path: &Path, threads| {
            let mut config = config(1);
            config.threads = threads;
            Dataset::try_make(&[path], encoding("gpt2"), &config)
        };
        let alone = make(&file, 1).unwrap();
        assert!(contents(&alone) == expected, "{name}");
        let mut data = data;
        let middle = data.len() / 2;
        data[middle..][..300].fill(7);
        let damaged = write(directory.path(), &format!("damaged-{name}"), data);
        let error = make(&damaged, 1).unwrap_err().to_string();
        assert!(error.contains(": byte "), "{error}");
        for threads in [2, 3, 7] {
            let together = make(&file, threads).unwrap();
            assert_same_files(&together.files(), &alone.files(), name);
            assert_eq!(make(&damaged, threads).unwrap_err().to_string(), error);
        }
    }
}

/// A directory of all kinds of files, some of them compressed.
fn mixed(directory: &Path) -> Vec<PathBuf> {
    let text = text("the-verdict.txt").repeat(40).into_bytes();
    let lines = records(900_000);
    let mut files = vec![
        write(directory, "00.txt", &text),
        write(directory, "03.jsonl", &lines),
        write(directory, "05.txt.gz", gzip(&[b""])),
        write(directory, "06.txt.zst", skippable(b"nothing")),
        write(directory, "99.txt", &text[..70_000]),
    ];
    for (compression, extension) in all() {
        files.push(write(
            directory,
            &format!("01.txt.{extension}"),
            pack(compression, &thirds(&text)),
        ));
        files.push(write(
            directory,
            &format!("02.jsonl.{extension}"),
            pack(compression, &thirds(&lines)),
        ));
        for small in 10..40 {
            let line = format!("{{\"text\":\"{small} and more\"}}\n");
            files.push(write(
                directory,
                &format!("{small}.jsonl.{extension}"),
                pack(compression, &[line.as_bytes()]),
            ));
        }
    }
    files.sort();
    files
}

#[test]
fn a_mixed_corpus_gives_the_same_files_with_any_threads_and_as_streams() {
    let directory = TempDir::new().unwrap();
    let corpus = directory.path().join("corpus");
    let files = mixed(&corpus);
    let make = |threads, inputs: &[PathBuf]| {
        let mut config = config(100_000);
        config.threads = threads;
        Dataset::make(inputs, encoding("gpt2"), &config)
    };
    let one = make(1, from_ref(&corpus));
    let manifest = one.store.manifest();
    assert!(manifest.shards.len() > 10, "{}", manifest.shards.len());
    for shard in &manifest.shards {
        for at in [shard.start, shard.end] {
            let source = manifest.sources.get(at.source as usize);
            let is_plain = source.is_none_or(|source| source.compression.is_none());
            assert!(is_plain || at.byte == 0, "{at:?}");
        }
    }
    let expected = one.files();
    for threads in [2, 7] {
        let many = make(threads, from_ref(&corpus));
        assert_same_files(&many.files(), &expected, &format!("{threads} threads"));
    }
    let opened = Corpus::open(&[corpus.clone().into()], &CorpusOptions::default()).unwrap();
    verify_inputs(&one.out(), &opened, &Stats::default()).unwrap();
    // As streams, some of them after plain files.
    let pipes = directory.path().join("pipes");
    let mut feeders = Vec::new();
    let mut inputs = Vec::new();
    for (index, file) in files.iter().enumerate() {
        if index % 3 == 0 {
            inputs.push(file.clone());
            continue;
        }
        let pipe = pipes.join(file.file_name().unwrap());
        fs::create_dir_all(&pipes).unwrap();
        feeders.push(fifo(&pipe, fs::read(file).unwrap()));
        inputs.push(pipe);
    }
    let streamed = make(2, &inputs);
    for feeder in feeders {
        feeder.join().unwrap();
    }
    assert_same_files(&streamed.files(), &expected, "streams");
}

#[test]
fn json_files_are_told_by_what_is_in_them() {
    let directory = TempDir::new().unwrap();
    let long = format!("{{\"text\":\"{}\"}}\n", "x".repeat(900_000));
    let cases: [(&str, &[u8], Format); 4] = [
        (
            "lines",
            b"{\"text\":\"a\"}\n{\"text\":\"b\"}\n",
            Format::Jsonl,
        ),
        ("one", b"{\"text\":\"a\"}\n", Format::Text),
        ("long", long.as_bytes(), Format::Text),
        ("longs", &long.repeat(2).into_bytes(), Format::Jsonl),
    ];
    for (compression, extension) in all() {
        for (name, bytes, format) in cases {
            let name = format!("{name}.json.{extension}");
            let path = write(directory.path(), &name, pack(compression, &thirds(bytes)));
            let made = Dataset::make(&[path], encoding("gpt2"), &config(1 << 20));
            let source = &made.store.manifest().sources[0];
            assert_eq!(source.format, format, "{name}");
        }
    }
}

#[test]
fn padding_and_skippable_frames_are_skipped() {
    let directory = TempDir::new().unwrap();
    let plain = write(directory.path(), "a.txt", "one two three");
    let expected = contents(&Dataset::make(&[plain], encoding("gpt2"), &config(1 << 20)));
    let zeros = vec![0; 300_000];
    for (name, data) in [
        (
            "a.txt.gz",
            [&gzip(&[b"one two", b" three"]), &zeros[..]].concat(),
        ),
        (
            "b.txt.gz",
            [&gzip(&[b"one two"]), &zeros[..], &gzip(&[b" three", b""])].concat(),
        ),
        (
            "a.txt.zst",
            [
                skippable(&zeros),
                zstd(&[b"one two", b" three"]),
                skippable(b""),
            ]
            .concat(),
        ),
    ] {
        let path = write(directory.path(), name, data);
        let made = Dataset::make(&[path], encoding("gpt2"), &config(1 << 20));
        assert!(contents(&made) == expected, "{name}");
    }
}

/// Python's gzip module reads what the tests write, and this program what Python writes.
#[test]
fn python_agrees_about_gzip() {
    let directory = TempDir::new().unwrap();
    let bytes = records(300_000);
    let data = [&gzip(&thirds(&bytes)), &[0; 513][..]].concat();
    let (mine, plain) = (
        write(directory.path(), "mine.gz", data),
        write(directory.path(), "a.jsonl", &bytes),
    );
    let script = "
import gzip, sys
plain = open(sys.argv[2], 'rb').read()
assert gzip.open(sys.argv[1]).read() == plain
with gzip.open(sys.argv[3], 'wb') as out: out.write(plain[:1000])
with gzip.open(sys.argv[3], 'ab', compresslevel=1) as out: out.write(plain[1000:])
";
    let theirs = directory.path().join("theirs.jsonl.gz");
    let mut python = Command::new("python3");
    python
        .arg("-c")
        .arg(script)
        .arg(mine)
        .arg(&plain)
        .arg(&theirs);
    match python.status() {
        Ok(status) => assert!(status.success()),
        Err(error) => return skipped("gzip against Python's", &error.to_string()),
    }
    let make = |path| contents(&Dataset::make(&[path], encoding("gpt2"), &config(1 << 30)));
    assert!(make(theirs) == make(plain));
}

#[test]
fn a_dataset_of_plain_files_has_no_word_of_compression() {
    let directory = TempDir::new().unwrap();
    let plain = write(directory.path(), "a.txt", "one two three");
    let made = Dataset::make(from_ref(&plain), encoding("gpt2"), &config(1 << 20));
    let manifest = String::from_utf8(made.files()["manifest.json"].clone()).unwrap();
    assert!(!manifest.contains("compression"), "{manifest}");
    let corpus = Corpus::open(&[plain.into()], &CorpusOptions::default()).unwrap();
    let plan = shardmill::plan(&corpus, encoding("gpt2"), &config(1 << 20)).unwrap();
    let plan = serde_json::to_string(&plan).unwrap();
    assert!(!plan.contains("compression"), "{plan}");
}

/// What is counted as progress is what is stored, so that it ends at the total.
#[test]
fn progress_counts_stored_bytes() {
    let directory = TempDir::new().unwrap();
    let files = mixed(&directory.path().join("corpus"));
    let arguments: Vec<_> = files.into_iter().map(PathBuf::into_os_string).collect();
    let corpus = Corpus::open(&arguments, &CorpusOptions::default()).unwrap();
    let stats = Stats::default();
    let out = directory.path().join("out");
    let run = serde_json::json!({});
    tokenize(
        &corpus,
        encoding("gpt2"),
        &config(100_000),
        &out,
        &run,
        &stats,
    )
    .unwrap();
    assert_eq!(
        (stats.done(), stats.total()),
        (corpus.total_bytes(), corpus.total_bytes())
    );
}
