//! A file with columns, in any of the formats.

use std::path::Path;
use std::sync::Arc;

use shardmill_core::hash::Hash128;

use crate::columnar::layout::Layout;
use crate::columnar::{arrow, parquet};
use crate::document::Format;
use crate::error::{Error, Result};
use crate::remote::Blocks;

/// A file with columns.
#[derive(Clone, Debug)]
pub(crate) enum Columnar {
    Arrow(Arc<arrow::File>),
    Parquet(Arc<parquet::File>),
}

impl Columnar {
    /// Reads the metadata of a file of a format that has rows; `bytes` are all of it, and `path` is
    /// for messages.
    ///
    /// # Errors
    /// [`Error::Input`] if it is no such file, its metadata is damaged, or the program was built
    /// without the format.
    pub(crate) fn open(
        format: Format,
        path: &Path,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Self> {
        check_feature(format, path)?;
        Ok(match format {
            Format::Arrow => Self::Arrow(Arc::new(arrow::File::open(path, bytes)?)),
            _ => Self::Parquet(Arc::new(parquet::File::open(path, bytes)?)),
        })
    }

    /// Reads the metadata of an object, and nothing else of it.
    ///
    /// # Errors
    /// As [`Self::open`]; also if the object cannot be read.
    pub(crate) fn open_object(format: Format, path: &Path, blocks: Arc<Blocks>) -> Result<Self> {
        check_feature(format, path)?;
        Ok(match format {
            Format::Arrow => Self::Arrow(Arc::new(arrow::File::open_object(path, blocks)?)),
            _ => Self::Parquet(Arc::new(parquet::File::open_object(path, blocks)?)),
        })
    }

    pub(crate) fn layout(&self) -> &Layout {
        match self {
            Self::Arrow(file) => file.layout(),
            Self::Parquet(file) => file.layout(),
        }
    }

    /// The hash of what says what the bytes of the file mean.
    pub(crate) fn metadata(&self) -> Hash128 {
        match self {
            Self::Arrow(file) => file.metadata(),
            Self::Parquet(file) => file.metadata(),
        }
    }

    /// Whether there is a column of that name, or others lie in one.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        match self {
            Self::Arrow(file) => file.has_column(name),
            Self::Parquet(file) => file.has_column(name),
        }
    }
}

/// Refuses a format without which the program was built.
fn check_feature(format: Format, path: &Path) -> Result<()> {
    let is_arrow = format == Format::Arrow;
    if is_arrow && cfg!(feature = "arrow") || !is_arrow && cfg!(feature = "parquet") {
        return Ok(());
    }
    let what = format!(
        "is {} data, and this program was built without the feature '{}'",
        format.title(),
        format.row().name
    );
    Err(Error::input(path, what))
}
