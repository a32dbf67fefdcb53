//! What is in each source, and which sources have the most tokens.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::dataset::SourceInfo;

/// What is in a source, or in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceSums {
    /// Its ids.
    pub tokens: u64,
    /// Its documents.
    pub documents: u64,
    /// Bytes that its ids stand for, without the tokens that begin and end documents. 0 without a
    /// tokenizer.
    pub text_bytes: u64,
}

impl SourceSums {
    fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens + other.tokens,
            documents: self.documents + other.documents,
            text_bytes: self.text_bytes + other.text_bytes,
        }
    }
}

/// A source with much in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceShare {
    /// Its index in the manifest.
    pub index: u64,
    /// Its name there.
    pub name: String,
    /// What is in it.
    #[serde(flatten)]
    pub sums: SourceSums,
}

/// The sources of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sources {
    /// How many there are.
    pub count: u64,
    /// Those with the most tokens, in this order.
    pub largest: Vec<SourceShare>,
    /// All others together.
    pub others: SourceSums,
}

/// Sums for each source that threads add to: 24 bytes for each.
#[derive(Debug)]
pub(super) struct Tally(Vec<[AtomicU64; 3]>);

impl Tally {
    pub(super) fn new(n_sources: usize) -> Self {
        Self(
            std::iter::repeat_with(Default::default)
                .take(n_sources)
                .collect(),
        )
    }

    /// Adds to the sums of source `index`.
    pub(super) fn add(&self, index: u32, sums: SourceSums) {
        // The records were checked before; one that has changed since then has no place.
        let Some([tokens, documents, text_bytes]) = self.0.get(index as usize) else {
            return;
        };
        tokens.fetch_add(sums.tokens, Ordering::Relaxed);
        documents.fetch_add(sums.documents, Ordering::Relaxed);
        text_bytes.fetch_add(sums.text_bytes, Ordering::Relaxed);
    }

    fn get(&self, index: usize) -> SourceSums {
        let [tokens, documents, text_bytes] =
            [0, 1, 2].map(|sum| self.0[index][sum].load(Ordering::Relaxed));
        SourceSums {
            tokens,
            documents,
            text_bytes,
        }
    }

    /// The `most` sources with the most tokens by name, and the sum of the others.
    pub(super) fn largest(&self, sources: &[SourceInfo], most: usize) -> Sources {
        let mut order: Vec<usize> = (0..sources.len()).collect();
        let key = |&index: &usize| (Reverse(self.get(index).tokens), index);
        if order.len() > most {
            order.select_nth_unstable_by_key(most, key);
        }
        let (largest, others) = order.split_at_mut(most.min(sources.len()));
        largest.sort_unstable_by_key(key);
        let share = |&index: &usize| SourceShare {
            index: index as u64,
            name: sources[index].name.clone(),
            sums: self.get(index),
        };
        Sources {
            count: sources.len() as u64,
            largest: largest.iter().map(share).collect(),
            others: others.iter().fold(SourceSums::default(), |sum, &index| {
                sum.plus(self.get(index))
            }),
        }
    }
}
