use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::table::{Table, TableSpec};

/// A version 1 file with this header text and data.
fn file(text: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// [`super::read`], with its problem as one line.
fn read(bytes: &[u8], key: Option<&str>, options: &TableOptions) -> Result<Extent, String> {
    super::read(bytes, key, options).map_err(|problem| problem.to_string())
}

fn read_plain(bytes: &[u8]) -> Result<Extent, String> {
    read(bytes, None, &TableOptions::default())
}

fn refusal(text: &str, data: &[u8]) -> String {
    read_plain(&file(text, data)).unwrap_err()
}

fn dict(descr: &str, order: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")
}

/// Opens `bytes` like a file, with the type bf16.
fn open(bytes: &[u8]) -> crate::error::Result<Table> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.npy");
    std::fs::write(&path, bytes).unwrap();
    let options = TableOptions::default().with_table_dtype(Some(Dtype::BF16));
    Table::open(&TableSpec::new(path, None), &options)
}

#[test]
fn headers_are_what_numpy_save_writes() {
    for (descr, shape, text, spaces) in [
        ("<f4", &[3, 4][..], "(3, 4)", 58),
        ("<u4", &[5], "(5,)", 60),
        ("<f2", &[1 << 30, 7, 128], "(1073741824, 7, 128)", 44),
        ("<u2", &[0, 1], "(0, 1)", 58),
        (
            "<f2",
            &[123_456_789_012_345_678, 256, 4096],
            "(123456789012345678, 256, 4096)",
            33,
        ),
    ] {
        let header = npy_header(descr, shape);
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {text}, }}");
        let expected = format!("{text}{}\n", " ".repeat(spaces));
        assert_eq!(header[..10], *b"\x93NUMPY\x01\x00v\x00");
        assert_eq!(String::from_utf8_lossy(&header[10..]), expected);
    }
    // From NumPy 2.4: (10,) * 12 ends on the border and takes another whole block.
    let lens: Vec<_> = [11, 12, 13, 27, 28]
        .iter()
        .map(|&n| npy_header("<f4", &vec![10; n]).len())
        .collect();
    assert_eq!(lens, [128, 192, 192, 192, 256]);
}

#[test]
fn any_way_to_write_the_dict_is_read() {
    let data = [0; 24];
    for text in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n",
        "{'shape':(2,3),'fortran_order':False,'descr':'<f4'}",
        "  { \"descr\" : '<f4' ,\t'shape' : ( 2 , 3 , ) , 'fortran_order' : False } \n \n",
    ] {
        let extent = read_plain(&file(text, &data)).unwrap();
        assert_eq!((extent.rows, extent.dim, extent.dtype), (2, 3, Dtype::F32));
        assert_eq!(extent.bytes, 10 + text.len()..34 + text.len());
    }
}

#[test]
fn versions_1_to_3_are_read_and_no_other() {
    let text = dict("'<f4'", "False", "(1, 1)");
    for version in 0..=4 {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend_from_slice(&[version, 0]);
        let len = u32::try_from(text.len()).unwrap().to_le_bytes();
        bytes.extend_from_slice(&len[..if version < 2 { 2 } else { 4 }]);
        bytes.extend_from_slice(text.as_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let result = read_plain(&bytes);
        assert_eq!(result.is_ok(), (1..=3).contains(&version), "{result:?}");
    }
    let minor = b"\x93NUMPY\x01\x01\x00\x00";
    assert!(read_plain(minor).unwrap_err().contains("version 1.1"));
}

#[test]
fn headers_that_are_not_the_dict_are_refused() {
    let good = dict("'<f4'", "False", "(0, 3)");
    assert!(read_plain(&file(&good, &[])).is_ok());
    for text in [
        "",
        "{",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (0, 3)}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), 'more': 'x'}",
        "{,}",
        "{'descr",
        "{'descr': '<f4\\'', 'fortran_order': False, 'shape': (0, 3)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (0, 3)}",
        "{'descr': '<f4', 'fortran_order': Falsey, 'shape': (0, 3)}",
        "{'descr': <f4, 'fortran_order': False, 'shape': (0, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [0, 3]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0,, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, -3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3.0)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 18446744073709551616)}",
    ] {
        let error = refusal(text, &[]);
        assert!(error.starts_with(".npy header: "), "{text}: {error}");
    }
    let error = refusal(
        &dict("'<f4'", "False", &format!("({})", "1, ".repeat(65))),
        &[],
    );
    assert!(error.contains("64 dimensions"), "{error}");
}

#[test]
fn other_types_and_orders_are_refused_by_name() {
    for (descr, order, what) in [
        ("'<f8'", "False", "f64"),
        ("'>f4'", "False", "big-endian ('>f4')"),
        ("'>V2'", "False", "big-endian"),
        ("'<f4'", "True", "Fortran order"),
        ("'<i4'", "False", "'<i4'"),
        ("'|O'", "False", "'|O'"),
        ("[('a', '<f4')]", "False", "structured"),
    ] {
        let error = refusal(&dict(descr, order, "(1, 1)"), &[0; 4]);
        assert!(error.contains(what), "{descr}: {error}");
    }
}

