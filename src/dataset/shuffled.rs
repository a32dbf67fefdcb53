//! How the documents of a dataset were shuffled.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use shardmill_core::hash::Hash128;

/// How the documents of a dataset were shuffled. What a shard's entry says of a unit is then as it was
/// before, and its documents are from anywhere in the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shuffled {
    /// Which order.
    pub seed: u64,
    /// The id of the dataset before.
    pub dataset_id: Hash128,
}

impl Shuffled {
    /// The places of shard `index` of `n_shards` in the order of `n_documents`: an equal share.
    pub(crate) fn places(index: usize, n_shards: usize, n_documents: u64) -> Range<u64> {
        let at = |index: usize| {
            let place = u128::from(n_documents) * index as u128 / n_shards as u128;
            // At most the number of documents.
            u64::try_from(place).unwrap_or(n_documents)
        };
        at(index)..at(index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_in_one_shard() {
        for (n_shards, n_documents) in [(1, 0), (3, 2), (7, 100), (5, u64::MAX)] {
            let mut at = 0;
            for index in 0..n_shards {
                let places = Shuffled::places(index, n_shards, n_documents);
                assert_eq!(places.start, at);
                at = places.end;
            }
            assert_eq!(at, n_documents);
        }
    }
}
