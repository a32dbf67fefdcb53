//! Safetensors files: one JSON header, then several named tensors.
//!
//! | Bytes | Are |
//! | --- | --- |
//! | 8 | length of the header, little-endian |
//! | that many | JSON: name -> dtype, shape, byte range |
//! | the rest | the tensors' elements, tiling it without gaps |
//!
//! The `safetensors` crate reads the header and proves that the tensors tile the rest. It gets a
//! copy of the header alone, after the header's length was checked against the file's.

#[cfg(test)]
mod tests;

use safetensors::Dtype as FileDtype;
use safetensors::tensor::Metadata;
use shardmill_core::dtype::Dtype;
use shardmill_core::show::shortened;

use super::{Extent, TableOptions};
use crate::error::Problem;

/// The format's own limit.
const MAX_HEADER_BYTES: usize = 100_000_000;

/// More dimensions than any library supports; NumPy's limit.
const MAX_DIMENSIONS: usize = 64;

/// How many names an error lists.
const MAX_LISTED: usize = 10;

/// Finds the table in the bytes of a safetensors file.
pub(super) fn read(
    bytes: &[u8],
    key: Option<&str>,
    options: &TableOptions,
) -> Result<Extent, Problem> {
    let (metadata, data_start) = parse(bytes)?;
    let names = metadata.offset_keys();
    let name = choose(&names, key, &options.default_keys)?;
    let info = metadata.info(name).ok_or("names no such tensor")?;
    let shape: Vec<u64> = info.shape.iter().map(|&n| n as u64).collect();
    let extent = dtype_of(info.dtype).and_then(|dtype| {
        // Cannot overflow: the tensors' end was checked against the file's length.
        Ok(Extent::new(
            &shape,
            dtype,
            data_start + info.data_offsets.0,
        )?)
    });
    extent.map_err(|problem| problem.at(format_args!("tensor '{}' ", shortened(name))))
}

/// The checked header, and where the tensors start.
fn parse(bytes: &[u8]) -> Result<(Metadata, usize), String> {
    let (len, rest) = bytes
        .split_first_chunk()
        .ok_or("the file is shorter than a safetensors header")?;
    let len = u64::from_le_bytes(*len);
    let header = usize::try_from(len)
        .ok()
        .filter(|&len| len <= MAX_HEADER_BYTES)
        .and_then(|len| rest.get(..len))
        .ok_or_else(|| {
            format!(
                "claims a header of {len} bytes; the file has {} after it begins, and at most \
                 {MAX_HEADER_BYTES} are read",
                rest.len()
            )
        })?;
    let header = header.to_vec();
    if has_long_array(&header) {
        return Err(format!(
            "has a tensor of more than {MAX_DIMENSIONS} dimensions; a table has two"
        ));
    }
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| format!("safetensors header: {}", shortened(&error.to_string())))?;
    let found = rest.len() - header.len();
    if metadata.data_len() != found {
        return Err(format!(
            "its tensors need {} bytes after the header, the file has {found}",
            metadata.data_len()
        ));
    }
    Ok((metadata, 8 + header.len()))
}

/// Whether an array in the JSON `header` has more items than a tensor may have dimensions. An item
/// takes two bytes there, and many times that once it is parsed and shown in an error.
fn has_long_array(header: &[u8]) -> bool {
    let mut is_string = false;
    let mut separators = 0;
    let mut bytes = header.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if is_string => _ = bytes.next(),
            b'"' => is_string = !is_string,
            _ if is_string => {}
            b',' => separators += 1,
            b'[' | b']' | b'{' | b'}' | b':' => separators = 0,
            _ => {}
        }
        if separators == MAX_DIMENSIONS {
            return true;
        }
    }
    false
}

/// The name of the tensor that `key` or a default key selects.
fn choose<'a>(
    names: &'a [String],
    key: Option<&str>,
    default_keys: &[String],
) -> Result<&'a str, Problem> {
    if let Some(key) = key {
        return match find(names, key)? {
            Some(name) => Ok(name),
            None => {
                Err(format!("has no tensor '{}'; it has {}", shortened(key), list(names)).into())
            }
        };
    }
    if let [only] = names {
        return Ok(only);
    }
    for key in default_keys {
        if let Some(name) = find(names, key)? {
            return Ok(name);
        }
    }
    let file = format!("holds {} tensors", names.len());
    let hint = format!("name one as FILE#key: it has {}", list(names));
    Err((file, hint).into())
}

/// The tensor named `key`; otherwise the only one whose name differs from `key` by a prefix such as
/// `transformer.` that one of the two has and the other does not.
fn find<'a>(names: &'a [String], key: &str) -> Result<Option<&'a str>, String> {
    if let Some(name) = names.iter().find(|name| *name == key) {
        return Ok(Some(name));
    }
    // A shortened key must still name a module and a parameter: a tensor named just `weight` may
    // belong to any module.
    let is_match = |name: &str| is_tail(name, key) || (name.contains('.') && is_tail(key, name));
    let matches: Vec<&String> = names.iter().filter(|name| is_match(name)).collect();
    match matches[..] {
        [] => Ok(None),
        [name] => Ok(Some(name)),
        _ => Err(format!(
            "'{}' may be any of {}",
            shortened(key),
            list(&matches)
        )),
    }
}

/// Whether `tail` is the end of `name` after a dot.
fn is_tail(name: &str, tail: &str) -> bool {
    !tail.is_empty()
        && name
            .strip_suffix(tail)
            .is_some_and(|head| head.ends_with('.'))
}

fn list(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown = names.iter().take(MAX_LISTED);
    let mut text: Vec<_> = shown.map(|name| shortened(name.as_ref())).collect();
    if names.len() > MAX_LISTED {
        text.push(format!("{} more", names.len() - MAX_LISTED));
    }
    text.join(", ")
}

fn dtype_of(dtype: FileDtype) -> Result<Dtype, Problem> {
    match dtype {
        FileDtype::F16 => Ok(Dtype::F16),
        FileDtype::BF16 => Ok(Dtype::BF16),
        FileDtype::F32 => Ok(Dtype::F32),
        FileDtype::F64 => Err(("is f64", "save it as F32, BF16 or F16").into()),
        _ => Err(format!("has elements {dtype}; a table has F32, BF16 or F16").into()),
    }
}

/// The element type of the u32 token ids in outputs.
pub(crate) const U32: FileDtype = FileDtype::U32;

/// The element type of embeddings.
pub(crate) const fn element(dtype: Dtype) -> FileDtype {
    match dtype {
        Dtype::F16 => FileDtype::F16,
        Dtype::BF16 => FileDtype::BF16,
        Dtype::F32 => FileDtype::F32,
    }
}

/// The bytes before the elements of a file that holds the one tensor `name`, exactly as the
/// safetensors library writes them. The count of bytes saturates at the maximum of u64.
pub(crate) fn header(name: &str, dtype: FileDtype, shape: &[u64]) -> Vec<u8> {
    /// The elements begin at a multiple of this.
    const ALIGN: usize = 8;
    let bytes = shape.iter().fold(dtype.bitsize() as u64 / 8, |bytes, &n| {
        bytes.saturating_mul(n)
    });
    let mut text = format!(
        r#"{{"{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[0,{bytes}]}}}}"#
    );
    text.retain(|c| c != ' ');
    let len = text.len().next_multiple_of(ALIGN);
    let mut header = (len as u64).to_le_bytes().to_vec();
    header.extend_from_slice(text.as_bytes());
    header.resize(ALIGN + len, b' ');
    header
}
