//! Pretoken -> ids: byte pair encoding with a cache in front.
//!
//! ```text
//! hash         the hash functions of the tables, shared with the build script
//! ranks        rank files, for the build script
//! vocabulary   the tables: bytes -> id, pair -> merged id
//! character    where characters are in bytes, shared with the build script
//! parts        bytes -> what merging can begin with
//! merge        bytes -> ids by merges, the lowest rank first; a way for each length:
//! sweep          the pairs of neighbours, searched for the least by vectors
//! tournament     a tree of the pairs of neighbours
//! stitch         pieces, each encoded alone
//! plain          a heap of merges; the specification
//! cache        bytes of pretokens seen before -> their ids
//! misses       those not seen before: vocabulary, else merge
//! encoder      text -> pretokens -> cache, else misses
//! ```
//!
//! Knows no files, documents or special tokens.

mod cache;
mod character;
mod encoder;
mod hash;
mod merge;
mod misses;
mod parts;
mod plain;
#[cfg(test)]
mod ranks;
mod stitch;
mod sweep;
#[cfg(test)]
mod tests;
mod tournament;
mod vocabulary;

pub(crate) use cache::Memory;
pub(crate) use encoder::Encoder;
pub(crate) use vocabulary::{CL100K, O200K, P50K, R50K, Vocabulary};
