//! What a position does to a token row: nothing, add a row, or turn pairs of columns.
//!
//! A [`PerPosition`] holds the rows of all positions and fills a piece of one output row at a time,
//! or the two halves of a whole one. Each is filled with a [`Change`], which goes along it in the
//! same steps: two vectors, one vector, the rest by the scalar specification.
//!
//! | Change | Output element |
//! | --- | --- |
//! | [`Nothing`] | `x`: adding zeros instead would turn -0 into +0 |
//! | [`Added`] | `x + p` |
//! | [`TurnedPairs`] | `a*c - b*s` in even columns, `b*c + a*s` in odd ones |
//! | [`TurnedHalf`] | `a*c - b*s` in the first half, `b*c + a*s` in the second |
//!
//! Every product, sum and difference is rounded to f32 by itself: no multiply-add is fused, so that
//! every level gives the same bits.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined into the entered function loses its instructions"
)]

use std::iter;

use super::kernel::{Rows, STEP, fill, halves};
use super::lane::Lane;
use super::tile::PIECE_ELEMENTS;
use crate::simd::{LANES, Simd};

/// The rows of all positions.
pub(super) trait PerPosition: Copy + Send + Sync {
    /// Whether there are rows that are worth keeping in the caches.
    const HAS_ROWS: bool;
    /// Into how many parts an output row is cut. One part may be filled piece by piece, each of an
    /// even number of columns but the last; of more, all is filled at once.
    const PARTS: usize = 1;

    /// Fills the columns from `column` on of one output row of `position`, as many as `out` has.
    fn fill<S: Simd, T: Lane, E: Lane>(
        self,
        s: S,
        position: usize,
        column: usize,
        rows: Rows<T>,
        stream: bool,
        out: &mut [E],
    );
}

/// What is done to a part of a token row; as long as the part.
pub(super) trait Change<T: Lane>: Copy {
    /// Elements that cannot be parted.
    const UNIT: usize = 1;
    /// What is done to one vector.
    type Vector: Copy;

    fn split_at(self, at: usize) -> (Self, Self);
    /// What is done to each whole step.
    fn steps(self) -> impl Iterator<Item = [Self::Vector; 2]>;
    /// What is done to each whole vector.
    fn vectors(self) -> impl Iterator<Item = Self::Vector>;
    /// Does it to one vector.
    fn apply<S: Simd>(s: S, values: S::F32x16, change: Self::Vector) -> S::F32x16;
    /// Does it to elements that are too few for a vector, or to all of them: the specification.
    fn fill_rest<E: Lane>(self, row: &[T], out: &mut [E]);
}

#[inline(always)]
fn steps<T>(slice: &[T]) -> impl Iterator<Item = [&[T; LANES]; 2]> {
    slice.as_chunks::<STEP>().0.iter().map(halves)
}

#[inline(always)]
fn vectors<T>(slice: &[T]) -> impl Iterator<Item = &[T; LANES]> {
    slice.as_chunks::<LANES>().0.iter()
}

/// No positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nothing;

impl PerPosition for Nothing {
    const HAS_ROWS: bool = false;

    #[inline(always)]
    fn fill<S: Simd, T: Lane, E: Lane>(
        self,
        s: S,
        _position: usize,
        _column: usize,
        rows: Rows<T>,
        stream: bool,
        out: &mut [E],
    ) {
        fill(s, rows, self, stream, out);
    }
}

impl<T: Lane> Change<T> for Nothing {
    type Vector = ();

    #[inline(always)]
    fn split_at(self, _at: usize) -> (Self, Self) {
        (self, self)
    }

    #[inline(always)]
    fn steps(self) -> impl Iterator<Item = [(); 2]> {
        iter::repeat([(); 2])
    }

    #[inline(always)]
    fn vectors(self) -> impl Iterator<Item = ()> {
        iter::repeat(())
    }

    #[inline(always)]
    fn apply<S: Simd>(_s: S, values: S::F32x16, (): ()) -> S::F32x16 {
        values
    }

    #[inline(always)]
    fn fill_rest<E: Lane>(self, row: &[T], out: &mut [E]) {
        for (value, out) in row.iter().zip(out) {
            *out = E::round(value.widen());
        }
    }
}

