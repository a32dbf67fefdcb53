//! JSON as Python's `json.loads` reads it: finds the text of a record, or what is wrong with it.
//!
//! Accepts NaN, Infinity and -Infinity as numbers, and numbers of any size; escapes may be halves
//! of surrogate pairs. Containers may be nested to any depth: each takes one byte of memory and
//! nothing on the stack. Everything else is RFC 8259. The text is unescaped while it is checked, so
//! that a line is read once.

use std::ops::Range;

use shardmill_core::simd::Level;

use crate::document::escapes::{Unescaped, hex, shown, unescaped};
use crate::document::special::Specials;
use crate::document::syntax::{Syntax, Type, number};

/// How many fields are named if the wanted one is missing.
const FIELDS_SHOWN: usize = 10;

/// The last value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A string without escapes, as its range in the line, without its quotes.
    Plain(Range<usize>),
    /// A string with escapes, which was unescaped.
    Unescaped,
    /// Something else, and its range in the line.
    Other(Type, Range<usize>),
}

/// Why a line is not an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not JSON, from this byte on.
    Broken(usize, Syntax),
    /// It is JSON of another type.
    NotObject(Type),
}

/// The last value of `field` in the object in `line`, or in objects in it: if no field has the whole
/// name, what is before a dot names an object, and what is after it a field of that. `None` if there is
/// no such field. A string with escapes goes to `text`, whose places of halves are in `line`.
pub(super) fn find(
    line: &str,
    field: &str,
    level: Level,
    text: &mut Unescaped<'_>,
) -> Result<Option<Value>, Refused> {
    find_in(line, 0..line.len(), field, level, text)
}

/// Like [`find`], in the part of `line` that is an object.
fn find_in(
    line: &str,
    part: Range<usize>,
    field: &str,
    level: Level,
    text: &mut Unescaped<'_>,
) -> Result<Option<Value>, Refused> {
    let value = Scan::new(line, part.clone(), level).read(field, text)?;
    if value.is_some() {
        return Ok(value);
    }
    let Some((outer, inner)) = field.split_once('.') else {
        return Ok(None);
    };
    match Scan::new(line, part, level).read(outer, text)? {
        Some(Value::Other(Type::Object, nested)) => find_in(line, nested, inner, level, text),
        _ => Ok(None),
    }
}

/// The names of the fields of the innermost object in `line` that [`find`] looks in for `field`, for
/// messages; safe for a terminal.
pub(super) fn fields(line: &str, field: &str, level: Level) -> String {
    let mut text = String::new();
    let mut text = Unescaped::new(&mut text, crate::document::InvalidUtf8::Replace);
    let mut part = 0..line.len();
    let mut path = String::new();
    let mut rest = field;
    while let Some((outer, inner)) = rest.split_once('.') {
        let found = Scan::new(line, part.clone(), level).read(outer, &mut text);
        let Ok(Some(Value::Other(Type::Object, nested))) = found else {
            break;
        };
        part = nested;
        path = format!("{path}{outer}.");
        rest = inner;
    }
    let mut scan = Scan::new(line, part, level);
    let found = scan.members(|index, _| index < FIELDS_SHOWN);
    let (members, count) = found.unwrap_or_default();
    let names = members.iter();
    let names =
        names.map(|member| shown(&format!("{path}{}", unescaped(&line[member.key.clone()]))));
    let names = names.collect::<Vec<_>>().join(", ");
    match count.saturating_sub(FIELDS_SHOWN) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

/// A member of an object, as ranges of the line.
#[derive(Debug)]
struct Member {
    /// Without its quotes.
    key: Range<usize>,
    kind: Type,
    value: Range<usize>,
    /// The members of its value, if that is an object and a field in it was looked for.
    inside: Option<Vec<Self>>,
}

/// Where the values of the object in `line` stand, in order, and their types; no more than `limit` of them.
pub(super) fn values(line: &str, limit: usize, level: Level) -> Vec<(Range<usize>, Type)> {
    let mut scan = Scan::new(line, 0..line.len(), level);
    let (members, _) = scan.members(|index, _| index < limit).unwrap_or_default();
    let values = members.into_iter();
    values.map(|member| (member.value, member.kind)).collect()
}

/// Whether a key is wanted, or one in its value. The first argument is the path to the object, with a dot
/// after each key.
pub(super) type IsWanted<'a> = &'a dyn Fn(&str, &str) -> bool;

/// The members of an object that are wanted, for several fields that are looked for in it. A record may
/// have very many members.
pub(super) struct Members<'a> {
    line: &'a str,
    list: Vec<Member>,
    is_wanted: IsWanted<'a>,
    level: Level,
}

impl<'a> Members<'a> {
    /// The wanted members of the object in `line`, which has been read before.
    pub(super) fn of(line: &'a str, is_wanted: IsWanted<'a>, level: Level) -> Self {
        let mut scan = Scan::new(line, 0..line.len(), level);
        let found = scan.members(|_, key| is_wanted("", key));
        Self {
            line,
            list: found.unwrap_or_default().0,
            is_wanted,
            level,
        }
    }

    /// The value of `field`, a wanted one, found as by [`find`], and its type.
    pub(super) fn get(&mut self, field: &str) -> Option<(&'a str, Type)> {
        let (mut list, mut rest) = (&mut self.list, field);
        loop {
            if let Some(index) = last(self.line, list, rest) {
                let member = &list[index];
                return Some((&self.line[member.value.clone()], member.kind));
            }
            let (outer, inner) = rest.split_once('.')?;
            let index = last(self.line, list, outer)?;
            let member = &mut list[index];
            if member.kind != Type::Object {
                return None;
            }
            let part = member.value.clone();
            list = member.inside.get_or_insert_with(|| {
                let path = &field[..field.len() - inner.len()];
                let mut scan = Scan::new(self.line, part, self.level);
                let found = scan.members(|_, key| (self.is_wanted)(path, key));
                found.unwrap_or_default().0
            });
            rest = inner;
        }
    }
}

