//! Fills a tile of output rows: safe code, generic over [`Simd`].
//!
//! One fused pass: widen, do to the element what its position does ([`change`](super::change)),
//! one rounding, two vectors of sixteen elements per step. What is left at a row's ends goes
//! through a single vector and then the scalar specification.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined into the entered function loses its instructions"
)]

use super::change::{Change, PerPosition};
use super::lane::Lane;
use super::tile::{Order, Place, Tile, prefetch_pieces};
use crate::simd::{Kernel, LANES, LINES_ELEMENTS, Lines, Simd};

/// Elements of one step of the inner loop, of which any type fills whole cache lines.
pub(super) const STEP: usize = LINES_ELEMENTS;

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
pub(super) struct Gather<'a, 't, T, P, E> {
    /// Token rows, `dim` elements each; every id of the tile is one of them.
    pub(super) token: &'a [T],
    /// What each position does to a row; there are as many as the sequences have.
    pub(super) positions: P,
    /// Elements of a row.
    pub(super) dim: usize,
    /// Whether to write past the caches.
    pub(super) stream: bool,
    /// In which order to go through the tile.
    pub(super) order: Order,
    /// Elements of a row to fill at once.
    pub(super) piece_elements: usize,
    /// The output and its ids.
    pub(super) tile: &'a mut Tile<'t, E>,
}

impl<T: Lane, P: PerPosition, E: Lane> Kernel for Gather<'_, '_, T, P, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            token,
            positions,
            dim,
            stream,
            order,
            piece_elements,
            tile,
        } = self;
        // The first element of what a place is made from.
        let start = |tile: &Tile<E>, place: Place| tile.id(place) as usize * dim + place.column;
        let visits = tile.visits(order, dim, piece_elements);
        let mut ahead = visits.clone();
        for _ in 0..prefetch_pieces(piece_elements * size_of::<T>()) {
            ahead.next();
        }
        for place in visits {
            let row = &token[start(tile, place)..][..place.columns];
            // A last piece may be shorter than this one: what is prefetched may go past its row.
            let ahead = ahead.next().map(|ahead| start(tile, ahead));
            let ahead = ahead.and_then(|start| token.get(start..start + place.columns));
            let rows = Rows {
                row,
                ahead: ahead.unwrap_or(row),
            };
            let position = tile.position(place);
            let out = tile.piece(place, dim);
            positions.fill(s, position, place.column, rows, stream, out);
        }
    }
}

/// The piece of a token row that a piece of an output row is made from, and the one to prefetch
/// meanwhile; of one length.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub(super) row: &'a [T],
    pub(super) ahead: &'a [T],
}

impl<T> Rows<'_, T> {
    #[inline(always)]
    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let (row, row_rest) = self.row.split_at(at);
        let (ahead, ahead_rest) = self.ahead.split_at(at);
        let rest = Self {
            row: row_rest,
            ahead: ahead_rest,
        };
        (Self { row, ahead }, rest)
    }
}

/// Fills `out` with `rows` as `change` has them; all three are of one length.
#[inline(always)]
pub(super) fn fill<S: Simd, T: Lane, C: Change<T>, E: Lane>(
    s: S,
    rows: Rows<T>,
    change: C,
    stream: bool,
    out: &mut [E],
) {
    if S::IS_PLAIN {
        return change.fill_rest(rows.row, out);
    }
    if stream {
        let (head, body, tail) = bytemuck::pod_align_to_mut::<E, Lines<E>>(out);
        if head.len().is_multiple_of(C::UNIT) {
            return fill_pieces(s, rows, change, head, body, tail);
        }
    }
    let (body, tail) = out.as_chunks_mut::<STEP>();
    fill_pieces(s, rows, change, &mut [], body, tail);
}

/// Fills one row, which is given in three pieces.
#[inline(always)]
fn fill_pieces<S: Simd, T: Lane, C: Change<T>, E: Lane, B: Block<E>>(
    s: S,
    rows: Rows<T>,
    change: C,
    head: &mut [E],
    body: &mut [B],
    tail: &mut [E],
) {
    let (head_rows, rows) = rows.split_at(head.len());
    let (body_rows, tail_rows) = rows.split_at(body.len() * STEP);
    let (head_change, change) = change.split_at(head.len());
    let (body_change, tail_change) = change.split_at(body.len() * STEP);
    fill_edge(s, head_rows, head_change, head);
    fill_blocks(s, body_rows, body_change, body);
    fill_edge(s, tail_rows, tail_change, tail);
}

/// Fills whole blocks.
#[inline(always)]
fn fill_blocks<S: Simd, T: Lane, C: Change<T>, E: Lane, B: Block<E>>(
    s: S,
    rows: Rows<T>,
    change: C,
    out: &mut [B],
) {
    let aheads = rows.ahead.as_chunks::<STEP>().0;
    let rows = rows.row.as_chunks::<STEP>().0;
    for (((row, change), ahead), out) in rows.iter().zip(change.steps()).zip(aheads).zip(out) {
        s.prefetch(ahead);
        let [row_0, row_1] = halves(row);
        out.put(
            s,
            [
                C::apply(s, T::load(s, row_0), change[0]),
                C::apply(s, T::load(s, row_1), change[1]),
            ],
        );
    }
}

/// The two vectors of a step.
#[inline(always)]
pub(super) fn halves<T>(step: &[T; STEP]) -> [&[T; LANES]; 2] {
    let halves = step.as_chunks().0;
    [&halves[0], &halves[1]]
}

/// Fills fewer elements than a block has, with regular stores.
#[inline(always)]
fn fill_edge<S: Simd, T: Lane, C: Change<T>, E: Lane>(
    s: S,
    rows: Rows<T>,
    change: C,
    out: &mut [E],
) {
    let (rows, row_rest) = rows.row.as_chunks::<LANES>();
    let (outs, out_rest) = out.as_chunks_mut::<LANES>();
    let (change, change_rest) = change.split_at(rows.len() * LANES);
    for ((row, change), out) in rows.iter().zip(change.vectors()).zip(outs) {
        E::store(s, C::apply(s, T::load(s, row), change), out);
    }
    change_rest.fill_rest(row_rest, out_rest);
}
