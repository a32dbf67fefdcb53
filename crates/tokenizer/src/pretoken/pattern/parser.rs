//! A pattern that is being parsed: where, and what comes next.

use super::Refusal;
use super::node::Sets;
use crate::pretoken::stage::Syntax;

/// The deepest nesting of groups and brackets.
const MAX_DEPTH: usize = 50;

pub(crate) struct Parser<'p> {
    text: &'p str,
    pub(crate) at: usize,
    pub(crate) syntax: Syntax,
    pub(crate) sets: Sets,
    /// Whether the position is in `(?i:...)`.
    pub(crate) folds: bool,
    /// The letter before the position, if it is in `(?i:...)`.
    pub(crate) folded: Option<char>,
    pub(crate) depth: usize,
}

impl<'p> Parser<'p> {
    pub(crate) fn new(text: &'p str, syntax: Syntax) -> Self {
        Self {
            text,
            at: 0,
            syntax,
            sets: Sets::default(),
            folds: false,
            folded: None,
            depth: 0,
        }
    }

    pub(crate) fn rest(&self) -> &'p str {
        &self.text[self.at..]
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += char.len_utf8();
        Some(char)
    }

    pub(crate) fn eat(&mut self, char: char) -> bool {
        let is_next = self.peek() == Some(char);
        if is_next {
            self.at += char.len_utf8();
        }
        is_next
    }

    /// What is before the next `end`, which is skipped.
    pub(crate) fn until(&mut self, end: char) -> Option<&'p str> {
        let (taken, _) = self.rest().split_once(end)?;
        self.at += taken.len() + end.len_utf8();
        Some(taken)
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'p str> {
        let taken = self.rest().get(..bytes)?;
        self.at += bytes;
        Some(taken)
    }

    pub(crate) fn enter(&mut self, at: usize) -> Result<(), Refusal> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Refusal::at(at, "a group this deep"));
        }
        Ok(())
    }
}
