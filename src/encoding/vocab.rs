//! A vocabulary: the bytes of each id.

use tiktoken_rs::CoreBPE;

use crate::encoding::TokenId;
use crate::encoding::special::SpecialTokens;

/// The bytes of every id below `n_vocab`, special tokens by their names.
#[derive(Debug)]
pub(super) struct Vocab {
    bytes: Vec<u8>,
    /// Where the bytes of id i begin; one more entry than ids. An id not in use has no bytes.
    starts: Vec<u32>,
}

impl Vocab {
    /// Reads the vocabulary back id by id.
    pub(super) fn new(bpe: &CoreBPE, special: &SpecialTokens, n_vocab: u32) -> Self {
        let mut bytes = Vec::new();
        let mut starts = vec![0];
        for id in 0..n_vocab {
            match special.name_of(id) {
                Some(name) => bytes.extend_from_slice(name.as_bytes()),
                // Ids that are not in use, as one in p50k_base, are left empty.
                None => bytes.extend(bpe.decode_bytes(&[id]).unwrap_or_default()),
            }
            // The largest vocabulary has 2 MB of bytes.
            starts.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        Self { bytes, starts }
    }

    /// The bytes of token `id`, or `None` where no token has that id.
    pub(super) fn get(&self, id: TokenId) -> Option<&[u8]> {
        let id = id as usize;
        let (start, end) = (*self.starts.get(id)?, *self.starts.get(id + 1)?);
        Some(&self.bytes[start as usize..end as usize]).filter(|bytes| !bytes.is_empty())
    }
}
