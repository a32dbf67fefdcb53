//! The corpora of the benches: fixtures, so that a fresh clone can run them.

use std::path::Path;

use tiktoken_rs::CoreBPE;

/// One encoding per pattern family, with its tiktoken-rs counterpart.
pub(crate) fn encodings() -> [(&'static str, CoreBPE); 3] {
    [
        ("gpt2", tiktoken_rs::r50k_base()),
        ("cl100k_base", tiktoken_rs::cl100k_base()),
        ("o200k_base", tiktoken_rs::o200k_base()),
    ]
    .map(|(name, oracle)| (name, oracle.expect("the vocabulary comes with the crate")))
}

/// A name for bench ids, and the file.
pub(crate) const CORPORA: [(&str, &str); 4] = [
    ("english", "tinyshakespeare.txt"),
    ("markdown", "markdown.md"),
    ("multi", "udhr.txt"),
    ("code", "code.txt"),
];

/// The text of a corpus.
pub(crate) fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/text")
        .join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
