//! Tables merge as the list they are of.

#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use shardmill_core::simd::Level;

use super::*;
use crate::bpe::merge::Merger;
use crate::bpe::ranked::{Ranked, Scratch};
use crate::bpe::tournament::Tournament;
use crate::bpe::{CharIds, Encoder, Memory, Vocabulary, plain};

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
        // Merges of a token may be apart.
        for _ in 0..if all { swaps / 3 } else { 0 } {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let count = merges.len().max(2) - 1;
            let at = (state >> 33) as usize % count;
            if merges.len() > 1 {
                merges.swap(at, at + 1);
            }
        }
        for (rank, merge) in (0..).zip(&mut merges) {
            merge.rank = rank;
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
fn with_bytes(mut merges: Vec<Merge>, tokens: &[String], all: &[Vec<u8>], at: usize) -> Vec<Merge> {
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
        let image = Image::of_list(&list).unwrap();
        let ranked = Ranked::new(merges.iter().copied(), alphabet.clone(), None);
        let vocabulary = Arc::new(Vocabulary::of_tables(&image, None).unwrap());
        let view = vocabulary.view();
        let mut merger = Merger::new(Level::detect());
        let mut encoder = Encoder::new(Level::detect(), &vocabulary, &Arc::new(Memory::new().unwrap()));
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
            encoder.add_split(text, &[text.len()], &mut ids);
            encoder.finish(&mut ids);
            prop_assert_eq!(&ids, &expected, "encoder");
        }
    }
}

#[test]
fn lists_that_tables_cannot_express_are_none() {
    let merge = |left, right, merged, rank| Merge {
        left,
        right,
        merged,
        rank,
    };
    let tokens = ["a", "b", "ab", "ba", "aba", "bb"].map(str::to_owned);
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
    let (ab, ba) = (merge(0, 1, 2, 3), merge(1, 0, 3, 4));
    let (left, right, bb) = (merge(2, 0, 4, 5), merge(0, 3, 4, 7), merge(1, 1, 5, 6));
    assert!(of(&[ab, ba, left, bb, right]));
    // Of one rank; not the text of its parts.
    assert!(!of(&[ab, merge(1, 0, 3, 3)]));
    assert!(!of(&[ab, merge(0, 0, 3, 4)]));
}
