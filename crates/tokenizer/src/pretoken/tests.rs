//! Checks the schemes against their patterns, run by the regex engine that tiktoken uses, and the
//! scanner against the schemes.

use std::sync::LazyLock;

use fancy_regex::Regex;
use proptest::prelude::*;
use rayon::prelude::*;
use shardmill_core::simd::Level;

use super::family::tests::chains;
use super::{Family, Scheme, Stage, ends, with_scheme};

/// One step of a chain.
enum Step {
    /// A regular expression: its matches are pieces, and what is between them.
    Regex(Regex),
    /// Each number is a piece.
    Digits,
}

impl Step {
    fn of(stage: &Stage) -> Self {
        match stage {
            Stage::Regex { pattern, .. } => Self::Regex(Regex::new(pattern).unwrap()),
            _ => Self::Digits,
        }
    }

    /// Appends the pieces of `text`.
    fn split<'t>(&self, text: &'t str, pieces: &mut Vec<&'t str>) {
        let mut end = 0;
        let mut cut = |start: usize, next: usize| {
            pieces.extend((start > end).then(|| &text[end..start]));
            pieces.push(&text[start..next]);
            end = next;
        };
        match self {
            Self::Regex(regex) => {
                for found in regex.find_iter(text) {
                    let found = found.unwrap();
                    cut(found.start(), found.end());
                }
            }
            Self::Digits => {
                for (at, char) in text.char_indices().filter(|(_, char)| char.is_numeric()) {
                    cut(at, at + char.len_utf8());
                }
            }
        }
        pieces.extend((text.len() > end).then(|| &text[end..]));
    }
}

/// Compares the pretokens of a scheme with the pieces of its chain.
struct Check {
    family: Family,
    steps: Vec<Step>,
    advance: fn(&[u8], usize) -> usize,
}

static CHECKS: LazyLock<Vec<Check>> = LazyLock::new(|| {
    let check = |(family, chain): (Family, Vec<Stage>)| Check {
        family,
        steps: chain.iter().map(Step::of).collect(),
        advance: with_scheme!(family, P => P::advance),
    };
    chains().into_iter().map(check).collect()
});

impl Check {
    fn run(&self, text: &str) {
        let mut pieces = vec![text];
        for step in &self.steps {
            let mut parts = Vec::with_capacity(pieces.len());
            for piece in pieces {
                step.split(piece, &mut parts);
            }
            pieces = parts;
        }
        let mut at = 0;
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            let end = (self.advance)(text.as_bytes(), at);
            let name = self.family.name();
            assert_eq!(text.get(at..end), Some(piece), "{name}: {text:?} at {at}");
            at = end;
        }
        assert_eq!(at, text.len(), "in {text:?}");
    }
}

/// One character of each kind that the first patterns treat specially.
const ALPHABET: [&str; 22] = [
    "a", "s", "l", "e", "A", "S", "\u{1c5}", "日", "\u{2b0}", "\u{301}", "1", " ", "\t", "\n",
    "\r", "\u{a0}", "\u{3000}", "'", "/", "!", "\u{17f}", "—",
];

/// Those that most of Kimi's branches need, with Han characters that are numbers, symbols, marks.
const HAN_ALPHABET: [&str; 21] = [
    "a",
    "s",
    "A",
    "日",
    "あ",
    "\u{301}",
    "1",
    " ",
    "\n",
    "\u{a0}",
    "'",
    "/",
    "!",
    "—",
    "〇",
    "\u{2e80}",
    "\u{16ff0}",
    "\u{16fe2}",
    "々",
    "\u{3099}",
    "\u{200d}",
];

/// Those of DeepSeek's patterns, with odd characters, and with punctuation and what is unassigned
/// among CJK.
const DEEPSEEK_ALPHABET: [&str; 21] = [
    "a", "Z", "é", "日", "ア", "・", "\u{3099}", "\u{3040}", "\u{301}", "1", " ", "\n", "\r",
    "\u{3000}", "/", "!", "—", "\u{1}", "\u{7f}", "\u{200d}", "〇",
];

/// With a number that the pattern calls unassigned.
const DIGITS_ALPHABET: [&str; 14] = [
    "a",
    "s",
    "日",
    "\u{301}",
    "1",
    "²",
    " ",
    "\n",
    "\u{a0}",
    "'",
    "!",
    "—",
    "\u{11de0}",
    "\u{16ff4}",
];

/// One character of each kind that the patterns of the family treat specially.
pub(super) fn alphabet(family: Family) -> &'static [&'static str] {
    match family {
        Family::DigitsR50k => &DIGITS_ALPHABET,
        Family::KimiK2 => &HAN_ALPHABET,
        Family::DeepSeek => &DEEPSEEK_ALPHABET,
        _ => &ALPHABET,
    }
}

/// Any of these.
pub(super) fn hard_character() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        2 => prop::sample::select(ALPHABET.to_vec()),
        1 => prop::sample::select(
            [&HAN_ALPHABET[..], &DEEPSEEK_ALPHABET, &DIGITS_ALPHABET].concat()
        ),
    ]
}

/// Calls `visit` with every string of up to `len` of `alphabet` that begins with `text`.
pub(super) fn strings(
    alphabet: &[&str],
    text: &mut String,
    len: usize,
    visit: &mut impl FnMut(&str),
) {
    visit(text);
    if len > 1 {
        for next in alphabet {
            let before = text.len();
            text.push_str(next);
            strings(alphabet, text, len - 1, visit);
            text.truncate(before);
        }
    }
}

