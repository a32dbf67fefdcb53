//! JSON Lines: one document per line, in one field of the line's object.

use std::borrow::Cow;

use crate::document::lenient::{self, Refused};
use crate::document::reading::{Document, Documents, Extent, Reading, Text};
use crate::document::record::Bad;
use crate::document::{DocumentFormat, Format, InvalidUtf8, decode, strict};
use memchr::memchr;

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    format: Format::Jsonl,
    name: "jsonl",
    extensions: &["jsonl", "ndjson"],
    is_one_document: false,
    has_rows: false,
    next_cut,
    documents: |span, reading| {
        Box::new(Records {
            lines: lines(span.bytes, span.begins),
            reading,
            unescaped: String::new(),
        })
    },
};

/// The records of a span.
#[derive(Debug)]
struct Records<'a> {
    lines: Lines<'a>,
    reading: Reading<'a>,
    /// The text of the current record, if it has escapes.
    unescaped: String,
}

impl Documents for Records<'_> {
    fn next_document(&mut self) -> Option<Document<'_>> {
        let line = self.lines.next()?;
        let Reading {
            text_field,
            invalid_utf8,
        } = self.reading;
        Some(Document {
            extent: Extent {
                start: line.start,
                len: line.bytes.len(),
                line: Some(line.index),
                begins: true,
                ends: true,
            },
            text: read(line.bytes, text_field, invalid_utf8, &mut self.unescaped),
        })
    }

    fn lines(&self) -> u32 {
        self.lines.index
    }
}

/// The first line start at or after `from`, except the start of the bytes.
pub(super) fn next_cut(bytes: &[u8], from: usize) -> Option<usize> {
    let before = from.max(1) - 1;
    let at = before + memchr(b'\n', bytes.get(before..)?)? + 1;
    (at < bytes.len()).then_some(at)
}

/// A line that is not blank, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Its byte offset in the given bytes.
    pub(crate) start: usize,
    /// The number of lines before it in the given bytes, including blank ones.
    pub(crate) index: u32,
    pub(crate) bytes: &'a [u8],
}

/// May precede the first line of a source, and is not part of it.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An iterator over the lines of some bytes that are not blank.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    index: u32,
}

/// The lines of `bytes` that are not blank. `is_start` says that the bytes begin the source: then a
/// byte order mark at their start is not part of a line.
pub(crate) fn lines(bytes: &[u8], is_start: bool) -> Lines<'_> {
    let has_mark = is_start && bytes.starts_with(BYTE_ORDER_MARK);
    Lines {
        bytes,
        at: if has_mark { BYTE_ORDER_MARK.len() } else { 0 },
        index: 0,
    }
}

impl Lines<'_> {
    /// The number of lines so far, including blank ones.
    pub(super) fn read_so_far(&self) -> u32 {
        self.index
    }
}

/// Whether a line holds nothing but white space.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            let length = memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest[..length]
                .strip_suffix(b"\r")
                .unwrap_or(&rest[..length]);
            let item = Line {
                start: self.at,
                index: self.index,
                bytes: line,
            };
            self.at += length + 1;
            // A chunk has at most a million lines.
            self.index = self.index.saturating_add(1);
            if !is_blank(line) {
                return Some(item);
            }
        }
    }
}

/// The string in `field` of the object in `line`; of duplicate keys, the last wins. A text that
/// does not stand in the line as it is goes to `buffer`.
///
/// # Errors
/// Says what is wrong with the line.
fn read<'a>(
    line: &'a [u8],
    field: &str,
    policy: InvalidUtf8,
    buffer: &'a mut String,
) -> Result<Text<'a>, Bad> {
    let (line, invalid) = decode(line, policy).map_err(Bad::utf8)?;
    buffer.clear();
    let (text, lone) = match line {
        Cow::Borrowed(line) => {
            let (plain, lone) = text_of(line, field, policy, buffer)?;
            (plain.unwrap_or(buffer), lone)
        }
        Cow::Owned(line) => {
            let (plain, lone) = text_of(&line, field, policy, buffer)?;
            buffer.push_str(plain.unwrap_or_default());
            (buffer.as_str(), lone)
        }
    };
    Ok(Text {
        text: Cow::Borrowed(text),
        invalid: invalid + lone,
    })
}

