//! A tokenizer: a vocabulary, a split pattern and a set of special tokens, with a name.
//!
//! Turns text into ids exactly as tiktoken does, and ids back into bytes. Knows nothing of files,
//! documents or threads.
//!
//! ```text
//! mod      text -> ids, ids -> bytes, and the encoders that are kept for reuse
//! builtin  the names, vocabularies, split patterns and special tokens of all encodings
//! special  where special tokens are in a text, and what their text means
//! ```

mod builtin;
mod special;

use std::alloc::{Layout, handle_alloc_error};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::bpe::{Encoder, Memory};
use crate::error::{Error, Problem, Result};
use crate::hash::{Hash128, Hasher128};
use crate::pretoken::{Cl100k, O200k, R50k, ends};
use crate::simd::Level;
use crate::token::TokenId;

use builtin::Pattern;

pub use builtin::BUILTIN_NAMES;
pub use special::Special;

/// A vocabulary with its split pattern and special tokens; cheap to clone.
///
/// ```
/// use shardmill::Tokenizer;
///
/// let gpt2 = Tokenizer::by_name("gpt2")?;
/// let ids = gpt2.encode_ordinary("Every effort moves you");
/// assert_eq!(ids, [6109, 3626, 6100, 345]);
/// assert_eq!(gpt2.decode_bytes(&ids)?, b"Every effort moves you");
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone)]
pub struct Tokenizer {
    builtin: &'static builtin::Builtin,
    special: Arc<special::SpecialTokens>,
    /// Encoders that are not in use.
    spare: Arc<Mutex<Vec<Encoder>>>,
    /// The cache that all encoders share.
    memory: Arc<OnceLock<Arc<Memory>>>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tokenizer").field(&self.name()).finish()
    }
}

/// A special token found in a text that must not have one.
#[derive(Clone, Debug)]
pub(crate) struct SpecialFound {
    /// Its byte offset in the given text.
    pub(crate) offset: usize,
    name: String,
}

impl SpecialFound {
    /// What is wrong and what to do, for an error message.
    pub(crate) fn problem(&self) -> Problem {
        let what = format!("special token {} in the text", self.name);
        (what, "use `special` text or encode to accept it").into()
    }
}

impl Tokenizer {
    /// The built-in encoding `name`; [`BUILTIN_NAMES`] lists the names.
    ///
    /// # Errors
    /// [`Error::UnknownTokenizer`] lists the known names.
    pub fn by_name(name: &str) -> Result<Self> {
        let builtin = builtin::find(name).ok_or_else(|| Error::UnknownTokenizer {
            name: name.to_owned(),
            known: BUILTIN_NAMES.join(", "),
        })?;
        let special = special::SpecialTokens::new(builtin.special_tokens());
        Ok(Self {
            builtin,
            special: Arc::new(special),
            spare: Arc::default(),
            memory: Arc::default(),
        })
    }

