//! Bytes -> the parts that merging can begin with: whole characters if that is proven correct, else
//! bytes.
//!
//! In languages that are not written in ASCII, half of all merges join bytes into characters. A
//! lookup or two finds what a character of two or three bytes becomes by itself. The encoding stays
//! the same if merging begins there, unless a border of the character is *crossed*, that is, unless
//! there is a token that begins or ends with a part of a character and has this border inside,
//! judged by the two bytes at it.
//!
//! Proof. Let S be a set of characters of a text whose borders are not crossed. Let P be the
//! merging that starts from bytes, by the pairs of the vocabulary, and Q the same merging started
//! with each character of S already turned into what it becomes by itself. While a character of S
//! is not one part, no merge of P crosses its borders: that would make a token that begins or ends
//! with a part of the character and has the border inside. So P turns each character of S into what
//! it becomes by itself, by merges that see nothing else; call these merges I. We show that Q makes
//! the merges of P except I, in the same order. Suppose it did up to some step. Let m be the next
//! merge of P.
//!
//! - If m is in I, Q began with it done.
//! - If not, Q can make it, because m touches no c of S that P has not finished. Any merge that Q
//!   can make but P cannot touches such a c. If c is several parts in Q, nothing merges inside it,
//!   because it is finished there, nor across its borders. So c is one token in Q, and the merge
//!   has a higher rank than c: a pair is in the vocabulary only if merges of lower ranks than its
//!   own lead to it, or if it is one of an odd token, all of whose borders are crossed. In P, the next of the merges that lead to c is possible, and none of them has
//!   a higher rank than c. P chose m, so m has no higher rank than that one, and thus a lower rank
//!   than every merge that only Q could make. Among the merges that both can make, m comes first in
//!   Q as in P.
//!
//! When P has no merge left, all of S is finished, both have the same parts, and Q has no merge
//! left.

use shardmill_core::token::TokenId;

use crate::bpe::chars::NONE;
use crate::bpe::vocabulary::NO_MERGE;
use crate::bpe::{VocabularyRef, character};

/// The most parts of one item.
const MAX_PARTS: usize = 4;

/// Calls `add` with the parts that merging can begin with, those of a character at a time, until it
/// returns `None`. `text` is UTF-8 if the vocabulary has characters.
#[inline(always)]
pub(super) fn load(
    vocabulary: &VocabularyRef,
    text: &[u8],
    mut add: impl FnMut(&[u32]) -> Option<()>,
) -> Option<()> {
    if !vocabulary.has_characters() {
        for (parts, count) in Parts::new(vocabulary, text) {
            add(&parts[..count])?;
        }
        return Some(());
    }
    let mut rest = text;
    while let Some((code, len)) = first_character(rest) {
        let (character, behind) = rest.split_at(len);
        rest = behind;
        let part = vocabulary.character(code);
        if part == NONE {
            for &byte in character {
                add(&[vocabulary.spelled(byte)])?;
            }
        } else {
            add(&[part])?;
        }
    }
    Some(())
}

/// The character that `text` begins with, which is UTF-8, and its length. No function is called, so
/// that kernels can use it.
#[inline(always)]
fn first_character(text: &[u8]) -> Option<(u32, usize)> {
    let low = |byte: u8| u32::from(byte & 0x3f);
    Some(match *text {
        [] => return None,
        [a @ 0xc0..0xe0, b, ..] => (u32::from(a & 0x1f) << 6 | low(b), 2),
        [a @ 0xe0..0xf0, b, c, ..] => (u32::from(a & 0x0f) << 12 | low(b) << 6 | low(c), 3),
        [a @ 0xf0..=0xff, b, c, d, ..] => {
            let upper = u32::from(a & 0x07) << 18 | low(b) << 12;
            (upper | low(c) << 6 | low(d), 4)
        }
        [a, ..] => (u32::from(a), 1),
    })
}

/// Iterates over the parts of a text, one character at a time.
#[derive(Debug)]
struct Parts<'a> {
    vocabulary: &'a VocabularyRef<'a>,
    rest: &'a [u8],
    /// Whether nothing crosses the border before `rest`.
    is_closed: bool,
}

impl<'a> Parts<'a> {
    #[inline(always)]
    fn new(vocabulary: &'a VocabularyRef<'a>, bytes: &'a [u8]) -> Self {
        Self {
            vocabulary,
            rest: bytes,
            is_closed: true,
        }
    }
}

impl Iterator for Parts<'_> {
    /// The parts of a character, and their number.
    type Item = ([TokenId; MAX_PARTS], usize);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let Self {
            vocabulary, rest, ..
        } = *self;
        let len = character::len(rest)?;
        let was_closed = self.is_closed;
        let (character, behind) = rest.split_at(len);
        self.rest = behind;
        self.is_closed = match (character, behind) {
            ([.., left], [right, ..]) => !vocabulary.is_crossed(*left, *right),
            _ => true,
        };
        let id = |byte: u8| vocabulary.byte_id(byte);
        if !(was_closed && self.is_closed) {
            let mut parts = [0; MAX_PARTS];
            for (part, &byte) in parts.iter_mut().zip(character) {
                *part = id(byte);
            }
            return Some((parts, len));
        }
        Some(match *character {
            [a, b] => match vocabulary.merged_bytes(a, b) {
                NO_MERGE => ([id(a), id(b), 0, 0], 2),
                whole => ([whole, 0, 0, 0], 1),
            },
            [a, b, c] => {
                let (left, right) = (vocabulary.merged_bytes(a, b), vocabulary.merged_bytes(b, c));
                let two = match left.cmp(&right) {
                    std::cmp::Ordering::Less => [left, id(c)],
                    std::cmp::Ordering::Greater => [id(a), right],
                    // Neither pair merges.
                    std::cmp::Ordering::Equal => return Some(([id(a), id(b), id(c), 0], 3)),
                };
                match vocabulary.merged(two[0], two[1]) {
                    NO_MERGE => ([two[0], two[1], 0, 0], 2),
                    whole => ([whole, 0, 0, 0], 1),
                }
            }
            _ => ([id(character[0]), 0, 0, 0], 1),
        })
    }
}
