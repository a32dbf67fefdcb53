//! The encodings that come with shardmill: one row each.

use std::sync::{Arc, LazyLock};

use shardmill_core::hash::Hash128;
use shardmill_core::token::TokenId;

use crate::bpe::{CL100K, Encoder, O200K, P50K, R50K, Vocabulary};
use crate::pretoken::{Cl100k, O200k, R50k, next_cut};

/// The definition of a built-in encoding, as in tiktoken's `openai_public.py`.
#[derive(Debug)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    pub(super) n_vocab: u32,
    pub(super) end_of_text: TokenId,
    pub(super) pattern: Pattern,
    special: &'static [(&'static str, TokenId)],
    /// Ids that each have the special token `<|reserved_ID|>`.
    reserved: std::ops::Range<TokenId>,
    vocabulary: &'static LazyLock<Arc<Vocabulary>>,
    /// Computing it takes longer than encoding a small text; a test does.
    pub(super) vocabulary_hash: Hash128,
}

/// A family of split patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    R50k,
    Cl100k,
    O200k,
}

impl Pattern {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::R50k => "r50k",
            Self::Cl100k => "cl100k",
            Self::O200k => "o200k",
        }
    }

    /// The first place at or after `from` where `bytes` may be cut.
    pub(super) fn next_cut(self, bytes: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::R50k => next_cut::<R50k>(bytes, from),
            Self::Cl100k => next_cut::<Cl100k>(bytes, from),
            Self::O200k => next_cut::<O200k>(bytes, from),
        }
    }

    /// Adds the ids of `text`, which has no special tokens in it.
    pub(super) fn add(self, encoder: &mut Encoder, text: &str, ids: &mut Vec<TokenId>) {
        match self {
            Self::R50k => encoder.add::<R50k>(text, ids),
            Self::Cl100k => encoder.add::<Cl100k>(text, ids),
            Self::O200k => encoder.add::<O200k>(text, ids),
        }
    }
}

const ENDOFTEXT: &str = "<|endoftext|>";
const ENDOFPROMPT: &str = "<|endofprompt|>";
const FIM: [&str; 3] = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"];

const fn r50k(name: &'static str) -> Builtin {
    Builtin {
        name,
        n_vocab: 50_257,
        end_of_text: 50_256,
        pattern: Pattern::R50k,
        special: &[(ENDOFTEXT, 50_256)],
        reserved: 0..0,
        vocabulary: &R50K,
        vocabulary_hash: Hash128::from_bits(0xcdee_61ac_0338_0367_ab9b_7f87_afc9_c268),
    }
}

const ENCODINGS: [Builtin; 7] = [
    r50k("gpt2"),
    r50k("r50k_base"),
    Builtin {
        name: "p50k_base",
        n_vocab: 50_281,
        vocabulary: &P50K,
        vocabulary_hash: Hash128::from_bits(0x0dc7_c840_a4a6_175a_bb1d_687c_69de_b852),
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
        vocabulary: &P50K,
        vocabulary_hash: Hash128::from_bits(0x5872_c1b0_fe24_083a_ca14_ebdd_da77_6466),
        ..r50k("p50k_edit")
    },
    Builtin {
        name: "cl100k_base",
        n_vocab: 100_277,
        end_of_text: 100_257,
        pattern: Pattern::Cl100k,
        special: &[
            (ENDOFTEXT, 100_257),
            (FIM[0], 100_258),
            (FIM[1], 100_259),
            (FIM[2], 100_260),
            (ENDOFPROMPT, 100_276),
        ],
        reserved: 0..0,
        vocabulary: &CL100K,
        vocabulary_hash: Hash128::from_bits(0x492a_8435_9353_66c5_5ff0_8827_3ab9_25f9),
    },
    Builtin {
        name: "o200k_base",
        n_vocab: 200_019,
        end_of_text: 199_999,
        pattern: Pattern::O200k,
        special: &[(ENDOFTEXT, 199_999), (ENDOFPROMPT, 200_018)],
        reserved: 0..0,
        vocabulary: &O200K,
        vocabulary_hash: Hash128::from_bits(0x6ed7_4b95_1ecb_54ae_ae09_0b09_887e_9dff),
    },
    Builtin {
        name: "o200k_harmony",
        n_vocab: 201_088,
        end_of_text: 199_999,
        pattern: Pattern::O200k,
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
        vocabulary: &O200K,
        vocabulary_hash: Hash128::from_bits(0x5558_5aaa_f0e6_7c20_0f57_68bb_3876_af1e),
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
    pub(super) fn vocabulary(&self) -> &'static Arc<Vocabulary> {
        self.vocabulary
    }

    /// Names and ids; if an id has two names, the one to decode it to comes first.
    pub(super) fn special_tokens(&self) -> Vec<(String, TokenId)> {
        let named = self.special.iter().map(|&(name, id)| (name.to_owned(), id));
        let reserved = self.reserved.clone();
        let reserved = reserved.map(|id| (format!("<|reserved_{id}|>"), id));
        named.chain(reserved).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::Tokenizer;

    #[test]
    fn the_hashes_are_those_of_the_vocabularies() {
        for name in BUILTIN_NAMES {
            let tokenizer = Tokenizer::by_name(name).unwrap();
            let hash = tokenizer.hashed_vocabulary();
            assert_eq!(tokenizer.vocabulary_hash(), hash, "{name}");
        }
    }
}
