//! The rotary embedding's angles (RoFormer): each pair of columns in a row is rotated.
//!
//! A pair `(a, b)` at a position whose angle has cosine `c` and sine `s` becomes
//! `(a*c - b*s, b*c + a*s)`. Cosine and sine are computed in double precision and rounded to f32;
//! the four products, the difference and the sum are rounded to f32 each; no multiply-add is fused.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shardmill_core::choice;
use shardmill_core::map::Buffer;

use super::super::zeroed_f32;
use super::{check_base, rates, sin_cos};
use crate::error::{Error, Result};

choice! {
    /// Which columns make a pair.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum RopeStyle {
        /// Columns `2i` and `2i + 1`, as in RoFormer and GPT-J.
        #[default]
        Interleaved = "interleaved",
        /// Columns `i` and `i + dim/2`, as in GPT-NeoX and Llama.
        Half = "half",
    }
}

/// Rotary positions: the angles by which a [`Gatherer`](crate::Gatherer) rotates the rows of each
/// position. Cloning shares them.
///
/// ```
/// use shardmill::{Gatherer, Table};
/// use shardmill::table::{Rope, RopeStyle};
///
/// let token = Table::from_vec(1, 4, vec![1.0_f32, 0.0, 0.0, 1.0])?;
/// let rope = Rope::new(RopeStyle::Interleaved, 2, 4, 10_000.0)?;
/// let gatherer = Gatherer::new(token, None)?.with_rope(rope)?;
/// let mut out = [0.0_f32; 8];
/// gatherer.gather_into(&[0, 0], 2, &mut out)?;
/// assert_eq!(out[..4], [1.0, 0.0, 0.0, 1.0]);
/// assert_eq!(out[4..6], [1.0_f32.cos(), 1.0_f32.sin()]);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone)]
pub struct Rope {
    style: RopeStyle,
    rows: usize,
    dim: usize,
    /// One row of `dim` elements for each position, in the order in which they are used: pairs of
    /// cosine and sine for interleaved columns; all cosines, then all sines for halves.
    angles: Arc<Buffer<f32>>,
}

impl Rope {
    /// The angles `position * base^(-2i/dim)` of `rows` positions, for rows of `dim` elements.
    ///
    /// # Errors
    /// [`Error::Shape`] if `dim` is odd or 0, or there is not enough memory for the angles;
    /// [`Error::Config`] if `base` is not a number of 1 or more.
    pub fn new(style: RopeStyle, rows: usize, dim: usize, base: f64) -> Result<Self> {
        Self::check(dim, base)?;
        let rates = rates(base, dim).map_err(Error::io("rope", "cannot compute"))?;
        let mut angles = zeroed_f32(rows, dim)?;
        for (position, row) in angles.chunks_exact_mut(dim).enumerate() {
            match style {
                RopeStyle::Interleaved => fill_pairs(position, &rates, row),
                RopeStyle::Half => fill_halves(position, &rates, row),
            }
        }
        Ok(Self {
            style,
            rows,
            dim,
            angles: Arc::new(angles),
        })
    }

    /// Checks what [`new`](Self::new) refuses, before any memory is allocated.
    pub(crate) fn check(dim: usize, base: f64) -> Result<()> {
        check_base("base", base)?;
        if dim == 0 || !dim.is_multiple_of(2) {
            return Err(Error::shape((
                format!(
                    "rotary positions turn pairs of columns, and rows of {dim} elements are not \
                     made of pairs"
                ),
                "use tables of an even dim",
            )));
        }
        Ok(())
    }

    /// Which columns make a pair.
    pub fn style(&self) -> RopeStyle {
        self.style
    }

    /// The number of positions that have angles.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of elements of a rotated row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn angles(&self) -> &[f32] {
        &self.angles
    }
}

/// Shows the sizes; never the angles.
impl fmt::Debug for Rope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rope")
            .field("style", &self.style)
            .field("rows", &self.rows)
            .field("dim", &self.dim)
            .finish_non_exhaustive()
    }
}

/// Computes the row of one position: a cosine and a sine for each pair of columns.
#[expect(clippy::cast_possible_truncation, reason = "the one rounding")]
pub(super) fn fill_pairs(position: usize, rates: &[f64], row: &mut [f32]) {
    for (pair, rate) in row.as_chunks_mut::<2>().0.iter_mut().zip(rates) {
        let (sin, cos) = sin_cos(position, *rate);
        *pair = [cos as f32, sin as f32];
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the one rounding")]
fn fill_halves(position: usize, rates: &[f64], row: &mut [f32]) {
    let (cosines, sines) = row.split_at_mut(rates.len());
    for ((cosine, sine), rate) in cosines.iter_mut().zip(sines).zip(rates) {
        let (sin, cos) = sin_cos(position, *rate);
        (*cosine, *sine) = (cos as f32, sin as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_have_the_same_angles() {
        let pairs = Rope::new(RopeStyle::Interleaved, 5, 6, 500.0).unwrap();
        let halves = Rope::new(RopeStyle::Half, 5, 6, 500.0).unwrap();
        let rows = pairs.angles().chunks(6).zip(halves.angles().chunks(6));
        for (pairs, halves) in rows {
            for i in 0..3 {
                assert_eq!(pairs[2 * i..2 * i + 2], [halves[i], halves[i + 3]]);
            }
        }
        assert_eq!(
            (halves.style(), halves.rows(), halves.dim()),
            (RopeStyle::Half, 5, 6)
        );
    }

    #[test]
    fn what_has_no_pairs_is_refused() {
        for dim in [0, 1, 7] {
            let error = Rope::new(RopeStyle::Half, 2, dim, 1e4).unwrap_err();
            assert!(error.to_string().contains("even dim"), "{error}");
        }
        for base in [0.0, 0.99, -1.0, f64::NAN, f64::INFINITY] {
            let error = Rope::new(RopeStyle::Half, 2, 8, base).unwrap_err();
            assert!(error.to_string().starts_with("base: is "), "{error}");
        }
        assert!(Rope::new(RopeStyle::Half, usize::MAX, 8, 1e4).is_err());
    }

    #[test]
    fn debug_shows_no_angles() {
        let rope = Rope::new(RopeStyle::Half, 1000, 8, 1e4).unwrap();
        assert!(format!("{rope:?}").len() < 80);
    }
}
