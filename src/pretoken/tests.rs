//! Checks the schemes against their patterns, run by the regex engine that tiktoken uses, and the
//! scanner against the schemes.

use fancy_regex::Regex;
use proptest::prelude::*;
use rayon::prelude::*;

use super::{Cl100k, O200k, R50k, Scheme, ends};
use crate::simd::Level;

const R50K: &str =
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s";
const CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";

/// Compares the pretokens of a scheme with the matches of its pattern.
struct Check {
    regex: Regex,
    advance: fn(&[u8], usize) -> usize,
}

fn checks() -> [Check; 3] {
    let check = |pattern, advance| Check {
        regex: Regex::new(pattern).unwrap(),
        advance,
    };
    [
        check(R50K, R50k::advance as fn(&[u8], usize) -> usize),
        check(CL100K, Cl100k::advance),
        check(tiktoken_rs::O200K_BASE_PAT_STR, O200k::advance),
    ]
}

impl Check {
    fn run(&self, text: &str) {
        let expected: Vec<&str> = self
            .regex
            .find_iter(text)
            .map(|found| found.unwrap().as_str())
            .collect();
        let mut at = 0;
        for expected in &expected {
            let end = (self.advance)(text.as_bytes(), at);
            assert_eq!(text.get(at..end), Some(*expected), "in {text:?} at {at}");
            at = end;
        }
        assert_eq!(at, text.len(), "in {text:?}");
    }
}

/// One character of each kind that some pattern treats specially.
pub(super) const ALPHABET: [&str; 22] = [
    "a", "s", "l", "e", "A", "S", "\u{1c5}", "日", "\u{2b0}", "\u{301}", "1", " ", "\t", "\n",
    "\r", "\u{a0}", "\u{3000}", "'", "/", "!", "\u{17f}", "—",
];

/// Every string of up to four of these that begins with `first`.
pub(super) fn strings(first: &str) -> Vec<String> {
    let mut strings = vec![first.to_owned()];
    let mut shorter = 0;
    for _ in 1..4 {
        let longest = strings[shorter..].iter();
        let longer: Vec<_> = longest
            .flat_map(|text| ALPHABET.map(|next| format!("{text}{next}")))
            .collect();
        shorter = strings.len();
        strings.extend(longer);
    }
    strings
}

#[test]
fn every_string_of_up_to_four_kinds_splits_as_the_pattern_says() {
    let checks = checks();
    for check in &checks {
        check.run("");
    }
    ALPHABET.par_iter().for_each(|first| {
        for text in strings(first) {
            for check in &checks {
                check.run(&text);
            }
        }
    });
}

#[test]
fn every_character_splits_as_the_pattern_says_wherever_it_stands() {
    let checks = checks();
    (0..0x11_0000_u32).into_par_iter().for_each(|code_point| {
        if let Some(c) = char::from_u32(code_point) {
            let text = format!("{c}a{c}A{c}1{c} {c}\n{c}'{c}s'{c}{c}!{c}");
            for check in &checks {
                check.run(&text);
            }
        }
    });
}

