//! Table files, `.npy` and `.safetensors`: refused, or a table that lies inside the file.

use std::fs;

use shardmill::table::{TableOptions, TableSpec};
use shardmill::{Dtype, Elements, Table};

use super::place;

/// Opens a file that `input` describes, in every possible way.
pub fn check(input: &[u8]) {
    let Some((&how, rest)) = input.split_first() else {
        return;
    };
    let (extension, bytes) = file(how, rest);
    let place = place();
    let path = place.path().join(format!("t.{extension}"));
    fs::write(&path, &bytes).unwrap();
    for key in [None, Some("a"), Some("wte.weight")] {
        for table_dtype in [None, Some(Dtype::BF16)] {
            for mut options in [TableOptions::default(), TableOptions::token(2)] {
                options.table_dtype = table_dtype;
                let spec = TableSpec::new(&path, key.map(str::to_owned));
                match Table::open(&spec, &options) {
                    Ok(table) => is_inside(&table, &bytes, options.min_rows),
                    // It is one line of bounded length, whatever the file holds.
                    Err(error) => assert!(error.to_string().len() < 4000),
                }
            }
        }
    }
}

/// The extension and the bytes of a file: the bytes of the input, as they are or with a header of
/// their length before them and the elements that their end asks for.
fn file(how: u8, rest: &[u8]) -> (&'static str, Vec<u8>) {
    let (text, n_elements) = match rest.split_last_chunk::<2>() {
        Some((text, bytes)) => (text, usize::from(u16::from_le_bytes(*bytes))),
        None => (rest, 0),
    };
    let elements = vec![0x3c; n_elements];
    match how % 4 {
        0 => ("npy", rest.to_vec()),
        1 => ("safetensors", rest.to_vec()),
        2 => {
            let length = u32::try_from(text.len()).unwrap().to_le_bytes();
            let start = b"\x93NUMPY\x02\x00";
            ("npy", [start, &length[..], text, &elements].concat())
        }
        _ => {
            let length = (text.len() as u64).to_le_bytes();
            ("safetensors", [&length[..], text, &elements].concat())
        }
    }
}

/// Checks that a table has the elements that it claims, and no more than the file has.
fn is_inside(table: &Table, file: &[u8], min_rows: usize) {
    let n_elements = table.rows().checked_mul(table.dim()).unwrap();
    let found = match table.elements() {
        Elements::F32(elements) => elements.len(),
        Elements::F16(elements) => elements.len(),
        Elements::BF16(elements) => elements.len(),
    };
    assert_eq!(found, n_elements);
    assert!(table.rows() >= min_rows);
    let bytes = table.bytes();
    assert_eq!(bytes.len(), n_elements * table.dtype().size_bytes());
    // Some bytes of the file, in order.
    assert!(bytes.is_empty() || file.windows(bytes.len()).any(|part| part == bytes));
    let mut row = vec![0.0; table.dim()];
    if table.rows() > 0 {
        table.row_to_f32(table.rows() - 1, &mut row);
    }
}
