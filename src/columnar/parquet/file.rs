//! A Parquet file: what its metadata says of its columns and row groups.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::schema::types::ColumnDescriptor;
use shardmill_core::hash::Hash128;

use crate::columnar::AGAIN;
use crate::columnar::layout::Layout;
use crate::columnar::parquet::footer::{MAGIC, TAIL_BYTES, footer};
use crate::columnar::parquet::stored::{Ranges, Stored};
use crate::columnar::parquet::thrift::{is_encrypted, nesting};
use crate::document::no_column;
use crate::error::{Error, Problem, Result};
use crate::guard::guarded;
use crate::remote::Blocks;

/// Ends a Parquet file whose metadata is encrypted, and begins it.
const ENCRYPTED_MAGIC: &[u8; 4] = b"PARE";

/// Columns that are nested deeper are refused, because the crate follows them by recursion.
const MAX_NESTING: usize = 128;

/// A Parquet file.
pub(crate) struct File {
    pub(super) path: PathBuf,
    pub(super) bytes: Arc<Stored>,
    /// The metadata as it is stored.
    stored_metadata: Bytes,
    pub(super) metadata: ParquetMetaData,
    /// The hash of the metadata and the bytes after it.
    hash: Hash128,
    layout: Layout,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl File {
    /// Reads the metadata of a file; `bytes` are all of it, and `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Input`] if it is no Parquet file, or its metadata is damaged.
    pub(in crate::columnar) fn open(
        path: &Path,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Self> {
        let bytes = Bytes::from_owner(bytes);
        check_magic(path, &bytes, &bytes)?;
        let footer = footer(&bytes).map(|footer| bytes.slice_ref(footer));
        Self::new(path, &footer.unwrap_or_default(), Stored::Whole(bytes))
    }

    /// Reads the metadata of an object, and nothing else of it.
    ///
    /// # Errors
    /// As [`Self::open`]; also if the object cannot be read.
    pub(in crate::columnar) fn open_object(path: &Path, blocks: Arc<Blocks>) -> Result<Self> {
        /// Most footers are shorter.
        const END_BYTES: u64 = 64 << 10;
        let size = blocks.len();
        let start: Bytes = blocks.read_once(0..size.min(MAGIC.len() as u64))?;
        let mut end: Bytes = blocks.read_once(size.saturating_sub(END_BYTES)..size)?;
        let length = end.last_chunk::<TAIL_BYTES>().map(|tail| {
            let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
            // The footer does not reach into the start.
            length + (TAIL_BYTES + MAGIC.len()) as u64
        });
        let has_magic = end.ends_with(MAGIC);
        if let Some(length) = length
            && has_magic
            && (end.len() as u64..=size).contains(&length)
        {
            end = blocks.read_once(size - length..size)?;
        }
        check_magic(path, &start, &end)?;
        let footer = footer(&end)
            .map(|footer| end.slice_ref(footer))
            .unwrap_or_default();
        let stored = Stored::Object(Arc::new(Ranges::new(blocks)));
        Self::new(path, &footer, stored)
    }

    fn new(path: &Path, footer: &Bytes, bytes: Stored) -> Result<Self> {
        let stored_metadata = footer.slice(..footer.len().saturating_sub(TAIL_BYTES));
        let metadata = read_metadata(path, &stored_metadata)?;
        let size = parquet::file::reader::Length::len(&bytes);
        let mut groups = Vec::with_capacity(metadata.num_row_groups());
        for (index, group) in metadata.row_groups().iter().enumerate() {
            let found = rows_and_range(group).filter(|(_, range)| range.end <= size);
            groups.push(found.ok_or_else(|| {
                let what = format!("row group {index}: has no place in the file");
                Error::input(path, (what, AGAIN))
            })?);
        }
        let rows = groups
            .iter()
            .fold(0_u64, |sum, (rows, _)| sum.saturating_add(*rows));
        let said = metadata.file_metadata().num_rows();
        if u64::try_from(said) != Ok(rows) {
            let what = format!("has {said} rows by its metadata, and {rows} in its row groups");
            return Err(Error::input(path, (what, AGAIN)));
        }
        Ok(Self {
            path: path.to_owned(),
            layout: Layout::new(groups.into_iter(), size),
            bytes: Arc::new(bytes),
            stored_metadata,
            metadata,
            hash: Hash128::of(footer),
        })
    }

    /// The hash of the metadata, which says what the bytes mean.
    pub(in crate::columnar) fn metadata(&self) -> Hash128 {
        self.hash
    }

    pub(in crate::columnar) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether the column with this index is encrypted.
    pub(super) fn is_encrypted(&self, column: usize) -> bool {
        is_encrypted(&self.stored_metadata, Some(column)) == Some(true)
    }

    /// Whether there is a column of that name, or others lie in one.
    pub(in crate::columnar) fn has_column(&self, name: &str) -> bool {
        let schema = self.metadata.file_metadata().schema_descr();
        let mut columns = schema.columns().iter();
        columns.any(|column| {
            column
                .path()
                .parts()
                .first()
                .is_some_and(|first| first == name)
        })
    }

    /// The index of column `field`, which `setting` names, if `check` takes it. The parts of the
    /// name of a nested column are separated by dots.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such column, or `check` refuses it.
    pub(super) fn column(
        &self,
        field: &str,
        setting: &str,
        check: fn(&ColumnDescriptor) -> std::result::Result<(), Problem>,
    ) -> Result<usize> {
        let schema = self.metadata.file_metadata().schema_descr();
        let names = schema.columns().iter().map(|column| column.path().string());
        let names: Vec<_> = names.collect();
        // A name that other columns lie in stands for the first of them, which is refused.
        let is_outer = |name: &String| {
            let inner = name.strip_prefix(field);
            inner.is_some_and(|inner| inner.starts_with('.'))
        };
        let found = names.iter().position(|name| name == field);
        let Some(column) = found.or_else(|| names.iter().position(is_outer)) else {
            return Err(Error::input(&self.path, no_column(field, setting, &names)));
        };
        if names[column + 1..].iter().any(|name| name == field) {
            let what = format!("has two columns '{field}'");
            return Err(Error::input(&self.path, (what, "rename one of them")));
        }
        let descriptor = schema.column(column);
        let checked = if found.is_some() || descriptor.max_rep_level() > 0 {
            check(&descriptor)
        } else {
            let what = format!("has columns in it, such as '{}'", names[column]);
            Err((what, format!("choose one of them with `{setting}`")).into())
        };
        checked.map_err(|problem| {
            Error::input(&self.path, problem.at(format_args!("column '{field}' ")))
        })?;
        Ok(column)
    }
}

/// Reads the metadata `stored` of the file at `path`.
fn read_metadata(path: &Path, stored: &Bytes) -> Result<ParquetMetaData> {
    if nesting(stored, MAX_NESTING + 1).is_some_and(|depth| depth > MAX_NESTING) {
        let what = format!("its columns are nested more than {MAX_NESTING} deep");
        return Err(Error::input(path, (what, "flatten them")));
    }
    careful(|| ParquetMetaDataReader::decode_metadata(stored)).map_err(|error| {
        if is_encrypted(stored, None) == Some(true) {
            return Error::input(path, ENCRYPTED);
        }
        damaged(path, "its metadata", &error)
    })
}

/// The problem with a file that is encrypted.
const ENCRYPTED: (&str, &str) = ("is encrypted Parquet, which is not supported", "decrypt it");

/// Checks that the file at `path`, which begins with `start` and ends with `end`, begins and ends as a
/// Parquet file.
///
/// # Errors
/// [`Error::Input`] says what it is instead.
fn check_magic(path: &Path, start: &[u8], end: &[u8]) -> Result<()> {
    let refuse = |problem: Problem| Err(Error::input(path, problem));
    if start.starts_with(ENCRYPTED_MAGIC) {
        return refuse(ENCRYPTED.into());
    }
    if !start.starts_with(MAGIC) {
        let what = "is not Parquet data";
        return refuse((what, "rename it to what it is, or choose its `format`").into());
    }
    if end.ends_with(ENCRYPTED_MAGIC) {
        return refuse(ENCRYPTED.into());
    }
    if footer(end).is_none() {
        let what = "is Parquet data without its end, where its metadata is";
        return refuse((what, "it was cut short; get the file again").into());
    }
    Ok(())
}

/// The rows of a row group, and the range of its bytes; `None` if its metadata is nonsense.
fn rows_and_range(group: &RowGroupMetaData) -> Option<(u64, Range<u64>)> {
    let rows = u64::try_from(group.num_rows()).ok()?;
    let ranges = group
        .columns()
        .iter()
        .map(range_of)
        .collect::<Option<Vec<_>>>()?;
    let start = ranges.iter().map(|range| range.start).min().unwrap_or(0);
    let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
    Some((rows, start..end))
}

/// The range of a column's bytes in a row group.
pub(super) fn range_of(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let dictionary = column.dictionary_page_offset();
    let start = u64::try_from(dictionary.unwrap_or(column.data_page_offset())).ok()?;
    let length = u64::try_from(column.compressed_size()).ok()?;
    Some(start..start.checked_add(length)?)
}

/// What `call` returns; if it panics, that the data is damaged: the crate checks most of what it
/// reads, not all.
pub(super) fn careful<T>(
    call: impl FnOnce() -> parquet::errors::Result<T>,
) -> parquet::errors::Result<T> {
    let damage = || {
        Err(ParquetError::General(
            "the data contradicts itself".to_owned(),
        ))
    };
    guarded(call).unwrap_or_else(damage)
}

pub(super) fn damaged(path: &Path, place: &str, error: &ParquetError) -> Error {
    let what = match error {
        ParquetError::General(what) | ParquetError::EOF(what) => what.clone(),
        ParquetError::NYI(what) => {
            return Error::input(path, format!("{place}: is not supported: {what}"));
        }
        ParquetError::External(error) => match error.downcast_ref::<Error>() {
            // Our own: an object that could not be read, or a page that was refused.
            Some(error) => return error.again(),
            None => error.to_string(),
        },
        other => other.to_string(),
    };
    Error::input(path, (format!("{place}: {what}"), AGAIN))
}
