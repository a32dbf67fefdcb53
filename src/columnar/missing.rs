//! What stands in place of a format without whose feature the program was built. Its files are refused
//! before.

use std::path::Path;
use std::sync::Arc;

use shardmill_core::hash::Hash128;

use crate::columnar::layout::{Layout, Part};
use crate::document::Fields;
use crate::error::{Error, Result};
use crate::remote::Blocks;

#[derive(Debug)]
pub(crate) enum File {}

#[derive(Debug)]
pub(super) enum Columns {}

#[derive(Debug)]
pub(super) struct Cutter(Never);

#[derive(Debug)]
enum Never {}

#[derive(Debug)]
pub(super) enum Rows {}

impl File {
    pub(super) fn open(path: &Path, _: impl AsRef<[u8]> + Send + 'static) -> Result<Self> {
        Err(Error::input(path, "is in a format without a feature"))
    }

    pub(super) fn open_object(path: &Path, _: Arc<Blocks>) -> Result<Self> {
        Self::open(path, [])
    }

    pub(super) fn layout(&self) -> &Layout {
        match *self {}
    }

    pub(super) fn metadata(&self) -> Hash128 {
        match *self {}
    }

    pub(super) fn has_column(&self, _: &str) -> bool {
        match *self {}
    }
}

impl Columns {
    pub(super) fn new(file: &Arc<File>, _: &Fields) -> Result<Self> {
        match **file {}
    }
}

impl Cutter {
    pub(super) fn new(columns: &Arc<Columns>, _: usize) -> Self {
        match **columns {}
    }

    pub(super) fn cut(&mut self, _: u64) -> Result<Part> {
        match self.0 {}
    }
}

impl Rows {
    pub(super) fn new(columns: &Arc<Columns>, _: &Part) -> Result<Self> {
        match **columns {}
    }

    pub(super) fn read(&mut self, _: &mut Vec<u8>, _: usize) -> Result<u64> {
        match *self {}
    }
}