    /// The name that it was requested by.
    pub fn name(&self) -> &'static str {
        self.builtin.name
    }

    /// The largest id + 1, like tiktoken's `n_vocab`. Not every id below it is necessarily in use.
    pub fn n_vocab(&self) -> u32 {
        self.builtin.n_vocab
    }

    /// The id of `<|endoftext|>`.
    pub fn end_of_text(&self) -> TokenId {
        self.builtin.end_of_text
    }

    /// The split pattern's family: `r50k`, `cl100k` or `o200k`.
    pub fn pattern(&self) -> &'static str {
        self.builtin.pattern.name()
    }

    /// The special tokens with their ids, in order of id.
    pub fn special_tokens(&self) -> impl Iterator<Item = (&str, TokenId)> {
        self.special.iter()
    }

    /// The bytes of one token, or `None` if no token has that id.
    pub fn token_bytes(&self, id: TokenId) -> Option<&[u8]> {
        let bytes = match self.special.name_of(id) {
            Some(name) => name.as_bytes(),
            None => self.builtin.vocabulary().view().token(id),
        };
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }

    /// The hash of the vocabulary: every id in use, in order, with the length of its bytes (both as
    /// little-endian `u32`) and the bytes; then the special tokens in the same way, in order of id.
    pub fn vocabulary_hash(&self) -> Hash128 {
        // A program that encodes one small text spends much of its time here. Hashing one token at
        // a time would take even longer.
        const PIECE_BYTES: usize = 16 << 10;
        let tokens = (0..self.n_vocab()).filter_map(|id| Some((id, self.token_bytes(id)?)));
        let special = self.special.iter().map(|(name, id)| (id, name.as_bytes()));
        let mut hasher = Hasher128::new();
        let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
        for (id, bytes) in tokens.chain(special) {
            piece.extend_from_slice(&id.to_le_bytes());
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            piece.extend_from_slice(&len.to_le_bytes());
            piece.extend_from_slice(bytes);
            if piece.len() >= PIECE_BYTES {
                hasher.update(&piece);
                piece.clear();
            }
        }
        hasher.update(&piece);
        hasher.finish()
    }

    /// The end of each pretoken of `text`, in bytes. Pretokens are the pieces that the split
    /// pattern cuts a text into before any bytes are merged. Every [`Level`] returns the same ends.
    ///
    /// ```
    /// use shardmill::{Tokenizer, Level};
    ///
    /// let gpt2 = Tokenizer::by_name("gpt2")?;
    /// assert_eq!(gpt2.pretoken_ends("It's 1 effort", Level::detect()), [2, 4, 6, 13]);
    /// # Ok::<(), shardmill::Error>(())
    /// ```
    pub fn pretoken_ends(&self, text: &str, level: Level) -> Vec<usize> {
        match self.builtin.pattern {
            Pattern::R50k => ends::<R50k>(level, text),
            Pattern::Cl100k => ends::<Cl100k>(level, text),
            Pattern::O200k => ends::<O200k>(level, text),
        }
    }

    /// Returns the ids of `text`, with special tokens treated as ordinary text: tiktoken's
    /// `encode_ordinary`.
    pub fn encode_ordinary(&self, text: &str) -> Vec<TokenId> {
        let mut ids = Vec::new();
        let mut encoder = self.encoder();
        self.encode_segment(&mut encoder, text, &mut ids);
        self.put_back(encoder);
        ids
    }

    /// Returns the ids of a text that is already split: each piece is encoded alone, as a pretoken.
    /// With [`Self::pretoken_ends`], these are the ids of [`Self::encode_ordinary`]; with another
    /// split, those of the same vocabulary under another pattern.
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
        encoder.encode_split(text, ends, &mut ids);
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

    /// An encoder for one thread. All encoders of this encoding share a cache.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough memory for its caches.
    pub(crate) fn try_encoder(&self) -> Result<Encoder> {
        let spare = self
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(encoder) = spare {
            return Ok(encoder);
        }
        let memory = if let Some(memory) = self.memory.get() {
            memory
        } else {
            // If threads race here, all use the first one's cache.
            let memory = Arc::new(Memory::new()?);
            self.memory.get_or_init(|| memory)
        };
        Ok(Encoder::new(self.builtin.vocabulary(), memory))
    }

    /// [`Self::try_encoder`], for functions that cannot fail: like a vector that cannot grow, they
    /// end the program if memory runs out.
    pub(crate) fn encoder(&self) -> Encoder {
        self.try_encoder()
            .unwrap_or_else(|_| handle_alloc_error(Layout::new::<Encoder>()))
    }

    /// Keeps an encoder for the next caller. An idle encoder that still holds a cache that the
    /// others have replaced is dropped.
    pub(crate) fn put_back(&self, encoder: Encoder) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.retain(|encoder| !encoder.is_behind());
        spare.push(encoder);
    }

    /// Appends the ids of `text` to `ids`; `encoder` belongs to this encoding.
    pub(crate) fn encode_into(
        &self,
        encoder: &mut Encoder,
        text: &str,
        special: Special,
        ids: &mut Vec<TokenId>,
    ) -> std::result::Result<(), SpecialFound> {
        let mut from = 0;
        if special != Special::Text {
            while let Some((at, name, id)) = self.special.find(text, from) {
                if special == Special::Error {
                    return Err(SpecialFound {
                        offset: at,
                        name: name.to_owned(),
                    });
                }
                self.encode_segment(encoder, &text[from..at], ids);
                ids.push(id);
                from = at + name.len();
            }
        }
        self.encode_segment(encoder, &text[from..], ids);
        Ok(())
    }

    fn encode_segment(&self, encoder: &mut Encoder, text: &str, ids: &mut Vec<TokenId>) {
        match self.builtin.pattern {
            Pattern::R50k => encoder.encode::<R50k>(text, ids),
            Pattern::Cl100k => encoder.encode::<Cl100k>(text, ids),
            Pattern::O200k => encoder.encode::<O200k>(text, ids),
        }
    }

    /// The bytes that `ids` stand for, with special tokens as their names.
    ///
    /// # Errors
    /// [`Error::Shape`] names the first id that is not a token of this encoding.
    pub fn decode_bytes(&self, ids: &[TokenId]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for (index, &id) in ids.iter().enumerate() {
            let token = self.token_bytes(id).ok_or_else(|| {
                Error::shape(format!(
                    "token {index} has id {id}, which is not in {}",
                    self.name()
                ))
            })?;
            bytes.extend_from_slice(token);
        }
        Ok(bytes)
    }
}
