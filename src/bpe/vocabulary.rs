//! The vocabularies, as the build script laid them out.

use std::sync::LazyLock;

use crate::bpe::hash;
use crate::encoding::TokenId;

/// A vocabulary with the tables that encoding needs. The layout is in `build.rs`.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// `left << 44 | right << 24 | merged`; 0 where empty.
    pairs: &'static [u64],
    /// Where the bytes of each id begin; one more than ids.
    starts: &'static [u32],
    /// id + 1 by the hash of its bytes; 0 where empty.
    index: &'static [u32],
    bytes: &'static [u8],
    /// The id of each single byte.
    byte_ids: [TokenId; 256],
}

/// Bytes that begin where a `u64` may.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

macro_rules! vocabulary {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: LazyLock<Vocabulary> = LazyLock::new(|| {
            static IMAGE: &Aligned<[u8]> =
                &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $file)));
            Vocabulary::new(&IMAGE.0)
        });
    };
}

vocabulary!(R50K, "r50k.vocab");
vocabulary!(P50K, "p50k.vocab");
vocabulary!(CL100K, "cl100k.vocab");
vocabulary!(O200K, "o200k.vocab");

impl Vocabulary {
    /// Reads an image of the build script.
    fn new(image: &'static [u8]) -> Self {
        let (header, rest) = image.split_at(16);
        let header: &[u32] = bytemuck::cast_slice(header);
        let [n, bytes_len, index_len, pairs_len] = [0, 1, 2, 3].map(|i| header[i] as usize);
        let (pairs, rest) = rest.split_at(pairs_len * 8);
        let (starts, rest) = rest.split_at((n + 1) * 4);
        let (index, rest) = rest.split_at(index_len * 4);
        let mut vocabulary = Self {
            pairs: bytemuck::cast_slice(pairs),
            starts: bytemuck::cast_slice(starts),
            index: bytemuck::cast_slice(index),
            bytes: &rest[..bytes_len],
            byte_ids: [0; 256],
        };
        for byte in 0..=u8::MAX {
            // Every vocabulary has all single bytes; a test says so.
            vocabulary.byte_ids[usize::from(byte)] = vocabulary.get(&[byte]).unwrap_or(0);
        }
        vocabulary
    }

    /// The bytes of an id; empty where the id is not in use.
    pub(crate) fn token(&self, id: TokenId) -> &'static [u8] {
        let id = id as usize;
        match self.starts.get(id..id + 2) {
            Some(&[start, end]) => &self.bytes[start as usize..end as usize],
            _ => &[],
        }
    }

    /// The id of these bytes as a whole.
    pub(crate) fn get(&self, bytes: &[u8]) -> Option<TokenId> {
        let mask = self.index.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let mut at = hash::bytes(bytes) as usize & mask;
        loop {
            match self.index[at] {
                0 => return None,
                entry if self.token(entry - 1) == bytes => return Some(entry - 1),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// The id of a single byte.
    #[inline(always)]
    pub(crate) fn byte_id(&self, byte: u8) -> TokenId {
        self.byte_ids[usize::from(byte)]
    }

    /// The id, and so the rank, that two neighbours merge to.
    #[inline(always)]
    pub(crate) fn merged(&self, left: TokenId, right: TokenId) -> Option<TokenId> {
        let key = hash::pair_key(left, right);
        let mask = self.pairs.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let mut at = hash::pair(key) as usize & mask;
        loop {
            let entry = self.pairs[at];
            if entry >> 24 == key && entry != 0 {
                #[expect(clippy::cast_possible_truncation, reason = "the low 24 bits")]
                return Some(entry as u32 & 0xff_ffff);
            }
            if entry == 0 {
                return None;
            }
            at = (at + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_found_by_its_bytes_and_ends_in_one_pair() {
        for (vocabulary, oracle, n) in [
            (&R50K, tiktoken_rs::r50k_base(), 50_256_u32),
            (&P50K, tiktoken_rs::p50k_base(), 50_281),
            (&CL100K, tiktoken_rs::cl100k_base(), 100_256),
            (&O200K, tiktoken_rs::o200k_base(), 199_998),
        ] {
            let oracle = oracle.unwrap();
            let mut pairs = 0;
            for id in (0..n).filter(|&id| id != 50_256 || n > 60_000) {
                let bytes = oracle.decode_bytes(&[id]).unwrap();
                assert_eq!(vocabulary.token(id), bytes);
                assert_eq!(vocabulary.get(&bytes), Some(id));
                pairs += usize::from(bytes.len() > 1);
            }
            assert_eq!(
                vocabulary.pairs.iter().filter(|&&pair| pair != 0).count(),
                pairs
            );
            for byte in 0..=u8::MAX {
                assert_eq!(vocabulary.token(vocabulary.byte_id(byte)), [byte]);
            }
            assert_eq!(vocabulary.token(n), b"");
            assert_eq!(vocabulary.get(b"no token has these bytes"), None);
        }
    }
}
