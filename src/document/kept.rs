//! Fields of records that are kept beside their documents, as lines of JSON.
//!
//! A line is an object with the same keys, in the same order, for every document. A value stands as it
//! does in a JSON record, without the white space around its parts; in CSV and in text columns, it is a
//! string. What a record does not have is null.

use std::sync::Arc;

use shardmill_core::simd::Level;

use crate::document::json;
use crate::document::record::Bad;
use crate::document::syntax::Type;
use crate::document::{InvalidUtf8, decode};

/// The fields of a record that are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    /// The one that holds the document.
    pub(crate) text: String,
    /// Those that are kept beside it.
    pub(crate) kept: Arc<[KeptField]>,
}

/// A field that is kept beside each document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptField {
    /// Its name in records.
    pub(crate) name: String,
    /// What stands before its value in a line: a brace or a comma, its key, and a colon.
    before: String,
    /// The setting that names it.
    setting: &'static str,
}

impl Fields {
    /// The field `text`, and those in `kept`: each with its key in lines, its name in records, and the
    /// setting that names it.
    pub(crate) fn new<'a>(
        text: &str,
        kept: impl Iterator<Item = (&'a str, &'a str, &'static str)>,
    ) -> Self {
        let kept = kept.enumerate().map(|(index, (key, name, setting))| {
            let opener = if index == 0 { '{' } else { ',' };
            KeptField {
                name: name.to_owned(),
                before: format!("{opener}{}:", serde_json::Value::from(key)),
                setting,
            }
        });
        Self {
            text: text.to_owned(),
            kept: kept.collect(),
        }
    }

    /// The name of each field, and of the setting that names it.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let kept = self.kept.iter().map(|kept| (&*kept.name, kept.setting));
        std::iter::once((&*self.text, "text_field")).chain(kept)
    }
}

/// Ends a value of a document. No JSON has it.
const END_OF_VALUE: u8 = 0x1f;

/// Ends the values of a document.
const END_OF_DOCUMENT: u8 = b'\n';

/// The values of one document, as JSON, each with its end; one that is null is empty.
#[derive(Debug, Default)]
pub(crate) struct FieldValues(Vec<u8>);

impl FieldValues {
    /// Takes the values of the next document. `value` appends that of a field as JSON, unless it is null.
    pub(super) fn take(
        &mut self,
        kept: &[KeptField],
        mut value: impl FnMut(usize, &KeptField, &mut Vec<u8>),
    ) {
        self.0.clear();
        for (index, field) in kept.iter().enumerate() {
            value(index, field, &mut self.0);
            self.0.push(END_OF_VALUE);
        }
    }
}

/// The values of the documents of a chunk, without their keys: documents may be as short as these.
#[derive(Debug, Default)]
pub(crate) struct KeptValues(Vec<u8>);

impl KeptValues {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends the values of a document; `None` are those of one without fields.
    pub(crate) fn push(&mut self, kept: &[KeptField], values: Option<&FieldValues>) {
        if !kept.is_empty() {
            self.0.extend(values.iter().flat_map(|values| &values.0));
            self.0.push(END_OF_DOCUMENT);
        }
    }

    /// The values of each document; nothing if none are kept.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split_inclusive(|&byte| byte == END_OF_DOCUMENT)
    }
}

impl Fields {
    /// Appends the line of a document with these `values`, and counts each that is not null in `found`.
    pub(crate) fn push_line(&self, values: &[u8], found: &mut Vec<u64>, line: &mut Vec<u8>) {
        found.resize(self.kept.len(), 0);
        let mut values = values.split(|&byte| byte == END_OF_VALUE);
        for (field, count) in self.kept.iter().zip(found) {
            line.extend(field.before.as_bytes());
            match values
                .next()
                .filter(|value| !matches!(value, [] | [END_OF_DOCUMENT]))
            {
                Some(value) => {
                    line.extend(value);
                    *count += 1;
                }
                None => line.extend(NULL),
            }
        }
        line.extend(b"}\n");
    }
}

const NULL: &[u8] = b"null";

/// Counts again in how many documents each field is, in lines that were written.
#[derive(Debug)]
pub(crate) struct FieldCheck {
    fields: Fields,
    level: Level,
    pub(crate) found: Vec<u64>,
}

impl FieldCheck {
    pub(crate) fn new(fields: Fields) -> Self {
        Self {
            found: vec![0; fields.kept.len()],
            level: Level::detect(),
            fields,
        }
    }

