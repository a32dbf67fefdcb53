//! What the crate parquet neither checks nor returns: how deep columns are nested, which it follows by
//! recursion, which of them are encrypted, and the sizes in the headers of pages, for which it
//! allocates memory.
//!
//! Metadata and headers are structs in Thrift's compact protocol. Fields have numbers, and unknown ones
//! are skipped. `None` means that it is no such struct, which the crate says better.

use std::io::{self, Read};

/// Fields of the structs, by their numbers in parquet.thrift.
mod field {
    /// Of the metadata: a list of the columns and of what they lie in, each before what is in it.
    pub(super) const SCHEMA: u64 = 2;
    /// Of the metadata: a list.
    pub(super) const ROW_GROUPS: u64 = 4;
    /// Of an element of the schema: how many elements are in it.
    pub(super) const CHILDREN: u64 = 5;
    /// Of a row group: a list.
    pub(super) const COLUMNS: u64 = 1;
    /// Of a column in a row group: how it is encrypted.
    pub(super) const CRYPTO: u64 = 8;
    /// Of the header of a page: sizes in bytes.
    pub(super) const DECODED: u64 = 2;
    pub(super) const STORED: u64 = 3;
    /// Of the header of a page: a struct, if it is a dictionary.
    pub(super) const DICTIONARY: u64 = 7;
    /// Of a dictionary: how many values it has.
    pub(super) const VALUES: u64 = 1;
}

/// The types of values.
mod kind {
    pub(super) const STOP: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const STRUCT: u8 = 12;
}

/// Values of unknown fields that are nested deeper are not read.
const MAX_SKIPPED: usize = 64;

/// What the header of a page says of its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageSize {
    /// The length of the header itself.
    pub(super) header: u64,
    /// How many bytes are stored after the header, and how many they are once decompressed.
    pub(super) stored: u64,
    pub(super) decoded: u64,
    /// The number of values of a dictionary.
    pub(super) dictionary_values: Option<u64>,
}

/// Reads the header of a page, and nothing after it.
pub(super) fn page_size(from: impl Read) -> Option<PageSize> {
    let mut reader = Reader { from, read: 0 };
    let mut size = PageSize::default();
    let mut last = 0;
    while let (id, kind @ kind::TRUE..) = reader.field(&mut last)? {
        match (id, kind) {
            (field::DECODED, kind::I32) => size.decoded = unzigzag(reader.varint()?),
            (field::STORED, kind::I32) => size.stored = unzigzag(reader.varint()?),
            (field::DICTIONARY, kind::STRUCT) => {
                let values = reader.number(field::VALUES)?;
                size.dictionary_values = Some(values);
            }
            _ => reader.skip(kind, MAX_SKIPPED)?,
        }
    }
    size.header = reader.read;
    Some(size)
}

/// How deep the columns of a file are nested, as far as `enough`.
pub(super) fn nesting(metadata: &[u8], enough: usize) -> Option<usize> {
    let mut reader = Reader {
        from: metadata,
        read: 0,
    };
    let mut last = 0;
    while let (id, kind @ kind::TRUE..) = reader.field(&mut last)? {
        if (id, kind) != (field::SCHEMA, kind::LIST) {
            reader.skip(kind, MAX_SKIPPED)?;
            continue;
        }
        let (kind, count) = reader.list()?;
        // How many elements are still to come in each that is open.
        let mut open: Vec<u64> = Vec::new();
        let mut deepest = 0;
        for _ in 0..count {
            while open.pop_if(|left| *left == 0).is_some() {}
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            let children = if kind == kind::STRUCT {
                // A negative number is refused later.
                reader.number(field::CHILDREN)?.min(u64::from(u32::MAX))
            } else {
                return None;
            };
            if children > 0 {
                open.push(children);
                deepest = deepest.max(open.len());
            }
            if deepest >= enough {
                break;
            }
        }
        return Some(deepest);
    }
    None
}

/// Whether `column`, or any if it is `None`, is encrypted in some row group.
pub(super) fn is_encrypted(metadata: &[u8], column: Option<usize>) -> Option<bool> {
    let mut reader = Reader {
        from: metadata,
        read: 0,
    };
    let mut last = 0;
    while let (id, kind @ kind::TRUE..) = reader.field(&mut last)? {
        if (id, kind) != (field::ROW_GROUPS, kind::LIST) {
            reader.skip(kind, MAX_SKIPPED)?;
            continue;
        }
        let (_, groups) = reader.list()?;
        for _ in 0..groups {
            if reader.has_encrypted(column)? {
                return Some(true);
            }
        }
        return Some(false);
    }
    None
}

/// Reads values, one after another.
struct Reader<R> {
    from: R,
    /// How many bytes were read.
    read: u64,
}

