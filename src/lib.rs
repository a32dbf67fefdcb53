//! Corpus in, token shards and input embeddings out, at memory speed.

mod dtype;
mod error;
mod gather;
mod map;
mod simd;
mod table;
mod window;

pub use dtype::{Dtype, Element};
pub use error::{Error, Result};
pub use table::{
    Elements, FORMATS as TABLE_FORMATS, InitialTables, Table, TableFormat, TableOptions, TableSpec,
    TorchGenerator,
};
pub use window::{Batches, Order, Windows};
pub use gather::{Gatherer, Stores};
pub use simd::Level;
pub use table::{Elements, Table};
