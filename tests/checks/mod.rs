//! What hostile bytes must not do to a reader: the bodies of fuzz targets, which `cargo test` also
//! runs with random bytes.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses a part of it, and the library of the fuzz targets exports it"
)]
#![allow(clippy::unwrap_used, reason = "a panic is how a check fails")]

mod base;
mod edits;
pub mod inputs;
pub mod readers;
pub mod records;
pub mod sign;
pub mod tables;
pub mod tokenizers;
pub mod units;

use std::path::Path;
use std::sync::OnceLock;

use shardmill::Tokenizer;
use tempfile::TempDir;

/// A directory in memory, if the system has one.
fn place() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = memory.is_dir().then(|| memory.to_owned());
    TempDir::new_in(parent.unwrap_or_else(std::env::temp_dir)).unwrap()
}

/// The encoding of all datasets here.
fn encoding() -> &'static Tokenizer {
    static ENCODING: OnceLock<Tokenizer> = OnceLock::new();
    ENCODING.get_or_init(|| Tokenizer::by_name("gpt2").unwrap())
}
