//! Memory does not depend on the size of a corpus.

use std::fs;

use crate::common_dataset::text;
use crate::compressed::zstd;
use crate::load::{MAX_OWN_BYTES, measured};
use crate::parquet::{Layout, parquet};
use crate::support::{Place, fixture};

/// The size of the text in a file.
const FILE_BYTES: usize = 100_000_000;

/// How much more memory a larger corpus may take: what many threads hold is a matter of chance.
const CHANCE_BYTES: u64 = 25_000_000;

/// A file of each kind, with the options that it needs.
fn files() -> [(&'static str, Vec<u8>, &'static str); 5] {
    let repeated = |bytes: &[u8]| bytes.repeat(FILE_BYTES.div_ceil(bytes.len()));
    let prose = repeated(text("tinyshakespeare.txt").as_bytes());
    let records = repeated(&fs::read(fixture("parquet/documents.jsonl")).unwrap());
    let frames = zstd(&records.chunks(2_000_000).collect::<Vec<_>>());
    let blocks = fs::read(fixture("compressed/bgzip.jsonl.gz")).unwrap();
    let rows: Vec<_> = prose.chunks(2000).map(Some).collect();
    let layout = Layout {
        group_rows: 10_000,
        ..Layout::PLAIN
    };
    let rows = parquet(&rows, layout);
    [
        ("a.txt", prose, " --documents lines"),
        ("a.jsonl", records, ""),
        ("a.jsonl.zst", frames, ""),
        ("a.jsonl.gz", blocks.repeat(FILE_BYTES / 36_235), ""),
        ("a.parquet", rows, ""),
    ]
}

/// All documents are shorter than they have to be, so that nothing has to be stored. `LOAD_GB=n` sets
/// the size of the larger corpus.
#[test]
#[ignore = "takes minutes: cargo test load:: -- --ignored"]
fn memory_is_the_same_for_a_large_corpus_of_any_kind() {
    let gigabytes = std::env::var("LOAD_GB").map_or(10, |value| value.parse().unwrap());
    for (name, bytes, options) in files() {
        let place = Place::new();
        place.write(name, bytes);
        let run = |gigabytes: usize| {
            let corpus = place.path("corpus");
            fs::create_dir(&corpus).unwrap();
            for number in 0..gigabytes * 1_000_000_000 / FILE_BYTES {
                fs::hard_link(place.path(name), corpus.join(format!("{number:06}-{name}")))
                    .unwrap();
            }
            let line = "tokenize corpus --out d --threads 2 --durability none --min-tokens 1000000";
            let (done, own_bytes) = measured(&place, &format!("{line}{options}"));
            assert_eq!(done.code, Some(0), "{done:?}");
            fs::remove_dir_all(corpus).unwrap();
            fs::remove_dir_all(place.path("d")).unwrap();
            own_bytes
        };
        let [small, large] = [1, gigabytes].map(run);
        println!("{name}: {small} bytes for 1 GB, {large} for {gigabytes} GB");
        assert!((1..MAX_OWN_BYTES).contains(&large), "{name}: {large}");
        assert!(large < small + CHANCE_BYTES, "{name}: {small} and {large}");
    }
}
