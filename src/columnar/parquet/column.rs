//! A column of a Parquet file: its pages in each row group.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::page::PageReader as _;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader as _;
use parquet::file::serialized_reader::SerializedPageReader;
use shardmill_core::show::{count, counted};

use crate::columnar::AGAIN;
use crate::columnar::parquet::file::{File, careful, damaged, range_of};
use crate::columnar::parquet::stored::Stored;
use crate::columnar::parquet::thrift::page_size;
use crate::error::{Error, Problem, Result};

/// A column of a file.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) file: Arc<File>,
    pub(super) field: String,
    /// The setting that names it.
    pub(super) setting: &'static str,
    /// Its index.
    pub(super) index: usize,
}

/// Reads the pages of a column in a row group.
type PageReader = Box<SerializedPageReader<Stored>>;

/// The pages of a column in a row group, whose headers are checked before the crate believes them.
pub(super) struct Pages {
    pub(super) reader: PageReader,
    /// Where the next header is.
    next: u64,
    codec: Compression,
}

impl Column {
    /// The pages of the column in row group `group`, to be checked, and its metadata.
    pub(super) fn pages(&self, group: usize) -> Result<(Pages, &ColumnChunkMetaData)> {
        let (reader, chunk) = self.page_reader(group)?;
        let pages = Pages {
            reader,
            next: range_of(chunk).map_or(u64::MAX, |range| range.start),
            codec: chunk.compression(),
        };
        Ok((pages, chunk))
    }

    /// A reader of the column's pages in row group `group`, which were checked, and its metadata.
    fn page_reader(&self, group: usize) -> Result<(PageReader, &ColumnChunkMetaData)> {
        let metadata = self.file.metadata.row_groups().get(group);
        let chunk = metadata.and_then(|group| group.columns().get(self.index));
        let Some((metadata, chunk)) = metadata.zip(chunk) else {
            return Err(self.problem(group, "is not where the metadata says"));
        };
        if !is_supported(chunk.compression()) {
            let codec = chunk.compression().to_string();
            let codec = codec.split('(').next().unwrap_or_default();
            let what = format!("is compressed with {codec}, which is not supported");
            return Err(self.problem(group, (what, "write the file again with zstd")));
        }
        // It was checked when the file was opened.
        let rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
        let bytes = Arc::clone(&self.file.bytes);
        let pages = careful(|| SerializedPageReader::new(bytes, chunk, rows, None));
        let pages = pages.map_err(|error| self.damaged(group, &error))?;
        Ok((Box::new(pages), chunk))
    }

    /// The average length of a text in the dictionary that the pages begin with, by its header; 0 if there
    /// is none.
    pub(super) fn dictionary_bytes(&self, pages: &Pages) -> u64 {
        let header = self.file.bytes.get_read(pages.next);
        let header = header.ok().and_then(page_size).unwrap_or_default();
        let values = header.dictionary_values;
        values.map_or(0, |values| header.decoded / values.max(1))
    }

    /// The number of rows of the next page with values; `None` after the last.
    pub(super) fn next_page(&self, pages: &mut Pages, group: usize) -> Result<Option<u64>> {
        loop {
            let page = careful(|| pages.reader.peek_next_page());
            let Some(page) = page.map_err(|error| self.damaged(group, &error))? else {
                return Ok(None);
            };
            self.check_page(pages, group)?;
            let skipped = careful(|| pages.reader.skip_next_page());
            skipped.map_err(|error| self.damaged(group, &error))?;
            // Without lists, each level is a row.
            if let (false, Some(rows)) = (page.is_dict, page.num_rows.or(page.num_levels)) {
                return Ok(Some(rows as u64));
            }
        }
    }

    /// Refuses the next page if its header says that it takes more memory than such a page can.
    pub(super) fn check_page(&self, pages: &mut Pages, group: usize) -> Result<()> {
        let from = self.file.bytes.get_read(pages.next);
        // What is no header, or cannot be read, the crate reports.
        let Some(size) = from.ok().and_then(page_size) else {
            return Ok(());
        };
        pages.next = pages
            .next
            .saturating_add(size.header)
            .saturating_add(size.stored);
        let longest = size.stored.saturating_mul(max_ratio(pages.codec));
        let what = if size.decoded > longest.max(SMALL_PAGE_BYTES) {
            let stored = counted(size.stored, "byte");
            format!(
                "has a page of {stored} that says it stands for {}",
                count(size.decoded)
            )
        } else if let Some(values) = size.dictionary_values
            // Each takes four bytes at least: a number, or the length of a text.
            && values > size.decoded / 4
        {
            let decoded = counted(size.decoded, "byte");
            format!(
                "has a dictionary of {decoded} that says it has {} values",
                count(values)
            )
        } else {
            return Ok(());
        };
        Err(self.problem(group, (what, AGAIN)))
    }

    pub(super) fn damaged(&self, group: usize, error: &ParquetError) -> Error {
        if self.file.is_encrypted(self.index) {
            let what = format!(
                "column '{}' is encrypted, which is not supported",
                self.field
            );
            let hint = format!(
                "decrypt the file, or choose another column with `{}`",
                self.setting
            );
            return Error::input(&self.file.path, (what, hint));
        }
        let place = format!("row group {group}, column '{}'", self.field);
        damaged(&self.file.path, &place, error)
    }

    pub(super) fn problem(&self, group: usize, problem: impl Into<Problem>) -> Error {
        let place = format!("row group {group}, column '{}': ", self.field);
        Error::input(&self.file.path, problem.into().at(place))
    }
}

/// The sizes of shorter pages are not checked.
const SMALL_PAGE_BYTES: u64 = 1 << 20;

/// At most so many bytes are stored as one: a copy of 64 bytes takes 3 in snappy, lz4 has up to 255 of a
/// length in each byte, deflate stores 258 bytes in two bits, and zstd a block of 128 KiB in four bytes.
fn max_ratio(codec: Compression) -> u64 {
    match codec {
        Compression::SNAPPY => 64 / 3 + 1,
        Compression::LZ4 | Compression::LZ4_RAW => 255,
        Compression::GZIP(_) => 258 * 8 / 2,
        Compression::ZSTD(_) => (128 << 10) / 4,
        Compression::UNCOMPRESSED => 1,
        _ => u64::MAX,
    }
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
