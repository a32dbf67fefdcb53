//! Names that lie, and what is in compressed data that is no text.

use super::{all, gzip, pack, zstd};
use crate::support::Place;

/// Refuses `name` with `bytes` in it, from a file.
#[track_caller]
fn refused(place: &Place, name: &str, bytes: &[u8], what: &str) {
    place.write(name, bytes);
    let done = place.run(["tokenize", name, "--out", "out"]);
    done.failed(1, &format!("{name}: {what}"));
    assert!(!place.path("out").exists());
}

#[test]
fn a_name_that_lies_is_refused_with_what_the_file_is() {
    let place = Place::new();
    for (name, bytes, what) in [
        (
            "a.txt.gz",
            b"plain".to_vec(),
            "its name says gzip, and it is not gzip data; rename it to what it is",
        ),
        (
            "a.json.gz",
            b"{}".to_vec(),
            "its name says gzip, and it is not gzip data; rename it to what it is",
        ),
        (
            "b.jsonl.gz",
            zstd(&[b"{}"]),
            "its name says gzip, and it is zstd data; rename it to what it is",
        ),
        (
            "a.txt.zst",
            gzip(&[b"plain"]),
            "its name says zstd, and it is gzip data; rename it to what it is",
        ),
        (
            "c.txt.gz",
            Vec::new(),
            "is empty, while its name says gzip, which always has a header; get the file again, \
             or leave it out",
        ),
        (
            "a.jsonl",
            gzip(&[b"{\"text\":\"a\"}\n"]),
            "is gzip data, and its name does not say so; let its name end in .gz",
        ),
        (
            "a.txt",
            zstd(&[b"plain"]),
            "is zstd data, and its name does not say so; let its name end in .zst",
        ),
    ] {
        refused(&place, name, &bytes, what);
        // Whether it is read or mapped.
        if !bytes.is_empty() {
            let large = [&bytes, &vec![b'x'; 1_100_000][..]].concat();
            refused(&place, name, &large, what);
        }
    }
}

#[test]
fn a_format_is_believed_and_a_compression_is_seen() {
    let place = Place::new();
    let lines = b"{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
    place.write("lines.txt", lines);
    let args = |input: &'static str, format: &'static str, out: &'static str| {
        ["tokenize", input, "--input-format", format, "--out", out]
    };
    for format in ["text", "jsonl"] {
        let plain = place.run(args("lines.txt", format, "plain"));
        assert_eq!(plain.code, Some(0), "{plain:?}");
        let expected = place.read("plain/shard-00000.u32");
        for (compression, extension) in all() {
            let name = format!("lines.txt.{extension}");
            let data = pack(compression, &[lines]);
            place.write(&name, &data);
            let name: &'static str = name.leak();
            for stdin in [false, true] {
                let input = if stdin { "-" } else { name };
                let done = place.run_with(args(input, format, "out"), &data);
                assert_eq!(done.code, Some(0), "{done:?}");
                assert_eq!(place.read("out/shard-00000.u32"), expected);
                std::fs::remove_dir_all(place.path("out")).unwrap();
            }
        }
        std::fs::remove_dir_all(place.path("plain")).unwrap();
    }
    // As a stream it may be either.
    let done = place.run_with(["tokenize", "-", "--out", "out"], &gzip(&[lines]));
    let line = "-: looks like JSON Lines; choose --input-format jsonl or text";
    done.failed(1, line);
}

#[test]
fn what_is_no_text_is_refused_when_it_is_compressed_too() {
    let place = Place::new();
    let mut tar = vec![0; 1024];
    tar[148..156].copy_from_slice(b"0012345\0");
    tar[257..263].copy_from_slice(b"ustar\0");
    for (compression, extension) in all() {
        for (bytes, what) in [
            (
                &tar[..],
                "is tar data, which is not supported; give it as plain text or JSON Lines",
            ),
            (
                b"PAR1\x15\x04",
                "has Parquet data in it; write it to a file whose name ends in .parquet",
            ),
            (
                b"\x04\x22\x4d\x18\0",
                "is lz4 data, which is not supported; decode it in a pipe: lz4 -dc FILE | shardmill \
                 tokenize - --input-format FORMAT",
            ),
            (
                &gzip(&[b"plain"]),
                "is compressed twice: there is gzip data in it; decode it in a pipe: gzip -dc FILE \
                 | shardmill tokenize - --input-format FORMAT",
            ),
            (
                b"{\"a\":1}\n{\"a\":2}\n",
                "looks like JSON Lines; choose --input-format jsonl or text",
            ),
        ] {
            let name = format!("a.txt.{extension}");
            refused(&place, &name, &pack(compression, &[bytes]), what);
        }
    }
}
