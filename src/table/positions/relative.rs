//! Schemes that depend on the distance from query to key: T5, ALiBi, Shaw.
//!
//! Each is a function of `key - query` alone. So a row of the array is a slice of one list indexed
//! by distance; the slice starts one place earlier for each later query.

use std::io;

use super::{in_memory, refuse, reserved};
use crate::error::Result;

/// The queries and keys of an array: `queries` rows, at consecutive positions, and `keys` columns,
/// at positions from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    queries: usize,
    keys: usize,
    /// The distance from the last query to the first key, which is the least of all.
    least_distance: i64,
}

impl Span {
    /// The first query is at `query_start`; if `None`, the last query is at the last key's
    /// position.
    pub(super) fn new(query_len: u64, query_start: Option<i32>, key_len: u64) -> io::Result<Self> {
        let (queries, keys) = (in_memory(query_len)?, in_memory(key_len)?);
        let last_query = match query_start {
            Some(start) => i64::from(start) + (queries.cast_signed() as i64 - 1),
            None => keys.cast_signed() as i64 - 1,
        };
        Ok(Self {
            queries,
            keys,
            least_distance: -last_query,
        })
    }

    /// Writes `value(key - query)` row by row, `[queries, keys]`.
    pub(super) fn write<T: bytemuck::Pod>(
        self,
        out: &mut impl io::Write,
        value: impl Fn(i64) -> T,
    ) -> io::Result<()> {
        let distances = self.queries.saturating_add(self.keys - 1);
        let mut values = reserved(distances)?;
        values.extend((self.least_distance..).take(distances).map(value));
        for query in (0..self.queries).rev() {
            out.write_all(bytemuck::cast_slice(&values[query..][..self.keys]))?;
        }
        Ok(())
    }
}

/// T5's buckets: the first half hold one distance each; the rest are ranges that grow by a constant
/// factor and reach `max_distance` at the last bucket.
///
/// The usual code computes the ranges with a logarithm in f32. This is the same rule in integers:
/// with `exact` buckets of one distance and `wide` ranges, bucket `exact + k` begins at the first
/// `n` with `(n / exact)^wide >= (max_distance / exact)^k`.
#[derive(Debug)]
pub(super) struct T5Buckets {
    bidirectional: bool,
    /// The number of buckets per direction.
    count: u32,
    /// The number of buckets that hold one distance.
    exact: u32,
    /// The first distance of each range except the first, which begins at `exact`.
    starts: Vec<u64>,
}

const MAX_BUCKETS: u32 = 1024;
const MAX_MAX_DISTANCE: u32 = i32::MAX.cast_unsigned();

impl T5Buckets {
    /// Checks that there is at least one range, and that the ranges reach beyond the single
    /// distances.
    pub(super) fn check(num_buckets: u32, max_distance: u32, bidirectional: bool) -> Result<()> {
        let directions = 1 + u32::from(bidirectional);
        if !(2 * directions..=MAX_BUCKETS).contains(&num_buckets) {
            let what = format!("must be from {} to {MAX_BUCKETS}", 2 * directions);
            return refuse("num_buckets", what);
        }
        let exact = num_buckets / directions / 2;
        if !(exact + 1..=MAX_MAX_DISTANCE).contains(&max_distance) {
            let what = format!(
                "is {max_distance}; it must be above {exact}, the distances that have a bucket \
                 each, and at most {MAX_MAX_DISTANCE}"
            );
            return refuse("max_distance", what);
        }
        Ok(())
    }

    /// Makes buckets from sizes that pass [`check`](Self::check).
    pub(super) fn new(num_buckets: u32, max_distance: u32, bidirectional: bool) -> Self {
        let count = num_buckets / (1 + u32::from(bidirectional));
        let exact = count / 2;
        let wide = count - exact;
        let starts = (1..wide).map(|k| start(k, wide, exact, max_distance));
        Self {
            bidirectional,
            count,
            exact,
            starts: starts.collect(),
        }
    }

    /// The bucket of `distance`, which is `key - query`.
    pub(super) fn bucket(&self, distance: i64) -> i32 {
        let is_after = self.bidirectional && distance > 0;
        let magnitude = if self.bidirectional {
            distance.unsigned_abs()
        } else {
            distance.min(0).unsigned_abs()
        };
        let within = if magnitude < self.exact.into() {
            magnitude
        } else {
            let ranges = self.starts.partition_point(|start| *start <= magnitude);
            u64::from(self.exact) + ranges as u64
        };
        let bucket = within + u64::from(if is_after { self.count } else { 0 });
        i32::try_from(bucket).expect("there are at most 1024 buckets")
    }
}

/// The first `n` with `n^wide * exact^k >= max_distance^k * exact^wide`.
fn start(k: u32, wide: u32, exact: u32, max_distance: u32) -> u64 {
    let right = Natural::product(&[(max_distance.into(), k), (exact.into(), wide)]);
    let reaches = |n| Natural::product(&[(n, wide), (exact.into(), k)]) >= right;
    let ratio = f64::from(max_distance) / f64::from(exact);
    let near = f64::from(exact) * libm::pow(ratio, f64::from(k) / f64::from(wide));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guess below max_distance, which the exact rule corrects"
    )]
    let mut n = near as u64;
    while reaches(n) {
        n -= 1;
    }
    while !reaches(n) {
        n += 1;
    }
    n
}

/// An arbitrarily large natural number.
#[derive(Debug, PartialEq, Eq)]
struct Natural {
    /// 64-bit digits, lowest first; the highest is not 0.
    digits: Vec<u64>,
}

