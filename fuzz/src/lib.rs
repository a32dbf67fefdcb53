//! What the fuzz targets share: texts made from bytes, the encodings, the oracle and the checks.

#[path = "../../tests/checks/mod.rs"]
pub mod checks;
#[path = "../../tests/it/support/same_ids.rs"]
mod same_ids;

use std::sync::OnceLock;

use shardmill::Tokenizer;
use tiktoken_rs::CoreBPE;

pub use same_ids::assert_same_ids;

/// The encodings that split and merge in different ways.
pub const NAMES: [&str; 4] = ["gpt2", "p50k_base", "cl100k_base", "o200k_base"];

/// An encoding that is kept for all inputs, by its index in [`NAMES`].
pub fn kept(index: usize) -> &'static Tokenizer {
    static KEPT: [OnceLock<Tokenizer>; NAMES.len()] = [const { OnceLock::new() }; NAMES.len()];
    KEPT[index].get_or_init(|| Tokenizer::by_name(NAMES[index]).unwrap())
}

/// The same encoding in tiktoken-rs, by its index in [`NAMES`].
pub fn oracle(index: usize) -> &'static CoreBPE {
    match NAMES[index] {
        "gpt2" => tiktoken_rs::r50k_base_singleton(),
        "p50k_base" => tiktoken_rs::p50k_base_singleton(),
        "cl100k_base" => tiktoken_rs::cl100k_base_singleton(),
        "o200k_base" => tiktoken_rs::o200k_base_singleton(),
        name => panic!("no oracle for {name}"),
    }
}

/// One character of each kind that some pattern treats specially, what most texts consist of, and
/// what special tokens consist of.
const PARTS: [&str; 64] = [
    "a",
    "s",
    "l",
    "e",
    "A",
    "S",
    "\u{1c5}",
    "日",
    "\u{2b0}",
    "\u{301}",
    "1",
    " ",
    "\t",
    "\n",
    "\r",
    "\u{a0}",
    "\u{3000}",
    "'",
    "/",
    "!",
    "\u{17f}",
    "—", // so far as in pretoken/tests.rs of the tokenizer
    "the",
    " of",
    "  ",
    "\n    ",
    "\r\n",
    "123",
    " 4",
    "It's",
    "'ll",
    "'RE",
    "(",
    ")",
    ".",
    ", ",
    "CamelCase",
    "//",
    "日本語",
    "Ünï",
    " привет",
    "The ",
    "ing",
    " word",
    "<|endoftext|>",
    "<|fim_prefix|>",
    "<|endofprompt|>",
    "<|",
    "|>",
    "endoftext",
    "<",
    "|",
    "\u{85}",
    "\u{2028}",
    "\u{0}",
    "❤\u{fe0f}",
    "😀",
    "\u{c0}",
    "e\u{301}",
    "\u{660}",
    "\u{bd}",
    "zx",
    "\"",
    "\\",
];

/// Bytes that are not UTF-8, or only a part of a character.
const INVALID: [&[u8]; 8] = [
    b"\xff",
    b"\x80",
    b"\xc3",
    b"\xe3\x81",
    b"\xf0\x9f\x98",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xf4\x90\x80\x80",
];

/// At most this many bytes are made from an input.
pub const MAX_BYTES: usize = 1 << 15;

/// The bytes of a text. The first byte of the input says what the rest means: the text itself,
/// choices of parts, or choices of parts with counts. A few values choose parts that are not UTF-8.
pub fn bytes_of(input: &[u8]) -> Vec<u8> {
    let Some((mode, rest)) = input.split_first() else {
        return Vec::new();
    };
    let part = |byte: u8| match byte {
        248.. => INVALID[usize::from(byte - 248)],
        _ => PARTS[usize::from(byte) % PARTS.len()].as_bytes(),
    };
    let mut bytes = Vec::new();
    match mode % 3 {
        0 => bytes.extend_from_slice(rest),
        1 => rest.iter().for_each(|&byte| bytes.extend(part(byte))),
        _ => {
            for run in rest.chunks(2) {
                let count = run.get(1).map_or(1, |&count| usize::from(count));
                bytes.extend(part(run[0]).repeat(count));
                if bytes.len() > MAX_BYTES {
                    break;
                }
            }
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

/// Like [`bytes_of`], with U+FFFD in place of what is not UTF-8.
pub fn text_of(input: &[u8]) -> String {
    String::from_utf8_lossy(&bytes_of(input)).into_owned()
}
