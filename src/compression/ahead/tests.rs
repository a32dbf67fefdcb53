use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::compression::{Compression, Decompressor};

/// Text that becomes a third of its size.
fn text(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut text = Vec::with_capacity(bytes + 24);
    while text.len() < bytes {
        writeln!(text, "word {} follows {}", next() % 5000, next() % 700).unwrap();
    }
    text.truncate(bytes);
    text
}

/// Bytes that cannot be compressed.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut noise: Vec<u8> = std::iter::repeat_with(step)
        .take(bytes / 8)
        .flatten()
        .collect();
    noise.resize(bytes, 7);
    noise
}

fn zstd(part: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(part, 1).unwrap()
}

/// A frame to be skipped.
fn skippable(bytes: u8) -> Vec<u8> {
    let mut frame = vec![0x5a, 0x2a, 0x4d, 0x18, bytes, 0, 0, 0];
    frame.resize(8 + usize::from(bytes), 1);
    frame
}

/// A member as bgzip writes it.
fn block(part: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(part).unwrap();
    let deflated = encoder.finish().unwrap();
    let mut sum = flate2::Crc::new();
    sum.update(part);
    let mut block = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0".to_vec();
    let length = block.len() + 2 + deflated.len() + 8;
    block.extend(u16::try_from(length - 1).unwrap().to_le_bytes());
    block.extend(deflated);
    block.extend(sum.sum().to_le_bytes());
    block.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
    block
}

fn blocks(text: &[u8]) -> Vec<u8> {
    let mut blocks: Vec<u8> = text.chunks(60_000).flat_map(block).collect();
    // bgzip ends every file so.
    blocks.extend(block(b""));
    blocks
}

/// Returns some bytes, and then an error.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self.0.read(to)? {
            0 => Err(io::Error::other("the disk is gone")),
            read => Ok(read),
        }
    }
}

/// What a reader sees: all text up to an error, and that error or the hash of what is stored.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    text: Vec<u8>,
    end: Result<String, String>,
    stored: u64,
}

fn read(
    compression: Compression,
    reader: impl Read + Send + 'static,
    ahead: Option<&Arc<Ahead>>,
    step: usize,
) -> Seen {
    let mut data = Decompressor::new(compression, Path::new("a"), Box::new(reader)).unwrap();
    if let Some(ahead) = ahead {
        data.decode_ahead(ahead);
    }
    let mut text = Vec::new();
    loop {
        let wanted = text.len() + step;
        match data.read(&mut text, wanted) {
            Ok(false) => assert_eq!(text.len(), wanted),
            Ok(true) => {
                assert_eq!(data.decoded_bytes(), data.stored_bytes());
                return Seen {
                    text,
                    end: Ok(format!("{:?}", data.take_hash())),
                    stored: data.stored_bytes(),
                };
            }
            Err(error) => {
                return Seen {
                    text,
                    end: Err(error.to_string()),
                    stored: 0,
                };
            }
        }
    }
}

/// Reads `data` with two threads that decode ahead, with none that does, and as it comes; returns
/// what all see.
fn compare(compression: Compression, data: &[u8], step: usize) -> Seen {
    let ahead = Ahead::for_run(4);
    let reader = || io::Cursor::new(data.to_vec());
    let is_over = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    ahead.help();
                }
            });
        }
        let seen = read(compression, reader(), Some(&ahead), step);
        is_over.store(true, Ordering::Relaxed);
        seen
    });
    let alone = read(compression, reader(), None, step);
    // Assertions do not print megabytes.
    assert!(seen == alone, "{:?} {:?}", seen.end, alone.end);
    assert!(ahead.offered.load(Ordering::Relaxed) > 0);
    assert_eq!(ahead.room.load(Ordering::Relaxed), 3, "room was lost");
    // Without help, the reader decodes the parts itself.
    assert!(read(compression, reader(), Some(&ahead), step) == alone);
    assert_eq!(ahead.room.load(Ordering::Relaxed), 3, "room was lost");
    seen
}

#[test]
fn text_is_the_same_whatever_the_frames() {
    let mut data = Vec::new();
    let mut expected = Vec::new();
    let mut add = |part: Vec<u8>| {
        data.extend(zstd(&part));
        expected.extend(part);
    };
    for (number, bytes) in (0..).zip([40_000, 0, 1, 300_000, 2_000_000, 70_000]) {
        add(text(bytes, number));
    }
    for number in 0..300 {
        add(text(usize::try_from(number * 97 % 9000).unwrap(), number));
    }
    // Too long a frame, and others behind it.
    add(noise(MAX_FIRST_BYTES + 100_000));
    for number in 0..30 {
        add(text(100_000, number));
    }
    let data = [data, skippable(0), skippable(200)].concat();
    for step in [1 << 20, 300_000] {
        let seen = compare(Compression::Zstd, &data, step);
        assert!(seen.text == expected);
        assert!(seen.end.is_ok(), "{:?}", seen.end);
    }
}

