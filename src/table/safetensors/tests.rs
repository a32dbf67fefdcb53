use proptest::prelude::*;

use super::*;
use crate::table::{Table, TableSpec};

/// A file with this header and `data_bytes` bytes of data: 0, 1, 2, ...
fn file(header: &str, data_bytes: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend((0..=250).cycle().take(data_bytes));
    bytes
}

fn tensor(name: &str, dtype: &str, shape: &str, range: [usize; 2]) -> String {
    let [start, end] = range;
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
}

/// A file of one-element tensors with these names.
fn file_of(names: &[&str]) -> Vec<u8> {
    let tensors: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(i, name)| tensor(name, "F32", "[1,1]", [4 * i, 4 * i + 4]))
        .collect();
    file(&format!("{{{}}}", tensors.join(",")), 4 * names.len())
}

/// [`super::read`], with its problem as one line.
fn read(bytes: &[u8], key: Option<&str>, options: &TableOptions) -> Result<Extent, String> {
    super::read(bytes, key, options).map_err(|problem| problem.to_string())
}

fn read_plain(bytes: &[u8]) -> Result<Extent, String> {
    read(bytes, None, &TableOptions::default())
}

/// The index of the chosen name in `names`.
fn pick(names: &[&str], key: Option<&str>) -> Result<usize, String> {
    let bytes = file_of(names);
    let extent = read(&bytes, key, &TableOptions::token(0))?;
    Ok((extent.bytes.start + 4 * names.len() - bytes.len()) / 4)
}

#[test]
fn an_only_tensor_needs_no_key() {
    assert_eq!(pick(&["anything"], None), Ok(0));
}

#[test]
fn gpt2_names_are_found_with_and_without_prefix() {
    let plain = ["wpe.weight", "wte.weight"];
    let prefixed = ["transformer.wpe.weight", "transformer.wte.weight", "x"];
    for names in [&plain[..], &prefixed] {
        assert_eq!(pick(names, None), Ok(1));
        for key in ["wpe.weight", "transformer.wpe.weight"] {
            assert_eq!(pick(names, Some(key)), Ok(0));
        }
    }
    // The end of a name counts only after a dot.
    assert!(pick(&["awte.weight", "x"], None).is_err());
    assert!(pick(&["awte.weight", "x"], Some("wte.weight")).is_err());
    assert_eq!(
        pick(&["a.wte.weight", "wte.weight"], Some("wte.weight")),
        Ok(1)
    );
}

#[test]
fn a_bare_last_part_is_not_what_a_longer_key_means() {
    assert!(pick(&["weight", "bias"], Some("wte.weight")).is_err());
    assert!(pick(&["weight", "bias"], Some("")).is_err());
    assert_eq!(pick(&["emb.weight", "bias"], Some("weight")), Ok(0));
}

#[test]
fn ambiguous_keys_list_what_they_match() {
    for key in [None, Some("wte.weight")] {
        let error = pick(&["a.wte.weight", "b.wte.weight", "c"], key).unwrap_err();
        assert!(
            error.ends_with("any of a.wte.weight, b.wte.weight"),
            "{error}"
        );
    }
}

