//! The tables of a vocabulary that has a list of merges. [`Image`] describes them.

use crate::bpe::image::Image;
use crate::bpe::ranked::{Alphabet, Merge, NONE};
use crate::token::TokenId;

/// A vocabulary with a list of merges.
pub(crate) struct List<'a> {
    /// By id: the text that becomes it; empty if none does.
    pub(crate) texts: &'a [&'a [u8]],
    /// In the order of their ranks.
    pub(crate) merges: &'a [Merge],
    pub(crate) alphabet: &'a Alphabet,
    /// Whether a text that is a token as a whole becomes it whatever the merges say.
    pub(crate) whole_tokens: bool,
}

impl Image {
    /// The tables of a vocabulary that has a list of merges. `None` if they cannot express it: if
    ///
    /// - the merges that make one token are not next to each other, or two tokens have one rank;
    /// - a merge does not make a longer text of its parts' texts;
    /// - a text has no parts that merging can begin with.
    pub(crate) fn of_list(list: &List<'_>) -> Option<Self> {
        let merges = usable(list)?;
        let numbers = Numbers::of(list.texts.len(), &merges)?;
        let texts: Vec<&[u8]> = numbers
            .ids
            .iter()
            .map(|&id| list.texts[id as usize])
            .collect();
        let mut image = Self::new(&texts);
        let is_symbol = image.add_alphabet(list.alphabet, &numbers)?;
        let proven = image.add_merges(&merges, &numbers, &is_symbol)?;
        for number in (0..texts.len()).filter(|&number| !texts[number].is_empty()) {
            if list.whole_tokens || proven[number] {
                image.add_to_index(to_u32(number));
            }
            image.mark_crossed(texts[number]);
        }
        let is_same = (0..).zip(&numbers.ids).all(|(number, &id)| number == id);
        if !is_same {
            image.ids = numbers.ids;
        }
        Some(image)
    }

    /// Adds what merging begins with; returns which numbers are that.
    fn add_alphabet(&mut self, alphabet: &Alphabet, numbers: &Numbers) -> Option<Vec<bool>> {
        let number = |id: TokenId| numbers.of_id(id);
        let mut is_symbol = vec![false; numbers.ids.len()];
        let mut add = |part: u32| {
            if part != NONE {
                is_symbol[part as usize] = true;
            }
        };
        match alphabet {
            Alphabet::Bytes(ids) => {
                for (part, &id) in self.byte_parts.iter_mut().zip(&**ids) {
                    *part = number(id);
                    add(*part);
                }
            }
            Alphabet::Characters { ids, bytes } => {
                self.blocks.clone_from(&ids.blocks);
                self.pages = ids.pages.iter().map(|&id| number(id)).collect();
                self.spelled = bytes.iter().map(|&id| number(id)).collect();
                self.pages.iter().copied().for_each(&mut add);
                for byte in 0..128_u8 {
                    let at = usize::from(byte);
                    let id = ids.get(char::from(byte));
                    let part = if id == NONE { bytes[at] } else { id };
                    self.byte_parts[at] = number(part);
                }
                // Not among the symbols: bytes never merge.
                if (0xc2..=0xf4).chain(0x80..=0xbf).any(|at| bytes[at] == NONE) {
                    return None;
                }
            }
        }
        let is_needed = |byte: usize| match alphabet {
            // Bytes that UTF-8 does not have are in no text.
            Alphabet::Bytes(_) => !matches!(byte, 0xc0 | 0xc1 | 0xf5..),
            Alphabet::Characters { .. } => byte < 128,
        };
        let is_complete = (0..256).all(|byte| self.byte_parts[byte] != NONE || !is_needed(byte));
        is_complete.then_some(is_symbol)
    }

