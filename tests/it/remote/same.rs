//! The same bytes from a store as from a disk.

use std::fmt::Write;

use parquet::basic::Compression;

use super::server::{Server, encoded, server};
use super::{command, run, run_with, upload};
use crate::arrow::{self, Kind, arrow};
use crate::common_dataset::text;
use crate::compressed::{all, pack, records, thirds};
use crate::parquet::{Layout, parquet};
use crate::support::{Done, Place, output_bytes};

/// Files of each format and compression, most of them larger than what is read at once.
pub(super) fn corpus() -> Place {
    let place = Place::new();
    let [shakespeare, udhr] = ["tinyshakespeare.txt", "udhr.txt"].map(text);
    place.write("in/text/large.txt", format!("{shakespeare}{udhr}"));
    place.write("in/text/small.txt", &udhr[..4000]);
    place.write("in/text/empty.txt", "");
    // No place to cut for more than a window.
    place.write(
        "in/text/long.txt",
        format!("{} a {}", "x".repeat(700_000), "y ".repeat(400_000)),
    );
    let lines = records(2 << 20);
    place.write("in/lines/large.jsonl", &lines);
    place.write(
        "in/lines/open.json",
        &lines[..=memchr::memchr(b'\n', &lines[3000..]).unwrap() + 3000],
    );
    let line_end = 700_000 + memchr::memchr(b'\n', &lines[700_000..]).unwrap();
    for (compression, extension) in all() {
        place.write(
            format!("in/lines/packed.jsonl.{extension}"),
            pack(compression, &thirds(&lines[..=line_end])),
        );
        place.write(
            format!("in/text/packed.txt.{extension}"),
            pack(compression, &[shakespeare.as_bytes()]),
        );
    }
    let mut table = String::from("id,text\r\n");
    for (index, paragraph) in udhr.split("\n\n").enumerate() {
        let quoted = paragraph.replace('"', "\"\"");
        write!(table, "{index},\"{quoted}\"\r\n").unwrap();
    }
    place.write("in/table.csv", table);
    // Several blocks of an object, and row groups of several pages.
    let words: Vec<_> = udhr.split_inclusive(' ').cycle().take(600_000).collect();
    let rows: Vec<_> = words
        .chunks(100)
        .map(|words| Some(words.concat()))
        .collect();
    for (name, compression, group_rows) in [
        ("plain", Compression::UNCOMPRESSED, 1000),
        ("snappy", Compression::SNAPPY, 20_000),
    ] {
        let layout = Layout {
            compression,
            group_rows,
            page_bytes: 100_000,
            ..Layout::PLAIN
        };
        place.write(format!("in/{name}.parquet"), parquet(&rows, layout));
    }
    for (name, is_file, kind, is_compressed) in [
        ("stream", false, Kind::Utf8, false),
        ("file", true, Kind::LargeBinary, false),
        ("packed", true, Kind::Utf8, true),
        ("views", false, Kind::View, false),
    ] {
        let layout = arrow::Layout {
            is_file,
            batch_rows: 1500,
            kind,
            is_compressed,
        };
        place.write(format!("in/{name}.arrow"), arrow(&rows, layout));
    }
    place
}

fn large_corpus(unchecked: &str) -> Option<(&'static Server, Place, String)> {
    let server = server(unchecked)?;
    let place = corpus();
    let bucket = upload(server, &place);
    Some((server, place, bucket))
}

/// Runs `command` with each input, and compares what is made, and what is said on standard output.
#[track_caller]
fn compare(server: &Server, place: &Place, inputs: [&str; 2], options: &str) {
    let [local, remote] = [("local", inputs[0]), ("remote", inputs[1])].map(|(out, input)| {
        let mut args = vec![
            "tokenize",
            input,
            "--out",
            out,
            "--overwrite",
            "--durability",
            "none",
        ];
        args.extend(options.split_whitespace());
        let done = run(place, &server.url(), &args);
        assert_eq!(done.code, Some(0), "{args:?}: {done:?}");
        output_bytes(&place.path(out))
    });
    assert!(local == remote, "{inputs:?} {options}");
}

