//! What happens to a text before it is merged.

use shardmill_core::token::TokenId;

use crate::error::SpecialFound;

use super::Special;
use super::builtin::Pattern;
use super::encoders::Parts;
use super::file::File;
use super::special::SpecialTokens;

/// What happens to a text before it is merged.
pub(super) enum Rules {
    Builtin(Pattern, Box<SpecialTokens>),
    File(Box<File>),
}

impl Rules {
    /// [`Encoder::add`](super::Encoder::add), with the parts of an encoder of the tokenizer.
    pub(super) fn add(
        &self,
        parts: &mut Parts,
        text: &str,
        special: Special,
        begins: bool,
        ids: &mut Vec<TokenId>,
    ) -> std::result::Result<(), SpecialFound> {
        let (pattern, tokens) = match self {
            Self::Builtin(pattern, tokens) => (*pattern, tokens),
            Self::File(file) => return file.add(parts, text, special, begins, ids),
        };
        let mut from = 0;
        if special != Special::Text {
            while let Some((at, name, id)) = tokens.find(text, from) {
                if special == Special::Error {
                    return Err(SpecialFound {
                        offset: at,
                        token: name.to_owned(),
                    });
                }
                pattern.add(&mut parts.bpe, &text[from..at], ids);
                parts.bpe.add_id(id, ids);
                from = at + name.len();
            }
        }
        pattern.add(&mut parts.bpe, &text[from..], ids);
        Ok(())
    }
}
