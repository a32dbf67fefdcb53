//! The memory-mapped shards of a dataset.
//!
//! A process may have some 65,000 maps, and a shard takes two, or three if fields are kept. So if a
//! dataset has few shards, all of them are mapped when it is opened. If it has many, a shard is
//! mapped when it is used, and the most recently used ones stay mapped.

use std::ops::{Deref, Range};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, statat};
use rustix::io::Errno;
use shardmill_core::map::Map;
use shardmill_core::token::TokenId;

use crate::dataset::directory::{is_replaced, map_in, not_opened};
use crate::dataset::{
    DocRecord, MANIFEST, Manifest, Settings, ShardInfo, TokenDtype, bad_file_name,
    fields_file_name, file_names,
};
use crate::error::{Error, Result};

/// How many shards are mapped at once. They take at most a fifth of the maps that a process may have, and
/// hold 1 TB of text in units of the default size.
const MAPPED_SHARDS: usize = 4096;

/// One shard's files, mapped.
#[derive(Debug)]
pub struct Shard {
    tokens: Map,
    docs: Map,
    /// The kept fields, if any are.
    fields: Option<Map>,
    dtype: TokenDtype,
}

/// A [`Shard`] in use; it stays mapped as long as this is held.
#[derive(Debug)]
pub struct ShardRef<'a>(Held<'a>);

#[derive(Debug)]
enum Held<'a> {
    Borrowed(&'a Shard),
    Shared(Arc<Shard>),
}

impl Deref for ShardRef<'_> {
    type Target = Shard;

    #[inline]
    fn deref(&self) -> &Shard {
        match &self.0 {
            Held::Borrowed(shard) => shard,
            Held::Shared(shard) => shard,
        }
    }
}

