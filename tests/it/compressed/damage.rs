//! Data that is cut short, changed, or followed by something else.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use shardmill::compression::Compression;
use shardmill::{Corpus, CorpusOptions, Error, Stats, tokenize};
use tempfile::TempDir;

use super::{all, gzip, pack, records, thirds, zstd};
use crate::common_dataset::{config, encoding, ids_of, text, write};
use crate::support::{Done, Place, after, output_bytes};

fn run(path: &Path, out: &Path) -> Result<Vec<u8>, Error> {
    ids_of(path, &config(1 << 30), out)
}

#[test]
fn data_cut_short_anywhere_is_an_error_at_its_end() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let bytes = records(400_000);
    for (compression, extension) in all() {
        let data = pack(compression, &thirds(&bytes));
        let ends = pack(compression, &thirds(&bytes)[..1]).len();
        let path = write(directory.path(), &format!("a.jsonl.{extension}"), b"");
        let some = (0..40).chain((40..data.len()).step_by(data.len() / 60));
        for cut in some.chain([ends - 1, ends + 1, data.len() - 1]) {
            fs::write(&path, &data[..cut]).unwrap();
            let error = run(&path, &out).unwrap_err();
            assert!(error.is_data(), "{cut}: {error}");
            assert!(
                !error.to_string().contains('\n') && !out.exists(),
                "{error}"
            );
            // Before that, it does not look like anything.
            if cut >= 10 {
                assert_eq!(error.byte(), Some(cut as u64), "{error}");
                assert!(error.to_string().contains("ends too early"), "{error}");
            }
        }
    }
}

/// The checksum of a file comes at its end, after records that damage has made unreadable.
#[test]
fn damage_is_not_blamed_on_a_record() {
    let directory = TempDir::new().unwrap();
    let record = |n: u32| format!("{{\"text\": \"{n} {}\"}}\n", n.wrapping_mul(2_654_435_761));
    let good: String = (0..50_000).map(record).collect();
    let bad = good.replacen("{\"text\": \"40000 ", "{\"text\": 40000 ", 1);
    for (compression, extension) in all() {
        let path = directory.path().join(format!("a.jsonl.{extension}"));
        // The record is bad and the data is sound: the record is to blame.
        let data = pack(compression, &[bad.as_bytes()]);
        fs::write(&path, &data).unwrap();
        let error = run(&path, &directory.path().join("out")).unwrap_err();
        assert!(error.to_string().contains("line 40001"), "{error}");
        // The data is damaged as well.
        fs::write(&path, &data[..data.len() - 3]).unwrap();
        let error = run(&path, &directory.path().join("out")).unwrap_err();
        assert!(error.to_string().contains("ends too early"), "{error}");
    }
}

/// Every byte, flipped: an error, or a byte that means nothing, such as a time.
#[test]
fn no_flipped_byte_changes_the_text() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let text = &text("the-verdict.txt")[..240];
    for (compression, extension) in all() {
        let (first, second) = text.as_bytes().split_at(100);
        let data = pack(compression, &[first, second]);
        let path = write(directory.path(), &format!("a.txt.{extension}"), &data);
        let expected = run(&path, &out).unwrap();
        let mut harmless = 0;
        for at in 0..data.len() {
            for bit in [0x01, 0xff] {
                let mut changed = data.clone();
                changed[at] ^= bit;
                fs::write(&path, changed).unwrap();
                match run(&path, &out) {
                    Ok(found) => {
                        assert!(found == expected, "{extension}: byte {at} ^ {bit}");
                        harmless += 1;
                    }
                    Err(error) => {
                        assert!(error.is_data(), "{error}");
                        assert_eq!(error.to_string().lines().count(), 1);
                        let found = error.byte().unwrap_or(0);
                        assert!(found <= data.len() as u64, "{error}");
                    }
                }
            }
        }
        // Times and names of systems in the headers of two members.
        assert!(harmless <= 2 * 2 * 7, "{extension}: {harmless}");
    }
}

