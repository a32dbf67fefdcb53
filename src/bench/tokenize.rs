//! Measures tokenizing, in memory.
//!
//! Each repetition is a first pass: its encoders have not cached any of the text. Each thread has
//! its own encoder and takes pieces of about a megabyte that end at the end of a line, like the
//! pipeline's chunks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::Serialize;
use shardmill_tokenizer::{Encoder, Special, Tokenizer};

use super::{Sample, spawn};
use crate::error::Result;
use crate::progress::Stats;

/// The approximate size of a piece in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// What was tokenized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenizeSpeed {
    /// The tokenizer.
    pub encoding: String,
    /// The number of tokens of the text.
    pub tokens: u64,
}

pub(super) fn measure(
    tokenizer: &Tokenizer,
    text: &str,
    thread_counts: &[usize],
    stats: &Stats,
) -> Result<Vec<Sample<TokenizeSpeed>>> {
    let pieces = pieces(text);
    let what = TokenizeSpeed {
        encoding: tokenizer.name().to_owned(),
        tokens: first_pass(tokenizer, &pieces, 1)?,
    };
    thread_counts
        .iter()
        .map(|&threads| {
            let sample = Sample::take(what.clone(), threads, text.len() as u64, || {
                first_pass(tokenizer, &pieces, threads).map(drop)
            });
            stats.advance(1);
            sample
        })
        .collect()
}

/// Encodes all pieces; returns the number of tokens.
fn first_pass(tokenizer: &Tokenizer, pieces: &[&str], threads: usize) -> Result<u64> {
    // The same tokenizer, with an empty cache.
    let tokenizer = tokenizer.with_empty_cache();
    let next = AtomicUsize::new(0);
    let tokens = AtomicUsize::new(0);
    let work = |mut encoder: Encoder| {
        let mut ids = Vec::new();
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            ids.clear();
            // This cannot fail, because special tokens are treated as text.
            let _ = encoder.add(piece, Special::Text, true, &mut ids);
            encoder.finish(&mut ids);
            tokens.fetch_add(ids.len(), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| -> Result<()> {
        for _ in 1..threads {
            let encoder = tokenizer.encoder()?;
            spawn(scope, threads, move || work(encoder))?;
        }
        work(tokenizer.encoder()?);
        Ok(())
    })?;
    Ok(tokens.into_inner() as u64)
}

/// Cuts `text` at line ends.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > PIECE_BYTES {
        let end = memchr::memchr(b'\n', &rest.as_bytes()[PIECE_BYTES..]);
        let Some(end) = end else { break };
        let (piece, after) = rest.split_at(PIECE_BYTES + end + 1);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_together_encode_all_once() {
        let text = "A line of some words.\n".repeat(200_000);
        let pieces = pieces(&text);
        assert!(pieces.len() > 3 && pieces.concat() == text);
        let tokenizer = Tokenizer::by_name("gpt2").unwrap();
        let tokens: usize = pieces
            .iter()
            .map(|piece| tokenizer.encode_ordinary(piece).len())
            .sum();
        for threads in [1, 3] {
            assert_eq!(
                first_pass(&tokenizer, &pieces, threads).unwrap(),
                tokens as u64
            );
        }
    }
}
