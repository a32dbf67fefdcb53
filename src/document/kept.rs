//! Fields of records that are kept beside their documents, as lines of JSON.
//!
//! A line is an object with the same keys, in the same order, for every document. A value stands as it
//! does in a JSON record, without the white space around its parts; in CSV and in text columns, it is a
//! string. What a record does not have is null.

use std::sync::Arc;

use shardmill_core::simd::Level;

use crate::document::json::Members;
use crate::document::syntax::Type;

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

/// The line of one document, without its line end.
#[derive(Debug, Default)]
pub(crate) struct FieldLine {
    json: Vec<u8>,
    /// Whether each field is there, and not null.
    found: Vec<bool>,
}

impl FieldLine {
    /// Makes the line of the next document. `value` appends the value of a field as JSON, and returns
    /// whether there is one other than null.
    pub(super) fn make(
        &mut self,
        kept: &[KeptField],
        mut value: impl FnMut(usize, &KeptField, &mut Vec<u8>) -> bool,
    ) {
        self.json.clear();
        self.found.clear();
        for (index, field) in kept.iter().enumerate() {
            self.json.extend(field.before.as_bytes());
            let is_found = value(index, field, &mut self.json);
            if !is_found {
                self.json.extend(b"null");
            }
            self.found.push(is_found);
        }
        self.json.push(b'}');
    }
}

/// The lines of the documents of a chunk.
#[derive(Debug, Default)]
pub(crate) struct FieldLines {
    json: Vec<u8>,
    /// In how many documents each field is, and not null.
    pub(crate) found: Vec<u64>,
}

impl FieldLines {
    pub(crate) fn clear(&mut self) {
        self.json.clear();
        self.found.clear();
    }

    /// The size of the lines, in bytes.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.json.len() as u64
    }

    /// The lines, each with its line end; none if nothing is kept.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.json.split_inclusive(|&byte| byte == b'\n')
    }

    /// Appends the line of a document; `None` is that of one without fields.
    pub(crate) fn push(&mut self, kept: &[KeptField], line: Option<&FieldLine>) {
        if kept.is_empty() {
            return;
        }
        self.found.resize(kept.len(), 0);
        if let Some(line) = line {
            self.json.extend(&line.json);
            for (count, &is_found) in self.found.iter_mut().zip(&line.found) {
                *count += u64::from(is_found);
            }
        } else {
            for field in kept {
                self.json.extend(field.before.as_bytes());
                self.json.extend(b"null");
            }
            self.json.push(b'}');
        }
        self.json.push(b'\n');
    }
}

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
        let members = Members::of(line, 0..line.len(), self.level);
        let mut end = 0;
        let mut values = members.values();
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

/// Appends `text` as a JSON string.
pub(super) fn push_string(json: &mut Vec<u8>, text: &str) {
    // A string always serializes, and writing to memory cannot fail.
    let _ = serde_json::to_writer(json, text);
}

/// Appends the JSON `value`, of type `kind`, without white space between its parts; returns whether it is
/// other than null.
pub(super) fn push_value(json: &mut Vec<u8>, value: &str, kind: Type) -> bool {
    match kind {
        Type::Null => return false,
        Type::Boolean | Type::Number | Type::String => json.extend(value.as_bytes()),
        Type::Array | Type::Object => push_compact(json, value.as_bytes()),
    }
    true
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

    #[test]
    fn every_line_has_the_same_keys() {
        let kept = fields().kept;
        let mut line = FieldLine::default();
        let mut lines = FieldLines::default();
        let value = r#"{ "x" : "a \" b\\" }"#;
        line.make(&kept, |index, _, json| {
            index == 0 && push_value(json, value, Type::Object)
        });
        lines.push(&kept, Some(&line));
        lines.push(&kept, None);
        let expected = concat!(
            r#"{"id":{"x":"a \" b\\"},"a\"b":null}"#,
            "\n",
            r#"{"id":null,"a\"b":null}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(lines.json).unwrap(), expected);
        assert_eq!(lines.found, [1, 0]);
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
        let mut lines = FieldLines::default();
        lines.push(&[], None);
        assert_eq!(lines.json, b"");
    }
}
