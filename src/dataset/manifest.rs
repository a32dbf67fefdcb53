//! `manifest.json`: the index of a dataset.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shardmill_core::hash::Hash128;
use shardmill_core::token::TokenId;
use shardmill_tokenizer::{Special, Tokenizer, TokenizerInfo};

use crate::compression::Compression;
use crate::dataset::bad::is_zero;
use crate::dataset::{
    BadCounts, BadFile, Eot, FieldsFile, Limits, OutsideLimits, Shuffled, Split, TokenDtype,
};
use crate::document::{BadRecords, Fields, Format, InvalidUtf8};
use crate::error::{Error, Result};

/// Incremented whenever a byte of a dataset could change for the same inputs and settings.
pub const FORMAT_VERSION: u32 = 2;

/// The oldest version that can still be read.
const OLDEST_VERSION: u32 = 1;

/// The key of the field that [`Settings::id_field`] names.
pub(crate) const ID_KEY: &str = "id";

/// Everything a reader needs to trust the files of a dataset.
///
/// The same inputs and settings produce the same manifest, whatever the machine, the thread count
/// or the history of runs.
///
/// ```no_run
/// let store = shardmill::TokenStore::open("dataset".as_ref())?;
/// let manifest: &shardmill::Manifest = store.manifest();
/// println!("{}: {} shards by {}", manifest.dataset_id, store.n_shards(), manifest.encoding.name);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// What the ids mean.
    pub encoding: EncodingInfo,
    /// The settings that shape the bytes.
    pub settings: Settings,
    /// How the documents were shuffled; only if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffled: Option<Shuffled>,
    /// The inputs, in order.
    pub sources: Vec<SourceInfo>,
    /// The shards, in order.
    pub shards: Vec<ShardInfo>,
    /// Sums over all shards.
    pub totals: Totals,
    /// Hash of everything above, as compact JSON.
    pub dataset_id: Hash128,
}

/// What the ids of a dataset mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncodingInfo {
    /// The encoding's name, such as `gpt2`.
    pub name: String,
    /// The largest id + 1.
    pub n_vocab: u32,
    /// [`Tokenizer::vocabulary_hash`].
    pub vocabulary_hash: Hash128,
    /// The split pattern's family.
    pub pattern: String,
    /// The id of `<|endoftext|>`, or of what ends documents instead; if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_text: Option<u32>,
    /// What the tokenizer's file is and says; only if it is not built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerInfo>,
}

impl EncodingInfo {
    /// Describes `encoding`.
    pub fn of(encoding: &Tokenizer) -> Self {
        Self {
            name: encoding.name().to_owned(),
            n_vocab: encoding.n_vocab(),
            vocabulary_hash: encoding.vocabulary_hash(),
            pattern: encoding.pattern().to_owned(),
            end_of_text: encoding.end_of_text(),
            tokenizer: encoding.info().cloned(),
        }
    }
}

/// The settings that shape the bytes of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The field of a JSON Lines record, or the column of a CSV, Parquet or Arrow file, that holds the
    /// document. What is before a dot may be the name of an object or group that it lies in.
    pub text_field: String,
    /// The field or column that holds the id of each document; it is kept beside the documents as `id`, see
    /// [`Self::keep_fields`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_field: Option<String>,
    /// Other fields or columns to keep beside each document, under their own names: each shard has a file
    /// of JSON lines with them, one for each of its document records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep_fields: Vec<String>,
    /// What ends a document in a source of the format [`Format::Separated`]; empty if there is none.
    /// It is not part of the document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub separator: String,
    /// Where end-of-text tokens go.
    pub eot: Eot,
    /// The id before each document, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos: Option<TokenId>,
    /// How to handle the text of special tokens.
    pub special: Special,
    /// How to handle bytes that are not UTF-8, and halves of surrogate pairs in JSON.
    pub invalid_utf8: InvalidUtf8,
    /// How to handle records and rows that hold no document. The manifest has it only if they
    /// are skipped.
    #[serde(default, skip_serializing_if = "BadRecords::is_error")]
    pub bad_records: BadRecords,
    /// How the corpus is split for training and validation, and which side the dataset has; written only
    /// if it is split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// A document of more bytes of text than this is left out; none is if it is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_document_bytes: Option<u64>,
    /// A document whose text has fewer tokens than this is left out. A token before or after the
    /// text does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_tokens: Option<u64>,
    /// A document whose text has more tokens than this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The integer type of the ids in shard files.
    pub token_dtype: TokenDtype,
    /// The number of corpus bytes after which a unit, and so a shard, ends at the next allowed cut.
    pub unit_size_bytes: u64,
}

