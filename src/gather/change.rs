//! What a position does to a token row: nothing, add a row, or rotate pairs of columns.
//!
//! A [`PerPosition`] holds the rows of all positions. It fills a piece of one output row at a time,
//! or the two halves of a whole row, each with a [`Change`].
//!
//! | Change | Output element |
//! | --- | --- |
//! | [`Unchanged`] | `x`: adding zeros instead would turn -0 into +0 |
//! | [`Add`] | `x + p` |
//! | [`TurnPairs`] | `a*c - b*s` in even columns, `b*c + a*s` in odd ones |
//! | [`TurnHalf`] | `a*c - b*s` in the first half, `b*c + a*s` in the second |
//!
//! Every product, sum and difference is rounded to f32 separately: no multiply-add is fused, so
//! every level produces the same bits.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined into the entered function loses its instructions"
)]

use shardmill_core::simd::{LANES, Simd};

use super::lane::Lane;
use super::row::{Change, Operands, Span};
use super::tuning::POSITION_ELEMENTS_AHEAD;

/// The rows of all positions.
pub(super) trait PerPosition: Copy + Send + Sync {
    /// Whether there are rows that are worth keeping in the caches.
    const HAS_ROWS: bool;
    /// The number of parts that an output row is cut into. A single part may be filled piece by
    /// piece, where each piece but the last has an even number of columns; several parts are filled
    /// at once.
    const PARTS: usize = 1;

    /// Fills part of one output row of `position`: the columns from `column` on, as many as `span`
    /// has.
    fn fill<S: Simd, T: Lane, E: Lane>(
        self,
        s: S,
        position: usize,
        column: usize,
        span: Span<T, E>,
    );
}

/// A row of `dim` elements for each position.
#[derive(Clone, Copy, Debug)]
pub(super) struct PositionRows<'a> {
    pub(super) elements: &'a [f32],
    pub(super) dim: usize,
}

impl<'a> PositionRows<'a> {
    /// `columns` elements of one row, from `column` on.
    #[inline(always)]
    fn piece(self, position: usize, column: usize, columns: usize) -> &'a [f32] {
        &self.elements[position * self.dim + column..][..columns]
    }
}

/// No positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoRows;

impl PerPosition for NoRows {
    const HAS_ROWS: bool = false;

    #[inline(always)]
    fn fill<S: Simd, T: Lane, E: Lane>(
        self,
        s: S,
        _position: usize,
        _column: usize,
        span: Span<T, E>,
    ) {
        span.fill(s, Unchanged, ());
    }
}

/// Leaves the row as it is.
#[derive(Clone, Copy, Debug)]
struct Unchanged;

impl<T: Lane> Change<'_, T> for Unchanged {
    type Operands = ();

    #[inline(always)]
    fn apply<S: Simd>(self, _s: S, values: S::F32x16, (): ()) -> S::F32x16 {
        values
    }

    #[inline(always)]
    fn fill_rest<E: Lane>(self, row: &[T], (): (), out: &mut [E]) {
        for (value, out) in row.iter().zip(out) {
            *out = E::round(value.widen());
        }
    }
}

/// How the rows to add are prefetched. A type and not a value, so that the inner loop has no branch.
pub(super) trait Hint: Copy + Send + Sync {
    /// Prefetches the elements of the row, or of later rows, some way after `added`.
    fn prefetch_after<S: Simd>(s: S, added: &[f32; LANES]);
}

/// Not at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoHint;

impl Hint for NoHint {
    #[inline(always)]
    fn prefetch_after<S: Simd>(_s: S, _added: &[f32; LANES]) {}
}

/// As elements that are used once if `ONCE`, otherwise into all caches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead<const ONCE: bool>;

impl<const ONCE: bool> Hint for Ahead<ONCE> {
    #[inline(always)]
    fn prefetch_after<S: Simd>(s: S, added: &[f32; LANES]) {
        s.prefetch_after::<ONCE, _, _>(added, POSITION_ELEMENTS_AHEAD);
    }
}

/// Rows to add.
#[derive(Clone, Copy, Debug)]
pub(super) struct AddedRows<'a, H>(pub(super) PositionRows<'a>, pub(super) H);

impl<H: Hint> PerPosition for AddedRows<'_, H> {
    const HAS_ROWS: bool = true;

    #[inline(always)]
    fn fill<S: Simd, T: Lane, E: Lane>(
        self,
        s: S,
        position: usize,
        column: usize,
        span: Span<T, E>,
    ) {
        let added = self.0.piece(position, column, span.out.len());
        span.fill(s, Add(self.1), added);
    }
}

/// Adds a row.
#[derive(Clone, Copy, Debug)]
struct Add<H>(H);