#[test]
fn missing_keys_list_at_most_ten() {
    let names: Vec<_> = (0..13).map(|i| format!("t{i}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for key in [None, Some("none")] {
        let error = pick(&names, key).unwrap_err();
        assert!(error.ends_with("t8, t9, 3 more"), "{error}");
    }
    assert!(pick(&[], None).unwrap_err().ends_with("it has none"));
}

#[test]
fn every_type_is_mapped_or_refused_by_name() {
    for (dtype, size, found) in [
        ("F32", 4, Ok(Dtype::F32)),
        ("F16", 2, Ok(Dtype::F16)),
        ("BF16", 2, Ok(Dtype::BF16)),
        ("F64", 8, Err("f64")),
        ("I64", 8, Err("I64")),
        ("U8", 1, Err("U8")),
        ("F4", 0, Err("F4")),
    ] {
        let range = [0, if size == 0 { 3 } else { 6 * size }];
        let header = format!("{{{}}}", tensor("t", dtype, "[2,3]", range));
        match (read_plain(&file(&header, range[1])), found) {
            (Ok(extent), Ok(dtype)) => assert_eq!(extent.dtype, dtype),
            (Err(error), Err(what)) => assert!(error.contains(what), "{error}"),
            (result, _) => panic!("{dtype}: {result:?}"),
        }
    }
}

#[test]
fn dimensions_beyond_all_measure_are_refused_in_short() {
    let refused = |n: usize| {
        let shape = format!("[{}1]", "1,".repeat(n - 1));
        let header = format!("{{{}}}", tensor("a", "F32", &shape, [0, 4]));
        read_plain(&file(&header, 4)).unwrap_err()
    };
    assert!(refused(64).starts_with("tensor 'a' has shape [1, 1, "));
    for n in [65, 1_000_000] {
        let line = "has a tensor of more than 64 dimensions; a table has two";
        assert_eq!(refused(n), line);
    }
    // Commas in a string, or between many entries, are not in a shape.
    let text = r#"\"[,\\"#.to_owned() + &",".repeat(99);
    let entries: Vec<_> = (0..99).map(|n| format!(r#""{n}":"{text}""#)).collect();
    let table = tensor("a", "F32", "[1,1]", [0, 4]);
    let header = format!(r#"{{"__metadata__":{{{}}},{table}}}"#, entries.join(","));
    assert!(read_plain(&file(&header, 4)).is_ok());
}

#[test]
fn shapes_that_are_no_table_are_refused() {
    for (shape, bytes) in [("[]", 4), ("[1]", 4), ("[1,1,1]", 4), ("[1,0]", 0)] {
        let header = format!("{{{}}}", tensor("t", "F32", shape, [0, bytes]));
        let error = read_plain(&file(&header, bytes)).unwrap_err();
        assert!(error.starts_with("tensor 't' has "), "{error}");
    }
}

#[test]
fn hostile_headers_are_refused() {
    let one = |shape: &str, range| format!("{{{}}}", tensor("t", "F32", shape, range));
    let huge = 1 << 60;
    // Sixteen tensors that end at 2^64 - 8: one more sum would overflow.
    let tiles: Vec<_> = (0..16)
        .map(|i| {
            let end = if i == 15 {
                usize::MAX - 7
            } else {
                (i + 1) * huge
            };
            let shape = format!("[1,{}]", (end - i * huge) / 4);
            tensor(&format!("t{i}"), "F32", &shape, [i * huge, end])
        })
        .collect();
    for header in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        r#"{"t":{}}"#.to_owned(),
        one("[1,1]", [0, 8]),
        one("[1,1]", [4, 8]),
        one("[1,1]", [4, 0]),
        one("[1,2]", [0, 8]),
        one("[1]", [0, 4]).replace("F32", "F99"),
        one("[18446744073709551615,2]", [0, 4]),
        one("[4611686018427387904,4]", [0, 4]),
        one("[2305843009213693952,1]", [0, 4]),
        one("[-1,-1]", [0, 4]),
        format!("{{{}}}", tiles.join(",")),
    ] {
        assert!(read_plain(&file(&header, 4)).is_err(), "{header}");
    }
}

#[test]
fn headers_longer_than_the_file_are_refused_before_they_are_read() {
    for len in [1, 100_000_000, 100_000_001, u64::MAX - 7, u64::MAX] {
        let error = read_plain(&len.to_le_bytes()).unwrap_err();
        assert!(
            error.contains(&format!("{len} bytes; the file has 0")),
            "{error}"
        );
    }
}

#[test]
fn a_length_that_differs_from_the_header_is_refused_with_both() {
    let header = format!("{{{}}}", tensor("t", "F32", "[2,3]", [0, 24]));
    for found in [0, 23, 25] {
        let error = read_plain(&file(&header, found)).unwrap_err();
        let end = format!("need 24 bytes after the header, the file has {found}");
        assert!(error.ends_with(&end), "{error}");
    }
}

#[test]
fn misaligned_elements_are_copied_and_equal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.safetensors");
    for pad in 0..8 {
        let header = format!("{{{}}}", tensor("t", "F32", "[2,3]", [0, 24]));
        let header = header + &" ".repeat(pad);
        let bytes = file(&header, 24);
        std::fs::write(&path, &bytes).unwrap();
        let table = Table::open(&TableSpec::parse(&path), &TableOptions::default()).unwrap();
        let is_aligned = header.len().is_multiple_of(4);
        assert_eq!(format!("{table:?}").contains("is_mapped: true"), is_aligned);
        assert_eq!(table.bytes(), &bytes[bytes.len() - 24..]);
    }
}

proptest! {
    #[test]
    fn damaged_files_never_panic(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = file_of(&["wte.weight", "wpe.weight"]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut.index(bytes.len()));
        let result = read(&bytes, None, &TableOptions::token(0));
        prop_assert!(result.is_err() || result.is_ok_and(|e| e.bytes.end <= bytes.len()));
    }

    #[test]
    fn files_of_the_reference_writer_are_read(rows in 1usize..9, dim in 1usize..9, fill: u8) {
        let data = vec![fill; 2 * rows * dim];
        let view = |shape| safetensors::tensor::TensorView::new(FileDtype::BF16, shape, &data);
        let tensors = [
            ("transformer.wte.weight", view(vec![rows, dim]).unwrap()),
            ("other", view(vec![rows * dim]).unwrap()),
        ];
        let bytes = safetensors::serialize(tensors, None).unwrap();
        let extent = read(&bytes, None, &TableOptions::token(0)).unwrap();
        prop_assert_eq!((extent.rows, extent.dim, extent.dtype), (rows, dim, Dtype::BF16));
        prop_assert_eq!(&bytes[extent.bytes], &data[..]);
    }
}

#[test]
fn a_header_is_that_of_the_library() {
    for (shape, dtype) in [
        (vec![1_u64], FileDtype::U32),
        (vec![3, 4], FileDtype::U32),
        (vec![2, 3, 5], FileDtype::F32),
        (vec![10, 20, 3], FileDtype::F16),
        (vec![7, 1, 1000], FileDtype::BF16),
    ] {
        let elements: u64 = shape.iter().product();
        let data = vec![7; usize::try_from(elements).unwrap() * dtype.bitsize() / 8];
        let sizes = shape.iter().map(|&n| usize::try_from(n).unwrap()).collect();
        let view = safetensors::tensor::TensorView::new(dtype, sizes, &data).unwrap();
        let expected = safetensors::serialize([("inputs", view)], None).unwrap();
        let mut file = header("inputs", dtype, &shape);
        file.extend_from_slice(&data);
        assert_eq!(file, expected, "{shape:?}");
    }
}
