//! Special tokens: texts such as `<|endoftext|>` that have their own ids.

use std::collections::HashMap;

use memchr::memmem;
use shardmill_core::choice;
use shardmill_core::token::TokenId;

use crate::pretoken;

choice! {
    /// What to do with the text of a special token in a document.
    ///
    /// ```
    /// use shardmill_tokenizer::{Special, Tokenizer};
    ///
    /// let gpt2 = Tokenizer::by_name("gpt2")?;
    /// assert_eq!(gpt2.encode("<|endoftext|>", Special::Encode)?, [50256]);
    /// assert_eq!(gpt2.encode("<|endoftext|>", Special::Text)?.len(), 7);
    /// assert!(gpt2.encode("<|endoftext|>", Special::Error).is_err());
    /// # Ok::<(), shardmill_tokenizer::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Special {
        /// Treat it as ordinary text: tiktoken's `encode_ordinary`.
        #[default]
        Text = "text",
        /// Encode it as its own id: tiktoken's `encode(allowed_special="all")`.
        Encode = "encode",
        /// Refuse the document: tiktoken's `encode()`.
        Error = "error",
    }
}

/// The special tokens of one tokenizer.
#[derive(Debug)]
pub(super) struct SpecialTokens {
    /// Sorted by id; if an id has two names, the one that it is decoded to comes first.
    by_id: Vec<(String, TokenId)>,
    ids: HashMap<String, TokenId>,
    /// All names begin with this.
    opening: memmem::Finder<'static>,
    longest_bytes: usize,
}

/// How every special token of the built-in encodings begins and ends.
const OPENING: &str = "<|";
const CLOSING: &str = "|>";

impl SpecialTokens {
    /// Takes names of the form `<|...|>` without `|>` inside, with their ids.
    pub(super) fn new(mut tokens: Vec<(String, TokenId)>) -> Self {
        debug_assert!(tokens.iter().all(|(name, _)| {
            name.starts_with(OPENING) && name.find(CLOSING) == Some(name.len() - CLOSING.len())
        }));
        debug_assert!(
            tokens
                .iter()
                .all(|(name, _)| name.len() < pretoken::SPECIAL_BYTES)
        );
        tokens.sort_by_key(|&(_, id)| id);
        Self {
            ids: tokens.iter().cloned().collect(),
            longest_bytes: tokens.iter().map(|(name, _)| name.len()).max().unwrap_or(0),
            opening: memmem::Finder::new(OPENING),
            by_id: tokens,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, TokenId)> {
        self.by_id.iter().map(|(name, id)| (name.as_str(), *id))
    }

    pub(super) fn name_of(&self, id: TokenId) -> Option<&str> {
        // Nearly every id is smaller than all of these.
        self.by_id.first().filter(|&&(_, first)| first <= id)?;
        let at = self.by_id.partition_point(|&(_, other)| other < id);
        self.by_id
            .get(at)
            .filter(|&&(_, other)| other == id)
            .map(|(name, _)| name.as_str())
    }

    /// The first special token in `text` at or after byte `from`: its start, name and id.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<(usize, &str, TokenId)> {
        let bytes = text.as_bytes();
        self.opening.find_iter(&bytes[from..]).find_map(|at| {
            let at = from + at;
            let reach = bytes.len().min(at + self.longest_bytes);
            let length = memmem::find(&bytes[at..reach], CLOSING.as_bytes())? + CLOSING.len();
            let (name, &id) = self.ids.get_key_value(text.get(at..at + length)?)?;
            Some((at, name.as_str(), id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> SpecialTokens {
        SpecialTokens::new(vec![
            ("<|endoftext|>".to_owned(), 7),
            ("<|end|>".to_owned(), 5),
            ("<|also_end|>".to_owned(), 5),
        ])
    }

    #[test]
    fn the_first_special_token_is_found_also_behind_false_openings() {
        let tokens = tokens();
        let text = "a<|b<|<|endoftext|><|end|>";
        assert_eq!(tokens.find(text, 0), Some((6, "<|endoftext|>", 7)));
        assert_eq!(tokens.find(text, 7), Some((19, "<|end|>", 5)));
        assert_eq!(tokens.find(text, 20), None);
        assert_eq!(tokens.find("<|endoftext|", 0), None);
        assert_eq!(tokens.find("<|é|>", 0), None);
    }

    #[test]
    fn an_id_with_two_names_decodes_to_the_first() {
        assert_eq!(tokens().name_of(5), Some("<|end|>"));
        assert_eq!(tokens().name_of(6), None);
    }
}
