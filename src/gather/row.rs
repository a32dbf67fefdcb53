//! Fills a piece of one output row: safe code, generic over [`Simd`].
//!
//! One fused pass: widen, [`Change`] the elements, round once, with two vectors of sixteen elements
//! per step. The remainders at a piece's ends go through a single vector and then the scalar
//! specification.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined into the entered function loses its instructions"
)]

use std::{array, iter};

use shardmill_core::simd::{LANES, LINES_ELEMENTS, Lines, Simd};

use super::lane::Lane;

/// The number of elements in one step of the inner loop; for any type they fill whole cache lines.
const STEP: usize = LINES_ELEMENTS;

/// What is done to the elements of a token row.
pub(super) trait Change<'a, T: Lane>: Copy {
    /// The number of elements that must stay together.
    const UNIT: usize = 1;
    /// What it needs besides the row.
    type Operands: Operands;

    /// Changes one vector.
    fn apply<S: Simd>(
        self,
        s: S,
        values: S::F32x16,
        operands: <Self::Operands as Operands>::Vector,
    ) -> S::F32x16;
    /// Changes elements that are too few for a vector, or all elements: the specification.
    fn fill_rest<E: Lane>(self, row: &[T], operands: Self::Operands, out: &mut [E]);
}

/// What a change needs besides the row: nothing, a slice as long as the row, or two such operands.
pub(super) trait Operands: Copy {
    /// The operands of one vector.
    type Vector: Copy;

    fn split_at(self, at: usize) -> (Self, Self);
    /// The operands of each `N` whole vectors.
    fn vectors<const N: usize>(self) -> impl Iterator<Item = [Self::Vector; N]>;
}

impl Operands for () {
    type Vector = ();

    #[inline(always)]
    fn split_at(self, _at: usize) -> (Self, Self) {
        ((), ())
    }

    #[inline(always)]
    fn vectors<const N: usize>(self) -> impl Iterator<Item = [(); N]> {
        iter::repeat([(); N])
    }
}

impl<'a, E> Operands for &'a [E] {
    type Vector = &'a [E; LANES];

    #[inline(always)]
    fn split_at(self, at: usize) -> (Self, Self) {
        <[E]>::split_at(self, at)
    }

    #[inline(always)]
    fn vectors<const N: usize>(self) -> impl Iterator<Item = [Self::Vector; N]> {
        let vectors = self.as_chunks::<LANES>().0;
        vectors.as_chunks::<N>().0.iter().map(<[_; N]>::each_ref)
    }
}

impl<A: Operands, B: Operands> Operands for (A, B) {
    type Vector = (A::Vector, B::Vector);

    #[inline(always)]
    fn split_at(self, at: usize) -> (Self, Self) {
        let (a, a_rest) = self.0.split_at(at);
        let (b, b_rest) = self.1.split_at(at);
        ((a, b), (a_rest, b_rest))
    }

    #[inline(always)]
    fn vectors<const N: usize>(self) -> impl Iterator<Item = [Self::Vector; N]> {
        let pairs = self.0.vectors::<N>().zip(self.1.vectors::<N>());
        pairs.map(|(a, b)| array::from_fn(|i| (a[i], b[i])))
    }
}

/// [`STEP`] elements of output, with the kind of stores that write them.
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

/// A piece of an output row, and what it is made from; all slices have the same length.
pub(super) struct Span<'a, T, E> {
    /// The piece of the token row.
    pub(super) row: &'a [T],
    /// The piece of a later token row to prefetch meanwhile.
    pub(super) ahead: &'a [T],
    /// Whether to write past the caches.
    pub(super) stream: bool,
    /// The output.
    pub(super) out: &'a mut [E],
}

