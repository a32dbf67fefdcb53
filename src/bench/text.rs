//! The text to tokenize.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

/// The story that generated text is modeled on.
const STORY: &str = include_str!("../../fixtures/text/the-verdict.txt");

/// How many bytes of text are generated, and how many of an input are used.
const GENERATED_BYTES: usize = 16 << 20;
const INPUT_BYTES: u64 = 64 << 20;

/// How many bytes of the story the next byte depends on.
const CONTEXT: usize = 3;

/// The part of the input's text that is used.
pub(super) fn read(path: &Path) -> Result<String> {
    let refuse = |what: &str, hint: &str| Error::input(path, (what, hint));
    let file = File::open(path).map_err(Error::io(path, "cannot open"))?;
    let mut bytes = Vec::new();
    file.take(INPUT_BYTES)
        .read_to_end(&mut bytes)
        .map_err(Error::io(path, "cannot read"))?;
    if bytes.is_empty() {
        return Err(refuse("is empty", "give a text of some megabytes"));
    }
    String::from_utf8(bytes).or_else(|error| {
        let valid = error.utf8_error().valid_up_to();
        let is_cut = valid as u64 + 4 > INPUT_BYTES;
        if !is_cut {
            let what = format!("byte {valid}: invalid UTF-8");
            return Err(refuse(&what, "give a text in UTF-8"));
        }
        let mut bytes = error.into_bytes();
        bytes.truncate(valid);
        String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8", "give a text in UTF-8"))
    })
}

/// Text to use if there is no input.
pub(super) fn generate() -> String {
    generated(GENERATED_BYTES)
}

/// `len` bytes of text in which every three letters are followed by a letter that follows them in
/// the story: words, punctuation and lines as in prose, with many words that do not occur in it.
fn generated(len: usize) -> String {
    // Treat the story as a ring.
    let story: Vec<u8> = STORY.bytes().filter(u8::is_ascii).collect();
    let ring = |at: usize| story[at % story.len()];
    let context = |at: usize| [ring(at), ring(at + 1), ring(at + 2)];
    // Places with the same context are adjacent in `places`; `same` maps each place to that range.
    let mut places: Vec<usize> = (0..story.len()).collect();
    places.sort_by_key(|at| context(*at));
    let mut same = vec![0..0; story.len()];
    let mut first = 0;
    for group in places.chunk_by(|a, b| context(*a) == context(*b)) {
        for place in group {
            same[*place] = first..first + group.len();
        }
        first += group.len();
    }
    let mut text: Vec<u8> = story[..CONTEXT].to_vec();
    let mut random = 1_u64;
    let mut place = 0;
    while text.len() < len {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let choice = same[place].clone();
        let chosen = places[choice.start + (random >> 33) as usize % choice.len()];
        text.push(ring(chosen + CONTEXT));
        place = (chosen + 1) % story.len();
    }
    text.truncate(len);
    String::from_utf8(text).expect("all of it is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_text_is_made_of_words() {
        let text = generated(200_000);
        assert_eq!(text.len(), 200_000);
        assert_eq!(text, generated(200_000));
        let words: std::collections::HashSet<_> = text.split_ascii_whitespace().collect();
        let known = words.iter().filter(|word| STORY.contains(**word)).count();
        assert!(
            known > 500 && words.len() > 2 * known,
            "{} {known}",
            words.len()
        );
        let mean = text.len() / text.split_ascii_whitespace().count();
        assert!((4..8).contains(&mean), "{mean}");
    }

    #[test]
    fn inputs_that_are_no_text_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        assert!(read(&path).is_err());
        for (bytes, expected) in [
            (&b""[..], "is empty; give a text of some megabytes"),
            (b"ab\xff", "byte 2: invalid UTF-8; give a text in UTF-8"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
        std::fs::write(&path, "two words").unwrap();
        assert_eq!(read(&path).unwrap(), "two words");
    }
}
