//! Turns rank files into tables that the program uses as they are.
//!
//! Each vocabulary becomes `OUT_DIR/NAME.vocab`, all little-endian `u32` except where noted:
//!
//! ```text
//! n, bytes_len, index_len, buckets_len    the last two are powers of two; then four zeros
//! buckets     buckets_len x 4 x u64  left << 44 | right << 24 | merged; all ones if empty
//! byte_pairs  2^16                   what two bytes merge to; all ones if nothing
//! crossed     2^16 bits              by the last byte of a character and the first of the next:
//!                                    whether a merge may cross that border too early
//! starts      n + 1                  where the bytes of each id begin; an id not in use has none
//! index       index_len              by the hash of an id's bytes: id + 1, and above it the upper
//!                                    14 bits of the hash; 0 if empty
//! bytes       bytes_len x u8
//! ```
//!
//! Each token of several bytes has one pair: the two parts that are left after all merges of lower
//! rank than the token's own. If these merges do not end in two parts, the build fails. One pair
//! per token is enough: if two adjacent parts together have the bytes of a token, no merge has
//! crossed their outer ends, so the merges inside them were those of the token alone, and the two
//! parts are its pair. `src/bpe/parts.rs` says what `crossed` is for. A pair is in the bucket that
//! its hash selects or, if that is full, in the next one with room. The index is probed linearly.

#![allow(
    clippy::cast_possible_truncation,
    reason = "hashes are masked to the table"
)]

use std::collections::HashMap;
use std::path::Path;

#[path = "src/bpe/character.rs"]
mod character;
#[path = "src/bpe/hash.rs"]
#[allow(dead_code, reason = "the program uses more of it")]
mod hash;
#[path = "src/bpe/ranks/mod.rs"]
mod ranks;

/// The vocabularies, each with its rank files in order.
const VOCABULARIES: [(&str, &[&str]); 4] = [
    ("r50k", &["r50k"]),
    ("p50k", &["r50k", "p50k"]),
    ("cl100k", &["cl100k"]),
    ("o200k", &["o200k"]),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/bpe/hash.rs");
    println!("cargo::rerun-if-changed=src/bpe/character.rs");
    println!("cargo::rerun-if-changed=src/bpe/ranks");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    std::thread::scope(|scope| {
        for (name, files) in VOCABULARIES {
            let path = Path::new(&out).join(format!("{name}.vocab"));
            scope.spawn(move || {
                let read = |file| {
                    std::fs::read(format!("src/bpe/ranks/{file}.ranks"))
                        .expect("the rank file is part of the crate")
                };
                let files: Vec<Vec<u8>> = files.iter().map(read).collect();
                let tokens: Vec<&[u8]> =
                    files.iter().flat_map(|file| ranks::tokens(file)).collect();
                std::fs::write(path, image(&tokens)).expect("OUT_DIR can be written");
            });
        }
    });
}

fn image(tokens: &[&[u8]]) -> Vec<u8> {
    let ids: HashMap<&[u8], u32> = (0..)
        .zip(tokens)
        .filter(|(_, bytes)| !bytes.is_empty())
        .map(|(id, bytes)| (*bytes, id))
        .collect();
    let buckets = buckets(tokens, &ids);
    let index = index(tokens);
    let bytes = tokens.concat();
    let mut starts = vec![0_u32];
    for token in tokens {
        starts.push(starts[starts.len() - 1] + u32::try_from(token.len()).expect("a short token"));
    }

    let mut image = Vec::new();
    for length in [tokens.len(), bytes.len(), index.len(), buckets.len()] {
        image.extend(u32::try_from(length).expect("a small table").to_le_bytes());
    }
    image.extend([0; 16]);
    let entries = buckets.as_flattened().iter();
    image.extend(entries.flat_map(|entry| entry.to_le_bytes()));
    image.extend(byte_pairs(&ids).flat_map(u32::to_le_bytes));
    image.extend(crossed(tokens).into_iter().flat_map(u64::to_le_bytes));
    image.extend(starts.iter().flat_map(|start| start.to_le_bytes()));
    image.extend(index.iter().flat_map(|entry| entry.to_le_bytes()));
    image.extend(bytes);
    image
}

