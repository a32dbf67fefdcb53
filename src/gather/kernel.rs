//! Adds a token row and a position row and converts the sum: safe code, generic over [`Simd`].
//!
//! One fused pass: widen, one IEEE addition in `f32`, one rounding. The work goes through the
//! vectors sixteen elements at a time, two vectors per step; what is left at a row's ends goes
//! through the scalar specification.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined into the entered function loses its instructions"
)]

use half::{bf16, f16};

use super::tile::{Order, Tile};
use crate::Element;
use crate::simd::{Aligned, Kernel, LANES, Simd, scalar};

/// Elements of one step of the inner loop: two vectors, so that a prefetch covers whole lines.
const STEP: usize = 2 * LANES;

/// An element type as the vectors see it.
pub(super) trait Lane: Element {
    /// The value as `f32`, exactly.
    fn widen(self) -> f32;
    /// The value rounded to this type.
    fn round(value: f32) -> Self;
    /// [`Self::widen`] for a vector.
    fn load<S: Simd>(s: S, from: &[Self; LANES]) -> S::F32x16;
    /// [`Self::round`] for a vector.
    fn store<S: Simd>(s: S, values: S::F32x16, to: &mut [Self; LANES]);
    /// [`Self::store`] past the caches.
    fn stream<S: Simd>(s: S, values: S::F32x16, to: &mut Aligned<Self>);
}

/// Names the operations of one element type.
macro_rules! lane {
    ($type:ty, $widen:expr, $round:expr, $load:ident, $store:ident, $stream:ident) => {
        impl Lane for $type {
            #[inline(always)]
            fn widen(self) -> f32 {
                $widen(self)
            }

            #[inline(always)]
            fn round(value: f32) -> Self {
                $round(value)
            }

            #[inline(always)]
            fn load<S: Simd>(s: S, from: &[Self; LANES]) -> S::F32x16 {
                s.$load(from)
            }

            #[inline(always)]
            fn store<S: Simd>(s: S, values: S::F32x16, to: &mut [Self; LANES]) {
                s.$store(values, to);
            }

            #[inline(always)]
            fn stream<S: Simd>(s: S, values: S::F32x16, to: &mut Aligned<Self>) {
                s.$stream(values, to);
            }
        }
    };
}

lane!(
    f32,
    std::convert::identity,
    std::convert::identity,
    load_f32,
    store_f32,
    stream_f32
);
lane!(
    f16,
    scalar::widen_f16,
    scalar::round_f16,
    load_f16,
    store_f16,
    stream_f16
);
lane!(
    bf16,
    scalar::widen_bf16,
    scalar::round_bf16,
    load_bf16,
    store_bf16,
    stream_bf16
);

/// What is added to a token row: `f32` elements, or `()` for nothing at all. Adding zeros instead
/// would turn -0 into +0.
pub(super) trait Addend: Copy + Send + Sync {
    /// Adds to one value.
    fn add(self, value: f32) -> f32;
    /// Adds to a vector.
    fn add_vector<S: Simd>(s: S, values: S::F32x16, addend: &[Self; LANES]) -> S::F32x16;
}

impl Addend for f32 {
    #[inline(always)]
    fn add(self, value: f32) -> f32 {
        value + self
    }

    #[inline(always)]
    fn add_vector<S: Simd>(s: S, values: S::F32x16, addend: &[Self; LANES]) -> S::F32x16 {
        s.add(values, s.load_f32(addend))
    }
}

impl Addend for () {
    #[inline(always)]
    fn add(self, value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn add_vector<S: Simd>(_s: S, values: S::F32x16, _addend: &[Self; LANES]) -> S::F32x16 {
        values
    }
}

/// Sixteen elements of output, and with which store they are written.
trait Block<E> {
    fn put<S: Simd>(&mut self, s: S, values: S::F32x16);
}

impl<E: Lane> Block<E> for [E; LANES] {
    #[inline(always)]
    fn put<S: Simd>(&mut self, s: S, values: S::F32x16) {
        E::store(s, values, self);
    }
}

impl<E: Lane> Block<E> for Aligned<E> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, s: S, values: S::F32x16) {
        E::stream(s, values, self);
    }
}

