//! Embedding tables: `rows` x `dim` elements of one [`Dtype`].
//!
//! Reads them from files or draws them as PyTorch would; does not know what the rows mean nor who
//! gathers them.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};

use crate::dtype::{Dtype, Element};
use crate::map::Map;
use crate::{Error, Result};

/// A row-major matrix of `rows` x `dim` elements, owned or mapped from a file.
#[derive(Clone, Debug)]
pub struct Table {
    rows: usize,
    dim: usize,
    data: Data,
}

/// Where the elements lie.
#[derive(Clone, Debug)]
enum Data {
    F32(Arc<Vec<f32>>),
    F16(Arc<Vec<f16>>),
    BF16(Arc<Vec<bf16>>),
    /// Bytes of a mapped file: in range, aligned for the type, little-endian, checked at open.
    Mapped(Arc<Map>, Range<usize>, Dtype),
}

/// The elements of a [`Table`], row-major, by type.
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    /// `f32` elements.
    F32(&'a [f32]),
    /// `f16` elements.
    F16(&'a [f16]),
    /// `bf16` elements.
    BF16(&'a [bf16]),
}