    /// Counts the next line, which ends with its line end. Returns whether it is one.
    pub(crate) fn take(&mut self, line: &[u8]) -> bool {
        let Some(line) = std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.strip_suffix('\n'))
            .filter(|line| line.starts_with('{'))
        else {
            return false;
        };
        // One more than there should be tells.
        let values = json::values(line, self.fields.kept.len() + 1, self.level);
        let mut end = 0;
        let mut values = values.into_iter();
        for (field, count) in self.fields.kept.iter().zip(&mut self.found) {
            let Some((value, kind)) = values.next() else {
                return false;
            };
            if line[end..value.start] != *field.before {
                return false;
            }
            end = value.end;
            *count += u64::from(kind != Type::Null);
        }
        values.next().is_none() && &line[end..] == "}"
    }
}

impl KeptField {
    /// Appends `text`, its value, as a JSON string; returns how many sequences in it were not UTF-8, unless
    /// the document, in the field `text_field`, is the same text and has them, too.
    pub(super) fn push_text(
        &self,
        json: &mut Vec<u8>,
        text: &[u8],
        text_field: &str,
        policy: InvalidUtf8,
    ) -> Result<u64, Bad> {
        let (text, invalid) = decode(text, policy).map_err(|at| Bad::kept_utf8(&self.name, at))?;
        // A string always serializes, and writing to memory cannot fail.
        let _ = serde_json::to_writer(json, &*text);
        Ok(if self.name == text_field { 0 } else { invalid })
    }
}

/// Appends the JSON `value`, of type `kind`, without white space between its parts, unless it is null.
pub(super) fn push_value(json: &mut Vec<u8>, value: &str, kind: Type) {
    match kind {
        Type::Null => {}
        Type::Boolean | Type::Number | Type::String => json.extend(value.as_bytes()),
        Type::Array | Type::Object => push_compact(json, value.as_bytes()),
    }
}

fn push_compact(json: &mut Vec<u8>, value: &[u8]) {
    let mut in_string = false;
    let mut is_escaped = false;
    for &byte in value {
        if !in_string && matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        }
        json.push(byte);
        in_string ^= byte == b'"' && !is_escaped;
        is_escaped = in_string && byte == b'\\' && !is_escaped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let kept = [
            ("id", "doc_id", "id_field"),
            ("a\"b", "a\"b", "keep_fields"),
        ];
        Fields::new("text", kept.into_iter())
    }

    /// The lines of these values, and how many of each are not null.
    fn lines(fields: &Fields, values: &KeptValues) -> (String, Vec<u64>) {
        let (mut lines, mut found) = (Vec::new(), Vec::new());
        for document in values.documents() {
            fields.push_line(document, &mut found, &mut lines);
        }
        (String::from_utf8(lines).unwrap(), found)
    }

    #[test]
    fn every_line_has_the_same_keys() {
        let fields = fields();
        let mut of_document = FieldValues::default();
        let mut values = KeptValues::default();
        let object = r#"{ "x" : "a \" b\\" }"#;
        for wanted in [0, 1] {
            of_document.take(&fields.kept, |index, _, json| {
                if index == wanted {
                    push_value(json, object, Type::Object);
                }
            });
            values.push(&fields.kept, Some(&of_document));
        }
        values.push(&fields.kept, None);
        let expected = concat!(
            r#"{"id":{"x":"a \" b\\"},"a\"b":null}"#,
            "\n",
            r#"{"id":null,"a\"b":{"x":"a \" b\\"}}"#,
            "\n",
            r#"{"id":null,"a\"b":null}"#,
            "\n"
        );
        let (found, counts) = lines(&fields, &values);
        assert_eq!(found, expected);
        assert_eq!(counts, [1, 1]);
    }

    #[test]
    fn lines_are_checked() {
        let mut check = FieldCheck::new(fields());
        assert!(check.take(b"{\"id\":[1, 2],\"a\\\"b\":null}\n"));
        assert!(check.take(b"{\"id\":NaN,\"a\\\"b\":\"x\"}\n"));
        assert_eq!(check.found, [2, 1]);
        for wrong in [
            &b"{\"id\":1,\"a\\\"b\":null}"[..],
            b"{\"id\":1,\"b\":null}\n",
            b"{\"id\":1}\n",
            b"{\"id\":1,\"a\\\"b\":null,\"c\":1}\n",
            b"{\"id\": 1,\"a\\\"b\":null}\n",
            b"{\"id\":1,\"a\\\"b\":nul}\n",
            b"{\"id\":1,\"a\\\"b\":null} \n",
            b"[]\n",
            b"\n",
            b"\xff\n",
        ] {
            assert!(!check.take(wrong), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn nothing_is_written_if_nothing_is_kept() {
        let mut values = KeptValues::default();
        values.push(&[], None);
        assert_eq!(values.documents().count(), 0);
    }
}