/// The index of the last of `members` of `line` whose key is `name`.
fn last(line: &str, members: &[Member], name: &str) -> Option<usize> {
    let is_named = |member: &Member| is_name(&line[member.key.clone()], name);
    members.iter().rposition(is_named)
}

/// Whether a key, as it stands in a line, is `name`.
#[inline]
fn is_name(key: &str, name: &str) -> bool {
    key == name || (key.contains('\\') && unescaped(key) == name)
}

type Broken = (usize, Syntax);

/// Reads a part of a line from its start.
struct Scan<'a> {
    /// The line up to the end of the part.
    line: &'a str,
    at: usize,
    specials: Specials<'a>,
}

impl<'a> Scan<'a> {
    fn new(line: &'a str, part: Range<usize>, level: Level) -> Self {
        let line = &line[..part.end];
        Self {
            line,
            at: part.start,
            specials: Specials::of(line.as_bytes(), level),
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn broken(&self, what: Syntax) -> Broken {
        (self.at, what)
    }

    /// Reads all of the part; returns the last value of `field` in the object that it is.
    fn read(&mut self, field: &str, text: &mut Unescaped<'_>) -> Result<Option<Value>, Refused> {
        let broken = |(at, what)| Refused::Broken(at, what);
        self.space();
        let found = if self.peek() == Some(b'{') {
            Ok(self.object(field, text).map_err(broken)?)
        } else {
            Err(self.value().map_err(broken)?)
        };
        let end = self.at;
        self.space();
        if self.peek().is_some() {
            let spaces = &self.line.as_bytes()[end..self.at];
            let what = if spaces.contains(&b'\r') {
                Syntax::AfterReturn
            } else {
                Syntax::Trailing
            };
            return Err(Refused::Broken(self.at, what));
        }
        found.map_err(Refused::NotObject)
    }

    /// Reads the object that begins here.
    fn object(&mut self, field: &str, text: &mut Unescaped<'_>) -> Result<Option<Value>, Broken> {
        let mut found = None;
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        loop {
            let key = self.key()?;
            self.space();
            if !is_name(&self.line[key], field) {
                self.value()?;
            } else if self.peek() == Some(b'"') {
                text.clear();
                let start = self.at + 1;
                let has_escapes = self.string(Some(text))?;
                found = Some(if has_escapes {
                    Value::Unescaped
                } else {
                    Value::Plain(start..self.at - 1)
                });
            } else {
                let start = self.at;
                let kind = self.value()?;
                found = Some(Value::Other(kind, start..self.at));
            }
            if self.closes(b'}')? {
                return Ok(found);
            }
        }
    }

    /// The members of the object that the part is whose number and key `is_wanted` accepts, and how many
    /// there are in all. Of equal keys, the last counts.
    fn members(
        &mut self,
        mut is_wanted: impl FnMut(usize, &str) -> bool,
    ) -> Result<(Vec<Member>, usize), Broken> {
        let mut members: Vec<Member> = Vec::new();
        let mut count = 0;
        self.space();
        self.at += 1;
        self.space();
        while self.peek() != Some(b'}') {
            let key = self.key()?;
            self.space();
            let start = self.at;
            let kind = self.value()?;
            let raw = &self.line[key.clone()];
            let is_wanted = if raw.contains('\\') {
                is_wanted(count, &unescaped(raw))
            } else {
                is_wanted(count, raw)
            };
            if is_wanted {
                let member = Member {
                    kind,
                    value: start..self.at,
                    inside: None,
                    key: key.clone(),
                };
                let equal = |member: &&mut Member| self.line[member.key.clone()] == *raw;
                match members.iter_mut().find(equal) {
                    Some(before) => *before = member,
                    None => members.push(member),
                }
            }
            count += 1;
            if self.closes(b'}')? {
                break;
            }
        }
        Ok((members, count))
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
        self.string(None)?;
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
                    self.string(None)?;
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

    /// Reads the string that begins here, to `text` if it has escapes, which is returned.
    #[inline]
    fn string(&mut self, mut text: Option<&mut Unescaped<'_>>) -> Result<bool, Broken> {
        let bytes = self.line.as_bytes();
        self.at += 1;
        let mut has_escapes = false;
        // What has not been passed to `text` yet begins here.
        let mut rest = self.at;
        loop {
            let Some(special) = self.specials.next(self.at) else {
                self.at = bytes.len();
                return Err(self.broken(Syntax::CutString));
            };
            self.at = special;
            let length = match (bytes[special], bytes.get(special + 1)) {
                (b'"', _) => {
                    if has_escapes && let Some(text) = text {
                        text.text.push_str(&self.line[rest..special]);
                    }
                    self.at += 1;
                    return Ok(has_escapes);
                }
                (b'\\', Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => 2,
                (b'\\', Some(b'u')) if hex(bytes, special + 2).is_some() => 6,
                (b'\\', Some(b'u')) => return Err(self.broken(Syntax::Hex)),
                (b'\\', Some(_)) => return Err(self.broken(Syntax::Escape)),
                (b'\\', None) => {
                    self.at += 1;
                    return Err(self.broken(Syntax::CutString));
                }
                _ => return Err(self.broken(Syntax::Control)),
            };
            has_escapes = true;
            self.at += length;
            if let Some(text) = &mut text {
                text.text.push_str(&self.line[rest..special]);
                // A pair of escapes is one character.
                self.at = text.push(bytes, special);
                rest = self.at;
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
