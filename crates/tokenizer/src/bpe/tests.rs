//! Every merge algorithm returns the ids of the definition.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use shardmill_core::simd::Level;
use shardmill_core::token::TokenId;

use crate::bpe::merge::Merger;
use crate::bpe::stitch::Stitcher;
use crate::bpe::sweep::{self, Merged, Sweep};
use crate::bpe::tournament::Tournament;
use crate::bpe::vocabulary::NO_MERGE;
use crate::bpe::{CL100K, Encoder, Memory, O200K, P50K, R50K, Vocabulary, VocabularyRef, plain};

/// Real text, as bytes.
const CODE: &[u8] = include_bytes!("../../../../fixtures/text/code.txt");

static OWNED: LazyLock<[Arc<Vocabulary>; 4]> =
    LazyLock::new(|| [&R50K, &P50K, &CL100K, &O200K].map(|vocabulary| Arc::clone(vocabulary)));

static VOCABULARIES: LazyLock<[VocabularyRef<'static>; 4]> =
    LazyLock::new(|| [0, 1, 2, 3].map(|i| OWNED[i].view()));

fn vocabularies() -> [&'static VocabularyRef<'static>; 4] {
    VOCABULARIES.each_ref()
}

fn plain(vocabulary: &VocabularyRef, bytes: &[u8]) -> Vec<TokenId> {
    let mut ids = Vec::new();
    plain::merge(vocabulary, bytes, &mut ids);
    ids
}

/// The definition taken literally, with ranks of joined bytes instead of pairs of ids.
fn naive(vocabulary: &VocabularyRef, bytes: &[u8]) -> Vec<TokenId> {
    let mut parts: Vec<Vec<u8>> = bytes.iter().map(|&byte| vec![byte]).collect();
    loop {
        let best = (1..parts.len())
            .filter_map(|i| Some((vocabulary.get(&[&parts[i - 1][..], &parts[i]].concat())?, i)))
            .min();
        let Some((_, i)) = best else { break };
        let right = parts.remove(i);
        parts[i - 1].extend(right);
    }
    parts
        .iter()
        .map(|part| vocabulary.get(part).unwrap())
        .collect()
}

/// Up to 300 bytes: few letters, many letters, text, and bytes that are not text.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = "a{0,300}|[ab]{0,300}|[0-9]{0,300}| {0,300}|[a-z]{0,300}|[a-zA-Z ]{0,300}\
                |[\u{4e00}-\u{4e20}]{0,100}|\u{4e2d}{0,100}|[\u{300}-\u{36f}]{0,150}\
                |(ab){0,150}|(the|ing|er|ation|s|ed|un){0,60}|[\r\n\t ]{0,300}|.{0,80}";
    prop_oneof![
        4 => text.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..300),
        1 => prop::collection::vec(0xe3_u8..=0xe5, 0..300),
        2 => prop::collection::vec(wide_token(), 0..40).prop_map(|tokens| tokens.concat()),
        1 => prop::collection::vec(prop::sample::select(&b"0123456789=-_*# "[..]), 0..300),
        1 => (chain(vocabularies()[0]), 0..200_usize, 1..300_usize)
            .prop_map(|(chain, from, len)| chain.into_iter().cycle().skip(from).take(len).collect()),
        1 => (0..1_400_000_usize, 0..300_usize).prop_map(|(from, len)| {
            CODE[from..][..len].to_vec()
        }),
    ]
}

/// A non-ASCII token of any vocabulary; many begin or end inside a character.
fn wide_token() -> impl Strategy<Value = &'static [u8]> {
    (0..4_usize, 0..200_000_u32).prop_map(|(vocabulary, id)| {
        let vocabulary = vocabularies()[vocabulary];
        let mut tokens = (id..200_000).chain(0..id).map(|id| vocabulary.token(id));
        tokens.find(|token| !token.is_ascii()).unwrap_or(b"")
    })
}

/// Every non-ASCII token, many of which begin or end inside a character, completed by others: at
/// such borders, merging must not begin with whole characters.
#[test]
fn characters_that_merges_cross_are_merged_as_the_plain_way_does() {
    let level = Level::detect();
    let mut sweep = Sweep::new();
    for vocabulary in vocabularies() {
        let ends = ["", "\u{43f}", " "].map(str::as_bytes);
        let tokens = (0..200_000).map(|id| vocabulary.token(id));
        for token in tokens.filter(|token| !token.is_ascii() && token.len() < 20) {
            // What the first and the last character may lack.
            for before in [
                &b""[..],
                b"\xc3",
                b"\xd0",
                b"\xe3",
                b"\xe3\x81",
                b"\xe4\xb8",
            ] {
                for behind in [&b""[..], b"\x80", b"\xbf", b"\x81\x82", b"\xb8\xad"] {
                    for end in ends {
                        let bytes = [end, before, token, behind, end].concat();
                        let mut ids = Vec::new();
                        sweep.merge(level, vocabulary, &bytes, &mut ids);
                        assert_eq!(ids, plain(vocabulary, &bytes), "{bytes:x?}");
                    }
                }
            }
        }
    }
}

