//! Rank files: the tokens of a vocabulary in the order of their ids, which are their ranks.
//!
//! One byte holds the length of a token, and its bytes follow. A length of zero is an id without a
//! token. The build script turns rank files into tables; the program itself does not read them.

/// The tokens in a rank file.
///
/// # Panics
/// If the file ends within a token.
pub(crate) fn tokens(file: &[u8]) -> Vec<&[u8]> {
    let mut rest = file;
    let mut found = Vec::new();
    while let Some((&length, behind)) = rest.split_first() {
        let (token, behind) = behind.split_at(length.into());
        found.push(token);
        rest = behind;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tiktoken_rs::CoreBPE;

    /// The rank file for the ids in `ids`. Special tokens have no rank.
    fn rank_file(oracle: &CoreBPE, ids: std::ops::Range<u32>) -> Vec<u8> {
        let mut file = Vec::new();
        for id in ids {
            let token = oracle.decode_bytes(&[id]).unwrap_or_default();
            let token = if token == b"<|endoftext|>" {
                b""
            } else {
                &token[..]
            };
            file.push(u8::try_from(token.len()).unwrap());
            file.extend(token);
        }
        file
    }

    #[test]
    fn rank_files_are_those_of_tiktoken() {
        let p50k = tiktoken_rs::p50k_base().unwrap();
        for (name, oracle, ids) in [
            ("r50k", tiktoken_rs::r50k_base().unwrap(), 0..50_256),
            ("p50k", p50k.clone(), 50_256..50_281),
            ("cl100k", tiktoken_rs::cl100k_base().unwrap(), 0..100_256),
            ("o200k", tiktoken_rs::o200k_base().unwrap(), 0..199_998),
        ] {
            let path = format!("{}/src/bpe/ranks/{name}.ranks", env!("CARGO_MANIFEST_DIR"));
            let expected = rank_file(&oracle, ids);
            if std::env::var_os("UPDATE_RANKS").is_some() {
                fs::write(&path, &expected).unwrap();
            }
            let found = fs::read(&path).unwrap();
            assert!(found == expected, "{path} is not current");
            let tokens = super::tokens(&found).concat().len();
            assert_eq!(tokens + super::tokens(&found).len(), found.len());
        }
        // The build script appends the few tokens of p50k to those of r50k.
        let r50k = tiktoken_rs::r50k_base().unwrap();
        assert!(rank_file(&r50k, 0..50_256) == rank_file(&p50k, 0..50_256));
    }
}
