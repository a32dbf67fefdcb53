//! Byte pair encoding of one pretoken: merge the neighbours of the lowest rank, the leftmost of
//! equals first, until no two merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::bpe::Vocabulary;
use crate::encoding::TokenId;

/// Up to this many bytes are searched for the lowest rank in one sweep per merge: below it the
/// sweep over two cache lines beats a heap.
const SHORT_BYTES: usize = 64;

/// No merge.
const NONE: u32 = u32::MAX;

/// Appends the ids of `bytes`.
pub(super) fn merge(vocabulary: &Vocabulary, bytes: &[u8], ids: &mut Vec<TokenId>) {
    if bytes.len() <= SHORT_BYTES {
        merge_short(vocabulary, bytes, ids);
    } else {
        merge_long(vocabulary, bytes, ids);
    }
}

fn rank(vocabulary: &Vocabulary, left: TokenId, right: TokenId) -> u32 {
    vocabulary.merged(left, right).unwrap_or(NONE)
}

fn merge_short(vocabulary: &Vocabulary, bytes: &[u8], ids: &mut Vec<TokenId>) {
    let mut parts = [0; SHORT_BYTES];
    // ranks[i] is what parts[i] and parts[i + 1] merge to.
    let mut ranks = [NONE; SHORT_BYTES];
    let mut len = bytes.len();
    for (part, &byte) in parts.iter_mut().zip(bytes) {
        *part = vocabulary.byte_id(byte);
    }
    for i in 1..len {
        ranks[i - 1] = rank(vocabulary, parts[i - 1], parts[i]);
    }
    while len > 1 {
        let mut at = 0;
        let mut lowest = ranks[0];
        for (i, &rank) in ranks[..len - 1].iter().enumerate().skip(1) {
            if rank < lowest {
                (at, lowest) = (i, rank);
            }
        }
        if lowest == NONE {
            break;
        }
        parts[at] = lowest;
        parts.copy_within(at + 2..len, at + 1);
        ranks.copy_within(at + 2..len, at + 1);
        len -= 1;
        ranks[len - 1] = NONE;
        if at + 1 < len {
            ranks[at] = rank(vocabulary, lowest, parts[at + 1]);
        }
        if at > 0 {
            ranks[at - 1] = rank(vocabulary, parts[at - 1], lowest);
        }
    }
    ids.extend_from_slice(&parts[..len]);
}

/// A linked list of parts and a heap of merges: O(n log n) whatever the bytes, 24 bytes of memory
/// a byte and as many for the heap.
fn merge_long(vocabulary: &Vocabulary, bytes: &[u8], ids: &mut Vec<TokenId>) {
    let mut parts: Vec<Part> = bytes
        .iter()
        .enumerate()
        .map(|(i, &byte)| Part {
            id: vocabulary.byte_id(byte),
            before: i.wrapping_sub(1),
            after: i + 1,
        })
        .collect();
    let end = parts.len();
    let mut heap: BinaryHeap<Reverse<(u32, usize)>> = (1..end)
        .filter_map(|i| {
            let rank = vocabulary.merged(parts[i - 1].id, parts[i].id)?;
            Some(Reverse((rank, i - 1)))
        })
        .collect();
    while let Some(Reverse((merged, at))) = heap.pop() {
        let next = parts[at].after;
        // A merge that came before may have taken either part; then its pair has another rank.
        let is_current = parts[at].id != NONE
            && next < end
            && vocabulary.merged(parts[at].id, parts[next].id) == Some(merged);
        if !is_current {
            continue;
        }
        let after = parts[next].after;
        parts[at].id = merged;
        parts[at].after = after;
        parts[next].id = NONE;
        if after < end {
            parts[after].before = at;
            if let Some(rank) = vocabulary.merged(merged, parts[after].id) {
                heap.push(Reverse((rank, at)));
            }
        }
        let before = parts[at].before;
        if before < end
            && let Some(rank) = vocabulary.merged(parts[before].id, merged)
        {
            heap.push(Reverse((rank, before)));
        }
    }
    ids.extend(parts.iter().map(|part| part.id).filter(|&id| id != NONE));
}

/// A part of the pretoken and its neighbours, by where they begin.
struct Part {
    /// [`NONE`] once it has been merged into the part before it.
    id: TokenId,
    /// Beyond the end for the first.
    before: usize,
    after: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::{CL100K, R50K};
    use proptest::prelude::*;

    fn ids(
        merge: fn(&Vocabulary, &[u8], &mut Vec<TokenId>),
        text: &[u8],
        v: &Vocabulary,
    ) -> Vec<u32> {
        let mut ids = Vec::new();
        merge(v, text, &mut ids);
        ids
    }

    /// The definition, word by word, with ranks of joined bytes instead of pairs of ids.
    fn naive(vocabulary: &Vocabulary, bytes: &[u8]) -> Vec<u32> {
        let mut parts: Vec<Vec<u8>> = bytes.iter().map(|&byte| vec![byte]).collect();
        loop {
            let best = (1..parts.len())
                .filter_map(|i| {
                    Some((vocabulary.get(&[&parts[i - 1][..], &parts[i]].concat())?, i))
                })
                .min();
            let Some((_, i)) = best else { break };
            let right = parts.remove(i);
            parts[i - 1].extend(right);
        }
        parts
            .iter()
            .map(|part| vocabulary.get(part).unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn both_ways_merge_as_defined(text in "[a-c ]{1,64}|[a-zA-Z]{1,64}|[\u{4e00}-\u{4e20}é]{1,16}") {
            for vocabulary in [&*R50K, &*CL100K] {
                let expected = naive(vocabulary, text.as_bytes());
                prop_assert_eq!(&ids(merge_short, text.as_bytes(), vocabulary), &expected);
                prop_assert_eq!(&ids(merge_long, text.as_bytes(), vocabulary), &expected);
            }
        }

        #[test]
        fn long_pretokens_merge_as_defined(text in "[ab]{65,300}|[a-z]{65,300}| {65,300}") {
            let expected = naive(&CL100K, text.as_bytes());
            prop_assert_eq!(ids(merge, text.as_bytes(), &CL100K), expected);
        }
    }
}
