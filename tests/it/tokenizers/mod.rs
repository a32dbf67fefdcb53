//! Tokenizers from files: ids are those of the file's own library, or the file is refused by name.

mod commands;
mod configurations;
mod datasets;
mod files;
mod ranks;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use shardmill::Tokenizer;
use shardmill::tokenizer::FileOptions;

use crate::support::fixture;

/// The decompressed contents of a file in `fixtures/tokenizers`.
fn unpacked(name: &str) -> Vec<u8> {
    let path = fixture(&format!("tokenizers/{name}.gz"));
    let mut bytes = Vec::new();
    let mut decoder = GzDecoder::new(fs::File::open(path).unwrap());
    decoder.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A file of `fixtures/tokenizers`, decompressed into `dir`.
fn unpack(name: &str, dir: &Path) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, unpacked(name)).unwrap();
    path
}

fn open(path: &Path) -> shardmill::Result<Tokenizer> {
    Ok(Tokenizer::open(
        path.to_str().unwrap(),
        &FileOptions::default(),
    )?)
}
