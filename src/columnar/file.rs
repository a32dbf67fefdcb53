//! A file with columns, in any of the formats.

use std::path::Path;
use std::sync::Arc;

use shardmill_core::hash::Hash128;

use crate::columnar::layout::Layout;
use crate::columnar::parquet;
use crate::document::Format;
use crate::error::{Error, Result};
use crate::remote::Blocks;

/// A file with columns.
#[derive(Clone, Debug)]
pub(crate) enum Columnar {
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
        Ok(Self::Parquet(Arc::new(parquet::File::open(path, bytes)?)))
    }

    /// Reads the metadata of an object, and nothing else of it.
    ///
    /// # Errors
    /// As [`Self::open`]; also if the object cannot be read.
    pub(crate) fn open_object(format: Format, path: &Path, blocks: Arc<Blocks>) -> Result<Self> {
        check_feature(format, path)?;
        let file = parquet::File::open_object(path, blocks)?;
        Ok(Self::Parquet(Arc::new(file)))
    }

    pub(crate) fn layout(&self) -> &Layout {
        match self {
            Self::Parquet(file) => file.layout(),
        }
    }

    /// The hash of what says what the bytes of the file mean.
    pub(crate) fn metadata(&self) -> Hash128 {
        match self {
            Self::Parquet(file) => file.metadata(),
        }
    }

    /// Whether there is a column of that name, or others lie in one.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        match self {
            Self::Parquet(file) => file.has_column(name),
        }
    }
}

/// Refuses a format without which the program was built.
fn check_feature(format: Format, path: &Path) -> Result<()> {
    let is_there = match format {
        Format::Parquet => cfg!(feature = "parquet"),
        _ => true,
    };
    if is_there {
        return Ok(());
    }
    let what = format!(
        "is {} data, and this program was built without the feature '{}'",
        format.title(),
        format.row().name
    );
    Err(Error::input(path, what))
}