/// The first of `fields` that the first record with any of them has, whatever its value. `start` are
/// the first bytes of a source, or all; a hundred records are looked at.
pub(crate) fn first_field<'n>(start: &[u8], fields: &[&'n str]) -> Option<&'n str> {
    lines(start, true).take(100).find_map(|line| {
        let (line, _) = decode(line.bytes, InvalidUtf8::Replace).ok()?;
        let has =
            |field: &&&str| lenient::read(&line, field).is_ok_and(|object| object.value.is_some());
        fields.iter().find(has).copied()
    })
}

/// The string in `field`, if it has no escapes; otherwise it is appended to `buffer`. Also returns
/// how many halves of surrogate pairs in it were replaced or left out.
fn text_of<'a>(
    line: &'a str,
    field: &str,
    policy: InvalidUtf8,
    buffer: &mut String,
) -> Result<(Option<&'a str>, u64), Bad> {
    if let Ok(Some(strict::Value::Text(text))) = strict::read(line, field) {
        if memchr(b'\\', text.as_bytes()).is_none() {
            return Ok((Some(text), 0));
        }
        if let Ok(lone) = lenient::push_text(text, 0..text.len(), policy, buffer) {
            return Ok((None, lone));
        }
        buffer.clear();
    }
    // The strict reader neither accepts all that Python writes nor explains what is wrong.
    let lone = push_rest(line, field, policy, buffer)?;
    Ok((None, lone))
}

