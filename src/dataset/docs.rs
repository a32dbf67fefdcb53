//! The `.docs` record: which part of a shard is which document.

/// A document, or the piece of one, in a shard: 32 bytes, little-endian.
///
/// | offset | type | field |
/// | --- | --- | --- |
/// | 0 | `u64` | `end_tokens` |
/// | 8 | `u64` | `byte_start` |
/// | 16 | `u64` | `byte_len` |
/// | 24 | `u32` | `source` |
/// | 28 | `u32` | `flags` |
///
/// A token belongs to the first record whose `end_tokens` is greater than its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct DocRecord {
    /// The end of the document (exclusive), as an offset in the shard, in tokens. The document
    /// includes its end-of-text token, as its last or first token.
    pub end_tokens: u64,
    /// Where this piece begins in the source, in bytes: the text itself, or the JSON line. In a
    /// source with columns it is the row instead, counted from 0.
    pub byte_start: u64,
    /// The length of this piece in the source, in bytes; for a JSON line, without its line end; for a
    /// row, the length of its text.
    pub byte_len: u64,
    /// Index of the source in the manifest.
    pub source: u32,
    /// The sum of [`BEGAN_EARLIER`](Self::BEGAN_EARLIER), [`GOES_ON`](Self::GOES_ON) and
    /// [`EMPTY`](Self::EMPTY), as far as they apply.
    pub flags: u32,
}

impl DocRecord {
    /// The size of a record in bytes.
    pub const BYTES: u64 = 32;
    /// The document began in an earlier shard.
    pub const BEGAN_EARLIER: u32 = 1;
    /// The document continues in the next shard.
    pub const GOES_ON: u32 = 2;
    /// The document has no text.
    pub const EMPTY: u32 = 4;

    /// Whether all of its flags are known.
    pub(crate) fn has_known_flags(&self) -> bool {
        self.flags & !(Self::BEGAN_EARLIER | Self::GOES_ON | Self::EMPTY) == 0
    }

    /// Whether the document began in an earlier shard.
    pub fn began_earlier(&self) -> bool {
        self.flags & Self::BEGAN_EARLIER != 0
    }

    /// Whether the document continues in the next shard.
    pub fn goes_on(&self) -> bool {
        self.flags & Self::GOES_ON != 0
    }

    /// Whether the document has no text.
    pub fn is_empty(&self) -> bool {
        self.flags & Self::EMPTY != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_documented_one() {
        let record = DocRecord {
            end_tokens: 1,
            byte_start: 2,
            byte_len: 3,
            source: 4,
            flags: 5,
        };
        let mut expected = Vec::new();
        for value in [1_u64, 2, 3] {
            expected.extend(value.to_le_bytes());
        }
        for value in [4_u32, 5] {
            expected.extend(value.to_le_bytes());
        }
        assert_eq!(bytemuck::bytes_of(&record), expected);
        assert_eq!(expected.len() as u64, DocRecord::BYTES);
    }
}
