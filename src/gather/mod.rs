//! Ids x tables -> output buffer: `out[b, t, :] = token[ids[b, t], :] + position[t, :]`, or the
//! token's row rotated by the position's angles.
//!
//! Checks shapes and ids, cuts the output into tiles, and runs them on threads. Does not know where
//! the ids come from or where the buffer goes.
//!
//! Results equal PyTorch's: each table is widened to `f32`, which is exact; one IEEE addition per
//! element; one rounding to the output's type. Output does not depend on threads, CPU level or the
//! kind of stores.
//!
//! ```text
//! mod     checks, the kind of stores, and which kernel the types need
//! tile    the parts of an output that threads fill
//! tuning  the order inside a tile, and what is prefetched: what depends on the processor
//! kernel  the loop over a tile: visits its rows
//! change  what a position does to a row
//! row     the loops over a row: its steps, vectors and elements
//! lane    the element types
//! ```

mod change;
mod kernel;
mod lane;
mod row;
#[cfg(test)]
mod tests;
mod tile;
mod tuning;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use shardmill_core::dtype::{Dtype, Element, Elements, with_element};
use shardmill_core::simd::{Level, scalar};

use crate::error::{Error, Result};
use crate::table::{Rope, RopeStyle, Table};
use crate::threads::one_each_cpu;
use change::{AddedRows, Ahead, HalfAngles, NoHint, NoRows, PairAngles, PerPosition, PositionRows};
use kernel::Gather;
use lane::Lane;
use tile::Tile;

pub(crate) use tuning::{PositionHint, Shape, Tuning};

/// Outputs larger than this do not stay in the cache, so streaming stores keep them out of it.
const STREAM_OVER_BYTES: usize = 8 << 20;

/// Rows that are not whole cache lines are streamed if they have at least this many elements. The
/// lines that two rows share take regular stores, which costs more than streaming gains in shorter
/// rows.
const STREAM_UNALIGNED_DIM: usize = 2048;

/// A thread gets at least this much output; less is not worth starting one.
const THREAD_BYTES: usize = 1 << 20;

/// Whether output goes through the caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stores {
    /// The faster kind: streaming for outputs over 8 MiB whose rows are whole cache lines or long,
    /// otherwise regular. Rows are whole lines if the output starts at a multiple of 64 bytes and
    /// the size of a row is a multiple of 64 bytes.
    #[default]
    Auto,
    /// Through the caches: for output that is read immediately.
    Regular,
    /// Past the caches: for output that is read later.
    Streaming,
}

/// Adds token rows and position rows into output buffers.
///
/// ```
/// use shardmill::{Gatherer, Table};
///
/// let token = Table::from_vec(3, 2, vec![0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0])?;
/// let position = Table::from_vec(2, 2, vec![10.0_f32, 20.0, 30.0, 40.0])?;
/// let gatherer = Gatherer::new(token, Some(position))?;
///
/// let mut out = [0.0_f32; 4];
/// gatherer.gather_into(&[2, 0], 2, &mut out)?;
/// assert_eq!(out, [14.0, 25.0, 30.0, 41.0]);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Gatherer {
    token: Table,
    positions: Positions,
    level: Level,
    threads: usize,
    stores: Stores,
    /// The default of each shape if `None`.
    tuning: Option<Tuning>,
}

/// What positions do to token rows.
#[derive(Clone, Debug)]
enum Positions {
    /// Nothing.
    None,
    /// They add rows.
    Added(Added),
    /// They rotate pairs of columns.
    Turned(Rope),
}

impl Positions {
    /// The number of positions, and their name in messages; `None` if any number works.
    fn rows(&self) -> Option<(usize, &'static str)> {
        match self {
            Self::None => None,
            Self::Added(added) => Some((added.table.rows(), "the position table has")),
            Self::Turned(rope) => Some((rope.rows(), "the rotary positions have")),
        }
    }
}

/// A position table, as `f32`.
#[derive(Clone, Debug)]
struct Added {
    table: Table,
    /// The elements, if the table's own have a 16-bit type; otherwise empty.
    widened: Arc<Vec<f32>>,
}

