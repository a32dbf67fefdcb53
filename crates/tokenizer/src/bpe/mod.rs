//! Pretoken -> ids: byte pair encoding behind a cache.
//!
//! ```text
//! hash         the hash functions of the tables, shared with the build script
//! ranks        rank files, for the build script
//! pairs        pair -> merged id
//! image        builds the tables of a vocabulary, for the build script and at run time
//! listed       builds them from a list of merges
//! chars        ids by character
//! vocabulary   the tables: bytes -> id, pair -> merged id
//! character    finds characters in bytes, shared with the build script
//! parts        bytes -> the parts that merging can begin with
//! merge        bytes -> ids by merges, the lowest rank first; one algorithm per length:
//! sweep          vectors search the adjacent pairs for the lowest rank
//! tournament     a tree of the adjacent pairs
//! stitch         pieces, each encoded alone
//! plain          a heap of merges; the specification
//! ranked       merges by a list of pairs, for vocabularies whose ids are not ranks
//! cache        pretokens seen before -> their ids
//! misses       pretokens not seen before: vocabulary, else merge
//! encoder      text -> pretokens -> cache, else misses
//! ```
//!
//! Knows nothing of files, documents or special tokens.

mod cache;
mod character;
mod chars;
mod encoder;
mod hash;
mod image;
mod listed;
mod merge;
mod misses;
mod pairs;
mod parts;
mod plain;
mod ranked;
#[cfg(test)]
mod ranks;
mod stitch;
mod sweep;
#[cfg(test)]
mod tests;
mod tournament;
mod vocabulary;

pub(crate) use cache::Memory;
pub(crate) use chars::{CharIds, NONE};
pub(crate) use encoder::Encoder;
pub(crate) use image::Image;
pub(crate) use listed::List;
pub(crate) use ranked::{Alphabet, Merge, Ranked, Unknown};
pub(crate) use vocabulary::{CL100K, O200K, P50K, R50K, Vocabulary, VocabularyRef};
