//! Files that are cut short, changed, or lie.

use std::fs;

use tempfile::TempDir;

use super::flat::Flat;
use super::{Kind, Layout, arrow, field, push_message, schema};
use crate::columnar::{flip, run, short_texts};
use crate::support::fixture;

/// Small files that are laid out in different ways.
fn files() -> Vec<Vec<u8>> {
    let rows = short_texts();
    let layout = |is_file, kind, is_compressed| Layout {
        is_file,
        batch_rows: 15,
        kind,
        is_compressed,
    };
    [
        layout(false, Kind::Utf8, false),
        layout(true, Kind::View, false),
        layout(true, Kind::Utf8, true),
        layout(false, Kind::View, true),
    ]
    .map(|layout| arrow(&rows, layout))
    .into()
}

#[test]
fn a_file_that_is_cut_short_is_refused() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let path = directory.path().join("a.arrow");
    for (file, is_file) in files().into_iter().zip([false, true, true, false]) {
        fs::write(&path, &file).unwrap();
        let whole = run(&path, &out).unwrap();
        let mut starts = 0;
        // Messages end at multiples of 8.
        let ends = (0..file.len()).filter(|end| end % 13 == 0 || !is_file && end % 8 == 0);
        for end in ends {
            fs::write(&path, &file[..end]).unwrap();
            match run(&path, &out) {
                // A stream may end before any message.
                Ok(ids) => {
                    starts += 1;
                    assert!(!is_file && whole.starts_with(&ids), "{end}");
                }
                Err(error) => {
                    assert!(error.is_data(), "{end}: {error}");
                    let error = error.to_string();
                    let is_said =
                        error.contains("cut short") || error.contains("is not Arrow data");
                    assert!(is_said, "{end}: {error}");
                }
            }
        }
        // After the schema, and after each record batch.
        assert!(is_file || starts == 4, "{starts}");
    }
}

#[test]
fn no_flipped_byte_is_a_panic() {
    let fixtures = [
        "lz4.feather",
        "dictionaries.arrows",
        "deltas.ipc",
        "nested.arrow",
    ];
    let fixtures = fixtures.map(|name| fs::read(fixture(&format!("arrow/{name}"))).unwrap());
    let fixtures = fixtures.into_iter().map(|file| (file, 401));
    let files = files().into_iter().map(|file| (file, 11));
    let (refused, count) = flip("arrow", files.chain(fixtures));
    assert!(refused > count / 8, "{refused} of {count}");
}

/// A stream of one record batch with `count` rows, the texts of which are in these buffers.
fn lie(
    count: i64,
    nodes: &[[i64; 2]],
    buffers: &[[i64; 2]],
    body: &[u8],
    is_zstd: bool,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let text = field("text", 5, Flat::Table(Vec::new()), Vec::new());
    let text = Flat::Table(vec![Flat::i16(0), Flat::Tables(vec![text])]);
    push_message(&mut bytes, 1, text, &[]);
    let codec = if is_zstd {
        Flat::Table(vec![Flat::u8(1)])
    } else {
        Flat::None
    };
    let header = vec![
        Flat::i64(count),
        Flat::structs(nodes),
        Flat::structs(buffers),
        codec,
    ];
    push_message(&mut bytes, 3, Flat::Table(header), body);
    bytes
}

