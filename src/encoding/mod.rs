//! An encoding: a name that stands for a vocabulary, a split pattern and special tokens.
//!
//! Turns text into ids exactly as tiktoken does and ids back into bytes. Knows nothing of files,
//! documents or threads.

mod builtin;
mod special;
mod vocab;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use tiktoken_rs::CoreBPE;

use crate::hash::{Hash128, Hasher128};
use crate::{Error, Result};

pub use builtin::BUILTIN_NAMES;
pub use special::Special;

/// The id of a token, as in tiktoken.
pub type TokenId = u32;

/// A named vocabulary with its split pattern and special tokens; cheap to clone.
///
/// ```
/// use shardmill::Encoding;
///
/// let gpt2 = Encoding::by_name("gpt2")?;
/// let ids = gpt2.encode_ordinary("Every effort moves you")?;
/// assert_eq!(ids, [6109, 3626, 6100, 345]);
/// assert_eq!(gpt2.decode_bytes(&ids)?, b"Every effort moves you");
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone)]
pub struct Encoding {
    builtin: &'static builtin::Builtin,
    bpe: Arc<CoreBPE>,
    special: Arc<special::SpecialTokens>,
    /// Read back on first use: encoding does without.
    vocab: Arc<OnceLock<vocab::Vocab>>,
}

impl std::fmt::Debug for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Encoding").field(&self.name()).finish()
    }
}

/// Text that the engine could not split: where the piece given to it begins.
#[derive(Clone, Debug)]
pub(crate) struct Unencodable {
    /// Byte offset in the text given.
    pub(crate) offset: usize,
    pub(crate) why: Refusal,
}

/// Why a text was not encoded.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// It contains this special token and [`Special::Error`] was asked for.
    SpecialToken(String),
    /// A run of characters overflows the stack of the regex engine.
    Engine,
}

impl Unencodable {
    /// What is wrong and what to do, for an error line.
    pub(crate) fn message(&self) -> String {
        match &self.why {
            Refusal::SpecialToken(name) => format!(
                "special token {name} in the text; use --special text or encode to accept it"
            ),
            Refusal::Engine => "the text from here has a run of one kind of character that is too \
                                long for the tokenizer; break it with a line end or a space"
                .to_owned(),
        }
    }
}

impl Encoding {
    /// The built-in encoding of that name; [`BUILTIN_NAMES`] lists them.
    ///
    /// # Errors
    /// [`Error::UnknownEncoding`] names the ones there are.
    pub fn by_name(name: &str) -> Result<Self> {
        let builtin = builtin::find(name).ok_or_else(|| Error::UnknownEncoding {
            name: name.to_owned(),
            known: BUILTIN_NAMES.join(", "),
        })?;
        let bpe = builtin.load()?;
        let special = special::SpecialTokens::new(builtin.special_tokens());
        Ok(Self {
            builtin,
            bpe: Arc::new(bpe),
            special: Arc::new(special),
            vocab: Arc::default(),
        })
    }

    /// The name it was asked for by.
    pub fn name(&self) -> &'static str {
        self.builtin.name
    }

    /// Largest id + 1, as tiktoken's `n_vocab`. Not every id below it need be in use.
    pub fn n_vocab(&self) -> u32 {
        self.builtin.n_vocab
    }

    /// The id of `<|endoftext|>`.
    pub fn end_of_text(&self) -> TokenId {
        self.builtin.end_of_text
    }

    /// The split pattern's family: `r50k`, `cl100k` or `o200k`.
    pub fn pattern(&self) -> &'static str {
        self.builtin.pattern
    }

    /// The special tokens with their ids, by id.
    pub fn special_tokens(&self) -> impl Iterator<Item = (&str, TokenId)> {
        self.special.iter()
    }

    fn vocab(&self) -> &vocab::Vocab {
        self.vocab
            .get_or_init(|| vocab::Vocab::new(&self.bpe, &self.special, self.n_vocab()))
    }

    /// The bytes of one token, or `None` where no token has that id.
    pub fn token_bytes(&self, id: TokenId) -> Option<&[u8]> {
        self.vocab().get(id)
    }

    /// Hash of the vocabulary: every id in use, in order, with the length of its bytes (both as
    /// little-endian `u32`) and the bytes; then the special tokens in the same way, by id.
    pub fn vocabulary_hash(&self) -> Hash128 {
        let tokens = (0..self.n_vocab()).filter_map(|id| Some((id, self.token_bytes(id)?)));
        let special = self.special.iter().map(|(name, id)| (id, name.as_bytes()));
        let mut hasher = Hasher128::new();
        for (id, bytes) in tokens.chain(special) {
            hasher.update(&id.to_le_bytes());
            hasher.update(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            hasher.update(bytes);
        }
        hasher.finish()
    }

    /// Ids of `text`, special tokens taken as ordinary text: tiktoken's `encode_ordinary`.
    ///
    /// # Errors
    /// [`Error::Config`] where a run of one kind of character is too long for the engine.
    pub fn encode_ordinary(&self, text: &str) -> Result<Vec<TokenId>> {
        self.encode(text, Special::Text)
    }

    /// Ids of `text`, with special tokens treated as `special` says.
    ///
    /// # Errors
    /// [`Error::Config`] where [`Special::Error`] finds a special token, or a run of one kind of
    /// character is too long for the engine.
    pub fn encode(&self, text: &str, special: Special) -> Result<Vec<TokenId>> {
        let mut ids = Vec::new();
        self.encode_into(text, special, &mut ids)
            .map_err(|refused| Error::Config {
                field: "text",
                what: format!("byte {}: {}", refused.offset, refused.message()),
            })?;
        Ok(ids)
    }

    /// Appends the ids of `text` to `ids`.
    pub(crate) fn encode_into(
        &self,
        text: &str,
        special: Special,
        ids: &mut Vec<TokenId>,
    ) -> std::result::Result<(), Unencodable> {
        let mut from = 0;
        if special != Special::Text {
            while let Some((at, name, id)) = self.special.find(text, from) {
                if special == Special::Error {
                    return Err(Unencodable {
                        offset: at,
                        why: Refusal::SpecialToken(name.to_owned()),
                    });
                }
                self.encode_segment(text, from, at, ids)?;
                ids.push(id);
                from = at + name.len();
            }
        }
        self.encode_segment(text, from, text.len(), ids)
    }

    fn encode_segment(
        &self,
        text: &str,
        start: usize,
        end: usize,
        ids: &mut Vec<TokenId>,
    ) -> std::result::Result<(), Unencodable> {
        // With nothing allowed this is `encode_ordinary`, but the regex engine's limits come back
        // as an error where that one panics.
        let none = HashSet::new();
        let (segment, _) = self
            .bpe
            .encode(&text[start..end], &none)
            .map_err(|_| Unencodable {
                offset: start,
                why: Refusal::Engine,
            })?;
        if ids.is_empty() {
            *ids = segment;
        } else {
            ids.extend_from_slice(&segment);
        }
        Ok(())
    }

    /// The bytes that `ids` stand for, special tokens by their names.
    ///
    /// # Errors
    /// [`Error::Shape`] names the first id that is no token of this encoding.
    pub fn decode_bytes(&self, ids: &[TokenId]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for (index, &id) in ids.iter().enumerate() {
            let token = self.token_bytes(id).ok_or_else(|| Error::Shape {
                what: format!("token {index} has id {id}, which is not in {}", self.name()),
            })?;
            bytes.extend_from_slice(token);
        }
        Ok(bytes)
    }
}
