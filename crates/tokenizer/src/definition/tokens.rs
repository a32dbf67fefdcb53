//! The tokens of a model, and merges between them.

use shardmill_core::token::TokenId;

pub(crate) use crate::bpe::Merge;
use crate::definition::refusal::Refusal;

/// The tokens of the model. Added tokens that the model's vocabulary lacks are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// What each stands for, one after the other. For [`Alphabet::Bytes`](super::Alphabet::Bytes)
    /// real bytes, the byte-level alphabet undone. For characters the UTF-8 of the token's text as
    /// it is in the vocabulary, with the word marker, or the single byte of a byte token `<0x0A>`.
    bytes: Vec<u8>,
    /// By id.
    entries: Vec<Entry>,
}

/// Where the bytes of a token begin and end, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    start: u32,
    end: u32,
    usage: Use,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// No token has this id.
    None,
    /// Found in text, by merges or as a whole.
    Text,
    /// A byte of a fallback: reached only through it.
    Byte,
    /// Never found in text by the model; only decoded: what no merge makes, such as a special
    /// token's text in the vocabulary, or text outside the byte-level alphabet.
    Decoded,
}

impl Tokens {
    pub(super) fn with_capacity(tokens: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            entries: Vec::with_capacity(tokens),
        }
    }

    /// Tokens whose bytes are spans of some, by id.
    pub(super) fn from_spans(
        bytes: Vec<u8>,
        spans: impl Iterator<Item = Option<(u32, u32)>>,
        usage: impl Fn(&[u8]) -> Use,
    ) -> Self {
        let entry = |span: Option<(u32, u32)>| match span {
            Some((start, end)) => Entry {
                start,
                end,
                usage: usage(&bytes[start as usize..end as usize]),
            },
            None => Entry {
                start: 0,
                end: 0,
                usage: Use::None,
            },
        };
        let entries = spans.map(entry).collect();
        Self { bytes, entries }
    }

    /// Adds the next id.
    pub(super) fn push(&mut self, bytes: &[u8], usage: Use) {
        let start = self.position();
        self.bytes.extend_from_slice(bytes);
        let end = self.position();
        self.entries.push(Entry { start, end, usage });
    }

    /// Adds the next id, whose bytes `write` appends.
    pub(super) fn push_with(&mut self, usage: Use, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.position();
        write(&mut self.bytes);
        let end = self.position();
        self.entries.push(Entry { start, end, usage });
    }

    /// Adds ids that no token has, up to and without `id`.
    pub(super) fn skip_to(&mut self, id: TokenId) {
        let at = self.position();
        let hole = Entry {
            start: at,
            end: at,
            usage: Use::None,
        };
        if self.entries.len() < id as usize {
            self.entries.resize(id as usize, hole);
        }
    }

    /// Readers of files refuse more than 2^32 bytes.
    #[expect(clippy::cast_possible_truncation, reason = "files are smaller")]
    fn position(&self) -> u32 {
        self.bytes.len() as u32
    }

    pub(super) fn set_use(&mut self, id: TokenId, usage: Use) {
        if let Some(entry) = self.entries.get_mut(id as usize) {
            entry.usage = usage;
        }
    }

    /// These tokens, with single bytes as the bytes of a fallback's.
    pub(super) fn with_byte_tokens(mut self, fallback: &[TokenId; 256]) -> Self {
        for (byte, &id) in (0..=u8::MAX).zip(fallback) {
            let at = self.position();
            if let Some(entry) = self.entries.get_mut(id as usize) {
                self.bytes.push(byte);
                *entry = Entry {
                    start: at,
                    end: at + 1,
                    usage: Use::Byte,
                };
            }
        }
        self
    }

    /// The largest id + 1.
    #[expect(clippy::cast_possible_truncation, reason = "ids are below 2^19")]
    pub(crate) fn limit(&self) -> u32 {
        self.entries.len() as u32
    }

    #[cfg(test)]
    /// How many ids have a token.
    pub(crate) fn count(&self) -> usize {
        let used = self.entries.iter().filter(|entry| entry.usage != Use::None);
        used.count()
    }

    /// The bytes of an id; empty if no token has it.
    pub(crate) fn bytes(&self, id: TokenId) -> &[u8] {
        match self.entries.get(id as usize) {
            Some(entry) => &self.bytes[entry.start as usize..entry.end as usize],
            None => &[],
        }
    }

    pub(crate) fn usage(&self, id: TokenId) -> Use {
        let entry = self.entries.get(id as usize);
        entry.map_or(Use::None, |entry| entry.usage)
    }

    /// Every id that has a token, with its bytes and what it is for.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TokenId, &[u8], Use)> {
        (0..self.limit())
            .map(|id| (id, self.bytes(id), self.usage(id)))
            .filter(|&(_, _, usage)| usage != Use::None)
    }
}

