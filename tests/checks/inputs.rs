//! Inputs of every kind, damaged: refused in one line, or the same documents whatever the units and
//! threads.

use std::io::Write;
use std::path::Path;

use serde_json::json;
use shardmill::document::TextDocuments;
use shardmill::{Corpus, CorpusOptions, Error, Stats, TokenStore, tokenize, verify};

use super::base::config;
use super::edits::{Entry, Files, apply, write};
use super::{encoding, place};

/// Records of every shape, a few of them.
const LINES: &[u8] =
    b"{\"text\":\"one two  three\"}\n\n{\"id\":[1,{}],\"text\":\"\\u00e9\\n\"}\r\n\
                       {\"text\":\"\"}\n{\"text\":\"the last line has no end\"}";

/// Files of Parquet with other encodings, codecs and writers.
const PARQUET: [&[u8]; 4] = [
    include_bytes!("../../fixtures/parquet/pyarrow-groups.parquet"),
    include_bytes!("../../fixtures/parquet/pyarrow-v2.parquet"),
    include_bytes!("../../fixtures/parquet/polars.parquet"),
    include_bytes!("../../fixtures/parquet/duckdb.parquet"),
];

/// Files and streams of Arrow with other columns and codecs.
const ARROW: [&[u8]; 4] = [
    include_bytes!("../../fixtures/arrow/stream.arrow"),
    include_bytes!("../../fixtures/arrow/views-zstd.arrows"),
    include_bytes!("../../fixtures/arrow/deltas.ipc"),
    include_bytes!("../../fixtures/arrow/lz4.feather"),
];

const PARTS: &[u8] = b"\xef\xbb\xbfone|||two \n||| \n ||||\xc3\xa9||last";

/// `{"text":"in a block"}` and blank lines, and the end of a file, by bgzip(1).
const BLOCK: &[u8] = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x06\x00BC\x02\x005\x00\x01\x17\x00\xe8\xff\x0a{\x22text\x22:\x22in a block\x22}\x0an\x9a\x00\xab\x17\x00\x00\x00\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x06\x00BC\x02\x00\x1b\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";

const TABLE: &[u8] =
    b"id,text,\"say \"\"it\"\"\"\n1,\"one, two\r\nthree\",\n\n2,\"\",\"x\"\r\n3,last,y";

/// The number of files that [`check`] begins with.
pub const FILES: u8 = 16;

/// Whether the file of this number has columns.
pub fn has_columns(which: u8) -> bool {
    matches!(base(which).0, "a.parquet" | "a.arrow")
}

/// The name and the bytes of a file.
fn base(which: u8) -> (&'static str, Vec<u8>) {
    match which % FILES {
        0 => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(LINES).unwrap();
            (
                "a.jsonl.gz",
                [&encoder.finish().unwrap()[..], b"\0\0", BLOCK, BLOCK].concat(),
            )
        }
        1 => {
            let mut frames = Vec::new();
            for part in LINES.chunks(40) {
                let mut encoder = zstd::Encoder::new(&mut frames, 1).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap();
            }
            ("a.jsonl.zst", frames)
        }
        2 => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(LINES).unwrap();
            ("a.jsonl.xz", encoder.finish().unwrap())
        }
        3 => {
            let level = bzip2::Compression::fast();
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), level);
            encoder.write_all(LINES).unwrap();
            ("a.jsonl.bz2", encoder.finish().unwrap())
        }
        4 => ("a.csv", TABLE.to_vec()),
        5 => {
            let tabs = TABLE.split(|&byte| byte == b',').collect::<Vec<_>>();
            ("a.tsv", tabs.join(&b'\t'))
        }
        6 => ("a.jsonl", LINES.to_vec()),
        7 => ("a.txt", PARTS.to_vec()),
        other @ 8..12 => ("a.parquet", PARQUET[usize::from(other) - 8].to_vec()),
        other => ("a.arrow", ARROW[usize::from(other) - 12].to_vec()),
    }
}

/// Reads a file that `input` describes: one of several, changed.
pub fn check(input: &[u8]) {
    let Some((&which, edits)) = input.split_first() else {
        return;
    };
    let (name, bytes) = base(which);
    let mut files = Files::from([(name.to_owned(), Entry::Bytes(bytes))]);
    apply(&mut files, edits);
    // Nobody writes to a FIFO, and a long file takes as long to read.
    let is_plain = |entry: &Entry| matches!(entry, Entry::Bytes(_));
    if files.len() != 1 || !files.values().all(is_plain) {
        return;
    }
    let place = place();
    write(&files, place.path());
    let path = place.path().join(name);
    let whole = made(&path, &place.path().join("whole"), 1 << 30, 1);
    let cut = made(&path, &place.path().join("cut"), 1, 3);
    match (whole, cut) {
        (Ok(whole), Ok(cut)) => assert!(whole == cut, "{name}: units change documents"),
        (Err(error), Err(other)) => {
            for error in [error, other] {
                let line = error.to_string();
                assert!(line.len() < 4000 && !line.contains('\n'), "{line}");
                assert!(error.is_data(), "{line}");
            }
        }
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => {
            panic!("{name}: units decide whether it is refused: {error}")
        }
    }
}

/// The ids and kept fields of a dataset.
type Made = (Vec<u32>, Vec<u8>);

/// Makes a dataset of the file at `path`; it is complete.
fn made(path: &Path, out: &Path, unit: u64, threads: usize) -> Result<Made, Error> {
    let mut config = config();
    config.settings.id_field = Some("id".to_owned());
    config.settings.unit_size_bytes = unit;
    config.threads = threads;
    let mut options = CorpusOptions::default();
    if path.extension().is_some_and(|extension| extension == "txt") {
        options.documents = TextDocuments::Separated;
        "||".clone_into(&mut config.settings.separator);
    }
    let corpus = Corpus::open(&[path.into()], &options)?;
    if let Some(field) = corpus.text_field() {
        field.clone_into(&mut config.settings.text_field);
    }
    let stats = Stats::default();
    tokenize(&corpus, encoding(), &config, out, &json!({}), &stats)?;
    verify(out, &stats).unwrap();
    let store = TokenStore::open(out).unwrap();
    let mut ids = vec![0; usize::try_from(store.n_tokens()).unwrap()];
    store.read(0, &mut ids).unwrap();
    let mut fields = Vec::new();
    for index in 0..store.n_shards() {
        fields.extend(store.shard(index).unwrap().fields());
    }
    Ok((ids, fields))
}

/// Reads the file of this number unchanged.
pub fn read_unchanged(which: u8) -> Vec<u32> {
    let (name, bytes) = base(which);
    let place = place();
    let path = place.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    made(&path, &place.path().join("out"), 1 << 30, 1)
        .unwrap()
        .0
}
