//! A column of a Parquet file: its pages in each row group.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::columnar::parquet::{Columnar, careful, damaged};
use crate::columnar::stored::Stored;
use crate::error::{Error, Result};

/// A column of a file.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) file: Arc<Columnar>,
    pub(super) field: String,
    /// Its index.
    pub(super) index: usize,
}

/// Reads the pages of a column in a row group.
pub(super) type Pages = Box<SerializedPageReader<Stored>>;

impl Column {
    /// The pages of the column in row group `group`, and its metadata.
    pub(super) fn pages(&self, group: usize) -> Result<(Pages, &ColumnChunkMetaData)> {
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

    /// The average length of a text in the dictionary that the pages begin with; 0 if there is none.
    pub(super) fn dictionary_bytes(&self, pages: &mut Pages, group: usize) -> Result<u64> {
        let page = careful(|| match pages.peek_next_page()? {
            Some(page) if page.is_dict => pages.get_next_page(),
            _ => Ok(None),
        });
        match page.map_err(|error| self.damaged(group, &error))? {
            Some(Page::DictionaryPage {
                buf, num_values, ..
            }) => Ok(buf.len() as u64 / u64::from(num_values).max(1)),
            _ => Ok(0),
        }
    }

    /// The number of rows of the next page with values; `None` after the last.
    pub(super) fn next_page(&self, pages: &mut Pages, group: usize) -> Result<Option<u64>> {
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

    pub(super) fn damaged(&self, group: usize, error: &ParquetError) -> Error {
        let place = format!("row group {group}, column '{}'", self.field);
        damaged(&self.file.path, &place, error)
    }

    pub(super) fn problem(&self, group: usize, what: &str) -> Error {
        let what = format!("row group {group}, column '{}': {what}", self.field);
        Error::input(&self.file.path, what)
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
