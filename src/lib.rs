//! Corpus in, token shards and input embeddings out, at memory speed.
//!
//! Text corpora are memory-mapped and tokenized in parallel, exactly as tiktoken would, into flat
//! `u32` shard files. Windows of those tokens are then looked up in a token table, a position
//! table is added, and the sum is rounded once into `f16`, `bf16` or `f32` buffers, bit for bit
//! as PyTorch's `torch.nn.Embedding` would.
//!
//! ```text
//! Corpus ── Sources ── documents ── chunks ── ids ── shards + .docs + manifest.json
//!  files,    in order   text, JSON   1 MiB,                       │
//!  globs,               Lines        parallel                 TokenStore
//!  stdin                                                          │
//!                                                              Windows, Order
//!                                                                 │ ids
//!            Sink ── Batch [rows, seq_len, dim] ── Gatherer ──────┤
//!            arrays,                                  │           Loader ── LoadedBatch
//!            a pipe                       Table (token) + Table (position)
//! ```
//!
//! The short way is [`run`]: a corpus to a dataset with its embeddings. Its two halves are
//! [`tokenize`] and [`embed()`]. A trainer takes batches from a [`Loader`], which prepares them
//! ahead and goes on from a saved state; the parts below it are [`TokenStore`], [`Windows`] and
//! [`Order`]. One that has ids of its own uses [`Gatherer`] alone:
//!
//! ```
//! use shardmill::{Buffer, Encoding, Gatherer, InitialTables, Windows};
//!
//! let encoding = Encoding::by_name("gpt2")?;
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
//! - Ids equal tiktoken's; initial weights, shuffles, sums and roundings equal PyTorch's, bit for
//!   bit.
//! - Output depends on the inputs and the settings alone: not on threads, chunk sizes, CPU or
//!   machine.
//! - Output becomes visible when it is complete, by one rename.
//! - Errors are values of [`Error`]: one line that says what, which file, which byte or line.

mod bench;
mod bpe;
mod choice;
mod corpus;
mod dataset;
mod document;
mod dtype;
mod embed;
mod encoding;
mod error;
mod gather;
mod hash;
mod loader;
mod map;
mod outputs;
mod pipeline;
mod pretoken;
mod progress;
mod publish;
pub mod show;
mod simd;
mod sink;
mod table;
mod threads;
mod token;
mod window;

pub use bench::{
    BenchConfig, BenchReport, Ceiling, GatherSpeed, Sample, TokenizeSpeed, bench, store_all,
};
pub use corpus::{Corpus, CorpusOptions, CorpusReport, Listed, Repeated, SkippedFiles};
pub use dataset::{
    BadCounts, BadFile, BadRecord, DocRecord, Document, EMBEDDINGS, EncodingInfo, Eot,
    FORMAT_VERSION, Manifest, Plan, PlannedSource, Position, Settings, Shard, ShardInfo, ShardRef,
    SourceInfo, TokenDtype, TokenStore, Tokens, Totals, Unit, Verified, bad_records, verify,
};
pub use document::{BadKind, BadRecords, DocumentFormat, FORMATS, Format, InvalidUtf8};
pub use dtype::{Dtype, Element, Elements};
pub use embed::{
    EmbedConfig, EmbedOutcome, EmbedRecord, EmbedTables, VerifiedEmbeddings, embed, embed_to, run,
    verify_embeddings,
};
pub use encoding::{BUILTIN_NAMES, Encoding, Special};
pub use error::{Error, Result};
pub use gather::{Gatherer, Stores};
pub use hash::Hash128;
pub use loader::{LoadedBatch, Loader, LoaderConfig, LoaderState, NO_DOCUMENT};
pub use map::Buffer;
pub use pipeline::{
    Outcome, Partial, Status, TakenOver, TokenizeConfig, UnitShare, UnitsOutcome, finish, plan,
    repair, status, tokenize, tokenize_units, verify_inputs,
};
pub use progress::Stats;
pub use publish::Durability;
pub use simd::Level;
pub use sink::{
    ArrayFormat, Batch, MemorySink, PositionsOutcome, Sink, StreamSink, write_positions,
};
pub use table::{
    FORMATS as TABLE_FORMATS, InitialTables, PositionScheme, ROTARY_BASE, Rope, RopeStyle, Table,
    TableFormat, TableOptions, TableSpec, TorchGenerator, alibi_slopes,
};
pub use token::TokenId;
pub use window::{
    Batches, DocumentWindow, DocumentWindows, IGNORED_TARGET, KeyedPermutation, LeftOut, Order,
    Rank, ShuffleOrder, Tail, WindowKind, Windows,
};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
