//! NumPy's `.npy` files: a short text header, then the bytes of one array.
//!
//! | Bytes | Are |
//! | --- | --- |
//! | 6 | `\x93NUMPY` |
//! | 2 | version: 1.0, 2.0 or 3.0 |
//! | 2 (version 1) or 4 | length of the header text, little-endian |
//! | that many | a Python dict of `descr`, `fortran_order` and `shape`, padded with spaces |
//! | the rest | the elements |

mod header;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use shardmill_core::dtype::Dtype;
use shardmill_core::show::shortened;

use self::header::Header;
use super::{Extent, TableOptions};
use crate::error::Problem;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// A table's header takes some 128 bytes, and NumPy itself refuses more than 10,000 by default.
const MAX_HEADER_BYTES: usize = 1 << 16;

/// The hint for types that are not supported.
const SAVE_F4: &str = "save it with .astype('<f4')";

/// `descr` of the u32 token ids in outputs.
pub(crate) const U32_DESCR: &str = "<u4";

/// `descr` of a type. NumPy has no bf16, so it is stored as the unsigned integer of the same size.
pub(crate) const fn descr(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F16 => "<f2",
        Dtype::BF16 => "<u2",
        Dtype::F32 => "<f4",
    }
}

/// Finds the table in the bytes of a `.npy` file.
pub(super) fn read(
    bytes: &[u8],
    key: Option<&str>,
    options: &TableOptions,
) -> Result<Extent, Problem> {
    if let Some(key) = key {
        return Err((
            "a .npy file holds one table and takes no key",
            format!("leave out #{}", shortened(key)),
        )
            .into());
    }
    let (text, data_start) = split(bytes)?;
    let Header {
        descr,
        fortran_order,
        shape,
    } = header::parse(text)?;
    let dtype = dtype_of(&descr, options.table_dtype)?;
    if fortran_order {
        return Err(("is in Fortran order", "save np.ascontiguousarray(table)").into());
    }
    let extent = Extent::new(&shape, dtype, data_start)?;
    let found = bytes.len() - data_start;
    if extent.bytes.len() != found {
        return Err(format!(
            "shape {shape:?} of {} needs {} bytes after the header, the file has {found}",
            dtype.name(),
            extent.bytes.len()
        )
        .into());
    }
    Ok(extent)
}

/// The header's text, and where the elements start.
fn split(bytes: &[u8]) -> Result<(&[u8], usize), String> {
    let cut = || "the file ends inside its .npy header".to_owned();
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("does not begin as a .npy file does")?;
    let (&version, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (len, rest) = match version {
        [1, 0] => {
            let (len, rest) = rest.split_first_chunk().ok_or_else(cut)?;
            (usize::from(u16::from_le_bytes(*len)), rest)
        }
        [2 | 3, 0] => {
            let (len, rest) = rest.split_first_chunk().ok_or_else(cut)?;
            (u32::from_le_bytes(*len) as usize, rest)
        }
        [major, minor] => {
            return Err(format!(
                "has .npy version {major}.{minor}; 1.0 to 3.0 are known"
            ));
        }
    };
    if len > MAX_HEADER_BYTES {
        return Err(format!(
            "has a .npy header of {len} bytes; at most {MAX_HEADER_BYTES} are read"
        ));
    }
    let (text, data) = rest.split_at_checked(len).ok_or_else(cut)?;
    Ok((text, bytes.len() - data.len()))
}

fn dtype_of(descr: &str, table_dtype: Option<Dtype>) -> Result<Dtype, Problem> {
    let problem = match descr {
        "<f2" => return Ok(Dtype::F16),
        "<f4" => return Ok(Dtype::F32),
        // Saved from bf16 as its bits, or by the ml_dtypes package as two opaque bytes.
        "<u2" | "|V2" | "<V2" if table_dtype == Some(Dtype::BF16) => return Ok(Dtype::BF16),
        "<u2" | "|V2" | "<V2" => (
            format!("has elements '{descr}', which do not say what they are"),
            "if they are bf16, give `table_dtype` bf16",
        )
            .into(),
        "<f8" => ("is f64 ('<f8')", SAVE_F4).into(),
        _ if descr.starts_with('>') => {
            (format!("is big-endian ('{}')", shortened(descr)), SAVE_F4).into()
        }
        _ => format!(
            "has elements '{}'; a table has '<f2', '<f4', or bf16 as '<u2'",
            shortened(descr)
        )
        .into(),
    };
    Err(problem)
}

/// The bytes before the elements, exactly as `numpy.save` writes them (version 1.0).
///
/// # Panics
///
/// If the header would exceed 65,535 bytes, which takes thousands of dimensions; NumPy's limit is
/// 64.
pub(crate) fn npy_header(descr: &str, shape: &[u64]) -> Vec<u8> {
    /// NumPy leaves room for the first dimension to grow to this many digits in place.
    const GROWTH_DIGITS: usize = 21;
    const ALIGN: usize = 64;
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (");
    for (i, n) in shape.iter().enumerate() {
        let separator = if i > 0 { ", " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{n}");
    }
    text.push_str(if shape.len() == 1 { ",), }" } else { "), }" });
    let spare = shape
        .first()
        .map_or(0, |n| GROWTH_DIGITS - n.to_string().len());
    // If the header already ends on the border, NumPy adds a whole block.
    let unpadded = MAGIC.len() + 4 + text.len() + spare + 1;
    let padding = spare + ALIGN - unpadded % ALIGN;
    let len = u16::try_from(text.len() + padding + 1).expect("fewer than 2,000 dimensions");
    let mut header = Vec::with_capacity(MAGIC.len() + 4 + usize::from(len));
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&[1, 0]);
    header.extend_from_slice(&len.to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header.resize(header.len() + padding, b' ');
    header.push(b'\n');
    header
}
