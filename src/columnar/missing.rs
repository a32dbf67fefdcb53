//! What a program without the feature `parquet` says instead.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::document::Fields;
use crate::error::{Error, Result};
use crate::remote::Blocks;

#[derive(Clone, Debug)]
pub(crate) enum Columnar {}

#[derive(Debug)]
pub(crate) enum Layout {}

#[derive(Debug)]
pub(crate) enum SliceReader {}

#[derive(Debug)]
pub(crate) enum Slices {}

#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) first_row: u64,
    pub(crate) text_bytes: u64,
    pub(crate) place: (u64, u64),
    never: Columnar,
}

impl Columnar {
    pub(crate) fn open(path: &Path, _: impl AsRef<[u8]> + Send + 'static) -> Result<Self> {
        let what = "is Parquet data, and this program was built without the feature 'parquet'";
        Err(Error::input(path, what))
    }

    pub(crate) fn open_object(path: &Path, _: Arc<Blocks>) -> Result<(Self, Vec<u8>)> {
        Err(Self::open(path, []).map_or_else(|error| error, |never| match never {}))
    }

    pub(crate) fn layout(&self) -> &Layout {
        match *self {}
    }

    pub(crate) fn has_column(&self, _: &str) -> bool {
        match *self {}
    }
}

impl Slices {
    pub(crate) fn new(file: &Arc<Columnar>, _: &Fields, _: Range<u64>) -> Result<Self> {
        match **file {}
    }

    pub(crate) fn layout(&self) -> &Layout {
        match *self {}
    }

    pub(crate) fn next(&mut self, _: u64, _: u64) -> Result<Slice> {
        match *self {}
    }
}

impl Slice {
    pub(crate) fn reader(&self) -> Result<SliceReader> {
        match self.never {}
    }
}

impl SliceReader {
    pub(crate) fn read(&mut self, _: &mut Vec<u8>, _: usize) -> Result<u64> {
        match *self {}
    }
}

impl Layout {
    pub(crate) fn next_cut(&self, _: u64) -> Option<u64> {
        match *self {}
    }
}
