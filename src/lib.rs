//! Corpus in, token shards and input embeddings out, at memory speed.

mod corpus;
mod document;
mod dtype;
mod embed;
mod encoding;
mod error;
mod gather;
mod hash;
mod map;
mod pipeline;
mod shard;
mod simd;
mod sink;
mod table;
mod window;

pub use corpus::{Corpus, Skipped};
pub use document::{FORMATS, Format, InvalidUtf8};
pub use dtype::{Dtype, Element};
pub use embed::{
    EmbedConfig, EmbedOutcome, EmbedRecord, EmbedTables, VerifiedEmbeddings, embed, embed_to, run,
    verify_embeddings,
};
pub use encoding::{BUILTIN_NAMES, Encoding, Special, TokenId};
pub use error::{Error, Result};
pub use gather::{Gatherer, Stores};
pub use hash::Hash128;
pub use pipeline::{Outcome, Stats, TokenizeConfig, tokenize};
pub use shard::{
    DocRecord, Document, Durability, EMBEDDINGS, EncodingInfo, Eot, FORMAT_VERSION, Manifest,
    Position, Settings, Shard, ShardInfo, SourceInfo, TokenDtype, TokenStore, Tokens, Totals,
    Verified, verify,
};
pub use simd::Level;
pub use sink::{Batch, MemorySink, Sink, StreamSink};
pub use table::{
    Elements, FORMATS as TABLE_FORMATS, InitialTables, Table, TableFormat, TableOptions, TableSpec,
    TorchGenerator,
};
pub use window::{Batches, Order, Windows};