impl Added {
    fn new(table: Table) -> Self {
        let widened = match table.elements() {
            Elements::F32(_) => Vec::new(),
            Elements::F16(values) => values.iter().copied().map(scalar::widen_f16).collect(),
            Elements::BF16(values) => values.iter().copied().map(scalar::widen_bf16).collect(),
        };
        Self {
            table,
            widened: Arc::new(widened),
        }
    }

    fn elements(&self) -> &[f32] {
        match self.table.elements() {
            Elements::F32(values) => values,
            Elements::F16(_) | Elements::BF16(_) => &self.widened,
        }
    }
}

/// The work of one call: checked, and not empty.
struct Job<'a, E> {
    ids: &'a [u32],
    seq_len: usize,
    dim: usize,
    out: &'a mut [E],
}

impl Gatherer {
    /// A gatherer of `token` rows. With a `position` table, the row of its position is added to
    /// each token row. The tables' types may differ, but both must have the same `dim`; otherwise
    /// this returns [`Error::Shape`].
    ///
    /// The gatherer uses the fastest [`Level`] and as many threads as there are CPUs.
    pub fn new(token: Table, position: Option<Table>) -> Result<Self> {
        if let Some(position) = &position
            && position.dim() != token.dim()
        {
            return Err(shape(format!(
                "the token table's rows have {} elements and the position table's {}",
                token.dim(),
                position.dim()
            )));
        }
        Ok(Self {
            token,
            positions: position
                .map_or(Positions::None, |table| Positions::Added(Added::new(table))),
            level: Level::detect(),
            threads: one_each_cpu(),
            stores: Stores::Auto,
            tuning: None,
        })
    }

    /// Rotates each row by its position's angles instead of adding a row: the widened pair `(a, b)`
    /// becomes `(a*c - b*s, b*c + a*s)`, with each operation rounded to `f32`, and is then rounded
    /// to the output's type. If an infinity or a NaN is involved, only NaN-ness is guaranteed.
    ///
    /// # Errors
    /// [`Error::Shape`] if the rows of `rope` have another length, or there is a position table.
    pub fn with_rope(mut self, rope: Rope) -> Result<Self> {
        if matches!(self.positions, Positions::Added(_)) {
            return Err(Error::shape((
                "rotary positions take the place of a position table",
                "give one of the two",
            )));
        }
        if rope.dim() != self.dim() {
            return Err(shape(format!(
                "the token table's rows have {} elements and the rotary positions' {}",
                self.dim(),
                rope.dim()
            )));
        }
        self.positions = Positions::Turned(rope);
        Ok(self)
    }

    /// Uses the instructions of `level`.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Uses up to `threads` threads; 0 means 1. Small outputs take fewer.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Uses `stores` to write the output.
    #[must_use]
    pub fn with_stores(mut self, stores: Stores) -> Self {
        self.stores = stores;
        self
    }

    /// Gathers by `tuning`, to measure it; `None` is the default of each shape.
    #[must_use]
    pub(crate) fn with_tuning(mut self, tuning: Option<Tuning>) -> Self {
        self.tuning = tuning;
        self
    }

    /// The number of elements of an output row.
    pub fn dim(&self) -> usize {
        self.token.dim()
    }

    /// Fills `out`, `[batch, seq_len, dim]` row-major, from `ids`, `[batch, seq_len]` row-major.
    ///
    /// Rounding is to nearest, ties to even. A NaN becomes `0xFFFF` in `bf16`, and keeps its sign
    /// and the top ten bits of its payload in `f16`; if both addends are NaN, the sum is some NaN.
    /// Without positions, rows that already have the output's type are copied bit for bit.
    ///
    /// Returns [`Error::Shape`], and leaves `out` as it was, if the sizes do not match, an id is
    /// not a row of the token table, or the position table has fewer than `seq_len` rows.
    pub fn gather_into<E: Element>(
        &self,
        ids: &[u32],
        seq_len: usize,
        out: &mut [E],
    ) -> Result<()> {
        self.check(ids, seq_len, out.len())?;
        if out.is_empty() {
            return Ok(());
        }
        self.fill_bytes(ids, seq_len, E::DTYPE, bytemuck::cast_slice_mut(out));
        Ok(())
    }