/// Like [`text_of`], for lines that are not plain records; always appends to `buffer`.
#[cold]
fn push_rest(
    line: &str,
    field: &str,
    policy: InvalidUtf8,
    buffer: &mut String,
) -> Result<u64, Bad> {
    let object = lenient::read(line, field).map_err(|refused| match refused {
        Refused::Broken(at, what) => Bad::broken(at, what),
        Refused::NotObject(found) => Bad::not_object(found),
    })?;
    match object.value {
        Some(lenient::Value::Text(range)) => {
            lenient::push_text(line, range, policy, buffer).map_err(Bad::surrogate)
        }
        Some(lenient::Value::Other(found)) => Err(Bad::not_string(found)),
        None => Err(Bad::missing(object.fields(line))),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::document::BadKind;
    use proptest::prelude::*;

    fn text(line: &str) -> Result<String, String> {
        read(
            line.as_bytes(),
            "text",
            InvalidUtf8::Strict,
            &mut String::new(),
        )
        .map(|record| record.text.into_owned())
        .map_err(|bad| bad.problem("text").to_string())
    }

    #[test]
    fn the_field_is_found_among_others() {
        assert_eq!(
            text(r#"{"id":1,"text":"a","meta":{"text":"b"}}"#).unwrap(),
            "a"
        );
        assert_eq!(
            text(r#" {"te\u0078t":"a\n\u00e9\ud83d\ude00"} "#).unwrap(),
            "a\né😀"
        );
        let mut buffer = String::new();
        let line = br#"{"text":"plain"}"#;
        let plain = read(line, "text", InvalidUtf8::Strict, &mut buffer).unwrap();
        assert_eq!(plain.text, "plain");
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn of_duplicate_keys_the_last_wins() {
        assert_eq!(text(r#"{"text":"a","text":"b"}"#).unwrap(), "b");
        assert_eq!(text(r#"{"text":1,"text":"b"}"#).unwrap(), "b");
        assert_eq!(text(r#"{"text":"\ud800","text":"b"}"#).unwrap(), "b");
        assert_eq!(
            text(r#"{"text":"a","text":null}"#).unwrap_err(),
            "field \"text\" is null, not a string"
        );
    }

    #[test]
    fn what_python_writes_beside_the_text_is_no_matter() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        for other in [
            "NaN",
            "[-Infinity, Infinity]",
            "1e999",
            "-0.0E-7",
            r#""\ud800""#,
            r#"{"\udc00":"\udc00"}"#,
            &"9".repeat(5000),
            &deep,
        ] {
            // The strict reader accepts some of these, but none next to a NaN.
            for line in [
                format!(r#"{{"a":{other},"text":"b"}}"#),
                format!(r#"{{"\ud800":NaN,"a":{other},"text":"b"}}"#),
            ] {
                assert_eq!(text(&line).unwrap(), "b", "{}", &line[..line.len().min(60)]);
            }
        }
    }

    #[test]
    fn a_field_may_be_as_deep() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let what = text(&format!(r#"{{"text":{deep}}}"#)).unwrap_err();
        assert_eq!(what, "field \"text\" is an array, not a string");
        let what = text(&format!(r#"{{"text":{}"#, &deep[..200_000])).unwrap_err();
        assert_eq!(what, "column 200009: the line ends before the value");
    }

    #[test]
    fn halves_of_surrogate_pairs_are_refused_replaced_or_left_out() {
        let line = br#"{"text":"\ud83d\ud83d\ude00\ude00\u00e9\n\uD800"}"#;
        let mut buffer = String::new();
        let bad = read(line, "text", InvalidUtf8::Strict, &mut buffer).unwrap_err();
        assert_eq!((bad.kind(), bad.at()), (BadKind::LoneSurrogate, 9));
        for (policy, text) in [
            (InvalidUtf8::Replace, "\u{fffd}😀\u{fffd}é\n\u{fffd}"),
            (InvalidUtf8::Ignore, "😀é\n"),
        ] {
            let record = read(line, "text", policy, &mut buffer).unwrap();
            assert_eq!((&*record.text, record.invalid), (text, 3));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, what) in [
            ("{}", "no field \"text\": the object is empty"),
            (
                r#"{"a":1,"b\u0007\u202e\ud800":2}"#,
                "no field \"text\"; there are \"a\", \"b\\u{7}\\u{202e}\u{fffd}\"; choose one with \
                 `text_field`",
            ),
            ("[1]", "is an array, not an object"),
            (r#""\ud800""#, "is a string, not an object"),
            ("NaN", "is a number, not an object"),
            (
                r#"{"text":3.5}"#,
                "field \"text\" is a number, not a string",
            ),
            (
                r#"{"text":1e999}"#,
                "field \"text\" is a number, not a string",
            ),
            (
                r#"{"text":[1,"a"]}"#,
                "field \"text\" is an array, not a string",
            ),
            (
                r#"{"text":"a"} x"#,
                "column 14: something follows the object",
            ),
            (
                r#"{"text":"a""#,
                "column 12: the line ends inside an object",
            ),
            (r#"{"text":"a"#, "column 11: the line ends inside a string"),
            (r#"{"text":"a\"#, "column 12: the line ends inside a string"),
            (
                r#"{"a":NaN,"text":[1"#,
                "column 19: the line ends inside an array",
            ),
            (r#"{"text":"#, "column 9: the line ends before the value"),
            (r#"{'text':"a"}"#, "column 2: expected a string as the key"),
            (
                r#"{"text":"a",}"#,
                "column 13: expected a string as the key",
            ),
            (r#"{"text" "a"}"#, "column 9: expected ':'"),
            (r#"{"text":"a" "b":1}"#, "column 13: expected ',' or '}'"),
            (r#"{"a":[1 2]}"#, "column 9: expected ',' or ']'"),
            (r#"{"a":[1,]}"#, "column 9: expected a value"),
            (r#"{"a":01}"#, "column 7: expected ',' or '}'"),
            (r#"{"a":1.}"#, "column 7: expected ',' or '}'"),
            (r#"{"a":nan}"#, "column 6: expected a value"),
            (
                "{\"text\":\"a\tb\"}",
                "column 11: a control character in a string is not escaped",
            ),
            (r#"{"text":"\x"}"#, "column 10: an unknown escape"),
            (
                r#"{"text":"\u12g4"}"#,
                "column 10: an escape \\u without four hex digits",
            ),
            (
                "\u{feff}{}",
                "column 1: a byte order mark after the start of the file",
            ),
        ] {
            assert_eq!(text(line).unwrap_err(), what, "{line}");
        }
    }

    #[test]
    fn only_the_first_fields_are_named_and_the_start_of_their_names() {
        let fields: Vec<_> = (0..12)
            .map(|i| format!("\"f{i}{}\":{i}", "é".repeat(99)))
            .collect();
        let what = text(&format!("{{{}}}", fields.join(","))).unwrap_err();
        let name = |i| format!("\"f{i}{}\"...", "é".repeat(38));
        let names: Vec<_> = (0..10).map(name).collect();
        assert_eq!(
            what,
            format!(
                "no field \"text\"; there are {} and 2 more; choose one with `text_field`",
                names.join(", ")
            )
        );
    }

    #[test]
    fn lines_skip_blank_ones_and_drop_line_ends() {
        let mut lines = lines(b"a\r\n\n \t\r\nb\nc\n\n", true);
        let found: Vec<_> = (&mut lines)
            .map(|line| (line.start, line.index, line.bytes))
            .collect();
        assert_eq!(found, [(0, 0, &b"a"[..]), (8, 3, b"b"), (10, 4, b"c")]);
        assert_eq!(lines.index, 6);
    }

    #[test]
    fn a_byte_order_mark_is_skipped_where_the_source_begins() {
        let bytes = b"\xef\xbb\xbfa\n\xef\xbb\xbfb";
        let found = |is_start| -> Vec<_> {
            let lines = lines(bytes, is_start);
            lines.map(|line| (line.start, line.bytes)).collect()
        };
        assert_eq!(found(true), [(3, &b"a"[..]), (5, b"\xef\xbb\xbfb")]);
        assert_eq!(found(false)[0], (0, &b"\xef\xbb\xbfa"[..]));
        assert_eq!(lines(b"\xef\xbb\xbf\r\n", true).next(), None);
    }

    #[test]
    fn cuts_are_line_starts_inside() {
        let bytes = b"ab\ncd\n";
        let cuts: Vec<_> = (0..=7).map(|from| next_cut(bytes, from)).collect();
        assert_eq!(
            cuts,
            [Some(3), Some(3), Some(3), Some(3), None, None, None, None]
        );
    }

    proptest! {
        #[test]
        fn both_readers_agree_on_plain_records(parts in prop::collection::vec(prop::sample::select(
            vec![
                "{", "}", "[", "]", ",", ":", "\"", "\"text\":", "\"a\"", "\"b\":", "{\"text\":\"",
                "\"}", "1", "-0", ".5", "e3", "null", "true", " ", "\\n", "\\u0041", "\\ud83d\\ude00",
                "\\", "é", "\t", "[1,{}],", "\"x\":[",
            ]), 0..14)) {
            let line = parts.concat();
            let mut expected = String::new();
            let lenient = push_rest(&line, "text", InvalidUtf8::Strict, &mut expected);
            match strict::read(&line, "text") {
                Ok(Some(strict::Value::Text(raw))) => {
                    let mut text = String::new();
                    let policy = InvalidUtf8::Strict;
                    let found = lenient::push_text(raw, 0..raw.len(), policy, &mut text);
                    prop_assert_eq!(found.is_ok(), lenient.is_ok());
                    prop_assert_eq!(text, expected);
                }
                Ok(Some(strict::Value::Other)) => prop_assert!(matches!(
                    lenient.unwrap_err().kind(),
                    BadKind::NotAString | BadKind::NullField
                )),
                Ok(None) => {
                    prop_assert_eq!(lenient.unwrap_err().kind(), BadKind::MissingField);
                }
                Err(_) => prop_assert!(lenient.is_err(), "{}", line),
            }
            // A reader that shares nothing with these two.
            if let Ok(serde_json::Value::Object(object)) = serde_json::from_str(&line) {
                let expected = object.get("text").and_then(serde_json::Value::as_str);
                let found = text(&line).ok();
                prop_assert_eq!(found.as_deref(), expected, "{}", line);
            }
        }

        #[test]
        fn escapes_are_those_of_the_characters(
            characters in prop::collection::vec(
                (
                    prop_oneof![
                        any::<char>(),
                        prop::sample::select(vec![
                            '\n', '\t', '\r', '\u{8}', '\u{c}', '\0', '"', '\\', '/',
                        ]),
                    ],
                    any::<bool>(),
                ),
                0..40,
            )
        ) {
            let mut line = r#"{"id":1,"text":""#.to_owned();
            for &(character, is_by_number) in &characters {
                if is_by_number {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        write!(line, "\\u{unit:04x}").unwrap();
                    }
                } else {
                    // With a short escape, if there is one.
                    let quoted = serde_json::to_string(&character).unwrap();
                    line += &quoted[1..quoted.len() - 1];
                }
            }
            line += "\"}";
            let expected = characters.into_iter().map(|(character, _)| character).collect();
            prop_assert_eq!(text(&line), Ok(expected));
        }
    }
}
