//! A batch, in buffers that return to the loader.

use shardmill_core::dtype::{Dtype, Elements};
use shardmill_core::map::Slab;
use shardmill_core::token::TokenId;

use crate::error::{Error, Result};
use crate::loader::LoaderState;
use crate::loader::ring::Lent;

/// The document number of padding.
pub const NO_DOCUMENT: u64 = u64::MAX;

/// The shape that buffers are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) seq_len: usize,
    /// Columns and type of the embeddings, if there are any.
    pub(super) embeddings: Option<(usize, Dtype)>,
}

/// The arrays of a batch, with capacity for all its rows.
#[derive(Debug)]
pub(super) struct Buffers {
    /// Rows in use, and tokens in each.
    pub(super) rows: usize,
    pub(super) seq_len: usize,
    pub(super) inputs: Slab<TokenId>,
    pub(super) targets: Slab<TokenId>,
    pub(super) positions: Slab<u32>,
    pub(super) documents: Slab<u64>,
    pub(super) windows: Slab<u64>,
    pub(super) cu_seqlens: Vec<i32>,
    /// Bytes of the embeddings; empty without tables.
    pub(super) embeddings: Slab<u8>,
    embedding: Option<(usize, Dtype)>,
}

impl Buffers {
    /// Buffers for `shape`; pages that are never filled take no memory.
    ///
    /// # Errors
    /// [`Error::Config`] if there is not enough memory for them.
    pub(super) fn new(shape: Shape) -> Result<Self> {
        Self::zeroed(shape).ok_or_else(|| {
            let Shape { rows, seq_len, .. } = shape;
            let what = format!("{rows} windows of {seq_len} are more than memory holds");
            Error::config("batch_size", (what, "lower it"))
        })
    }

    fn zeroed(shape: Shape) -> Option<Self> {
        let ids = shape.rows.checked_mul(shape.seq_len)?;
        let embeddings_bytes = match shape.embeddings {
            None => 0,
            Some((dim, dtype)) => ids.checked_mul(dim)?.checked_mul(dtype.size_bytes())?,
        };
        Some(Self {
            rows: 0,
            seq_len: shape.seq_len,
            inputs: Slab::zeroed(ids).ok()?,
            targets: Slab::zeroed(ids).ok()?,
            positions: Slab::zeroed(ids).ok()?,
            documents: Slab::zeroed(ids).ok()?,
            windows: Slab::zeroed(shape.rows).ok()?,
            cu_seqlens: Vec::new(),
            embeddings: Slab::zeroed(embeddings_bytes).ok()?,
            embedding: shape.embeddings,
        })
    }
}

/// A batch of a [`Loader`](crate::Loader). Its buffers return to the loader when it is dropped.
#[derive(Debug)]
pub struct LoadedBatch {
    buffers: Lent<Buffers>,
    state_after: LoaderState,
}

impl LoadedBatch {
    pub(super) fn new(buffers: Lent<Buffers>, state_after: LoaderState) -> Self {
        Self {
            buffers,
            state_after,
        }
    }

    /// Windows in the batch.
    pub fn rows(&self) -> usize {
        self.buffers.rows
    }

    /// Tokens in a window.
    pub fn seq_len(&self) -> usize {
        self.buffers.seq_len
    }

    /// Tokens in the batch.
    fn ids(&self) -> usize {
        self.rows() * self.seq_len()
    }

    /// Ids of the windows, `[rows, seq_len]` row-major.
    pub fn inputs(&self) -> &[TokenId] {
        &self.buffers.inputs[..self.ids()]
    }

    /// The ids shifted by one, `[rows, seq_len]` row-major;
    /// [`IGNORED_TARGET`](crate::window::IGNORED_TARGET) where a padded window has none.
    pub fn targets(&self) -> &[TokenId] {
        &self.buffers.targets[..self.ids()]
    }

    /// The row of the position table for each input, `[rows, seq_len]` row-major: its place in the
    /// window or, with [`restart_positions`](crate::LoaderConfig::restart_positions), in the part
    /// of its document that is in the window.
    pub fn positions(&self) -> &[u32] {
        &self.buffers.positions[..self.ids()]
    }

    /// The document of each input, numbered over the dataset, `[rows, seq_len]` row-major;
    /// [`NO_DOCUMENT`] for padding.
    pub fn documents(&self) -> &[u64] {
        &self.buffers.documents[..self.ids()]
    }

    /// Where the documents of the batch begin, with its `rows * seq_len` inputs taken as one
    /// sequence: from 0 to `rows * seq_len`, with a cut at every row, between documents in a row,
    /// and before padding. This is what the `varlen` functions of flash-attention call
    /// `cu_seqlens`.
    pub fn cu_seqlens(&self) -> &[i32] {
        &self.buffers.cu_seqlens
    }

    /// The longest distance between adjacent [`cu_seqlens`](Self::cu_seqlens).
    pub fn max_seqlen(&self) -> i32 {
        let parts = self.cu_seqlens().windows(2).map(|ends| ends[1] - ends[0]);
        parts.max().unwrap_or(0)
    }

    /// The number of each row's window, in dataset order.
    pub fn windows(&self) -> &[u64] {
        &self.buffers.windows[..self.rows()]
    }

    /// The embeddings of the inputs, `[rows, seq_len, dim]` row-major; `None` without tables.
    pub fn embeddings(&self) -> Option<Elements<'_>> {
        let (dim, dtype) = self.buffers.embedding?;
        let bytes = &self.buffers.embeddings[..self.ids() * dim * dtype.size_bytes()];
        // The buffer begins on a page and was allocated for whole elements.
        Some(Elements::from_bytes(dtype, bytes))
    }

    /// The state from which a loader resumes after this batch.
    pub fn state_after(&self) -> &LoaderState {
        &self.state_after
    }
}
