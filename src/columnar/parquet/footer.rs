//! The end of a file, where its metadata is.

/// Begins and ends a Parquet file.
pub(super) const MAGIC: &[u8; 4] = b"PAR1";

/// Bytes after the metadata: its length, and [`MAGIC`].
pub(super) const TAIL_BYTES: usize = 8;

/// The metadata and the bytes after it, at the end of a Parquet file; `None` if it has no such end.
pub(super) fn footer(bytes: &[u8]) -> Option<&[u8]> {
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
