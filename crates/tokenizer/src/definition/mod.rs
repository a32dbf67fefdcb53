//! Tokenizer files -> what they say, in one form whatever their format.
//!
//! Knows the formats, and which file belongs to a path or name. Does not encode: whatever builds an
//! encoder from a [`Definition`] refuses what it cannot do exactly. Every field of a file is
//! parsed; one that is not understood is refused by name, with its place.
//!
//! ```text
//! mod             what a definition is, and the table of formats
//! refusal         why a file cannot be used
//! tokens          the tokens of a model, and merges between them
//! strings         the texts of a vocabulary, and which id each has
//! alphabet        the characters that stand for bytes in byte-level vocabularies
//! node            small parts of a JSON file, with their places
//! base64          the texts of tokens in rank files
//! protobuf        the fields of a SentencePiece model
//! tokenizer_json  tokenizer.json of Hugging Face, 1.0 and 2.0
//! tiktoken        rank files
//! patterns        split patterns by name
//! tekken          Mistral's tekken.json
//! sentencepiece   SentencePiece models
//! vocab_merges    vocab.json and merges.txt
//! end_of_text     tokens that may end a document
//! names           the names of BOS and EOS in the files beside a tokenizer
//! locate          a path or name -> the files to read
//! ```

mod alphabet;
mod base64;
mod end_of_text;
mod locate;
mod names;
mod node;
mod patterns;
mod protobuf;
mod refusal;
mod sentencepiece;
mod strings;
mod tekken;
mod tiktoken;
mod tokenizer_json;
mod tokens;
mod vocab_merges;

pub(crate) use end_of_text::end_of_text_candidates;
pub(crate) use locate::locate;
pub(crate) use names::names;
pub(crate) use patterns::{check_pattern, pattern};
pub(crate) use refusal::{Cause, Place, Refusal};
pub(crate) use tokens::{Merges, Tokens, Use};

use serde::{Deserialize, Serialize};
use shardmill_core::token::TokenId;

use crate::pretoken::{Stage, Syntax};

/// No id may be this or more.
pub(crate) const ID_LIMIT: u32 = 1 << 19;

/// What a tokenizer file says, whatever its format: the input of everything that encodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) kind: Kind,
    /// Applied to the text between added tokens that are not normalized, in order.
    pub(crate) normalizers: Vec<Normalizer>,
    /// Applied to what is left after added tokens were found, in order.
    pub(crate) stages: Vec<Stage>,
    /// SentencePiece's word marker, after the stages. `None` for byte-level.
    pub(crate) metaspace: Option<Metaspace>,
    pub(crate) model: Model,
    /// In the order of the file.
    pub(crate) added: Vec<AddedToken>,
    /// Whether the contents of normalized added tokens are found in normalized text as they are.
    /// If not, they are normalized first, as HF tokenizers does.
    pub(crate) added_in_normalized: bool,
    /// How ids become text.
    pub(crate) decoding: Decoding,
    /// Ids that the file's own post-processor puts before a text. Never added by us; hints for the
    /// user.
    pub(crate) bos: Vec<TokenId>,
    /// As `bos`, after a text.
    pub(crate) eos: Vec<TokenId>,
    /// What the file asks for and does not get, such as truncation: one line each.
    pub(crate) notes: Vec<String>,
}

/// Which kind of file it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    TokenizerJson,
    Tiktoken,
    Tekken,
    SentencePiece,
    VocabMerges,
}

/// One step of normalization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Normalizer {
    /// NFC of HF tokenizers 0.23, which is that of Unicode 9.0.
    Nfc,
    /// Puts a text before each text that is not empty.
    Prepend(String),
    /// Replaces each occurrence; `from` is never empty.
    Replace { from: String, to: String },
    /// Strips white space ([`char::is_whitespace`]) at the ends.
    Strip { left: bool, right: bool },
}

/// Spaces become a word marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metaspace {
    pub(crate) replacement: char,
    pub(crate) prepend: PrefixScheme,
    /// Whether words are split before each marker.
    pub(crate) split: bool,
}

/// Before which pieces a word marker is put, unless they begin with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PrefixScheme {
    /// The one at the beginning of the whole text.
    First,
    Never,
    Always,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) tokens: Tokens,
    pub(crate) merges: Merges,
    pub(crate) alphabet: Alphabet,
    /// The id of what the vocabulary cannot express; `None` if it is left out, or cannot happen.
    pub(crate) unknown: Option<Unknown>,
    /// A pretoken whose text is a token is that token, whatever the merges say: `ignore_merges`,
    /// and tiktoken.
    pub(crate) whole_tokens: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub(crate) id: TokenId,
    /// One id for a run of them.
    pub(crate) fuse: bool,
}

