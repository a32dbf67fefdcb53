//! Which scheme a chain of steps is, if it is one.
//!
//! A chain is recognized by the exact text of its patterns, in any of the spellings listed here,
//! each of which has been checked against the scheme. Two rules come before the comparison:
//!
//! - `\p{N}{1}` is `\p{N}`;
//! - where every character is in a match, it does not matter whether matches are isolated, or what
//!   is between them is removed.
//!
//! A pattern may mean something else to another engine: in Oniguruma's Ruby syntax, `{1,3}+`
//! repeats the group and is not possessive.

use super::stage::{Behavior, Stage, Syntax};

/// A scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    /// GPT-2, GPT-NeoX, OLMo.
    R50k,
    /// SmolLM, StarCoder, Command-R: every number is a pretoken.
    DigitsR50k,
    /// GPT-4.
    Cl100k,
    /// Llama-3, OLMo-2, GLM-4, Phi-4.
    Llama3,
    /// Qwen2, Qwen2.5, Qwen3, Ling.
    Qwen2,
    /// Qwen3.5.
    Qwen35,
    /// Seed-Coder.
    SeedCoder,
    /// UfakZeka.
    UfakZeka,
    /// MiniCPM5.
    MiniCpm5,
    /// GPT-4o, gpt-oss, Llama-4.
    O200k,
    /// Mistral's tekken, Nemotron-3.
    Tekken,
    /// Kimi K2.
    KimiK2,
    /// DeepSeek-V3 and R1.
    DeepSeek,
}

/// Evaluates an expression in which a name stands for the scheme of a [`Family`].
macro_rules! with_scheme {
    ($family:expr, $scheme:ident => $body:expr) => {
        with_scheme!(@ $family, $scheme => $body,
            R50k DigitsR50k Cl100k Llama3 Qwen2 Qwen35 SeedCoder UfakZeka MiniCpm5 O200k Tekken
            KimiK2 DeepSeek)
    };
    (@ $family:expr, $scheme:ident => $body:expr, $($name:ident)+) => {
        with_scheme!(@@ $family, $($name => {
            type $scheme = $crate::pretoken::$name;
            $body
        })+)
    };
    (@@ $family:expr, $($name:ident => $body:block)+) => {
        match $family {
            $($crate::pretoken::Family::$name => $body)+
        }
    };
}
pub(crate) use with_scheme;

impl Family {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 13] = [
        Self::R50k,
        Self::DigitsR50k,
        Self::Cl100k,
        Self::Llama3,
        Self::Qwen2,
        Self::Qwen35,
        Self::SeedCoder,
        Self::UfakZeka,
        Self::MiniCpm5,
        Self::O200k,
        Self::Tekken,
        Self::KimiK2,
        Self::DeepSeek,
    ];

    /// Its name in manifests and reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::R50k => "r50k",
            Self::DigitsR50k => "digits-r50k",
            Self::Cl100k => "cl100k",
            Self::Llama3 => "llama3",
            Self::Qwen2 => "qwen2",
            Self::Qwen35 => "qwen3.5",
            Self::SeedCoder => "seed-coder",
            Self::UfakZeka => "ufakzeka",
            Self::MiniCpm5 => "minicpm5",
            Self::O200k => "o200k",
            Self::Tekken => "tekken",
            Self::KimiK2 => "kimi-k2",
            Self::DeepSeek => "deepseek-v3",
        }
    }
}

/// A spelling of a pattern: its text, and the engine if only one reads it so.
type Spelling = (Family, &'static str, Option<Syntax>);

/// The patterns that match every character.
pub(super) const PATTERNS: [Spelling; 15] = [
    (
        Family::R50k,
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::R50k,
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::R50k,
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        None,
    ),
    (
        Family::Cl100k,
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        Some(Syntax::Fancy),
    ),
    (
        Family::Llama3,
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::Llama3,
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::Qwen2,
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::Qwen2,
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::Qwen35,
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::SeedCoder,
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::UfakZeka,
        r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::O200k,
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::Tekken,
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        None,
    ),
    (
        Family::KimiK2,
        r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        None,
    ),
    (Family::MiniCpm5, MINICPM5, None),
];

/// The second pattern of MiniCPM5. Alone it is no scheme.
const MINICPM5: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Up to three numbers: the first pattern of MiniCPM5 and DeepSeek.
const UP_TO_THREE: &str = r"\p{N}{1,3}";

/// The other patterns of DeepSeek.
const CJK: &str = "[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+";
const DEEPSEEK: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"##,
    "[^\r\n",
    r"\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+",
    "[\r\n]*|",
    r"\s*",
    "[\r\n]+|",
    r"\s+(?!\S)|\s+"
);

/// The family of a chain of steps, if it is one.
pub(crate) fn recognize(stages: &[Stage]) -> Option<Family> {
    match stages {
        [stage] => tiling(stage).filter(|family| *family != Family::MiniCpm5),
        [Stage::Digits { individual: true }, stage] => {
            (tiling(stage)? == Family::R50k).then_some(Family::DigitsR50k)
        }
        [first, second] => {
            let is_known = isolates(first, UP_TO_THREE) && tiling(second)? == Family::MiniCpm5;
            is_known.then_some(Family::MiniCpm5)
        }
        [first, second, third] => {
            let is_known =
                isolates(first, UP_TO_THREE) && isolates(second, CJK) && isolates(third, DEEPSEEK);
            is_known.then_some(Family::DeepSeek)
        }
        _ => None,
    }
}

