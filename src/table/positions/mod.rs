//! Position schemes: arrays that are computed from positions and a few sizes.
//!
//! | File | Scheme | Array |
//! | --- | --- | --- |
//! | `sinusoidal.rs` | "Attention Is All You Need", 3.5 | f32 `[seq_len, dim]` |
//! | `rope.rs` | rotary embedding, RoFormer | f32 `[seq_len, dim / 2, 2]`: cosine and sine |
//! | `relative.rs` | T5 buckets | i32 `[query_len, key_len]` |
//! | | Shaw's clipped distances | i32 `[query_len, key_len]` |
//! | | ALiBi biases | f32 `[heads, query_len, key_len]` |
//!
//! Everything is integer arithmetic, or double precision by the `libm` crate with one final
//! rounding, so no bit depends on a host library. Arrays are written row by row and never held
//! whole.
//!
//! PyTorch code computes rotary angles and sinusoids in f32, which is less exact: with 128 columns
//! and base 10,000, its values differ from these by up to 1.2e-4 in 2,048 positions and by up to
//! 7.7e-3 in 131,072.

mod relative;
mod rope;
mod sinusoidal;

use std::io;

use super::npy;
use crate::error::{Error, Result};

pub use relative::alibi_slopes;
use relative::{Span, T5Buckets, alibi_bias, shaw_index};
pub use rope::{Rope, RopeStyle};

/// The base of the wavelengths in "Attention Is All You Need" (Vaswani et al., 2017), 3.5, and in
/// "RoFormer" (Su et al., 2021), 3.2.2.
pub const ROTARY_BASE: f64 = 10_000.0;

/// A position scheme with its sizes, for [`write_positions`](crate::sink::write_positions).
///
/// ```
/// use shardmill::table::PositionScheme;
///
/// // One query, at the position of the last of three keys: decoding with a cache.
/// let (query_len, query_start, key_len) = (1, None, 3);
/// let shaw = PositionScheme::Shaw { query_len, query_start, key_len, clip_distance: 1 };
/// assert_eq!(shaw.shape(), [1, 3]);
/// let mut npy = Vec::new();
/// shaw.write_npy(&mut npy)?;
/// let indices: Vec<i32> = npy[128..].as_chunks().0.iter().map(|i| i32::from_le_bytes(*i)).collect();
/// assert_eq!(indices, [0, 0, 1]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PositionScheme {
    /// Column `2i` is `sin(position * base^(-2i/dim))`, column `2i + 1` the cosine.
    Sinusoidal {
        /// Positions.
        seq_len: u64,
        /// Columns.
        dim: u64,
        /// Ratio of the longest wavelength to the shortest.
        base: f64,
    },
    /// The rotary embedding's angles `position * base^(-2i/dim)`, each as cosine and sine, so that
    /// a pair is one complex number.
    Rope {
        /// Positions.
        seq_len: u64,
        /// Columns of the rotated rows; even.
        dim: u64,
        /// Ratio of the longest wavelength to the shortest.
        base: f64,
    },
    /// T5's bucket for each query and key (Raffel et al., 2020).
    T5 {
        /// Query positions.
        query_len: u64,
        /// The first query's position; if `None`, the last query is at the last key's position.
        query_start: Option<i32>,
        /// Key positions, from 0.
        key_len: u64,
        /// Number of buckets, for both directions together.
        num_buckets: u32,
        /// All distances from this one on share the last bucket.
        max_distance: u32,
        /// Whether keys after the query have their own buckets; otherwise they share bucket 0.
        bidirectional: bool,
    },
    /// The linear bias of each head (Press et al., 2022): `-slope * distance`.
    Alibi {
        /// Query positions.
        query_len: u64,
        /// The first query's position; if `None`, the last query is at the last key's position.
        query_start: Option<i32>,
        /// Key positions, from 0.
        key_len: u64,
        /// Attention heads.
        heads: u32,
        /// Whether keys after the query are biased by their distance; otherwise their bias is
        /// -infinity.
        bidirectional: bool,
    },
    /// The index into Shaw's table of relative positions (Shaw et al., 2018): the distance from
    /// query to key, clipped to `-clip_distance..=clip_distance`, plus `clip_distance`.
    Shaw {
        /// Query positions.
        query_len: u64,
        /// The first query's position; if `None`, the last query is at the last key's position.
        query_start: Option<i32>,
        /// Key positions, from 0.
        key_len: u64,
        /// The largest distance that is distinguished.
        clip_distance: u32,
    },
}

impl PositionScheme {
    /// The names of the schemes, in the order in which help lists them.
    pub const NAMES: [&str; 5] = ["t5", "alibi", "shaw", "rope", "sinusoidal"];

