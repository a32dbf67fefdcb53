//! Tokens that may end a document.

use shardmill_core::token::TokenId;

use crate::definition::{Definition, Use};

/// The texts that models are trained with at the end of a document.
const TEXTS: [&str; 5] = [
    "<|endoftext|>",
    "<|end_of_text|>",
    "<eos>",
    "</s>",
    "<｜end▁of▁sentence｜>",
];

/// Those of the known end-of-document texts that are tokens, with their ids. There is no other
/// guess: which of several it is, and whether it is another, must come from outside.
pub(crate) fn end_of_text_candidates(definition: &Definition) -> Vec<(String, TokenId)> {
    let find = |text: &str| {
        let added = definition.added.iter().find(|token| token.content == text);
        added.map(|token| token.id).or_else(|| {
            // A control piece, or a special token that is in the vocabulary alone.
            let tokens = &definition.model.tokens;
            let mut decoded = tokens.iter().filter(|(.., usage)| *usage == Use::Decoded);
            decoded
                .find(|(_, bytes, _)| *bytes == text.as_bytes())
                .map(|(id, ..)| id)
        })
    };
    TEXTS
        .iter()
        .filter_map(|&text| Some((text.to_owned(), find(text)?)))
        .collect()
}
