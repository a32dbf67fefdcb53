//! The text of a pattern -> what it says, in the dialect of an engine.
//!
//! Oniguruma with Ruby syntax and fancy-regex differ in what a few constructs mean. Those are told
//! apart here (`$`, `{1,3}+`) or refused. Case-insensitive text is supported as far as ASCII goes:
//! `(?i:'s)` also matches U+017F, by simple case folding. Oniguruma folds some sequences to one
//! character (`ss`, `fi`), which are refused there.

use regex_syntax::hir::ClassUnicode;

use super::Refusal;
use super::node::{Ahead, Kind, Node, Repeat, SetId, Sets};
use super::parser::Parser;
use super::set::{self, Escape};
use crate::pretoken::stage::Syntax;

/// The longest pattern, in bytes.
const MAX_BYTES: usize = 1 << 16;
/// The largest count in `{...}`.
const MAX_COUNT: u32 = 10_000;

/// Two letters that Oniguruma can match with one character: one of U+00DF, U+FB00-FB06.
const FOLDED_PAIRS: [(char, char); 5] =
    [('s', 's'), ('f', 'f'), ('f', 'i'), ('f', 'l'), ('s', 't')];

pub(crate) fn parse(pattern: &str, syntax: Syntax) -> Result<(Node, Sets), Refusal> {
    if pattern.len() > MAX_BYTES {
        return Err(Refusal::new(format!("it is longer than {MAX_BYTES} bytes")));
    }
    let mut parser = Parser::new(pattern, syntax);
    let mut node = parser.alternation()?;
    if parser.at < pattern.len() {
        return Err(Refusal::at(parser.at, "an unmatched )"));
    }
    node.drop_implied();
    Ok((node, parser.sets))
}

