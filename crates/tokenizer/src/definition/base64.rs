//! The texts of tokens in rank files: base64 with padding, RFC 4648 section 4.

const INVALID: u8 = 0xff;

const VALUES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [INVALID; 256];
    let mut value = 0_u8;
    while value < 64 {
        values[alphabet[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Appends the decoded bytes. Returns whether the text is valid: of whole groups of four, and
/// canonical. If not, something may have been appended.
pub(super) fn decode(text: &[u8], bytes: &mut Vec<u8>) -> bool {
    let (groups, rest) = text.as_chunks::<4>();
    let Some((&last, groups)) = groups.split_last() else {
        return rest.is_empty();
    };
    for group in groups {
        let [a, b, c, d] = group.map(|c| VALUES[usize::from(c)]);
        if (a | b | c | d) & 0xc0 != 0 {
            return false;
        }
        bytes.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
    }
    let padding = match last {
        [_, _, b'=', b'='] => 2,
        [_, _, _, b'='] => 1,
        _ => 0,
    };
    let mut values = last.map(|c| VALUES[usize::from(c)]);
    values[4 - padding..].fill(0);
    let [a, b, c, d] = values;
    // Bits that no byte has must be zero.
    let spare = [0, c & 3, b & 15][padding];
    if (a | b | c | d) & 0xc0 != 0 || spare != 0 || !rest.is_empty() {
        return false;
    }
    let three = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
    bytes.extend_from_slice(&three[..3 - padding]);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        decode(text.as_bytes(), &mut bytes).then_some(bytes)
    }

    fn encoded(bytes: &[u8]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let mut three = [0; 4];
            three[1..=chunk.len()].copy_from_slice(chunk);
            let bits = u32::from_be_bytes(three);
            for i in 0..4 {
                let value = (bits >> (18 - 6 * i)) as usize & 63;
                text.push(if i > chunk.len() {
                    '='
                } else {
                    alphabet[value] as char
                });
            }
        }
        text
    }

    #[test]
    fn known_texts_are_decoded() {
        assert_eq!(decoded("IQ==").unwrap(), b"!");
        assert_eq!(decoded("IGI=").unwrap(), b" b");
        assert_eq!(decoded("IHRo").unwrap(), b" th");
        assert_eq!(decoded("").unwrap(), b"");
        for text in [
            "I", "IQ", "IQ=", "IR==", "IGJ=", "=", "====", "IQ==IQ==", "I Q=", "IQ=a", "é===",
        ] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decoded(&encoded(&bytes)), Some(bytes));
        }

        #[test]
        fn only_one_text_is_valid(text in "[A-Za-z0-9+/=]{0,12}") {
            if let Some(bytes) = decoded(&text) {
                prop_assert_eq!(encoded(&bytes), text);
            }
        }
    }
}
