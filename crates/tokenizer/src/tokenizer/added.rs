//! Added tokens of a tokenizer file: texts that have their own ids, found before anything is split.
//!
//! The rules are those of HF tokenizers: `find_matches` in its `added_vocabulary.rs`.

use std::collections::{BTreeMap, HashSet};

use aho_corasick::{AhoCorasick, Anchored, Input, Match, MatchKind, StartKind};
use shardmill_core::token::TokenId;

use crate::definition::AddedToken;
use crate::error::{Result, SpecialFound};
use crate::tokenizer::Special;
use crate::tokenizer::openings::{Openings, Places};
use crate::tokenizer::refusal::unsupported;

/// The added tokens that are found in one pass over a text.
#[derive(Debug, Default)]
pub(super) struct AddedTokens {
    /// Finds the texts of all tokens: leftmost, then longest, without overlap. `None` if there are
    /// none.
    automaton: Option<AhoCorasick>,
    /// What the texts begin with: the automaton starts only there. `None` if it searches itself.
    openings: Option<Openings>,
    /// In the order of the automaton's patterns.
    tokens: Vec<AddedToken>,
    /// The texts of special tokens. A token that is not special is treated as one if it has such a
    /// text.
    special: HashSet<String>,
    /// Which characters follow each other in a token, begin one and end one.
    pairs: HashSet<(char, char)>,
    first: HashSet<char>,
    last: HashSet<char>,
    /// Whether what is beside a token matters.
    looks_around: bool,
    /// Whether a token takes the white space before or after it.
    lstrip: bool,
    rstrip: bool,
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Text without added tokens, and its byte offset; never empty.
    Text(&'t str, usize),
    Token(TokenId),
}

impl AddedTokens {
    /// Finds `tokens` by their texts, which `written` may have changed; one that is empty is never
    /// found.
    pub(super) fn new(
        tokens: &[AddedToken],
        is_in_pass: impl Fn(&AddedToken) -> bool,
        written: impl Fn(&str) -> String,
    ) -> Result<Self> {
        // Of two tokens with one id, or one text, the last counts.
        let by_id: BTreeMap<TokenId, &AddedToken> =
            tokens.iter().map(|token| (token.id, token)).collect();
        let special = tokens
            .iter()
            .filter(|token| token.special)
            .map(|token| token.content.clone())
            .collect();
        let mut found = Vec::new();
        let mut patterns = Vec::new();
        for token in by_id.into_values().filter(|token| is_in_pass(token)) {
            let pattern = written(&token.content);
            if !pattern.is_empty() {
                found.push(token.clone());
                patterns.push(pattern);
            }
        }
        let distinct: HashSet<&String> = patterns.iter().collect();
        if distinct.len() < patterns.len() {
            let what = "added_tokens: two that normalization makes equal are not supported";
            return Err(unsupported(what));
        }
        let openings = Openings::of(&patterns);
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .start_kind(match openings {
                Some(_) => StartKind::Anchored,
                None => StartKind::Unanchored,
            })
            .build(&patterns)
            .map_err(|error| unsupported(format!("added_tokens: {error}")))?;
        let texts = || patterns.iter().map(String::as_str);
        let pairs = texts().flat_map(|text| text.chars().zip(text.chars().skip(1)));
        Ok(Self {
            pairs: pairs.collect(),
            first: texts().filter_map(|text| text.chars().next()).collect(),
            last: texts()
                .filter_map(|text| text.chars().next_back())
                .collect(),
            looks_around: found
                .iter()
                .any(|token| token.single_word || token.lstrip || token.rstrip),
            openings,
            lstrip: found.iter().any(|token| token.lstrip),
            rstrip: found.iter().any(|token| token.rstrip),
            automaton: (!found.is_empty()).then_some(automaton),
            tokens: found,
            special,
        })
    }

    /// The first token at or after byte `from`, the longest if several begin there. `places` are
    /// those of the openings, if the automaton needs them.
    fn find(&self, text: &str, from: usize, places: Option<&mut Places<'_>>) -> Option<Match> {
        let automaton = self.automaton.as_ref()?;
        let Some(places) = places else {
            return automaton.find(Input::new(text).range(from..));
        };
        let mut from = from;
        loop {
            let at = places.at_or_after(from)?;
            let here = Input::new(text).range(at..).anchored(Anchored::Yes);
            if let Some(found) = automaton.find(here) {
                return Some(found);
            }
            from = at + 1;
        }
    }

