use fancy_regex::Regex;
use proptest::prelude::*;
use shardmill_core::simd::Level;

use super::samples::{REFUSED, SUPPORTED};
use super::*;

/// Characters that patterns tell apart, or that engines could see differently.
const ALPHABET: &str = " \u{a0}\u{3000}\u{2028}\n\r\t\u{85}'\u{17f}sStTdmlrevKaBz\u{e9}\u{c9}\
    \u{df}\u{fb01}\u{1c5}\u{2b0}\u{ba}中国一あア가ㄱ１12½²Ⅷ\u{663}.,!?/-_$€+<>|^`~\u{301}\u{fe0f}\
    \u{200d}\0😀\u{1f3fd}\u{e000}\u{fffd}।،۔…“。";

fn dfa(pattern: &str) -> Dfa {
    Dfa::of_pattern(pattern, Syntax::Fancy).unwrap()
}

fn refusal(pattern: &str, syntax: Syntax) -> String {
    Dfa::of_pattern(pattern, syntax).unwrap_err().to_string()
}

/// The matches; the ends of pieces must be the same by both ways to find them.
fn matches(dfa: &Dfa, text: &str) -> Vec<(usize, usize)> {
    let mut matches = Vec::new();
    let mut ends = Vec::new();
    let mut start = 0;
    dfa.pieces(text.as_bytes(), |end, is_match| {
        if is_match {
            matches.push((start, end));
        }
        ends.push(end);
        start = end;
    });
    for level in Level::available() {
        let mut fast_ends = Vec::new();
        dfa.ends_at(level, text.as_bytes(), 0, &mut fast_ends);
        assert_eq!(fast_ends, ends, "{text:?} {level}");
    }
    matches
}

fn matches_of(regex: &Regex, text: &str) -> Vec<(usize, usize)> {
    let matches = regex.find_iter(text).map(|found| found.unwrap());
    matches.map(|found| (found.start(), found.end())).collect()
}

/// One character of each class, ASCII if there is one.
pub(crate) fn representatives(dfa: &Dfa) -> Vec<char> {
    let mut found = vec![None; dfa.width - 1];
    let chars = ('!'..='~').chain('\0'..=char::MAX);
    chars.for_each(|char| {
        found[dfa.classes.of_char(char)].get_or_insert(char);
    });
    found.into_iter().flatten().collect()
}

/// Calls `check` with every string of up to `len` of the characters.
pub(crate) fn all_strings(chars: &[char], len: usize, check: &mut dyn FnMut(&str)) {
    fn extend(text: &mut String, chars: &[char], len: usize, check: &mut dyn FnMut(&str)) {
        check(text);
        if len > 0 {
            for &char in chars {
                text.push(char);
                extend(text, chars, len - 1, check);
                text.pop();
            }
        }
    }
    extend(&mut String::new(), chars, len, check);
}

/// The longest length, up to 5, of which there are not more than `limit` strings.
pub(crate) fn len_within(limit: usize, chars: &[char]) -> usize {
    let is_within = |len: &u32| {
        chars
            .len()
            .checked_pow(*len)
            .is_some_and(|all| all <= limit)
    };
    (1..=5).rev().find(is_within).unwrap_or(1) as usize
}

fn check_short_strings(limit: usize) {
    for (name, pattern) in SUPPORTED {
        let (dfa, regex) = (dfa(pattern), Regex::new(pattern).unwrap());
        let chars = representatives(&dfa);
        all_strings(&chars, len_within(limit, &chars), &mut |text| {
            assert_eq!(
                matches(&dfa, text),
                matches_of(&regex, text),
                "{name} {text:?}"
            );
        });
    }
}

#[test]
fn short_strings_match_as_in_fancy_regex() {
    check_short_strings(2000);
}

#[test]
#[ignore = "takes minutes"]
fn longer_strings_match_as_in_fancy_regex() {
    check_short_strings(5_000_000);
}