/// Ids by the hash of their bytes.
fn index(tokens: &[&[u8]]) -> Vec<u32> {
    let mut index = vec![0; (tokens.len() * 2).next_power_of_two()];
    for (id, bytes) in (0..).zip(tokens).filter(|(_, bytes)| !bytes.is_empty()) {
        let hash = hash::pretoken(bytes);
        let mut at = hash as usize & (index.len() - 1);
        while index[at] != 0 {
            at = (at + 1) & (index.len() - 1);
        }
        assert!(id + 1 < 1 << hash::ID_BITS, "an id leaves room for a tag");
        index[at] = hash::tag(hash) | (id + 1);
    }
    index
}

/// The pair of each token.
fn buckets(tokens: &[&[u8]], ids: &HashMap<&[u8], u32>) -> Vec<[u64; 4]> {
    let mut buckets = vec![[u64::MAX; 4]; (tokens.len() / 2).next_power_of_two()];
    for (id, bytes) in (0..).zip(tokens).filter(|(_, bytes)| bytes.len() > 1) {
        let [left, right] = parts(bytes, id, ids)[..] else {
            panic!("merges do not lead to token {id}");
        };
        let key = hash::pair_key(left, right);
        let mut at = hash::pair(key) as usize & (buckets.len() - 1);
        while buckets[at][3] != u64::MAX {
            at = (at + 1) & (buckets.len() - 1);
        }
        let room = buckets[at].iter_mut().find(|entry| **entry == u64::MAX);
        *room.expect("the last is empty") = key << 24 | u64::from(id);
    }
    buckets
}

/// What any two bytes merge to: two bytes can be split in only one way.
fn byte_pairs(ids: &HashMap<&[u8], u32>) -> impl Iterator<Item = u32> {
    (0..=u16::MAX).map(|pair| *ids.get(&pair.to_be_bytes()[..]).unwrap_or(&u32::MAX))
}

/// The borders between characters in tokens that begin or end inside a character. Tokens that have
/// a four-byte character are included, because it counts as four parts; extra marks do no harm.
fn crossed(tokens: &[&[u8]]) -> Vec<u64> {
    let mut bits = vec![0; 1 << 10];
    for token in tokens {
        let mut characters = Vec::new();
        let mut rest = *token;
        while let Some(len) = character::len(rest) {
            let (character, behind) = rest.split_at(len);
            characters.push(character);
            rest = behind;
        }
        let is_part = |character: &&[u8]| character.len() == 1 && !character.is_ascii();
        if characters.iter().any(is_part) {
            for border in characters.windows(2) {
                let (left, right) = (border[0][border[0].len() - 1], border[1][0]);
                let at = usize::from(u16::from_be_bytes([left, right]));
                bits[at / 64] |= 1 << (at % 64);
            }
        }
    }
    bits
}

/// The parts that are left of a token's bytes after all merges of lower rank than its own.
fn parts(bytes: &[u8], below: u32, ids: &HashMap<&[u8], u32>) -> Vec<u32> {
    let mut bounds: Vec<usize> = (0..=bytes.len()).collect();
    loop {
        let best = (0..bounds.len().saturating_sub(2))
            .filter_map(|i| {
                let rank = *ids.get(&bytes[bounds[i]..bounds[i + 2]])?;
                (rank < below).then_some((rank, i))
            })
            .min();
        match best {
            Some((_, i)) => drop(bounds.remove(i + 1)),
            None => break,
        }
    }
    bounds
        .windows(2)
        .map(|part| ids[&bytes[part[0]..part[1]]])
        .collect()
}