/// Which adjacent parts of a pretoken merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Merges {
    /// Two adjacent parts merge if their bytes together are a token; the lowest id first: tiktoken.
    Ranks,
    /// Two adjacent parts merge if they are listed; the lowest rank first, leftmost among equals.
    /// In the order of ranks; no pair is listed twice.
    List(Vec<Merge>),
}

/// Collects merges. Of those of one pair the last counts, as in HF's map.
#[derive(Debug, Default)]
pub(super) struct MergeList {
    list: Vec<Merge>,
    /// By merged id: 1 + the index in `list` of the last merge that makes it.
    last: Vec<u32>,
    /// By index in `list`: the same of the one before it.
    before: Vec<u32>,
    /// Whether a merge was replaced, and is to be removed.
    replaced: bool,
}

/// More merges than this are refused: what the largest vocabulary could use, several times over.
const MOST_MERGES: usize = 1 << 21;

impl MergeList {
    /// Adds the merge that is next in rank.
    pub(super) fn push(&mut self, merge: Merge) -> Result<(), Refusal> {
        if self.list.len() == MOST_MERGES {
            return Err(Refusal::unsupported(
                "model.merges",
                "has more than 2,097,152 entries",
            ));
        }
        let merged = merge.merged as usize;
        if self.last.len() <= merged {
            self.last.resize(merged + 1, 0);
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most MOST_MERGES")]
        let new = self.list.len() as u32 + 1;
        self.list.push(merge);
        // Merges of one token that are equal on the left are equal on the right. The new one takes
        // the place of an equal one, so a list is no longer than its token.
        let mut after = None;
        let mut at = self.last[merged];
        while at != 0 {
            let index = at as usize - 1;
            if self.list[index].left == merge.left {
                self.list[index].rank = REPLACED;
                self.replaced = true;
                self.before.push(self.before[index]);
                match after {
                    Some(after) => self.before[after] = new,
                    None => self.last[merged] = new,
                }
                return Ok(());
            }
            after = Some(index);
            at = self.before[index];
        }
        self.before.push(self.last[merged]);
        self.last[merged] = new;
        Ok(())
    }

    /// The merges, in the order of ranks.
    pub(super) fn finish(mut self) -> Vec<Merge> {
        if self.replaced {
            self.list.retain(|merge| merge.rank != REPLACED);
        }
        self.list
    }
}

/// The rank of a merge that a later one of the same pair replaces.
const REPLACED: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_merge_of_a_pair_counts(pairs in prop::collection::vec((0_u32..3, 0_u32..4), 0..40)) {
            let mut list = MergeList::default();
            let mut map = BTreeMap::new();
            for (rank, &(merged, left)) in pairs.iter().enumerate() {
                let rank = u32::try_from(rank).unwrap();
                let right = 10 + left;
                list.push(Merge { left, right, merged, rank }).unwrap();
                map.insert((merged, left), rank);
            }
            let mut expected: Vec<_> = map.into_iter().map(|((merged, left), rank)| (rank, merged, left)).collect();
            expected.sort_unstable();
            let found: Vec<_> = list.finish().iter().map(|m| (m.rank, m.merged, m.left)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn ids_may_have_holes() {
        let mut tokens = Tokens::default();
        tokens.push(b"a", Use::Text);
        tokens.skip_to(3);
        tokens.push(b"bc", Use::Decoded);
        assert_eq!((tokens.limit(), tokens.count()), (4, 2));
        assert_eq!(tokens.bytes(3), b"bc");
        assert_eq!((tokens.bytes(1), tokens.usage(1)), (&b""[..], Use::None));
        assert_eq!(tokens.usage(9), Use::None);
        assert_eq!(tokens.iter().map(|(id, ..)| id).collect::<Vec<_>>(), [0, 3]);
    }
}
