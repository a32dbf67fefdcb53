//! Where no merge can join two characters: long texts are cut there and their pieces cached, though
//! the tokenizer sees the whole text as one pretoken.
//!
//! Merging begins with characters, and what it makes are tokens. So a merge across the border
//! between two characters `x` and `y` makes a token in which `y` follows `x`. If no token has `x`
//! and then `y`, no merge ever crosses the border, and both sides merge as they would alone. This
//! needs `x` and `y` to be tokens themselves, or to be spelled out in tokens of bytes that no merge
//! takes; next to a character that is left out or unknown, nothing is cut.
//!
//! Source of the idea: the "certified cuts" of the toks tokenizer.

use std::collections::HashSet;

use crate::definition::{Alphabet, Merges, Model, Use};

/// Characters with a code of their own: those of ASCII, and the word marker.
const CODES: usize = 129;
const MARKER: usize = 128;

/// Which characters may end up in one token.
#[derive(Clone, Debug)]
pub(super) struct Joins {
    marker: char,
    /// For each code after each code: whether they may be joined.
    coded: Box<[[bool; CODES]]>,
    /// Characters that are followed by another in a token.
    pairs: HashSet<(char, char)>,
    /// The characters that are tokens.
    known: HashSet<char>,
    /// Whether a text that is a token as a whole is that token, so that any two may be in one.
    is_whole: bool,
    /// Whether other characters are spelled out in bytes that never merge.
    spells_rest: bool,
}

impl Joins {
    /// For a model that merges characters; `marker` is the most frequent one that is not ASCII.
    pub(super) fn new(model: &Model, marker: char) -> Option<Self> {
        let Alphabet::Characters { fallback } = &model.alphabet else {
            return None;
        };
        let Merges::List(merges) = &model.merges else {
            return None;
        };
        let mut pairs = HashSet::new();
        let mut known = HashSet::new();
        let texts = model
            .tokens
            .iter()
            .filter(|&(_, _, usage)| usage == Use::Text)
            .filter_map(|(_, bytes, _)| std::str::from_utf8(bytes).ok());
        for text in texts {
            let mut chars = text.chars();
            let Some(mut last) = chars.next() else {
                continue;
            };
            if text.len() == last.len_utf8() {
                known.insert(last);
            }
            for char in chars {
                pairs.insert((last, char));
                last = char;
            }
        }
        let is_byte = |id| model.tokens.usage(id) == Use::Byte;
        let spells_rest = fallback.is_some()
            && !merges
                .iter()
                .any(|merge| is_byte(merge.left) || is_byte(merge.right));
        let mut joins = Self {
            marker,
            is_whole: model.whole_tokens,
            coded: vec![[false; CODES]; CODES].into(),
            pairs,
            known,
            spells_rest,
        };
        let char = |code: usize| match u8::try_from(code) {
            Ok(byte) if code < MARKER => char::from(byte),
            _ => marker,
        };
        for x in 0..CODES {
            for y in 0..CODES {
                joins.coded[x][y] = joins.may_join_any(char(x), char(y));
            }
        }
        Some(joins)
    }

    fn code(&self, char: char) -> usize {
        if char.is_ascii() {
            char as usize
        } else if char == self.marker {
            MARKER
        } else {
            CODES
        }
    }

    fn may_join_any(&self, x: char, y: char) -> bool {
        if self.is_whole {
            return true;
        }
        let is_exact = |char| self.spells_rest || self.known.contains(&char);
        !(is_exact(x) && is_exact(y)) || self.pairs.contains(&(x, y))
    }

    /// Whether `x` and `y` may end up in one token, or depend on each other otherwise.
    #[inline(always)]
    pub(super) fn may_join(&self, x: char, y: char) -> bool {
        let (left, right) = (self.code(x), self.code(y));
        match self.coded.get(left).and_then(|row| row.get(right)) {
            Some(&joined) => joined,
            None => self.may_join_any(x, y),
        }
    }

    /// Appends the end of each piece of `text`, which the tokenizer itself splits before each
    /// `split`.
    pub(super) fn ends(&self, text: &str, split: Option<char>, ends: &mut Vec<usize>) {
        let mut chars = text.char_indices();
        let Some((_, mut last)) = chars.next() else {
            return;
        };
        for (at, char) in chars {
            if !self.may_join(last, char) || Some(char) == split {
                ends.push(at);
            }
            last = char;
        }
        ends.push(text.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::definition::{Definition, Source, parse};
    use crate::tokenizer::model;

    /// A model of words with markers, without `c` and with a fallback for it.
    fn definition(whole: bool) -> Definition {
        let words = [
            "▁", "a", "b", "d", "ab", "▁a", "▁ab", "ba", "dd", "ddd", "é", "éa",
        ];
        let merges = ["a b", "▁ a", "▁a b", "b a", "d d", "dd d", "é a"];
        let bytes = (0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>"));
        let vocab: serde_json::Map<_, _> = words
            .iter()
            .map(|&word| word.to_owned())
            .chain(bytes)
            .enumerate()
            .map(|(id, text)| (text, id.into()))
            .collect();
        let file = serde_json::json!({
            "version": "1.0",
            "model": {
                "type": "BPE", "byte_fallback": !whole, "ignore_merges": whole, "vocab": vocab,
                "merges": merges,
            },
        });
        let bytes = file.to_string().into_bytes();
        parse(&Source {
            bytes: &bytes,
            ..Source::default()
        })
        .unwrap()
    }

    fn ids(definition: &Definition, text: &str, ends: &[usize]) -> Vec<u32> {
        let vocabulary = std::sync::Arc::new(model::vocabulary(&definition.model).unwrap());
        let memory = std::sync::Arc::new(crate::bpe::Memory::new().unwrap());
        let mut ids = Vec::new();
        crate::bpe::Encoder::new(&vocabulary, &memory).encode_split(text, ends, &mut ids);
        ids
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn pieces_have_the_ids_of_the_whole(text in "[▁abcdéx]{1,40}", whole in any::<bool>()) {
            let definition = definition(whole);
            let joins = Joins::new(&definition.model, '▁').unwrap();
            let mut ends = Vec::new();
            joins.ends(&text, None, &mut ends);
            let expected = ids(&definition, &text, &[text.len()]);
            prop_assert_eq!(ids(&definition, &text, &ends), expected);
        }
    }

    #[test]
    fn texts_are_cut_where_no_token_joins_them() {
        let joins = Joins::new(&definition(false).model, '▁').unwrap();
        let mut ends = Vec::new();
        joins.ends("abdd▁ab", None, &mut ends);
        assert_eq!(ends, [2, 4, 9]);
    }
}
