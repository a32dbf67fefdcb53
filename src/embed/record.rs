//! `embed.json`: what the arrays of a run are.

use std::os::fd::OwnedFd;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shardmill_core::dtype::Dtype;
use shardmill_core::hash::Hash128;
use shardmill_core::token::TokenId;

use crate::dataset::{TokenStore, check_blocks, map_in, read_directory};
use crate::embed::EmbedConfig;
use crate::embed::tables::TableInfo;
use crate::error::{Error, Result};
use crate::outputs::EMBED;
use crate::progress::Stats;
use crate::publish::json_file::is_text_of;
use crate::sink::{ArrayFile, ArrayFormat, ArrayLayout};
use crate::threads::thread_pool;
use crate::window::{IGNORED_TARGET, LeftOut, ShuffleOrder, Tail, WindowKind, WindowSet};

/// Incremented whenever a byte of the arrays could change for the same dataset and settings.
const FORMAT_VERSION: u32 = 1;

/// Everything a reader needs to know about the arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedRecord {
    format_version: u32,
    dataset_id: Hash128,
    /// `[n, seq_len, dim]`.
    shape: [u64; 3],
    dtype: Dtype,
    format: ArrayFormat,
    /// A line of PyTorch that reads the embeddings.
    pytorch: String,
    stride: u64,
    window: WindowKind,
    /// How document tails were handled, if windows stay within documents.
    tail: Option<Tail>,
    /// What pads the windows, if they are padded.
    padding: Option<Padding>,
    left_out: LeftOutRecord,
    /// Windows in a batch, if an incomplete last batch was to be left out.
    drop_last: Option<u64>,
    shuffle: Option<Shuffle>,
    token_table: TableInfo,
    position_table: Option<TableInfo>,
    files: Vec<ArrayFile>,
    /// Hash of everything above, as compact JSON; `None` only while that is computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Hash128>,
}

/// The ids of padding, which stand for nothing in the dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Padding {
    input: TokenId,
    target: TokenId,
}

/// What the arrays leave out of the dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOutRecord {
    /// The windows of an incomplete last batch.
    windows: u64,
    /// The number of documents without a window, if windows stay within documents.
    documents: Option<u64>,
    /// The number of tokens that are in no window.
    tokens: u64,
}

/// A shuffled order of windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shuffle {
    order: ShuffleOrder,
    seed: u64,
    epoch: u32,
}

impl EmbedRecord {
    pub(super) fn new(
        windows: &WindowSet<&TokenStore>,
        config: &EmbedConfig,
        (token_table, position_table): (TableInfo, Option<TableInfo>),
        shape: [u64; 3],
    ) -> Self {
        let manifest = windows.store().manifest();
        let arrays = ArrayLayout {
            format: config.array_format,
            shape,
            dtype: config.dtype,
        };
        let (documents, tokens) = windows.left_out();
        let knows_documents = config.windows.window == WindowKind::Documents;
        Self {
            format_version: FORMAT_VERSION,
            dataset_id: manifest.dataset_id,
            shape,
            dtype: config.dtype,
            format: config.array_format,
            pytorch: arrays.pytorch(),
            stride: config.windows.stride(),
            window: config.windows.window,
            tail: knows_documents.then_some(config.windows.tail),
            padding: (config.windows.tail == Tail::Pad).then_some(Padding {
                input: manifest.encoding.end_of_text.unwrap_or(0),
                target: IGNORED_TARGET,
            }),
            left_out: LeftOutRecord {
                windows: windows.len() - shape[0],
                documents,
                tokens,
            },
            drop_last: config
                .windows
                .drop_last
                .then_some(config.windows.batch_size),
            shuffle: config.windows.shuffle.map(|seed| Shuffle {
                order: config.windows.shuffle_order,
                seed,
                epoch: config.windows.epoch,
            }),
            token_table,
            position_table,
            files: Vec::new(),
            hash: None,
        }
        .with_hash()
    }

    /// `[n, seq_len, dim]` of the embeddings.
    pub fn shape(&self) -> [u64; 3] {
        self.shape
    }

    /// Element type of the embeddings.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The documents and tokens that are in no window, if windows stay within documents.
    pub fn left_out(&self) -> Option<LeftOut> {
        let LeftOutRecord {
            documents, tokens, ..
        } = self.left_out;
        documents.map(|documents| LeftOut { documents, tokens })
    }

    /// The number of tokens of the dataset that are in no window.
    pub fn n_left_out_tokens(&self) -> u64 {
        self.left_out.tokens
    }

    /// The number of windows of an incomplete last batch that was left out.
    pub fn n_dropped_windows(&self) -> u64 {
        self.left_out.windows
    }