#[test]
fn something_else_after_the_data_is_an_error_where_it_begins() {
    let place = Place::new();
    for (name, data, garbage, line) in [
        (
            "a.txt.gz",
            gzip(&[b"one", b"two"]),
            &b"garbage"[..],
            "something follows the gzip data that is neither gzip data nor zeros; get the file \
             again, or cut it off here",
        ),
        (
            "a.txt.zst",
            zstd(&[b"one", b"two"]),
            b"garbage",
            "something follows the zstd data that is not zstd data; get the file again, or cut it \
             off here",
        ),
        (
            "b.txt.zst",
            zstd(&[b"one", b"two"]),
            &[0; 512],
            "something follows the zstd data that is not zstd data; get the file again, or cut it \
             off here",
        ),
        (
            "a.txt.xz",
            pack(Compression::Xz, &[b"one", b"two"]),
            b"garbage",
            "something follows the xz data that is neither xz data nor padding; get the file again, \
             or cut it off here",
        ),
        (
            "a.txt.bz2",
            pack(Compression::Bzip2, &[b"one", b"two"]),
            b"garbage",
            "something follows the bzip2 data that is not bzip2 data; get the file again, or cut it \
             off here",
        ),
    ] {
        place.write(name, [&data, garbage].concat());
        let done = place.run(["tokenize", name, "--out", "out"]);
        done.failed(1, &format!("{name}: byte {}: {line}", data.len()));
    }
    assert!(!place.path("out").exists());
}