/// A table of rows to add, `dim` elements each.
#[derive(Clone, Copy, Debug)]
pub(super) struct AddedRows<'a> {
    pub(super) rows: &'a [f32],
    pub(super) dim: usize,
}

impl PerPosition for AddedRows<'_> {
    const HAS_ROWS: bool = true;

    #[inline(always)]
    fn fill<S: Simd, T: Lane, E: Lane>(
        self,
        s: S,
        position: usize,
        column: usize,
        rows: Rows<T>,
        stream: bool,
        out: &mut [E],
    ) {
        let added = Added(&self.rows[position * self.dim + column..][..out.len()]);
        fill(s, rows, added, stream, out);
    }
}

/// One row to add.
#[derive(Clone, Copy, Debug)]
struct Added<'a>(&'a [f32]);

impl<'a, T: Lane> Change<T> for Added<'a> {
    type Vector = &'a [f32; LANES];

    #[inline(always)]
    fn split_at(self, at: usize) -> (Self, Self) {
        let (before, after) = self.0.split_at(at);
        (Self(before), Self(after))
    }

    #[inline(always)]
    fn steps(self) -> impl Iterator<Item = [Self::Vector; 2]> {
        steps(self.0)
    }

    #[inline(always)]
    fn vectors(self) -> impl Iterator<Item = Self::Vector> {
        vectors(self.0)
    }

    #[inline(always)]
    fn apply<S: Simd>(s: S, values: S::F32x16, added: Self::Vector) -> S::F32x16 {
        // The processor's own prefetcher loses the row where a piece of it ends, and fills the outer
        // caches with it, where token rows are of more use. Without this, rows of 12288 take 6 to 19 %
        // longer on Zen 4, rows of 4096 to f16 up to 12 %, others as long.
        s.prefetch_after(added, PIECE_ELEMENTS);
        s.add(values, s.load_f32(added))
    }

    #[inline(always)]
    fn fill_rest<E: Lane>(self, row: &[T], out: &mut [E]) {
        for ((value, added), out) in row.iter().zip(self.0).zip(out) {
            *out = E::round(value.widen() + added);
        }
    }
}

/// A pair turned by an angle: the specification.
#[inline(always)]
fn turn([a, b]: [f32; 2], [cosine, sine]: [f32; 2]) -> [f32; 2] {
    [a * cosine - b * sine, b * cosine + a * sine]
}

/// Angles by which pairs of neighbours are turned: rows of `dim` elements, a cosine and a sine for
/// each pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairAngles<'a> {
    pub(super) rows: &'a [f32],
    pub(super) dim: usize,
}

impl PerPosition for PairAngles<'_> {
    const HAS_ROWS: bool = true;

    #[inline(always)]
    fn fill<S: Simd, T: Lane, E: Lane>(
        self,
        s: S,
        position: usize,
        column: usize,
        rows: Rows<T>,
        stream: bool,
        out: &mut [E],
    ) {
        let turned = TurnedPairs(&self.rows[position * self.dim + column..][..out.len()]);
        fill(s, rows, turned, stream, out);
    }
}

/// One row of angles, a cosine and a sine for each pair of neighbours.
#[derive(Clone, Copy, Debug)]
struct TurnedPairs<'a>(&'a [f32]);

impl<'a, T: Lane> Change<T> for TurnedPairs<'a> {
    const UNIT: usize = 2;
    type Vector = &'a [f32; LANES];

    #[inline(always)]
    fn split_at(self, at: usize) -> (Self, Self) {
        let (before, after) = self.0.split_at(at);
        (Self(before), Self(after))
    }

    #[inline(always)]
    fn steps(self) -> impl Iterator<Item = [Self::Vector; 2]> {
        steps(self.0)
    }

    #[inline(always)]
    fn vectors(self) -> impl Iterator<Item = Self::Vector> {
        vectors(self.0)
    }

    #[inline(always)]
    fn apply<S: Simd>(s: S, values: S::F32x16, angles: Self::Vector) -> S::F32x16 {
        s.turn_pairs(values, s.load_f32(angles))
    }

