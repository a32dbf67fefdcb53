//! Rank files, beside tiktoken.

use std::fs;

use proptest::prelude::*;
use shardmill::Tokenizer;
use shardmill::tokenizer::FileOptions;
use tiktoken_rs::CoreBPE;

const PATTERN: &str =
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s";

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(word);
        for i in 0..4 {
            let index = bits >> (18 - 6 * i) & 63;
            let char = char::from(BASE64[index as usize]);
            text.push(if i <= chunk.len() { char } else { '=' });
        }
    }
    text
}

/// Ids of `text` by tiktoken and by us, with the 256 bytes and then `tokens` as ranks.
fn both(tokens: &[String], text: &str) -> [Vec<u32>; 2] {
    let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
    let tokens = tokens.iter().map(|token| token.clone().into_bytes());
    let ranks: Vec<(Vec<u8>, u32)> = bytes.chain(tokens).zip(0..).collect();
    let lines = ranks
        .iter()
        .map(|(token, rank)| format!("{} {rank}\n", base64(token)));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("random.tiktoken");
    fs::write(&path, lines.collect::<String>()).unwrap();
    let mut options = FileOptions::default();
    options.pattern = Some(PATTERN.to_owned());
    let ours = Tokenizer::open(path.to_str().unwrap(), &options).unwrap();
    let oracle = CoreBPE::new(
        ranks.into_iter().collect(),
        std::iter::empty().collect(),
        PATTERN,
    );
    [
        oracle.unwrap().encode_ordinary(text),
        ours.encode_ordinary(text),
    ]
}

/// Two parts may have the bytes of a token only after a merge of a higher rank.
#[test]
fn a_token_may_be_reached_through_one_of_a_higher_rank() {
    let [tiktoken, ours] = both(&["abc".to_owned(), "ab".to_owned()], "abcq");
    assert_eq!(tiktoken, [256, u32::from(b'q')]);
    assert_eq!(ours, tiktoken);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_ranks_have_the_ids_of_tiktoken(
        tokens in prop::collection::hash_set("[abc]{2,5}", 0..40),
        text in "[abc ]{0,60}",
    ) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let [tiktoken, ours] = both(&tokens, &text);
        prop_assert_eq!(ours, tiktoken);
    }
}

/// tiktoken drops text that its pattern does not match; a typed pattern that does so is refused.
#[test]
fn a_pattern_that_loses_text_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bytes.tiktoken");
    let lines = (0..=u8::MAX).map(|byte| format!("{} {byte}\n", base64(&[byte])));
    fs::write(&path, lines.collect::<String>()).unwrap();
    let open = |pattern: &str| {
        let mut options = FileOptions::default();
        options.pattern = Some(pattern.to_owned());
        Tokenizer::open(path.to_str().unwrap(), &options).map_err(|error| error.to_string())
    };
    for pattern in ["[a-z]+", r"\S+", r"\p{L}+|\s+"] {
        let refused = open(pattern).unwrap_err();
        assert!(refused.contains("would be lost"), "{pattern}: {refused}");
    }
    assert!(
        open("cl100k_base")
            .unwrap_err()
            .contains("is the name of none")
    );
    assert_eq!(
        open(r"\S+|\s+").unwrap().encode_ordinary("a b"),
        [97, 32, 98]
    );
}
