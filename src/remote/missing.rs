//! What a program without the feature `remote` says instead.

use std::ffi::OsStr;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use shardmill_core::show;

use crate::error::{Error, Result};
use crate::remote::url;

/// No stores are known.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    _none: (),
}

#[derive(Clone, Copy, Debug)]
enum Never {}

#[derive(Debug)]
pub(crate) struct Place(Never);

#[derive(Debug)]
pub(crate) struct Object(Never);

#[derive(Clone, Debug)]
pub(crate) struct Ahead(Never);

#[derive(Debug)]
pub(crate) struct Blocks(Never);

impl Stores {
    #[expect(clippy::unused_self, reason = "with the feature, it keeps the stores")]
    pub(crate) fn open(&mut self, argument: &OsStr) -> Result<Place> {
        url::parse(argument)?;
        Err(Error::input(
            show::url(&argument.to_string_lossy()),
            (
                "is a URL, and this program was built without the feature 'remote'",
                "build it again with that feature",
            ),
        ))
    }
}

impl Place {
    pub(crate) fn key(&self) -> &str {
        match self.0 {}
    }

    pub(crate) fn has_list(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn path(&self, _: &str) -> PathBuf {
        match self.0 {}
    }

    pub(crate) fn object(&self) -> Result<Option<Arc<Object>>> {
        match self.0 {}
    }

    pub(crate) fn list(&self, _: &str, _: &Path) -> Result<Vec<Arc<Object>>> {
        match self.0 {}
    }
}

impl Object {
    pub(crate) fn key(&self) -> &str {
        match self.0 {}
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn modified(&self) -> SystemTime {
        match self.0 {}
    }

    pub(crate) fn exists(&self) -> Result<bool> {
        match self.0 {}
    }

    pub(crate) fn check_unchanged(&self) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn read(self: &Arc<Self>, _: Range<u64>) -> Result<Vec<u8>> {
        match self.0 {}
    }

    pub(crate) fn read_ahead(self: &Arc<Self>) -> Ahead {
        match self.0 {}
    }

    pub(crate) fn reader(self: &Arc<Self>, _: Range<u64>) -> Box<dyn Read + Send> {
        match self.0 {}
    }
}

impl Ahead {
    pub(crate) fn take(&self) -> Result<Vec<u8>> {
        match self.0 {}
    }
}

impl Blocks {
    pub(crate) fn new(object: &Arc<Object>) -> Self {
        match object.0 {}
    }

    pub(crate) fn len(&self) -> u64 {
        match self.0 {}
    }

    #[cfg(any(feature = "arrow", feature = "parquet"))]
    pub(crate) fn read_once<T>(&self, _: Range<u64>) -> Result<T> {
        match self.0 {}
    }

    #[cfg(any(feature = "arrow", feature = "parquet"))]
    pub(crate) fn read<T>(&self, _: Range<u64>) -> Result<T> {
        match self.0 {}
    }

    pub(crate) fn read_each(&self, _: Range<u64>, _: impl FnMut(&[u8])) -> Result<()> {
        match self.0 {}
    }
}
