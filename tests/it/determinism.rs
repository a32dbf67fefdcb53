//! The bytes of a dataset depend only on the inputs and the settings: not on threads, not on how
//! the inputs are named or read and, for the ids and documents, not on the unit size.

use crate::common_dataset;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use common_dataset::same_ids::assert_same_ids;
use common_dataset::{
    Dataset, assert_same_files, config, encoding, fifo, records_path, shardmill, text, text_path,
    write,
};
use shardmill::dataset::Settings;
use shardmill::{Durability, TokenizeConfig, Tokenizer};
use tempfile::TempDir;

fn gpt2() -> &'static Tokenizer {
    encoding("gpt2")
}

/// The unit size of the mixed corpus, and the size of a chunk.
const UNIT: u64 = 1_700_000;
const CHUNK: u64 = 1 << 20;

/// The first `bytes` bytes of an ASCII fixture.
fn head(name: &str, bytes: usize) -> String {
    text(name).repeat(2)[..bytes].to_owned()
}

/// Small files, a text of several units, one without a space, JSON Lines, empty files; and two
/// texts of nearly a unit each, which no unit may end inside, so that the first unit has both.
fn mixed_corpus(directory: &Path) {
    write(
        directory,
        "0/first.txt",
        head("tinyshakespeare.txt", 1_690_000),
    );
    write(
        directory,
        "0/second.txt",
        head("tinyshakespeare.txt", 1_699_000),
    );
    write(directory, "1 empty", "");
    for (index, paragraph) in text("the-verdict.txt").split("\n\n").enumerate() {
        write(
            directory,
            &format!("2/{}/{index:03}.txt", index % 7),
            paragraph,
        );
    }
    let long = [text("code.txt"), text("markdown.md"), text("udhr.txt")].concat();
    write(directory, "3/long.md", long.repeat(2));
    write(directory, "4/empty.txt", "");
    write(
        directory,
        "5/no_spaces.txt",
        text("code.txt").replace(' ', "_") + &"x".repeat(300_000),
    );
    let records = fs::read(records_path()).unwrap();
    write(
        directory,
        "6/records.jsonl",
        [&records[..], b"\n", &records].concat(),
    );
    write(directory, "7/records.ndjson", records);
    write(directory, "8/empty.jsonl", "");
    write(directory, "9/last.txt", text("edge/no_final_newline.txt"));
}

fn make(inputs: &[PathBuf], threads: usize, unit: u64) -> Dataset {
    let mut config = config(unit);
    config.threads = threads;
    Dataset::make(inputs, gpt2(), &config)
}

/// Checks the properties that the mixed corpus is made for; without them, its test would prove
/// little.
fn assert_is_hard(dataset: &Dataset) {
    let shards = &dataset.store.manifest().shards;
    assert!(shards.len() >= 10, "{} units", shards.len());
    let first = shards[0].end;
    assert_eq!(
        (first.source, first.byte),
        (2, 0),
        "the first unit has two texts"
    );
    assert!(
        shards[0].text_bytes > 3 * CHUNK,
        "at least three chunks in a unit"
    );
    let pieces = |flag: fn(&shardmill::dataset::DocRecord) -> bool| {
        let shards = dataset.store.shards().map(Result::unwrap);
        shards
            .map(|shard| {
                shard
                    .documents()
                    .iter()
                    .filter(|record| flag(record))
                    .count()
            })
            .sum::<usize>()
    };
    assert!(pieces(|record| record.began_earlier() && record.goes_on()) >= 2);
    assert!(pieces(shardmill::dataset::DocRecord::is_empty) >= 2);
    assert!(dataset.store.manifest().sources.len() > 20);
}

#[test]
fn files_do_not_depend_on_threads_or_on_where_the_corpus_is_named_from() {
    let directory = TempDir::new().unwrap();
    let corpus = directory.path().join("corpus");
    mixed_corpus(&corpus);
    let one = make(from_ref(&corpus), 1, UNIT);
    assert_is_hard(&one);
    let expected = one.files();
    for threads in [2, 7] {
        let many = make(from_ref(&corpus), threads, UNIT);
        assert_same_files(&many.files(), &expected, &format!("{threads} threads"));
    }
    // By the program, from another directory, by a relative name, forced to the disk.
    let out = TempDir::new().unwrap();
    let out_argument = out.path().join("out");
    let arguments = [
        "tokenize",
        "corpus/../corpus/",
        "--out",
        out_argument.to_str().unwrap(),
        "--unit-size",
        "1700000",
        "--threads",
        "3",
        "--durability",
        "full",
    ];
    shardmill(directory.path(), &arguments, b"");
    assert_same_files(&Dataset::open(out).files(), &expected, "relative name");
}

