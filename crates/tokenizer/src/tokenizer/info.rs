//! What a tokenizer's file is and says, for manifests and people.

use serde::{Deserialize, Serialize};
use shardmill_core::hash::{Hash128, Hasher128};

use crate::definition::{Definition, Merges, Normalizer};

/// What a tokenizer's file is and says.
///
/// ```
/// use shardmill_tokenizer::{Tokenizer, TokenizerInfo};
///
/// # fn example(tokenizer: &Tokenizer) {
/// if let Some(TokenizerInfo { kind, rules, .. }) = tokenizer.info() {
///     println!("{kind}, with the ids of {rules}");
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenizerInfo {
    /// The kind of file, such as `tokenizer.json`.
    pub kind: String,
    /// The hash of the file's bytes.
    pub file_hash: Hash128,
    /// The hash of everything in it that decides about ids: equal for files that differ only in
    /// layout, or in what has no effect.
    pub rules_hash: Hash128,
    /// The rules that ids follow if libraries differ, such as `HF tokenizers 0.23`.
    pub rules: String,
    /// What normalization does, with the version of Unicode if that matters; `none` without any.
    pub normalization: String,
}

impl TokenizerInfo {
    pub(super) fn of(definition: &Definition, file_hash: Hash128) -> Self {
        let has_nfc = definition.normalizers.contains(&Normalizer::Nfc);
        let normalization = match (has_nfc, definition.normalizers.len()) {
            (_, 0) => "none",
            (true, 1) => "NFC of Unicode 9.0",
            (true, _) => "NFC of Unicode 9.0, and others",
            (false, _) => "replacements",
        };
        Self {
            kind: definition.kind.name().to_owned(),
            file_hash,
            rules_hash: rules_hash(definition),
            rules: definition.kind.library().to_owned(),
            normalization: normalization.to_owned(),
        }
    }
}

/// The hash of everything that decides about ids.
fn rules_hash(definition: &Definition) -> Hash128 {
    let Definition {
        normalizers,
        stages,
        metaspace,
        model,
        added,
        added_in_normalized,
        ..
    } = definition;
    let (alphabet, unknown) = (&model.alphabet, &model.unknown);
    let mut bytes = format!(
        "{normalizers:?} {stages:?} {metaspace:?} {added:?} {added_in_normalized} {alphabet:?} \
         {unknown:?} {}",
        model.whole_tokens
    )
    .into_bytes();
    for (id, token, usage) in model.tokens.iter() {
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&(token.len() as u64).to_le_bytes());
        bytes.push(usage as u8);
        bytes.extend_from_slice(token);
    }
    if let Merges::List(list) = &model.merges {
        for merge in list {
            for part in [merge.left, merge.right, merge.merged, merge.rank] {
                bytes.extend_from_slice(&part.to_le_bytes());
            }
        }
    }
    let mut hasher = Hasher128::new();
    hasher.update(&bytes);
    hasher.finish()
}
