//! Files with columns -> rows of one column.
//!
//! Knows how such a file is laid out, cuts a column into slices of a few pages, and decodes a slice
//! into texts. Does not open files, and knows nothing of tokens.
//!
//! ```text
//! layout   row groups, and where a file may be cut
//! parquet  a file: what its metadata says, by the crate parquet
//! thrift   how deep columns are nested, and which are encrypted
//! stored   the bytes of a file, all of them or as they are needed
//! column   the pages of a column
//! values   decodes the values of a column
//! text     which columns hold text
//! cells    decodes the columns of kept fields
//! slices   cuts the rows of a column into slices
//! rows     decodes the rows of a slice
//! missing  instead of all these, without the feature
//! ```
//!
//! A row group is written and read as a whole, so a file is cut only between two of them. Each row
//! also has a nominal place: its share of the bytes of its row group. With these, a range of rows is
//! a range of bytes, and progress and hashes count the bytes that are stored.

#[cfg(feature = "parquet")]
mod cells;
#[cfg(feature = "parquet")]
mod column;
#[cfg(feature = "parquet")]
mod layout;
#[cfg(not(feature = "parquet"))]
mod missing;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod rows;
#[cfg(feature = "parquet")]
mod slices;
#[cfg(feature = "parquet")]
mod stored;
#[cfg(feature = "parquet")]
mod text;
#[cfg(feature = "parquet")]
mod thrift;
#[cfg(feature = "parquet")]
mod values;

#[cfg(not(feature = "parquet"))]
pub(crate) use missing::{Columnar, Slice, Slices};
#[cfg(feature = "parquet")]
pub(crate) use parquet::Columnar;
#[cfg(feature = "parquet")]
pub(crate) use slices::{Slice, Slices};

/// Begins and ends a Parquet file.
const MAGIC: &[u8; 4] = b"PAR1";

/// Bytes after the metadata: its length, and [`MAGIC`].
const TAIL_BYTES: usize = 8;

/// The metadata and the bytes after it, at the end of a Parquet file; `None` if it has no such end.
pub(crate) fn footer(bytes: &[u8]) -> Option<&[u8]> {
    let tail = bytes.last_chunk::<TAIL_BYTES>()?;
    let (length, magic) = tail.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let start = bytes.len().checked_sub(length)?.checked_sub(TAIL_BYTES)?;
    (magic == MAGIC && start >= MAGIC.len()).then(|| &bytes[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_files_have_a_footer() {
        let mut file = b"PAR1data".to_vec();
        file.extend(b"meta");
        file.extend(4_u32.to_le_bytes());
        file.extend(b"PAR1");
        assert_eq!(footer(&file).map(<[u8]>::len), Some(12));
        for end in 0..file.len() {
            assert_eq!(footer(&file[..end]), None);
        }
        // Longer than the file.
        let tail = file.len() - TAIL_BYTES;
        file[tail..tail + 4].copy_from_slice(&9_u32.to_le_bytes());
        assert_eq!(footer(&file), None);
    }
}