    /// Calls `piece` for the pieces of `text`, in order. Special tokens are left as text if
    /// `special` says so.
    pub(super) fn split<'t>(
        &self,
        text: &'t str,
        special: Special,
        mut piece: impl FnMut(Piece<'t>) -> std::result::Result<(), SpecialFound>,
    ) -> std::result::Result<(), SpecialFound> {
        let mut done = 0;
        let mut from = 0;
        let mut places = self
            .openings
            .as_ref()
            .map(|openings| openings.in_text(text));
        while let Some(found) = self.find(text, from, places.as_mut()) {
            from = found.end();
            let token = &self.tokens[found.pattern().as_usize()];
            let (mut start, mut end) = (found.start(), found.end());
            if self.special.contains(&token.content) {
                match special {
                    // It takes its text with it: no other token is found there.
                    Special::Text => continue,
                    Special::Encode => {}
                    Special::Error => {
                        return Err(SpecialFound {
                            offset: start,
                            token: token.content.clone(),
                        });
                    }
                }
            }
            let (before, after) = (&text[..start], &text[end..]);
            let is_word = |char: Option<char>| char.is_some_and(regex_syntax::is_word_character);
            if token.single_word
                && (is_word(before.chars().next_back()) || is_word(after.chars().next()))
            {
                continue;
            }
            if token.lstrip {
                start = before.trim_end().len().max(done);
            }
            if token.rstrip {
                end = text.len() - after.trim_start().len();
            }
            // White space that one token strips may hold the next one, which is found all the same.
            if done < start {
                piece(Piece::Text(&text[done..start], done))?;
            }
            // If two that strip meet, nothing may be left of the second one.
            if start < end {
                piece(Piece::Token(token.id))?;
            }
            done = end;
        }
        if done < text.len() {
            piece(Piece::Text(&text[done..], done))?;
        }
        Ok(())
    }

    /// Whether no token can lie across a cut between `x` and `y`, nor see beyond it. `is_seen`
    /// says whether text after a token is handled differently from other text.
    pub(super) fn allows_cut(&self, x: char, y: char, is_seen: bool) -> bool {
        // What a token takes may reach up to `x`, and what follows it begins anew at `y`.
        let is_taken = x.is_whitespace() && (self.rstrip || self.lstrip && y.is_whitespace());
        !is_taken
            && !self.pairs.contains(&(x, y))
            && !((is_seen || self.looks_around)
                && (self.last.contains(&x) || self.first.contains(&y)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(content: &str, id: TokenId) -> AddedToken {
        AddedToken {
            content: content.to_owned(),
            id,
            special: false,
            normalized: false,
            single_word: false,
            lstrip: false,
            rstrip: false,
        }
    }

    fn split(tokens: &[AddedToken], text: &str, special: Special) -> Vec<String> {
        let added = AddedTokens::new(tokens, |_| true, str::to_owned).unwrap();
        let mut pieces = Vec::new();
        let done = added.split(text, special, |piece| {
            pieces.push(match piece {
                Piece::Text(text, _) => text.to_owned(),
                Piece::Token(id) => format!("#{id}"),
            });
            Ok(())
        });
        done.unwrap();
        pieces
    }

    #[test]
    fn the_longest_of_the_leftmost_is_found() {
        let tokens = [token("ab", 1), token("abc", 2), token("bcd", 3)];
        assert_eq!(split(&tokens, "xabcd", Special::Encode), ["x", "#2", "d"]);
    }

    #[test]
    fn texts_with_a_common_beginning_are_found_where_others_would_be() {
        let tokens = [token("  ", 1), token("    ", 2), token("  x", 3)];
        assert_eq!(
            split(&tokens, "a b   x     c  ", Special::Encode),
            ["a b", "#1", " x", "#2", " c", "#1"]
        );
        // The beginning alone is none of them.
        let tokens = [token("<|a|>", 1), token("<|ab|>", 2)];
        assert_eq!(
            split(&tokens, "<|<|<|a|><|ab|<|ab|>", Special::Encode),
            ["<|<|", "#1", "<|ab|", "#2"]
        );
    }

    #[test]
    fn special_tokens_left_as_text_take_their_text_with_them() {
        let special = AddedToken {
            special: true,
            ..token("<s>x", 1)
        };
        let tokens = [special, token("x", 2)];
        assert_eq!(split(&tokens, "<s>xx", Special::Text), ["<s>x", "#2"]);
        assert_eq!(split(&tokens, "<s>xx", Special::Encode), ["#1", "#2"]);
        let added = AddedTokens::new(&tokens, |_| true, str::to_owned).unwrap();
        let found = added
            .split("a<s>x", Special::Error, |_| Ok(()))
            .unwrap_err();
        assert_eq!(found.offset, 1);
    }

    #[test]
    fn flags_are_those_of_hf() {
        let word = AddedToken {
            single_word: true,
            ..token("yz", 1)
        };
        assert_eq!(
            split(&[word], "yz xyz yz", Special::Encode),
            ["#1", " xyz ", "#1"]
        );
        let left = AddedToken {
            lstrip: true,
            ..token("<m>", 1)
        };
        assert_eq!(
            split(&[left], "a  <m> <m>", Special::Encode),
            ["a", "#1", "#1"]
        );
        // What is stripped may hold another token.
        let right = AddedToken {
            rstrip: true,
            ..token("<x>", 1)
        };
        let tokens = [right, token("  ", 2)];
        assert_eq!(
            split(&tokens, "<x>   b", Special::Encode),
            ["#1", "#2", " b"]
        );
    }
}
