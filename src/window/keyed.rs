//! A keyed permutation: random access to any place of an order, without memory.
//!
//! The algorithm is part of the format and never changes. All arithmetic is on `u64` and wraps; `G`
//! is `0x9e3779b97f4a7c15`; `mix` is splitmix64's finalizer.
//!
//! ```text
//! mix(z):       z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9
//!               z = (z ^ z >> 27) * 0x94d049bb133111eb
//!               return z ^ z >> 31
//!
//! keys:         state = mix(mix(seed) + epoch * G)
//!               key[i] = mix(state + (i + 1) * G)                  for i in 0..24
//!
//! halves:       width = max(2, bits of n - 1); low = width / 2; high = width - low
//!
//! permute(x):   a = x >> low; b = x mod 2^low
//!               for i in 0, 2, .., 22:
//!                   a = a ^ mix(b ^ key[i]) >> (64 - high)
//!                   b = b ^ mix(a ^ key[i + 1]) >> (64 - low)
//!               return a << low | b
//!
//! window(place): x = place; do x = permute(x) while x >= n; return x
//! ```
//!
//! Each step of a Feistel network is invertible, so `permute` is a bijection of `0..2^width`, and
//! walking its cycles until one falls below `n` is one of `0..n`. As `2^width < 2n` for `n` over 2,
//! the walk takes less than two steps on average. The 24 rounds are for small `n`: at 16, the 720
//! orders of six windows are measurably not equally likely.

use crate::error::{Error, Result};

const ROUNDS: usize = 24;

/// 2^64 over the golden ratio, odd: splitmix64's step.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A permutation of `0..len`, determined by its length, a seed and an epoch.
///
/// # Examples
///
/// ```
/// use shardmill::window::KeyedPermutation;
///
/// let order = KeyedPermutation::new(1 << 40, 123, 0)?;
/// assert_eq!(order.at(0), 292_010_389_603);
///
/// let small = KeyedPermutation::new(5, 123, 0)?;
/// assert_eq!((0..5).map(|place| small.at(place)).collect::<Vec<_>>(), [2, 3, 1, 0, 4]);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedPermutation {
    len: u64,
    low_bits: u32,
    high_bits: u32,
    keys: [u64; ROUNDS],
}

impl KeyedPermutation {
    /// The largest possible length.
    pub const MAX_LEN: u64 = 1 << 63;

    /// The permutation of `0..len` for `seed` and `epoch`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `len` is over [`MAX_LEN`](Self::MAX_LEN).
    pub fn new(len: u64, seed: u64, epoch: u64) -> Result<Self> {
        if len > Self::MAX_LEN {
            return Err(Error::config(
                "shuffle",
                format!("{len} windows are too many, at most 2^63 can be shuffled"),
            ));
        }
        let width = (u64::BITS - len.saturating_sub(1).leading_zeros()).max(2);
        let state = mix(mix(seed).wrapping_add(epoch.wrapping_mul(GOLDEN)));
        let mut step = state;
        let keys = std::array::from_fn(|_| {
            step = step.wrapping_add(GOLDEN);
            mix(step)
        });
        Ok(Self {
            len,
            low_bits: width / 2,
            high_bits: width - width / 2,
            keys,
        })
    }

    /// How many numbers it permutes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it permutes nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number at `place`.
    ///
    /// # Panics
    ///
    /// If `place` is not less than [`len`](Self::len).
    pub fn at(&self, place: u64) -> u64 {
        assert!(place < self.len, "place {place} of {}", self.len);
        let mut x = self.permute(place);
        // This ends, because the cycle comes back to `place`, which is below `len`.
        while x >= self.len {
            x = self.permute(x);
        }
        x
    }

