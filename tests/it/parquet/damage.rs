//! Files that are cut short, changed, or lie.

use std::fs;
use std::panic;
use std::path::Path;

use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use shardmill::Error;
use shardmill::document::InvalidUtf8;
use tempfile::TempDir;

use super::{Layout, parquet, texts};
use crate::common_dataset::{config, ids_of};

fn run(path: &Path, out: &Path) -> Result<Vec<u8>, Error> {
    let mut config = config(1 << 30);
    config.settings.invalid_utf8 = InvalidUtf8::Replace;
    ids_of(path, &config, out)
}

/// Small files that are laid out in different ways.
fn files() -> Vec<Vec<u8>> {
    let rows: Vec<_> = texts(40)
        .into_iter()
        .flatten()
        .map(|text| Some(text.chars().take(60).collect::<String>()))
        .collect();
    let layout = |compression, encoding| Layout {
        compression,
        encoding,
        group_rows: 15,
        page_bytes: 300,
        ..Layout::PLAIN
    };
    [
        layout(Compression::UNCOMPRESSED, Some(Encoding::PLAIN)),
        layout(Compression::SNAPPY, None),
        layout(
            Compression::ZSTD(ZstdLevel::default()),
            Some(Encoding::DELTA_BYTE_ARRAY),
        ),
        layout(
            Compression::GZIP(GzipLevel::default()),
            Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        ),
    ]
    .map(|layout| parquet(&rows, layout))
    .into()
}

#[test]
fn a_file_that_is_cut_short_is_refused() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let path = directory.path().join("a.parquet");
    for file in files() {
        for end in (0..file.len()).step_by(7) {
            fs::write(&path, &file[..end]).unwrap();
            let error = run(&path, &out).unwrap_err();
            assert!(error.is_data(), "{end}: {error}");
            let expected = if end < 4 {
                "is not Parquet data"
            } else {
                "is Parquet data without its end, where its metadata is"
            };
            let problem = format!("{}: {expected}", path.display());
            assert_eq!(error.problem(), problem, "{end}");
        }
    }
}

#[test]
fn no_flipped_byte_is_a_panic() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let path = directory.path().join("a.parquet");
    // Panics of the library that reads the format become errors; as in the program, nothing is
    // printed of them.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !shardmill::guard::is_guarded() {
            hook(panic);
        }
    }));
    let mut refused = 0;
    let mut count = 0;
    for file in files() {
        for at in (0..file.len()).step_by(5) {
            let mut file = file.clone();
            file[at] = match at % 3 {
                0 => file[at] ^ 0x80,
                1 => 0xff,
                _ => file[at].wrapping_add(1),
            };
            fs::write(&path, file).unwrap();
            count += 1;
            if let Err(error) = run(&path, &out) {
                refused += 1;
                assert!(error.is_data(), "{at}: {error}");
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
    assert!(refused > count / 4, "{refused} of {count}");
}

#[test]
fn metadata_that_lies_about_rows_is_noticed() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let file = parquet(&texts(40), Layout::PLAIN);
    let length = [file.len() - 8, file.len() - 7].map(|at| usize::from(file[at]));
    let footer = file.len() - 8 - length[0] - 256 * length[1];
    // 40, the number of rows, is a zigzag varint of one byte: 80. It is there for the file, the row
    // group and each column.
    let places: Vec<_> = (footer..file.len() - 8)
        .filter(|&at| file[at] == 80)
        .collect();
    assert!((6..16).contains(&places.len()), "{places:?}");
    let path = directory.path().join("a.parquet");
    let whole = {
        fs::write(&path, &file).unwrap();
        run(&path, &out).unwrap()
    };
    let mut messages = Vec::new();
    for rows in [39_u8, 41] {
        // One that lies alone, and up to three that agree.
        let chosen = (1..1_u32 << places.len()).filter(|chosen| chosen.count_ones() <= 3);
        for chosen in chosen {
            let mut lie = file.clone();
            for (bit, &at) in places.iter().enumerate() {
                if chosen >> bit & 1 == 1 {
                    lie[at] = 2 * rows;
                }
            }
            fs::write(&path, lie).unwrap();
            match run(&path, &out) {
                Ok(ids) => assert!(ids == whole, "{chosen:b}"),
                Err(error) => messages.push(error.to_string()),
            }
        }
    }
    for expected in [
        "has 40 rows by its metadata, and 39 in its row groups",
        "has 39 values, and its row group 40 rows",
        "has more than the 39 rows of its group",
        "has 1 row less than the metadata says",
    ] {
        let is_there = messages.iter().any(|message| message.contains(expected));
        assert!(is_there, "{expected}: {messages:#?}");
    }
}
