//! The cuts of units and the records of JSON Lines: all cuts lead to the documents that a plain
//! reader finds, or to its error.

use std::fs;
use std::ops::Range;

use serde_json::{Value, json};
use shardmill::document::{BadRecords, Format};
use shardmill::{Corpus, CorpusOptions, Error, Stats, TokenStore, tokenize, verify};

use super::base::config;
use super::{encoding, place};

/// The first bytes of `input` choose format, unit size and threads. What [`tokenize`] makes of the
/// input must not depend on the latter two.
pub fn check(input: &[u8]) {
    let Some((&[how, unit], source)) = input.split_first_chunk() else {
        return;
    };
    if is_foreign(source) {
        return;
    }
    let name = ["a.txt", "a.jsonl"][usize::from(how % 2)];
    let expected = expected(source, name);
    let whole = made(source, name, 1 << 30, 1);
    let unit = 1 + u64::from(unit) * u64::from(unit) / 8;
    let cut = made(source, name, unit, 1 + usize::from(how / 2 % 2));
    assert_eq!(whole, cut, "units of {unit} bytes");
    match (expected, whole) {
        (Some(expected), Ok(found)) => assert_eq!(found, expected),
        (None, Ok(_)) => assert!(name == "a.jsonl" && is_beyond_plain_reader(source)),
        (Some(_), Err(error)) => panic!("{error}"),
        (None, Err(_)) => {}
    }
}

/// A document: its range in the source, and its text.
type Found = (Range<u64>, String);

/// The documents of the dataset made from `source`, or the error.
fn made(source: &[u8], name: &str, unit: u64, threads: usize) -> Result<Vec<Found>, String> {
    let place = place();
    let path = place.path().join(name);
    fs::write(&path, source).unwrap();
    let out = place.path().join("d");
    let mut config = config();
    config.settings.bad_records = BadRecords::Error;
    config.settings.unit_size_bytes = unit;
    config.threads = threads;
    let describe = |error: Error| {
        let error = error.to_string();
        error.replace(place.path().to_str().unwrap(), "")
    };
    let mut options = CorpusOptions::default();
    // Text may look like anything.
    options.format = Some(Format::of_path(&path));
    let corpus = Corpus::open(&[path.into_os_string()], &options).map_err(describe)?;
    let stats = Stats::default();
    tokenize(&corpus, encoding(), &config, &out, &json!({}), &stats).map_err(describe)?;
    verify(&out, &stats).unwrap();
    let store = TokenStore::open(&out).unwrap();
    let text = |tokens: Range<u64>| {
        let mut ids = vec![0; usize::try_from(tokens.end - tokens.start).unwrap()];
        store.read(tokens.start, &mut ids).unwrap();
        assert_eq!(ids.pop(), encoding().end_of_text());
        String::from_utf8(encoding().decode_bytes(&ids).unwrap()).unwrap()
    };
    Ok(store
        .documents()
        .map(Result::unwrap)
        .map(|document| (document.bytes, text(document.tokens)))
        .collect())
}

/// The documents of `source` by the format's definition; `None` if it is refused.
fn expected(source: &[u8], name: &str) -> Option<Vec<Found>> {
    if name == "a.txt" {
        let text = String::from_utf8(source.to_vec()).ok()?;
        return Some(vec![(0..source.len() as u64, text)]);
    }
    let mut found = Vec::new();
    let mut start = 0;
    for line in source.split_inclusive(|&byte| byte == b'\n') {
        let record = line.strip_suffix(b"\n").unwrap_or(line);
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        if !record.iter().all(|byte| b" \t\r".contains(byte)) {
            let value: Value = serde_json::from_slice(record).ok()?;
            let text = value.as_object()?.get("text")?.as_str()?;
            found.push((start..start + record.len() as u64, text.to_owned()));
        }
        start += line.len() as u64;
    }
    Some(found)
}

/// Whether it may contain something that Python reads and the plain reader does not: numbers beyond
/// f64, words for numbers, half of a surrogate pair, a byte order mark, deep nesting.
fn is_beyond_plain_reader(source: &[u8]) -> bool {
    let has = |part: &[u8]| source.windows(part.len()).any(|found| found == part);
    let digits = source.split(|byte| !byte.is_ascii_digit());
    let opened = source.iter().filter(|&&byte| byte == b'[' || byte == b'{');
    source
        .windows(2)
        .any(|pair| pair[0].is_ascii_digit() && pair[1].eq_ignore_ascii_case(&b'e'))
        || digits.map(<[u8]>::len).max().unwrap_or(0) > 300
        || [&b"NaN"[..], b"Infinity", b"\\ud", b"\\uD"]
            .iter()
            .any(|part| has(part))
        || source.starts_with(b"\xef\xbb\xbf")
        || opened.count() > 100
}

/// Whether it begins like a format that is refused by name.
fn is_foreign(source: &[u8]) -> bool {
    let magic: [&[u8]; 8] = [
        b"\x1f\x8b",
        b"\x28\xb5",
        b"\xfd7",
        b"BZ",
        b"\x04\x22",
        b"PK",
        b"PAR",
        b"ARR",
    ];
    magic.iter().any(|magic| source.starts_with(magic))
}
