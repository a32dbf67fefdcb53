//! Reads Parquet, by the crate parquet.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ConvertedType, LogicalType, Type};
use parquet::column::page::PageReader;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescriptor;

use crate::columnar::layout::Layout;
use crate::columnar::{MAGIC, footer};
use crate::document::push_row;
use crate::error::{Error, Problem, Result};
use crate::guard::guarded;

/// Ends a Parquet file whose metadata is encrypted, and begins it.
const ENCRYPTED_MAGIC: &[u8; 4] = b"PARE";

/// How many names of columns a message lists.
const COLUMNS_SHOWN: usize = 10;

/// How many rows are decoded at once. Their values lie in the memory of their pages.
const STEP_ROWS: usize = 256;

/// A row group is cut into about this many slices at most: to begin with one, the headers of all
/// pages before it are read.
const MAX_SLICES: u64 = 128;

/// What a slice takes before it is decoded, whatever the metadata says.
const MAX_RESERVE_BYTES: usize = 32 << 20;

/// A Parquet file.
pub(crate) struct Columnar {
    path: PathBuf,
    bytes: Arc<Bytes>,
    metadata: ParquetMetaData,
    layout: Layout,
}

impl std::fmt::Debug for Columnar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columnar")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Columnar {
    /// Reads the metadata of a file; `bytes` are all of it, and `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Input`] if it is no Parquet file, or its metadata is damaged.
    pub(crate) fn open(path: &Path, bytes: impl AsRef<[u8]> + Send + 'static) -> Result<Self> {
        let bytes = Bytes::from_owner(bytes);
        check_magic(path, &bytes)?;
        let metadata = careful(|| ParquetMetaDataReader::new().parse_and_finish(&bytes));
        let metadata = metadata.map_err(|error| damaged(path, "its metadata", &error))?;
        let size = bytes.len() as u64;
        let mut groups = Vec::with_capacity(metadata.num_row_groups());
        for (index, group) in metadata.row_groups().iter().enumerate() {
            let found = rows_and_range(group).filter(|(_, range)| range.end <= size);
            groups.push(found.ok_or_else(|| {
                let what = format!("row group {index}: lies outside of the file");
                Error::input(path, (what, AGAIN))
            })?);
        }
        Ok(Self {
            path: path.to_owned(),
            layout: Layout::new(groups.into_iter(), size),
            bytes: Arc::new(bytes),
            metadata,
        })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether there is a column of that name.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        let schema = self.metadata.file_metadata().schema_descr();
        let mut columns = schema.columns().iter();
        columns.any(|column| column.path().string() == name)
    }

    /// Cuts column `field` of the rows in the bytes `range`, which begins at an allowed cut or at
    /// 0, and ends at one or with the file. The parts of the name of a nested column are separated
    /// by dots.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such column, or it does not hold a text in each row.
    pub(crate) fn slices(self, field: &str, range: Range<u64>) -> Result<Slices> {
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
            return Err(Error::input(&self.path, no_column(field, &names)));
        };
        check_column(&schema.column(column), found.is_some()).map_err(|problem| {
            Error::input(&self.path, problem.at(format_args!("column '{field}' ")))
        })?;
        let rows = self.layout.rows_before(range.start)..self.layout.rows_before(range.end);
        Ok(Slices {
            group: self.layout.group_of(rows.start),
            next: rows.start,
            end: rows.end,
            place: range.start,
            end_place: range.end,
            open: None,
            column: Arc::new(Column {
                file: self,
                field: field.to_owned(),
                index: column,
            }),
        })
    }
}

