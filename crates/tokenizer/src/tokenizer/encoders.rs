//! The parts of encoders, which are kept for reuse, and the cache that they share.

use std::alloc::{Layout, handle_alloc_error};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use shardmill_core::simd::Level;

use crate::bpe::{self, Memory, Vocabulary};
use crate::error::Result;
use crate::pretoken::Scratch;

/// What an encoder works with.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) bpe: bpe::Encoder,
    /// The pretokens of a text that is split before it is encoded.
    pub(super) pieces: Scratch,
    /// Where they end.
    pub(super) ends: Vec<usize>,
}

/// The parts of the encoders of a tokenizer that are not in use.
#[derive(Debug)]
pub(super) struct Encoders {
    level: Level,
    spare: Mutex<Vec<Parts>>,
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

    /// The parts of an encoder of `vocabulary`, which is always the same one.
    pub(super) fn take(&self, vocabulary: &Arc<Vocabulary>) -> Result<Parts> {
        let spare = self
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(parts) = spare {
            return Ok(parts);
        }
        let memory = if let Some(memory) = self.memory.get() {
            memory
        } else {
            // If threads race here, all use the first one's cache.
            let memory = Arc::new(Memory::new()?);
            self.memory.get_or_init(|| memory)
        };
        Ok(Parts {
            bpe: bpe::Encoder::new(self.level, vocabulary, memory),
            pieces: Scratch::default(),
            ends: Vec::new(),
        })
    }

    /// Keeps the parts of an encoder for the next one. Those that still hold a cache that the
    /// others have replaced are dropped.
    pub(super) fn put_back(&self, mut parts: Parts) {
        // After an error, some ids may not have been asked for.
        parts.bpe.discard();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.retain(|parts| !parts.bpe.is_behind());
        spare.push(parts);
    }
}

/// Ends the program, like a vector that cannot grow.
pub(super) fn out_of_memory() -> ! {
    handle_alloc_error(Layout::new::<Parts>())
}