fn every_string_splits_as_the_pattern_says(len: usize) {
    for check in CHECKS.iter() {
        check.run("");
        let alphabet = alphabet(check.family);
        alphabet.par_iter().for_each(|first| {
            let mut text = (*first).to_owned();
            strings(alphabet, &mut text, len, &mut |text| check.run(text));
        });
    }
}

#[test]
fn every_string_of_up_to_four_kinds_splits_as_the_pattern_says() {
    every_string_splits_as_the_pattern_says(4);
}

#[test]
#[ignore = "long"]
fn every_string_of_up_to_five_kinds_splits_as_the_pattern_says() {
    every_string_splits_as_the_pattern_says(5);
}

/// The families with classes or a structure of their own. The others differ by knobs.
const DISTINCT: [Family; 6] = [
    Family::R50k,
    Family::DigitsR50k,
    Family::Cl100k,
    Family::O200k,
    Family::KimiK2,
    Family::DeepSeek,
];

/// Families whose classes differ from all others are tested with every character below U+30000, above
/// which nearly all are unassigned; those of the built-in tokenizers with every code point.
fn is_tested_with(family: Family, code_point: u32) -> bool {
    let has_classes_of_its_own = matches!(family, Family::KimiK2 | Family::DeepSeek);
    code_point.is_multiple_of(64)
        || matches!(family, Family::R50k | Family::Cl100k | Family::O200k)
        || code_point < 0x3_0000 && has_classes_of_its_own
}

#[test]
fn every_character_splits_as_the_pattern_says_wherever_it_stands() {
    // One spelling of each family.
    let mut checks: Vec<&Check> = CHECKS.iter().collect();
    checks.dedup_by_key(|check| check.family);
    (0..0x11_0000_u32).into_par_iter().for_each(|code_point| {
        if let Some(c) = char::from_u32(code_point) {
            let text = format!("{c}a{c}A{c}1{c} {c}\n{c}'{c}s'{c}{c}!{c}日{c}  {c}{c}");
            for check in &checks {
                if is_tested_with(check.family, code_point) {
                    check.run(&text);
                }
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
        "a  1  b",
        "\n\n  1",
        "\u{200d}\u{200d}\u{1}",
        "\u{1}a",
        "\u{1}\u{1}a",
        ".café .a !\u{301}",
        "ア・イ !・!",
        "日\u{3040}本\u{3040}",
        "1〇2 〇1",
        "日本語ABCあA's",
        "日's !日",
    ] {
        for check in CHECKS.iter() {
            check.run(text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn strings_of_hard_characters_split_as_the_pattern_says(
        parts in prop::collection::vec(hard_character(), 0..60)
    ) {
        let text = parts.concat();
        for check in CHECKS.iter() {
            check.run(&text);
        }
    }

    #[test]
    fn any_text_splits_as_the_pattern_says(text in "\\PC{0,80}") {
        for check in CHECKS.iter() {
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
fn check_scanner_of(family: Family, text: &str) {
    for level in Level::available() {
        with_scheme!(family, P => assert_eq!(
            ends::<P>(level, text),
            advanced::<P>(text),
            "{}, {level}: {text:?}", family.name()
        ));
    }
}

fn check_scanner(text: &str) {
    for family in Family::ALL {
        check_scanner_of(family, text);
    }
}

#[test]
fn every_string_of_up_to_three_kinds_is_scanned_as_specified_across_a_word_edge() {
    for family in Family::ALL {
        check_scanner_of(family, "");
        let alphabet = alphabet(family);
        let lens = if DISTINCT.contains(&family) {
            56..=64
        } else {
            60..=63
        };
        alphabet.par_iter().for_each(|first| {
            let mut text = (*first).to_owned();
            strings(alphabet, &mut text, 3, &mut |text| {
                for before in ["x", " ", "\n", "!", "9", "日", "'s"] {
                    for len in lens.clone() {
                        let text = format!("{}{text}b", before.repeat(len / before.len()));
                        check_scanner_of(family, &text);
                    }
                }
            });
        });
    }
}

#[test]
fn every_character_is_scanned_as_specified_across_a_word_edge() {
    (0..0x11_0000_u32).into_par_iter().for_each(|code_point| {
        if let Some(c) = char::from_u32(code_point) {
            let pad = "word ".repeat(12);
            let text = format!("{pad}{c}{c}{c}a{c}A{c}1{c} {c}\n{c}'{c}s'{c}{c}!{c}");
            for family in Family::ALL {
                if is_tested_with(family, code_point) {
                    check_scanner_of(family, &text);
                }
            }
        }
    });
}

/// What most texts consist of.
const COMMON: [&str; 24] = [
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
    "می\u{200c}خواهم",
    "，",
    "カー・ド",
    "१२३",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn strings_of_hard_characters_are_scanned_as_specified(
        parts in prop::collection::vec(hard_character(), 0..300)
    ) {
        check_scanner(&parts.concat());
    }

    #[test]
    fn strings_of_common_and_hard_parts_are_scanned_as_specified(
        parts in prop::collection::vec(
            prop_oneof![
                6 => prop::sample::select(COMMON.to_vec()),
                1 => hard_character(),
            ],
            0..300,
        )
    ) {
        check_scanner(&parts.concat());
    }

    #[test]
    fn runs_are_scanned_as_specified(
        runs in prop::collection::vec((hard_character(), 1..150_usize), 0..8)
    ) {
        let text: String = runs.iter().map(|(part, count)| part.repeat(*count)).collect();
        check_scanner(&text);
    }
}

#[test]
fn every_length_is_scanned_as_specified_at_every_alignment() {
    let text = include_str!("../../../../fixtures/text/udhr.txt");
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
