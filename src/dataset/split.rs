//! Which documents of a corpus are held out for validation.
//!
//! A hash of a document decides, not its place: it stays on its side when the corpus grows, is
//! ordered in another way or is stored in another format, and so do its copies.

use serde::{Deserialize, Serialize};
use shardmill_core::choice;
use shardmill_core::hash::Hash128;

use crate::document::TEXT_HEAD_BYTES;

choice! {
    /// A part of a corpus that is split for training and validation.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Side {
        /// The documents to train with.
        #[default]
        Train = "train",
        /// The documents that are held out.
        Validation = "validation",
    }
}

/// How a corpus is split, and which side of it a dataset has.
///
/// ```
/// use shardmill::dataset::{Side, Split};
///
/// let mut config = shardmill::TokenizeConfig::default();
/// // Half a percent is held out.
/// config.settings.split = Some(Split { validation_millionths: 5_000, side: Side::Train });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// How many documents of a million are held out: from 1 to 999,999. More hold out the same
    /// documents and others.
    pub validation_millionths: u32,
    /// The side whose documents the dataset has.
    pub side: Side,
}

impl Split {
    /// More than the share may be.
    pub(crate) const WHOLE: u32 = 1_000_000;

    /// The side of a document that begins with `text`. It depends on the first 64 KiB alone, so that a
    /// large text is not read twice: XXH3-128 of them, as a fraction of 2^128, is below the share.
    pub fn side_of(self, text: &[u8]) -> Side {
        let head = &text[..text.len().min(TEXT_HEAD_BYTES)];
        let part = u128::MAX / u128::from(Self::WHOLE);
        if Hash128::of(head).number() < part * u128::from(self.validation_millionths) {
            Side::Validation
        } else {
            Side::Train
        }
    }

    /// The share of documents that the dataset has, of 1.
    pub(crate) fn share(self) -> f64 {
        let validation = f64::from(self.validation_millionths) / f64::from(Self::WHOLE);
        match self.side {
            Side::Train => 1.0 - validation,
            Side::Validation => validation,
        }
    }

    /// Whether the dataset has the document that begins with `text`.
    pub(crate) fn takes(self, text: &[u8]) -> bool {
        self.side_of(text) == self.side
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_held_out_and_a_larger_one_holds_out_more_of_the_same() {
        let held_out = |millionths: u32| {
            let split = Split {
                validation_millionths: millionths,
                side: Side::Validation,
            };
            (0..100_000_u32)
                .filter(|n| split.takes(format!("document {n}").as_bytes()))
                .collect::<Vec<_>>()
        };
        let few = held_out(5_000);
        let more = held_out(20_000);
        // Within five standard deviations of 500 and 2,000.
        assert!((390..610).contains(&few.len()), "{}", few.len());
        assert!((1780..2220).contains(&more.len()), "{}", more.len());
        assert!(few.iter().all(|n| more.contains(n)));
        // The rule belongs to the format.
        assert_eq!(few[..4], [387, 515, 703, 738]);
    }

    #[test]
    fn what_follows_64_kib_does_not_matter() {
        let split = Split {
            validation_millionths: 500_000,
            side: Side::Train,
        };
        for seed in 0..20_u8 {
            let mut text = vec![seed; TEXT_HEAD_BYTES];
            let side = split.side_of(&text);
            text.push(1);
            assert_eq!(split.side_of(&text), side);
        }
    }
}
