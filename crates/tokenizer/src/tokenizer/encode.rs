//! Text -> ids, with an encoder of the tokenizer.

use shardmill_core::token::TokenId;

use crate::error::{Error, Result};

use super::{Special, Tokenizer};

impl Tokenizer {
    /// Returns the ids of `text`, with special tokens treated as ordinary text: tiktoken's
    /// `encode_ordinary`, and `encode_special_tokens` of HF tokenizers, with which added tokens that
    /// are not special are still found.
    pub fn encode_ordinary(&self, text: &str) -> Vec<TokenId> {
        let mut ids = Vec::new();
        let mut encoder = self.encoder_or_abort();
        // `Special::Text` never fails.
        let _ = encoder.add(text, Special::Text, true, &mut ids);
        encoder.finish(&mut ids);
        ids
    }

    /// Returns the ids of a text that is already split: each piece is encoded alone, as a pretoken.
    /// With [`Self::pretoken_ends`] of a built-in tokenizer, these are the ids of
    /// [`Self::encode_ordinary`]; with another split, those of the same vocabulary under another
    /// pattern.
    ///
    /// For a tokenizer's file, `text` is taken as [`Self::pretoken_ends`] takes it.
    ///
    /// `ends` holds the end of each piece, in bytes: strictly increasing, the last at the end of
    /// `text`.
    ///
    /// # Errors
    /// [`Error::Argument`] names the first end that does not increase or is inside a character, or a
    /// last end that is not the end of the text.
    ///
    /// ```
    /// let gpt2 = shardmill_tokenizer::Tokenizer::by_name("gpt2")?;
    /// let ids = gpt2.encode_pretokens("low-rank", &[4, 8])?;
    /// assert_eq!(gpt2.decode_bytes(&ids[..2])?, b"low-");
    /// # Ok::<(), shardmill_tokenizer::Error>(())
    /// ```
    pub fn encode_pretokens(&self, text: &str, ends: &[usize]) -> Result<Vec<TokenId>> {
        let mut start = 0;
        for &end in ends {
            if end <= start || !text.is_char_boundary(end) {
                return Err(Error::Argument {
                    what: format!(
                        "a pretoken from byte {start} cannot end at byte {end} of a text of {}",
                        text.len()
                    ),
                });
            }
            start = end;
        }
        if start != text.len() {
            return Err(Error::Argument {
                what: format!("pretokens end at byte {start} of a text of {}", text.len()),
            });
        }
        let mut ids = Vec::new();
        let mut encoder = self.encoder_or_abort();
        encoder.add_split(text, ends, &mut ids);
        encoder.finish(&mut ids);
        Ok(ids)
    }

    /// Returns the ids of `text`, with special tokens treated as `special` says.
    ///
    /// # Errors
    /// [`Error::Special`] if `special` is [`Special::Error`] and `text` has a special token.
    pub fn encode(&self, text: &str, special: Special) -> Result<Vec<TokenId>> {
        let mut ids = Vec::new();
        let mut encoder = self.encoder_or_abort();
        encoder.add(text, special, true, &mut ids)?;
        encoder.finish(&mut ids);
        Ok(ids)
    }
}