    /// The bijection of `0..2^width`.
    fn permute(&self, x: u64) -> u64 {
        let mut a = x >> self.low_bits;
        let mut b = x & ((1 << self.low_bits) - 1);
        for keys in self.keys.as_chunks::<2>().0 {
            a ^= mix(b ^ keys[0]) >> (u64::BITS - self.high_bits);
            b ^= mix(a ^ keys[1]) >> (u64::BITS - self.low_bits);
        }
        a << self.low_bits | b
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn all(len: u64, seed: u64, epoch: u64) -> Vec<u64> {
        let order = KeyedPermutation::new(len, seed, epoch).unwrap();
        (0..len).map(|place| order.at(place)).collect()
    }

    /// How many standard deviations the chi-square of `counts` is from its mean if all `cells` are
    /// equally likely.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn deviation<K>(counts: &HashMap<K, u64>, cells: u64) -> f64 {
        let total: u64 = counts.values().sum();
        let expected = total as f64 / cells as f64;
        let seen: f64 = counts
            .values()
            .map(|&count| (count as f64 - expected).powi(2) / expected)
            .sum();
        let unseen = (cells - counts.len() as u64) as f64 * expected;
        let freedom = (cells - 1) as f64;
        (seen + unseen - freedom) / (2.0 * freedom).sqrt()
    }

    fn counted<K: std::hash::Hash + Eq>(items: impl Iterator<Item = K>) -> HashMap<K, u64> {
        let mut counts = HashMap::new();
        for item in items {
            *counts.entry(item).or_default() += 1;
        }
        counts
    }

    #[test]
    fn every_small_length_is_a_permutation() {
        for len in 0..=600 {
            let mut found = all(len, len * 7, 3);
            found.sort_unstable();
            assert!(found.into_iter().eq(0..len), "{len}");
        }
    }

    #[test]
    fn a_length_beyond_the_largest_is_refused() {
        let error = KeyedPermutation::new((1 << 63) + 1, 0, 0).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("shuffle: 9223372036854775809")
        );
        let largest = KeyedPermutation::new(1 << 63, 0, 0).unwrap();
        assert!(largest.at((1 << 63) - 1) < 1 << 63);
    }

    #[test]
    fn all_orders_of_a_few_windows_are_as_likely() {
        for (len, orders) in [(2, 2), (3, 6), (4, 24), (5, 120), (6, 720)] {
            let counts = counted((0..orders * 100).map(|seed| all(len, seed, 0)));
            let off = deviation(&counts, orders);
            assert!(off.abs() < 4.0, "{len}: {off}");
        }
    }

    #[test]
    fn places_windows_and_neighbors_are_as_likely() {
        for len in [20, 37] {
            // Many seeds of one epoch, and many epochs of one seed.
            for by_seed in [true, false] {
                let orders: Vec<_> = (0..3000)
                    .map(|i| {
                        if by_seed {
                            all(len, i, 0)
                        } else {
                            all(len, 5, i)
                        }
                    })
                    .collect();
                let places = counted(orders.iter().flat_map(|order| (0..len).zip(order)));
                let pairs = orders.iter().flat_map(|order| order.windows(2));
                let pairs = counted(pairs.map(|pair| (pair[0], pair[1])));
                let off = [
                    deviation(&places, len * len),
                    deviation(&pairs, len * (len - 1)),
                ];
                assert!(off.iter().all(|off| off.abs() < 4.0), "{len}: {off:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn places_far_apart_have_windows_of_their_own(
            len in 1_u64..=1 << 63, seed: u64, epoch: u64, picks in prop::collection::vec(any::<u64>(), 1..200),
        ) {
            let order = KeyedPermutation::new(len, seed, epoch).unwrap();
            let places: std::collections::BTreeSet<_> = picks.iter().map(|pick| pick % len).collect();
            let found: std::collections::BTreeSet<_> = places.iter().map(|&place| order.at(place)).collect();
            prop_assert_eq!(found.len(), places.len());
            prop_assert!(found.iter().all(|&window| window < len));
        }

        #[test]
        fn middling_lengths_are_permutations(len in 600_u64..40_000, seed: u64, epoch: u64) {
            let mut found = all(len, seed, epoch);
            found.sort_unstable();
            prop_assert!(found.into_iter().eq(0..len));
        }
    }
}
