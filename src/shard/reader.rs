//! Reads a dataset: all shards as one sequence, with documents and their sources.

use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use crate::encoding::TokenId;
use crate::map::Map;
use crate::shard::{
    DocRecord, MANIFEST, Manifest, ShardInfo, TokenDtype, bad_file_name, file_names,
};
use crate::{Error, Result};

/// A dataset, mapped: every token by its offset over all shards.
///
/// ```no_run
/// use shardmill::TokenStore;
///
/// let store = TokenStore::open("out".as_ref())?;
/// let mut window = vec![0; 256];
/// store.read(1000, &mut window)?;
/// let document = store.document_of(1000).expect("offset 1000 is in the dataset");
/// println!("from {}", store.manifest().sources[document.source as usize].name);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Debug)]
pub struct TokenStore {
    path: PathBuf,
    manifest: Manifest,
    shards: Vec<Shard>,
    /// Tokens before shard i; one more entry than shards.
    starts: Vec<u64>,
}

/// One shard's files, mapped.
#[derive(Debug)]
pub struct Shard {
    tokens: Map,
    docs: Map,
    dtype: TokenDtype,
}

/// The ids of a shard, as they are stored.
#[derive(Clone, Copy, Debug)]
pub enum Tokens<'a> {
    /// Two bytes an id.
    U16(&'a [u16]),
    /// Four bytes an id.
    U32(&'a [u32]),
}

/// A document, its pieces joined over shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its ids, by their offsets in the dataset, with its end-of-text token.
    pub tokens: Range<u64>,
    /// Index of its source in the manifest.
    pub source: u32,
    /// Where it lies in the source: the text itself, or the JSON line.
    pub bytes: Range<u64>,
}

/// Opens the directory `path` so that its files belong together even if it is replaced meanwhile.
fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| Error::io(path, "cannot open the dataset")(errno.into()))
}

/// Lets `read` work with the directory `path`, and once more where that fails as another took its
/// place: what was replaced is removed, file by file.
pub(crate) fn read_directory<T>(path: &Path, read: impl Fn(&OwnedFd) -> Result<T>) -> Result<T> {
    loop {
        let directory = open_directory(path)?;
        match read(&directory) {
            Err(_) if is_replaced(&directory, path) => {}
            outcome => return outcome,
        }
    }
}

/// Whether another directory lies at `path` by now.
fn is_replaced(directory: &OwnedFd, path: &Path) -> bool {
    let now = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let [now, opened] = [now.and_then(fstat), fstat(directory)];
    matches!((now, opened), (Ok(now), Ok(opened))
        if (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino))
}

/// The manifest of the dataset in the directory `path`, whatever became of its shards.
pub(crate) fn read_manifest(path: &Path) -> Result<Manifest> {
    read_directory(path, |directory| {
        let file = map_in(directory, path, MANIFEST)?;
        Manifest::parse(&file, file.path())
    })
}

pub(super) fn map_in(directory: &OwnedFd, path: &Path, name: &str) -> Result<Map> {
    let path = path.join(name);
    let damaged = |what: String| Error::Shard {
        path: path.clone(),
        what,
    };
    // A FIFO of this name must not make the reader wait.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) if name == MANIFEST => {
            return Err(damaged("is missing: this is not a dataset".to_owned()));
        }
        Err(rustix::io::Errno::NOENT) => return Err(damaged("is missing".to_owned())),
        // A link, or a socket.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => {
            return Err(damaged("is not a regular file".to_owned()));
        }
        Err(errno) => return Err(Error::io(&path, "cannot open")(errno.into())),
    };
    Map::from_file(&file, &path)
}

/// Names from a file are untrusted: they may lead out of the directory, or to one shard a million
/// times.
fn check_names(path: &Path, index: usize, info: &ShardInfo, dtype: TokenDtype) -> Result<()> {
    let wrong = |what: String| {
        Err(Error::Shard {
            path: path.join(MANIFEST),
            what,
        })
    };
    let names = file_names(index, dtype);
    if (&info.file, &info.docs_file) != (&names.0, &names.1) {
        return wrong(format!(
            "does not call shard {index} {} and {}",
            names.0, names.1
        ));
    }
    let bad = info.bad_records.as_ref();
    let name = bad_file_name(index);
    if bad.is_some_and(|bad| bad.file != name) {
        return wrong(format!(
            "does not call the list of bad records of shard {index} {name}"
        ));
    }
    Ok(())
}

impl Shard {
    fn open(directory: &OwnedFd, path: &Path, info: &ShardInfo, dtype: TokenDtype) -> Result<Self> {
        let map = |name: &str, expected_bytes: u64| {
            let map = map_in(directory, path, name)?;
            if map.len() as u64 == expected_bytes {
                Ok(map)
            } else {
                Err(Error::Shard {
                    path: path.join(name),
                    what: format!(
                        "has {} bytes, the manifest says {expected_bytes}",
                        map.len()
                    ),
                })
            }
        };
        let sizes_agree = info.tokens.checked_mul(dtype.size_bytes()) == Some(info.bytes)
            && info.docs_bytes.is_multiple_of(DocRecord::BYTES);
        if !sizes_agree {
            return Err(Error::Shard {
                path: path.join(MANIFEST),
                what: format!("gives sizes of {} that contradict each other", info.file),
            });
        }
        Ok(Self {
            tokens: map(&info.file, info.bytes)?,
            docs: map(&info.docs_file, info.docs_bytes)?,
            dtype,
        })
    }

