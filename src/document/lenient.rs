//! JSON as Python's `json.loads` reads it. Reads records that the strict reader refuses, and finds
//! what is wrong with the rest.
//!
//! Accepts NaN, Infinity and -Infinity as numbers, and numbers of any size; escapes may be halves
//! of surrogate pairs. Containers may be nested to any depth: each takes one byte of memory and
//! nothing on the stack. Everything else is RFC 8259. At most half as fast as the strict reader.

use std::ops::Range;

use crate::document::InvalidUtf8;

/// How many fields are named if the wanted one is missing.
const FIELDS_SHOWN: usize = 10;

/// How many characters of a field's name are shown.
const NAME_SHOWN: usize = 40;

/// What an object holds.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// The last value of the wanted field.
    pub(super) value: Option<Value>,
    /// The names of other fields, as ranges of the line, up to [`FIELDS_SHOWN`].
    fields: Vec<Range<usize>>,
    /// The number of fields after those.
    more: u64,
    /// The names of the objects that it lies in, each with a dot after it.
    path: String,
}

/// A value, as its range in the line; that of a string is without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(Range<usize>),
    Other(Type, Range<usize>),
}

/// The types of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    /// For messages, with its article.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// What is wrong with JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    ByteOrderMark,
    Value,
    Key,
    Colon,
    CommaOrBracket,
    CommaOrBrace,
    Control,
    Escape,
    Hex,
    CutString,
    CutArray,
    CutObject,
    Cut,
    Trailing,
}

impl Syntax {
    /// For messages.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "a byte order mark after the start of the file",
            Self::Value => "expected a value",
            Self::Key => "expected a string as the key",
            Self::Colon => "expected ':'",
            Self::CommaOrBracket => "expected ',' or ']'",
            Self::CommaOrBrace => "expected ',' or '}'",
            Self::Control => "a control character in a string is not escaped",
            Self::Escape => "an unknown escape",
            Self::Hex => "an escape \\u without four hex digits",
            Self::CutString => "the line ends inside a string",
            Self::CutArray => "the line ends inside an array",
            Self::CutObject => "the line ends inside an object",
            Self::Cut => "the line ends before the value",
            Self::Trailing => "something follows the object",
        }
    }
}

/// Why a line is not an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not JSON, from this byte on.
    Broken(usize, Syntax),
    /// It is JSON of another type.
    NotObject(Type),
}

/// Reads the object in `line`, looking for `field`.
pub(super) fn read(line: &str, field: &str) -> Result<Object, Refused> {
    let broken = |(at, what)| Refused::Broken(at, what);
    let mut scan = Scan { line, at: 0 };
    scan.space();
    let found = if scan.peek() == Some(b'{') {
        Ok(scan.object(field).map_err(broken)?)
    } else {
        Err(scan.value().map_err(broken)?)
    };
    scan.space();
    if scan.peek().is_some() {
        return Err(Refused::Broken(scan.at, Syntax::Trailing));
    }
    found.map_err(Refused::NotObject)
}

/// Reads the object in `line`, looking for `field` in it or, if that is a path, in an object in it;
/// see [`strict::find`](super::strict::find). Returns the innermost object that is there.
pub(super) fn find(line: &str, field: &str) -> Result<Object, Refused> {
    let object = read(line, field)?;
    if object.value.is_some() {
        return Ok(object);
    }
    let Some((outer, inner)) = field.split_once('.') else {
        return Ok(object);
    };
    let Some(Value::Other(Type::Object, range)) = read(line, outer)?.value else {
        return Ok(object);
    };
    let nested = find(&line[range.clone()], inner)?;
    Ok(nested.moved(range.start, outer))
}

/// Appends the string at `range` in `line`, which excludes its quotes, to `text`. Returns how many
/// halves of surrogate pairs were replaced or left out.
///
/// # Errors
/// Under [`InvalidUtf8::Strict`], returns where in the line the first of them is.
pub(super) fn push_text(
    line: &str,
    range: Range<usize>,
    policy: InvalidUtf8,
    text: &mut String,
) -> Result<u64, usize> {
    text.reserve(range.len());
    let mut lone = 0;
    let mut at = range.start;
    while let Some(length) = memchr::memchr(b'\\', &line.as_bytes()[at..range.end]) {
        text.push_str(&line[at..at + length]);
        let escape = at + length;
        let (character, end) = unescape(line.as_bytes(), escape);
        at = end;
        match (character, policy) {
            (Some(character), _) => text.push(character),
            (None, InvalidUtf8::Strict) => return Err(escape),
            (None, InvalidUtf8::Replace) => text.push(char::REPLACEMENT_CHARACTER),
            (None, InvalidUtf8::Ignore) => {}
        }
        lone += u64::from(character.is_none());
    }
    text.push_str(&line[at..range.end]);
    Ok(lone)
}