/// Checks that `bytes`, all of the file at `path`, begin and end as a Parquet file.
///
/// # Errors
/// [`Error::Input`] says what it is instead.
fn check_magic(path: &Path, bytes: &[u8]) -> Result<()> {
    let refuse = |problem: Problem| Err(Error::input(path, problem));
    if bytes.starts_with(ENCRYPTED_MAGIC) {
        return refuse(("is encrypted Parquet, which is not supported", "decrypt it").into());
    }
    if !bytes.starts_with(MAGIC) {
        let what = "is not Parquet data";
        return refuse((what, "rename it to what it is, or choose its `format`").into());
    }
    if bytes.ends_with(ENCRYPTED_MAGIC) {
        return refuse(("is encrypted Parquet, which is not supported", "decrypt it").into());
    }
    if footer(bytes).is_none() {
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
fn range_of(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = column
        .dictionary_page_offset()
        .unwrap_or(column.data_page_offset());
    let start = u64::try_from(start).ok()?;
    let length = u64::try_from(column.compressed_size()).ok()?;
    Some(start..start.checked_add(length)?)
}

fn no_column(field: &str, names: &[String]) -> Problem {
    let shown = names.len().min(COLUMNS_SHOWN);
    let list: Vec<_> = names[..shown]
        .iter()
        .map(|name| format!("'{name}'"))
        .collect();
    let more = match names.len() - shown {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = match &list[..] {
        [] => format!("has no column '{field}'; it has none at all"),
        _ => format!(
            "has no column '{field}'; there are {}{more}",
            list.join(", ")
        ),
    };
    (what, "choose one with `text_field`").into()
}

/// Checks that a column holds one text in each row.
fn check_column(column: &ColumnDescriptor, is_exact: bool) -> std::result::Result<(), Problem> {
    if column.max_rep_level() > 0 {
        let what = "is a list, or lies in one, so a row has more than one text";
        return Err((what, "choose another with `text_field`").into());
    }
    if !is_exact {
        let hint = "choose one of them with `text_field`";
        let what = format!("has columns in it, such as '{}'", column.path().string());
        return Err((what, hint).into());
    }
    let is_text = match column.logical_type_ref() {
        Some(logical) => matches!(
            logical,
            LogicalType::String | LogicalType::Enum | LogicalType::Json
        ),
        None => matches!(
            column.converted_type(),
            ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON
        ),
    };
    if column.physical_type() != Type::BYTE_ARRAY || !is_text {
        let kind = match column.logical_type_ref() {
            Some(logical) => format!("{logical:?}"),
            None => column.physical_type().to_string(),
        };
        return Err((
            format!("holds no text, but values of type {kind}"),
            "choose another with `text_field`",
        )
            .into());
    }
    Ok(())
}

/// A column of a file.
#[derive(Debug)]
struct Column {
    file: Columnar,
    field: String,
    /// Its index.
    index: usize,
}

/// Cuts rows of a column into slices. Reads only the headers of pages.
pub(crate) struct Slices {
    column: Arc<Column>,
    /// The index of the row group that is cut next.
    group: usize,
    /// The next row, and the one after the last.
    next: u64,
    end: u64,
    /// Where the rows begin that were not handed out yet, and where the last of them ends.
    place: u64,
    end_place: u64,
    open: Option<OpenGroup>,
}

/// A row group that is being cut.
struct OpenGroup {
    pages: Pages,
    /// How many of its rows were handed out, and how many are left.
    before: u64,
    left: u64,
    /// The average length of a row's text, and the least length of a slice.
    row_bytes: u64,
    slice_bytes: u64,
}

/// Rows of one row group: whole pages, so that no page is decoded twice.
#[derive(Clone)]
pub(crate) struct Slice {
    column: Arc<Column>,
    group: usize,
    /// The number of rows of the group before it.
    before: u64,
    rows: u64,
    /// The number of rows of the file before it.
    pub(crate) first_row: u64,
    /// About the length of its texts together.
    pub(crate) text_bytes: u64,
    /// The nominal places of its rows.
    pub(crate) place: (u64, u64),
}

impl std::fmt::Debug for Slices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slices")
            .field("column", &self.column)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slice")
            .field("first_row", &self.first_row)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Slices {
    pub(crate) fn layout(&self) -> &Layout {
        &self.column.file.layout
    }

    /// The next rows, with texts of about `wanted` bytes or one page, and none from byte `end` on,
    /// an allowed cut or the size of the file. After the last row, an empty slice.
    pub(crate) fn next(&mut self, wanted: u64, end: u64) -> Result<Slice> {
        let end = end.min(self.end_place);
        let end_row = self.layout().rows_before(end).min(self.end);
        let mut slice = Slice {
            column: Arc::clone(&self.column),
            group: self.group,
            before: 0,
            rows: 0,
            first_row: self.next,
            text_bytes: 0,
            place: (self.place, self.place),
        };
        if self.next < end_row {
            self.cut(&mut slice, wanted)?;
        }
        self.place = if self.next == end_row {
            end
        } else {
            self.layout().place(self.next)
        };
        slice.place.1 = self.place;
        Ok(slice)
    }

    /// Cuts some pages off the current row group.
    fn cut(&mut self, slice: &mut Slice, wanted: u64) -> Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => loop {
                let open = self.column.open_group(self.group, wanted)?;
                if open.left > 0 {
                    break open;
                }
                self.group += 1;
            },
        };
        slice.group = self.group;
        slice.before = open.before;
        while slice.rows < open.left && slice.text_bytes < open.slice_bytes {
            let Some(rows) = self.column.next_page(&mut open.pages, self.group)? else {
                // The rows that are missing are noticed when the slice is read.
                slice.rows = open.left;
                break;
            };
            slice.rows = slice.rows.saturating_add(rows);
            slice.text_bytes = slice.rows.saturating_mul(open.row_bytes);
        }
        if slice.rows > open.left {
            let rows = open.before + open.left;
            let what = format!("has more than the {rows} rows of its group");
            return Err(self.column.problem(self.group, &what));
        }
        open.before += slice.rows;
        open.left -= slice.rows;
        self.next += slice.rows;
        if open.left > 0 {
            self.open = Some(open);
        } else {
            self.group += 1;
        }
        Ok(())
    }
}

impl Slice {
    /// Appends the decoded rows to `texts`, as `document/rows.rs` says.
    ///
    /// # Errors
    /// [`Error::Input`] if they are damaged.
    pub(crate) fn read(&self, texts: &mut Vec<u8>) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let column = &*self.column;
        let refuse = |error: ParquetError| column.damaged(self.group, &error);
        let (pages, chunk) = column.pages(self.group)?;
        let level = chunk.column_descr().max_def_level();
        let descriptor = chunk.column_descr_ptr();
        let mut reader = careful(|| {
            let mut reader = ColumnReaderImpl::<ByteArrayType>::new(descriptor, pages);
            reader.skip_records(usize::try_from(self.before).unwrap_or(usize::MAX))?;
            Ok(reader)
        })
        .map_err(refuse)?;
        let lengths = self.rows.saturating_mul(size_of::<u32>() as u64);
        let capacity = self.text_bytes.saturating_add(lengths);
        texts.reserve(
            usize::try_from(capacity)
                .unwrap_or(0)
                .min(MAX_RESERVE_BYTES),
        );
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let mut left = self.rows;
        while left > 0 {
            values.clear();
            levels.clear();
            let step = usize::try_from(left).map_or(STEP_ROWS, |left| left.min(STEP_ROWS));
            let read = careful(|| reader.read_records(step, Some(&mut levels), None, &mut values));
            let (read, _, _) = read.map_err(refuse)?;
            if read == 0 {
                let what = format!("has {left} rows less than the metadata says");
                return Err(column.problem(self.group, &what));
            }
            let mut found = values.iter().map(ByteArray::data);
            for row in 0..read {
                // A column without nulls has no levels.
                let is_there = levels.get(row).is_none_or(|found| *found == level);
                let text = if is_there { found.next() } else { None };
                if !push_row(texts, text) {
                    return Err(column.problem(self.group, "has a text of 4 GiB or more"));
                }
            }
            left -= read as u64;
        }
        Ok(())
    }
}