#[test]
fn text_is_the_same_whatever_the_blocks() {
    let expected = text(9_000_000, 3);
    let data = blocks(&expected);
    assert!(compare(Compression::Gzip, &data, 1 << 20).text == expected);
    // Members of another kind, and zeros, between blocks.
    let mut other = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    other.write_all(b"other").unwrap();
    let other = other.finish().unwrap();
    let mixed = [&data[..], &other, &[0; 100], &data, &other].concat();
    let seen = compare(Compression::Gzip, &mixed, 1 << 20);
    assert!(seen.text == [&expected[..], b"other", &expected, b"other"].concat());
}

#[test]
fn too_much_text_is_decoded_as_it_is_read() {
    let zeros = vec![0; 3 * MAX_TEXT_BYTES];
    let data = [zstd(b"a"), zstd(&zeros), zstd(b"b")].concat();
    assert!(data.len() < PART_BYTES);
    let seen = compare(Compression::Zstd, &data, 1 << 20);
    assert!(seen.text == [b"a", &zeros[..], b"b"].concat());
}

/// The same text comes before the same error, at the same byte.
#[test]
fn damage_anywhere_is_found_where_it_is() {
    let text = text(2_500_000, 5);
    let frames: Vec<u8> = text.chunks(90_000).flat_map(zstd).collect();
    for (compression, data) in [
        (Compression::Zstd, frames),
        (Compression::Gzip, blocks(&text)),
    ] {
        let mut errors = 0;
        for at in (100_000..data.len()).step_by(data.len() / 40) {
            let mut changed = data.clone();
            changed[at] ^= 0x41;
            errors += usize::from(compare(compression, &changed, 1 << 20).end.is_err());
            errors += usize::from(compare(compression, &data[..at], 1 << 20).end.is_err());
            let mut inserted = data.clone();
            inserted.splice(at..at, *b"no data");
            errors += usize::from(compare(compression, &inserted, 1 << 20).end.is_err());
        }
        assert!(errors > 70, "{compression:?}: {errors}");
    }
}

#[test]
fn what_was_read_before_an_error_comes_before_it() {
    let text = text(2_500_000, 6);
    let frames: Vec<u8> = text.chunks(90_000).flat_map(zstd).collect();
    let frames: &'static [u8] = frames.leak();
    for end in [frames.len() / 2, frames.len() - 1, frames.len()] {
        let ahead = Ahead::for_run(3);
        let reader = || Failing(&frames[..end]);
        let seen = read(Compression::Zstd, reader(), Some(&ahead), 1 << 20);
        let alone = read(Compression::Zstd, reader(), None, 1 << 20);
        assert!(seen == alone, "{:?} {:?}", seen.end, alone.end);
        let error = seen.end.unwrap_err();
        assert!(error.contains("the disk is gone"), "{error}");
        assert!(text.starts_with(&seen.text));
    }
}

#[test]
fn a_part_is_decoded_once_by_whoever_comes_first() {
    let ahead = Ahead::for_run(3);
    let text = text(100_000, 8);
    let stored = zstd(&text);
    let offer = |stored: &[u8]| {
        let decoder = Compression::Zstd.row().decoder.unwrap();
        Part::new(ahead.room().unwrap(), decoder, stored.to_vec())
    };
    let [first, second] = [offer(&stored), offer(&stored)];
    assert!(ahead.room().is_none());
    assert!(ahead.help());
    // The reader decodes the second, which is then passed over.
    assert!(second.text().is_none());
    assert!(!ahead.help());
    let mut found = first.text().unwrap();
    assert!(found.take(text.len() + 1) == text);
    assert!(found.take(1).is_empty());
    drop((first, second));
    assert!(ahead.room().is_some());
    drop(found);
    // One that its reader has given up is passed over, too, and one that is damaged is returned.
    drop(offer(&stored));
    let damaged = offer(&stored[..100]);
    assert!(ahead.help() && !ahead.help());
    assert!(damaged.text().is_none());
}

#[test]
fn two_threads_decode_nothing_ahead() {
    let data: Vec<u8> = text(3_000_000, 7).chunks(90_000).flat_map(zstd).collect();
    for (threads, is_ahead) in [(1, false), (2, false), (3, true)] {
        let ahead = Ahead::for_run(threads);
        let reader = io::Cursor::new(data.clone());
        let seen = read(Compression::Zstd, reader, Some(&ahead), 1 << 20);
        assert!(seen.end.is_ok());
        assert_eq!(ahead.offered.load(Ordering::Relaxed) > 0, is_ahead);
    }
}

#[test]
fn what_data_begins_with_is_told_from_its_headers() {
    let frame = zstd(&text(100_000, 1));
    let member = block(&text(50_000, 1));
    for (compression, data) in [(Compression::Zstd, frame), (Compression::Gzip, member)] {
        let first = compression.row().first.unwrap();
        let longer = [&data[..], b"more"].concat();
        assert_eq!(first(&longer), First::Whole(data.len()));
        for end in 0..data.len() {
            let found = first(&data[..end]);
            assert_eq!(found, First::Unfinished, "{compression:?} {end}");
        }
        assert_eq!(first(b"no data, at all"), First::Other);
    }
    let member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let member = member.finish().unwrap();
    assert_eq!(
        (Compression::Gzip.row().first.unwrap())(&member),
        First::Other
    );
}