#[test]
fn each_format_and_compression_makes_the_same_dataset() {
    let Some((server, place, bucket)) = large_corpus("datasets from object stores") else {
        return;
    };
    let prefix = format!("s3://{bucket}/pre/");
    for options in [
        "--unit-size 300kB --threads 4",
        "--unit-size 1MB --threads 1 --validation 10%",
        "--unit-size 64MB --documents paragraphs",
        "--unit-size 300kB --separator .",
        "--unit-size 300kB --max-document-bytes 1MB",
        "--unit-size 200kB --documents lines --threads 2 --tokenizer o200k_base",
    ] {
        compare(server, &place, ["in", &prefix], options);
    }
    let plan = |input: &str| {
        let args = ["plan", input, "--unit-size", "300kB", "--json"];
        let mut plan = run(&place, &server.url(), &args).json();
        plan["estimate"]["sample_bytes"].take();
        plan.to_string()
    };
    let same = |text: String, input| text.replace(input, "IN").replace("s3://", "");
    assert_eq!(same(plan("in"), "in/"), same(plan(&prefix), &prefix[5..]));
    let verified = run(
        &place,
        &server.url(),
        &[
            "verify",
            "local",
            "--inputs",
            &prefix,
            "--documents",
            "lines",
        ],
    );
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn google_cloud_storage_makes_the_same_dataset() {
    // Its lists and objects are those of S3; who asks is said in another way.
    let Some((server, place, bucket)) = large_corpus("datasets from Google Cloud Storage") else {
        return;
    };
    let [local, remote] =
        [("local", "in"), ("remote", &format!("gs://{bucket}/pre/"))].map(|(out, input)| {
            let args = ["tokenize", input, "--out", out, "--unit-size", "300kB"];
            let mut command = command(&place, "", &args);
            command
                .env("GOOGLE_BASE_URL", server.url())
                .env("GOOGLE_BEARER_TOKEN", "token");
            let done = Done::new(command.output().unwrap());
            assert_eq!(done.code, Some(0), "{args:?}: {done:?}");
            output_bytes(&place.path(out))
        });
    assert!(local == remote);
}

#[test]
fn records_that_are_left_out_have_the_same_lines() {
    let Some(server) = server("bad records from object stores") else {
        return;
    };
    let place = Place::new();
    let mut lines = records(3 << 20);
    for at in [2_000_000, 1_000_000, 10_000] {
        let end = at + memchr::memchr(b'\n', &lines[at..]).unwrap() + 1;
        lines.splice(end..end, *b"{\"other\":1}\n{\"text\":1}\n");
    }
    place.write("in/a.jsonl", lines);
    let bucket = upload(server, &place);
    for options in [
        "--bad-records skip --unit-size 700kB",
        "--bad-records skip --unit-size 700kB --threads 1",
    ] {
        compare(
            server,
            &place,
            ["in", &format!("s3://{bucket}/pre")],
            options,
        );
    }
}

#[test]
fn an_object_is_an_input_like_any_other() {
    let Some(server) = server("objects next to other inputs") else {
        return;
    };
    let place = Place::new();
    place.write("in/a b/c.txt", text("udhr.txt"));
    place.write("in/d.jsonl", records(1 << 21));
    let bucket = upload(server, &place);
    let urls = [
        format!("s3://{bucket}/pre/a b/c.txt"),
        format!("s3a://{bucket}/pre/d.jsonl"),
        format!("{}/{bucket}/pre/{}", server.url(), encoded("a b/c.txt")),
    ];
    let files = ["in/a b/c.txt", "in/d.jsonl", "in/a b/c.txt"];
    let unit = ["--unit-size", "300kB"];
    let tokenize = |inputs: &[&str], out: &str, stdin: &[u8]| {
        let args = [&["tokenize", "--out", out], &unit[..], inputs].concat();
        let done = run_with(&place, &server.url(), &args, stdin);
        assert_eq!(done.code, Some(0), "{args:?}: {done:?}");
        output_bytes(&place.path(out))
    };
    let local = tokenize(&files, "local", b"");
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    assert!(local == tokenize(&urls, "remote", b""));
    place.write("list", urls.join("\n"));
    assert!(local == tokenize(&["--files-from", "list"], "listed", b""));
    // Next to a stream, everything is read in order.
    let stream = tokenize(&[&["-"][..], &files].concat(), "stream", b"some text");
    assert!(stream == tokenize(&[&["-"][..], &urls].concat(), "remote-stream", b"some text"));
}
