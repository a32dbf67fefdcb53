//! Reads a dataset: all shards as one sequence, with documents and their sources.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use shardmill_core::token::TokenId;

use crate::dataset::directory::{map_in, read_directory};
use crate::dataset::mapped::{ShardRef, Shards};
use crate::dataset::{DocRecord, MANIFEST, Manifest};
use crate::error::{Error, Result};

/// A dataset whose shards are memory-mapped: every token by its offset over all shards.
///
/// ```no_run
/// use shardmill::TokenStore;
///
/// let store = TokenStore::open("out".as_ref())?;
/// let mut window = vec![0; 256];
/// store.read(1000, &mut window)?;
/// let document = store.document_of(1000)?.expect("offset 1000 is in the dataset");
/// println!("from {}", store.manifest().sources[document.source as usize].name);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Debug)]
pub struct TokenStore {
    path: PathBuf,
    manifest: Manifest,
    shards: Shards,
    /// The number of tokens before shard i; one more entry than shards.
    starts: Vec<u64>,
}

/// A document, its pieces joined over shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its ids, as offsets in the dataset, including its end-of-text token.
    pub tokens: Range<u64>,
    /// Index of its source in the manifest.
    pub source: u32,
    /// Where it lies in the source: the text itself, or the JSON line.
    pub bytes: Range<u64>,
}

/// The manifest of the dataset in the directory `path`, whatever the state of its shards.
pub(crate) fn read_manifest(path: &Path) -> Result<Manifest> {
    read_directory(path, |directory| {
        let file = map_in(directory, path, MANIFEST)?;
        Manifest::parse(&file, file.path())
    })
}

impl TokenStore {
    /// Opens the dataset in the directory `path`. Checks its manifest and the sizes of its files,
    /// but not their contents; [`verify`](crate::verify) does that.
    ///
    /// # Errors
    /// [`Error::Shard`] if it is not a dataset, or a file does not match the manifest.
    pub fn open(path: &Path) -> Result<Self> {
        read_directory(path, |directory| {
            let file = map_in(directory, path, MANIFEST)?;
            let manifest = Manifest::parse(&file, file.path())?;
            Self::open_shards(directory, path, manifest)
        })
    }

    pub(super) fn open_shards(
        directory: &OwnedFd,
        path: &Path,
        manifest: Manifest,
    ) -> Result<Self> {
        let shards = Shards::open(directory, path, &manifest)?;
        let mut starts = Vec::with_capacity(manifest.shards.len() + 1);
        starts.push(0);
        let mut total = 0_u64;
        for info in &manifest.shards {
            total = total.saturating_add(info.tokens);
            starts.push(total);
        }
        if total != manifest.totals.tokens {
            return Err(Error::shard(
                path.join(MANIFEST),
                format!(
                    "says {} tokens, its shards have {total}",
                    manifest.totals.tokens
                ),
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            manifest,
            shards,
            starts,
        })
    }

    /// The directory it was opened from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The dataset's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The number of shards.
    pub fn n_shards(&self) -> usize {
        self.manifest.shards.len()
    }

    /// Shard `index`. A dataset of more than 4,096 shards maps them as they are used, and keeps no
    /// more than that many mapped, not counting those that are held.
    ///
    /// # Errors
    /// Only if this call maps it: [`Error::Shard`] if its files changed since the dataset was
    /// opened, [`Error::Io`] if the system refuses, or if another dataset replaced this one.
    ///
    /// # Panics
    /// If there is no such shard.
    #[inline]
    pub fn shard(&self, index: usize) -> Result<ShardRef<'_>> {
        self.shards.get(index, &self.path, &self.manifest)
    }

