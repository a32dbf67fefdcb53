//! Compressed inputs: the same documents as when they are plain, whatever the way they come in.

pub(crate) mod bombs;
mod damage;
mod names;
mod same;
mod shared;

use std::io::Write;

use shardmill::compression::{COMPRESSIONS, Compression};

use crate::common_dataset::text;

/// `parts` as gzip members, one after another.
pub(super) fn gzip(parts: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for part in parts {
        let mut encoder = flate2::write::GzEncoder::new(&mut data, flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    data
}

/// `parts` as zstd frames with checksums, one after another.
pub(super) fn zstd(parts: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for part in parts {
        let mut encoder = zstd::Encoder::new(&mut data, 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    data
}

/// A frame that is to be skipped.
pub(super) fn skippable(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [b"\x5a\x2a\x4d\x18", &length[..], bytes].concat()
}

/// `parts` in a compression, one after another.
pub(super) fn pack(compression: Compression, parts: &[&[u8]]) -> Vec<u8> {
    match compression {
        Compression::Gzip => gzip(parts),
        Compression::Zstd => zstd(parts),
        Compression::Xz => {
            let mut data = Vec::new();
            for part in parts {
                let mut encoder = liblzma::write::XzEncoder::new(&mut data, 1);
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap();
            }
            data
        }
        Compression::Bzip2 => {
            let mut data = Vec::new();
            for part in parts {
                let level = bzip2::Compression::fast();
                let mut encoder = bzip2::write::BzEncoder::new(&mut data, level);
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap();
            }
            data
        }
        other => panic!("{other:?} has no test"),
    }
}

/// Every compression, with the extension that names it.
pub(super) fn all() -> impl Iterator<Item = (Compression, &'static str)> {
    COMPRESSIONS
        .iter()
        .map(|row| (row.compression, row.extensions[0]))
}

/// JSON Lines of at least `bytes` bytes, with blank lines, escapes and empty documents.
pub(super) fn records(bytes: usize) -> Vec<u8> {
    let mut lines = Vec::new();
    let texts = [text("udhr.txt"), text("code.txt")];
    let paragraphs = texts.iter().flat_map(|text| text.split("\n\n")).cycle();
    for (index, paragraph) in paragraphs.enumerate() {
        if lines.len() >= bytes {
            break;
        }
        let record = serde_json::json!({"id": index, "text": paragraph, "more": [index, null]});
        writeln!(lines, "{record}").unwrap();
        if index % 13 == 0 {
            lines.extend_from_slice(b"\r\n{\"text\":\"\"}\n");
        }
    }
    lines
}

/// `bytes` in three parts that end anywhere.
pub(super) fn thirds(bytes: &[u8]) -> [&[u8]; 3] {
    let (first, rest) = bytes.split_at(bytes.len().div_ceil(3));
    let (second, third) = rest.split_at(rest.len() / 2);
    [first, second, third]
}