    #[inline(always)]
    fn fill_rest<E: Lane>(self, row: &[T], out: &mut [E]) {
        let pairs = row.as_chunks::<2>().0.iter().zip(self.0.as_chunks().0);
        for ((pair, angle), out) in pairs.zip(out.as_chunks_mut::<2>().0) {
            *out = turn(pair.map(T::widen), *angle).map(E::round);
        }
    }
}

/// Angles by which columns half a row apart are turned: rows of `dim` elements, all cosines, then
/// all sines.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfAngles<'a> {
    pub(super) rows: &'a [f32],
    pub(super) dim: usize,
}

impl PerPosition for HalfAngles<'_> {
    const HAS_ROWS: bool = true;
    const PARTS: usize = 2;

    #[inline(always)]
    fn fill<S: Simd, T: Lane, E: Lane>(
        self,
        s: S,
        position: usize,
        _column: usize,
        rows: Rows<T>,
        stream: bool,
        out: &mut [E],
    ) {
        let half = self.dim / 2;
        let (cosines, sines) = self.rows[position * self.dim..][..self.dim].split_at(half);
        let (first, second) = rows.split_at(half);
        let (first_out, second_out) = out.split_at_mut(half);
        let turned = TurnedHalf::<T, false> {
            partners: second.row,
            cosines,
            sines,
        };
        fill(s, first, turned, stream, first_out);
        let turned = TurnedHalf::<T, true> {
            partners: first.row,
            cosines,
            sines,
        };
        fill(s, second, turned, stream, second_out);
    }
}

/// One half of a row of angles, and the other half of the token row.
#[derive(Clone, Copy, Debug)]
struct TurnedHalf<'a, T, const IS_SECOND: bool> {
    partners: &'a [T],
    cosines: &'a [f32],
    sines: &'a [f32],
}

/// The same for one vector.
#[derive(Clone, Copy, Debug)]
struct TurnedVector<'a, T> {
    partners: &'a [T; LANES],
    cosines: &'a [f32; LANES],
    sines: &'a [f32; LANES],
}

impl<'a, T: Lane, const IS_SECOND: bool> Change<T> for TurnedHalf<'a, T, IS_SECOND> {
    type Vector = TurnedVector<'a, T>;

    #[inline(always)]
    fn split_at(self, at: usize) -> (Self, Self) {
        let (partners, partners_after) = self.partners.split_at(at);
        let (cosines, cosines_after) = self.cosines.split_at(at);
        let (sines, sines_after) = self.sines.split_at(at);
        let after = Self {
            partners: partners_after,
            cosines: cosines_after,
            sines: sines_after,
        };
        let before = Self {
            partners,
            cosines,
            sines,
        };
        (before, after)
    }

    #[inline(always)]
    fn steps(self) -> impl Iterator<Item = [Self::Vector; 2]> {
        let angles = steps(self.cosines).zip(steps(self.sines));
        steps(self.partners)
            .zip(angles)
            .map(|(partners, (cosines, sines))| {
                [0, 1].map(|half| TurnedVector {
                    partners: partners[half],
                    cosines: cosines[half],
                    sines: sines[half],
                })
            })
    }

    #[inline(always)]
    fn vectors(self) -> impl Iterator<Item = Self::Vector> {
        let angles = vectors(self.cosines).zip(vectors(self.sines));
        vectors(self.partners)
            .zip(angles)
            .map(|(partners, (cosines, sines))| TurnedVector {
                partners,
                cosines,
                sines,
            })
    }

    #[inline(always)]
    fn apply<S: Simd>(s: S, values: S::F32x16, change: Self::Vector) -> S::F32x16 {
        let own = s.mul(values, s.load_f32(change.cosines));
        let partners = s.mul(T::load(s, change.partners), s.load_f32(change.sines));
        if IS_SECOND {
            s.add(own, partners)
        } else {
            s.sub(own, partners)
        }
    }

    #[inline(always)]
    fn fill_rest<E: Lane>(self, row: &[T], out: &mut [E]) {
        let pairs = row.iter().zip(self.partners);
        let angles = self.cosines.iter().zip(self.sines);
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
