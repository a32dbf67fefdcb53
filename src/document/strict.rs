//! The fast path to the text of records that conform to RFC 8259, as nearly all do.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The last value of `field` in the object in `line`; `None` if it has no such field. Allocates
/// nothing for a plain record.
pub(super) fn read<'a>(line: &'a str, field: &str) -> serde_json::Result<Option<Value<'a>>> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let found = Object { field }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found.map(|value| {
        let text = value.get().strip_prefix('"');
        match text.and_then(|text| text.strip_suffix('"')) {
            Some(text) => Value::Text(text),
            None if value.get().starts_with('{') => Value::Object(value.get()),
            None => Value::Other,
        }
    }))
}

/// The last value of `field` in the object in `line`, or in objects in it: if no field has the whole
/// name, what is before a dot names an object, and what is after it a field of that. `None` if there
/// is no such field or the line is not plain JSON.
pub(super) fn find<'a>(line: &'a str, field: &str) -> Option<Value<'a>> {
    let found = read(line, field).ok()?;
    if found.is_some() {
        return found;
    }
    let (outer, inner) = field.split_once('.')?;
    match read(line, outer).ok()?? {
        Value::Object(object) => find(object, inner),
        Value::Text(_) | Value::Other => None,
    }
}

/// The value of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A string, without its quotes and with its escapes, which may have halves of surrogate pairs.
    Text(&'a str),
    /// An object, with its braces.
    Object(&'a str),
    /// Something else.
    Other,
}

/// Reads an object, keeping only one field.
struct Object<'f> {
    field: &'f str,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_field) = map.next_key_seed(KeyIs(self.field))? {
            if is_field {
                found = Some(map.next_value::<&RawValue>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Reads a key and returns whether it is this one.
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