    /// All shards in order, each as returned by [`shard`](Self::shard).
    pub fn shards(&self) -> impl ExactSizeIterator<Item = Result<ShardRef<'_>>> {
        (0..self.n_shards()).map(|index| self.shard(index))
    }

    /// The number of ids in all shards.
    pub fn n_tokens(&self) -> u64 {
        self.manifest.totals.tokens
    }

    /// The offset in the dataset of the first token of shard `index`.
    ///
    /// # Panics
    /// If there is no such shard.
    pub fn shard_start(&self, index: usize) -> u64 {
        self.starts[index]
    }

    /// The tokens of shard `index`, as offsets in the dataset.
    pub(crate) fn shard_tokens(&self, index: usize) -> Range<u64> {
        self.starts[index]..self.starts[index + 1]
    }

    /// The shard that has token `offset`, which must exist.
    fn shard_of(&self, offset: u64) -> usize {
        self.starts.partition_point(|&start| start <= offset) - 1
    }

    /// Fills `to` with the ids from offset `start` on, across shard borders.
    ///
    /// # Errors
    /// [`Error::Shape`] if they reach past the last token, and the errors of
    /// [`shard`](Self::shard).
    pub fn read(&self, start: u64, to: &mut [TokenId]) -> Result<()> {
        let end = start.checked_add(to.len() as u64);
        if end.is_none_or(|end| end > self.n_tokens()) {
            return Err(Error::shape(format!(
                "tokens {start} and {} more were asked for, the dataset has {}",
                to.len(),
                self.n_tokens()
            )));
        }
        let mut at = start;
        let mut rest = to;
        while !rest.is_empty() {
            let index = self.shard_of(at);
            let shard = self.shard(index)?;
            let tokens = shard.tokens();
            // Below the shard's length, which fits in usize because the shard is mapped.
            let offset = usize::try_from(at - self.starts[index]).unwrap_or(usize::MAX);
            let take = rest.len().min(tokens.len() - offset);
            let (now, later) = rest.split_at_mut(take);
            tokens.copy_to(offset, now);
            at += take as u64;
            rest = later;
        }
        Ok(())
    }

    /// All documents in order, with their pieces joined.
    ///
    /// # Errors
    /// The errors of [`shard`](Self::shard), in place of the document.
    pub fn documents(&self) -> impl Iterator<Item = Result<Document>> {
        let mut records = Records {
            store: self,
            shard: None,
            next_shard: 0,
        };
        std::iter::from_fn(move || records.next_document().transpose())
    }

    /// The document record that token `offset` belongs to; `None` past the last token.
    ///
    /// # Errors
    /// Those of [`shard`](Self::shard).
    pub fn document_of(&self, offset: u64) -> Result<Option<DocRecord>> {
        if offset >= self.n_tokens() {
            return Ok(None);
        }
        let index = self.shard_of(offset);
        let within = offset - self.starts[index];
        let shard = self.shard(index)?;
        let records = shard.documents();
        let record = records.partition_point(|record| record.end_tokens <= within);
        Ok(records.get(record).copied())
    }
}

/// Walks the document records of all shards.
struct Records<'a> {
    store: &'a TokenStore,
    shard: Option<OpenShard<'a>>,
    next_shard: usize,
}

/// The shard that a walk is in.
struct OpenShard<'a> {
    shard: ShardRef<'a>,
    /// The next record, and the offset in the dataset where it begins.
    record: usize,
    begin: u64,
    /// Offset in the dataset of the shard.
    start: u64,
}

impl Records<'_> {
    /// The next record, with its tokens as offsets in the dataset.
    fn next(&mut self) -> Result<Option<(Range<u64>, DocRecord)>> {
        loop {
            if let Some(open) = &mut self.shard
                && let Some(&record) = open.shard.documents().get(open.record)
            {
                let tokens = open.begin..open.start.saturating_add(record.end_tokens);
                open.begin = tokens.end;
                open.record += 1;
                return Ok(Some((tokens, record)));
            }
            self.shard = None;
            if self.next_shard == self.store.n_shards() {
                return Ok(None);
            }
            let index = self.next_shard;
            // After an error, nothing follows.
            self.next_shard = self.store.n_shards();
            let start = self.store.shard_start(index);
            self.shard = Some(OpenShard {
                shard: self.store.shard(index)?,
                record: 0,
                begin: start,
                start,
            });
            self.next_shard = index + 1;
        }
    }

    fn next_document(&mut self) -> Result<Option<Document>> {
        let Some((tokens, first)) = self.next()? else {
            return Ok(None);
        };
        let mut document = Document {
            tokens,
            source: first.source,
            bytes: first.byte_start..first.byte_start.saturating_add(first.byte_len),
        };
        let mut goes_on = first.goes_on();
        while goes_on {
            let Some((tokens, piece)) = self.next()? else {
                break;
            };
            document.tokens.end = tokens.end;
            document.bytes.end = piece.byte_start.saturating_add(piece.byte_len);
            goes_on = piece.goes_on();
        }
        Ok(Some(document))
    }
}
