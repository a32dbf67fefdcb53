//! Counts of numbers of any size in bounded memory, and what can be said of them.

use serde::Serialize;

/// Numbers below 2^11 have a bucket each.
const EXACT_BITS: u32 = 11;
/// Above, each power of two has this many buckets.
const PER_OCTAVE: usize = 1 << (EXACT_BITS - 1);

/// How many numbers there are of each size. Numbers below 2,048 are counted exactly. Larger ones
/// share a bucket with those that differ by less than a thousandth, so 56,320 counts are enough for
/// all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets {
    counts: Vec<u64>,
    n: u64,
    sum: u64,
    min: u64,
    max: u64,
}

/// The bucket of `value`.
fn bucket(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(EXACT_BITS);
    // The shifted value has at most 11 bits.
    shift as usize * PER_OCTAVE + usize::try_from(value >> shift).unwrap_or(0)
}

/// The smallest value of a bucket.
fn lowest(bucket: usize) -> u64 {
    let shift = (bucket / PER_OCTAVE).saturating_sub(1);
    ((bucket - shift * PER_OCTAVE) as u64) << shift
}

impl Buckets {
    /// Counts `value`.
    pub(super) fn add(&mut self, value: u64) {
        let bucket = bucket(value);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.min = if self.n == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.n += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Counts everything that `other` counted.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        self.min = if self.n == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.n += other.n;
        self.sum = self.sum.saturating_add(other.sum);
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The smallest number that at least `per_mille` of a thousand numbers do not exceed, rounded
    /// down to its bucket.
    fn percentile(&self, per_mille: u64) -> u64 {
        let rank = (u128::from(self.n) * u128::from(per_mille)).div_ceil(1000);
        let mut seen = 0_u128;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += u128::from(count);
            if count > 0 && seen >= rank {
                return lowest(bucket).clamp(self.min, self.max);
            }
        }
        self.max
    }

    /// The distribution, with bars that begin at `edges`, in increasing order from 0. An edge is
    /// below 2,048 or a power of two. Bars outside of the numbers are left out.
    pub(super) fn distribution(&self, edges: &[u64]) -> Distribution {
        let mut bars: Vec<Bar> = Vec::new();
        for (index, &from) in edges.iter().enumerate() {
            let until = edges.get(index + 1).copied();
            let first = bucket(from).min(self.counts.len());
            let end = until.map_or(self.counts.len(), |until| {
                bucket(until).min(self.counts.len())
            });
            let count = self.counts[first..end].iter().sum();
            if count > 0 || !bars.is_empty() {
                bars.push(Bar { from, until, count });
            }
        }
        while bars.last().is_some_and(|bar| bar.count == 0) {
            bars.pop();
        }
        Distribution {
            n: self.n,
            sum: self.sum,
            min: self.min,
            p10: self.percentile(100),
            median: self.percentile(500),
            p90: self.percentile(900),
            p99: self.percentile(990),
            max: self.max,
            bars,
        }
    }
}

/// How numbers are distributed. All is 0 if there are none.
///
/// A percentile is one of the numbers: the smallest that at least that share of them do not exceed.
/// It is exact below 2,048, and rounded down by less than a thousandth above. The others are exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// How many numbers there are.
    pub n: u64,
    /// Their sum.
    pub sum: u64,
    /// The smallest.
    pub min: u64,
    /// A tenth of the numbers are at most this.
    pub p10: u64,
    /// Half of the numbers are at most this.
    pub median: u64,
    /// Nine tenths of the numbers are at most this.
    pub p90: u64,
    /// All but a hundredth of the numbers are at most this.
    pub p99: u64,
    /// The largest.
    pub max: u64,
    /// How many numbers are in each range, from the first range with any to the last.
    pub bars: Vec<Bar>,
}

/// How many numbers are in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// The smallest number of the range.
    pub from: u64,
    /// The end of the range (exclusive); `None` if it has none.
    pub until: Option<u64>,
    /// How many numbers are in it.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 0, 1, 2, 4, 8, ...
    fn powers() -> Vec<u64> {
        std::iter::once(0)
            .chain((0..64).map(|bit| 1 << bit))
            .collect()
    }

    #[test]
    fn buckets_are_in_order_and_narrow() {
        for value in (0..5000).chain([1 << 20, u64::MAX - 1, u64::MAX]) {
            let low = lowest(bucket(value));
            assert!(
                low <= value && (value - low) * 1000 < value.max(1),
                "{value}"
            );
            assert!(value >= 2048 || low == value);
        }
        for index in 0..56_320 {
            assert_eq!(bucket(lowest(index)), index);
        }
        assert_eq!(bucket(u64::MAX), 56_319);
    }

    proptest! {
        #[test]
        fn a_distribution_is_that_of_the_sorted_numbers(
            numbers in prop::collection::vec((0_u32..64, any::<u64>()), 0..200),
            split in 0_usize..200,
        ) {
            let mut numbers: Vec<u64> = numbers.iter().map(|&(shift, n)| n >> shift).collect();
            let (mut found, mut rest) = (Buckets::default(), Buckets::default());
            for (index, &number) in numbers.iter().enumerate() {
                if index < split { found.add(number) } else { rest.add(number) }
            }
            found.merge(&rest);
            let found = found.distribution(&powers());
            numbers.sort_unstable();
            prop_assert_eq!(found.n, numbers.len() as u64);
            prop_assert_eq!(found.min, numbers.first().copied().unwrap_or(0));
            prop_assert_eq!(found.max, numbers.last().copied().unwrap_or(0));
            for (percent, percentile) in [(10, found.p10), (50, found.median), (90, found.p90), (99, found.p99)] {
                if numbers.is_empty() {
                    prop_assert_eq!(percentile, 0);
                    continue;
                }
                let exact = numbers[(numbers.len() * percent).div_ceil(100).max(1) - 1];
                // The smallest number replaces the lower end of its bucket.
                prop_assert!(percentile <= exact);
                prop_assert!((exact - percentile).checked_mul(1000).is_none_or(|rest| rest <= exact));
                prop_assert!(exact >= 2048 || percentile == exact);
            }
            for bar in &found.bars {
                let is_in = |n: &&u64| **n >= bar.from && bar.until.is_none_or(|until| **n < until);
                prop_assert_eq!(bar.count, numbers.iter().filter(is_in).count() as u64);
            }
            let counted: u64 = found.bars.iter().map(|bar| bar.count).sum();
            prop_assert_eq!(counted, found.n);
        }
    }
}