/// The character of the escape at `at`, which has been checked, and where the escape ends; `None`
/// for half of a surrogate pair.
fn unescape(bytes: &[u8], at: usize) -> (Option<char>, usize) {
    let simple = match bytes[at + 1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex(bytes, at + 2).unwrap_or(0);
            let second = || {
                let is_escape = bytes.get(at + 6..at + 8) == Some(b"\\u");
                hex(bytes, at + 8).filter(|_| is_escape)
            };
            if let 0xd800..0xdc00 = first
                && let Some(second @ 0xdc00..0xe000) = second()
            {
                let both = 0x10000 + ((first - 0xd800) << 10 | (second - 0xdc00));
                return (char::from_u32(both), at + 12);
            }
            return (char::from_u32(first), at + 6);
        }
        // A quote, a slash or a backslash.
        other => char::from(other),
    };
    (Some(simple), at + 2)
}

/// The four hex digits at `at`.
fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |value, &byte| {
        Some(value << 4 | char::from(byte).to_digit(16)?)
    })
}

impl Object {
    /// The same object as the field `outer` of another, in a line in which it begins at `start`.
    fn moved(mut self, start: usize, outer: &str) -> Self {
        let moved = |range: &Range<usize>| range.start + start..range.end + start;
        self.value = self.value.map(|value| match value {
            Value::Text(range) => Value::Text(moved(&range)),
            Value::Other(kind, range) => Value::Other(kind, moved(&range)),
        });
        self.fields = self.fields.iter().map(moved).collect();
        self.path = format!("{outer}.{}", self.path);
        self
    }

    /// The names of the fields, for messages; safe for a terminal.
    pub(super) fn fields(&self, line: &str) -> String {
        let names: Vec<_> = self
            .fields
            .iter()
            .map(|range| {
                let mut name = self.path.clone();
                // Replacing cannot fail.
                let _ = push_text(line, range.clone(), InvalidUtf8::Replace, &mut name);
                shown(&name)
            })
            .collect();
        match (names.join(", "), self.more) {
            (names, 0) => names,
            (names, more) => format!("{names} and {more} more"),
        }
    }
}

/// A name in quotes, truncated, with anything that could control a terminal escaped.
pub(super) fn shown(name: &str) -> String {
    match name.char_indices().nth(NAME_SHOWN) {
        Some((end, _)) => format!("{:?}...", &name[..end]),
        None => format!("{name:?}"),
    }
}

type Broken = (usize, Syntax);