#[test]
fn a_checksum_that_does_not_hold_is_named() {
    let place = Place::new();
    let mut data = gzip(&[b"one two three"]);
    let at = data.len() - 8;
    data[at] ^= 1;
    place.write("a.txt.gz", &data);
    let done = place.run(["tokenize", "a.txt.gz", "--out", "out"]);
    let line = format!(
        "a.txt.gz: byte {}: the gzip data is damaged: incorrect data check; get the file again",
        at + 4
    );
    done.failed(1, &line);
    let mut data = zstd(&[b"one two three"]);
    let at = data.len() - 1;
    data[at] ^= 1;
    place.write("a.txt.zst", &data);
    let done = place.run(["tokenize", "a.txt.zst", "--out", "out"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("the zstd data is damaged: "),
        "{done:?}"
    );
    assert!(done.stderr.contains("checksum"), "{done:?}");
}

#[test]
fn a_window_that_is_too_large_is_refused() {
    let place = Place::new();
    let mut data = Vec::new();
    let mut encoder = zstd::Encoder::new(&mut data, 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(&records(2_000_000)).unwrap();
    encoder.finish().unwrap();
    place.write("a.jsonl.zst", data);
    let done = place.run(["tokenize", "a.jsonl.zst", "--out", "out"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let what = "needs a window of more than 128 MiB; decode it in a pipe: zstd -dc -M2048MB FILE | \
                shardmill tokenize - --input-format FORMAT";
    assert!(done.stderr.contains(what), "{done:?}");
}

/// Whatever it is for that there is no memory.
#[test]
fn too_little_memory_is_not_blamed_on_the_file() {
    let place = Place::new();
    let lines = records(100_000);
    // A frame that is flushed at once does not say how much text it has, so all of its window is taken.
    let mut frame = zstd::Encoder::new(Vec::new(), 1).unwrap();
    frame.window_log(27).unwrap();
    frame.flush().unwrap();
    frame.write_all(&lines).unwrap();
    place.write("a.jsonl.zst", frame.finish().unwrap());
    let mut stream = liblzma::write::XzEncoder::new(Vec::new(), 9);
    stream.write_all(&lines).unwrap();
    place.write("a.jsonl.xz", stream.finish().unwrap());
    for name in ["a.jsonl.zst", "a.jsonl.xz"] {
        let command = place.command(["tokenize", name, "--out", "d", "--threads", "1"]);
        let run = |megabytes: u32| {
            let mut limited = after(&format!("ulimit -v {megabytes}000"), &command);
            let done = Done::new(limited.output().unwrap());
            if done.code == Some(0) {
                fs::remove_dir_all(place.path("d")).unwrap();
            }
            assert!(matches!(done.code, Some(0 | 3)), "{megabytes}: {done:?}");
            assert!(!done.stderr.contains("damaged"), "{megabytes}: {done:?}");
            let is_said = done.stderr.contains("cannot decode: out of memory");
            (done.code, is_said)
        };
        let found: Vec<_> = (100..500).step_by(20).map(run).collect();
        assert!(found.contains(&(Some(3), true)), "{name}: {found:?}");
        assert!(found.contains(&(Some(0), false)), "{name}: {found:?}");
    }
}

/// Of a bad record and damage after it, the record is first.
#[test]
fn errors_keep_the_order_of_the_corpus() {
    let place = Place::new();
    for (compression, extension) in all() {
        let bad = pack(compression, &[b"{\"text\":\"a\"}\n{}\n"]);
        let good = pack(compression, &[b"{\"text\":\"a\"}\n"]);
        let names = [0, 1, 2].map(|index| format!("in/{index}.jsonl.{extension}"));
        place.write(&names[0], &good);
        place.write(&names[1], bad);
        place.write(&names[2], &good[..good.len() - 3]);
        for threads in ["1", "2", "7"] {
            let done = place.run(["tokenize", "in", "--threads", threads, "--out", "out"]);
            let line = format!(
                "{}: line 2: no field \"text\": the object is empty",
                names[1]
            );
            done.failed(1, &line);
        }
        let skip = ["--bad-records", "skip"];
        let done = place.run([&["tokenize", "in", "--out", "out"], &skip[..]].concat());
        let line = format!("{}: byte {}: the ", names[2], good.len() - 3);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stderr.contains(&line), "{done:?}");
        fs::remove_dir_all(place.path("in")).unwrap();
    }
}

#[test]
fn a_file_that_changes_after_it_was_listed_is_an_error() {
    let directory = TempDir::new().unwrap();
    let bytes = records(400_000);
    for (compression, extension) in all() {
        let data = pack(compression, &thirds(&bytes));
        let first = pack(compression, &thirds(&bytes)[..1]).len();
        let path = write(directory.path(), &format!("a.jsonl.{extension}"), &data);
        let out = directory.path().join("out");
        for change in [
            // By an end that the data may have, by one that it may not have, and by growing.
            Box::new(|| fs::write(&path, &data[..first]).unwrap()) as Box<dyn Fn()>,
            Box::new(|| fs::write(&path, &data[..first + 9]).unwrap()),
            Box::new(|| {
                let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                file.write_all(&data).unwrap();
            }),
        ] {
            fs::write(&path, &data).unwrap();
            let corpus = Corpus::open(&[path.clone().into()], &CorpusOptions::default()).unwrap();
            change();
            let config = config(1 << 30);
            let run = serde_json::json!({});
            let made = tokenize(
                &corpus,
                encoding("gpt2"),
                &config,
                &out,
                &run,
                &Stats::default(),
            );
            let error = made.unwrap_err().to_string();
            assert!(
                error.contains("the file changed while it was in use"),
                "{error}"
            );
            assert!(!out.exists());
        }
    }
}

/// Bad records of compressed sources are listed by the lines and bytes of the text.
#[test]
fn bad_records_are_listed_by_their_place_in_the_text() {
    let place = Place::new();
    let mut lines = records(1_500_000);
    lines.extend_from_slice(b"\n{\"text\":null}\n{\"text\":\"end\"}\n");
    place.write("in/a.jsonl", &lines);
    let args = |out| ["tokenize", "in", "--bad-records", "skip", "--out", out];
    let done = place.run(args("plain"));
    assert_eq!(done.code, Some(0), "{done:?}");
    let list = "shard-00000.bad.jsonl";
    let expected = String::from_utf8(place.read(format!("plain/{list}"))).unwrap();
    for (compression, extension) in all() {
        fs::remove_dir_all(place.path("in")).unwrap();
        let name = format!("a.jsonl.{extension}");
        place.write(format!("in/{name}"), pack(compression, &thirds(&lines)));
        let done = place.run(args(extension));
        assert_eq!(done.code, Some(0), "{done:?}");
        let found = String::from_utf8(output_bytes(&place.path(extension))[list].clone()).unwrap();
        assert_eq!(found, expected.replace("a.jsonl", &name));
    }
}
