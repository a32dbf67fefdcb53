//! Small parts of a JSON file, with their places.
//!
//! Everything but vocabularies and merges is read into a tree, from which fields are taken by
//! name; a field that is left is refused.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::definition::refusal::{Refusal, quoted};

/// Parts of more bytes than this are refused.
const MOST_BYTES: usize = 1 << 20;

/// A JSON value. Objects keep their order, and have no key twice.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Integer(u64),
    /// A number that is negative or has a fraction.
    Number(f64),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Node {
    /// Parses the part of a file at `path`.
    pub(super) fn parse(json: &str, path: &str) -> Result<Self, Refusal> {
        if json.len() > MOST_BYTES {
            return Err(Refusal::unsupported(path, "is larger than 1 MiB"));
        }
        serde_json::from_str(json).map_err(|error| {
            let mut refusal = Refusal::json(&error);
            refusal.place = crate::definition::Place::Path(path.to_owned());
            refusal
        })
    }

    /// What kind of value it is, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The value as in a message: short, in one line.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(text) => quoted(text),
            _ => self.kind().to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "only for messages")]
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(u64::try_from(value).map_or(Node::Number(value as f64), Node::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields: Vec<(String, Node)> = Vec::new();
        // Objects with many keys, such as special tokens by name, need an index.
        let mut seen = std::collections::HashSet::new();
        while let Some((key, value)) = map.next_entry::<String, Node>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!(
                    "key {} is there twice",
                    quoted(&key)
                )));
            }
            fields.push((key, value));
        }
        Ok(Node::Object(fields))
    }
}

/// The fields of an object, taken one by one.
#[derive(Debug)]
pub(super) struct Fields {
    path: String,
    fields: Vec<(String, Node)>,
}

impl Fields {
    pub(super) fn new(node: Node, path: impl Into<String>) -> Result<Self, Refusal> {
        let path = path.into();
        match node {
            Node::Object(fields) => Ok(Self { path, fields }),
            other => Err(wrong(&path, "an object", &other)),
        }
    }

    /// The place of a field.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == key)
    }

    /// The field, or `None` if it is not there. A null is there.
    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        let at = self.fields.iter().position(|(name, _)| name == key)?;
        Some(self.fields.swap_remove(at).1)
    }

    /// The field, or what is wrong if it is not there.
    pub(super) fn need(&mut self, key: &str) -> Result<Node, Refusal> {
        self.take(key)
            .ok_or_else(|| Refusal::damaged_at(self.path(key), "is missing"))
    }

    pub(super) fn need_text(&mut self, key: &str) -> Result<String, Refusal> {
        match self.need(key)? {
            Node::Text(text) => Ok(text),
            other => Err(wrong(&self.path(key), "a string", &other)),
        }
    }

    pub(super) fn need_bool(&mut self, key: &str) -> Result<bool, Refusal> {
        match self.need(key)? {
            Node::Bool(value) => Ok(value),
            other => Err(wrong(&self.path(key), "true or false", &other)),
        }
    }

    /// The boolean, or this if the field is not there. A null is refused.
    pub(super) fn bool_or(&mut self, key: &str, default: bool) -> Result<bool, Refusal> {
        if self.has(key) {
            self.need_bool(key)
        } else {
            Ok(default)
        }
    }

    pub(super) fn need_integer(&mut self, key: &str) -> Result<u64, Refusal> {
        match self.need(key)? {
            Node::Integer(value) => Ok(value),
            other => Err(wrong(&self.path(key), "a whole number", &other)),
        }
    }

    pub(super) fn need_array(&mut self, key: &str) -> Result<Vec<Node>, Refusal> {
        match self.need(key)? {
            Node::Array(items) => Ok(items),
            other => Err(wrong(&self.path(key), "an array", &other)),
        }
    }

    /// One character.
    pub(super) fn need_char(&mut self, key: &str) -> Result<char, Refusal> {
        let text = self.need_text(key)?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(c),
            _ => Err(Refusal::damaged_at(
                self.path(key),
                format!("{} is not one character", quoted(&text)),
            )),
        }
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        match self.fields.first() {
            None => Ok(()),
            Some((key, _)) => Err(Refusal::unsupported(self.path(key), "is not known")),
        }
    }

    /// The names and values of all fields.
    pub(super) fn into_entries(self) -> Vec<(String, Node)> {
        self.fields
    }
}

/// The value at `path` has the wrong type.
pub(super) fn wrong(path: &str, expected: &str, found: &Node) -> Refusal {
    Refusal::damaged_at(path, format!("is not {expected} but {}", found.kind()))
}

/// The type of a part, which is one of `known` if the part is supported.
pub(super) fn type_of(fields: &mut Fields) -> Result<String, Refusal> {
    fields.need_text("type")
}

/// A part of this type is refused by name.
pub(super) fn unsupported_type(path: &str, kind: &str) -> Refusal {
    Refusal::unsupported(
        format!("{path}.type"),
        format!("{} is not supported", quoted(kind)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::new(Node::parse(json, "p").unwrap(), "p").unwrap()
    }

    fn message<T: fmt::Debug>(result: Result<T, Refusal>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn fields_are_taken_by_name_and_type() {
        let mut f = fields(r#"{"a":true,"b":3,"c":"xy","d":[1],"e":null,"f":"▁"}"#);
        assert!(f.need_bool("a").unwrap());
        assert_eq!(f.need_integer("b").unwrap(), 3);
        assert_eq!(message(f.need_char("c")), "p.c \"xy\" is not one character");
        assert_eq!(f.need_array("d").unwrap(), [Node::Integer(1)]);
        assert_eq!(
            message(f.need_bool("e")),
            "p.e is not true or false but null"
        );
        assert_eq!(f.need_char("f").unwrap(), '▁');
        assert_eq!(message(f.need("g")), "p.g is missing");
        assert!(f.finish().is_ok());
        assert_eq!(message(fields(r#"{"z":1}"#).finish()), "p.z is not known");
    }

    #[test]
    fn damaged_json_is_refused() {
        let message = |json: &str| Node::parse(json, "p").unwrap_err().to_string();
        assert!(message("{").starts_with("p is not valid: EOF"));
        assert!(message(r#"{"a":1,"a":2}"#).contains("key \"a\" is there twice"));
        assert!(message(&"[".repeat(100_000)).contains("recursion limit"));
        assert_eq!(message(&" ".repeat(2 << 20)), "p is larger than 1 MiB");
    }
}