impl Parser<'_> {
    fn alternation(&mut self) -> Result<Node, Refusal> {
        let mut nodes = vec![self.concat()?];
        while self.eat('|') {
            self.folded = None;
            nodes.push(self.concat()?);
        }
        Ok(one_or(nodes, Node::Alternation))
    }

    fn concat(&mut self) -> Result<Node, Refusal> {
        let mut nodes = Vec::new();
        while let Some(char) = self.peek()
            && char != '|'
            && char != ')'
        {
            let at = self.at;
            let node = self.atom()?;
            nodes.push(self.quantified(at, node)?);
        }
        Ok(one_or(nodes, Node::Concat))
    }

    fn atom(&mut self) -> Result<Node, Refusal> {
        let at = self.at;
        match self.next() {
            Some('(') => self.group(at),
            Some('[') => {
                let set = self.brackets(at)?;
                self.set(at, set)
            }
            Some('.') => self.set(at, set::without(set::everything(), &set::of_char('\n'))),
            Some('$') => {
                self.folded = None;
                // The end of a line in Ruby; the end of the text in fancy-regex.
                let set = match self.syntax {
                    Syntax::Onig => set::of_char('\n'),
                    Syntax::Fancy => ClassUnicode::empty(),
                };
                self.ahead(set, true)
            }
            Some('\\') if self.eat('z') => {
                self.folded = None;
                self.ahead(ClassUnicode::empty(), true)
            }
            Some('\\') => match self.escape(at, false)? {
                Escape::Char(char) => self.char(at, char),
                Escape::Set(set) => self.set(at, set),
            },
            Some(char @ ('^' | '*' | '+' | '?' | '{' | '}' | ']')) => {
                Err(Refusal::at(at, &format!("{char}")))
            }
            Some(char) => self.char(at, char),
            None => Ok(Node::empty()),
        }
    }

    fn group(&mut self, at: usize) -> Result<Node, Refusal> {
        self.enter(at)?;
        let folds = self.folds;
        let node = if self.eat('?') {
            let kind = self.rest();
            if kind.starts_with(':') {
                self.at += 1;
                self.alternation()?
            } else if kind.starts_with("i:") {
                self.at += 2;
                self.folds = true;
                self.alternation()?
            } else if kind.starts_with(['=', '!']) {
                self.at += 1;
                self.folded = None;
                let node = self.alternation()?;
                self.folded = None;
                self.lookahead(at, node, kind.starts_with('='))?
            } else {
                let kind = if kind.starts_with("<=") || kind.starts_with("<!") {
                    "lookbehind"
                } else if kind.starts_with('>') {
                    "an atomic group"
                } else {
                    "this kind of group"
                };
                return Err(Refusal::at(at, kind));
            }
        } else {
            self.alternation()?
        };
        if !self.eat(')') {
            return Err(Refusal::at(at, "( without )"));
        }
        self.folds = folds;
        self.depth -= 1;
        Ok(node)
    }

    fn lookahead(&mut self, at: usize, node: Node, positive: bool) -> Result<Node, Refusal> {
        match node.as_ahead(&mut self.sets)? {
            Some(ahead) if positive => Ok(Node::Ahead(ahead)),
            Some(Ahead { set, end }) => {
                let set = self.sets.complement(set)?;
                Ok(Node::Ahead(Ahead { set, end: !end }))
            }
            None if positive => Err(Refusal::at(at, "lookahead of more than one character")),
            None => Ok(Node::NotAhead(Box::new(node), at)),
        }
    }

    fn ahead(&mut self, set: ClassUnicode, end: bool) -> Result<Node, Refusal> {
        let set = self.sets.intern(set)?;
        Ok(Node::Ahead(Ahead { set, end }))
    }

    /// One character of the pattern that stands for itself.
    fn char(&mut self, at: usize, char: char) -> Result<Node, Refusal> {
        self.set(at, set::of_char(char))
    }

    /// One character of a set, in any case within `(?i:...)`.
    fn set(&mut self, at: usize, mut set: ClassUnicode) -> Result<Node, Refusal> {
        let mut letter = None;
        if self.folds && !set::is_caseless(&set)? {
            let is_ascii = set
                .ranges()
                .last()
                .is_none_or(|range| range.end().is_ascii());
            if !is_ascii {
                return Err(Refusal::at(at, "(?i:...) of letters outside ASCII"));
            }
            if let [range] = set.ranges()
                && range.start() == range.end()
            {
                letter = Some(range.start().to_ascii_lowercase());
            }
            if let (Some(before), Some(after)) = (self.folded, letter)
                && self.syntax == Syntax::Onig
                && FOLDED_PAIRS.contains(&(before, after))
            {
                return Err(Refusal::at(
                    at,
                    "a pair of letters with ligatures in (?i:...)",
                ));
            }
            set.case_fold_simple();
        }
        self.folded = letter;
        Ok(Node::Set(self.sets.intern(set)?))
    }

    /// The node that begins at byte `at`, with the quantifier after it.
    fn quantified(&mut self, at: usize, node: Node) -> Result<Node, Refusal> {
        let quantifier_at = self.at;
        let (min, max, is_interval) = match self.peek() {
            Some('*') => (0, None, false),
            Some('+') => (1, None, false),
            Some('?') => (0, Some(1), false),
            Some('{') => {
                let (min, max) = self.interval()?;
                (min, max, true)
            }
            _ => return Ok(node),
        };
        if !is_interval {
            self.at += 1;
        }
        let has_ligature = matches!(self.folded, Some('f' | 's'));
        if is_interval && has_ligature && self.syntax == Syntax::Onig {
            return Err(Refusal::at(
                quantifier_at,
                "repetition of this letter in (?i:...)",
            ));
        }
        if node.is_nullable() {
            return Err(Refusal::at(at, "repetition of what can be empty"));
        }
        let mut kind = Kind::Greedy;
        let mut is_nested = false;
        if self.eat('?') {
            // To Ruby `{3}?` is an optional `{3}`.
            if is_interval && max == Some(min) {
                return Err(Refusal::at(quantifier_at, "? after a fixed count"));
            }
            kind = Kind::Lazy;
        } else if self.eat('+') {
            // In Ruby a possessive interval does not exist.
            is_nested = is_interval && self.syntax == Syntax::Onig;
            if !is_nested {
                kind = Kind::Possessive(self.other_than(quantifier_at, &node)?);
            }
        }
        if matches!(self.peek(), Some('*' | '+' | '?' | '{')) {
            return Err(Refusal::at(self.at, "a quantifier after a quantifier"));
        }
        let repeat = |node, min, max, kind| {
            Node::Repeat(Box::new(Repeat {
                node,
                min,
                max,
                kind,
            }))
        };
        let node = repeat(node, min, max, kind);
        if is_nested {
            if min == 0 {
                return Err(Refusal::at(at, "repetition of what can be empty"));
            }
            return Ok(repeat(node, 1, None, Kind::Greedy));
        }
        Ok(node)
    }

    /// The characters at which a possessive repetition of `node` ends.
    fn other_than(&mut self, at: usize, node: &Node) -> Result<SetId, Refusal> {
        let Some(set) = node.as_set(&mut self.sets)? else {
            let what = "a possessive quantifier after more than one character";
            return Err(Refusal::at(at, what));
        };
        self.sets.complement(set)
    }

    /// `{3}`, `{1,}` or `{1,3}`.
    fn interval(&mut self) -> Result<(u32, Option<u32>), Refusal> {
        let at = self.at;
        self.at += 1;
        let refused = || Refusal::at(at, "{ with these counts");
        let counts = self.until('}').ok_or_else(refused)?;
        let (min, max) = counts.split_once(',').unwrap_or((counts, counts));
        let count = |digits: &str| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let count = digits.parse().ok().filter(|_| is_number);
            count
                .filter(|&count| count <= MAX_COUNT)
                .ok_or_else(refused)
        };
        let min = count(min)?;
        let max = if max.is_empty() {
            None
        } else {
            Some(count(max)?)
        };
        if max.is_some_and(|max| max == 0 || max < min) {
            return Err(refused());
        }
        Ok((min, max))
    }
}

fn one_or(mut nodes: Vec<Node>, many: impl FnOnce(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(node) if nodes.is_empty() => node,
        Some(node) => {
            nodes.push(node);
            many(nodes)
        }
        None => Node::empty(),
    }
}