    /// Its ids.
    pub fn tokens(&self) -> Tokens<'_> {
        // A map begins on a page and its length was checked, so the casts cannot fail.
        match self.dtype {
            TokenDtype::U16 => Tokens::U16(bytemuck::cast_slice(&self.tokens)),
            TokenDtype::U32 => Tokens::U32(bytemuck::cast_slice(&self.tokens)),
        }
    }

    /// The records of its documents.
    pub fn documents(&self) -> &[DocRecord] {
        bytemuck::cast_slice(&self.docs)
    }

    /// The files as they lie on disk: ids, then document records.
    pub(crate) fn files(&self) -> [&Map; 2] {
        [&self.tokens, &self.docs]
    }
}

impl Tokens<'_> {
    /// How many ids there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U16(ids) => ids.len(),
            Self::U32(ids) => ids.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies ids from `start` on.
    fn copy_to(&self, start: usize, to: &mut [TokenId]) {
        match self {
            Self::U16(ids) => {
                for (to, &id) in to.iter_mut().zip(&ids[start..]) {
                    *to = u32::from(id);
                }
            }
            Self::U32(ids) => to.copy_from_slice(&ids[start..start + to.len()]),
        }
    }
}

impl TokenStore {
    /// Opens the dataset in the directory `path`: checks its manifest and the sizes of its files,
    /// not their contents; [`verify`](crate::verify) does that.
    ///
    /// # Errors
    /// [`Error::Shard`] where it is no dataset or a file does not fit the manifest.
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
        let dtype = manifest.settings.token_dtype;
        let mut shards = Vec::with_capacity(manifest.shards.len());
        let mut starts = vec![0];
        let mut total = 0_u64;
        for (index, info) in manifest.shards.iter().enumerate() {
            check_names(path, index, info, dtype)?;
            shards.push(Shard::open(directory, path, info, dtype)?);
            // Each shard is a mapped file, so the sum is far below 2^64.
            total += info.tokens;
            starts.push(total);
        }
        if total != manifest.totals.tokens {
            return Err(Error::Shard {
                path: path.join(MANIFEST),
                what: format!(
                    "says {} tokens, its shards have {total}",
                    manifest.totals.tokens
                ),
            });
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

    /// What the dataset says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its shards, in order.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// How many ids there are over all shards.
    pub fn n_tokens(&self) -> u64 {
        self.manifest.totals.tokens
    }

    /// Offset in the dataset of the first token of shard `index`.
    ///
    /// # Panics
    /// Where there is no such shard.
    pub fn shard_start(&self, index: usize) -> u64 {
        self.starts[index]
    }

    /// Fills `to` with the ids from offset `start` on, over shard borders.
    ///
    /// # Errors
    /// [`Error::Shape`] where they reach beyond the last token.
    pub fn read(&self, start: u64, to: &mut [TokenId]) -> Result<()> {
        let end = start.checked_add(to.len() as u64);
        if end.is_none_or(|end| end > self.n_tokens()) {
            return Err(Error::Shape {
                what: format!(
                    "tokens {start} and {} more were asked for, the dataset has {}",
                    to.len(),
                    self.n_tokens()
                ),
            });
        }
        let mut at = start;
        let mut rest = to;
        let mut shard = self.starts.partition_point(|&other| other <= start).max(1) - 1;
        while !rest.is_empty() {
            let tokens = self.shards[shard].tokens();
            // Below the shard's length, which fits usize as the shard is mapped.
            let offset = usize::try_from(at - self.starts[shard]).unwrap_or(usize::MAX);
            let take = rest.len().min(tokens.len() - offset);
            let (now, later) = rest.split_at_mut(take);
            tokens.copy_to(offset, now);
            at += take as u64;
            rest = later;
            shard += 1;
        }
        Ok(())
    }

    /// Every document in order, its pieces joined.
    pub fn documents(&self) -> impl Iterator<Item = Document> {
        let mut records = self
            .shards
            .iter()
            .zip(&self.starts)
            .flat_map(|(shard, &start)| {
                let mut begin = start;
                shard.documents().iter().map(move |record| {
                    let tokens = begin..start.saturating_add(record.end_tokens);
                    begin = tokens.end;
                    (tokens, record)
                })
            });
        std::iter::from_fn(move || {
            let (tokens, first) = records.next()?;
            let mut document = Document {
                tokens,
                source: first.source,
                bytes: first.byte_start..first.byte_start.saturating_add(first.byte_len),
            };
            let mut goes_on = first.goes_on();
            while goes_on {
                let Some((tokens, piece)) = records.next() else {
                    break;
                };
                document.tokens.end = tokens.end;
                document.bytes.end = piece.byte_start.saturating_add(piece.byte_len);
                goes_on = piece.goes_on();
            }
            Some(document)
        })
    }

    /// The record that token `offset` belongs to, in its shard; `None` beyond the last token.
    pub fn document_of(&self, offset: u64) -> Option<&DocRecord> {
        if offset >= self.n_tokens() {
            return None;
        }
        let shard = self.starts.partition_point(|&start| start <= offset) - 1;
        let within = offset - self.starts[shard];
        let records = self.shards[shard].documents();
        records.get(records.partition_point(|record| record.end_tokens <= within))
    }
}
