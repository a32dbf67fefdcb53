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

/// The width of a word of bits.
const WORD: usize = u64::BITS as usize;

/// Which characters may end up in one token.
#[derive(Clone, Debug)]
pub(super) struct Joins {
    /// Bit `y` of entry `x`: whether these ASCII characters may be joined.
    ascii: Box<[[u64; 2]; 128]>,
    /// A bit for each hash of two characters that follow each other in a token. Others may have
    /// the same hash, and are then not cut: that does no harm.
    pairs: Box<[u64]>,
    /// The characters that are tokens, if others are not spelled out in bytes that never merge:
    /// next to others, nothing is cut.
    known: Option<HashSet<char>>,
    /// Whether a text that is a token as a whole is that token, so that any two may be in one.
    is_whole: bool,
    /// The tokenizer itself splits before each of these.
    split: Option<char>,
}

impl Joins {
    /// For a model that merges characters. `texts` are those of its tokens; the tokenizer itself
    /// splits before each `split`.
    pub(super) fn new(model: &Model, texts: &[&[u8]], split: Option<char>) -> Option<Self> {
        let Alphabet::Characters { fallback } = &model.alphabet else {
            return None;
        };
        let Merges::List(merges) = &model.merges else {
            return None;
        };
        let is_byte = |id| model.tokens.usage(id) == Use::Byte;
        let spells_rest = fallback.is_some()
            && !merges
                .iter()
                .any(|merge| is_byte(merge.left) || is_byte(merge.right));
        // Distinct pairs are about as many as tokens, or fewer.
        let words = (texts.len() * 16).next_power_of_two().max(WORD) / WORD;
        let mut pairs = vec![0_u64; words].into_boxed_slice();
        let mut known = HashSet::new();
        for text in texts
            .iter()
            .filter_map(|text| std::str::from_utf8(text).ok())
        {
            let mut chars = text.chars();
            let Some(mut last) = chars.next() else {
                continue;
            };
            if text.len() == last.len_utf8() && !spells_rest {
                known.insert(last);
            }
            for char in chars {
                let at = place(last, char, words);
                pairs[at / WORD] |= 1 << (at % WORD);
                last = char;
            }
        }
        let mut joins = Self {
            ascii: Box::new([[0; 2]; 128]),
            pairs,
            known: (!spells_rest).then_some(known),
            is_whole: model.whole_tokens,
            split,
        };
        for x in 0..128_u8 {
            for y in 0..128_u8 {
                let is_joined = joins.may_join_any(char::from(x), char::from(y));
                let is_split = split == Some(char::from(y));
                let word = &mut joins.ascii[usize::from(x)][usize::from(y) / WORD];
                *word |= u64::from(is_joined && !is_split) << (usize::from(y) % WORD);
            }
        }
        Some(joins)
    }

    /// The tables, as [`Self::of_words`] takes them; `None` if there are others.
    pub(super) fn words(&self) -> Option<(Vec<u64>, bool, Option<char>)> {
        let words = self.ascii.as_flattened().iter().chain(&self.pairs).copied();
        let is_all = self.known.is_none();
        is_all.then(|| (words.collect(), self.is_whole, self.split))
    }

    /// `None` if there are not enough words.
    pub(super) fn of_words(words: &[u64], is_whole: bool, split: Option<char>) -> Option<Self> {
        let (ascii, pairs) = words.split_first_chunk::<256>()?;
        let mut joins = Self {
            ascii: Box::new([[0; 2]; 128]),
            pairs: pairs.into(),
            known: None,
            is_whole,
            split,
        };
        joins.ascii.as_flattened_mut().copy_from_slice(ascii);
        pairs.len().is_power_of_two().then_some(joins)
    }

    fn may_join_any(&self, x: char, y: char) -> bool {
        let is_exact = |char| {
            self.known
                .as_ref()
                .is_none_or(|known| known.contains(&char))
        };
        let at = place(x, y, self.pairs.len());
        let may_merge = self.pairs[at / WORD] >> (at % WORD) & 1 != 0;
        self.is_whole || may_merge || !is_exact(x) || !is_exact(y)
    }