struct Scan<'a> {
    line: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn broken(&self, what: Syntax) -> Broken {
        (self.at, what)
    }

    /// Skips the object that begins here.
    fn object(&mut self, field: &str) -> Result<Object, Broken> {
        let mut object = Object::default();
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(object);
        }
        loop {
            let key = self.key()?;
            self.space();
            let start = self.at;
            let kind = self.value()?;
            if self.is_name(key.clone(), field) {
                object.value = Some(match kind {
                    Type::String => Value::Text(start + 1..self.at - 1),
                    other => Value::Other(other, start..self.at),
                });
            } else if object.fields.len() < FIELDS_SHOWN {
                object.fields.push(key);
            } else {
                object.more += 1;
            }
            if self.closes(b'}')? {
                return Ok(object);
            }
        }
    }

    /// Whether the key at `key` is `name`.
    fn is_name(&self, key: Range<usize>, name: &str) -> bool {
        let raw = &self.line[key.clone()];
        if raw.contains('\\') {
            let mut text = String::new();
            push_text(self.line, key, InvalidUtf8::Strict, &mut text).is_ok() && text == name
        } else {
            raw == name
        }
    }

    /// Skips what follows a member of an object or an array: a comma or the closer. Returns whether
    /// it was the closer.
    fn closes(&mut self, closer: u8) -> Result<bool, Broken> {
        self.space();
        let is_object = closer == b'}';
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(byte) if byte == closer => {
                self.at += 1;
                Ok(true)
            }
            None if is_object => Err(self.broken(Syntax::CutObject)),
            None => Err(self.broken(Syntax::CutArray)),
            Some(_) if is_object => Err(self.broken(Syntax::CommaOrBrace)),
            Some(_) => Err(self.broken(Syntax::CommaOrBracket)),
        }
    }

    /// Skips a key and its colon; returns the key's range without its quotes.
    fn key(&mut self) -> Result<Range<usize>, Broken> {
        self.space();
        match self.peek() {
            Some(b'"') => {}
            None => return Err(self.broken(Syntax::CutObject)),
            Some(_) => return Err(self.broken(Syntax::Key)),
        }
        let start = self.at + 1;
        self.string()?;
        let key = start..self.at - 1;
        self.space();
        match self.peek() {
            Some(b':') => {
                self.at += 1;
                Ok(key)
            }
            None => Err(self.broken(Syntax::CutObject)),
            Some(_) => Err(self.broken(Syntax::Colon)),
        }
    }

    /// Skips a value of any depth.
    fn value(&mut self) -> Result<Type, Broken> {
        let mut outermost = None;
        // The closer of each open container.
        let mut open = Vec::new();
        loop {
            self.space();
            let (kind, closer) = match self.peek() {
                Some(b'{') => (Type::Object, Some(b'}')),
                Some(b'[') => (Type::Array, Some(b']')),
                Some(b'"') => {
                    self.string()?;
                    (Type::String, None)
                }
                _ => (self.word()?, None),
            };
            let outermost = *outermost.get_or_insert(kind);
            if let Some(closer) = closer {
                self.at += 1;
                self.space();
                if self.peek() == Some(closer) {
                    self.at += 1;
                } else {
                    open.push(closer);
                    if closer == b'}' {
                        self.key()?;
                    }
                    continue;
                }
            }
            loop {
                let Some(&closer) = open.last() else {
                    return Ok(outermost);
                };
                if !self.closes(closer)? {
                    if closer == b'}' {
                        self.key()?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    /// Skips the string that begins here.
    fn string(&mut self) -> Result<(), Broken> {
        let bytes = self.line.as_bytes();
        self.at += 1;
        loop {
            let rest = &bytes[self.at..];
            let is_end = |&byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            let Some(length) = rest.iter().position(is_end) else {
                self.at = bytes.len();
                return Err(self.broken(Syntax::CutString));
            };
            self.at += length;
            match (bytes[self.at], bytes.get(self.at + 1)) {
                (b'"', _) => {
                    self.at += 1;
                    return Ok(());
                }
                (b'\\', Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => {
                    self.at += 2;
                }
                (b'\\', Some(b'u')) if hex(bytes, self.at + 2).is_some() => self.at += 6,
                (b'\\', Some(b'u')) => return Err(self.broken(Syntax::Hex)),
                (b'\\', Some(_)) => return Err(self.broken(Syntax::Escape)),
                (b'\\', None) => {
                    self.at += 1;
                    return Err(self.broken(Syntax::CutString));
                }
                _ => return Err(self.broken(Syntax::Control)),
            }
        }
    }

    /// Skips a number or a word.
    fn word(&mut self) -> Result<Type, Broken> {
        const WORDS: [(&str, Type); 6] = [
            ("null", Type::Null),
            ("true", Type::Boolean),
            ("false", Type::Boolean),
            ("NaN", Type::Number),
            ("Infinity", Type::Number),
            ("-Infinity", Type::Number),
        ];
        let rest = &self.line[self.at..];
        if let Some((word, kind)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(*kind);
        }
        match number(rest.as_bytes()) {
            Some(length) => {
                self.at += length;
                Ok(Type::Number)
            }
            None if rest.is_empty() => Err(self.broken(Syntax::Cut)),
            None if rest.starts_with('\u{feff}') => Err(self.broken(Syntax::ByteOrderMark)),
            None => Err(self.broken(Syntax::Value)),
        }
    }
}

/// The length of the number at the start of `bytes`.
fn number(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match bytes.get(at)? {
        // No digit may follow a leading zero. One that does is taken for the next token, and
        // refused there.
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') && digits(at + 1) > 0 {
        at += 1 + digits(at + 1);
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let length = digits(at + 1 + sign);
        if length > 0 {
            at += 1 + sign + length;
        }
    }
    Some(at)
}
