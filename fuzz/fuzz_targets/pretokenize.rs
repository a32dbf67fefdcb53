//! Pretokens end where the pattern's matches do, at each level.

#![no_main]

use std::sync::LazyLock;

use fancy_regex::Regex;
use libfuzzer_sys::fuzz_target;
use shardmill::{Tokenizer, Level};
use shardmill_fuzz::text_of;

const R50K: &str =
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s";
const CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";

static PATTERNS: LazyLock<[(Tokenizer, Regex); 3]> = LazyLock::new(|| {
    [
        ("gpt2", R50K),
        ("cl100k_base", CL100K),
        ("o200k_base", tiktoken_rs::O200K_BASE_PAT_STR),
    ]
    .map(|(name, pattern)| {
        let encoding = Tokenizer::by_name(name).unwrap();
        (encoding, Regex::new(pattern).unwrap())
    })
});

fuzz_target!(|input: &[u8]| {
    let text = text_of(input);
    for (encoding, regex) in &*PATTERNS {
        let mut levels = Level::available().into_iter();
        let scalar = encoding.pretoken_ends(&text, Level::scalar());
        assert!(levels.all(|level| encoding.pretoken_ends(&text, level) == scalar));
        // The engine gives up on long runs of white space.
        let matches: Result<Vec<_>, _> = regex.find_iter(&text).collect();
        if let Ok(matches) = matches {
            let mut at = 0;
            for (found, end) in matches.iter().zip(&scalar) {
                assert_eq!(found.range(), at..*end, "{encoding:?} {text:?}");
                at = *end;
            }
            assert_eq!(matches.len(), scalar.len(), "{encoding:?} {text:?}");
        }
        assert_eq!(scalar.last().copied().unwrap_or(0), text.len());
    }
});