/// What merging begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// Each byte of the text. Bytes without a token are unknown.
    Bytes,
    /// Each character. One that is no token becomes its bytes' ids, if there is a fallback, else
    /// it is unknown.
    Characters {
        /// The id of each byte; [`NO_BYTE`] for those that no text can need.
        fallback: Option<Box<[TokenId; 256]>>,
    },
}

/// In a fallback, the id of a byte that no text can need: one that UTF-8 does not have, or an ASCII
/// character that is a token.
pub(crate) const NO_BYTE: TokenId = TokenId::MAX;

/// A token that is found in a text before anything is split.
#[expect(clippy::struct_excessive_bools, reason = "the flags of the files")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddedToken {
    /// Never empty.
    pub(crate) content: String,
    pub(crate) id: TokenId,
    pub(crate) special: bool,
    pub(crate) normalized: bool,
    pub(crate) single_word: bool,
    pub(crate) lstrip: bool,
    pub(crate) rstrip: bool,
}

/// How ids become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoding {
    /// The bytes of all tokens.
    Bytes,
    /// The tokens' texts, with each marker a space and each byte token its byte; then up to `strip`
    /// spaces are removed at the beginning.
    Words { marker: char, strip: u32 },
    /// The tokens' texts, with each marker a space, but none in the first token if
    /// `drop_in_first`.
    Metaspace { marker: char, drop_in_first: bool },
    /// Something else, which a note names.
    Other,
}

/// A tokenizer's files, and what must come from outside them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Source<'a> {
    pub(crate) bytes: &'a [u8],
    /// The content of `merges.txt`, if `bytes` are those of a `vocab.json`.
    pub(crate) merges: Option<&'a [u8]>,
    /// For rank files: how texts are split.
    pub(crate) pattern: Option<(&'a str, Syntax)>,
    /// For rank files: special tokens.
    pub(crate) special: &'a [(String, TokenId)],
}

/// A row of [`FORMATS`].
#[derive(Debug)]
pub(crate) struct TokenizerFormat {
    pub(crate) kind: Kind,
    /// Its name in manifests and messages.
    pub(crate) name: &'static str,
    /// The library whose rules its ids follow.
    pub(crate) library: &'static str,
    /// Whether a pattern and special tokens must come from outside.
    pub(crate) takes_pattern: bool,
    /// Whether the bytes look like a file of this format; no other format claims them.
    looks: fn(&[u8]) -> bool,
    parse: fn(&Source<'_>) -> Result<Definition, Refusal>,
}

/// One row for each format.
pub(crate) static FORMATS: [TokenizerFormat; 5] = [
    tokenizer_json::FORMAT,
    tiktoken::FORMAT,
    tekken::FORMAT,
    sentencepiece::FORMAT,
    vocab_merges::FORMAT,
];

impl Kind {
    /// The kind's row in [`FORMATS`].
    pub(crate) fn row(self) -> &'static TokenizerFormat {
        // The rows are in the order of the variants; a test checks this.
        &FORMATS[self as usize]
    }

    pub(crate) fn name(self) -> &'static str {
        self.row().name
    }

    pub(crate) fn library(self) -> &'static str {
        self.row().library
    }

    /// What kind of file these bytes are, by their content.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        FORMATS
            .iter()
            .find(|row| (row.looks)(bytes))
            .map(|row| row.kind)
    }
}

/// Reads a tokenizer, of whatever format it is.
pub(crate) fn parse(source: &Source<'_>) -> Result<Definition, Refusal> {
    if source.bytes.starts_with(b"version https://git-lfs") {
        return Err(
            Refusal::damaged("is a Git LFS pointer, not the file itself")
                .hint("run git lfs pull where it was cloned"),
        );
    }
    let Some(kind) = Kind::of(source.bytes) else {
        let what = if source.bytes.is_empty() {
            "is empty"
        } else {
            "is not a tokenizer"
        };
        let names: Vec<_> = FORMATS.iter().map(|row| row.name).collect();
        return Err(Refusal::damaged(what).hint(format!("known formats: {}", names.join(", "))));
    };
    let row = kind.row();
    if !row.takes_pattern && source.pattern.is_some() {
        return Err(Refusal::damaged(format!(
            "is a {} file, which has its own split pattern",
            row.name
        )));
    }
    if !row.takes_pattern && !source.special.is_empty() {
        return Err(Refusal::damaged(format!(
            "is a {} file, which has its own special tokens",
            row.name
        )));
    }
    (row.parse)(source)
}

#[cfg(test)]
mod tests;
