//! Text to token ids and back, exactly as the tokenizer's own library does it, at memory speed.
//!
//! Built in are the encodings of tiktoken, from `gpt2` to `o200k_harmony`. Files are read as they
//! are: `tokenizer.json` with byte-level or SentencePiece-style BPE, tiktoken rank files,
//! `tekken.json`, SentencePiece BPE models, `vocab.json` with `merges.txt`, or a model's directory.
//! What cannot be done exactly is refused by name, with its place in the file; no file silently gets
//! different ids.
//!
//! ```
//! use shardmill_tokenizer::{Special, Tokenizer};
//!
//! let gpt2 = Tokenizer::by_name("gpt2")?;
//! let ids = gpt2.encode("Every effort moves you<|endoftext|>", Special::Encode)?;
//! assert_eq!(ids, [6109, 3626, 6100, 345, 50256]);
//! assert_eq!(gpt2.decode_bytes(&ids)?, b"Every effort moves you<|endoftext|>");
//! # Ok::<(), shardmill_tokenizer::Error>(())
//! ```
//!
//! A [`Tokenizer`] is cheap to clone, and all clones and threads share one cache of what they have
//! seen. Many texts in a row, such as the documents of a corpus, go through an [`Encoder`].
//!
//! ```text
//! text ── added tokens ── normalization ── pretokens ── cache, else merges ── ids
//!         tokenizer       tokenizer        pretoken     bpe
//!
//! file ── definition ── tokenizer
//! ```

#![forbid(unsafe_code)]

mod bpe;
mod definition;
mod error;
mod pretoken;
mod tokenizer;

pub use error::{Error, Result, SpecialFound};
pub use shardmill_core::hash::Hash128;
pub use shardmill_core::map::OutOfMemory;
pub use shardmill_core::simd::{Level, UnknownLevel};
pub use shardmill_core::token::TokenId;
pub use tokenizer::{BUILTIN_NAMES, Encoder, FileOptions, Special, Tokenizer, TokenizerInfo};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
