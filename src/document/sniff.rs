//! Guesses a format from the bytes alone, whatever the file's name.

use memchr::memchr;

use crate::document::Format;
use crate::document::jsonl::{self, BYTE_ORDER_MARK};

/// How many bytes at the start are examined.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// Whether `bytes`, which are the start of something or, if `is_whole`, all of it, look like JSON
/// Lines; `None` if they do so far, but more bytes are needed to tell.
///
/// They do if the first line that is not blank is an object, another line follows, and every line
/// that starts in the first 64 KiB begins like an object. A single object on one line could also be
/// a plain JSON document.
pub(crate) fn is_json_lines(bytes: &[u8], is_whole: bool) -> Option<bool> {
    // The end of a line may be far away, so it is searched for only if it can matter.
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if !begins_as_object(&text[..text.len().min(HEAD_BYTES)]) {
        return Some(false);
    }
    let mut lines = jsonl::lines(bytes, true);
    let first = lines.next()?;
    if !begins_as_object(first.bytes) {
        return Some(false);
    }
    let end = first.start + first.bytes.len();
    let is_cut = !is_whole && memchr(b'\n', &bytes[end..]).is_none();
    if is_cut {
        return None;
    }
    if !is_object(first.bytes) {
        return Some(false);
    }
    let mut others = lines
        .take_while(|line| line.start == end + 1 || line.start < HEAD_BYTES)
        .peekable();
    if others.peek().is_none() {
        return if is_whole { Some(false) } else { None };
    }
    // The last line may be cut anywhere.
    Some(others.all(|line| begins_as_object(line.bytes) || line.bytes.trim_ascii() == b"{"))
}

/// Whether `line` begins with `{"` or `{}`, with white space allowed anywhere.
fn begins_as_object(line: &[u8]) -> bool {
    let inside = line.trim_ascii_start().strip_prefix(b"{");
    let first = inside.and_then(|inside| inside.trim_ascii_start().first());
    matches!(first, Some(b'"' | b'}'))
}

/// Whether the opening brace of `line` is closed by its last character. In a line longer than
/// [`HEAD_BYTES`], only the last character is checked.
fn is_object(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    if !line.ends_with(b"}") {
        return false;
    }
    if line.len() > HEAD_BYTES {
        return true;
    }
    let mut depth = 0_u64;
    let mut is_string = false;
    let mut is_escaped = false;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            _ if is_string => {}
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1 == line.len();
                }
            }
            _ => {}
        }
    }
    false
}

/// What to do with a file of a format that is not supported.
const AS_TEXT: &str = "give it as plain text or JSON Lines";

/// Compressed and columnar formats, and text encodings, that would otherwise be tokenized as if
/// they were UTF-8; and what to do with them.
const FOREIGN_MAGIC: [(&[u8], &str, &str); 10] = [
    (
        b"\x04\x22\x4d\x18",
        "lz4",
        "decode it in a pipe: lz4 -dc FILE | shardmill tokenize - `format` FORMAT",
    ),
    // The properties that lzma(1) and xz(1) write, and the low half of the window's size.
    (
        b"\x5d\0\0",
        "lzma",
        "decode it in a pipe: xz -dc FILE | shardmill tokenize - `format` FORMAT",
    ),
    (b"PK\x03\x04", "zip", AS_TEXT),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", AS_TEXT),
    (b"Obj\x01", "avro", AS_TEXT),
    (b"\x89HDF\r\n\x1a\n", "HDF5", AS_TEXT),
    // Byte order marks, the longer ones first.
    (b"\xff\xfe\0\0", "UTF-32", AS_TEXT),
    (b"\0\0\xfe\xff", "UTF-32", AS_TEXT),
    (b"\xff\xfe", "UTF-16", AS_TEXT),
    (b"\xfe\xff", "UTF-16", AS_TEXT),
];

/// The name of the unsupported format whose magic bytes `head` begins with, and what to do. Text
/// that happens to begin with the same letters does not count.
pub(crate) fn foreign_format(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let found = FOREIGN_MAGIC
        .iter()
        .find(|(magic, _, _)| head.starts_with(magic));
    if let Some(&(_, name, hint)) = found {
        return Some((name, hint));
    }
    is_tar(head).then_some(("tar", AS_TEXT))
}

/// The format with columns of which `head` begins a file. Text that happens to begin with the same
/// letters does not count.
pub(crate) fn with_columns(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"ARROW1\0\0") || is_arrow_stream(head).is_some() {
        return Some(Format::Arrow);
    }
    // And then a byte that no text has.
    let byte = head.strip_prefix(b"PAR1")?.first()?;
    (byte.is_ascii_control() && !byte.is_ascii_whitespace()).then_some(Format::Parquet)
}