#[test]
fn files_do_not_depend_on_durability_and_are_there_already_for_the_second_run() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), "in/a.txt", text("the-verdict.txt"));
    write(
        directory.path(),
        "in/b.jsonl",
        fs::read(records_path()).unwrap(),
    );
    let inputs = [directory.path().join("in")];
    let mut full = config(100_000);
    full.durability = Durability::Full;
    let full = Dataset::make(&inputs, gpt2(), &full);
    let none = Dataset::make(&inputs, gpt2(), &config(100_000));
    assert_same_files(&none.files(), &full.files(), "durability none");

    let again = |config: &TokenizeConfig| {
        common_dataset::try_tokenize(&inputs, gpt2(), config, &none.out())
    };
    let mut other_threads = config(100_000);
    other_threads.threads = 3;
    assert!(again(&other_threads).unwrap().was_there);
    assert!(
        again(&config(100_001)).is_err(),
        "other settings make another dataset"
    );
    write(
        directory.path(),
        "in/a.txt",
        text("the-verdict.txt").replace("Gisburn", "Gisborn"),
    );
    assert!(
        again(&config(100_000)).is_err(),
        "so do other bytes of the same size"
    );
    assert_same_files(&none.files(), &full.files(), "what was there is untouched");
}

/// The dataset that the program makes from standard input.
fn from_stdin(stdin: &[u8], options: &[&str]) -> Dataset {
    let directory = TempDir::new().unwrap();
    let arguments = [
        &["tokenize", "-", "--out", "out", "--durability", "none"],
        options,
    ]
    .concat();
    shardmill(directory.path(), &arguments, stdin);
    Dataset::open(directory)
}

/// Standard input is called `-` in the manifest; everything else must be as for the file.
fn assert_same_but_for_name(stream: &Dataset, file: &Dataset) {
    let (mut found, mut expected) = (stream.files(), file.files());
    found.remove("manifest.json");
    expected.remove("manifest.json");
    assert_same_files(&found, &expected, "standard input");
    let mut manifest = stream.store.manifest().clone();
    assert_eq!(manifest.sources[0].name, "-");
    assert_ne!(manifest.dataset_id, file.store.manifest().dataset_id);
    manifest.sources[0]
        .name
        .clone_from(&file.store.manifest().sources[0].name);
    manifest.dataset_id = manifest.computed_id();
    assert_eq!(&manifest, file.store.manifest());
}

#[test]
fn standard_input_gives_the_shards_of_the_file() {
    let directory = TempDir::new().unwrap();
    let long = [text("udhr.txt"), text("code.txt")].concat();
    let path = write(directory.path(), "long.txt", &long);
    for (unit, option) in [(1 << 20, "1MiB"), (70_001, "70001"), (1 << 28, "256MiB")] {
        let stream = from_stdin(long.as_bytes(), &["--unit-size", option]);
        assert_same_but_for_name(&stream, &make(from_ref(&path), 2, unit));
    }
    let records = fs::read(records_path()).unwrap();
    let options = [
        "--unit-size",
        "50000",
        "--input-format",
        "jsonl",
        "--threads",
        "1",
    ];
    let stream = from_stdin(&records, &options);
    let file = make(&[records_path()], 2, 50_000);
    assert!(file.store.n_shards() > 20);
    assert_same_but_for_name(&stream, &file);
    assert_same_but_for_name(
        &from_stdin(b"", &[]),
        &make(
            &[text_path("edge/empty.txt")],
            1,
            Settings::default().unit_size_bytes,
        ),
    );
}

