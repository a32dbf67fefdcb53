//! Pretoken -> ids: byte pair encoding with a cache in front.
//!
//! ```text
//! hash         the hash functions of the tables, shared with the build script
//! vocabulary   the tables: bytes -> id, pair -> merged id
//! merge        bytes -> ids by merges, the lowest rank first
//! cache        bytes of pretokens seen before -> their ids
//! encoder      text -> pretokens -> cache, else vocabulary, else merge
//! ```
//!
//! Knows no files, documents or special tokens.

mod cache;
mod encoder;
mod hash;
mod merge;
mod vocabulary;

pub(crate) use encoder::Encoder;
pub(crate) use vocabulary::{CL100K, O200K, P50K, R50K, Vocabulary};