#[test]
#[ignore = "takes minutes"]
fn every_character_matches_as_in_fancy_regex() {
    let around = [
        ("", ""),
        ("a", "b"),
        (" ", " x"),
        ("'", ""),
        ("\n", "\n"),
        ("1", "2"),
        ("!", "?"),
    ];
    for (name, pattern) in SUPPORTED {
        let (dfa, regex) = (dfa(pattern), Regex::new(pattern).unwrap());
        let chars: Vec<char> = ('\0'..=char::MAX).collect();
        for chars in chars.chunks(100) {
            let mut text = String::new();
            for char in chars {
                for (before, after) in around {
                    text.extend([before, char.encode_utf8(&mut [0; 4]), after, " ;x; "]);
                }
            }
            assert_eq!(
                matches(&dfa, &text),
                matches_of(&regex, &text),
                "{name} {chars:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn awkward_strings_match_as_in_fancy_regex(
        text in prop::collection::vec(prop::sample::select(ALPHABET.chars().collect::<Vec<_>>()), 0..40)
    ) {
        thread_local! {
            static ALL: Vec<(Dfa, Regex)> = SUPPORTED
                .iter()
                .map(|(_, pattern)| (dfa(pattern), Regex::new(pattern).unwrap()))
                .collect();
        }
        let text: String = text.into_iter().collect();
        ALL.with(|all| {
            for (dfa, regex) in all {
                assert_eq!(matches(dfa, &text), matches_of(regex, &text), "{regex} {text:?}");
            }
        });
    }
}

/// What random patterns are made of; much of what that makes is refused.
const PARTS: &[&str] = &[
    "a",
    "b",
    "1",
    "'",
    "s",
    "S",
    " ",
    r"\s",
    r"\S",
    r"\d",
    r"\p{L}",
    r"\P{N}",
    "[ab]",
    "[^a]",
    "[a-c]",
    r"[^\s\p{L}]",
    "[a[b1]]",
    r"[\p{L}&&[^a]]",
    "[-a]",
    r"[.\-^]",
    ".",
    r"\n",
    r"\x41",
    r"\u0061",
    r"\x{62}",
    "(",
    "(?:",
    "(?i:",
    ")",
    "|",
    "?",
    "*",
    "+",
    "??",
    "*?",
    "+?",
    "?+",
    "*+",
    "++",
    "{2}",
    "{1,2}",
    "{1,}",
    "{1,2}+",
    "{1,2}?",
    "$",
    r"(?!\S)",
    "(?=a)",
    "(?!b|$)",
    r"(?=\s|$)",
    r"\z",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_patterns_match_as_in_fancy_regex(
        parts in prop::collection::vec(prop::sample::select(PARTS), 1..9),
        texts in prop::collection::vec("[ab1's SK\nſ]{0,8}", 20),
        long in "(a{0,9}[ab1's SK\nſ]{0,4}){0,40}",
    ) {
        let mut pattern = String::new();
        let mut open = 0_usize;
        for part in parts {
            if part == ")" && open == 0 {
                continue;
            }
            open += usize::from(part.starts_with('(') && !part.ends_with(')'));
            open -= usize::from(part == ")");
            pattern.push_str(part);
        }
        pattern.push_str(&")".repeat(open));
        if let Ok(dfa) = Dfa::of_pattern(&pattern, Syntax::Fancy) {
            let regex = Regex::new(&pattern).unwrap();
            for text in texts.into_iter().chain([long]) {
                let ours = matches(&dfa, &text);
                assert_eq!(ours, matches_of(&regex, &text), "{pattern:?} {text:?}");
            }
        }
    }
}

proptest! {
    /// Words of all lengths, so that each of their letters is at each place of a block, and what may follow
    /// each other in other ways than words.
    #[test]
    fn long_texts_match_as_one_character_after_the_other(
        index in 0..SUPPORTED.len(),
        parts in prop::collection::vec(
            prop_oneof![
                4 => "[a-z]{1,14}",
                1 => "[A-Za-z]{1,6}",
                1 => "['’]?(s|S|t|ll|LL|lll|ve|re|d|ſ|l|v)",
                2 => " {1,3}",
                1 => "[\\n\\t0-9.,/_-]{1,3}",
                1 => "[éÉſßа-яА-Я一-丐あ-おア가\u{301}\u{3000}😀]{1,4}",
            ],
            0..90,
        ),
    ) {
        let (name, pattern) = SUPPORTED[index];
        let dfa = dfa(pattern);
        let text = parts.concat();
        let mut found = 0;
        for (start, end) in matches(&dfa, &text) {
            prop_assert!(found <= start && start < end, "{name} {text:?}");
            found = end;
        }
    }
}

/// In a run, a match may end before each letter, but not before what follows the run.
#[test]
fn matches_may_end_within_runs() {
    let words = (0..200).map(|n| format!("{}1 b'{n}c ", "a".repeat(n % 9)));
    let text = words.collect::<Vec<_>>().concat();
    for pattern in [
        r"[a-z]+(?=[a-z])|.",
        r"[a-z]+(?=[a-z]|$)|[^ ]",
        r"[a-z]+(?=\d)|.",
        r"(?:'?[a-z])+(?=[a-z])|.",
    ] {
        let regex = Regex::new(pattern).unwrap();
        let dfa = dfa(pattern);
        let ours = matches(&dfa, &text);
        assert_eq!(ours, matches_of(&regex, &text), "{pattern}");
    }
}

#[test]
fn every_real_pattern_is_supported_in_both_dialects() {
    for (name, pattern) in SUPPORTED {
        for syntax in [Syntax::Onig, Syntax::Fancy] {
            let dfa = Dfa::of_pattern(pattern, syntax);
            assert!(dfa.is_ok_and(|dfa| dfa.states() < 600), "{name} {syntax:?}");
        }
    }
}

#[test]
fn long_lookahead_is_refused() {
    let expected = [
        r"\b at byte 20 is not supported",
        "lookahead of more than one character at byte 0 is not supported",
    ];
    for ((name, pattern), expected) in REFUSED.iter().zip(expected) {
        assert_eq!(refusal(pattern, Syntax::Onig), expected, "{name}");
    }
}

#[test]
fn what_engines_may_see_differently_is_refused() {
    let both = [
        ("^a", "^ at byte 0"),
        (r"a\b", r"\b at byte 1"),
        (r"\R", r"\R at byte 0"),
        (r"a\h", r"\h at byte 1"),
        (r"(a)\1", r"\1 at byte 3"),
        (r"\pL", r"\p without braces at byte 0"),
        (r"\p{Emoji}", "property Emoji at byte 0"),
        (r"\p{x-\-y}", "property xy at byte 0"),
        (r"\xe9", r"\x with these digits at byte 0"),
        ("(?<=a)b", "lookbehind at byte 0"),
        ("(?>a)", "an atomic group at byte 0"),
        ("(?i)a", "this kind of group at byte 0"),
        ("(?<name>a)", "this kind of group at byte 0"),
        ("(?#a)b", "this kind of group at byte 0"),
        ("a(?=b+c)", "lookahead of more than one character at byte 1"),
        ("a(?!bc)", "lookahead of more than one character at byte 1"),
        (
            "(?:ab)++",
            "a possessive quantifier after more than one character at byte 6",
        ),
        ("a+*", "a quantifier after a quantifier at byte 2"),
        ("a{2}?", "? after a fixed count at byte 1"),
        ("a{,2}", "{ with these counts at byte 1"),
        ("(a?)*b", "repetition of what can be empty at byte 0"),
        ("[[:alpha:]]", "[: in a class at byte 1"),
        ("[0--9]", "a hyphen here at byte 2"),
        ("[a-c-e]", "a hyphen here at byte 4"),
        ("[]a]", "] at the start of a class at byte 1"),
        ("[a&&]", "&& here at byte 2"),
        ("[b-a]", "a range that ends before it begins at byte 2"),
        ("[ab", "[ without ] at byte 0"),
        ("(ab", "( without ) at byte 0"),
        ("ab)", "an unmatched ) at byte 2"),
        ("(?i:é)", "(?i:...) of letters outside ASCII at byte 4"),
        ("(?i:[^a])", "a negated class in (?i:...) at byte 4"),
        ("a{", "{ with these counts at byte 1"),
        ("a\\", "a backslash at the end at byte 1"),
    ];
    for (pattern, expected) in both {
        for syntax in [Syntax::Onig, Syntax::Fancy] {
            let expected = format!("{expected} is not supported");
            assert_eq!(refusal(pattern, syntax), expected, "{pattern}");
        }
    }
    assert_eq!(
        refusal(r"\w", Syntax::Onig),
        r"\w at byte 0 is not supported"
    );
    for pair in ["ss", "St", "f{2}", "(?:f)i", "ſt"] {
        assert!(
            Dfa::of_pattern(&format!("(?i:{pair})"), Syntax::Onig).is_err(),
            "{pair}"
        );
    }
}

#[test]
fn empty_matches_are_refused() {
    for pattern in ["", "a*", "a|", "(?!a)", "$", r"b|\s*(?!\S)"] {
        assert_eq!(
            refusal(pattern, Syntax::Onig),
            "it can match the empty text",
            "{pattern}"
        );
    }
}

#[test]
fn dialects_differ() {
    let both = |pattern, text| {
        [Syntax::Onig, Syntax::Fancy].map(|syntax| {
            let dfa = Dfa::of_pattern(pattern, syntax).unwrap();
            matches(&dfa, text)
        })
    };
    // The end of a line, or of the text.
    assert_eq!(both("a$", "a\na"), [vec![(0, 1), (2, 3)], vec![(2, 3)]]);
    // Any number of times, or possessive.
    assert_eq!(both("a{1,2}+a", "aaaa"), [vec![(0, 4)], vec![(0, 3)]]);
    assert_eq!(
        both("a++|b", "aab"),
        [vec![(0, 2), (2, 3)], vec![(0, 2), (2, 3)]]
    );
}

#[test]
fn hostile_patterns_are_refused() {
    let set = |index: u32| char::from_u32(0x4e00 + 3 * index).unwrap().to_string();
    let patterns = [
        "(a{1000}){1000}".to_owned(),
        "[ab]*a[ab]{20}x".to_owned(),
        "(?:(?:a|b)*a(?:a|b){11}|c)x".to_owned(),
        "a{10000}a{10000}a{10000}".to_owned(),
        "a|".repeat(32_000),
        "(".repeat(60_000),
        "[".repeat(60_000),
        "a".repeat(70_000),
        (0..3000).map(set).collect::<Vec<_>>().join("|"),
    ];
    for pattern in patterns {
        assert!(Dfa::of_pattern(&pattern, Syntax::Onig).is_err());
    }
}

#[test]
fn searches_that_fail_late_take_linear_time() {
    let long = 1 << 18;
    let spaces = " ".repeat(long) + "x";
    assert_eq!(matches(&dfa(r"\s+$"), &spaces), []);
    assert_eq!(matches(&dfa("(?:aa)+b"), &"a".repeat(long)), []);
    assert_eq!(matches(&dfa("a|a+b"), &"a".repeat(long)).len(), long);
    assert_eq!(matches(&dfa("x?[ab]+c|a"), &"ab".repeat(long)).len(), long);
}

#[test]
fn searches_that_fail_late_find_the_same() {
    let mut seed = 1_u32;
    for pattern in [r"\s+$", "(?:aa)+b", "a|a+b", "a{3}|(?:aaaa)+(?:bb|ac)"] {
        let (dfa, regex) = (dfa(pattern), Regex::new(pattern).unwrap());
        let mut text = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text += &["a", " "][seed as usize >> 8 & 1].repeat(600 + (seed >> 20) as usize % 50);
            text += ["b", "c", "bb", "ac"][seed as usize >> 12 & 3];
            assert_eq!(matches(&dfa, &text), matches_of(&regex, &text), "{pattern}");
        }
    }
}

#[test]
fn numbers_are_those_of_the_standard_library() {
    let numbers = set::numeric().unwrap();
    let numbers = numbers.iter().flat_map(|range| range.start()..=range.end());
    if char::UNICODE_VERSION.0 == 17 {
        let expected = ('\0'..=char::MAX).filter(|char| char.is_numeric());
        assert!(numbers.eq(expected));
    }
}

#[test]
fn punctuation_is_that_of_unicode_8() {
    let dfa = Dfa::of_punctuation().unwrap();
    let is_in = |char: char| !matches(&dfa, &char.to_string()).is_empty();
    assert!("$+<=>^`|~_-¡§«।、。\u{166d}\u{111c9}".chars().all(is_in));
    assert!(!"aé1 ¢€\u{2e43}\u{9fd}\u{11660}\u{61d}".chars().any(is_in));
    let count = ('\0'..=char::MAX).filter(|&char| is_in(char)).count();
    assert_eq!(count, 726);
}

#[test]
fn what_is_known_to_be_in_matches_is() {
    let mut known = 0;
    for (_, pattern) in SUPPORTED {
        let dfa = dfa(pattern);
        if dfa.cuts.covers_all() {
            known += 1;
            all_strings(&representatives(&dfa), 3, &mut |text| {
                dfa.pieces(text.as_bytes(), |_, is_match| {
                    assert!(is_match, "{pattern} {text:?}");
                });
            });
        }
    }
    assert!(known > 10, "{known}");
    // A possessive repetition matches only at its end.
    for pattern in [r"\s+|\S++", r"\p{L}++|\P{L}+", r"\s++$|\s|\S"] {
        assert!(dfa(pattern).cuts.covers_all(), "{pattern}");
    }
    for pattern in [r"\s++", r"\s++$|\S", r"\S++|\s(?=a)", "(?:ab)+|[^a]"] {
        assert!(!dfa(pattern).cuts.covers_all(), "{pattern}");
    }
}
