//! Files with columns -> rows of one column.
//!
//! Knows how such a file is laid out, cuts a column into slices, and decodes a slice into texts. Does
//! not open files, and knows nothing of tokens.
//!
//! ```text
//! layout   row groups, and where a file may be cut
//! file     a file in any of the formats
//! slices   cuts the rows of a column into slices, and decodes the rows of a slice
//! parquet  Parquet
//! arrow    Arrow: files, which are also called Feather, and streams
//! missing  instead of a format, without its feature
//! ```
//!
//! A row group is written and read as a whole, so a file is cut only between two of them. Each row
//! also has a nominal place: its share of the bytes of its row group. With these, a range of rows is
//! a range of bytes, and progress and hashes count the bytes that are stored.

#[cfg(feature = "arrow")]
mod arrow;
#[cfg_attr(
    not(any(feature = "arrow", feature = "parquet")),
    allow(clippy::match_same_arms, reason = "no format is there")
)]
mod file;
#[cfg_attr(
    not(any(feature = "arrow", feature = "parquet")),
    allow(dead_code, reason = "no format is there")
)]
mod layout;
#[cfg(not(all(feature = "arrow", feature = "parquet")))]
mod missing;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg_attr(
    not(any(feature = "arrow", feature = "parquet")),
    allow(clippy::match_same_arms, reason = "no format is there")
)]
mod slices;

#[cfg(not(feature = "arrow"))]
use crate::columnar::missing as arrow;
#[cfg(not(feature = "parquet"))]
use crate::columnar::missing as parquet;

pub(crate) use file::Columnar;
pub(crate) use slices::{Slice, Slices};

/// What to do with a damaged file.
#[cfg(any(feature = "arrow", feature = "parquet"))]
const AGAIN: &str = "it is damaged; get the file again";