/// Streams have the names of files here, so that even the manifests are equal. Text that follows
/// other sources is spooled first, because its size decides whether a unit may end inside it.
#[test]
fn fifos_give_the_files_that_regular_files_give_wherever_they_stand() {
    let small = text("the-verdict.txt");
    let long = [text("markdown.md"), text("tinyshakespeare.txt")].concat();
    let records = fs::read_to_string(records_path()).unwrap();
    // A unit smaller than the small text; one whose end falls into the small text after the
    // records, where it must not be cut; one larger than everything.
    assert!((0..small.len()).contains(&(1_280_000 - records.len())));
    compare_streams(
        9_000,
        &small,
        &small.repeat(3),
        &first_lines(&records, 50_000),
    );
    compare_streams(1_280_000, &small, &long, &records);
    compare_streams(1 << 28, &small, &long, &records);
}

/// At most `bytes` bytes of whole lines.
fn first_lines(text: &str, bytes: usize) -> String {
    let head = &text[..text.floor_char_boundary(bytes)];
    head[..=head.rfind('\n').unwrap()].to_owned()
}

fn compare_streams(unit: u64, small: &str, long: &str, records: &str) {
    let corpora: [&[(&str, &str, bool)]; 4] = [
        &[("long.txt", long, true)],
        &[
            ("a.txt", small, false),
            ("b.txt", long, true),
            ("c.jsonl", records, true),
        ],
        &[
            ("empty.txt", "", false),
            ("a.txt", small, true),
            ("b.txt", long, false),
        ],
        &[
            ("a.jsonl", records, true),
            ("b.txt", small, true),
            ("empty.txt", "", true),
            ("c.txt", long, true),
            ("d.jsonl", "", true),
        ],
    ];
    for (index, sources) in corpora.into_iter().enumerate() {
        let [files, streams] = [(), ()].map(|()| TempDir::new().unwrap());
        let mut writers = Vec::new();
        for (name, contents, is_stream) in sources {
            write(files.path(), name, contents);
            if *is_stream {
                let contents = contents.as_bytes().to_vec();
                writers.push(fifo(&streams.path().join(name), contents));
            } else {
                write(streams.path(), name, contents);
            }
        }
        let inputs = |directory: &TempDir| {
            let names = sources.iter().map(|(name, _, _)| name);
            names.map(|name| directory.path().join(name)).collect()
        };
        let [file, stream]: [Vec<_>; 2] = [inputs(&files), inputs(&streams)];
        let [file, stream] = [file, stream].map(|inputs| make(&inputs, 2, unit).files());
        assert_same_files(&stream, &file, &format!("corpus {index}, unit {unit}"));
        for writer in writers {
            writer.join().unwrap();
        }
    }
}

#[test]
fn ids_and_joined_documents_do_not_depend_on_the_unit_size() {
    let directory = TempDir::new().unwrap();
    let records = fs::read_to_string(records_path()).unwrap();
    let scripts = first_lines(&text("udhr.txt"), 40_000);
    write(directory.path(), "a.txt", text("edge/crlf.txt"));
    write(directory.path(), "b.txt", "");
    write(directory.path(), "c.txt", scripts);
    write(directory.path(), "d.jsonl", first_lines(&records, 200_000));
    write(directory.path(), "e.txt", &text("the-verdict.txt")[..8_000]);
    let inputs = [directory.path().to_owned()];
    let whole = make(&inputs, 2, 256 << 20);
    assert_eq!(whole.store.n_shards(), 1);
    let (ids, documents) = (whole.ids(), whole.documents());
    let mut shards = BTreeMap::new();
    for unit in [1, 1 << 10, 64 << 10, 1 << 20] {
        let cut = make(&inputs, 2, unit);
        assert_same_ids(&cut.ids(), &ids, &format!("unit size {unit}"));
        assert!(
            cut.documents() == documents,
            "unit size {unit}: other documents"
        );
        let totals = [&cut, &whole].map(|dataset| dataset.store.manifest().totals);
        assert_eq!(totals[0], totals[1], "unit size {unit}");
        shards.insert(unit, cut.store.n_shards());
    }
    assert!(shards[&1] > 3_000, "{shards:?}");
    assert!(shards[&1024] > 100, "{shards:?}");
    assert!(shards[&(64 << 10)] >= 4, "{shards:?}");
}
