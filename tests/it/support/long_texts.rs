//! Texts that the split pattern does not split, or not where it would help.

/// Texts of 300 KB, each one pretoken in most encodings; tiktoken-rs gives up on 1 MB of spaces.
pub(crate) fn long_texts() -> [(&'static str, String); 7] {
    let marks: Vec<char> = ('\u{300}'..'\u{370}').collect();
    let letters: Vec<char> = ('a'..='z').collect();
    let digits: Vec<char> = ('0'..='9').collect();
    [
        ("a", "a".repeat(300_000)),
        ("spaces", " ".repeat(299_999) + "x"),
        ("letters", random(&letters, 300_000)),
        ("cjk", "\u{4e2d}".repeat(100_000)),
        ("digits", random(&digits, 300_000)),
        ("marks", random(&marks, 150_000)),
        ("ab", "ab".repeat(150_000)),
    ]
}

/// `count` letters of an alphabet, the same in every run.
fn random(alphabet: &[char], count: usize) -> String {
    let mut state = 1_usize;
    let letter = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        alphabet[(state >> 33) % alphabet.len()]
    };
    (0..count).map(letter).collect()
}
