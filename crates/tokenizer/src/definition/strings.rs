//! The texts of a vocabulary, and which id each has.

use shardmill_core::token::TokenId;

use crate::definition::ID_LIMIT;
use crate::definition::refusal::quoted;

/// The texts of a vocabulary, one after the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// By id: where its text begins, and its length; [`NO_TEXT`] as length if no text has the id.
    spans: Vec<(u32, u32)>,
    count: usize,
}

const NO_TEXT: u32 = u32::MAX;

impl Texts {
    /// For about as many texts and bytes as this; more are no problem.
    pub(super) fn with_capacity(texts: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            spans: Vec::with_capacity(texts.min(ID_LIMIT as usize)),
            count: 0,
        }
    }

    /// Where texts are stored. What is appended here is a text when [`Self::commit`] is called.
    #[inline]
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Gives what was appended from byte `start` on an id. What is wrong is returned, without the
    /// place.
    #[inline]
    pub(super) fn commit(&mut self, start: usize, id: u64) -> Result<(), String> {
        let len = self.bytes.len() - start;
        let (Ok(begin), Ok(len)) = (u32::try_from(start), u32::try_from(len)) else {
            return Err("is larger than 4 GiB".to_owned());
        };
        match u32::try_from(id).ok().filter(|&id| id < ID_LIMIT) {
            Some(id) if self.get(id).is_none() => {
                if self.spans.len() <= id as usize {
                    self.spans.resize(id as usize + 1, (0, NO_TEXT));
                }
                self.spans[id as usize] = (begin, len);
                self.count += 1;
                Ok(())
            }
            _ => Err(self.what_is_wrong(start, id)),
        }
    }

    #[cold]
    fn what_is_wrong(&self, start: usize, id: u64) -> String {
        let text = shown(&self.bytes[start..]);
        let other = TokenId::try_from(id).ok().and_then(|id| self.get(id));
        match other {
            Some(other) => format!("{text} and {} have the same id {id}", shown(other)),
            None => format!("{text}: id {id} is 524,288 or more"),
        }
    }

    #[inline]
    pub(super) fn get(&self, id: TokenId) -> Option<&[u8]> {
        let &(start, len) = self.spans.get(id as usize)?;
        let start = start as usize;
        (len != NO_TEXT).then(|| &self.bytes[start..start + len as usize])
    }

    /// The largest id + 1.
    #[expect(clippy::cast_possible_truncation, reason = "ids are below ID_LIMIT")]
    pub(super) fn limit(&self) -> u32 {
        self.spans.len() as u32
    }

    /// The texts with an index. What is wrong is returned, without the place.
    pub(super) fn index(self) -> Result<Strings, String> {
        let mut index = vec![0; (self.count * 2).next_power_of_two().max(64)];
        let mask = index.len() - 1;
        for id in 0..self.limit() {
            let Some(text) = self.get(id) else {
                continue;
            };
            let hash = hash(text);
            let tag = tag(hash);
            #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
            let mut at = hash as usize & mask;
            while index[at] != 0 {
                let other = other_id(index[at], tag);
                if other < ID_LIMIT && self.get(other) == Some(text) {
                    let text = shown(text);
                    return Err(format!("{text} is there twice, with ids {other} and {id}"));
                }
                at = (at + 1) & mask;
            }
            index[at] = tag | (id + 1);
        }
        Ok(Strings { texts: self, index })
    }
}

fn shown(text: &[u8]) -> String {
    quoted(&String::from_utf8_lossy(text))
}

/// The texts of a vocabulary, all different, with an index from text to id.
#[derive(Debug)]
pub(super) struct Strings {
    texts: Texts,
    /// `tag | id + 1` by the hash of a text; 0 if empty. At most half full.
    index: Vec<u32>,
}

/// How many bits of an entry of the index hold the id + 1.
const ID_BITS: u32 = 20;

/// In the answers to many look-ups: no text.
pub(super) const NOT_FOUND: TokenId = TokenId::MAX;

impl Strings {
    /// How many texts there are.
    pub(super) fn count(&self) -> usize {
        self.texts.count
    }

    /// The largest id + 1.
    pub(super) fn limit(&self) -> u32 {
        self.texts.limit()
    }

    /// The sum of the texts' lengths.
    pub(super) fn len_bytes(&self) -> usize {
        self.texts.bytes.len()
    }

    #[inline]
    pub(super) fn get(&self, id: TokenId) -> Option<&[u8]> {
        self.texts.get(id)
    }

    /// The texts, and by id where each begins and ends, if there is one.
    pub(super) fn into_parts(self) -> (Vec<u8>, impl Iterator<Item = Option<(u32, u32)>>) {
        let spans = self.texts.spans.into_iter();
        let spans = spans.map(|(start, len)| (len != NO_TEXT).then(|| (start, start + len)));
        (self.texts.bytes, spans)
    }

    /// The id of a text.
    #[inline]
    pub(super) fn find(&self, text: &[u8]) -> Option<TokenId> {
        self.find_hashed(text, hash(text))
    }

    #[inline]
    fn find_hashed(&self, text: &[u8], hash: u64) -> Option<TokenId> {
        let mask = self.index.len() - 1;
        let tag = tag(hash);
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let mut at = hash as usize & mask;
        loop {
            let entry = self.index[at];
            if entry == 0 {
                return None;
            }
            let id = other_id(entry, tag);
            if id < ID_LIMIT && self.get(id) == Some(text) {
                return Some(id);
            }
            at = (at + 1) & mask;
        }
    }

