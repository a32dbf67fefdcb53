//! Which places of an order each process takes.

use std::iter::StepBy;
use std::ops::Range;

use crate::error::{Error, Result};

/// One of `world_size` processes that share an order: in a range of places, it skips the first
/// `rank` places and takes every `world_size`-th from there.
///
/// All processes together take every place once, whatever their number. Their shares of a range
/// differ by at most one place; they are equal if the length of the range is a multiple of
/// `world_size`.
///
/// # Examples
///
/// ```
/// use shardmill::window::Rank;
///
/// let shares: Vec<Vec<u64>> = (0..3)
///     .map(|rank| Ok(Rank::new(rank, 3)?.of(0..8).collect()))
///     .collect::<shardmill::Result<_>>()?;
/// assert_eq!(shares, [vec![0, 3, 6], vec![1, 4, 7], vec![2, 5]]);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    rank: u32,
    world_size: u32,
}

impl Rank {
    /// The only process.
    pub const ALONE: Self = Self {
        rank: 0,
        world_size: 1,
    };

    /// Process `rank`, counted from 0, of `world_size`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there is no such process.
    pub fn new(rank: u32, world_size: u32) -> Result<Self> {
        if rank >= world_size {
            return Err(Error::config(
                "rank",
                format!("is {rank}, of a world size of {world_size}; ranks count from 0"),
            ));
        }
        Ok(Self { rank, world_size })
    }

    /// The number of processes.
    pub fn world_size(self) -> u32 {
        self.world_size
    }

    /// The places of `all` that this process takes, in order.
    pub fn of(self, all: Range<u64>) -> StepBy<Range<u64>> {
        let first = all.start.saturating_add(self.rank.into()).min(all.end);
        (first..all.end).step_by(self.world_size as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rank_beyond_the_world_is_refused() {
        for (rank, world_size) in [(0, 0), (1, 1), (5, 3)] {
            let error = Rank::new(rank, world_size).unwrap_err().to_string();
            assert!(error.starts_with("rank: "), "{error}");
        }
    }

    #[test]
    fn the_end_of_numbers_is_no_place_to_overflow() {
        let rank = Rank::new(9, 10).unwrap();
        assert_eq!(rank.of(u64::MAX - 5..u64::MAX).count(), 0);
    }

    proptest! {
        #[test]
        fn processes_take_every_place_once(start in 0_u64..99, len in 0_u64..300, world_size in 1_u32..20) {
            let places = start..start + len;
            let shares: Vec<Vec<_>> = (0..world_size)
                .map(|rank| Rank::new(rank, world_size).unwrap().of(places.clone()).collect())
                .collect();
            let lengths = shares.iter().map(Vec::len);
            prop_assert!(lengths.clone().max().unwrap() <= lengths.min().unwrap() + 1);
            // Interleaved, the shares are the order itself.
            let turns = (0..places.end - places.start).map(|k| {
                let (step, rank) = (k / u64::from(world_size), k % u64::from(world_size));
                shares[usize::try_from(rank).unwrap()][usize::try_from(step).unwrap()]
            });
            prop_assert!(turns.eq(places.clone()));
        }
    }
}