/// Fills one tile.
#[derive(Debug)]
pub(super) struct Gather<'a, T, A, E> {
    /// Token rows, `dim` elements each; every id of the tile is one of them.
    pub(super) token: &'a [T],
    /// Position rows, as many as the sequences have positions.
    pub(super) positions: &'a [A],
    /// Elements of a row.
    pub(super) dim: usize,
    /// Whether to write past the caches.
    pub(super) stream: bool,
    /// In which order to go through the tile.
    pub(super) order: Order,
    /// The output and its ids.
    pub(super) tile: Tile<'a, E>,
}

impl<T: Lane, A: Addend, E: Lane> Kernel for Gather<'_, T, A, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            token,
            positions,
            dim,
            stream,
            order,
            mut tile,
        } = self;
        let token_row = |id: u32| &token[id as usize * dim..][..dim];
        let visits = tile.visits(order);
        let mut ahead = visits.after(order.prefetch_rows());
        for place in visits {
            let row = token_row(tile.id(place));
            let ahead = token_row(tile.id(ahead.next().unwrap_or(place)));
            let addend = &positions[tile.position(place) * dim..][..dim];
            let out = tile.row(place, dim);
            if stream {
                let (head, body, tail) = bytemuck::pod_align_to_mut::<E, Aligned<E>>(out);
                add_row(s, Sources { row, addend, ahead }, head, body, tail);
            } else {
                let (body, tail) = out.as_chunks_mut::<LANES>();
                add_row(s, Sources { row, addend, ahead }, &mut [], body, tail);
            }
        }
    }
}

/// The rows that one output row is made from; all of one length.
#[derive(Clone, Copy)]
struct Sources<'a, T, A> {
    row: &'a [T],
    addend: &'a [A],
    /// The token row to prefetch meanwhile.
    ahead: &'a [T],
}

impl<T, A> Sources<'_, T, A> {
    #[inline(always)]
    fn split_at(self, at: usize) -> (Self, Self) {
        let (row, row_rest) = self.row.split_at(at);
        let (addend, addend_rest) = self.addend.split_at(at);
        let (ahead, ahead_rest) = self.ahead.split_at(at);
        let rest = Self {
            row: row_rest,
            addend: addend_rest,
            ahead: ahead_rest,
        };
        (Self { row, addend, ahead }, rest)
    }
}

/// Fills one row, which is given in three pieces.
#[inline(always)]
fn add_row<S: Simd, T: Lane, A: Addend, E: Lane, B: Block<E>>(
    s: S,
    sources: Sources<T, A>,
    head: &mut [E],
    body: &mut [B],
    tail: &mut [E],
) {
    let (at_head, rest) = sources.split_at(head.len());
    let (at_body, at_tail) = rest.split_at(body.len() * LANES);
    add_elements(at_head, head);
    add_blocks(s, at_body, body);
    add_elements(at_tail, tail);
}

/// Fills whole blocks.
#[inline(always)]
fn add_blocks<S: Simd, T: Lane, A: Addend, E: Lane, B: Block<E>>(
    s: S,
    sources: Sources<T, A>,
    out: &mut [B],
) {
    let (rows, row_rest) = sources.row.as_chunks::<STEP>();
    let (addends, addend_rest) = sources.addend.as_chunks::<STEP>();
    let aheads = sources.ahead.as_chunks::<STEP>().0;
    let (outs, out_rest) = out.as_chunks_mut::<2>();
    for (((row, addend), ahead), out) in rows.iter().zip(addends).zip(aheads).zip(outs) {
        s.prefetch(ahead);
        add_vectors(s, row, addend, out);
    }
    add_vectors(s, row_rest, addend_rest, out_rest);
}

/// Fills blocks without a prefetch.
#[inline(always)]
fn add_vectors<S: Simd, T: Lane, A: Addend, E: Lane, B: Block<E>>(
    s: S,
    row: &[T],
    addend: &[A],
    out: &mut [B],
) {
    let rows = row.as_chunks::<LANES>().0;
    let addends = addend.as_chunks::<LANES>().0;
    for ((row, addend), out) in rows.iter().zip(addends).zip(out) {
        out.put(s, A::add_vector(s, T::load(s, row), addend));
    }
}

/// Fills single elements.
#[inline(always)]
fn add_elements<T: Lane, A: Addend, E: Lane>(sources: Sources<T, A>, out: &mut [E]) {
    for ((token, addend), out) in sources.row.iter().zip(sources.addend).zip(out) {
        *out = E::round(addend.add(token.widen()));
    }
}
