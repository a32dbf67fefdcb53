//! The corpora of the benches: fixtures, so that a fresh clone can run them.

use std::path::Path;

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