/// A longest text of letters in which every adjacent pair merges, and later pairs merge earlier:
/// what the first letters become depends on the last ones.
fn chain(vocabulary: &VocabularyRef) -> Just<Vec<u8>> {
    let mut pairs: Vec<(TokenId, u8, u8)> = (0..=u16::MAX)
        .map(u16::to_be_bytes)
        .filter(|pair| pair.iter().all(u8::is_ascii_alphabetic))
        .map(|[left, right]| (vocabulary.merged_bytes(left, right), left, right))
        .filter(|&(id, ..)| id != NO_MERGE)
        .collect();
    pairs.sort_unstable();
    // The longest text that begins with each byte, reversed.
    let mut longest: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    for (_, left, right) in pairs {
        if longest[usize::from(right)].len() >= longest[usize::from(left)].len() {
            let mut text = longest[usize::from(right)].clone();
            text.push(left);
            longest[usize::from(left)] = text;
        }
    }
    let mut text = longest.into_iter().max_by_key(Vec::len).unwrap();
    text.reverse();
    Just(text)
}

proptest! {
    #[test]
    fn the_plain_way_merges_as_defined(bytes in bytes()) {
        for vocabulary in vocabularies() {
            prop_assert_eq!(plain(vocabulary, &bytes), naive(vocabulary, &bytes));
        }
    }

    #[test]
    fn every_way_merges_as_the_plain_one(
        bytes in bytes(), more in bytes(), size in 1..150_usize
    ) {
        let mut tournament = Tournament::default();
        let mut stitcher = Stitcher::default();
        for vocabulary in vocabularies() {
            // One after the other, so that memory is reused; and appended to existing ids.
            let mut ids = vec![7];
            let mut expected = ids.clone();
            for bytes in [&bytes, &more, &[&bytes[..], &more].concat()] {
                if bytes.is_empty() {
                    continue;
                }
                expected.extend(plain(vocabulary, bytes));
                let mut other = ids.clone();
                tournament.merge(vocabulary, bytes, &mut ids);
                prop_assert_eq!(&ids, &expected);
                stitcher.merge(vocabulary, bytes, size, &mut other);
                prop_assert_eq!(&other, &expected);
            }
        }
    }
}

