//! The encodings that come with shardmill: one row each.

use tiktoken_rs::CoreBPE;

use crate::encoding::TokenId;
use crate::{Error, Result};

/// What defines a built-in encoding, as in tiktoken's `openai_public.py`.
#[derive(Debug)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    pub(super) n_vocab: u32,
    pub(super) end_of_text: TokenId,
    pub(super) pattern: &'static str,
    special: &'static [(&'static str, TokenId)],
    /// Ids of which each has the special token `<|reserved_ID|>`.
    reserved: std::ops::Range<TokenId>,
    vocabulary: fn() -> Vocabulary,
}

/// The way in which tiktoken-rs hands out a vocabulary.
type Vocabulary = std::result::Result<CoreBPE, Box<dyn std::error::Error + Send + Sync>>;

const ENDOFTEXT: &str = "<|endoftext|>";
const ENDOFPROMPT: &str = "<|endofprompt|>";
const FIM: [&str; 3] = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"];

const fn r50k(name: &'static str) -> Builtin {
    Builtin {
        name,
        n_vocab: 50_257,
        end_of_text: 50_256,
        pattern: "r50k",
        special: &[(ENDOFTEXT, 50_256)],
        reserved: 0..0,
        vocabulary: || Ok(tiktoken_rs::r50k_base()?),
    }
}

const ENCODINGS: [Builtin; 7] = [
    r50k("gpt2"),
    r50k("r50k_base"),
    Builtin {
        name: "p50k_base",
        n_vocab: 50_281,
        vocabulary: || Ok(tiktoken_rs::p50k_base()?),
        ..r50k("p50k_base")
    },
    Builtin {
        name: "p50k_edit",
        n_vocab: 50_284,
        special: &[
            (ENDOFTEXT, 50_256),
            (FIM[0], 50_281),
            (FIM[1], 50_282),
            (FIM[2], 50_283),
        ],
        vocabulary: || Ok(tiktoken_rs::p50k_edit()?),
        ..r50k("p50k_edit")
    },
    Builtin {
        name: "cl100k_base",
        n_vocab: 100_277,
        end_of_text: 100_257,
        pattern: "cl100k",
        special: &[
            (ENDOFTEXT, 100_257),
            (FIM[0], 100_258),
            (FIM[1], 100_259),
            (FIM[2], 100_260),
            (ENDOFPROMPT, 100_276),
        ],
        reserved: 0..0,
        vocabulary: || Ok(tiktoken_rs::cl100k_base()?),
    },
    Builtin {
        name: "o200k_base",
        n_vocab: 200_019,
        end_of_text: 199_999,
        pattern: "o200k",
        special: &[(ENDOFTEXT, 199_999), (ENDOFPROMPT, 200_018)],
        reserved: 0..0,
        vocabulary: || Ok(tiktoken_rs::o200k_base()?),
    },
    Builtin {
        name: "o200k_harmony",
        n_vocab: 201_088,
        end_of_text: 199_999,
        pattern: "o200k",
        // tiktoken gives 200018 two names, tiktoken-rs only the reserved one.
        special: &[
            ("<|startoftext|>", 199_998),
            (ENDOFTEXT, 199_999),
            ("<|reserved_200000|>", 200_000),
            ("<|reserved_200001|>", 200_001),
            ("<|return|>", 200_002),
            ("<|constrain|>", 200_003),
            ("<|reserved_200004|>", 200_004),
            ("<|channel|>", 200_005),
            ("<|start|>", 200_006),
            ("<|end|>", 200_007),
            ("<|message|>", 200_008),
            ("<|reserved_200009|>", 200_009),
            ("<|reserved_200010|>", 200_010),
            ("<|reserved_200011|>", 200_011),
            ("<|call|>", 200_012),
            (ENDOFPROMPT, 200_018),
        ],
        reserved: 200_013..201_088,
        vocabulary: || Ok(tiktoken_rs::o200k_harmony()?),
    },
];

static BUILTIN: [Builtin; 7] = ENCODINGS;

/// The names of the built-in encodings, in the order in which help and messages list them.
pub static BUILTIN_NAMES: [&str; 7] = {
    let mut names = [""; 7];
    let mut i = 0;
    while i < names.len() {
        names[i] = BUILTIN[i].name;
        i += 1;
    }
    names
};

pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    BUILTIN.iter().find(|builtin| builtin.name == name)
}

impl Builtin {
    pub(super) fn load(&self) -> Result<CoreBPE> {
        (self.vocabulary)().map_err(|source| Error::Config {
            field: "--encoding",
            what: format!("cannot load {}: {source}", self.name),
        })
    }

    /// Names and ids; where an id has two names, the one to decode it to comes first.
    pub(super) fn special_tokens(&self) -> Vec<(String, TokenId)> {
        let named = self.special.iter().map(|&(name, id)| (name.to_owned(), id));
        let reserved = self
            .reserved
            .clone()
            .map(|id| (format!("<|reserved_{id}|>"), id));
        named.chain(reserved).collect()
    }
}