    /// Fills the bytes of elements of `dtype`. Generic in nothing, so that the kernels are compiled
    /// once, and not again in each crate that gathers.
    fn fill_bytes(&self, ids: &[u32], seq_len: usize, dtype: Dtype, out: &mut [u8]) {
        with_element!(dtype, E => self.fill::<E>(ids, seq_len, bytemuck::cast_slice_mut(out)));
    }

    /// Checks sizes and ids.
    fn check(&self, ids: &[u32], seq_len: usize, out_len: usize) -> Result<()> {
        let (count, dim) = (ids.len(), self.dim());
        if count.checked_rem(seq_len).unwrap_or(count) != 0 {
            return Err(shape(format!(
                "{count} ids are not whole sequences of {seq_len}"
            )));
        }
        if count.checked_mul(dim) != Some(out_len) {
            return Err(shape(format!(
                "the output has {out_len} elements; {count} ids with rows of {dim} need {count} x {dim}"
            )));
        }
        self.check_positions(seq_len)?;
        self.check_ids(ids)
    }

    /// Refuses tables that are too small for sequences of `seq_len` ids below `n_vocab`.
    pub(crate) fn check_tables(&self, n_vocab: u32, seq_len: usize) -> Result<()> {
        self.check_positions(seq_len)?;
        self.check_ids(&[n_vocab.saturating_sub(1)])
    }

    /// Checks that every place of a sequence has a position.
    fn check_positions(&self, seq_len: usize) -> Result<()> {
        match self.positions.rows() {
            Some((rows, what)) if rows < seq_len => Err(shape(format!(
                "{what} {rows} rows; sequences of {seq_len} need as many"
            ))),
            _ => Ok(()),
        }
    }

    /// Checks that every id is a row of the token table.
    fn check_ids(&self, ids: &[u32]) -> Result<()> {
        let rows = self.token.rows();
        let is_row = |id: u32| (id as usize) < rows;
        // Finding the maximum is vectorized; the index matters only for an error.
        if ids.iter().copied().max().is_none_or(is_row) {
            return Ok(());
        }
        match ids.iter().enumerate().find(|(_, id)| !is_row(**id)) {
            None => Ok(()),
            Some((index, id)) => Err(shape(format!(
                "id {id} at index {index} is not a row of the token table, which has {rows}"
            ))),
        }
    }

    /// Chooses the kernel by the types of the tables.
    fn fill<E: Lane>(&self, ids: &[u32], seq_len: usize, out: &mut [E]) {
        let job = Job {
            ids,
            seq_len,
            dim: self.dim(),
            out,
        };
        let token = self.token.bytes();
        with_element!(self.token.dtype(), T => {
            self.fill_from::<T, E>(bytemuck::cast_slice(token), job);
        });
    }

    fn fill_from<T: Lane, E: Lane>(&self, token: &[T], job: Job<E>) {
        let dim = job.dim;
        let rows = |elements| PositionRows { elements, dim };
        match &self.positions {
            Positions::Added(added) => {
                let rows = rows(added.elements());
                let tuning = self.tuning::<T, AddedRows<NoHint>, E>(dim, job.out);
                match tuning.position_hint {
                    PositionHint::None => self.run(token, AddedRows(rows, NoHint), job),
                    PositionHint::Nta => self.run(token, AddedRows(rows, Ahead::<true>), job),
                    PositionHint::T0 => self.run(token, AddedRows(rows, Ahead::<false>), job),
                }
            }
            Positions::Turned(rope) => {
                let rows = rows(rope.angles());
                match rope.style() {
                    RopeStyle::Interleaved => self.run(token, PairAngles(rows), job),
                    RopeStyle::Half => self.run(token, HalfAngles(rows), job),
                }
            }
            Positions::None if T::DTYPE == E::DTYPE => self.copy(bytemuck::cast_slice(token), job),
            Positions::None => self.run(token, NoRows, job),
        }
    }

