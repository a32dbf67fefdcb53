//! What the ids of a tokenizer's file stand for.

use std::collections::HashMap;

use crate::definition::{Decoding, Definition, Use};
use crate::token::TokenId;

/// The bytes of tokens, by id.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Decoded {
    /// Added tokens stand for their text; others for their bytes, with word markers as spaces.
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
                decoded.bytes.extend_from_slice(content.as_bytes());
            } else if let Some(marker) = marker
                && tokens.usage(id) == Use::Text
                && let Ok(text) = std::str::from_utf8(bytes)
            {
                decoded.bytes.extend(text.replace(marker, " ").bytes());
            } else {
                decoded.bytes.extend_from_slice(bytes);
            }
            decoded.ends.push(decoded.bytes.len());
        }
        decoded
    }

    pub(super) fn get(&self, id: TokenId) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else {
            return &[];
        };
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..end]
    }
}
