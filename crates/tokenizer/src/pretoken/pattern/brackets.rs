//! Reads escapes, properties and bracket expressions of a pattern.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::Refusal;
use super::parser::Parser;
use super::set::{Escape, PROPERTIES, named};
use crate::pretoken::stage::Syntax;

impl Parser<'_> {
    /// What follows a backslash, which is at byte `at`.
    pub(crate) fn escape(&mut self, at: usize, in_brackets: bool) -> Result<Escape, Refusal> {
        let Some(char) = self.next() else {
            return Err(Refusal::at(at, "a backslash at the end"));
        };
        let is_onig = self.syntax == Syntax::Onig;
        let escape = match char {
            's' | 'S' | 'd' | 'D' => Escape::Set(named(&format!("\\{char}"))?),
            'w' | 'W' if !is_onig => Escape::Set(named(&format!("\\{char}"))?),
            'p' | 'P' => Escape::Set(self.property(at, char == 'P')?),
            'n' => Escape::Char('\n'),
            'r' => Escape::Char('\r'),
            't' => Escape::Char('\t'),
            'f' => Escape::Char('\x0c'),
            'v' => Escape::Char('\x0b'),
            'x' | 'u' => Escape::Char(self.code_point(at, char)?),
            // Engines differ on these; some are anchors.
            '<' | '>' | '`' | '\'' if !in_brackets => return Err(unsupported(at, char)),
            '<' | '>' if !is_onig => return Err(unsupported(at, char)),
            _ if char.is_ascii_punctuation() || char == ' ' => Escape::Char(char),
            _ => return Err(unsupported(at, char)),
        };
        Ok(escape)
    }

    /// `{Name}` of `\p{Name}`.
    fn property(&mut self, at: usize, negated: bool) -> Result<ClassUnicode, Refusal> {
        if !self.eat('{') {
            return Err(Refusal::at(at, r"\p without braces"));
        }
        let name = self.until('}').unwrap_or_default();
        if !PROPERTIES.contains(&name) {
            return Err(Refusal::at(at, &format!("property {}", plain(name))));
        }
        let mut set = named(&format!("\\p{{{name}}}"))?;
        if negated {
            set.negate();
        }
        Ok(set)
    }

    /// `41` of `\x41`, `{1F600}` of `\x{1F600}`, `00e9` of `\u00e9`.
    fn code_point(&mut self, at: usize, kind: char) -> Result<char, Refusal> {
        let refused = || Refusal::at(at, &format!("\\{kind} with these digits"));
        let digits = if kind == 'x' && self.eat('{') {
            self.until('}')
        } else {
            self.take(if kind == 'x' { 2 } else { 4 })
        };
        let digits = digits.ok_or_else(refused)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex);
        let char = code.and_then(char::from_u32).ok_or_else(refused)?;
        // To Oniguruma `\xe9` is a byte.
        if kind == 'x' && digits.len() == 2 && !char.is_ascii() {
            return Err(refused());
        }
        Ok(char)
    }

    /// The rest of `[...]`; the bracket is at byte `at`.
    pub(crate) fn brackets(&mut self, at: usize) -> Result<ClassUnicode, Refusal> {
        self.enter(at)?;
        let negated = self.eat('^');
        if self.folds && negated {
            return Err(Refusal::at(at, "a negated class in (?i:...)"));
        }
        if self.peek() == Some(']') {
            return Err(Refusal::at(self.at, "] at the start of a class"));
        }
        let mut operands: Option<ClassUnicode> = None;
        let mut ranges: Vec<ClassUnicodeRange> = Vec::new();
        let mut is_empty = true;
        loop {
            let item_at = self.at;
            let rest = self.rest();
            let Some(char) = self.next() else {
                return Err(Refusal::at(at, "[ without ]"));
            };
            match char {
                ']' => break,
                '[' if self.peek() == Some(':') => {
                    return Err(Refusal::at(item_at, "[: in a class"));
                }
                '[' => ranges.extend(self.brackets(item_at)?.ranges()),
                '&' if rest.starts_with("&&") => {
                    self.next();
                    if is_empty || self.folds || self.rest().starts_with(['&', ']']) {
                        return Err(Refusal::at(item_at, "&& here"));
                    }
                    let set = ClassUnicode::new(ranges.drain(..));
                    operands = Some(intersection(operands, set));
                    is_empty = true;
                    continue;
                }
                '~' if rest.starts_with("~~") => return Err(Refusal::at(item_at, "~~ in a class")),
                '-' => {
                    let is_first = is_empty && operands.is_none() && !rest.starts_with("--");
                    if !is_first && !rest.starts_with("-]") {
                        return Err(Refusal::at(item_at, "a hyphen here"));
                    }
                    ranges.push(ClassUnicodeRange::new('-', '-'));
                }
                '\\' => match self.escape(item_at, true)? {
                    Escape::Set(set) => ranges.extend(set.ranges()),
                    Escape::Char(char) => ranges.push(self.range(char)?),
                },
                _ => ranges.push(self.range(char)?),
            }
            is_empty = false;
        }
        if is_empty {
            return Err(Refusal::at(at, "an empty operand of &&"));
        }
        let mut set = intersection(operands, ClassUnicode::new(ranges));
        if negated {
            set.negate();
        }
        self.depth -= 1;
        Ok(set)
    }

    /// A character, or the range that it begins.
    fn range(&mut self, start: char) -> Result<ClassUnicodeRange, Refusal> {
        let at = self.at;
        if self.peek() != Some('-') || self.rest().starts_with("-]") {
            return Ok(ClassUnicodeRange::new(start, start));
        }
        self.next();
        let rest = self.rest();
        let refused = || Refusal::at(at, "a hyphen here");
        let end = match self.next() {
            Some('\\') => match self.escape(at + 1, true)? {
                Escape::Char(char) => char,
                Escape::Set(_) => return Err(refused()),
            },
            Some('[' | '-') | None => return Err(refused()),
            Some('&') if rest.starts_with("&&") => return Err(refused()),
            Some(char) => char,
        };
        if end < start {
            return Err(Refusal::at(at, "a range that ends before it begins"));
        }
        Ok(ClassUnicodeRange::new(start, end))
    }
}

fn intersection(operands: Option<ClassUnicode>, mut set: ClassUnicode) -> ClassUnicode {
    if let Some(operands) = operands {
        set.intersect(&operands);
    }
    set
}

fn unsupported(at: usize, char: char) -> Refusal {
    Refusal::at(at, &format!("\\{}", char.escape_default()))
}

/// A name from a pattern, fit for a message.
fn plain(name: &str) -> String {
    let is_plain = |char: &char| char.is_ascii_alphanumeric() || "_= ^".contains(*char);
    name.chars().filter(is_plain).take(40).collect()
}
