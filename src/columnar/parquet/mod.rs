//! Parquet.
//!
//! ```text
//! footer   the end of a file, where its metadata is
//! file     a file: what its metadata says, by the crate parquet
//! thrift   how deep columns are nested, and which are encrypted
//! stored   the bytes of a file, all of them or as they are needed
//! column   the pages of a column
//! values   decodes the values of a column
//! text     which columns hold text
//! cells    decodes the columns of kept fields
//! slices   cuts the rows of a column into slices of a few pages
//! rows     decodes the rows of a slice
//! ```

mod cells;
mod column;
mod file;
mod footer;
mod rows;
mod slices;
mod stored;
mod text;
mod thrift;
mod values;

pub(super) use file::File;
pub(super) use rows::Rows;
pub(super) use slices::{Columns, Cutter};