impl Settings {
    /// The sizes of documents that the dataset may have.
    pub fn limits(&self) -> Limits {
        Limits {
            max_document_bytes: self.max_document_bytes,
            min_tokens: self.min_tokens,
            max_tokens: self.max_tokens,
        }
    }

    /// The kept fields: the key of each, its name in records, and the setting that names it.
    fn kept(&self) -> impl Iterator<Item = (&str, &str, &'static str)> {
        let id = self.id_field.iter();
        let id = id.map(|field| (ID_KEY, &**field, "id_field"));
        let others = self.keep_fields.iter();
        id.chain(others.map(|field| (&**field, &**field, "keep_fields")))
    }

    /// The fields of a record that are read.
    pub(crate) fn fields(&self) -> Fields {
        Fields::new(&self.text_field, self.kept())
    }

    /// Whether fields are kept.
    pub(crate) fn keeps_fields(&self) -> bool {
        self.kept().next().is_some()
    }

    /// The keys of the kept fields, in the order of a line.
    pub(crate) fn field_keys(&self) -> impl Iterator<Item = &str> {
        self.kept().map(|(key, ..)| key)
    }

    /// The kept fields, in the order of a line: the key of each, and its name in records.
    pub fn kept_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.kept().map(|(key, name, _)| (key, name))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            text_field: "text".to_owned(),
            id_field: None,
            keep_fields: Vec::new(),
            separator: String::new(),
            eot: Eot::default(),
            bos: None,
            special: Special::default(),
            invalid_utf8: InvalidUtf8::default(),
            bad_records: BadRecords::default(),
            split: None,
            max_document_bytes: None,
            min_tokens: None,
            max_tokens: None,
            token_dtype: TokenDtype::default(),
            unit_size_bytes: 64 << 20,
        }
    }
}

/// An input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceInfo {
    /// Its path relative to the argument that named it.
    pub name: String,
    /// How its documents are marked.
    pub format: Format,
    /// How it is compressed; written only if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Its size in bytes, as it is stored.
    pub bytes: u64,
    /// The hash of the hashes of its ranges in all units, in order.
    pub hash: Hash128,
}

/// A place in the corpus: a byte of a source. `(n_sources, 0)` is the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Index of the source.
    pub source: u32,
    /// Byte offset in it.
    pub byte: u64,
}

/// One shard: its unit of the corpus and its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardInfo {
    /// Name of the file of ids.
    pub file: String,
    /// Name of the file of document records.
    pub docs_file: String,
    /// Where the unit begins.
    pub start: Position,
    /// Where the unit ends (exclusive).
    pub end: Position,
    /// The number of ids in the shard.
    pub tokens: u64,
    /// The number of documents that begin in the shard.
    pub documents: u64,
    /// The number of documents that begin in the unit and are on the other side of the split, so that
    /// the shard does not have them; written only if there are any.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other_side: u64,
    /// The number of documents of the unit that were left out for their size; written only if there
    /// are any.
    #[serde(default, skip_serializing_if = "OutsideLimits::is_empty")]
    pub outside_limits: OutsideLimits,
    /// Bytes of text that the ids stand for, end-of-text tokens apart.
    pub text_bytes: u64,
    /// Size of the file of ids, in bytes.
    pub bytes: u64,
    /// Hashes of its 16 MiB blocks.
    pub blocks: Vec<Hash128>,
    /// Size of the file of document records, in bytes.
    pub docs_bytes: u64,
    /// Hashes of its 16 MiB blocks.
    pub docs_blocks: Vec<Hash128>,
    /// The file with the kept fields of its documents; written only if any are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<FieldsFile>,
    /// The file that lists the records that were left out; written only if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad_records: Option<BadFile>,
}

/// What the manifest says about a file of a shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardFile<'a> {
    pub(crate) name: &'a str,
    pub(crate) bytes: u64,
    pub(crate) blocks: &'a [Hash128],
}

