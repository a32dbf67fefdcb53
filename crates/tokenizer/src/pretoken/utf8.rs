//! Whole characters in bytes that may not be UTF-8.

/// The character that begins at byte `at`, if the bytes there are UTF-8.
pub(crate) fn scalar_at(bytes: &[u8], at: usize) -> Option<char> {
    let len = match *bytes.get(at)? {
        first @ 0..0x80 => return Some(first.into()),
        0x80..0xc0 => return None,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    let text = std::str::from_utf8(bytes.get(at..at + len)?).ok()?;
    text.chars().next()
}

/// The character that ends at byte `at`, if the bytes there are UTF-8.
pub(crate) fn scalar_before(bytes: &[u8], at: usize) -> Option<char> {
    let is_first = |byte: u8| byte & 0xc0 != 0x80;
    let back = (1..=at.min(4)).find(|&back| is_first(bytes[at - back]))?;
    scalar_at(bytes, at - back).filter(|char| char.len_utf8() == back)
}