    /// Copies rows. Widening and rounding would change a signaling NaN, so rows of a 16-bit type
    /// are copied as rows of half as many 32-bit elements if possible.
    fn copy<E: Lane>(&self, token: &[E], job: Job<E>) {
        let Job {
            ids,
            seq_len,
            dim,
            out,
        } = job;
        let words_per_row = dim * size_of::<E>() / size_of::<f32>();
        let has_whole_words = dim * size_of::<E>() == words_per_row * size_of::<f32>();
        if has_whole_words && is_word_aligned(token) && is_word_aligned(out) {
            let (token, out) = (bytemuck::cast_slice(token), bytemuck::cast_slice_mut(out));
            let job = Job {
                ids,
                seq_len,
                dim: words_per_row,
                out,
            };
            return self.run::<f32, _, f32>(token, NoRows, job);
        }
        for (id, out) in ids.iter().zip(out.chunks_exact_mut(dim)) {
            out.copy_from_slice(&token[*id as usize * dim..][..dim]);
        }
    }

    /// How to gather rows of `dim` elements into `out`.
    fn tuning<T, P: PerPosition, E>(&self, dim: usize, out: &[E]) -> Tuning {
        let shape = Shape {
            dim,
            element_bytes: size_of::<T>(),
            has_positions: P::HAS_ROWS,
            has_pieces: P::PARTS == 1 && has_whole_lines(out, dim),
        };
        match self.tuning {
            Some(tuning) if !shape.has_pieces => tuning.in_whole_rows(dim),
            Some(tuning) => tuning,
            None => Tuning::for_shape(shape),
        }
    }

    /// Runs the job's tiles, each on its own thread.
    fn run<T: Lane, P: PerPosition, E: Lane>(&self, token: &[T], positions: P, job: Job<E>) {
        let Job {
            ids,
            seq_len,
            dim,
            out,
        } = job;
        let out_bytes = size_of_val(out);
        let has_whole_lines = has_whole_lines(out, dim / P::PARTS);
        let stream = match self.stores {
            Stores::Auto => {
                let is_long = dim / P::PARTS >= STREAM_UNALIGNED_DIM;
                out_bytes > STREAM_OVER_BYTES && (has_whole_lines || is_long)
            }
            Stores::Regular => false,
            Stores::Streaming => true,
        };
        let tuning = self.tuning::<T, P, E>(dim, out);
        let parts = self.threads.min(out_bytes / THREAD_BYTES).max(1);
        let fill = |mut tile: Tile<E>| {
            self.level.dispatch(Gather {
                token,
                positions,
                dim,
                stream,
                tuning,
                tile: &mut tile,
            });
        };
        let whole = Tile::whole(ids, seq_len, dim, out);
        if parts == 1 {
            return fill(whole);
        }
        let tiles = Mutex::new(whole.split(parts, tuning.order));
        let next = || tiles.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let work = || {
            while let Some(tile) = next() {
                fill(tile);
            }
        };
        on_threads(parts, &work);
    }
}

/// Calls `work` on up to `threads` threads, of which the caller's is one. Not generic, as there is
/// a kernel for each combination of types.
fn on_threads(threads: usize, work: &(dyn Fn() + Sync)) {
    thread::scope(|scope| {
        for _ in 1..threads {
            // If the system refuses a thread, the existing threads do its work.
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
}

/// Whether `out` begins with a cache line, and each part of a row, of `elements` elements, ends
/// with one.
pub(crate) fn has_whole_lines<E>(out: &[E], elements: usize) -> bool {
    const LINE_BYTES: usize = 64;
    out.as_ptr().addr().is_multiple_of(LINE_BYTES)
        && (elements * size_of::<E>()).is_multiple_of(LINE_BYTES)
}

fn is_word_aligned<E>(elements: &[E]) -> bool {
    elements.as_ptr().cast::<f32>().is_aligned()
}

fn shape(what: String) -> Error {
    Error::shape(what)
}