/// The ids of a shard, as they are stored.
#[derive(Clone, Copy, Debug)]
pub enum Tokens<'a> {
    /// Two bytes per id.
    U16(&'a [u16]),
    /// Four bytes per id.
    U32(&'a [u32]),
}

impl Shard {
    fn open(directory: &OwnedFd, path: &Path, info: &ShardInfo, dtype: TokenDtype) -> Result<Self> {
        let map = |name: &str, expected_bytes: u64| -> Result<Map> {
            let map = map_in(directory, path, name)?;
            check_size(&path.join(name), map.len() as u64, expected_bytes)?;
            Ok(map)
        };
        Ok(Self {
            tokens: map(&info.file, info.bytes)?,
            docs: map(&info.docs_file, info.docs_bytes)?,
            fields: (info.fields.as_ref())
                .map(|fields| map(&fields.file, fields.bytes))
                .transpose()?,
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

    /// The kept fields of its documents: a line of JSON for each of their records, in order; empty if none
    /// are kept.
    ///
    /// ```no_run
    /// let store = shardmill::TokenStore::open("dataset".as_ref())?;
    /// let shard = store.shard(0)?;
    /// for line in shard.fields().split_inclusive(|&byte| byte == b'\n').take(10) {
    ///     print!("{}", String::from_utf8_lossy(line));
    /// }
    /// # Ok::<(), shardmill::Error>(())
    /// ```
    pub fn fields(&self) -> &[u8] {
        self.fields.as_deref().unwrap_or_default()
    }

    /// The mapped files: ids, then document records.
    pub(crate) fn files(&self) -> [&Map; 2] {
        [&self.tokens, &self.docs]
    }

    /// The mapped file of kept fields, if any are.
    pub(crate) fn fields_file(&self) -> Option<&Map> {
        self.fields.as_ref()
    }
}

impl<'a> Tokens<'a> {
    /// The ids `range`, as they are stored; `None` if there are not so many.
    pub(crate) fn bytes(self, range: Range<u64>) -> Option<&'a [u8]> {
        let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        match self {
            Self::U16(ids) => ids.get(range).map(bytemuck::cast_slice),
            Self::U32(ids) => ids.get(range).map(bytemuck::cast_slice),
        }
    }
}

impl Tokens<'_> {
    /// The number of ids.
    pub fn len(&self) -> usize {
        match self {
            Self::U16(ids) => ids.len(),
            Self::U32(ids) => ids.len(),
        }
    }

    /// The size of one id in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::U16(_) => size_of::<u16>(),
            Self::U32(_) => size_of::<u32>(),
        }
    }

    /// Whether there are no ids.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `to` with the ids from `start` on.
    pub(super) fn copy_to(&self, start: usize, to: &mut [TokenId]) {
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

/// All shards of a dataset.
#[derive(Debug)]
pub(super) enum Shards {
    /// Few shards, all of them mapped.
    Mapped(Vec<Shard>),
    /// Many shards, mapped on use.
    OnUse(OnUse),
}

/// The mapped shard and its number, if one is mapped.
type Slot = Mutex<Option<(usize, Arc<Shard>)>>;

/// Maps shards as they are used. Shard `i` has the slot at `i` modulo the number of slots, so
/// consecutive shards never evict each other.
#[derive(Debug)]
pub(super) struct OnUse {
    directory: OwnedFd,
    slots: Vec<Slot>,
}

impl Shards {
    /// Opens the shards of `manifest` in `directory` and checks that their files have the sizes
    /// that it says.
    pub(super) fn open(directory: &OwnedFd, path: &Path, manifest: &Manifest) -> Result<Self> {
        Self::open_with(directory, path, manifest, MAPPED_SHARDS)
    }

    /// Like [`Self::open`], with at most `most` shards mapped.
    fn open_with(
        directory: &OwnedFd,
        path: &Path,
        manifest: &Manifest,
        most: usize,
    ) -> Result<Self> {
        let dtype = manifest.settings.token_dtype;
        for (index, info) in manifest.shards.iter().enumerate() {
            check_info(path, index, info, &manifest.settings)?;
        }
        let shards = manifest.shards.iter();
        if shards.len() <= most {
            let shards = shards.map(|info| Shard::open(directory, path, info, dtype));
            return Ok(Self::Mapped(shards.collect::<Result<_>>()?));
        }
        for info in shards {
            check_file(directory, path, &info.file, info.bytes)?;
            check_file(directory, path, &info.docs_file, info.docs_bytes)?;
            if let Some(fields) = &info.fields {
                check_file(directory, path, &fields.file, fields.bytes)?;
            }
        }
        Ok(Self::OnUse(OnUse {
            directory: (directory.try_clone())
                .map_err(Error::io(path, "cannot keep the dataset open"))?,
            slots: std::iter::repeat_with(Mutex::default).take(most).collect(),
        }))
    }

    /// Shard `index` of `manifest`, whose directory has the path `path`.
    #[inline]
    pub(super) fn get(
        &self,
        index: usize,
        path: &Path,
        manifest: &Manifest,
    ) -> Result<ShardRef<'_>> {
        match self {
            Self::Mapped(shards) => Ok(ShardRef(Held::Borrowed(&shards[index]))),
            Self::OnUse(on_use) => {
                let shard = on_use.get(index, path, manifest)?;
                Ok(ShardRef(Held::Shared(shard)))
            }
        }
    }
}

impl OnUse {
    fn get(&self, index: usize, path: &Path, manifest: &Manifest) -> Result<Arc<Shard>> {
        // A thread that panicked leaves the slot in a valid state.
        let slot = self.slots[index % self.slots.len()].lock();
        let mut slot = slot.unwrap_or_else(PoisonError::into_inner);
        if let Some((there, shard)) = &*slot
            && *there == index
        {
            return Ok(Arc::clone(shard));
        }
        // Drop the previous shard first, so that it is unmapped if nothing else uses it.
        *slot = None;
        let (info, dtype) = (&manifest.shards[index], manifest.settings.token_dtype);
        let shard = Shard::open(&self.directory, path, info, dtype).map_err(|error| {
            if is_replaced(&self.directory, path) {
                Error::io(path, "was replaced while it was read")(Errno::STALE.into())
            } else {
                error
            }
        })?;
        let shard = Arc::new(shard);
        *slot = Some((index, Arc::clone(&shard)));
        Ok(shard)
    }
}

/// Checks what the manifest says about shard `index`. Names from a file are untrusted: they may
/// lead out of the directory, or name the same shard a million times.
fn check_info(path: &Path, index: usize, info: &ShardInfo, settings: &Settings) -> Result<()> {
    let dtype = settings.token_dtype;
    let wrong = |what: String| Err(Error::shard(path.join(MANIFEST), what));
    let names = file_names(index, dtype);
    if (&info.file, &info.docs_file) != (&names.0, &names.1) {
        let (tokens, docs) = names;
        return wrong(format!("does not call shard {index} {tokens} and {docs}"));
    }
    let bad = info.bad_records.as_ref();
    let name = bad_file_name(index);
    if bad.is_some_and(|bad| bad.file != name) {
        return wrong(format!(
            "does not call the list of bad records of shard {index} {name}"
        ));
    }
    let fields = info.fields.as_ref().map(|fields| &*fields.file);
    let name = settings.keeps_fields().then(|| fields_file_name(index));
    if fields != name.as_deref() {
        return wrong(format!(
            "does not call the kept fields of shard {index} {}",
            name.as_deref().unwrap_or("none")
        ));
    }
    let sizes_agree = info.tokens.checked_mul(dtype.size_bytes()) == Some(info.bytes)
        && info.docs_bytes.is_multiple_of(DocRecord::BYTES);
    if !sizes_agree {
        let file = &info.file;
        return wrong(format!("gives sizes of {file} that contradict each other"));
    }
    Ok(())
}

fn check_size(path: &Path, bytes: u64, expected: u64) -> Result<()> {
    if bytes == expected {
        return Ok(());
    }
    Err(Error::shard(
        path,
        format!("has {bytes} bytes, the manifest says {expected}"),
    ))
}

/// Checks the size of a file without opening it.
fn check_file(directory: &OwnedFd, path: &Path, name: &str, expected_bytes: u64) -> Result<()> {
    let path = path.join(name);
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| not_opened(&path, name, errno))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::input(path, "is not a regular file"));
    }
    // A size is never negative.
    check_size(
        &path,
        u64::try_from(stat.st_size).unwrap_or(0),
        expected_bytes,
    )
}