impl<R: Read> Reader<R> {
    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.from.read_exact(&mut byte).ok()?;
        self.read += 1;
        Some(byte[0])
    }

    fn advance(&mut self, length: u64) -> Option<()> {
        let skipped = io::copy(&mut self.from.by_ref().take(length), &mut io::sink()).ok()?;
        self.read += skipped;
        (skipped == length).then_some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// The number and the type of the next field of a struct; after the last, the type is
    /// [`kind::STOP`], which is less than all others.
    fn field(&mut self, last: &mut u64) -> Option<(u64, u8)> {
        let head = self.byte()?;
        if head == kind::STOP {
            return Some((0, kind::STOP));
        }
        *last = match head >> 4 {
            0 => unzigzag(self.varint()?),
            step => last.wrapping_add(u64::from(step)),
        };
        // A type of 0 is none of a field.
        Some((*last, head & 0x0f)).filter(|(_, kind)| *kind != kind::STOP)
    }

    /// The type of the elements of a list, and their number.
    fn list(&mut self) -> Option<(u8, u64)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        Some((head & 0x0f, count))
    }

    /// Skips a value that is not an element of a list.
    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            kind::TRUE | kind::FALSE => Some(()),
            kind::BYTE => self.advance(1),
            kind::I16 | kind::I32 | kind::I64 => self.varint().map(|_| ()),
            kind::DOUBLE => self.advance(8),
            kind::BINARY => {
                let length = self.varint()?;
                self.advance(length)
            }
            kind::LIST | kind::SET => {
                let (kind, count) = self.list()?;
                // In a list, a truth value takes a byte. So does every element at least.
                for _ in 0..count {
                    match kind {
                        kind::TRUE | kind::FALSE => self.advance(1)?,
                        _ => self.skip(kind, depth)?,
                    }
                }
                Some(())
            }
            kind::STRUCT => {
                let mut last = 0;
                while let (_, kind @ kind::TRUE..) = self.field(&mut last)? {
                    self.skip(kind, depth)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// Reads a struct: the number in its field `wanted`, or 0.
    fn number(&mut self, wanted: u64) -> Option<u64> {
        let mut number = 0;
        let mut last = 0;
        while let (id, kind @ kind::TRUE..) = self.field(&mut last)? {
            if (id, kind) == (wanted, kind::I32) {
                number = unzigzag(self.varint()?);
            } else {
                self.skip(kind, MAX_SKIPPED)?;
            }
        }
        Some(number)
    }

    /// Reads a row group: whether `column`, or any, is encrypted in it.
    fn has_encrypted(&mut self, column: Option<usize>) -> Option<bool> {
        let mut found = false;
        let mut last = 0;
        while let (id, kind @ kind::TRUE..) = self.field(&mut last)? {
            if (id, kind) != (field::COLUMNS, kind::LIST) {
                self.skip(kind, MAX_SKIPPED)?;
                continue;
            }
            let (_, columns) = self.list()?;
            for index in 0..columns {
                let mut last = 0;
                while let (id, kind @ kind::TRUE..) = self.field(&mut last)? {
                    let is_wanted = column.is_none_or(|column| column as u64 == index);
                    found |= is_wanted && id == field::CRYPTO;
                    self.skip(kind, MAX_SKIPPED)?;
                }
            }
        }
        Some(found)
    }
}

/// A signed number is written as an unsigned one: 0, -1, 1, -2, 2 and so on.
fn unzigzag(value: u64) -> u64 {
    value >> 1 ^ (value & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Metadata whose schema has elements with these numbers of children.
    fn schema(children: &[u8]) -> Vec<u8> {
        // A number, and a list of structs.
        let mut bytes = vec![0x15, 2, 0x19, 0xfc, u8::try_from(children.len()).unwrap()];
        for children in children {
            // A name, the number of children, an unknown field with a list of truth values.
            bytes.extend([0x48, 1, b'a', 0x15, 2 * children, 0x49, 0x21, 1, 2, 0]);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn nesting_is_how_many_elements_are_in_each_other() {
        for (children, expected) in [
            (&[0][..], 0),
            (&[2, 0, 0], 1),
            (&[2, 1, 0, 0], 2),
            (&[3, 0, 2, 0, 1, 0, 1, 0], 3),
        ] {
            let bytes = schema(children);
            assert_eq!(nesting(&bytes, 9), Some(expected), "{children:?}");
            for end in 0..bytes.len() - 1 {
                assert_eq!(nesting(&bytes[..end], 9), None, "{children:?} {end}");
            }
        }
        assert_eq!(nesting(&schema(&[1, 1, 1, 1, 0]), 2), Some(2));
    }

    #[test]
    fn a_header_is_read_to_its_end() {
        // A dictionary with 7 values, and a field after them.
        let bytes = [
            0x15, 4, 0x15, 200, 1, 0x15, 40, 0x4c, 0x15, 14, 0x15, 0, 0, 0, 99,
        ];
        let size = PageSize {
            header: 14,
            stored: 20,
            decoded: 100,
            dictionary_values: Some(7),
        };
        let mut from = &bytes[..];
        assert_eq!(page_size(&mut from), Some(size));
        assert_eq!(from, [99]);
        assert_eq!(page_size(&bytes[..13]), None);
    }

    #[test]
    fn an_encrypted_column_has_a_field_for_that() {
        // Row groups with two columns each, of which the second has it in the second group.
        let plain = [0x26, 8, 0];
        let group = |last: &[u8]| [&[0x19, 0x2c][..], &plain, last, &[0]].concat();
        let groups = [group(&plain), group(&[0x26, 8, 0x6c, 0, 0])].concat();
        let bytes = [&[0x49, 0x2c][..], &groups, &[0]].concat();
        assert_eq!(is_encrypted(&bytes, None), Some(true));
        assert_eq!(is_encrypted(&bytes, Some(0)), Some(false));
        assert_eq!(is_encrypted(&bytes, Some(1)), Some(true));
        assert_eq!(is_encrypted(&bytes[..9], Some(1)), None);
        let nested = [&[0x19; 3 * MAX_SKIPPED][..], &[0; 99]].concat();
        assert_eq!(is_encrypted(&nested, None), None);
    }
}
