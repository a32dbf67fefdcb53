//! The characters that stand for bytes in byte-level vocabularies.

/// The character of each byte. Printable characters of Latin-1 stand for themselves; the other
/// bytes are U+0100 and on, in order.
pub(super) const fn character(byte: u8) -> char {
    TO_CHAR[byte as usize]
}

const fn is_itself(byte: u8) -> bool {
    matches!(byte, 33..=126 | 161..=172 | 174..=255)
}

const TO_CHAR: [char; 256] = {
    let mut table = ['\0'; 256];
    let mut next = 0x100_u32;
    let mut byte = 0_u8;
    loop {
        let code = if is_itself(byte) {
            byte as u32
        } else {
            next += 1;
            next - 1
        };
        table[byte as usize] = match char::from_u32(code) {
            Some(c) => c,
            None => '\0',
        };
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

/// The byte of each character below U+0144, and whether it has one.
const TO_BYTE: [(u8, bool); 0x144] = {
    let mut table = [(0, false); 0x144];
    let mut byte = 0_u8;
    loop {
        table[TO_CHAR[byte as usize] as usize] = (byte, true);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

#[cfg(test)]
/// The byte of a character; `None` if it is outside the alphabet.
pub(super) fn byte(c: char) -> Option<u8> {
    let &(byte, is_there) = TO_BYTE.get(c as usize)?;
    is_there.then_some(byte)
}

/// Appends the bytes that a text of the alphabet stands for. Returns whether all its characters
/// are in the alphabet; if not, the text's own bytes are appended.
pub(super) fn undo(text: &[u8], bytes: &mut Vec<u8>) -> bool {
    let start = bytes.len();
    let mut at = 0;
    while let Some(&first) = text.get(at) {
        // All characters of the alphabet have one or two bytes.
        let (code, len) = match (first, text.get(at + 1)) {
            (0..0x80, _) => (usize::from(first), 1),
            (0xc2..=0xc5, Some(&second)) => (
                usize::from(first & 0x1f) << 6 | usize::from(second & 0x3f),
                2,
            ),
            _ => (usize::MAX, 1),
        };
        if let Some(&(byte, true)) = TO_BYTE.get(code) {
            bytes.push(byte);
        } else {
            bytes.truncate(start);
            bytes.extend_from_slice(text);
            return false;
        }
        at += len;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_character() {
        assert_eq!(character(b' '), 'Ġ');
        assert_eq!(character(b'\n'), 'Ċ');
        assert_eq!(character(0xad), 'Ń');
        for b in 0..=u8::MAX {
            assert_eq!(byte(character(b)), Some(b));
            let mut bytes = b"x".to_vec();
            assert!(undo(character(b).to_string().as_bytes(), &mut bytes));
            assert_eq!(bytes, [b'x', b]);
        }
        let all = (0..=char::MAX as u32).filter_map(char::from_u32);
        assert_eq!(all.filter(|&c| byte(c).is_some()).count(), 256);
    }

    #[test]
    fn a_text_outside_the_alphabet_stays() {
        for text in ["a b", "<｜x｜>", "a\u{144}", "\u{ad}", "Ġ\u{7f}"] {
            let mut bytes = Vec::new();
            assert!(!undo(text.as_bytes(), &mut bytes), "{text}");
            assert_eq!(bytes, text.as_bytes());
        }
    }
}
