//! Which ids of the vocabulary a dataset uses, and how often.

use std::cmp::Reverse;

use serde::Serialize;
use shardmill_core::token::TokenId;
use shardmill_tokenizer::Tokenizer;

/// A frequent id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenUse {
    /// The id.
    pub id: TokenId,
    /// How often it occurs.
    pub count: u64,
    /// The bytes that it stands for, which may be part of a character. `None` without a tokenizer,
    /// or if no token has this id.
    pub bytes: Option<Vec<u8>>,
}

/// How much of a dataset its most frequent ids are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The number of ids, counted from the most frequent.
    pub ids: u64,
    /// How many tokens of the dataset they are.
    pub tokens: u64,
}

/// How a dataset uses its vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VocabularyUse {
    /// The number of ids, [`EncodingInfo::n_vocab`](crate::dataset::EncodingInfo::n_vocab).
    pub ids: u64,
    /// How many of them occur.
    pub used: u64,
    /// How many of them are no token at all. `None` without a tokenizer.
    pub holes: Option<u64>,
    /// The most frequent ids, in this order; of equally frequent ones, the lower first.
    pub most_frequent: Vec<TokenUse>,
    /// What the most frequent 1, 2, ..., 9, 10, 20, ..., 90, 100, 200, ... ids cover, and last all
    /// that occur.
    pub coverage: Vec<Coverage>,
    /// The smallest numbers of ids that cover 50, 90, 99 and 99.9 percent of the tokens.
    pub to_cover: [Coverage; 4],
}

/// The shares of [`VocabularyUse::to_cover`], in thousandths.
pub(crate) const TO_COVER: [u64; 4] = [500, 900, 990, 999];

impl VocabularyUse {
    /// From how often each id occurs. Ids beyond the end of `counts` do not occur.
    pub(super) fn of(
        counts: &[u64],
        n_vocab: u32,
        tokenizer: Option<&Tokenizer>,
        most: usize,
    ) -> Self {
        let ids = (0..).zip(counts.iter().copied());
        let mut used: Vec<(TokenId, u64)> = ids.filter(|&(_, count)| count > 0).collect();
        used.sort_unstable_by_key(|&(id, count)| (Reverse(count), id));
        let bytes = |id| tokenizer.and_then(|tokenizer| tokenizer.token_bytes(id));
        let frequent = used.iter().take(most).map(|&(id, count)| TokenUse {
            id,
            count,
            bytes: bytes(id).map(<[u8]>::to_vec),
        });
        let total = used.iter().map(|&(_, count)| count).sum();
        let (coverage, to_cover) = cover(&used, total);
        let holes = tokenizer.map(|tokenizer| {
            let is_hole = |&id: &TokenId| tokenizer.token_bytes(id).is_none();
            (0..n_vocab).filter(is_hole).count() as u64
        });
        Self {
            ids: n_vocab.into(),
            used: used.len() as u64,
            holes,
            most_frequent: frequent.collect(),
            coverage,
            to_cover,
        }
    }
}

/// What the first of `used` cover of `total` tokens.
fn cover(used: &[(TokenId, u64)], total: u64) -> (Vec<Coverage>, [Coverage; 4]) {
    let mut steps = Vec::new();
    let mut to_cover = [Coverage { ids: 0, tokens: 0 }; 4];
    let mut so_far = Coverage { ids: 0, tokens: 0 };
    let mut step = 1;
    for &(_, count) in used {
        let before = so_far.tokens;
        so_far.ids += 1;
        so_far.tokens += count;
        for (covered, per_mille) in to_cover.iter_mut().zip(TO_COVER) {
            let is_enough = |tokens: u64| {
                u128::from(tokens) * 1000 >= u128::from(total) * u128::from(per_mille)
            };
            if !is_enough(before) && is_enough(so_far.tokens) {
                *covered = so_far;
            }
        }
        if so_far.ids.is_multiple_of(step) || so_far.ids == used.len() as u64 {
            steps.push(so_far);
        }
        if so_far.ids == 10 * step {
            step *= 10;
        }
    }
    (steps, to_cover)
}
