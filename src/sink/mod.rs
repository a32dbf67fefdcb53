//! Where gathered rows go.
//!
//! A sink takes batches in order and may do anything with them. It does not know the tables or what
//! the tokens mean.
//!
//! ```text
//! mod        what a sink is, and a batch
//! arrays     one file per array: names, formats, headers and sizes
//! stream     the embeddings alone, to a pipe or any other writer
//! memory     everything in memory
//! positions  one file of positions, and whether an existing one may be replaced
//! room       whether an output fits on its disk
//! ```

mod arrays;
mod memory;
mod positions;
mod room;
mod stream;

pub use arrays::ArrayFormat;
pub(crate) use arrays::{ArrayFile, ArrayLayout, ArraySink, is_array_name};
pub use memory::MemorySink;
pub use positions::{PositionsOutcome, write_positions};
pub(crate) use room::check_room;
pub use stream::StreamSink;
pub(crate) use stream::widen_pipe;

use shardmill_core::dtype::{Dtype, Element};
use shardmill_core::token::TokenId;

use crate::error::Result;

/// Windows with their targets and embeddings, in the run's order.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, E> {
    /// Ids of the windows, `[rows, seq_len]` row-major.
    pub inputs: &'a [TokenId],
    /// The ids shifted by one, `[rows, seq_len]` row-major.
    pub targets: &'a [TokenId],
    /// Their embeddings, `[rows, seq_len, dim]` row-major.
    pub embeddings: &'a [E],
    /// `[rows, seq_len, dim]`.
    pub shape: [usize; 3],
}

/// Receives batches. Users may implement it.
///
/// ```
/// use shardmill::{Element, Result};
/// use shardmill::sink::{Batch, Sink};
///
/// /// Counts what passes.
/// struct Counter(usize);
///
/// impl Sink for Counter {
///     fn write<E: Element>(&mut self, batch: &Batch<'_, E>) -> Result<()> {
///         self.0 += batch.shape[0];
///         Ok(())
///     }
/// }
/// ```
pub trait Sink {
    /// Called once, before the first batch, with the final `shape`, `[n, seq_len, dim]`, and type
    /// of the embeddings.
    ///
    /// # Errors
    /// Like [`write`](Self::write).
    fn begin(&mut self, shape: [u64; 3], dtype: Dtype) -> Result<()> {
        let _ = (shape, dtype);
        Ok(())
    }

    /// Takes the next windows: as many as fit in a buffer, not a training batch.
    ///
    /// # Errors
    /// Anything that keeps the sink from taking them; it ends the run.
    fn write<E: Element>(&mut self, batch: &Batch<'_, E>) -> Result<()>;
}
