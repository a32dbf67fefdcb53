//! Split patterns -> matches: any regular expression of the supported kind, without code for it.
//!
//! A pattern becomes a small deterministic automaton over classes of characters when a tokenizer
//! is loaded. It finds the matches that a backtracking engine finds: of all ways to match, the one
//! that the pattern prefers. What is not supported exactly is refused.
//!
//! Matches are known one character late, when the character after them is read. So lookahead of
//! one character, `(?!\S)` or `$`, is exact, and a possessive repetition of one set of characters
//! is a greedy one that ends early only before a character that is not in the set.
//!
//! ```text
//! parse      text -> node, in the dialect of an engine
//! brackets   `[...]` and escapes in it
//! parser     where in the text, and what comes next
//! set        sets of characters: `\p{...}` and other names
//! node       what a pattern says
//! partition  characters -> classes that no set of the pattern divides
//! nfa        node -> steps
//! dfa        steps and classes -> table
//! run        table and text -> matches
//! loops      runs of characters in which a state stays
//! guard      keeps searches that fail late from taking quadratic time
//! cuts       between which classes a text may be cut
//! ```

mod brackets;
mod cell;
mod cuts;
mod dfa;
mod guard;
mod loops;
mod nfa;
mod node;
mod parse;
mod parser;
mod partition;
mod run;
#[cfg(test)]
pub(crate) mod samples;
mod set;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use super::stage::Syntax;

pub(crate) use cuts::{Pairs, Sides};
pub(crate) use dfa::Dfa;

/// Why a pattern is not supported: a sentence without its subject's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(String);

impl Refusal {
    fn new(reason: String) -> Self {
        Self(reason)
    }

    fn at(at: usize, what: &str) -> Self {
        Self(format!("{what} at byte {at} is not supported"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Dfa {
    /// The automaton of a regular expression.
    pub(crate) fn of_pattern(pattern: &str, syntax: Syntax) -> Result<Self, Refusal> {
        let (node, sets) = parse::parse(pattern, syntax)?;
        Self::new(&node, &sets)
    }

    /// The automaton that matches one text.
    pub(crate) fn of_literal(text: &str) -> Result<Self, Refusal> {
        let mut sets = node::Sets::default();
        let chars = text.chars().map(|char| {
            let set = sets.intern(set::of_char(char))?;
            Ok(node::Node::Set(set))
        });
        let node = node::Node::Concat(chars.collect::<Result<_, Refusal>>()?);
        Self::new(&node, &sets)
    }

    /// The automaton that matches each character that is a number ([`char::is_numeric`]).
    pub(crate) fn of_digits() -> Result<Self, Refusal> {
        Self::of_set(set::numeric()?)
    }

    /// The automaton that matches each character that is punctuation.
    pub(crate) fn of_punctuation() -> Result<Self, Refusal> {
        Self::of_set(set::punctuation()?)
    }

    fn of_set(set: regex_syntax::hir::ClassUnicode) -> Result<Self, Refusal> {
        let mut sets = node::Sets::default();
        let set = sets.intern(set)?;
        Self::new(&node::Node::Set(set), &sets)
    }
}
