//! The steps that split a text into pretokens.

use serde::{Deserialize, Serialize};

/// One step of splitting a text into pretokens. The first sees the text between two added tokens,
/// after normalization. Each later one sees each piece of the step before it as if it were the
/// whole text: `(?!\S)` and `$` see the end of the piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// What a regular expression matches, and what is between its matches.
    Regex {
        pattern: String,
        syntax: Syntax,
        behavior: Behavior,
        /// Whether what is between the matches counts as the matches, and the other way around.
        invert: bool,
    },
    /// Like [`Stage::Regex`], for one literal text; never empty.
    Literal {
        text: String,
        behavior: Behavior,
        invert: bool,
    },
    /// Characters for which [`char::is_numeric`] holds: each alone, or runs of them.
    Digits { individual: bool },
    /// Characters that are ASCII punctuation ([`char::is_ascii_punctuation`]) or of the categories
    /// P* of Unicode 8.
    Punctuation { behavior: Behavior },
    /// A space is added before each piece that does not begin with one: `add_prefix_space` of a
    /// `ByteLevel` pre-tokenizer.
    PrefixSpace,
}

/// Which engine defines what a pattern means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Syntax {
    /// Oniguruma with its Ruby syntax, as HF tokenizers 0.23 uses it.
    Onig,
    /// Rust's fancy-regex, as tiktoken uses it.
    Fancy,
}

/// What becomes of matches: `SplitDelimiterBehavior` of HF tokenizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Behavior {
    Isolated,
    Removed,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}