/// The family of a pattern that matches every character, if the step makes each match a piece.
fn tiling(stage: &Stage) -> Option<Family> {
    let Stage::Regex {
        pattern,
        syntax,
        behavior,
        invert,
    } = stage
    else {
        return None;
    };
    let is_split = match behavior {
        Behavior::Isolated => true,
        Behavior::Removed => *invert,
        _ => false,
    };
    if !is_split {
        return None;
    }
    let pattern = pattern.replace(r"|\p{N}{1}|", r"|\p{N}|");
    PATTERNS
        .iter()
        .find(|(_, known, only)| *known == pattern && only.is_none_or(|only| only == *syntax))
        .map(|(family, ..)| *family)
}

/// Whether a step makes a piece of each match of `known`, and of what is between two matches.
fn isolates(stage: &Stage, known: &str) -> bool {
    matches!(
        stage,
        Stage::Regex {
            pattern,
            behavior: Behavior::Isolated,
            ..
        } if pattern == known
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn regex(pattern: &str) -> Stage {
        Stage::Regex {
            pattern: pattern.to_owned(),
            syntax: Syntax::Onig,
            behavior: Behavior::Isolated,
            invert: false,
        }
    }

    /// Every chain that is recognized, in each of its spellings.
    pub(in crate::pretoken) fn chains() -> Vec<(Family, Vec<Stage>)> {
        let mut chains: Vec<_> = PATTERNS
            .iter()
            .map(|(family, pattern, only)| {
                let mut chain = vec![regex(pattern)];
                if *family == Family::MiniCpm5 {
                    chain.insert(0, regex(UP_TO_THREE));
                }
                if let (Some(Stage::Regex { syntax, .. }), Some(only)) = (chain.first_mut(), only) {
                    *syntax = *only;
                }
                (*family, chain)
            })
            .collect();
        for (_, pattern, _) in PATTERNS.iter().filter(|row| row.0 == Family::R50k) {
            let chain = vec![Stage::Digits { individual: true }, regex(pattern)];
            chains.push((Family::DigitsR50k, chain));
        }
        let deepseek = [UP_TO_THREE, CJK, DEEPSEEK].map(regex);
        chains.push((Family::DeepSeek, deepseek.into()));
        chains
    }

    #[test]
    fn every_family_has_a_chain_and_a_name_of_its_own() {
        let chains = chains();
        for (family, chain) in &chains {
            assert_eq!(recognize(chain), Some(*family), "{}", family.name());
        }
        for family in Family::ALL {
            assert!(chains.iter().any(|(known, _)| *known == family));
            let same_name = |other: &&Family| other.name() == family.name();
            assert_eq!(Family::ALL.iter().filter(same_name).count(), 1);
        }
    }

    #[test]
    fn equal_spellings_are_recognized() {
        for (family, mut chain) in chains() {
            for (new, inverts) in [
                (Behavior::Isolated, [true, true]),
                (Behavior::Removed, [false, true]),
                (Behavior::Contiguous, [false, false]),
                (Behavior::MergedWithNext, [false, false]),
                (Behavior::MergedWithPrevious, [false, false]),
            ] {
                for (to, is_known) in [false, true].into_iter().zip(inverts) {
                    let Some(Stage::Regex {
                        behavior, invert, ..
                    }) = chain.last_mut()
                    else {
                        panic!("a pattern is last");
                    };
                    *behavior = new;
                    *invert = to;
                    let is_known =
                        is_known && (new == Behavior::Isolated || family != Family::DeepSeek);
                    assert_eq!(recognize(&chain), is_known.then_some(family), "{chain:?}");
                }
            }
        }
        let seed_coder = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
        assert_eq!(recognize(&[regex(seed_coder)]), Some(Family::SeedCoder));
    }

    #[test]
    fn anything_else_is_not_recognized() {
        let cl100k = PATTERNS[3].1;
        for chain in [
            vec![],
            // In Ruby's syntax, this has runs of numbers.
            vec![regex(cl100k)],
            vec![regex(MINICPM5)],
            vec![regex(MINICPM5), regex(UP_TO_THREE)],
            vec![regex(r"\p{N}"), regex(MINICPM5)],
            vec![regex(UP_TO_THREE), regex(PATTERNS[4].1)],
            vec![Stage::Digits { individual: false }, regex(PATTERNS[0].1)],
            vec![Stage::Digits { individual: true }, regex(PATTERNS[4].1)],
            vec![Stage::PrefixSpace, regex(PATTERNS[0].1)],
            vec![regex(CJK), regex(UP_TO_THREE), regex(DEEPSEEK)],
            vec![regex(UP_TO_THREE), regex(CJK)],
            vec![regex(UP_TO_THREE), regex("[一-龥]+"), regex(DEEPSEEK)],
            vec![regex(&format!("{} ", PATTERNS[4].1))],
            vec![regex(
                &PATTERNS[4].1.replace(r"\p{N}{1,3}|", r"\p{N}{1,2}|"),
            )],
        ] {
            assert_eq!(recognize(&chain), None, "{chain:?}");
        }
    }
}
