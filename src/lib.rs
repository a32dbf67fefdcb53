//! Corpus in, token shards and input embeddings out, at memory speed.
//!
//! Text corpora are memory-mapped and tokenized in parallel, exactly as the tokenizer's own library would, into flat
//! `u32` shard files. Windows of those tokens are then looked up in a token table, a position
//! table is added, and the sum is rounded once into `f16`, `bf16` or `f32` buffers, bit for bit
//! as PyTorch's `torch.nn.Embedding` would.
//!
//! ```text
//! Corpus ── Sources ── documents ── chunks ── ids ── shards + .docs + manifest.json
//!  files,    in order   text, JSON,  1 MiB,                       │
//!  globs,               CSV,         parallel                 TokenStore
//!  stdin                Parquet, Arrow                            │
//!                                                              Windows, Order
//!                                                                 │ ids
//!            Sink ── Batch [rows, seq_len, dim] ── Gatherer ──────┤
//!            arrays,                                  │           Loader ── LoadedBatch
//!            a pipe                       Table (token) + Table (position)
//! ```
//!
//! The shortest path is [`run`]: from a corpus to a dataset with its embeddings. Its two halves are
//! [`tokenize`] and [`embed()`]. A trainer takes batches from a [`Loader`], which prepares them
//! ahead of time and can resume from a saved state; it is built on [`TokenStore`], [`Windows`] and
//! [`Order`]. A program that has its own ids can use [`Gatherer`] alone:
//!
//! ```
//! use shardmill::{Buffer, Tokenizer, Gatherer, InitialTables, Windows};
//!
//! let encoding = Tokenizer::by_name("gpt2")?;
//! let ids = encoding.encode_ordinary("In the heart of the city stood the old library.");
//!
//! // torch.manual_seed(123); Embedding(50257, 8); Embedding(4, 8)
//! let (token, position) = InitialTables::new(123, 50257, 8, 4).tables()?;
//! let gatherer = Gatherer::new(token, Some(position))?;
//!
//! let windows = Windows::new(ids.len() as u64, 4, 2)?;
//! let mut embeddings = Buffer::<f32>::zeroed(4 * 8)?;
//! for i in 0..windows.len() {
//!     let start = windows.start(i) as usize;
//!     gatherer.gather_into(&ids[start..start + 4], 4, &mut embeddings)?;
//! }
//! # Ok::<(), shardmill::Error>(())
//! ```
//!
//! What holds everywhere:
//!
//! - Ids equal those of the tokenizer's own library; initial weights, shuffles, sums and roundings equal PyTorch's, bit for
//!   bit.
//! - Output depends on the inputs and the settings alone: not on threads, chunk sizes, CPU or
//!   machine.
//! - Output becomes visible only when it is complete, by one rename.
//! - Errors are values of [`Error`]. Their messages are one line that says what is wrong, in which
//!   file, at which byte or line.

#![forbid(unsafe_code)]

pub mod bench;
mod columnar;
pub mod compression;
pub mod corpus;
pub mod dataset;
pub mod document;
pub mod embed;
mod error;
pub mod gather;
pub mod guard;
mod hash;
pub mod loader;
mod outputs;
pub mod page;
pub mod pipeline;
mod progress;
mod publish;
mod remote;
pub mod report;
pub mod shuffle;
pub mod sink;
pub mod table;
mod threads;
mod times;
pub mod window;

pub use corpus::{Corpus, CorpusOptions};
pub use dataset::{Manifest, TokenStore, verify};
pub use embed::{EmbedConfig, embed, run, verify_embeddings};
pub use error::{Error, Result};
pub use gather::Gatherer;
pub use loader::{Loader, LoaderConfig};
pub use pipeline::{
    TokenizeConfig, UnitShare, estimate, finish, plan, repair, status, tokenize, tokenize_units,
    verify_inputs,
};
pub use progress::Stats;
pub use publish::Durability;
pub use report::Report;
pub use shardmill_core::dtype::{Dtype, Element, Elements};
pub use shardmill_core::hash::Hash128;
pub use shardmill_core::map::Buffer;
pub use shardmill_core::show;
pub use shardmill_core::simd::Level;
pub use shardmill_core::token::TokenId;
pub use shardmill_tokenizer as tokenizer;
pub use shardmill_tokenizer::{Special, Tokenizer};
pub use table::{InitialTables, Table};
pub use window::{Order, Windows};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