    /// Adds the pair of each merged token, in order; returns which tokens merges are proven to lead
    /// to.
    fn add_merges(
        &mut self,
        merges: &[Merge],
        numbers: &Numbers,
        is_symbol: &[bool],
    ) -> Option<Vec<bool>> {
        let mut splits = vec![(NONE, NONE); is_symbol.len()];
        let mut is_proven = is_symbol.to_vec();
        // What is no symbol, and no merge makes, is in no text.
        let is_merged = |number: u32| number >= numbers.first_merged;
        for group in merges.chunk_by(|a, b| a.merged == b.merged) {
            let merged = numbers.of_id(group[0].merged);
            let pairs = || {
                let pairs = group
                    .iter()
                    .map(|m| (numbers.of_id(m.left), numbers.of_id(m.right)));
                pairs.filter(|&(left, right)| {
                    [left, right]
                        .into_iter()
                        .all(|part| is_merged(part) || is_symbol[part as usize])
                })
            };
            let own = pairs().find(|&(left, right)| {
                is_proven[left as usize]
                    && is_proven[right as usize]
                    && self.stays_apart(&splits, (left, right), merged)
            });
            if let Some((left, right)) = own {
                self.add_pair(left, right, merged);
                splits[merged as usize] = (left, right);
                is_proven[merged as usize] = true;
                continue;
            }
            for (left, right) in pairs() {
                if self.merged(left, right) != NONE {
                    return None;
                }
                self.add_pair(left, right, merged);
            }
            let text = self.token(merged).to_vec();
            self.mark_borders(&text);
        }
        Some(is_proven)
    }

    /// Whether no merge of a lower rank than `merged` crosses the border between two tokens while
    /// they come to be. `splits` has the pair of each that is merged itself.
    ///
    /// The later of the two parts at the border is undone, until both are symbols. Source: the
    /// `bpe` crate's `is_valid_token_pair`.
    fn stays_apart(&self, splits: &[(u32, u32)], pair: (u32, u32), merged: u32) -> bool {
        let (mut left, mut right) = pair;
        let mut limit = merged;
        loop {
            if self.merged(left, right) < limit {
                return false;
            }
            let (of_left, of_right) = (splits[left as usize], splits[right as usize]);
            if of_left.0 == NONE && of_right.0 == NONE {
                return true;
            }
            // Of two that are equal, the left one was merged first.
            if left > right {
                limit = left;
                left = of_left.1;
            } else {
                limit = right + 1;
                right = of_right.0;
            }
        }
    }
}

/// The merges of texts that can occur. `None` if one does not make the text of its parts.
fn usable(list: &List<'_>) -> Option<Vec<Merge>> {
    let text = |id: TokenId| list.texts[id as usize];
    let mut merges = Vec::with_capacity(list.merges.len());
    for &merge in list.merges {
        let (left, right, merged) = (text(merge.left), text(merge.right), text(merge.merged));
        if left.is_empty() || right.is_empty() {
            continue;
        }
        if merged.strip_prefix(left) != Some(right) {
            return None;
        }
        merges.push(merge);
    }
    Some(merges)
}

/// The numbers of tokens: in the order of their ranks, after those that no merge makes.
struct Numbers {
    /// By number.
    ids: Vec<TokenId>,
    /// By id.
    numbers: Vec<u32>,
    first_merged: u32,
}

impl Numbers {
    fn of(n: usize, merges: &[Merge]) -> Option<Self> {
        let mut is_merged = vec![false; n];
        let mut merged = Vec::new();
        let mut last: Option<Merge> = None;
        for merge in merges {
            if let Some(last) = last
                && last.merged != merge.merged
                && last.rank == merge.rank
            {
                return None;
            }
            if last.is_none_or(|last| last.merged != merge.merged) {
                if std::mem::replace(&mut is_merged[merge.merged as usize], true) {
                    return None;
                }
                merged.push(merge.merged);
            }
            last = Some(*merge);
        }
        let mut ids: Vec<TokenId> = (0..to_u32(n))
            .filter(|&id| !is_merged[id as usize])
            .collect();
        let first_merged = to_u32(ids.len());
        ids.extend(merged);
        let mut numbers = vec![NONE; n];
        for (number, &id) in (0..).zip(&ids) {
            numbers[id as usize] = number;
        }
        Some(Self {
            ids,
            numbers,
            first_merged,
        })
    }