impl<T: Lane, E: Lane> Span<'_, T, E> {
    #[inline(always)]
    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let (row, row_rest) = self.row.split_at(at);
        let (ahead, ahead_rest) = self.ahead.split_at(at);
        let (out, out_rest) = self.out.split_at_mut(at);
        let stream = self.stream;
        let first = Self {
            row,
            ahead,
            stream,
            out,
        };
        let rest = Self {
            row: row_rest,
            ahead: ahead_rest,
            stream,
            out: out_rest,
        };
        (first, rest)
    }

    /// Fills the output with the changed row; `operands` are as long as the span.
    #[inline(always)]
    pub(super) fn fill<'o, S: Simd, C: Change<'o, T>>(
        self,
        s: S,
        change: C,
        operands: C::Operands,
    ) {
        let Self {
            row,
            ahead,
            stream,
            out,
        } = self;
        if S::IS_PLAIN {
            return change.fill_rest(row, operands, out);
        }
        let inputs = Inputs {
            row,
            ahead,
            operands,
        };
        if stream {
            let (head, body, tail) = bytemuck::pod_align_to_mut::<E, Lines<E>>(out);
            if head.len().is_multiple_of(C::UNIT) {
                return fill_pieces(s, change, inputs, head, body, tail);
            }
        }
        let (body, tail) = out.as_chunks_mut::<STEP>();
        fill_pieces(s, change, inputs, &mut [], body, tail);
    }
}

/// What output is made from, and what to prefetch meanwhile; all of the same length.
#[derive(Clone, Copy)]
struct Inputs<'a, T, O> {
    row: &'a [T],
    ahead: &'a [T],
    operands: O,
}

impl<T, O: Operands> Inputs<'_, T, O> {
    #[inline(always)]
    fn split_at(self, at: usize) -> (Self, Self) {
        let (row, row_rest) = self.row.split_at(at);
        let (ahead, ahead_rest) = self.ahead.split_at(at);
        let (operands, operands_rest) = self.operands.split_at(at);
        let first = Self {
            row,
            ahead,
            operands,
        };
        let rest = Self {
            row: row_rest,
            ahead: ahead_rest,
            operands: operands_rest,
        };
        (first, rest)
    }
}

/// Fills one piece, given in three parts.
#[inline(always)]
fn fill_pieces<'a, S: Simd, T: Lane, C: Change<'a, T>, E: Lane, B: Block<E>>(
    s: S,
    change: C,
    inputs: Inputs<T, C::Operands>,
    head: &mut [E],
    body: &mut [B],
    tail: &mut [E],
) {
    let (head_inputs, inputs) = inputs.split_at(head.len());
    let (body_inputs, tail_inputs) = inputs.split_at(body.len() * STEP);
    fill_edge(s, change, head_inputs, head);
    fill_blocks(s, change, body_inputs, body);
    fill_edge(s, change, tail_inputs, tail);
}

/// Fills whole blocks.
#[inline(always)]
fn fill_blocks<'a, S: Simd, T: Lane, C: Change<'a, T>, E: Lane, B: Block<E>>(
    s: S,
    change: C,
    inputs: Inputs<T, C::Operands>,
    out: &mut [B],
) {
    let steps = (inputs.row.vectors()).zip(inputs.operands.vectors());
    let aheads = inputs.ahead.as_chunks::<STEP>().0;
    for ((([row_0, row_1], [operands_0, operands_1]), ahead), out) in steps.zip(aheads).zip(out) {
        s.prefetch(ahead);
        let changed = [
            change.apply(s, T::load(s, row_0), operands_0),
            change.apply(s, T::load(s, row_1), operands_1),
        ];
        out.put(s, changed);
    }
}

/// Fills fewer elements than a block, with regular stores.
#[inline(always)]
fn fill_edge<'a, S: Simd, T: Lane, C: Change<'a, T>, E: Lane>(
    s: S,
    change: C,
    inputs: Inputs<T, C::Operands>,
    out: &mut [E],
) {
    let (rows, row_rest) = inputs.row.as_chunks::<LANES>();
    let (outs, out_rest) = out.as_chunks_mut::<LANES>();
    let (operands, operands_rest) = inputs.operands.split_at(rows.len() * LANES);
    for ((row, [operands]), out) in rows.iter().zip(operands.vectors()).zip(outs) {
        E::store(s, change.apply(s, T::load(s, row), operands), out);
    }
    change.fill_rest(row_rest, operands_rest, out_rest);
}
