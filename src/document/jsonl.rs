//! JSON Lines: a document per line, in one field of the line's object.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The first line start at or after `from`, the start of the bytes apart.
pub(crate) fn next_cut(bytes: &[u8], from: usize) -> Option<usize> {
    let before = from.max(1) - 1;
    let at = before + memchr(b'\n', bytes.get(before..)?)? + 1;
    (at < bytes.len()).then_some(at)
}

/// A line that is not blank, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Byte offset in the bytes given.
    pub(crate) start: usize,
    /// Lines before it in the bytes given, blank ones too.
    pub(crate) index: u64,
    pub(crate) bytes: &'a [u8],
}

/// The lines of `bytes` that are not blank.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    let mut index = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest[..length]
            .strip_suffix(b"\r")
            .unwrap_or(&rest[..length]);
        let item = Line {
            start,
            index,
            bytes: line,
        };
        start += length + 1;
        index += 1;
        Some(item)
    })
    .filter(|line| {
        !line
            .bytes
            .iter()
            .all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
    })
}

/// The string in `field` of the object that `line` holds; of duplicate keys the last wins.
///
/// # Errors
/// What is wrong with the line, for a message.
pub(crate) fn text_of<'a>(line: &'a str, field: &str) -> Result<Cow<'a, str>, String> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let found = Object { field }
        .deserialize(&mut deserializer)
        .and_then(|found| deserializer.end().map(|()| found))
        .map_err(|error| describe(&error))?;
    match found {
        None => Err(format!(
            "no field \"{field}\"; choose one with --text-field"
        )),
        Some(Value::Other(kind)) => Err(format!("field \"{field}\" is {kind}, not a string")),
        Some(Value::Text(text)) => Ok(text),
    }
}

/// The message of `serde_json` with its position on the line alone: it always says "line 1".
fn describe(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let what = match message.split(" at line ").next().unwrap_or(&message) {
        // What it says of the first half of a surrogate pair without the second, and of a second
        // without the first.
        "unexpected end of hex escape" | "lone leading surrogate in hex escape" => {
            "an escape \\u is half of a surrogate pair"
        }
        what => what,
    };
    match error.column() {
        // The line as a whole.
        0 => what.to_owned(),
        column => format!("column {column}: {what}"),
    }
}

/// What stands in the field.
enum Value<'a> {
    Text(Cow<'a, str>),
    /// Something else, by its kind.
    Other(&'static str),
}

/// Reads an object, keeping only one field.
struct Object<'f> {
    field: &'f str,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Option<Value<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Option<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_field) = map.next_key_seed(KeyIs(self.field))? {
            if is_field {
                found = Some(map.next_value_seed(FieldValue)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Reads a key and says whether it is this one.
struct KeyIs<'f>(&'f str);

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// Reads the value of the field, whatever it is.
struct FieldValue;

impl<'de> DeserializeSeed<'de> for FieldValue {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Other("null"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Other("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other("an object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Result<String, String> {
        text_of(line, "text").map(Cow::into_owned)
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
        assert!(matches!(
            text_of(r#"{"text":"plain"}"#, "text"),
            Ok(Cow::Borrowed("plain"))
        ));
    }

    #[test]
    fn of_duplicate_keys_the_last_wins() {
        assert_eq!(text(r#"{"text":"a","text":"b"}"#).unwrap(), "b");
        assert_eq!(text(r#"{"text":1,"text":"b"}"#).unwrap(), "b");
        assert_eq!(
            text(r#"{"text":"a","text":null}"#).unwrap_err(),
            "field \"text\" is null, not a string"
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, what) in [
            ("{}", "no field \"text\"; choose one with --text-field"),
            ("[1]", "invalid type: sequence, expected an object"),
            (
                r#"{"text":3.5}"#,
                "field \"text\" is a number, not a string",
            ),
            (
                r#"{"text":[1,"a"]}"#,
                "field \"text\" is an array, not a string",
            ),
            (r#"{"text":"a"} x"#, "column 14: trailing characters"),
            (r#"{"text":"a""#, "column 11: EOF while parsing an object"),
            (
                r#"{"text":"\ud800"}"#,
                "column 16: an escape \\u is half of a surrogate pair",
            ),
            (
                r#"{"text":"\udc00"}"#,
                "column 15: an escape \\u is half of a surrogate pair",
            ),
        ] {
            assert_eq!(text(line).unwrap_err(), what, "{line}");
        }
    }

    #[test]
    fn lines_skip_blank_ones_and_drop_line_ends() {
        let found: Vec<_> = lines(b"a\r\n\n \t\r\nb\nc")
            .map(|line| (line.start, line.index, line.bytes))
            .collect();
        assert_eq!(found, [(0, 0, &b"a"[..]), (8, 3, b"b"), (10, 4, b"c")]);
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
}