    /// [`NONE`] for [`NONE`].
    fn of_id(&self, id: TokenId) -> u32 {
        self.numbers.get(id as usize).copied().unwrap_or(NONE)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a vocabulary has fewer than 2^19 tokens"
)]
fn to_u32(n: usize) -> u32 {
    n as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::bpe::merge::Merger;
    use crate::bpe::ranked::{Ranked, Scratch};
    use crate::bpe::tournament::Tournament;
    use crate::bpe::{CharIds, Encoder, Memory, Vocabulary, plain};
    use crate::simd::Level;

    /// Texts by id, and merges in the order of their ranks.
    type Made = (Vec<String>, Vec<Merge>);

    /// A vocabulary from letters on: each step merges two tokens of before. Then some ways to split
    /// a token are added, as lists for all splits have them, and the tokens are put in any order of
    /// ranks: some come before their parts.
    fn made() -> impl Strategy<Value = Made> {
        let steps = prop::collection::vec((any::<u16>(), any::<u16>()), 0..24);
        (steps, any::<bool>(), 0..40_u32, any::<u64>()).prop_map(|(steps, all, swaps, seed)| {
            let mut texts: Vec<String> = ["a", "b", "c", "é"].map(str::to_owned).to_vec();
            let mut pairs: Vec<Vec<(usize, usize)>> = vec![Vec::new(); texts.len()];
            for (left, right) in steps {
                let (left, right) = (
                    usize::from(left) % texts.len(),
                    usize::from(right) % texts.len(),
                );
                let text = format!("{}{}", texts[left], texts[right]);
                if text.len() <= 12 && !texts.contains(&text) {
                    texts.push(text);
                    pairs.push(vec![(left, right)]);
                }
            }
            if all {
                for id in 4..texts.len() {
                    pairs[id].clear();
                    for (at, _) in texts[id].char_indices().skip(1) {
                        let (left, right) = texts[id].split_at(at);
                        let of = |part: &str| texts.iter().position(|text| text == part);
                        pairs[id].extend(of(left).zip(of(right)));
                    }
                }
            }
            let mut order: Vec<usize> = (4..texts.len()).collect();
            let mut state = seed;
            for _ in 0..swaps.min(order.len() as u32 / 4) {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let at = (state >> 33) as usize % (order.len() - 1);
                order.swap(at, at + 1);
            }
            let mut merges = Vec::new();
            for &merged in &order {
                for &(left, right) in &pairs[merged] {
                    merges.push(Merge {
                        left: left as u32,
                        right: right as u32,
                        merged: merged as u32,
                        rank: merges.len() as u32,
                    });
                }
            }
            (texts, merges)
        })
    }

    /// Ids that are not ranks: the texts in another order.
    fn shuffled((texts, merges): Made) -> Made {
        let n = texts.len();
        let of = |id: u32| (id * 7 + 3) % n as u32;
        if n % 7 == 0 {
            return (texts, merges);
        }
        let by_id: BTreeMap<u32, String> = (0..).map(of).zip(texts).collect();
        let moved = |merge: Merge| Merge {
            left: of(merge.left),
            right: of(merge.right),
            merged: of(merge.merged),
            rank: merge.rank,
        };
        (
            by_id.into_values().collect(),
            merges.into_iter().map(moved).collect(),
        )
    }

    fn alphabet(texts: &[String], has_characters: bool) -> (Vec<Vec<u8>>, Alphabet) {
        let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
        if has_characters {
            let mut chars = (0..)
                .zip(texts)
                .filter(|(_, text)| text.chars().count() == 1);
            let ids = CharIds::new(
                chars
                    .by_ref()
                    .filter_map(|(id, text)| Some((text.chars().next()?, id))),
            );
            // Each byte has a token of its own, which no text becomes.
            let first = all.len() as u32;
            all.resize(all.len() + 256, Vec::new());
            let bytes = Box::new(std::array::from_fn(|byte| first + byte as u32));
            return (all, Alphabet::Characters { ids, bytes });
        }
        let mut ids = Box::new([NONE; 256]);
        for byte in 0..=u8::MAX {
            let known = all.iter().position(|text| text[..] == [byte]);
            ids[usize::from(byte)] = known.unwrap_or_else(|| {
                all.push(vec![byte]);
                all.len() - 1
            }) as u32;
        }
        (all, Alphabet::Bytes(ids))
    }

    /// `merges` with the one of the bytes of `é`, anywhere among them.
    fn with_bytes(
        mut merges: Vec<Merge>,
        tokens: &[String],
        all: &[Vec<u8>],
        at: usize,
    ) -> Vec<Merge> {
        let id = |bytes: &[u8]| all.iter().position(|token| token == bytes).unwrap() as u32;
        let [left, right] = [&b"\xc3"[..], b"\xa9"].map(id);
        let merged = tokens.iter().position(|text| text == "é").unwrap() as u32;
        let mut at = at % (merges.len() + 1);
        while at > 0 && at < merges.len() && merges[at - 1].merged == merges[at].merged {
            at += 1;
        }
        let rank = 0;
        merges.insert(
            at,
            Merge {
                left,
                right,
                merged,
                rank,
            },
        );
        for (rank, merge) in (0..).zip(&mut merges) {
            merge.rank = rank;
        }
        merges
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn tables_merge_as_the_list_does(
            made in made(), has_characters in any::<bool>(), is_shuffled in any::<bool>(),
            at in any::<usize>(),
            texts in prop::collection::vec("[abcéx]{1,90}|[ab]{1,20}|[aé]{1,30}", 1..12),
        ) {
            let (tokens, merges) = if is_shuffled { shuffled(made) } else { made };
            let (all, alphabet) = alphabet(&tokens, has_characters);
            let merges = if has_characters { merges } else { with_bytes(merges, &tokens, &all, at) };
            let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
            let list = List { texts: &all, merges: &merges, alphabet: &alphabet, whole_tokens: false };
            let image = Image::of_list(&list).expect("merges of a token are together");
            let ranked = Ranked::new(merges.iter().copied(), alphabet.clone(), None);
            let vocabulary = Arc::new(Vocabulary::of_image(&image.to_bytes(), None).unwrap());
            let view = vocabulary.view();
            let mut merger = Merger::new(Level::detect());
            let mut encoder = Encoder::new(&vocabulary, &Arc::new(Memory::new().unwrap()));
            for text in &texts {
                let mut expected = Vec::new();
                ranked.merge(text.as_bytes(), &mut Scratch::default(), &mut expected);
                let outside = |numbers: Vec<u32>| -> Vec<TokenId> {
                    numbers.into_iter().map(|number| view.id(number)).collect()
                };
                let mut numbers = Vec::new();
                plain::merge(&view, text.as_bytes(), &mut numbers);
                prop_assert_eq!(&outside(numbers), &expected, "plain");
                let mut numbers = Vec::new();
                merger.merge(&view, text.as_bytes(), &mut numbers);
                prop_assert_eq!(&outside(numbers), &expected, "sweep");
                let mut numbers = Vec::new();
                Tournament::default().merge(&view, text.as_bytes(), &mut numbers);
                prop_assert_eq!(&outside(numbers), &expected, "tournament");
                let mut ids = Vec::new();
                encoder.encode_split(text, &[text.len()], &mut ids);
                prop_assert_eq!(&ids, &expected, "encoder");
            }
        }
    }

    /// `éa` is merged from a byte and a rest, though `é` is a token.
    #[test]
    fn lists_that_tables_cannot_express_are_none() {
        let merge = |left, right, merged, rank| Merge {
            left,
            right,
            merged,
            rank,
        };
        let tokens = ["a", "b", "ab", "ba", "aba"].map(str::to_owned);
        let (all, alphabet) = alphabet(&tokens, true);
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        let of = |merges: &[Merge]| {
            let list = List {
                texts: &all,
                merges,
                alphabet: &alphabet,
                whole_tokens: false,
            };
            Image::of_list(&list).is_some()
        };
        let (ab, ba) = (merge(0, 1, 2, 0), merge(1, 0, 3, 1));
        assert!(of(&[ab, ba, merge(2, 0, 4, 2), merge(0, 3, 4, 3)]));
        // Not together, of one rank, and not the text of its parts.
        assert!(!of(&[
            ab,
            merge(2, 0, 4, 1),
            merge(1, 0, 3, 2),
            merge(0, 3, 4, 3)
        ]));
        assert!(!of(&[ab, merge(1, 0, 3, 0)]));
        assert!(!of(&[ab, merge(0, 0, 3, 1)]));
    }
}