    /// The total bytes of the three arrays.
    pub fn bytes(&self) -> u64 {
        // Sizes from a file are untrusted.
        self.files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// The layout of the arrays' files.
    pub(super) fn layout(&self) -> ArrayLayout {
        ArrayLayout {
            format: self.format,
            shape: self.shape,
            dtype: self.dtype,
        }
    }

    pub(super) fn with_files(mut self, files: Vec<ArrayFile>) -> Self {
        self.files = files;
        self.with_hash()
    }

    fn with_hash(mut self) -> Self {
        self.hash = Some(self.computed_hash());
        self
    }

    fn computed_hash(&self) -> Hash128 {
        let body = Self {
            hash: None,
            ..self.clone()
        };
        Hash128::of_json(&body)
    }

    /// The record in `directory`, if its output is whole and matches this record, which has no
    /// files yet.
    ///
    /// # Errors
    /// [`Error::Threads`] if the threads that read it cannot start, and [`Error::Io`] if the
    /// existing output cannot be read and must not be overwritten.
    pub(super) fn found_in(&self, directory: &Path, config: &EmbedConfig) -> Result<Option<Self>> {
        let Some(found) = if_whole(
            read_directory(directory, |opened| Self::read(opened, directory)),
            config,
        )?
        else {
            return Ok(None);
        };
        if found.clone().with_files(Vec::new()) != *self {
            return Ok(None);
        }
        let verify = || verify_embeddings(directory, &Stats::default());
        let verified = thread_pool(config.threads)?.install(verify);
        Ok(if_whole(verified, config)?.map(|_| found))
    }

    /// Reads the record of a directory of embeddings.
    ///
    /// # Errors
    /// [`Error::Shard`] if it is not a record of a known version.
    fn read(opened: &OwnedFd, directory: &Path) -> Result<Self> {
        let path = directory.join(EMBED);
        let map = map_in(opened, directory, EMBED)?;
        let record: Self = serde_json::from_slice(&map).map_err(|error| {
            Error::shard(&path, format!("is not a record of embeddings: {error}"))
        })?;
        if record.format_version != FORMAT_VERSION {
            return Err(Error::shard(
                path,
                format!(
                    "has format version {}, this program reads {FORMAT_VERSION}",
                    record.format_version
                ),
            ));
        }
        if record.hash != Some(record.computed_hash()) || !is_text_of(&map, &record) {
            return Err(Error::shard(
                path,
                "was changed after it was written: its hash is not that of the rest",
            ));
        }
        Ok(record)
    }
}

/// What was read, if it is whole. Output that could not be read may be whole, so that is an error
/// unless it may be overwritten.
fn if_whole<T>(read: Result<T>, config: &EmbedConfig) -> Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_retryable() && !config.overwrite => Err(error),
        Err(_) => Ok(None),
    }
}

/// What was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct VerifiedEmbeddings {
    /// Windows.
    pub windows: u64,
    /// Bytes of files whose hashes match.
    pub bytes: u64,
    /// The dataset that they were made from.
    pub dataset_id: Hash128,
}

/// Checks the sizes, headers and hashes of the arrays in the directory `path`; `stats` counts the
/// bytes of its files.
///
/// # Errors
/// [`Error::Shard`] names the first file or block that is wrong.
///
/// ```no_run
/// use shardmill::{Stats, verify_embeddings};
///
/// let verified = verify_embeddings("out/embeddings".as_ref(), &Stats::default())?;
/// println!("{} windows are whole", verified.windows);
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn verify_embeddings(path: &Path, stats: &Stats) -> Result<VerifiedEmbeddings> {
    read_directory(path, |opened| verify_files(opened, path, stats))
}

fn verify_files(opened: &OwnedFd, path: &Path, stats: &Stats) -> Result<VerifiedEmbeddings> {
    let record = EmbedRecord::read(opened, path)?;
    stats.begin(record.bytes());
    let damaged = |file: &str, what: &str| Error::shard(path.join(file), what);
    let layout = record.layout();
    let files = record.files.iter();
    if !files.clone().map(|file| &file.file).eq(&layout.names()) {
        return Err(damaged(EMBED, "does not list the three arrays"));
    }
    if !layout
        .file_bytes()
        .is_some_and(|bytes| files.clone().map(|file| file.bytes).eq(bytes))
    {
        return Err(damaged(
            EMBED,
            "lists sizes that are not those of its shape",
        ));
    }
    for (file, header) in files.zip(&layout.headers()) {
        let map = map_in(opened, path, &file.file)?;
        if map.len() as u64 != file.bytes {
            let what = format!("has {} bytes, {} are listed", map.len(), file.bytes);
            return Err(damaged(&file.file, &what));
        }
        check_blocks(&map, &file.blocks, stats)?;
        if !map.starts_with(header) {
            return Err(damaged(
                &file.file,
                "its header is not that of the record's shape",
            ));
        }
    }
    Ok(VerifiedEmbeddings {
        windows: record.shape[0],
        bytes: record.bytes(),
        dataset_id: record.dataset_id,
    })
}
