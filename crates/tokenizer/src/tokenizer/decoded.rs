//! What the ids of a tokenizer's file stand for.

use std::collections::HashMap;

use shardmill_core::token::TokenId;

use crate::definition::{Decoding, Definition, Use};

/// The bytes of tokens, by id.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Decoded {
    /// Added tokens stand for their text, others for their bytes; with word markers as spaces.
    pub(super) fn of(definition: &Definition) -> Self {
        let marker = match definition.decoding {
            Decoding::Words { marker, .. } | Decoding::Metaspace { marker, .. } => Some(marker),
            Decoding::Bytes | Decoding::Other => None,
        };
        let added: HashMap<TokenId, &str> = definition
            .added
            .iter()
            .map(|token| (token.id, token.content.as_str()))
            .collect();
        let tokens = &definition.model.tokens;
        let limit = added
            .keys()
            .map(|id| id + 1)
            .max()
            .unwrap_or(0)
            .max(tokens.limit());
        let mut decoded = Self::default();
        for id in 0..limit {
            let bytes = tokens.bytes(id);
            if let Some(content) = added.get(&id) {
                let content = match marker {
                    Some(marker) => content.replace(marker, " "),
                    None => (*content).to_owned(),
                };
                decoded.bytes.extend(content.bytes());
            } else if let Some(marker) = marker
                && tokens.usage(id) == Use::Text
                && let Ok(text) = std::str::from_utf8(bytes)
            {
                decoded.bytes.extend(text.replace(marker, " ").bytes());
            } else {
                decoded.bytes.extend_from_slice(bytes);
            }
            decoded.ends.push(to_u32(decoded.bytes.len()));
        }
        decoded
    }

    pub(super) fn get(&self, id: TokenId) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else {
            return &[];
        };
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..end as usize]
    }

    /// The ends of all tokens in the bytes, and these; as [`Self::of_parts`] takes them.
    pub(super) fn parts(&self) -> (&[u32], &[u8]) {
        (&self.ends, &self.bytes)
    }

    /// `None` if an end is not one.
    pub(super) fn of_parts(ends: &[u32], bytes: &[u8]) -> Option<Self> {
        let is_whole = ends.last().is_none_or(|&last| last as usize == bytes.len());
        (is_whole && ends.is_sorted()).then(|| Self {
            bytes: bytes.to_vec(),
            ends: ends.to_vec(),
        })
    }
}

/// Files of more bytes are refused.
#[expect(clippy::cast_possible_truncation, reason = "files are smaller")]
fn to_u32(len: usize) -> u32 {
    len as u32
}
