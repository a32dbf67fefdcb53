//! Bytes -> text, with a policy for what is not UTF-8.

use std::borrow::Cow;

use shardmill_core::choice;

choice! {
    /// What to do with bytes that are not UTF-8: the error handlers of Python's `bytes.decode`. In
    /// the text of JSON Lines, this also applies to escapes that are half of a surrogate pair.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum InvalidUtf8 {
        /// Refuse the document and say where.
        #[default]
        Strict = "strict",
        /// Replace each maximal part of an invalid sequence with one U+FFFD.
        Replace = "replace",
        /// Leave the invalid bytes out.
        Ignore = "ignore",
    }
}

/// Decodes `bytes`; also returns how many invalid sequences were replaced or left out.
///
/// # Errors
/// Under [`InvalidUtf8::Strict`], returns the offset of the first invalid sequence.
pub(crate) fn decode(bytes: &[u8], policy: InvalidUtf8) -> Result<(Cow<'_, str>, u64), usize> {
    // The fast check does not report the position, so find that only if it fails.
    if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
        return Ok((Cow::Borrowed(text), 0));
    }
    let replacement = match policy {
        InvalidUtf8::Strict => {
            return Err(std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len));
        }
        InvalidUtf8::Replace => "\u{fffd}",
        InvalidUtf8::Ignore => "",
    };
    let mut text = String::with_capacity(bytes.len());
    let mut invalid = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push_str(replacement);
            invalid += 1;
        }
    }
    Ok((Cow::Owned(text), invalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_those_of_python() {
        // b'a\xf0\x9f\x98z\xed\xa0\x80\xff'.decode(errors=...), checked with CPython 3.11:
        // a truncated sequence is one part, an encoded surrogate three.
        let bytes = b"a\xf0\x9f\x98z\xed\xa0\x80\xff";
        assert_eq!(decode(bytes, InvalidUtf8::Strict), Err(1));
        let (text, count) = decode(bytes, InvalidUtf8::Replace).unwrap();
        assert_eq!(text, "a\u{fffd}z\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(count, 5);
        let (text, count) = decode(bytes, InvalidUtf8::Ignore).unwrap();
        assert_eq!((text.as_ref(), count), ("az", 5));
    }

    #[test]
    fn valid_text_is_borrowed() {
        let (text, count) = decode("aé😀".as_bytes(), InvalidUtf8::Replace).unwrap();
        assert!(matches!(text, Cow::Borrowed("aé😀")));
        assert_eq!(count, 0);
    }
}
