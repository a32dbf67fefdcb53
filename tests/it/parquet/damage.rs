//! Files that are cut short, changed, or lie.

use std::fs;
use std::path::Path;

use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::reader::{FileReader, SerializedFileReader};
use tempfile::TempDir;

use super::{Layout, parquet};
use crate::columnar::{flip, run, short_texts, texts};
use crate::common_dataset::{config, ids_of};
use crate::support::fixture;

/// Small files that are laid out in different ways.
fn files() -> Vec<Vec<u8>> {
    let rows = short_texts();
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
        for end in (0..file.len()).step_by(17) {
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
    let (refused, count) = flip("parquet", files().into_iter().map(|file| (file, 11)));
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

/// A copy of a file in which the header of the dictionary of its texts, a struct in Thrift's compact
/// protocol that is `{1: 2, 2: i32, 3: i32, 7: {1: i32, ...`, says other sizes.
fn with_dictionary_sizes(path: &Path, decoded: u32, values: u32) -> Vec<u8> {
    let varint = |mut number: u32| {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        bytes.push(number.to_le_bytes()[0]);
        bytes
    };
    let file = fs::read(path).unwrap();
    let skip = |at: usize| at + file[at..].iter().position(|byte| *byte < 0x80).unwrap() + 1;
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let text = reader.metadata().row_group(0).column(1);
    let start = usize::try_from(text.dictionary_page_offset().unwrap()).unwrap();
    assert_eq!(file[start..start + 3], [0x15, 4, 0x15]);
    let size = start + 3;
    // The checksum may come before the dictionary.
    let rest = skip(size);
    let dictionary = rest
        + file[rest..]
            .iter()
            .position(|byte| byte & 0xf == 0xc)
            .unwrap();
    let count = dictionary + 2;
    let mut copy = file[..size].to_vec();
    copy.extend(varint(2 * decoded));
    copy.extend(&file[rest..count]);
    copy.extend(varint(2 * values));
    copy.extend(&file[skip(count)..]);
    copy
}

#[test]
fn headers_of_pages_that_lie_are_refused_without_memory() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let path = directory.path().join("a.parquet");
    let rows: Vec<_> = (0..300)
        .map(|row| Some(format!("text of {}", row % 7)))
        .collect();
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::LZ4_RAW,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let layout = Layout {
            compression,
            encoding: None,
            ..Layout::PLAIN
        };
        let file = parquet(&rows, layout);
        let place = "row group 0, column 'text': has a ";
        for (decoded, values, what) in [
            (u32::MAX / 4, 7, " that says it stands for 1,073,741,823"),
            (
                80,
                u32::MAX / 4,
                " bytes that says it has 1,073,741,823 values",
            ),
        ] {
            fs::write(&path, &file).unwrap();
            let lie = with_dictionary_sizes(&path, decoded, values);
            fs::write(&path, lie).unwrap();
            let error = run(&path, &out).unwrap_err().to_string();
            assert!(
                error.contains(place) && error.contains(what),
                "{compression}: {error}"
            );
        }
    }
}

#[test]
fn columns_that_are_nested_too_deep_or_encrypted_are_refused() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let path = directory.path().join("a.parquet");
    // Metadata with a version and the schema: elements with a name that have one child each.
    for depth in [129_u32, 1_000_000] {
        let mut metadata = vec![0x15, 4, 0x19, 0xfc];
        let mut count = depth + 1;
        while count >= 0x80 {
            metadata.push(count.to_le_bytes()[0] | 0x80);
            count >>= 7;
        }
        metadata.push(count.to_le_bytes()[0]);
        metadata.extend([0x48, 1, b'a', 0x15, 2, 0].repeat(depth as usize));
        metadata.extend([0x15, 12, 0x38, 1, b'a', 0, 0]);
        let length = u32::try_from(metadata.len()).unwrap().to_le_bytes();
        fs::write(&path, [&b"PAR1"[..], &metadata, &length, b"PAR1"].concat()).unwrap();
        let error = run(&path, &out).unwrap_err();
        let problem = format!(
            "{}: its columns are nested more than 128 deep",
            path.display()
        );
        assert_eq!(error.problem(), problem);
    }
    let path = fixture("hostile/encrypted_column.parquet");
    let error = run(&path, &out).unwrap_err();
    let problem = format!(
        "{}: column 'text' is encrypted, which is not supported",
        path.display()
    );
    assert_eq!(error.problem(), problem);
    let mut config = config(1 << 30);
    config.settings.text_field = "open".to_owned();
    ids_of(&path, &config, &out).unwrap();
}