    /// The ids of many texts, the spans of `bytes`, or [`NOT_FOUND`]. Each step is done for all of
    /// them before the next, so that the processor waits for several reads of memory at once.
    pub(super) fn find_all<const N: usize>(
        &self,
        bytes: &[u8],
        spans: &[(usize, usize); N],
    ) -> [TokenId; N] {
        let mask = self.index.len() - 1;
        let hashes = spans.map(|(start, end)| hash(&bytes[start..end]));
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let firsts = hashes.map(|hash| self.index[hash as usize & mask]);
        let mut ids = [0; N];
        for i in 0..N {
            ids[i] = other_id(firsts[i], tag(hashes[i]));
        }
        let texts = ids.map(|id| {
            self.texts
                .spans
                .get(id as usize)
                .copied()
                .unwrap_or_default()
        });
        for i in 0..N {
            let (start, end) = spans[i];
            let (other, len) = texts[i];
            let (text, other) = (&bytes[start..end], other as usize);
            // An id that is out of range has an empty text here, as an empty text has in the table.
            let is_it = len as usize == text.len()
                && !text.is_empty()
                && same(&self.texts.bytes[other..other + text.len()], text);
            if !is_it {
                ids[i] = self.find_hashed(text, hashes[i]).unwrap_or(NOT_FOUND);
            }
        }
        ids
    }
}

/// Whether two texts of the same length are equal: nearly all are short, and calling memcmp would
/// take longer than this.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    match (a.first_chunk::<8>(), b.first_chunk::<8>()) {
        (Some(first_a), Some(first_b)) => {
            first_a == first_b
                && a.last_chunk::<8>() == b.last_chunk::<8>()
                && (a.len() <= 16 || a == b)
        }
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

/// The id in an entry, if its tag is this one; else, most probably, a number that is no id.
#[inline(always)]
const fn other_id(entry: u32, tag: u32) -> TokenId {
    (entry ^ tag).wrapping_sub(1)
}

/// The upper bits of a hash, above those of an id.
#[inline(always)]
const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 >> ID_BITS << ID_BITS
}

const A: u64 = 0x9e37_79b9_7f4a_7c15;
const B: u64 = 0xd6e8_feb8_6659_fd93;

/// Multiplies to 128 bits and folds the halves: every input bit reaches the low bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product as u64) ^ (product >> 64) as u64
}

#[inline]
fn hash(text: &[u8]) -> u64 {
    let len = text.len() as u64;
    let (chunks, _) = text.as_chunks::<8>();
    if let (Some(&first), Some(&last)) = (text.first_chunk(), text.last_chunk()) {
        let mut hash = u64::from_le_bytes(first) ^ A;
        // The last bytes are hashed twice, so that no padding is needed.
        if let Some((_, middle)) = chunks.split_first() {
            for &chunk in middle {
                hash = fold(hash ^ u64::from_le_bytes(chunk), B);
            }
        }
        return fold(hash ^ len, u64::from_le_bytes(last) ^ B);
    }
    // Two reads of four bytes, or three of one, which overlap.
    let packed = match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(&first), Some(&last)) => {
            u64::from(u32::from_le_bytes(first)) << 32 | u64::from(u32::from_le_bytes(last))
        }
        _ => match (text.first(), text.get(text.len() / 2), text.last()) {
            (Some(&first), Some(&middle), Some(&last)) => {
                u64::from(first) << 16 | u64::from(middle) << 8 | u64::from(last)
            }
            _ => 0,
        },
    };
    fold(packed ^ A, len ^ B)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn add(texts: &mut Texts, text: &[u8], id: u64) -> Result<(), String> {
        let start = texts.end().len();
        texts.end().extend_from_slice(text);
        texts.commit(start, id)
    }

    proptest! {
        #[test]
        fn texts_are_found_as_in_a_map(
            set in prop::collection::btree_set("[ab\u{100}]{0,40}|[ab]{0,3}", 0..300),
            others in prop::collection::vec("[ab]{0,20}", 4),
        ) {
            let mut texts = Texts::default();
            let map: BTreeMap<_, u32> = set.into_iter().zip(3..).collect();
            for (text, &id) in &map {
                add(&mut texts, text.as_bytes(), id.into()).unwrap();
            }
            let strings = texts.index().unwrap();
            prop_assert_eq!(strings.count(), map.len());
            for (text, &id) in &map {
                prop_assert_eq!(strings.find(text.as_bytes()), Some(id));
                prop_assert_eq!(strings.get(id), Some(text.as_bytes()));
            }
            let queries: Vec<_> = others.iter().chain(map.keys()).collect();
            for query in queries.as_chunks::<4>().0 {
                let bytes: String = query.iter().map(|text| text.as_str()).collect();
                let mut end = 0;
                let spans = query.map(|text| { end += text.len(); (end - text.len(), end) });
                let found = strings.find_all(bytes.as_bytes(), &spans);
                let expected = query.map(|text| map.get(text).copied().unwrap_or(NOT_FOUND));
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn all_bytes_matter_to_hashes(text in "[a-d]{1,40}", at: prop::sample::Index) {
            let mut other = text.clone().into_bytes();
            other[at.index(text.len())] ^= 8;
            prop_assert_ne!(hash(text.as_bytes()), hash(&other));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut texts = Texts::default();
        add(&mut texts, b"a", 7).unwrap();
        let too_large = add(&mut texts, b"b", 1 << 19).unwrap_err();
        assert_eq!(too_large, "\"b\": id 524288 is 524,288 or more");
        let same_id = add(&mut texts, b"b", 7).unwrap_err();
        assert_eq!(same_id, "\"b\" and \"a\" have the same id 7");
        add(&mut texts, b"a", 8).unwrap();
        assert_eq!(
            texts.index().unwrap_err(),
            "\"a\" is there twice, with ids 7 and 8"
        );
    }
}
