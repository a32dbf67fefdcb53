//! Keeps everything in memory.

use shardmill_core::dtype::Element;
use shardmill_core::token::TokenId;

use crate::error::Result;
use crate::sink::{Batch, Sink};

/// Collects batches; for tests and for what fits in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    /// Ids of all windows, row-major.
    pub inputs: Vec<TokenId>,
    /// The ids shifted by one, row-major.
    pub targets: Vec<TokenId>,
    /// The embeddings as little-endian bytes, row-major.
    pub embeddings: Vec<u8>,
}

impl Sink for MemorySink {
    fn write<E: Element>(&mut self, batch: &Batch<'_, E>) -> Result<()> {
        self.inputs.extend_from_slice(batch.inputs);
        self.targets.extend_from_slice(batch.targets);
        self.embeddings
            .extend_from_slice(bytemuck::cast_slice(batch.embeddings));
        Ok(())
    }
}
