//! Text -> ids, with an encoder of the tokenizer.

use crate::error::{Error, Result};
use crate::token::TokenId;

use super::encoders::{self, Encoder};
use super::{Rules, Special, SpecialFound, Tokenizer};

impl Tokenizer {
    /// Returns the ids of `text`, with special tokens treated as ordinary text: tiktoken's
    /// `encode_ordinary`, and `encode_special_tokens` of HF tokenizers, with which added tokens that
    /// are not special are still found.
    pub fn encode_ordinary(&self, text: &str) -> Vec<TokenId> {
        let mut ids = Vec::new();
        let mut encoder = self.encoder();
        // `Special::Text` never fails.
        let _ = self.encode_into(&mut encoder, text, Special::Text, &mut ids);
        self.put_back(encoder);
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
    /// [`Error::Shape`] names the first end that does not increase or is inside a character, or a
    /// last end that is not the end of the text.
    ///
    /// ```
    /// let gpt2 = shardmill::Tokenizer::by_name("gpt2")?;
    /// let ids = gpt2.encode_pretokens("low-rank", &[4, 8])?;
    /// assert_eq!(gpt2.decode_bytes(&ids[..2])?, b"low-");
    /// # Ok::<(), shardmill::Error>(())
    /// ```
    pub fn encode_pretokens(&self, text: &str, ends: &[usize]) -> Result<Vec<TokenId>> {
        let mut start = 0;
        for &end in ends {
            if end <= start || !text.is_char_boundary(end) {
                return Err(Error::shape(format!(
                    "a pretoken from byte {start} cannot end at byte {end} of a text of {}",
                    text.len()
                )));
            }
            start = end;
        }
        if start != text.len() {
            return Err(Error::shape(format!(
                "pretokens end at byte {start} of a text of {}",
                text.len()
            )));
        }
        let mut ids = Vec::new();
        let mut encoder = self.encoder();
        encoder.bpe.add_split(text, ends, &mut ids);
        encoder.finish(&mut ids);
        self.put_back(encoder);
        Ok(ids)
    }

    /// Returns the ids of `text`, with special tokens treated as `special` says.
    ///
    /// # Errors
    /// [`Error::Config`] if `special` is [`Special::Error`] and `text` has a special token.
    pub fn encode(&self, text: &str, special: Special) -> Result<Vec<TokenId>> {
        let mut ids = Vec::new();
        let mut encoder = self.encoder();
        let done = self.encode_into(&mut encoder, text, special, &mut ids);
        self.put_back(encoder);
        done.map_err(|found| {
            let place = format_args!("byte {}: ", found.offset);
            Error::config("text", found.problem().at(place))
        })?;
        Ok(ids)
    }

    /// An encoder for one thread. All encoders of this tokenizer share a cache.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough memory for its caches.
    pub(crate) fn try_encoder(&self) -> Result<Encoder> {
        self.encoders.take(&self.inner.vocabulary)
    }

    /// [`Self::try_encoder`], for functions that cannot fail: like a vector that cannot grow, they
    /// end the program if memory runs out.
    pub(crate) fn encoder(&self) -> Encoder {
        self.try_encoder()
            .unwrap_or_else(|_| encoders::out_of_memory())
    }

    /// Keeps an encoder for the next caller.
    pub(crate) fn put_back(&self, encoder: Encoder) {
        self.encoders.put_back(encoder);
    }

    /// Appends the ids of `text`, a whole document, to `ids`; `encoder` belongs to this tokenizer.
    pub(crate) fn encode_into(
        &self,
        encoder: &mut Encoder,
        text: &str,
        special: Special,
        ids: &mut Vec<TokenId>,
    ) -> std::result::Result<(), SpecialFound> {
        let added = self.add(encoder, text, special, true, ids);
        encoder.finish(ids);
        added
    }

    /// Adds the ids of `text`; they are all in `ids` after [`Encoder::finish`]. `encoder` belongs to
    /// this tokenizer. `begins` says whether a document begins with this text, or continues with
    /// it.
    pub(crate) fn add(
        &self,
        encoder: &mut Encoder,
        text: &str,
        special: Special,
        begins: bool,
        ids: &mut Vec<TokenId>,
    ) -> std::result::Result<(), SpecialFound> {
        let (pattern, tokens) = match &self.inner.rules {
            Rules::Builtin(pattern, tokens) => (*pattern, tokens),
            Rules::File(file) => return file.add(encoder, text, special, begins, ids),
        };
        let mut from = 0;
        if special != Special::Text {
            while let Some((at, name, id)) = tokens.find(text, from) {
                if special == Special::Error {
                    return Err(SpecialFound {
                        offset: at,
                        name: name.to_owned(),
                    });
                }
                pattern.add(&mut encoder.bpe, &text[from..at], ids);
                encoder.bpe.add_id(id, ids);
                from = at + name.len();
            }
        }
        pattern.add(&mut encoder.bpe, &text[from..], ids);
        Ok(())
    }
}
