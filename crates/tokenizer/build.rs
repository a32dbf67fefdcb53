//! Turns rank files into tables that the program uses as they are.
//!
//! Each vocabulary becomes `OUT_DIR/NAME.vocab`: its tables, as `src/bpe/image.rs` describes them.

use std::path::Path;

#[path = "src/bpe/character.rs"]
mod character;
#[path = "src/bpe/hash.rs"]
#[allow(dead_code, reason = "the program uses more of it")]
mod hash;
#[path = "src/bpe/image.rs"]
#[allow(dead_code, reason = "the program uses more of it")]
mod image;
#[path = "src/bpe/pairs.rs"]
#[allow(dead_code, reason = "the program uses more of it")]
mod pairs;
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
    for file in ["character.rs", "hash.rs", "image.rs", "pairs.rs", "ranks"] {
        println!("cargo::rerun-if-changed=src/bpe/{file}");
    }
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
                let image = image::Image::of_ranks(&tokens, |_| true)
                    .expect("a table is found for these pairs");
                std::fs::write(path, to_bytes(&image)).expect("OUT_DIR can be written");
            });
        }
    });
}

#[allow(clippy::cast_possible_truncation, reason = "the two halves")]
fn to_bytes(image: &image::Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |words: &[u32]| bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    put(&image.lengths());
    for &word in image.pairs.entries.iter().chain(&image.crossed) {
        put(&[word as u32, (word >> 32) as u32]);
    }
    for pair in image.pairs.displacements.as_chunks::<2>().0 {
        put(&[u32::from(pair[0]) | u32::from(pair[1]) << 16]);
    }
    for table in image.words() {
        put(table);
    }
    bytes.extend(&image.bytes);
    bytes
}
