//! Finds characters of up to three bytes in bytes that may be cut anywhere. The build script uses
//! the same code.

/// The length of the character that `bytes` begin with; 1 for each byte of a partial character or
/// of a character of four bytes. `None` if there are no bytes.
#[inline(always)]
pub(crate) const fn len(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [] => None,
        [0xc0..0xe0, 0x80..0xc0, ..] => Some(2),
        [0xe0..0xf0, 0x80..0xc0, 0x80..0xc0, ..] => Some(3),
        _ => Some(1),
    }
}
