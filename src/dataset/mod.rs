//! The token format on disk: flat shard files, document records and a manifest.
//!
//! ```text
//! DIR/
//!   shard-00000.u32    token ids, little-endian u32 (or .u16), nothing else
//!   shard-00000.docs   32-byte records, one per document or piece of one in the shard
//!   shard-00000.fields.jsonl   one line of JSON for each record; only if fields are kept
//!   shard-00000.bad.jsonl   the records that the shard leaves out; only if there are any
//!   ...
//!   manifest.json      sources, shards, settings, hashes: all a reader needs to trust the rest
//!   run.json           how it was made; not part of any hash
//! ```
//!
//! It is made in DIR.partial/new. DIR.partial also holds `state.json`, `plan.json` and a receipt
//! for each finished unit. `publish` knows how it appears.
//!
//! ```text
//! manifest   manifest.json: what a dataset is, and its id
//! docs       the record that says which part of a shard is which document
//! kept       the file with the kept fields of documents
//! bad        counts of bad records by kind, and the file that lists them
//! split      which documents are held out for validation
//! limits     which documents are left out for their size
//! shuffled   in which order documents were put, and which shard has which of them
//! plan       plan.json: the units, and which work is the same job
//! receipt    what a finished unit is, and what it was made from
//! partial    which finished units a run keeps, and what happens to the others
//! writer     writes the files of one shard
//! directory  opens the files of one dataset, even while another one replaces it
//! mapped     which shards are mapped
//! reader     tokens by their offset in the dataset, and documents
//! bad_list   reads and checks the lists of bad records
//! verify     every checksum and every invariant
//! ```
//!
//! Knows bytes, names and hashes; does not know where tokens come from or who reads them.

mod bad;
mod bad_list;
mod directory;
mod docs;
mod kept;
mod limits;
mod manifest;
mod mapped;
mod partial;
mod plan;
mod reader;
mod receipt;
mod shuffled;
mod split;
mod verify;
mod writer;

use shardmill_core::choice;

pub(crate) use bad::bad_file_name;
pub use bad::{BadCounts, BadFile, BadRecord};
pub use bad_list::bad_records;
pub(crate) use bad_list::first_bad_records;
pub(crate) use directory::{map_in, read_directory};
pub use docs::DocRecord;
pub use kept::FieldsFile;
pub(crate) use kept::fields_file_name;
pub use limits::{Limits, OutsideLimits};
pub(crate) use manifest::ID_KEY;
pub use manifest::{
    EncodingInfo, FORMAT_VERSION, Manifest, Position, Settings, ShardInfo, SourceInfo, Totals,
};
pub use mapped::{Shard, ShardRef, Tokens};
pub(crate) use plan::PLAN;
pub use plan::{Plan, PlannedSource, Unit};
pub(crate) use reader::read_manifest;
pub use reader::{Document, TokenStore};
pub(crate) use receipt::{
    DoneUnit, RangeInfo, Receipt, SeenSource, empty_documents, receipt_unit, shard_file_unit,
};
pub use shuffled::Shuffled;
pub use split::{Side, Split};
pub(crate) use verify::{
    DocumentCheck, beyond_vocabulary, check_block, check_blocks, check_shards,
};
pub use verify::{Verified, verify};
pub(crate) use writer::{RecordWriter, TokenWriter};

/// The name of the manifest in a dataset's directory.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The directory in a dataset that [`run`](crate::run) puts embeddings into.
pub const EMBEDDINGS: &str = "embeddings";

#[cfg(target_endian = "big")]
compile_error!("shard files are little-endian and are mapped as they are");

choice! {
    /// The integer type of the ids in a shard file.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum TokenDtype {
        /// Two bytes per id; for vocabularies of at most 65,536 ids.
        U16 = "u16",
        /// Four bytes per id.
        #[default]
        U32 = "u32",
    }
}

impl TokenDtype {
    /// The size of one id in bytes.
    pub const fn size_bytes(self) -> u64 {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }

    /// The size of the largest vocabulary whose ids all fit.
    pub const fn max_vocab(self) -> u64 {
        match self {
            Self::U16 => 1 << 16,
            Self::U32 => 1 << 32,
        }
    }
}

choice! {
    /// Where the end-of-text tokens of documents go.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Eot {
        /// One after each document, as in nanoGPT and Megatron-LM.
        #[default]
        After = "after",
        /// One before each document, as in llm.c.
        Before = "before",
        /// None.
        None = "none",
    }
}

/// The file names of shard `index`: tokens and documents.
pub(crate) fn file_names(index: usize, dtype: TokenDtype) -> (String, String) {
    (
        format!("shard-{index:05}.{}", dtype.name()),
        format!("shard-{index:05}.docs"),
    )
}