#[test]
fn known_hard_cases_split_as_the_pattern_says() {
    for text in [
        "\n\n  ",
        "\n\n  x",
        "'\u{17f}t",
        "it's's",
        "don'tcha",
        "'lL",
        "x'lLy",
        ".\n/.b",
        ".\n/\n",
        "日本語ABC.",
        "日本語Abc",
        "Aあb",
        "aあB",
        " ❤\u{fe0f}",
        "a❤\u{fe0f}b",
        "\u{301}AB.",
        "—hello",
        "——hello",
        "S\n\u{2028}          \n",
        "\u{1c}\u{1f}a",
        "a \r\n\r\n  b",
        "  \r\n",
        "!\r\n \n",
        "ABCdef's",
        "1234567",
        "①②③④",
        "\u{0}\u{0}",
        "ÀÉ",
        "Ünïcödé'S x",
    ] {
        for check in &checks() {
            check.run(text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn strings_of_hard_characters_split_as_the_pattern_says(
        parts in prop::collection::vec(prop::sample::select(ALPHABET.to_vec()), 0..60)
    ) {
        let text = parts.concat();
        for check in &checks() {
            check.run(&text);
        }
    }

    #[test]
    fn any_text_splits_as_the_pattern_says(text in "\\PC{0,80}") {
        for check in &checks() {
            check.run(&text);
        }
    }
}

/// The ends of the pretokens, by the specification.
pub(super) fn advanced<P: Scheme>(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while at < text.len() {
        at = P::advance(text.as_bytes(), at);
        ends.push(at);
    }
    ends
}

/// Compares the scanner with the specification, at each level.
fn check_scanner(text: &str) {
    for level in Level::available() {
        assert_eq!(
            ends::<R50k>(level, text),
            advanced::<R50k>(text),
            "r50k, {level}: {text:?}"
        );
        assert_eq!(
            ends::<Cl100k>(level, text),
            advanced::<Cl100k>(text),
            "cl100k, {level}: {text:?}"
        );
        assert_eq!(
            ends::<O200k>(level, text),
            advanced::<O200k>(text),
            "o200k, {level}: {text:?}"
        );
    }
}

#[test]
fn every_string_of_up_to_three_kinds_is_scanned_as_specified_across_a_word_edge() {
    check_scanner("");
    ALPHABET.par_iter().for_each(|first| {
        for second in ALPHABET {
            for third in ALPHABET {
                for before in ["x", " ", "\n", "!", "9", "日", "'s"] {
                    for len in 54..=64 {
                        let mut text = before.repeat(len / before.len());
                        text.extend([first, second, third, "b"]);
                        check_scanner(&text);
                    }
                }
            }
        }
    });
}

#[test]
fn every_character_is_scanned_as_specified_across_a_word_edge() {
    (0..0x11_0000_u32).into_par_iter().for_each(|code_point| {
        if let Some(c) = char::from_u32(code_point) {
            let pad = "word ".repeat(12);
            check_scanner(&format!(
                "{pad}{c}{c}{c}a{c}A{c}1{c} {c}\n{c}'{c}s'{c}{c}!{c}"
            ));
        }
    });
}

/// What most texts consist of.
const COMMON: [&str; 20] = [
    "the",
    " of",
    " ",
    "  ",
    "\n",
    "\n    ",
    "\r\n",
    "123",
    " 4",
    "It's",
    "'ll",
    "(",
    ")",
    ".",
    ", ",
    "CamelCase",
    "//",
    "日本語",
    "Ünï",
    "привет",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn strings_of_hard_characters_are_scanned_as_specified(
        parts in prop::collection::vec(prop::sample::select(ALPHABET.to_vec()), 0..300)
    ) {
        check_scanner(&parts.concat());
    }

    #[test]
    fn strings_of_common_and_hard_parts_are_scanned_as_specified(
        parts in prop::collection::vec(
            prop_oneof![
                6 => prop::sample::select(COMMON.to_vec()),
                1 => prop::sample::select(ALPHABET.to_vec()),
            ],
            0..300,
        )
    ) {
        check_scanner(&parts.concat());
    }

    #[test]
    fn runs_are_scanned_as_specified(
        runs in prop::collection::vec((prop::sample::select(ALPHABET.to_vec()), 1..150_usize), 0..8)
    ) {
        let text: String = runs.iter().map(|(part, count)| part.repeat(*count)).collect();
        check_scanner(&text);
    }
}

#[test]
fn every_length_is_scanned_as_specified_at_every_alignment() {
    let text = include_str!("../../fixtures/text/udhr.txt");
    let samples: Vec<&str> = (text.char_indices().step_by(text.len() / 64))
        .map(|(at, _)| &text[at..])
        .collect();
    (0..64_usize).into_par_iter().for_each(|alignment| {
        let sample: String = samples[alignment % samples.len()]
            .chars()
            .take(200)
            .collect();
        let shifted = format!("{}{sample}", "x".repeat(alignment));
        let sample = &shifted[alignment..];
        let ends = sample.char_indices().map(|(at, _)| at);
        for end in ends.take_while(|&end| end <= 200) {
            check_scanner(&sample[..end]);
        }
        for end in 0..=200 {
            let ascii = format!("{}It's 1234 (or  so)\n\t", &shifted[..alignment]).repeat(12);
            check_scanner(&ascii[alignment..][..end]);
        }
    });
}
