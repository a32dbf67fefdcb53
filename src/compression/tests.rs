use std::io::Write;

use super::*;

#[test]
fn names_and_content_choose_the_compression() {
    for row in &COMPRESSIONS {
        let compression = row.compression;
        assert_eq!(compression.row().compression, compression);
        for extension in row.extensions {
            let path = format!("a.b/c.jsonl.{extension}");
            let inside = Path::new("a.b/c.jsonl").to_owned();
            assert_eq!(
                Compression::of_path(Path::new(&path)),
                Some((compression, inside))
            );
        }
    }
    assert_eq!(COMPRESSIONS.len(), Compression::ALL.len());
    for name in ["gz", "a.gzip.txt", "a.7z", ".gz"] {
        assert_eq!(Compression::of_path(Path::new(name)), None, "{name}");
    }
    for (head, found) in [
        (&b"\x1f\x8b\x08"[..], Some(Compression::Gzip)),
        (b"\x28\xb5\x2f\xfd", Some(Compression::Zstd)),
        (b"\x5a\x2a\x4d\x18\0", Some(Compression::Zstd)),
        (b"\x28\xb5\x2f", None),
        (b"P*M", None),
        (b"\xfd7zXZ\0", Some(Compression::Xz)),
        (b"BZh91AY&SY", Some(Compression::Bzip2)),
        (b"BZh9\x17\x72\x45\x38\x50\x90", Some(Compression::Bzip2)),
        (b"BZh", None),
        (b"BZhang wrote this", None),
        (b"BZh9 is a chess opening", None),
        (b"", None),
    ] {
        assert_eq!(Compression::of_content(head), found, "{head:?}");
    }
}

/// With the default features there is none that is missing.
#[test]
fn a_feature_that_is_missing_is_named() {
    for row in COMPRESSIONS.iter().filter(|row| row.decoder.is_none()) {
        let name = row.compression.name();
        let Err(error) = row.compression.decoder(Path::new("a")) else {
            panic!("{name} is decoded");
        };
        let what = format!(
            "a: is {name} data, and this program was built without the feature '{name}'; decode it \
             in a pipe: {name} -dc FILE | shardmill tokenize - `format` FORMAT"
        );
        assert_eq!(error.to_string(), what);
    }
}

fn pack(compression: Compression, parts: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for part in parts {
        match compression {
            Compression::Gzip => {
                let level = flate2::Compression::default();
                let mut encoder = flate2::write::GzEncoder::new(&mut data, level);
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap();
            }
            Compression::Zstd => data.extend(::zstd::encode_all(*part, 1).unwrap()),
            Compression::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(&mut data, 1);
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap();
            }
            Compression::Bzip2 => {
                let level = ::bzip2::Compression::fast();
                let mut encoder = ::bzip2::write::BzEncoder::new(&mut data, level);
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap();
            }
        }
    }
    data
}

/// Decodes `data`, of which the decoder sees `step` bytes at once, into pieces of `room` bytes.
fn decode(compression: Compression, data: &[u8], step: usize, room: usize) -> Option<Vec<u8>> {
    let mut decoder = compression.decoder(Path::new("a")).unwrap();
    let mut all = Vec::new();
    let mut at = 0;
    loop {
        let mut output = Vec::with_capacity(room);
        let input = &data[at..data.len().min(at + step)];
        at += decoder.decode(input, &mut output).ok()?;
        if input.is_empty() && output.is_empty() {
            return decoder.may_end().then_some(all);
        }
        all.append(&mut output);
    }
}

#[test]
fn data_may_come_and_go_in_any_pieces() {
    let text: Vec<u8> = (0..9000_u32).flat_map(|i| (i * i).to_le_bytes()).collect();
    let parts = [&text[..], b"", &text[..7]];
    let expected = parts.concat();
    for row in COMPRESSIONS.iter().filter(|row| row.decoder.is_some()) {
        let compression = row.compression;
        let data = pack(compression, &parts);
        for step in [1, 2, 3, 5, 18, 4096, data.len()] {
            for room in [1, 7, 1000, 1 << 20] {
                let found = decode(compression, &data, step, room);
                assert!(
                    found.as_ref() == Some(&expected),
                    "{compression:?} {step} {room}"
                );
            }
            // What follows, or is missing, is seen however the data is split.
            let longer = [&data[..], b"x"].concat();
            assert!(decode(compression, &longer, step, 1000).is_none());
            let shorter = &data[..data.len() - 1];
            assert!(decode(compression, shorter, step, 1000).is_none());
        }
    }
}
