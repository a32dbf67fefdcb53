use proptest::prelude::*;

use super::*;
use crate::pretoken::pattern::samples::pattern;
use crate::pretoken::pattern::tests::{all_strings, len_within, representatives};
use crate::pretoken::stage::Syntax;

const BEHAVIORS: [Behavior; 5] = [
    Behavior::Isolated,
    Behavior::Removed,
    Behavior::MergedWithPrevious,
    Behavior::MergedWithNext,
    Behavior::Contiguous,
];

fn regex(pattern: &str, behavior: Behavior, invert: bool) -> Stage {
    Stage::Regex {
        pattern: pattern.to_owned(),
        syntax: Syntax::Onig,
        behavior,
        invert,
    }
}

/// The pattern of a model, isolated.
fn model(name: &str) -> Stage {
    regex(pattern(name), Behavior::Isolated, false)
}

fn literal(text: &str, behavior: Behavior) -> Stage {
    Stage::Literal {
        text: text.to_owned(),
        behavior,
        invert: false,
    }
}

fn chain(stages: &[Stage]) -> Chain {
    Chain::new(stages).unwrap()
}

fn pieces(chain: &Chain, text: &str) -> Vec<String> {
    let mut scratch = Scratch::default();
    let Pieces { text, ends } = chain.split(text, &mut scratch);
    let mut start = 0;
    let pieces = ends.iter().map(|&end| {
        assert!(end > start);
        let piece = text[start..end].to_owned();
        start = end;
        piece
    });
    let pieces = pieces.collect();
    assert_eq!(start, text.len());
    pieces
}

/// Chains of real models, and others with each kind of stage.
fn chains() -> Vec<Vec<Stage>> {
    let digits = |individual| Stage::Digits { individual };
    let contiguous = Behavior::Contiguous;
    vec![
        vec![model("qwen2")],
        vec![regex(pattern("llama3"), Behavior::Removed, true)],
        vec![model("cl100k")],
        vec![model("gpt2")],
        vec![model("o200k")],
        vec![model("tekken")],
        vec![model("kimi")],
        vec![digits(true), model("gpt2")],
        vec![Stage::PrefixSpace, model("gpt2")],
        vec![
            regex(r"\p{N}{1,3}", Behavior::Isolated, false),
            model("cjk"),
            model("deepseek-v3"),
        ],
        vec![model("laguna"), model("qwen2")],
        vec![
            regex(pattern("laguna"), Behavior::MergedWithNext, false),
            model("qwen2"),
        ],
        vec![model("bloom")],
        vec![
            Stage::Punctuation {
                behavior: contiguous,
            },
            model("gpt2"),
            digits(false),
            model("falcon"),
        ],
        vec![model("exaone4")],
        vec![literal(" ", Behavior::MergedWithPrevious)],
        vec![literal("aa", Behavior::Removed), digits(false)],
        vec![model("jais2")],
    ]
}

/// A chain, with each behavior for its patterns.
fn variants(stages: &[Stage]) -> Vec<Vec<Stage>> {
    let mut variants = vec![stages.to_vec()];
    for behavior in BEHAVIORS {
        for invert in [false, true] {
            let vary = |stage: &Stage| match stage {
                Stage::Regex { pattern, .. } => regex(pattern, behavior, invert),
                _ => stage.clone(),
            };
            variants.push(stages.iter().map(vary).collect());
        }
    }
    variants
}

/// Characters that stages tell apart.
fn alphabet(stages: &[Stage]) -> Vec<char> {
    let mut chars: Vec<char> = " a1.\n'中".chars().collect();
    for stage in stages {
        if let Stage::Regex {
            pattern, syntax, ..
        } = stage
        {
            chars.extend(representatives(&Dfa::of_pattern(pattern, *syntax).unwrap()));
        }
    }
    chars.sort_unstable();
    chars.dedup();
    chars
}

