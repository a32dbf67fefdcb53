//! Encoders that are kept for reuse, and the cache that they share.

use std::alloc::{Layout, handle_alloc_error};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::bpe::{self, Memory, Vocabulary};
use crate::error::Result;
use crate::pretoken::Scratch;

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
}

/// The encoders of a tokenizer that are not in use.
#[derive(Debug, Default)]
pub(super) struct Encoders {
    spare: Mutex<Vec<Encoder>>,
    /// The cache that all encoders share.
    memory: OnceLock<Arc<Memory>>,
}

impl Encoders {
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
            bpe: bpe::Encoder::new(vocabulary, memory),
            pieces: Scratch::default(),
            ends: Vec::new(),
        })
    }

    /// Keeps an encoder for the next caller. An idle encoder that still holds a cache that the
    /// others have replaced is dropped.
    pub(super) fn put_back(&self, encoder: Encoder) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.retain(|encoder| !encoder.bpe.is_behind());
        spare.push(encoder);
    }
}

/// Ends the program, like a vector that cannot grow.
pub(super) fn out_of_memory() -> ! {
    handle_alloc_error(Layout::new::<Encoder>())
}