impl Natural {
    /// The product of powers, each given as a base and an exponent.
    fn product(powers: &[(u64, u32)]) -> Self {
        let mut product = Self { digits: vec![1] };
        for (base, exponent) in powers {
            (0..*exponent).for_each(|_| product.multiply(*base));
        }
        product
    }

    fn multiply(&mut self, by: u64) {
        let mut carry = 0;
        for digit in &mut self.digits {
            (*digit, carry) = digit.carrying_mul(by, carry);
        }
        if carry > 0 {
            self.digits.push(carry);
        }
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        let by_length = self.digits.len().cmp(&other.digits.len());
        Some(by_length.then_with(|| self.digits.iter().rev().cmp(other.digits.iter().rev())))
    }
}

/// ALiBi's slope of each head, in double precision: the geometric sequence `2^(-8k/n)` for `n`
/// heads if `n` is a power of two; otherwise the slopes for the next lower power, then every other
/// slope for the next higher power.
///
/// ```
/// assert_eq!(shardmill::table::alibi_slopes(4), [0.25, 0.0625, 0.015_625, 0.003_906_25]);
/// ```
pub fn alibi_slopes(heads: u32) -> Vec<f64> {
    let lower = match heads.checked_ilog2() {
        Some(log) => 1 << log,
        None => return Vec::new(),
    };
    let slope = |k: u32, of: f64| libm::exp2(-8.0 * f64::from(k) / of);
    let of = f64::from(lower);
    let first = (1..=lower).map(|k| slope(k, of));
    let rest = (0..heads - lower).map(|k| slope(2 * k + 1, 2.0 * of));
    first.chain(rest).collect()
}

/// The bias of a key that is `distance` after its query, rounded once.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the one rounding; distances are far below 2^53"
)]
pub(super) fn alibi_bias(slope: f64, distance: i64, bidirectional: bool) -> f32 {
    if distance > 0 && !bidirectional {
        return f32::NEG_INFINITY;
    }
    (-(distance.unsigned_abs() as f64) * slope) as f32
}

/// The row of Shaw's table for a key that is `distance` after its query.
pub(super) fn shaw_index(distance: i64, clip_distance: u32) -> i32 {
    let clip = i64::from(clip_distance);
    i32::try_from(distance.clamp(-clip, clip) + clip).expect("twice the clip distance is an i32")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as in the usual code, with a logarithm.
    fn by_logarithm(magnitude: u32, exact: u32, wide: u32, max_distance: u32) -> f64 {
        let [magnitude, exact, wide, max_distance] =
            [magnitude, exact, wide, max_distance].map(f64::from);
        (magnitude / exact).ln() / (max_distance / exact).ln() * wide
    }

    #[test]
    fn ranges_begin_where_the_logarithm_says() {
        for (num_buckets, max_distance) in [
            (2, 2),
            (2, 1000),
            (3, 50),
            (32, 128),
            (32, 17),
            (31, 128),
            (64, 10_000),
            (1024, 513),
            (1024, i32::MAX.cast_unsigned()),
        ] {
            let buckets = T5Buckets::new(num_buckets, max_distance, false);
            let exact = num_buckets / 2;
            let wide = num_buckets - exact;
            for magnitude in (exact..20_000).chain([1 << 20, i32::MAX.cast_unsigned()]) {
                let position = by_logarithm(magnitude, exact, wide, max_distance);
                let bucket = buckets.bucket(-i64::from(magnitude));
                let k = f64::from(bucket - exact.cast_signed());
                let is_last = bucket == num_buckets.cast_signed() - 1;
                // A tie may go either way in floating point.
                let is_inside = k <= position + 1e-9 && (is_last || position < k + 1.0 + 1e-9);
                assert!(
                    is_inside,
                    "{num_buckets} {max_distance} {magnitude}: {bucket}"
                );
            }
        }
    }

    #[test]
    fn ties_go_up() {
        // 8 exact buckets, 8 ranges up to 128: a factor of sqrt(2) each, so 16 begins the third.
        let buckets = T5Buckets::new(16, 128, false);
        assert_eq!([-15, -16].map(|d| buckets.bucket(d)), [9, 10]);
        assert_eq!([-127, -128, -1000].map(|d| buckets.bucket(d)), [15; 3]);
    }

    #[test]
    fn rows_are_slices_by_distance() {
        let distances = |query_len, query_start, key_len| -> Vec<i64> {
            let mut out = Vec::new();
            let span = Span::new(query_len, query_start, key_len).unwrap();
            span.write(&mut out, |distance| distance).unwrap();
            let values = out.as_chunks().0.iter();
            values.map(|b| i64::from_le_bytes(*b)).collect()
        };
        assert_eq!(distances(2, Some(0), 4), [0, 1, 2, 3, -1, 0, 1, 2]);
        assert_eq!(distances(1, Some(-3), 2), [3, 4]);
        // The last query is the last key.
        assert_eq!(distances(2, None, 4), [-2, -1, 0, 1, -3, -2, -1, 0]);
        assert_eq!(distances(2, None, 1), [1, 0]);
        let span = Span::new(i64::MAX.cast_unsigned(), Some(i32::MIN), 1).unwrap();
        assert!(span.write(&mut Vec::new(), |distance| distance).is_err());
    }

    #[test]
    fn numbers_of_any_size_compare() {
        let large = Natural::product(&[(u64::MAX, 3)]);
        let larger = Natural::product(&[(u64::MAX, 3), (3, 1)]);
        assert!(large < larger && large.digits.len() == 3 && larger.digits.len() == 4);
        assert!(Natural::product(&[(7, 2)]) == Natural::product(&[(49, 1)]));
        assert!(Natural::product(&[(0, 1)]) < Natural::product(&[(1, 1)]));
    }
}
