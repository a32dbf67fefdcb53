//! Encoders that are kept for reuse, and the cache that they share.

use std::alloc::{Layout, handle_alloc_error};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::vec::Drain;

use crate::bpe::{self, Memory, Vocabulary};
use crate::error::Result;
use crate::pretoken::Scratch;
use crate::simd::Level;
use crate::token::TokenId;

/// Encodes with one tokenizer, on one thread.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(super) bpe: bpe::Encoder,
    /// The pretokens of a text that is split before it is encoded.
    pub(super) pieces: Scratch,
    /// Where they end.
    pub(super) ends: Vec<usize>,
}

impl Encoder {
    /// Says that all encoders of this tokenizer together get about `bytes` more of text.
    pub(crate) fn expect(&self, bytes: usize) {
        self.bpe.expect(bytes);
    }

    /// Adds an id between texts.
    pub(crate) fn add_id(&mut self, id: TokenId, ids: &mut Vec<TokenId>) {
        self.bpe.add_id(id, ids);
    }

    /// Forgets all ids that were added since [`Self::finish`].
    pub(crate) fn discard(&mut self) {
        self.bpe.discard();
    }

    /// Ends a document: [`Self::finish`] returns how many ids there are up to here.
    pub(crate) fn end_document(&mut self) {
        self.bpe.end_document();
    }

    /// Appends all ids that were added and are not in `ids` yet; returns where the documents end in
    /// `ids` that ended since the last call.
    pub(crate) fn finish(&mut self, ids: &mut Vec<TokenId>) -> Drain<'_, usize> {
        self.bpe.finish(ids)
    }
}

/// The encoders of a tokenizer that are not in use.
#[derive(Debug)]
pub(super) struct Encoders {
    level: Level,
    spare: Mutex<Vec<Encoder>>,
    /// The cache that all encoders share.
    memory: OnceLock<Arc<Memory>>,
}

impl Default for Encoders {
    fn default() -> Self {
        Self::new(Level::detect())
    }
}

impl Encoders {
    pub(super) fn new(level: Level) -> Self {
        Self {
            level,
            spare: Mutex::default(),
            memory: OnceLock::new(),
        }
    }

    /// The level of its encoders.
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// An encoder of `vocabulary`, which is always the same one.
    pub(super) fn take(&self, vocabulary: &Arc<Vocabulary>) -> Result<Encoder> {
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
        Ok(Encoder {
            bpe: bpe::Encoder::new(self.level, vocabulary, memory),
            pieces: Scratch::default(),
            ends: Vec::new(),
        })
    }

    /// Keeps an encoder for the next caller. An idle encoder that still holds a cache that the
    /// others have replaced is dropped.
    pub(super) fn put_back(&self, mut encoder: Encoder) {
        // After an error, some ids may not have been asked for.
        encoder.bpe.discard();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.retain(|encoder| !encoder.bpe.is_behind());
        spare.push(encoder);
    }
}

/// Ends the program, like a vector that cannot grow.
pub(super) fn out_of_memory() -> ! {
    handle_alloc_error(Layout::new::<Encoder>())
}