#[test]
fn numbers_that_lie_are_refused_without_memory() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let path = directory.path().join("a.arrow");
    let offsets = |offsets: [i32; 4]| offsets.map(i32::to_le_bytes).concat();
    let body = |first: [i32; 4]| [&offsets(first)[..], b"textbody"].concat();
    let good = [[0, 0], [0, 16], [16, 8]];
    let (fine, nodes) = (body([0, 2, 4, 8]), [[3, 0]]);
    fs::write(&path, lie(3, &nodes, &good, &fine, false)).unwrap();
    assert!(run(&path, &out).is_ok());
    let huge = [
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..],
        &[1; 8],
    ]
    .concat();
    let rows = "has another number of rows than its record batch";
    let outside = "has a buffer that is not in its record batch";
    let few = "has fewer values than rows";
    let offset = "has offsets that are not in its text";
    for (bytes, what) in [
        (lie(4, &nodes, &good, &fine, false), rows),
        (lie(3, &[], &good, &fine, false), rows),
        (lie(i64::MAX, &[[i64::MAX, 0]], &good, &fine, false), few),
        (lie(4, &[[4, 0]], &good, &fine, false), few),
        (
            lie(3, &[[3, 1]], &good, &fine, false),
            "does not say which of its rows are null",
        ),
        (
            lie(3, &nodes, &[[0, 0], [0, 16], [16, 9]], &fine, false),
            outside,
        ),
        (
            lie(3, &nodes, &[[0, 0], [-8, 16], [16, 8]], &fine, false),
            outside,
        ),
        (
            lie(3, &nodes, &[[0, 0], [0, 16], [i64::MAX, 8]], &fine, false),
            outside,
        ),
        (lie(3, &nodes, &good[..2], &fine, false), outside),
        (lie(3, &nodes, &good, &body([0, 4, 2, 8]), false), offset),
        (lie(3, &nodes, &good, &body([-1, 4, 4, 8]), false), offset),
        (lie(3, &nodes, &good, &body([0, 2, 4, 9]), false), offset),
        (
            lie(3, &nodes, &[[0, 0], [0, 16], [0, 0]], &huge, true),
            "has a buffer of 8 bytes that says it stands for 9,223,372,036,854,775,807",
        ),
        (
            lie(3, &nodes, &[[0, 0], [0, 4], [0, 0]], &huge, true),
            "has a compressed buffer without its length",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = run(&path, &out).unwrap_err().to_string();
        let place = "record batch 0, column 'text': ";
        assert!(error.contains(&format!("{place}{what}")), "{what}: {error}");
    }
    // A frame of zstd with a window of 128 MiB, and a raw block.
    let frame = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 0x81, 0, 0][..],
        &[0; 16],
    ]
    .concat();
    let wide = [&16_u64.to_le_bytes()[..], &frame].concat();
    let length = i64::try_from(wide.len()).unwrap();
    let buffers = [[0, 0], [0, length], [0, 0]];
    fs::write(&path, lie(3, &nodes, &buffers, &wide, true)).unwrap();
    let error = run(&path, &out).unwrap_err().to_string();
    assert!(
        error.contains("needs a window of more than 64 MiB"),
        "{error}"
    );
    // A negative number of rows.
    fs::write(&path, lie(-1, &nodes, &good, &fine, false)).unwrap();
    let error = run(&path, &out).unwrap_err().to_string();
    assert!(error.contains("has damaged metadata"), "{error}");
}

#[test]
fn columns_that_are_nested_too_deep_are_refused() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let path = directory.path().join("a.arrow");
    for (depth, is_refused) in [(127, false), (128, true)] {
        let text = field("text", 5, Flat::Table(Vec::new()), Vec::new());
        let nested = (0..depth).fold(text, |inner, _| {
            field("a", 13, Flat::Table(Vec::new()), vec![inner])
        });
        let mut bytes = Vec::new();
        let nested = Flat::Table(vec![Flat::i16(0), Flat::Tables(vec![nested])]);
        push_message(&mut bytes, 1, nested, &[]);
        fs::write(&path, &bytes).unwrap();
        let error = run(&path, &out)
            .map(|_| ())
            .err()
            .map(|error| error.problem());
        let what = format!(
            "{}: its columns are nested more than 128 deep",
            path.display()
        );
        assert_eq!(error.as_ref() == Some(&what), is_refused, "{error:?}");
    }
    // A schema that has its own fields in it has no end.
    let mut bytes = Vec::new();
    push_message(&mut bytes, 1, schema(Kind::Utf8), &[]);
    for at in 8..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] = 0xf0;
        changed[at.min(bytes.len() - 2) + 1] = 0xff;
        fs::write(&path, changed).unwrap();
        let _ = run(&path, &out);
    }
}
