//! Tables that cannot be used: refused before any work, with the file and what is wrong.

use crate::support;

use support::{Place, npy, npy_table};

const ROWS: usize = 50257;

/// A place with a small dataset in `d` and good tables of two columns.
fn place() -> Place {
    let place = Place::new();
    place.write("a.txt", "Hello world, a story.\n");
    let made = place.run(["tokenize", "a.txt", "--out", "d"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    place.write("wte.npy", npy_table(ROWS, 2));
    place.write("wpe.npy", npy_table(4, 2));
    place
}

fn embed<'a>(token_table: &'a str, position_table: &'a str) -> [&'a str; 12] {
    [
        "embed",
        "d",
        "--out",
        "e",
        "--seq-len",
        "4",
        "--stride",
        "4",
        "--token-table",
        token_table,
        "--position-table",
        position_table,
    ]
}

#[track_caller]
fn refused(place: &Place, token_table: &str, position_table: &str, line: &str) {
    let before = place.tree();
    place
        .run(embed(token_table, position_table))
        .failed(1, line);
    assert_eq!(place.tree(), before, "something is left");
}

#[test]
fn good_tables_are_accepted() {
    let place = place();
    place
        .run(embed("wte.npy", "wpe.npy"))
        .said(&["e: embeddings of 1 window (3 tokens in none), 4 x 2 f32, 448 B in TIME (RATE)"]);
}

#[test]
fn tables_that_are_not_there_are_named() {
    let place = place();
    let none = "cannot open: No such file or directory (os error 2)";
    refused(&place, "no.npy", "wpe.npy", &format!("no.npy: {none}"));
    refused(&place, "wte.npy", "no.npy", &format!("no.npy: {none}"));
    // The key is not part of the file's name.
    let line = format!("no.safetensors: {none}");
    refused(&place, "no.safetensors#wte.weight", "wpe.npy", &line);
    place.write("wte.pt", "PK\x03\x04");
    refused(
        &place,
        "wte.pt",
        "none",
        "wte.pt: is not a table file by its name; known are .npy, .safetensors",
    );
    // It has no writer, and the program does not wait for one.
    place.fifo("fifo.npy");
    let line = "fifo.npy: is not a regular file";
    refused(&place, "fifo.npy", "wpe.npy", line);
    refused(&place, "wte.npy", "fifo.npy", line);
    refused(
        &place,
        "/dev/zero",
        "wpe.npy",
        "/dev/zero: is not a regular file",
    );
}

#[test]
fn shapes_that_are_no_table_are_refused() {
    let place = place();
    let elements = vec![0; ROWS * 2 * 4];
    for (shape, shown) in [
        ("(100514,)", "[100514]"),
        ("(1, 50257, 2)", "[1, 50257, 2]"),
        ("()", "[]"),
    ] {
        place.write("t.npy", npy("<f4", "False", shape, &elements));
        let done = place.run(embed("t.npy", "none"));
        assert_eq!(done.code, Some(1), "{done:?}");
        let start = format!("shardmill: error: t.npy: has shape {shown}");
        assert!(done.stderr.starts_with(&start), "{done:?}");
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    }
}

#[test]
fn element_types_that_cannot_be_used_are_refused_by_name() {
    let place = place();
    for (descr, fortran_order, size, what) in [
        (
            "<f8",
            "False",
            8,
            "is f64 ('<f8'); save it with .astype('<f4')",
        ),
        (
            ">f4",
            "False",
            4,
            "is big-endian ('>f4'); save it with .astype('<f4')",
        ),
        (
            "<f4",
            "True",
            4,
            "is in Fortran order; save np.ascontiguousarray(table)",
        ),
        (
            "<i4",
            "False",
            4,
            "has elements '<i4'; a table has '<f2', '<f4', or bf16 as '<u2'",
        ),
        (
            "<u2",
            "False",
            2,
            "has elements '<u2', which do not say what they are; if they are bf16, give \
             --table-dtype bf16",
        ),
    ] {
        let elements = vec![0; ROWS * 2 * size];
        place.write("t.npy", npy(descr, fortran_order, "(50257, 2)", &elements));
        refused(&place, "t.npy", "none", &format!("t.npy: {what}"));
    }
    let args = [&embed("t.npy", "none")[..], &["--table-dtype", "bf16"]].concat();
    assert_eq!(place.run(args).code, Some(0));
}

#[test]
fn tables_that_are_too_short_are_refused_before_any_work() {
    let place = place();
    place.write("t.npy", npy_table(ROWS - 1, 2));
    refused(
        &place,
        "t.npy",
        "wpe.npy",
        "t.npy: has 50256 rows of 2; at least 50257 rows are needed",
    );
    place.write("p.npy", npy_table(3, 2));
    refused(
        &place,
        "wte.npy",
        "p.npy",
        "p.npy: has 3 rows of 2; at least 4 rows are needed",
    );
    // In `run`, this comes before the corpus is read.
    let args = [&["run", "a.txt"], &embed("t.npy", "none")[2..]].concat();
    place.run(args).failed(
        1,
        "t.npy: has 50256 rows of 2; at least 50257 rows are needed",
    );
    assert!(!place.path("e").exists());
}

#[test]
fn tables_of_different_width_are_refused() {
    let place = place();
    place.write("p.npy", npy_table(4, 3));
    refused(
        &place,
        "wte.npy",
        "p.npy",
        "the token table has 2 columns and the position table 3; they must agree",
    );
}

#[test]
fn a_file_that_is_shorter_than_its_header_says_is_refused() {
    let place = place();
    let whole = npy_table(ROWS, 2);
    for keep in [0, 5, 9, 40, 128, whole.len() - 1] {
        place.write("t.npy", &whole[..keep]);
        let done = place.run(embed("t.npy", "none"));
        assert_eq!(done.code, Some(1), "{keep}: {done:?}");
        let is_line = done.stderr.starts_with("shardmill: error: t.npy: ");
        assert!(
            is_line && done.stderr.lines().count() == 1,
            "{keep}: {done:?}"
        );
    }
    // A claim larger than memory costs nothing.
    let lie = npy("<f4", "False", "(9223372036854775807, 4)", b"");
    place.write("t.npy", lie);
    let done = place.run(embed("t.npy", "none"));
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    assert!(!place.path("e").exists());
}

/// A safetensors file of f32 tensors; the header is padded to `header_bytes`.
fn safetensors(tensors: &[(&str, [usize; 2])], header_bytes: usize) -> Vec<u8> {
    let mut end = 0;
    let entries = tensors.iter().map(|(name, [rows, dim])| {
        let start = end;
        end += rows * dim * 4;
        format!(
            "\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{rows},{dim}],\"data_offsets\":[{start},{end}]}}"
        )
    });
    let mut header = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
    assert!(header.len() <= header_bytes);
    while header.len() < header_bytes {
        header.push(' ');
    }
    let mut file = (header_bytes as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    for (_, [rows, dim]) in tensors {
        let table = npy_table(*rows, *dim);
        file.extend_from_slice(&table[table.len() - rows * dim * 4..]);
    }
    file
}

#[test]
fn a_misaligned_tensor_is_as_good_as_an_aligned_one() {
    let place = place();
    let expected = {
        let done = place.run(embed("wte.npy", "wpe.npy"));
        assert_eq!(done.code, Some(0), "{done:?}");
        place.read("e/embeddings.npy")
    };
    for header_bytes in 200..204 {
        let tensors = [("wte.weight", [ROWS, 2]), ("wpe.weight", [4, 2])];
        place.write("t.safetensors", safetensors(&tensors, header_bytes));
        let out = format!("e{header_bytes}");
        let mut args = embed("t.safetensors", "t.safetensors");
        args[3] = &out;
        let done = place.run(args);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(place.read(format!("{out}/embeddings.npy")) == expected);
    }
}

#[test]
fn keys_that_are_missing_or_unknown_are_answered_with_those_there_are() {
    let place = place();
    let tensors = [("a.table", [ROWS, 2]), ("b.table", [4, 2])];
    place.write("t.safetensors", safetensors(&tensors, 200));
    refused(
        &place,
        "t.safetensors#c",
        "none",
        "t.safetensors#c: has no tensor 'c'; it has a.table, b.table",
    );
    refused(
        &place,
        "t.safetensors",
        "none",
        "t.safetensors: holds 2 tensors; name one as FILE#key: it has a.table, b.table",
    );
    refused(
        &place,
        "wte.npy#a",
        "none",
        "wte.npy#a: a .npy file holds one table and takes no key; leave out #a",
    );
}

#[test]
fn damaged_safetensors_headers_are_refused() {
    let place = place();
    let whole = safetensors(&[("a", [ROWS, 2])], 100);
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut no_json = whole.clone();
    no_json[8] = b'[';
    let longer = [&whole[..], b"more"].concat();
    for bad in [
        &whole[..7],
        &whole[..50],
        &whole[..whole.len() - 1],
        &huge,
        &no_json,
        &longer,
    ] {
        place.write("t.safetensors", bad);
        let done = place.run(embed("t.safetensors", "none"));
        assert_eq!(done.code, Some(1), "{done:?}");
        let is_line = done.stderr.starts_with("shardmill: error: t.safetensors: ");
        assert!(is_line && done.stderr.lines().count() == 1, "{done:?}");
        assert!(!place.path("e").exists());
    }
}