/// Reads the pages of a column in a row group.
type Pages = Box<SerializedPageReader<Bytes>>;

impl Column {
    /// The pages of the column in row group `group`, and its metadata.
    fn pages(&self, group: usize) -> Result<(Pages, &ColumnChunkMetaData)> {
        let metadata = self.file.metadata.row_groups().get(group);
        let chunk = metadata.and_then(|group| group.columns().get(self.index));
        let Some((metadata, chunk)) = metadata.zip(chunk) else {
            return Err(self.problem(group, "is not where the metadata says"));
        };
        if !is_supported(chunk.compression()) {
            let codec = chunk.compression().to_string();
            let codec = codec.split('(').next().unwrap_or_default();
            let what = format!("is compressed with {codec}, which is not supported");
            return Err(self.problem(group, &what));
        }
        // It was checked when the file was opened.
        let rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
        let bytes = Arc::clone(&self.file.bytes);
        let pages = careful(|| SerializedPageReader::new(bytes, chunk, rows, None));
        let pages = pages.map_err(|error| self.damaged(group, &error))?;
        Ok((Box::new(pages), chunk))
    }

    fn open_group(&self, group: usize, wanted: u64) -> Result<OpenGroup> {
        let (pages, chunk) = self.pages(group)?;
        let rows = self.file.metadata.row_group(group).num_rows();
        let rows = u64::try_from(rows).unwrap_or(0);
        let text_bytes = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
        Ok(OpenGroup {
            pages,
            before: 0,
            left: rows,
            row_bytes: (text_bytes / rows.max(1)).max(1),
            slice_bytes: wanted.max(text_bytes / MAX_SLICES),
        })
    }