#[test]
fn nameless_16_bit_elements_are_bf16_only_on_request() {
    for descr in ["'<u2'", "'|V2'", "'<V2'"] {
        let bytes = file(&dict(descr, "False", "(1, 2)"), &[0; 4]);
        for dtype in [None, Some(Dtype::F16), Some(Dtype::F32)] {
            let options = TableOptions::default().with_table_dtype(dtype);
            let error = read(&bytes, None, &options).unwrap_err();
            assert!(error.contains("`table_dtype` bf16"), "{error}");
        }
        assert_eq!(open(&bytes).unwrap().dtype(), Dtype::BF16);
    }
}

#[test]
fn shapes_that_are_no_table_are_refused() {
    for (shape, what) in [
        ("()", "has shape []"),
        ("(1,)", "has shape [1]"),
        ("(1, 1, 1)", "has shape [1, 1, 1]"),
        ("(1, 0)", "dim must be at least 1"),
        ("(18446744073709551615, 2)", "larger than any file"),
        ("(4611686018427387904, 1)", "larger than any file"),
        (
            "(2305843009213693952, 1)",
            "needs 9223372036854775808 bytes",
        ),
    ] {
        let error = refusal(&dict("'<f4'", "False", shape), &[0; 4]);
        assert!(error.contains(what), "{shape}: {error}");
    }
}

#[test]
fn a_length_that_differs_from_the_header_is_refused_with_both() {
    for found in [0, 23, 25, 100] {
        let error = refusal(&dict("'<f4'", "False", "(2, 3)"), &vec![0; found]);
        let end = format!("needs 24 bytes after the header, the file has {found}");
        assert!(error.ends_with(&end), "{error}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    let whole = file(&dict("'<f4'", "False", "(2, 3)"), &[0; 24]);
    for len in 0..whole.len() {
        assert!(open(&whole[..len]).is_err(), "{len}");
    }
    assert!(open(&whole).is_ok());
}

#[test]
fn oversized_headers_are_refused_before_they_are_read() {
    let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(read_plain(&bytes).unwrap_err().contains("4294967295 bytes"));
}

#[test]
fn misaligned_elements_are_copied_and_equal() {
    let data: Vec<u8> = (0..24).collect();
    for pad in 0..8 {
        let text = dict("'<f4'", "False", "(2, 3)") + &" ".repeat(pad);
        let table = open(&file(&text, &data)).unwrap();
        let is_aligned = (10 + text.len()).is_multiple_of(4);
        assert_eq!(format!("{table:?}").contains("is_mapped: true"), is_aligned);
        assert_eq!(table.bytes(), data);
    }
}

#[test]
fn a_key_is_refused() {
    let bytes = file(&dict("'<f4'", "False", "(0, 3)"), &[]);
    let error = read(&bytes, Some("a\nb"), &TableOptions::default()).unwrap_err();
    assert!(error.ends_with(r"leave out #a\nb"), "{error}");
}

proptest! {
    #[test]
    fn tables_survive_the_round_trip(
        rows in 0usize..20, dim in 1usize..20, bits: [u32; 400], dtype in 0usize..3,
    ) {
        let bits = &bits[..rows * dim];
        let halves = bits.iter().map(|&b| u16::try_from(b >> 16).unwrap());
        let table = match Dtype::ALL[dtype] {
            Dtype::F32 => Table::from_vec(rows, dim, bits.iter().copied().map(f32::from_bits).collect()),
            Dtype::F16 => Table::from_vec(rows, dim, halves.map(f16::from_bits).collect()),
            Dtype::BF16 => Table::from_vec(rows, dim, halves.map(bf16::from_bits).collect()),
        }.unwrap();
        let mut bytes = Vec::new();
        table.write_npy(&mut bytes).unwrap();
        let back = open(&bytes).unwrap();
        prop_assert_eq!((back.rows(), back.dim(), back.dtype()), (rows, dim, table.dtype()));
        prop_assert_eq!(back.bytes(), table.bytes());
    }

    #[test]
    fn headers_survive_the_round_trip(shape in prop::collection::vec(any::<u64>(), 0..6)) {
        let bytes = npy_header(U32_DESCR, &shape);
        prop_assert_eq!(bytes.len() % 64, 0);
        let (text, data_start) = split(&bytes).unwrap();
        prop_assert_eq!(data_start, bytes.len());
        let header = header::parse(text).unwrap();
        let expected = Header { descr: "<u4".to_owned(), fortran_order: false, shape };
        prop_assert_eq!(header, expected);
    }

    #[test]
    fn damaged_files_never_panic(at in 0usize..90, byte: u8, cut in 0usize..100) {
        let mut bytes = file(&dict("'<f4'", "False", "(2, 3)"), &[0; 24]);
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut % bytes.len());
        let _ = read_plain(&bytes).map(|extent| assert!(extent.bytes.end == bytes.len()));
    }
}