    /// The scheme's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::T5 { .. } => Self::NAMES[0],
            Self::Alibi { .. } => Self::NAMES[1],
            Self::Shaw { .. } => Self::NAMES[2],
            Self::Rope { .. } => Self::NAMES[3],
            Self::Sinusoidal { .. } => Self::NAMES[4],
        }
    }

    /// The dimensions of the array.
    pub fn shape(&self) -> Vec<u64> {
        match *self {
            Self::Sinusoidal { seq_len, dim, .. } => vec![seq_len, dim],
            Self::Rope { seq_len, dim, .. } => vec![seq_len, dim / 2, 2],
            Self::Alibi {
                query_len,
                key_len,
                heads,
                ..
            } => vec![heads.into(), query_len, key_len],
            Self::T5 {
                query_len, key_len, ..
            }
            | Self::Shaw {
                query_len, key_len, ..
            } => vec![query_len, key_len],
        }
    }

    /// The type of the elements: `i32` for indices, `f32` for everything else.
    pub const fn element_type(&self) -> &'static str {
        match self {
            Self::T5 { .. } | Self::Shaw { .. } => "i32",
            Self::Sinusoidal { .. } | Self::Rope { .. } | Self::Alibi { .. } => "f32",
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::Config`] names the size that is out of range.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::Sinusoidal { seq_len, dim, base } => {
                at_least_1("seq_len", seq_len)?;
                at_least_1("dim", dim)?;
                check_base("base", base)?;
            }
            Self::Rope { seq_len, dim, base } => {
                at_least_1("seq_len", seq_len)?;
                at_least_1("dim", dim)?;
                if !dim.is_multiple_of(2) {
                    return refuse(
                        "dim",
                        format!("is {dim}; rotary positions turn pairs of columns, so it is even"),
                    );
                }
                check_base("base", base)?;
            }
            Self::T5 {
                query_len,
                key_len,
                num_buckets,
                max_distance,
                bidirectional,
                ..
            } => {
                check_lengths(query_len, key_len)?;
                T5Buckets::check(num_buckets, max_distance, bidirectional)?;
            }
            Self::Alibi {
                query_len,
                key_len,
                heads,
                ..
            } => {
                check_lengths(query_len, key_len)?;
                at_least_1("heads", heads.into())?;
            }
            Self::Shaw {
                query_len,
                key_len,
                clip_distance,
                ..
            } => {
                check_lengths(query_len, key_len)?;
                // The largest index is twice this, and must fit in an i32.
                if !(1..=MAX_CLIP_DISTANCE).contains(&clip_distance) {
                    let what = format!("must be from 1 to {MAX_CLIP_DISTANCE}");
                    return refuse("clip_distance", what);
                }
            }
        }
        match self.npy_bytes() {
            Some(_) => Ok(()),
            None => Err(Error::shape(format!(
                "an array of shape {:?} is larger than any file",
                self.shape()
            ))),
        }
    }

    /// The size of the `.npy` file in bytes; `None` if it exceeds what a file can hold.
    pub fn npy_bytes(&self) -> Option<u64> {
        const ELEMENT_BYTES: u64 = 4;
        let header = self.npy_header().len() as u64;
        self.shape()
            .iter()
            .try_fold(ELEMENT_BYTES, |bytes, n| bytes.checked_mul(*n))
            .and_then(|bytes| bytes.checked_add(header))
            .filter(|bytes| i64::try_from(*bytes).is_ok())
    }

    fn npy_header(&self) -> Vec<u8> {
        let descr = match self.element_type() {
            "i32" => "<i4",
            _ => "<f4",
        };
        npy::npy_header(descr, &self.shape())
    }

    /// Writes the array as a `.npy` file: the same bytes that `numpy.save` would write.
    ///
    /// # Errors
    /// Of kind `InvalidInput` if the scheme is not [valid](Self::validate), `OutOfMemory` if not
    /// even a row fits in memory; otherwise those of `out`.
    pub fn write_npy(&self, mut out: impl io::Write) -> io::Result<()> {
        let invalid = |error: Error| io::Error::new(io::ErrorKind::InvalidInput, error);
        self.validate().map_err(invalid)?;
        out.write_all(&self.npy_header())?;
        match *self {
            Self::Sinusoidal { seq_len, dim, base } => {
                write_angles(out, seq_len, dim, base, sinusoidal::fill_row)
            }
            Self::Rope { seq_len, dim, base } => {
                write_angles(out, seq_len, dim, base, rope::fill_pairs)
            }
            Self::T5 {
                query_len,
                query_start,
                key_len,
                num_buckets,
                max_distance,
                bidirectional,
            } => {
                let span = Span::new(query_len, query_start, key_len)?;
                let buckets = T5Buckets::new(num_buckets, max_distance, bidirectional);
                span.write(&mut out, |distance| buckets.bucket(distance))
            }
            Self::Alibi {
                query_len,
                query_start,
                key_len,
                heads,
                bidirectional,
            } => {
                let span = Span::new(query_len, query_start, key_len)?;
                alibi_slopes(heads).into_iter().try_for_each(|slope| {
                    span.write(&mut out, |distance| {
                        alibi_bias(slope, distance, bidirectional)
                    })
                })
            }
            Self::Shaw {
                query_len,
                query_start,
                key_len,
                clip_distance,
            } => {
                let span = Span::new(query_len, query_start, key_len)?;
                span.write(&mut out, |distance| shaw_index(distance, clip_distance))
            }
        }
    }
}

const MAX_CLIP_DISTANCE: u32 = (i32::MAX / 2).cast_unsigned();

fn refuse<T>(field: &'static str, what: String) -> Result<T> {
    Err(Error::config(field, what))
}

fn at_least_1(field: &'static str, value: u64) -> Result<()> {
    if value == 0 {
        return refuse(field, "must be at least 1".to_owned());
    }
    Ok(())
}

fn check_lengths(query_len: u64, key_len: u64) -> Result<()> {
    at_least_1("query_len", query_len)?;
    at_least_1("key_len", key_len)
}

/// Checks the base of the wavelengths, which messages call `field`. Below 1, wavelengths would fall
/// and angles would grow without bound.
pub(crate) fn check_base(field: &'static str, base: f64) -> Result<()> {
    if !(base.is_finite() && base >= 1.0) {
        return refuse(
            field,
            format!("is {base}; it must be a number of 1 or more"),
        );
    }
    Ok(())
}

/// The angle that each position adds for the column pair `i`.
#[allow(
    clippy::cast_precision_loss,
    reason = "columns are far fewer than 2^53"
)]
fn rate(base: f64, i: usize, dim: usize) -> f64 {
    libm::pow(base, -((2 * i) as f64) / dim as f64)
}

/// The rates of all column pairs; a last column without a partner has a rate, too.
fn rates(base: f64, dim: usize) -> io::Result<Vec<f64>> {
    let mut rates = reserved(dim.div_ceil(2))?;
    rates.extend((0..dim.div_ceil(2)).map(|i| rate(base, i, dim)));
    Ok(rates)
}

/// Writes `seq_len` rows of `dim` elements; `fill_row` computes a row from its position and the
/// rates.
fn write_angles(
    mut out: impl io::Write,
    seq_len: u64,
    dim: u64,
    base: f64,
    fill_row: impl Fn(usize, &[f64], &mut [f32]),
) -> io::Result<()> {
    let dim = in_memory(dim)?;
    let rates = rates(base, dim)?;
    let mut row = reserved(dim)?;
    row.resize(dim, 0.0);
    for position in 0..in_memory(seq_len)? {
        fill_row(position, &rates, &mut row);
        out.write_all(bytemuck::cast_slice(&row))?;
    }
    Ok(())
}

#[allow(
    clippy::cast_precision_loss,
    reason = "positions are far fewer than 2^53"
)]
fn sin_cos(position: usize, rate: f64) -> (f64, f64) {
    let angle = position as f64 * rate;
    (libm::sin(angle), libm::cos(angle))
}

/// An empty vector with capacity for `len` items.
fn reserved<T>(len: usize) -> io::Result<Vec<T>> {
    let mut items = Vec::new();
    items
        .try_reserve_exact(len)
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    Ok(items)
}

/// A length as `usize`.
fn in_memory(len: u64) -> io::Result<usize> {
    usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_out_of_range_are_refused_by_name() {
        let rope = |dim, base| PositionScheme::Rope {
            seq_len: 4,
            dim,
            base,
        };
        let t5 = |num_buckets, max_distance, bidirectional| PositionScheme::T5 {
            query_len: 4,
            query_start: None,
            key_len: 4,
            num_buckets,
            max_distance,
            bidirectional,
        };
        let shaw = |query_len, key_len, clip_distance| PositionScheme::Shaw {
            query_len,
            query_start: None,
            key_len,
            clip_distance,
        };
        for (scheme, expected) in [
            (rope(0, 1e4), "dim: must be at least 1"),
            (rope(7, 1e4), "dim: is 7; rotary positions turn pairs"),
            (rope(8, 0.0), "base: is 0; it must be a number of 1 or more"),
            (rope(8, f64::NAN), "base: is NaN"),
            (rope(8, f64::INFINITY), "base: is inf"),
            (t5(1, 128, false), "num_buckets: must be from 2 to 1024"),
            (t5(3, 128, true), "num_buckets: must be from 4 to 1024"),
            (t5(32, 16, false), "max_distance: is 16; it must be above"),
            (shaw(0, 4, 2), "query_len: must be at least 1"),
            (shaw(4, 0, 2), "key_len: must be at least 1"),
            (shaw(4, 4, 0), "clip_distance: must be from 1"),
            (shaw(1 << 40, 1 << 40, 2), "an array of shape"),
        ] {
            let error = scheme.validate().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            let error = scheme.write_npy(io::sink()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        assert!(rope(8, 1e4).validate().is_ok() && t5(32, 17, false).validate().is_ok());
    }

    #[test]
    fn a_file_is_as_long_as_it_says() {
        for scheme in [
            PositionScheme::Sinusoidal {
                seq_len: 3,
                dim: 5,
                base: 1e4,
            },
            PositionScheme::Rope {
                seq_len: 3,
                dim: 6,
                base: 1e4,
            },
            PositionScheme::Alibi {
                query_len: 2,
                query_start: Some(-7),
                key_len: 5,
                heads: 3,
                bidirectional: true,
            },
        ] {
            let mut npy = Vec::new();
            scheme.write_npy(&mut npy).unwrap();
            assert_eq!(
                Some(npy.len() as u64),
                scheme.npy_bytes(),
                "{}",
                scheme.name()
            );
        }
    }
}
