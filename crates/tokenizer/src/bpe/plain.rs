//! Byte pair encoding of any number of bytes at once: the specification of the faster algorithms,
//! and the fallback if they cannot prove their result.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use shardmill_core::token::TokenId;

use crate::bpe::VocabularyRef;
use crate::bpe::parts::load;
use crate::bpe::vocabulary::NO_MERGE;

/// Appends the ids of `bytes`, using a linked list of parts and a heap of merges. O(n log n) for
/// any bytes; takes 24 bytes of memory per byte, and up to 32 more for the heap.
pub(super) fn merge(vocabulary: &VocabularyRef, bytes: &[u8], ids: &mut Vec<TokenId>) {
    let mut parts: Vec<Part> = Vec::with_capacity(bytes.len());
    let mut add = |id| {
        let i = parts.len();
        parts.push(Part {
            id,
            before: i.wrapping_sub(1),
            after: i + 1,
        });
    };
    if vocabulary.has_characters() {
        load(vocabulary, bytes, |more| {
            for &part in more {
                add(part);
            }
            Some(())
        });
    } else {
        for &byte in bytes {
            add(vocabulary.byte_id(byte));
        }
    }
    let end = parts.len();
    let mut heap: BinaryHeap<Reverse<(u32, usize)>> = (1..end)
        .map(|i| (vocabulary.merged(parts[i - 1].id, parts[i].id), i - 1))
        .filter(|&(merged, _)| merged != NO_MERGE)
        .map(Reverse)
        .collect();
    while let Some(Reverse((merged, at))) = heap.pop() {
        let next = parts[at].after;
        // An earlier merge may have taken either part; then the pair has another rank.
        let is_current = parts[at].id != NO_MERGE
            && next < end
            && vocabulary.merged(parts[at].id, parts[next].id) == merged;
        if !is_current {
            continue;
        }
        let after = parts[next].after;
        parts[at].id = merged;
        parts[at].after = after;
        parts[next].id = NO_MERGE;
        let mut push = |left: usize, right: usize| {
            let merged = vocabulary.merged(parts[left].id, parts[right].id);
            if merged != NO_MERGE {
                heap.push(Reverse((merged, left)));
            }
        };
        let before = parts[at].before;
        if before < end {
            push(before, at);
        }
        if after < end {
            push(at, after);
            parts[after].before = at;
        }
    }
    ids.extend(
        parts
            .iter()
            .map(|part| part.id)
            .filter(|&id| id != NO_MERGE),
    );
}

/// A part and its neighbors, by the positions where they begin.
struct Part {
    /// [`NO_MERGE`] once it has been merged into the part before it.
    id: TokenId,
    /// Past the end for the first part.
    before: usize,
    after: usize,
}