impl<'a, T: Lane, H: Hint> Change<'a, T> for Add<H> {
    type Operands = &'a [f32];

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, values: S::F32x16, added: &'a [f32; LANES]) -> S::F32x16 {
        H::prefetch_after(s, added);
        s.add(values, s.load_f32(added))
    }

    #[inline(always)]
    fn fill_rest<E: Lane>(self, row: &[T], added: &'a [f32], out: &mut [E]) {
        for ((value, added), out) in row.iter().zip(added).zip(out) {
            *out = E::round(value.widen() + added);
        }
    }
}

/// A pair rotated by an angle: the specification.
#[inline(always)]
fn turn([a, b]: [f32; 2], [cosine, sine]: [f32; 2]) -> [f32; 2] {
    [a * cosine - b * sine, b * cosine + a * sine]
}

/// Angles by which pairs of adjacent columns are rotated: rows of a cosine and a sine for each
/// pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairAngles<'a>(pub(super) PositionRows<'a>);

impl PerPosition for PairAngles<'_> {
    const HAS_ROWS: bool = true;

    #[inline(always)]
    fn fill<S: Simd, T: Lane, E: Lane>(
        self,
        s: S,
        position: usize,
        column: usize,
        span: Span<T, E>,
    ) {
        let angles = self.0.piece(position, column, span.out.len());
        span.fill(s, TurnPairs, angles);
    }
}

/// Rotates pairs of adjacent columns, by a cosine and a sine for each pair.
#[derive(Clone, Copy, Debug)]
struct TurnPairs;

impl<'a, T: Lane> Change<'a, T> for TurnPairs {
    const UNIT: usize = 2;
    type Operands = &'a [f32];

    #[inline(always)]
    fn apply<S: Simd>(self, s: S, values: S::F32x16, angles: &'a [f32; LANES]) -> S::F32x16 {
        s.turn_pairs(values, s.load_f32(angles))
    }

    #[inline(always)]
    fn fill_rest<E: Lane>(self, row: &[T], angles: &'a [f32], out: &mut [E]) {
        let pairs = row.as_chunks::<2>().0.iter().zip(angles.as_chunks().0);
        for ((pair, angle), out) in pairs.zip(out.as_chunks_mut::<2>().0) {
            *out = turn(pair.map(T::widen), *angle).map(E::round);
        }
    }
}

/// Angles by which columns half a row apart are rotated: rows of all cosines, then all sines.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfAngles<'a>(pub(super) PositionRows<'a>);

impl PerPosition for HalfAngles<'_> {
    const HAS_ROWS: bool = true;
    const PARTS: usize = 2;

    #[inline(always)]
    fn fill<S: Simd, T: Lane, E: Lane>(
        self,
        s: S,
        position: usize,
        column: usize,
        span: Span<T, E>,
    ) {
        let half = self.0.dim / 2;
        let angles = self
            .0
            .piece(position, column, span.out.len())
            .split_at(half);
        let (first, second) = span.split_at(half);
        let (first_row, second_row) = (first.row, second.row);
        first.fill(s, TurnHalf::<false>, (second_row, angles));
        second.fill(s, TurnHalf::<true>, (first_row, angles));
    }
}

/// Rotates one half of a row, using the other half, cosines and sines.
#[derive(Clone, Copy, Debug)]
struct TurnHalf<const IS_SECOND: bool>;

impl<'a, T: Lane, const IS_SECOND: bool> Change<'a, T> for TurnHalf<IS_SECOND> {
    type Operands = (&'a [T], (&'a [f32], &'a [f32]));

    #[inline(always)]
    fn apply<S: Simd>(
        self,
        s: S,
        values: S::F32x16,
        (partners, (cosines, sines)): <Self::Operands as Operands>::Vector,
    ) -> S::F32x16 {
        let own = s.mul(values, s.load_f32(cosines));
        let partners = s.mul(T::load(s, partners), s.load_f32(sines));
        if IS_SECOND {
            s.add(own, partners)
        } else {
            s.sub(own, partners)
        }
    }

    #[inline(always)]
    fn fill_rest<E: Lane>(
        self,
        row: &[T],
        (partners, (cosines, sines)): Self::Operands,
        out: &mut [E],
    ) {
        let pairs = row.iter().zip(partners);
        let angles = cosines.iter().zip(sines);
        for (((own, partner), (cosine, sine)), out) in pairs.zip(angles).zip(out) {
            let (own, partner) = (own.widen(), partner.widen());
            *out = E::round(if IS_SECOND {
                turn([partner, own], [*cosine, *sine])[1]
            } else {
                turn([own, partner], [*cosine, *sine])[0]
            });
        }
    }
}