proptest! {
    #[test]
    fn short_texts_merge_as_the_plain_way_does(texts in prop::collection::vec(bytes(), 1..20)) {
        for level in Level::available() {
            let mut sweep = Sweep::new();
            for vocabulary in vocabularies() {
                let mut ids = vec![7];
                let mut expected = ids.clone();
                for text in &texts {
                    for bytes in text.chunks(sweep::MAX_PARTS) {
                        sweep.merge(level, vocabulary, bytes, &mut ids);
                        expected.extend(plain(vocabulary, bytes));
                    }
                }
                prop_assert_eq!(&ids, &expected, "{}", level);

                // Interleaved: some end before others, some have nothing to merge, some are too
                // long.
                let texts: Vec<&[u8]> = texts
                    .iter()
                    .flat_map(|text| text.chunks(sweep::MAX_BYTES))
                    .collect();
                let mut merged = vec![Merged::NONE; texts.len()];
                sweep.merge_all(level, vocabulary, &texts, &mut merged);
                for (text, merged) in texts.iter().zip(&merged) {
                    match merged.ids() {
                        Some(ids) => prop_assert_eq!(ids, plain(vocabulary, text), "{}", level),
                        None => prop_assert!(text.len() > sweep::MAX_PARTS),
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Twice, so that cached pretokens occur as well.
    #[test]
    fn a_split_text_has_the_ids_of_its_pieces(pieces in prop::collection::vec(bytes(), 0..250)) {
        let pieces: Vec<&str> = pieces
            .iter()
            .filter_map(|piece| std::str::from_utf8(piece).ok())
            .filter(|piece| !piece.is_empty())
            .collect();
        let pieces = [&pieces[..], &pieces[..]].concat();
        let mut ends = Vec::new();
        let mut text = String::new();
        for piece in &pieces {
            text.push_str(piece);
            ends.push(text.len());
        }
        for (vocabulary, owned) in vocabularies().into_iter().zip(OWNED.iter()) {
            let whole = |piece: &&str| vocabulary.get(piece.as_bytes()).map(|id| vec![id]);
            let expected: Vec<TokenId> = pieces
                .iter()
                .flat_map(|piece| {
                    whole(piece).unwrap_or_else(|| plain(vocabulary, piece.as_bytes()))
                })
                .collect();
            // One encoder alone, and two, where the second finds what the first cached.
            for encoders in [1, 2] {
                let memory = Arc::new(Memory::new().unwrap());
                let encoders: Vec<_> = (0..encoders)
                    .map(|_| Encoder::new(Level::detect(), owned, &memory))
                    .collect();
                for mut encoder in encoders {
                    let mut ids = vec![7];
                    encoder.add_split(&text, &ends, &mut ids);
                    encoder.finish(&mut ids);
                    prop_assert_eq!(&ids[1..], &expected);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Documents in a row, with ids between them and pretokens of any length: each has the ids that
    /// it has alone, and ends where they end.
    #[test]
    fn documents_in_a_row_are_as_each_alone(
        documents in prop::collection::vec(prop::collection::vec(bytes(), 0..20), 0..60),
        long in 0..3 * 4096_usize,
        finish_every in 1..20_usize,
    ) {
        let long = "ab c".repeat(long.div_ceil(4));
        let mut documents: Vec<Vec<&str>> = documents
            .iter()
            .map(|pieces| pieces.iter().filter_map(|piece| std::str::from_utf8(piece).ok()))
            .map(|pieces| pieces.filter(|piece| !piece.is_empty()).collect())
            .collect();
        if !long.is_empty() {
            documents.insert(documents.len() / 2, vec!["x", &long, "y"]);
        }
        let add = |encoder: &mut Encoder, pieces: &[&str], ids: &mut Vec<TokenId>| {
            let ends = pieces.iter().scan(0, |end, piece| {
                *end += piece.len();
                Some(*end)
            });
            encoder.add_split(&pieces.concat(), &ends.collect::<Vec<_>>(), ids);
        };
        for owned in OWNED.iter() {
            let memory = Arc::new(Memory::new().unwrap());
            let mut encoder = Encoder::new(Level::detect(), owned, &memory);
            let mut ids = Vec::new();
            // What is forgotten leaves nothing.
            for pieces in &documents {
                add(&mut encoder, pieces, &mut ids);
                encoder.end_document();
            }
            encoder.discard();
            let mut ids = vec![7];
            let mut ends = Vec::new();
            for (index, pieces) in documents.iter().enumerate() {
                encoder.add_id(5, &mut ids);
                add(&mut encoder, pieces, &mut ids);
                encoder.end_document();
                if index % finish_every == 0 {
                    ends.extend(encoder.finish(&mut ids));
                }
            }
            ends.extend(encoder.finish(&mut ids));
            prop_assert_eq!(ends.len(), documents.len());
            let mut start = 1;
            for (pieces, end) in documents.iter().zip(ends) {
                let mut alone = Vec::new();
                let mut encoder = Encoder::new(Level::detect(), owned, &Arc::new(Memory::new().unwrap()));
                add(&mut encoder, pieces, &mut alone);
                encoder.finish(&mut alone);
                prop_assert_eq!(ids[start], 5);
                prop_assert_eq!(&ids[start + 1..end], &alone);
                start = end;
            }
            prop_assert_eq!(start, ids.len());
        }
    }
}

/// Short and long pretokens, all distinct, by encoders that fill one cache at the same time.
#[test]
fn encoders_at_once_find_what_one_alone_does() {
    let words = (0..120_000_usize).map(|i| {
        let digits = format!("{:08x}", i.wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
        format!(" {digits}{}", &"abcdefghijklmnop"[..i * 5 % 16])
    });
    let (mut text, mut ends) = (String::new(), Vec::new());
    for word in words {
        text.push_str(&word);
        ends.push(text.len());
    }
    let encode = |memory: &Arc<Memory>| {
        let mut ids = Vec::new();
        let mut encoder = Encoder::new(Level::detect(), &OWNED[0], memory);
        encoder.add_split(&text, &ends, &mut ids);
        encoder.finish(&mut ids);
        drop(encoder);
        ids
    };
    let expected = encode(&Arc::new(Memory::new().unwrap()));
    let memory = Arc::new(Memory::new().unwrap());
    std::thread::scope(|scope| {
        let workers = [(); 4].map(|()| scope.spawn(|| encode(&memory)));
        for worker in workers {
            assert!(worker.join().unwrap() == expected);
        }
    });
}

/// As many characters as parts, three times as many bytes.
#[test]
fn characters_that_are_tokens_are_one_part_each() {
    let text = "\u{4e2d}".repeat(sweep::MAX_PARTS + 1);
    for level in Level::available() {
        for vocabulary in &vocabularies()[2..] {
            let texts: Vec<&[u8]> = (1..=sweep::MAX_PARTS + 1)
                .map(|count| &text.as_bytes()[..3 * count])
                .collect();
            let mut merged = vec![Merged::NONE; texts.len()];
            Sweep::new().merge_all(level, vocabulary, &texts, &mut merged);
            let (last, fitting) = merged.split_last().unwrap();
            assert_eq!(last.ids(), None, "{level}");
            for (text, merged) in texts.iter().zip(fitting) {
                assert_eq!(merged.ids(), Some(&plain(vocabulary, text)[..]), "{level}");
            }
        }
    }
}

/// Every length, and so every number of searched blocks, with merges up to the last place.
#[test]
fn every_length_merges_as_the_plain_way_does() {
    for level in Level::available() {
        let mut sweep = Sweep::new();
        for vocabulary in vocabularies() {
            let chain = chain(vocabulary).0.repeat(sweep::MAX_PARTS);
            for len in (1..=sweep::MAX_PARTS).rev() {
                for bytes in [
                    &chain[..len],
                    &CODE[..len],
                    &[b' '; sweep::MAX_PARTS][..len],
                ] {
                    let mut ids = Vec::new();
                    sweep.merge(level, vocabulary, bytes, &mut ids);
                    assert_eq!(ids, plain(vocabulary, bytes), "{level}: {len} bytes");
                }
            }
        }
    }
}

/// Tiny pieces prove little, so the fallbacks are used, and lead to the same ids.
#[test]
fn what_pieces_do_not_prove_is_merged_in_larger_ones() {
    let mut doubled = 0;
    let mut all_at_once = 0;
    for vocabulary in vocabularies() {
        let chain = chain(vocabulary).0.repeat(40);
        for bytes in [&chain, &CODE[..2000]] {
            let expected = plain(vocabulary, bytes);
            for size in 1..100 {
                let mut stitcher = Stitcher::default();
                let mut ids = Vec::new();
                stitcher.merge(vocabulary, bytes, size, &mut ids);
                assert_eq!(ids, expected, "{size}");
                doubled += stitcher.counts[0];
                all_at_once += stitcher.counts[1];
            }
        }
    }
    assert!(doubled > 0 && all_at_once > 0, "{doubled} {all_at_once}");
}

#[test]
fn long_pretokens_merge_as_the_plain_way_does() {
    let kinds = long_kinds();
    for vocabulary in vocabularies() {
        let mut merger = Merger::new(Level::detect());
        let chain = chain(vocabulary).0;
        let chain = ("chain", chain.repeat(300_000 / chain.len()));
        for (kind, bytes) in kinds.iter().chain([&chain]) {
            let mut ids = Vec::new();
            merger.merge(vocabulary, bytes, &mut ids);
            assert!(ids == plain(vocabulary, bytes), "{kind}");
        }
        // No piece had to be doubled, so the time is linear.
        assert_eq!(merger.counts(), [0, 0]);
    }
}

/// About 300 KB each.
fn long_kinds() -> [(&'static str, Vec<u8>); 9] {
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let mut of = |letters: &[&str], count: usize| -> Vec<u8> {
        let pick = |_| letters[usize::try_from(random(letters.len() as u64)).unwrap()];
        (0..count).map(pick).collect::<String>().into_bytes()
    };
    let alphabet: Vec<String> = ('a'..='z').map(String::from).collect();
    let alphabet: Vec<&str> = alphabet.iter().map(String::as_str).collect();
    let marks: Vec<String> = ('\u{300}'..'\u{370}').map(String::from).collect();
    let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
    let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let words = ["the", "ing", "ation", "er", "un", "s", "Ed"];
    [
        ("a", of(&["a"], 300_000)),
        ("spaces", of(&[" "], 300_000)),
        ("letters", of(&alphabet, 300_000)),
        ("one CJK letter", of(&["\u{4e2d}"], 100_000)),
        (
            "CJK letters",
            of(&["\u{4e2d}", "\u{6587}", "\u{7684}"], 100_000),
        ),
        ("digits", of(&digits, 300_000)),
        ("marks", of(&marks, 150_000)),
        ("ab", of(&["ab"], 150_000)),
        ("words", of(&words, 100_000)),
    ]
}