impl ShardInfo {
    /// Its files: ids, document records and, if there are any, kept fields and the list of bad records.
    pub(crate) fn files(&self) -> impl Iterator<Item = ShardFile<'_>> {
        let file = |name, bytes, blocks| ShardFile {
            name,
            bytes,
            blocks,
        };
        let fields = self.fields.as_ref();
        let bad = self.bad_records.as_ref();
        [
            file(&*self.file, self.bytes, &*self.blocks),
            file(&*self.docs_file, self.docs_bytes, &*self.docs_blocks),
        ]
        .into_iter()
        .chain(fields.map(move |kept| file(&*kept.file, kept.bytes, &*kept.blocks)))
        .chain(bad.map(move |bad| file(&*bad.file, bad.bytes, &*bad.blocks)))
    }
}

/// Sums over a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Ids.
    pub tokens: u64,
    /// Documents.
    pub documents: u64,
    /// Documents that are on the other side of the split; written only if there are any.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other_side: u64,
    /// Documents that were left out for their size; written only if there are any.
    #[serde(default, skip_serializing_if = "OutsideLimits::is_empty")]
    pub outside_limits: OutsideLimits,
    /// Documents without text.
    pub empty_documents: u64,
    /// Bytes of all sources.
    pub source_bytes: u64,
    /// Bytes of text that the ids stand for, end-of-text tokens apart.
    pub text_bytes: u64,
    /// Invalid UTF-8 sequences, and halves of surrogate pairs, that were replaced or removed; also in
    /// documents that were then left out for their size.
    pub invalid_sequences: u64,
    /// Records that were left out; written only if there are any.
    #[serde(default, skip_serializing_if = "BadCounts::is_empty")]
    pub bad_records: BadCounts,
}

impl Totals {
    /// The sum of both, saturating, because numbers from receipts are untrusted.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            documents: self.documents.saturating_add(other.documents),
            other_side: self.other_side.saturating_add(other.other_side),
            outside_limits: self.outside_limits.plus(&other.outside_limits),
            empty_documents: self.empty_documents.saturating_add(other.empty_documents),
            source_bytes: self.source_bytes.saturating_add(other.source_bytes),
            text_bytes: self.text_bytes.saturating_add(other.text_bytes),
            invalid_sequences: self
                .invalid_sequences
                .saturating_add(other.invalid_sequences),
            bad_records: self.bad_records.plus(&other.bad_records),
        }
    }
}

/// A manifest without its id; the id is the hash of this.
#[derive(Serialize)]
struct Body<'a> {
    format_version: u32,
    encoding: &'a EncodingInfo,
    settings: &'a Settings,
    #[serde(skip_serializing_if = "Option::is_none")]
    shuffled: Option<Shuffled>,
    sources: &'a [SourceInfo],
    shards: &'a [ShardInfo],
    totals: &'a Totals,
}

impl Manifest {
    /// The total bytes of all shard files.
    pub(crate) fn file_bytes(&self) -> u64 {
        let files = self.shards.iter().flat_map(ShardInfo::files);
        files.fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// How many documents have a value other than null for the kept field with the key `key`.
    pub fn fields_found(&self, key: &str) -> u64 {
        let files = self.shards.iter().filter_map(|shard| shard.fields.as_ref());
        let counts = files.filter_map(|fields| fields.found.get(key));
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Computes the id from the rest of the manifest.
    pub fn computed_id(&self) -> Hash128 {
        let body = Body {
            format_version: self.format_version,
            encoding: &self.encoding,
            settings: &self.settings,
            shuffled: self.shuffled,
            sources: &self.sources,
            shards: &self.shards,
            totals: &self.totals,
        };
        Hash128::of_json(&body)
    }

    /// This manifest, with its computed id.
    #[must_use]
    pub(crate) fn with_id(mut self) -> Self {
        self.dataset_id = self.computed_id();
        self
    }

    /// Reads a manifest; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Shard`] if it is not a manifest of a known version, or its id is not its hash.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let damaged = |what: String| Error::shard(path, what);
        let not_json = |error: serde_json::Error| damaged(format!("is not a manifest: {error}"));
        let version: Version = serde_json::from_slice(bytes).map_err(not_json)?;
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version.format_version) {
            let found = version.format_version;
            let what = format!(
                "has format version {found}, this program reads {OLDEST_VERSION} to \
                 {FORMAT_VERSION}"
            );
            let hint = "use the release that wrote it or make the dataset again";
            return Err(Error::shard(path, (what, hint)));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(not_json)?;
        if manifest.computed_id() != manifest.dataset_id {
            return Err(damaged(
                "was changed after it was written: its dataset_id is not its hash".to_owned(),
            ));
        }
        Ok(manifest)
    }
}
