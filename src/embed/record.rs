//! `embed.json`: what the arrays of a run are.

use std::os::fd::OwnedFd;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::{TokenStore, check_blocks, map_in, read_directory};
use crate::dtype::Dtype;
use crate::embed::EmbedConfig;
use crate::embed::tables::TableInfo;
use crate::error::{Error, Result};
use crate::hash::{Hash128, Hasher128};
use crate::outputs::EMBED;
use crate::progress::Stats;
use crate::publish::json_file::is_text_of;
use crate::sink::{ArrayFile, ArrayFormat, ArrayLayout};
use crate::threads::thread_pool;
use crate::token::TokenId;
use crate::window::{IGNORED_TARGET, LeftOut, ShuffleOrder, Tail, WindowKind, WindowSet};

/// Raised whenever a byte of the arrays could change for the same dataset and settings.
const FORMAT_VERSION: u32 = 1;

/// Everything a reader needs to know of the arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedRecord {
    format_version: u32,
    dataset_id: Hash128,
    /// `[n, seq_len, dim]`.
    shape: [u64; 3],
    dtype: Dtype,
    format: ArrayFormat,
    /// How to read the embeddings, as a line of PyTorch.
    pytorch: String,
    stride: u64,
    window: WindowKind,
    /// What became of the ends of documents, where windows keep to them.
    tail: Option<Tail>,
    /// What fills up windows, where they are padded.
    padding: Option<Padding>,
    left_out: LeftOutRecord,
    /// Windows in a batch, where a last one that is not full was left out.
    drop_last: Option<u64>,
    shuffle: Option<Shuffle>,
    token_table: TableInfo,
    position_table: Option<TableInfo>,
    files: Vec<ArrayFile>,
    /// Hash of everything above, as compact JSON; `None` only while that is computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Hash128>,
}

/// The ids of an array that stand for nothing in the dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Padding {
    input: TokenId,
    target: TokenId,
}

/// What of the dataset is not in the arrays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOutRecord {
    /// Windows of a last batch that was not full.
    windows: u64,
    /// Documents without a window, where windows know documents.
    documents: Option<u64>,
    /// Tokens that no window has.
    tokens: u64,
}

/// An order of windows other than that of the dataset.
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
        let knows_documents = config.window == WindowKind::Documents;
        Self {
            format_version: FORMAT_VERSION,
            dataset_id: manifest.dataset_id,
            shape,
            dtype: config.dtype,
            format: config.array_format,
            pytorch: arrays.pytorch(),
            stride: config.stride(),
            window: config.window,
            tail: knows_documents.then_some(config.tail),
            padding: (config.tail == Tail::Pad).then_some(Padding {
                input: manifest.encoding.end_of_text,
                target: IGNORED_TARGET,
            }),
            left_out: LeftOutRecord {
                windows: windows.len() - shape[0],
                documents,
                tokens,
            },
            drop_last: config.drop_last.then_some(config.batch_size),
            shuffle: config.shuffle.map(|(seed, epoch)| Shuffle {
                order: config.shuffle_order,
                seed,
                epoch,
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

    /// Documents and tokens that no window has, where windows know documents.
    pub fn left_out(&self) -> Option<LeftOut> {
        let LeftOutRecord {
            documents, tokens, ..
        } = self.left_out;
        documents.map(|documents| LeftOut { documents, tokens })
    }

    /// Tokens of the dataset that no window has.
    pub fn n_left_out_tokens(&self) -> u64 {
        self.left_out.tokens
    }

    /// Windows of a last batch that was not full and is left out.
    pub fn n_dropped_windows(&self) -> u64 {
        self.left_out.windows
    }

    /// Bytes of the three arrays.
    pub fn bytes(&self) -> u64 {
        // A record that was read may list any sizes.
        self.files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// The files of the arrays.
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
        let mut hasher = Hasher128::new();
        // The hasher takes everything and plain data always serializes.
        let _ = serde_json::to_writer(&mut hasher, &body);
        hasher.finish()
    }

    /// The record in `directory`, if what is there is whole and what this one, still without
    /// files, asks for.
    ///
    /// # Errors
    /// [`Error::Threads`] where the threads that read it cannot start, and [`Error::Io`] where what
    /// is there cannot be read and may not be overwritten.
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
    /// [`Error::Shard`] where it is none of a known version.
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

/// What was read, if it is whole. What the system could not read may be, so that is an error unless
/// it may be overwritten.
fn if_whole<T>(read: Result<T>, config: &EmbedConfig) -> Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_retryable() && !config.overwrite => Err(error),
        Err(_) => Ok(None),
    }
}

/// What was checked and found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct VerifiedEmbeddings {
    /// Windows.
    pub windows: u64,
    /// Bytes of files whose hashes hold.
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