/// `Some` if `head` begins a stream of Arrow: four bytes that are all ones, the length of a message, and a
/// table of `FlatBuffers` which says that it is a schema.
fn is_arrow_stream(head: &[u8]) -> Option<()> {
    /// Where slot 1 is in a list of slots, and what it leads to.
    const KIND: usize = 6;
    const SCHEMA: u8 = 1;
    let rest = head.strip_prefix(&[0xff; 4])?;
    let (length, message) = rest.split_first_chunk()?;
    let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
    let message = &message[..message.len().min(length)];
    let root = u32::from_le_bytes(*message.first_chunk()?) as usize;
    let back = i32::from_le_bytes(*message.get(root..)?.first_chunk()?);
    let slots = usize::try_from(i64::try_from(root).ok()? - i64::from(back)).ok()?;
    let slots = message.get(slots..)?;
    let kind = u16::from_le_bytes(*slots.get(KIND..)?.first_chunk()?);
    let kind = message.get(root.checked_add(usize::from(kind))?)?;
    (*kind == SCHEMA).then_some(())
}

/// `ustar` at byte 257, after a checksum in octal.
fn is_tar(head: &[u8]) -> bool {
    let is_named = head
        .get(257..263)
        .is_some_and(|magic| matches!(magic, b"ustar\0" | b"ustar "));
    is_named
        && head[148..156]
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'7' | b' ' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_are_told_from_one_document_and_from_text() {
        let long = format!("{{\"text\":\"{}\"}}", "x".repeat(2 * HEAD_BYTES));
        for (bytes, is_lines) in [
            ("{\"a\":1}\n{\"a\":2}\n", true),
            ("{\"a\":1}\r\n\r\n{\"a\":2}", true),
            ("\u{feff}\n { \"a\" : \"}\\\"{\" }\n{}", true),
            // What Python writes, and a line that is broken later.
            ("{\"a\":NaN}\n{\"a\":\"\\ud800\"}\n{\"a\":", true),
            (&format!("{long}\n{long}\n"), true),
            ("", false),
            ("\n\n", false),
            ("{\"a\":1}", false),
            ("{\"a\":1}\n", false),
            ("{\n  \"a\": 1\n}\n", false),
            ("{ \"a\": {\n} }\n", false),
            ("{\"a\":1}\nand so on\n", false),
            ("{\"a\":1} and\n{\"a\":2}\n", false),
            ("{{ a }}\n{{ b }}\n", false),
            ("{1, 2},\n{3, 4}\n", false),
            ("[{\"a\":1},\n{\"a\":2}]\n", false),
            ("Text.\n{\"a\":1}\n{\"a\":2}\n", false),
            (&long, false),
        ] {
            assert_eq!(
                is_json_lines(bytes.as_bytes(), true),
                Some(is_lines),
                "{bytes:.60}"
            );
        }
        // What a part of the bytes tells.
        for (bytes, found) in [
            ("{\"a\":1}\n{\"a\"", Some(true)),
            ("{\"a\":1}\n", None),
            ("{\"a\":", None),
            ("", Some(false)),
            ("{\n", Some(false)),
            ("a", Some(false)),
        ] {
            assert_eq!(is_json_lines(bytes.as_bytes(), false), found, "{bytes}");
        }
    }

    #[test]
    fn foreign_formats_are_named_and_texts_with_their_letters_are_not() {
        let mut tar = vec![b'a'; 512];
        tar[148..156].copy_from_slice(b"0012345\0");
        tar[257..263].copy_from_slice(b"ustar\0");
        for (head, name) in [
            (&b"\xff\xfea\0"[..], "UTF-16"),
            (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
            (b"\x5d\0\0\x80\0\xff\xff", "lzma"),
            (&tar, "tar"),
        ] {
            assert_eq!(foreign_format(head).map(|(name, _)| name), Some(name));
        }
        assert_eq!(with_columns(b"PAR1\x15\x04"), Some(Format::Parquet));
        assert_eq!(with_columns(b"ARROW1\0\0"), Some(Format::Arrow));
        for head in [
            &b"PAR1"[..],
            b"PAR1\nis a golf hole",
            b"ARROW1 points left",
            b"\xff\xff\xff\xff\x10\0\0\0",
        ] {
            assert_eq!(with_columns(head), None);
        }
        // A stream begins with a message of some kind: here its slots come before it.
        let stream = |kind| {
            let mut stream = [0xff; 4].to_vec();
            stream.extend([24, 0, 0, 0, 12, 0, 0, 0, 8, 0, 8, 0, 0, 0, 4, 0]);
            stream.extend([8, 0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0]);
            stream
        };
        assert_eq!(with_columns(&stream(1)), Some(Format::Arrow));
        assert_eq!(with_columns(&stream(3)), None);
        for end in 0..24 {
            assert_eq!(with_columns(&stream(1)[..end]), None, "{end}");
        }
        let prose = format!("{}ustar formats", "a ".repeat(150));
        for head in [
            &b""[..],
            b"ARROW1 points left",
            &prose.as_bytes()[300 - 257..],
        ] {
            assert_eq!(foreign_format(head), None);
        }
    }
}
