//! Encodes the lines of a file on all cores, one document each: `encode TOKENIZER FILE`.
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::fs;
use std::thread;
use std::time::Instant;

use shardmill_tokenizer::{FileOptions, Special, TokenId, Tokenizer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: encode TOKENIZER FILE".into());
    };
    let tokenizer = Tokenizer::find(&name, &FileOptions::default())?;
    let text = fs::read_to_string(path)?;
    let lines: Vec<&str> = text.lines().collect();
    let threads = thread::available_parallelism()?.get();

    let start = Instant::now();
    let parts = lines.chunks(lines.len().div_ceil(threads).max(1));
    let encoded = thread::scope(|scope| {
        let started = parts.map(|part| scope.spawn(|| encode(&tokenizer, part)));
        let started: Vec<_> = started.collect();
        let ended = started.into_iter().map(thread::ScopedJoinHandle::join);
        ended.collect::<Result<Vec<_>, _>>()
    });
    let encoded = encoded.map_err(|_| "a thread panicked")?;
    let mut tokens = 0;
    for part in encoded {
        tokens += part?.len();
    }
    println!(
        "{} lines, {} bytes, {tokens} tokens, {:.1?} with {threads} threads",
        lines.len(),
        text.len(),
        start.elapsed()
    );
    Ok(())
}

/// The ids of `documents`, one after the other.
fn encode(tokenizer: &Tokenizer, documents: &[&str]) -> shardmill_tokenizer::Result<Vec<TokenId>> {
    let mut encoder = tokenizer.encoder()?;
    let mut ids = Vec::new();
    for document in documents {
        encoder.add(document, Special::Text, true, &mut ids)?;
        encoder.end_document();
    }
    let ends = encoder.finish(&mut ids);
    assert_eq!(ends.len(), documents.len());
    Ok(ids)
}
