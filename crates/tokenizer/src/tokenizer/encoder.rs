//! Documents in a row -> ids.

use std::fmt;
use std::thread::panicking;
use std::vec::Drain;

use shardmill_core::token::TokenId;

use crate::bpe;
use crate::error::{Result, SpecialFound};

use super::encoders::{Parts, out_of_memory};
use super::{Special, Tokenizer};

/// Encodes many texts with one tokenizer, on one thread.
///
/// Pretokens that are new to the tokenizer are collected and merged together, across documents. So
/// ids are held back until there are enough of them, or until [`finish`](Self::finish). All encoders
/// of a tokenizer share its cache.
///
/// ```
/// use shardmill_tokenizer::{Special, Tokenizer};
///
/// let gpt2 = Tokenizer::by_name("gpt2")?;
/// let mut encoder = gpt2.encoder()?;
/// let mut ids = Vec::new();
/// for document in ["Every effort", "moves you"] {
///     encoder.add(document, Special::Text, true, &mut ids)?;
///     encoder.add_id(50256, &mut ids);
///     encoder.end_document();
/// }
/// let ends: Vec<usize> = encoder.finish(&mut ids).collect();
/// assert_eq!(ids, [6109, 3626, 50256, 76, 5241, 345, 50256]);
/// assert_eq!(ends, [3, 7]);
/// # Ok::<(), shardmill_tokenizer::Error>(())
/// ```
pub struct Encoder {
    tokenizer: Tokenizer,
    /// `None` only while it is dropped.
    parts: Option<Parts>,
}

impl Tokenizer {
    /// An encoder for one thread.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if there is not enough memory for its caches.
    pub fn encoder(&self) -> Result<Encoder> {
        let parts = self.encoders.take(&self.inner.vocabulary)?;
        Ok(Encoder {
            tokenizer: self.clone(),
            parts: Some(parts),
        })
    }

    /// [`Self::encoder`], for functions that cannot fail: like a vector that cannot grow, they end
    /// the program if memory runs out.
    pub(super) fn encoder_or_abort(&self) -> Encoder {
        self.encoder().unwrap_or_else(|_| out_of_memory())
    }
}

impl Encoder {
    /// Adds `text`, a document or the next part of one; `begins` says whether a document begins
    /// with it. A document may be added in parts only where
    /// [`Tokenizer::next_cut`](crate::Tokenizer::next_cut) allows it. Appends to `ids` what is known
    /// of the ids so far; all of them are there after [`Self::finish`]. Use the same vector until
    /// then.
    ///
    /// # Errors
    /// If `special` is [`Special::Error`] and `text` has a special token. Some ids of the text may
    /// have been added then: [`Self::discard`] forgets those that are not in `ids` yet.
    pub fn add(
        &mut self,
        text: &str,
        special: Special,
        begins: bool,
        ids: &mut Vec<TokenId>,
    ) -> std::result::Result<(), SpecialFound> {
        let parts = held(&mut self.parts);
        let rules = &self.tokenizer.inner.rules;
        rules.add(parts, text, special, begins, ids)
    }

    /// Adds an id between texts.
    pub fn add_id(&mut self, id: TokenId, ids: &mut Vec<TokenId>) {
        self.bpe().add_id(id, ids);
    }

    /// Ends a document: [`Self::finish`] returns how many ids there are up to here.
    pub fn end_document(&mut self) {
        self.bpe().end_document();
    }

    /// Appends all ids that were added and are not in `ids` yet. Returns, for each document that
    /// ended since the last call, how many ids are before its end in `ids`.
    pub fn finish(&mut self, ids: &mut Vec<TokenId>) -> Drain<'_, usize> {
        self.bpe().finish(ids)
    }

    /// Forgets all ids that were added since [`Self::finish`] and are not in the caller's vector yet,
    /// and where documents ended since.
    pub fn discard(&mut self) {
        self.bpe().discard();
    }

    /// Says that all encoders of this tokenizer together get about `bytes` more of text. Only a
    /// hint: the cache then grows in fewer steps.
    pub fn expect_bytes(&mut self, bytes: usize) {
        self.bpe().expect(bytes);
    }

    /// Adds the ids of a text that is already split.
    pub(super) fn add_split(&mut self, text: &str, ends: &[usize], ids: &mut Vec<TokenId>) {
        self.bpe().add_split(text, ends, ids);
    }

    fn bpe(&mut self) -> &mut bpe::Encoder {
        &mut held(&mut self.parts).bpe
    }
}

fn held(parts: &mut Option<Parts>) -> &mut Parts {
    parts
        .as_mut()
        .expect("an encoder has its parts until it is dropped")
}

/// Its parts are kept for the next encoder, unless a panic may have left them half changed.
impl Drop for Encoder {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take().filter(|_| !panicking()) {
            self.tokenizer.encoders.put_back(parts);
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoder")
            .field(&self.tokenizer.name())
            .finish()
    }
}