    /// The number of rows of the next page with values; `None` after the last.
    fn next_page(&self, pages: &mut Pages, group: usize) -> Result<Option<u64>> {
        let rows = careful(|| {
            while let Some(page) = pages.peek_next_page()? {
                pages.skip_next_page()?;
                // Without lists, each level is a row.
                if let (false, Some(rows)) = (page.is_dict, page.num_rows.or(page.num_levels)) {
                    return Ok(Some(rows as u64));
                }
            }
            Ok(None)
        });
        rows.map_err(|error| self.damaged(group, &error))
    }

    fn damaged(&self, group: usize, error: &ParquetError) -> Error {
        let place = format!("row group {group}, column '{}'", self.field);
        damaged(&self.file.path, &place, error)
    }

    fn problem(&self, group: usize, what: &str) -> Error {
        let what = format!("row group {group}, column '{}': {what}", self.field);
        Error::input(&self.file.path, what)
    }
}

/// What `call` returns; if it panics, that the data is damaged: the crate checks most of what it
/// reads, not all.
fn careful<T>(call: impl FnOnce() -> parquet::errors::Result<T>) -> parquet::errors::Result<T> {
    let damage = || {
        Err(ParquetError::General(
            "the data contradicts itself".to_owned(),
        ))
    };
    guarded(call).unwrap_or_else(damage)
}

fn is_supported(compression: Compression) -> bool {
    matches!(
        compression,
        Compression::UNCOMPRESSED
            | Compression::SNAPPY
            | Compression::GZIP(_)
            | Compression::ZSTD(_)
            | Compression::LZ4
            | Compression::LZ4_RAW
    )
}

const AGAIN: &str = "it is damaged; get the file again";

fn damaged(path: &Path, place: &str, error: &ParquetError) -> Error {
    let what = match error {
        ParquetError::General(what) | ParquetError::EOF(what) => what.clone(),
        ParquetError::NYI(what) => {
            return Error::input(path, format!("{place}: is not supported: {what}"));
        }
        ParquetError::External(error) => error.to_string(),
        other => other.to_string(),
    };
    Error::input(path, (format!("{place}: {what}"), AGAIN))
}