/// Splits `text` wherever it may be cut; returns the number of cuts.
fn check_cuts(chain: &Chain, text: &str) -> usize {
    let whole = pieces(chain, text);
    let mut cuts = 0;
    let mut from = 0;
    while let Some(at) = chain.next_cut(text.as_bytes(), from) {
        let (left, right) = text.split_at(at);
        let mut parts = pieces(chain, left);
        parts.extend(pieces(chain, right));
        assert_eq!(parts, whole, "{text:?} cut at {at} by {chain:?}");
        cuts += 1;
        from = at + 1;
    }
    cuts
}

fn check_all_cuts(limit: usize) {
    for stages in chains() {
        let chars = alphabet(&stages);
        for (index, stages) in variants(&stages).iter().enumerate() {
            let chain = chain(stages);
            let limit = if index == 0 { limit } else { limit / 10 };
            let mut cuts = 0;
            all_strings(&chars, len_within(limit, &chars), &mut |text| {
                cuts += check_cuts(&chain, text);
            });
            assert!(index > 0 || cuts > 0, "{stages:?}");
        }
    }
}

#[test]
fn cuts_change_nothing() {
    check_all_cuts(2000);
}

#[test]
#[ignore = "takes minutes"]
fn cuts_change_nothing_in_longer_strings() {
    check_all_cuts(1_000_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn cuts_change_nothing_in_random_strings(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
    ) {
        thread_local! {
            static ALL: Vec<(Chain, Vec<char>)> = chains()
                .iter()
                .flat_map(|stages| variants(stages))
                .map(|stages| (chain(&stages), alphabet(&stages)))
                .collect();
        }
        ALL.with(|all| {
            for (chain, chars) in all {
                let text: String = picks.iter().map(|pick| *pick.get(chars)).collect();
                check_cuts(chain, &text);
            }
        });
    }
}

#[test]
fn cuts_are_frequent() {
    let english =
        "It's the 3rd of May, 1999; \"hello\", she said (again).\n\nWhat's next? ".repeat(20);
    let chinese = "今天天气很好，我们去公园散步。他说：“好的！”2024年有366天。\n".repeat(20);
    let code =
        "fn main() {\n    let x = vec![1, 22, 333];\n    println!(\"{x:?}\");\n}\n".repeat(20);
    for name in [
        "qwen2", "llama3", "cl100k", "gpt2", "o200k", "tekken", "kimi",
    ] {
        let chain = chain(&[model(name)]);
        for (text, bytes) in [(&english, 7), (&chinese, 18), (&code, 12)] {
            let cuts = check_cuts(&chain, text);
            assert!(cuts * bytes > text.len(), "{name} {cuts} {text:.20}");
        }
    }
}

#[test]
fn most_chains_may_be_cut_before_a_space() {
    let allows = |stages: &[Stage]| chain(stages).allows_rule_a();
    for name in [
        "qwen2", "llama3", "cl100k", "gpt2", "o200k", "tekken", "kimi", "jais2",
    ] {
        assert!(allows(&[model(name)]), "{name}");
        assert!(allows(&[Stage::PrefixSpace, model(name)]), "{name}");
    }
    assert!(allows(&[model("deepseek-v3")]));
    assert!(!allows(&[model("exaone4")]));
    assert!(!allows(&[model("bloom")]));
    assert!(!allows(&[literal(" ", Behavior::MergedWithPrevious)]));
    assert!(!allows(&[]));
}

#[test]
fn cuts_are_between_whole_characters() {
    let chain = chain(&[model("gpt2")]);
    let next = |bytes: &[u8], from| chain.next_cut(bytes, from);
    assert_eq!(next(b"ab cd", 0), Some(2));
    assert_eq!(next(b"ab cd", 2), Some(2));
    assert_eq!(next(b"ab cd", 3), None);
    assert_eq!(next(b"ab\xff cd \xe4\xb8", 0), Some(6));
    assert_eq!(next(b"ab\xff cd \xe4\xb8", 7), None);
    assert_eq!(next(b"\xb8\xad a", 0), None);
    assert_eq!(next(b"\xe4\xb8\xad a", 0), Some(3));
    assert_eq!(next(b"\xa1\xe4\xb8\xad a", 0), Some(4));
    assert_eq!(next(b"", 0), None);
    assert_eq!(next(b"a", 7), None);
}

/// What HF tokenizers 0.23.3 makes of `axyb`, `xaay` and `xx` with the pattern `[xy]`.
const GOLDEN: [(Behavior, bool, [&[&str]; 3]); 10] = [
    (
        Behavior::Isolated,
        false,
        [&["a", "x", "y", "b"], &["x", "aa", "y"], &["x", "x"]],
    ),
    (
        Behavior::Isolated,
        true,
        [&["a", "x", "y", "b"], &["x", "aa", "y"], &["x", "x"]],
    ),
    (Behavior::Removed, false, [&["a", "b"], &["aa"], &[]]),
    (
        Behavior::Removed,
        true,
        [&["x", "y"], &["x", "y"], &["x", "x"]],
    ),
    (
        Behavior::MergedWithPrevious,
        false,
        [&["ax", "y", "b"], &["x", "aay"], &["x", "x"]],
    ),
    (
        Behavior::MergedWithPrevious,
        true,
        [&["a", "x", "yb"], &["xaa", "y"], &["x", "x"]],
    ),
    (
        Behavior::MergedWithNext,
        false,
        [&["a", "x", "yb"], &["xaa", "y"], &["x", "x"]],
    ),
    (
        Behavior::MergedWithNext,
        true,
        [&["ax", "y", "b"], &["x", "aay"], &["x", "x"]],
    ),
    (
        Behavior::Contiguous,
        false,
        [&["a", "xy", "b"], &["x", "aa", "y"], &["xx"]],
    ),
    (
        Behavior::Contiguous,
        true,
        [&["a", "xy", "b"], &["x", "aa", "y"], &["xx"]],
    ),
];

#[test]
fn behaviors_are_those_of_hf_tokenizers() {
    for (behavior, invert, expected) in GOLDEN {
        let chain = chain(&[regex("[xy]", behavior, invert)]);
        for (text, expected) in ["axyb", "xaay", "xx"].iter().zip(expected) {
            assert_eq!(
                pieces(&chain, text),
                expected,
                "{behavior:?} {invert} {text}"
            );
        }
    }
}

#[test]
fn each_stage_sees_pieces_as_texts() {
    let deepseek = chain(&[
        regex(r"\p{N}{1,3}", Behavior::Isolated, false),
        model("deepseek-v3"),
    ]);
    assert_eq!(pieces(&deepseek, "a  1  b"), ["a", "  ", "1", " ", " b"]);
    let qwen = chain(&[model("qwen2")]);
    assert_eq!(pieces(&qwen, "a  1  b"), ["a", " ", " ", "1", " ", " b"]);
    // Other white space does not count as one.
    let prefixed = chain(&[regex(r"\n", Behavior::Isolated, false), Stage::PrefixSpace]);
    assert_eq!(pieces(&prefixed, "a\n b"), [" a", " \n", " b"]);
    let removed = chain(&[
        literal("~~", Behavior::Removed),
        Stage::Digits { individual: true },
        Stage::PrefixSpace,
    ]);
    assert_eq!(pieces(&removed, "~~a12~~"), [" a", " 1", " 2"]);
    assert!(pieces(&removed, "~~~~").is_empty());
}

#[test]
fn without_stages_a_text_is_one_piece() {
    let none = chain(&[]);
    assert_eq!(pieces(&none, "a b"), ["a b"]);
    assert!(pieces(&none, "").is_empty());
    assert!(pieces(&chain(&[Stage::PrefixSpace]), "").is_empty());
}

#[test]
fn memory_is_reused() {
    let chain = chain(&[Stage::PrefixSpace, model("gpt2")]);
    let mut scratch = Scratch::default();
    for (text, expected) in [("ab cd", " ab cd"), (" e", " e"), ("", ""), ("f", " f")] {
        assert_eq!(chain.split(text, &mut scratch).text, expected);
    }
}

#[test]
fn errors_name_the_stage() {
    let stages = [model("gpt2"), regex(r"a\b", Behavior::Isolated, false)];
    let error = Chain::new(&stages).unwrap_err();
    let expected = r"the pattern of stage 1 is not supported: \b at byte 1 is not supported";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.stage, 1);
}
