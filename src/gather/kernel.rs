//! Adds a token row and a position row and converts the sum: safe code, generic over [`Simd`].
//!
//! One fused pass: widen, one IEEE addition in `f32`, one rounding, two vectors of sixteen elements
//! per step. What is left at a row's ends goes through a single vector and then the scalar
//! specification.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined into the entered function loses its instructions"
)]

use std::convert::identity;

use half::{bf16, f16};

use super::tile::{Order, Tile};
use crate::Element;
use crate::simd::{Kernel, LANES, LINES_ELEMENTS, Lines, Simd, scalar};

/// Elements of one step of the inner loop, of which any type fills whole cache lines.
const STEP: usize = LINES_ELEMENTS;

/// An element type as the vectors see it.
pub(super) trait Lane: Element {
    /// Widens one value, exactly.
    fn widen(self) -> f32;
    /// Rounds one value to this type.
    fn round(value: f32) -> Self;
    /// Widens a vector, exactly.
    fn load<S: Simd>(s: S, from: &[Self; LANES]) -> S::F32x16;
    /// Rounds a vector to this type.
    fn store<S: Simd>(s: S, values: S::F32x16, to: &mut [Self; LANES]);
    /// Rounds two vectors to this type and writes them past the caches.
    fn stream<S: Simd>(s: S, values: [S::F32x16; 2], to: &mut Lines<Self>);
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
            fn stream<S: Simd>(s: S, values: [S::F32x16; 2], to: &mut Lines<Self>) {
                s.$stream(values, to);
            }
        }
    };
}

lane!(f32, identity, identity, load_f32, store_f32, stream_f32);
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

/// [`STEP`] elements of output, and with which stores they are written.
trait Block<E> {
    fn put<S: Simd>(&mut self, s: S, values: [S::F32x16; 2]);
}

impl<E: Lane> Block<E> for [E; STEP] {
    #[inline(always)]
    fn put<S: Simd>(&mut self, s: S, values: [S::F32x16; 2]) {
        for (values, to) in values.into_iter().zip(self.as_chunks_mut().0) {
            E::store(s, values, to);
        }
    }
}

impl<E: Lane> Block<E> for Lines<E> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, s: S, values: [S::F32x16; 2]) {
        E::stream(s, values, self);
    }
}

/// Fills one tile.
#[derive(Debug)]
pub(super) struct Gather<'a, 't, T, A, E> {
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
    pub(super) tile: &'a mut Tile<'t, E>,
}

impl<T: Lane, A: Addend, E: Lane> Kernel for Gather<'_, '_, T, A, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            token,
            positions,
            dim,
            stream,
            order,
            tile,
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
                let (head, body, tail) = bytemuck::pod_align_to_mut::<E, Lines<E>>(out);
                add_row(s, Sources { row, addend, ahead }, head, body, tail);
            } else {
                let (body, tail) = out.as_chunks_mut::<STEP>();
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
    let (at_body, at_tail) = rest.split_at(body.len() * STEP);
    add_edge(s, at_head, head);
    add_blocks(s, at_body, body);
    add_edge(s, at_tail, tail);
}

/// Fills whole blocks.
#[inline(always)]
fn add_blocks<S: Simd, T: Lane, A: Addend, E: Lane, B: Block<E>>(
    s: S,
    sources: Sources<T, A>,
    out: &mut [B],
) {
    let rows = sources.row.as_chunks::<STEP>().0;
    let addends = sources.addend.as_chunks::<STEP>().0;
    let aheads = sources.ahead.as_chunks::<STEP>().0;
    for (((row, addend), ahead), out) in rows.iter().zip(addends).zip(aheads).zip(out) {
        s.prefetch(ahead);
        let ([row_0, row_1], [addend_0, addend_1]) = (halves(row), halves(addend));
        out.put(s, [sum(s, row_0, addend_0), sum(s, row_1, addend_1)]);
    }
}

/// The two vectors of a step.
#[inline(always)]
fn halves<T>(step: &[T; STEP]) -> [&[T; LANES]; 2] {
    let halves = step.as_chunks().0;
    [&halves[0], &halves[1]]
}

#[inline(always)]
fn sum<S: Simd, T: Lane, A: Addend>(s: S, row: &[T; LANES], addend: &[A; LANES]) -> S::F32x16 {
    A::add_vector(s, T::load(s, row), addend)
}

/// Fills fewer elements than a block has, with regular stores.
#[inline(always)]
fn add_edge<S: Simd, T: Lane, A: Addend, E: Lane>(s: S, sources: Sources<T, A>, out: &mut [E]) {
    let (rows, row_rest) = sources.row.as_chunks::<LANES>();
    let (addends, addend_rest) = sources.addend.as_chunks::<LANES>();
    let (outs, out_rest) = out.as_chunks_mut::<LANES>();
    for ((row, addend), out) in rows.iter().zip(addends).zip(outs) {
        E::store(s, sum(s, row, addend), out);
    }
    for ((token, addend), out) in row_rest.iter().zip(addend_rest).zip(out_rest) {
        *out = E::round(addend.add(token.widen()));
    }
}