    #[inline(always)]
    fn may_join_ascii(&self, x: u8, y: u8) -> bool {
        let row = self.ascii[usize::from(x) % 128];
        row[usize::from(y) / WORD % 2] >> (usize::from(y) % WORD) & 1 != 0
    }

    /// Whether `x` and `y` may end up in one token, or depend on each other otherwise.
    pub(super) fn may_join(&self, x: char, y: char) -> bool {
        match (u8::try_from(x), u8::try_from(y)) {
            (Ok(x), Ok(y)) if x.is_ascii() && y.is_ascii() => self.may_join_ascii(x, y),
            _ if self.split == Some(y) => false,
            _ => self.may_join_any(x, y),
        }
    }

    /// Appends the end of each piece of `text`.
    pub(super) fn ends(&self, text: &str, ends: &mut Vec<usize>) {
        let bytes = text.as_bytes();
        let Some(mut last) = text.chars().next() else {
            return;
        };
        let mut at = last.len_utf8();
        while let Some(&byte) = bytes.get(at) {
            if !(bytes[at - 1].is_ascii() && byte.is_ascii()) {
                let Some(char) = text[at..].chars().next() else {
                    break;
                };
                if !self.may_join(last, char) {
                    ends.push(at);
                }
                at += char.len_utf8();
                last = char;
                continue;
            }
            // Up to a word of borders between ASCII characters.
            let mut cuts = 0_u64;
            let mut count = 0;
            for pair in bytes[at - 1..].windows(2).take(WORD) {
                if !(pair[0] | pair[1]).is_ascii() {
                    break;
                }
                cuts |= u64::from(!self.may_join_ascii(pair[0], pair[1])) << count;
                count += 1;
            }
            while cuts != 0 {
                ends.push(at + cuts.trailing_zeros() as usize);
                cuts &= cuts - 1;
            }
            at += count;
            last = char::from(bytes[at - 1]);
        }
        ends.push(text.len());
    }
}

/// The bit of two characters in a number of words of bits, which is a power of two.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "as many bits as there are places"
)]
fn place(x: char, y: char, words: usize) -> usize {
    let pair = u64::from(u32::from(x)) << 32 | u64::from(u32::from(y));
    let hash = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The upper bits, which all others reach.
    (hash >> (u64::BITS - (words * WORD).trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shardmill_core::simd::Level;

    use super::*;
    use crate::definition::{Definition, Source, parse};
    use crate::tokenizer::model::{self, Texts};

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

    fn joins(definition: &Definition) -> Joins {
        let texts = Texts::of(&definition.model, Some('▁'));
        Joins::new(&definition.model, &texts.all(), None).unwrap()
    }

    fn ids(definition: &Definition, text: &str, ends: &[usize]) -> Vec<u32> {
        let texts = Texts::of(&definition.model, Some('▁'));
        let (image, list) = model::vocabulary(&definition.model, &texts).unwrap();
        let vocabulary = crate::bpe::Vocabulary::of_tables(&image, list).unwrap();
        let vocabulary = std::sync::Arc::new(vocabulary);
        let memory = std::sync::Arc::new(crate::bpe::Memory::new().unwrap());
        let mut ids = Vec::new();
        let mut encoder = crate::bpe::Encoder::new(Level::detect(), &vocabulary, &memory);
        encoder.add_split(text, ends, &mut ids);
        encoder.finish(&mut ids);
        ids
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn pieces_have_the_ids_of_the_whole(text in "[ abcdéx]{1,40}", whole in any::<bool>()) {
            let definition = definition(whole);
            let mut ends = Vec::new();
            joins(&definition).ends(&text, &mut ends);
            let expected = ids(&definition, &text, &[text.len()]);
            prop_assert_eq!(ids(&definition, &text, &ends), expected);
        }
    }

    #[test]
    fn texts_are_cut_where_no_token_joins_them() {
        let mut ends = Vec::new();
        joins(&definition(false)).ends("abdd ab", &mut ends);
        assert_eq!(ends, [2, 4, 7]);
    }
}
