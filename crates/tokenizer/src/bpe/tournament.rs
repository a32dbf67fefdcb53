//! Byte pair encoding of up to [`MAX_BYTES`] bytes.
//!
//! The parts are a linked list. The adjacent pairs play a tournament: a binary tree in which a node
//! holds the lesser of its two children, so the root is the next merge. A merge changes three
//! pairs, and each replays its matches on the way up. No branch depends on the winner.

use shardmill_core::token::TokenId;

use crate::bpe::VocabularyRef;
use crate::bpe::parts::load;
use crate::bpe::vocabulary::NO_MERGE;

/// Ids have the 20 bits of [`hash::pair_key`](crate::bpe::hash::pair_key); a place has the rest of
/// 32.
const PLACE_BITS: u32 = 12;

/// The largest place: the end is a place, too.
pub(super) const MAX_BYTES: usize = (1 << PLACE_BITS) - 1;

/// Merges with reused memory.
#[derive(Debug, Default)]
pub(super) struct Tournament {
    /// `tree[1]` is the root; the children of `tree[i]` are at `2 * i` and `2 * i + 1`. The last
    /// half holds `rank << PLACE_BITS | place` for each pair, by the number of its left part, so
    /// the minimum is the lowest rank, leftmost among equals; [`NO_MERGE`] if the pair does not
    /// merge.
    tree: Vec<u32>,
    parts: Vec<Part>,
}

/// A part and its neighbors, by their numbers; unused once merged into the part before it.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    id: TokenId,
    /// Past the end for the first part.
    before: u16,
    after: u16,
}

impl Tournament {
    /// Appends the ids of `bytes`.
    ///
    /// # Panics
    /// If `bytes` is empty or longer than [`MAX_BYTES`].
    pub(super) fn merge(
        &mut self,
        vocabulary: &VocabularyRef,
        bytes: &[u8],
        ids: &mut Vec<TokenId>,
    ) {
        assert!((1..=MAX_BYTES).contains(&bytes.len()));
        self.fill(vocabulary, bytes);
        let end = self.parts.len();
        let half = self.tree.len() / 2;
        let tree = &mut self.tree[..];
        let parts = &mut self.parts[..end];
        while tree[1] != NO_MERGE {
            let at = tree[1] as usize & MAX_BYTES;
            let id = tree[1] >> PLACE_BITS;
            let gone = usize::from(parts[at].after);
            let before = usize::from(parts[at].before);
            let after = usize::from(parts[gone].after);
            parts[at].id = id;
            parts[at].after = parts[gone].after;
            play(tree, half + gone, NO_MERGE);
            let mut pair = NO_MERGE;
            if after < end {
                parts[after].before = place(at);
                pair = key(vocabulary.merged(id, parts[after].id), at);
            }
            play(tree, half + at, pair);
            if before < end {
                let pair = key(vocabulary.merged(parts[before].id, id), before);
                play(tree, half + before, pair);
            }
        }
        let mut at = 0;
        while at < end {
            ids.push(parts[at].id);
            at = usize::from(parts[at].after);
        }
    }

    /// Loads the initial parts.
    fn fill(&mut self, vocabulary: &VocabularyRef, bytes: &[u8]) {
        self.parts.clear();
        let all = load(vocabulary, bytes, |ids| {
            for &id in ids {
                let i = self.parts.len();
                self.parts.push(Part {
                    id,
                    before: place(i).wrapping_sub(1),
                    after: place(i + 1),
                });
            }
            Some(())
        });
        debug_assert!(all.is_some());

        let half = self.parts.len().next_power_of_two().max(2);
        self.tree.resize(2 * half, NO_MERGE);
        let (nodes, pairs) = self.tree.split_at_mut(half);
        for (i, parts) in self.parts.windows(2).enumerate() {
            pairs[i] = key(vocabulary.merged(parts[0].id, parts[1].id), i);
        }
        pairs[self.parts.len() - 1..].fill(NO_MERGE);
        for i in (half / 2..half).rev() {
            nodes[i] = pairs[2 * i - half].min(pairs[2 * i + 1 - half]);
        }
        for i in (1..half / 2).rev() {
            nodes[i] = nodes[2 * i].min(nodes[2 * i + 1]);
        }
    }
}

/// The key of the pair at `at` that merges to `id`; the lowest key is the next merge.
#[inline(always)]
fn key(id: TokenId, at: usize) -> u32 {
    if id == NO_MERGE {
        NO_MERGE
    } else {
        id << PLACE_BITS | u32::from(place(at))
    }
}

/// Places fit, because of [`MAX_BYTES`].
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most MAX_BYTES")]
fn place(at: usize) -> u16 {
    at as u16
}

/// Puts `key` at `node` and replays its matches up to the root.
#[inline(always)]
fn play(tree: &mut [u32], mut node: usize, mut key: u32) {
    tree[node] = key;
    while node > 1 {
        key = key.min(tree[node ^ 1]);
        node /= 2;
        tree[node] = key;
    }
}
