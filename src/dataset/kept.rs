//! The file of a shard with the fields that are kept of its documents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shardmill_core::hash::Hash128;

/// The file with the kept fields of a shard's documents: one JSON object a line, one line for each document
/// record. A shard has one if the settings name fields to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldsFile {
    /// Its name.
    pub file: String,
    /// How many documents have a value other than null for each field, by its key.
    pub found: BTreeMap<String, u64>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Hashes of its 16 MiB blocks.
    pub blocks: Vec<Hash128>,
}

/// The name of the file with the kept fields of shard `index`.
pub(crate) fn fields_file_name(index: usize) -> String {
    format!("shard-{index:05}.fields.jsonl")
}
