//! A tokenizer: a vocabulary, a split pattern and a set of special tokens, with a name.
//!
//! Turns text into ids exactly as the tokenizer's own library does, and ids back into bytes. Knows
//! nothing of documents or threads.
//!
//! ```text
//! mod        what a tokenizer has, where a text may be cut, ids -> bytes
//! encode     text -> ids
//! builtin    the names, vocabularies, split patterns and special tokens of built-in tokenizers
//! special    where special tokens are in a text, and what their text means
//! rules      what happens to a text before it is merged
//! open       opens the tokenizer of a file
//! compiled   a file, compiled
//! stored     compiled files in a directory
//! info       what a file is and says
//! file       what happens to a text by the rules of a file
//! splitter   how it is split
//! decoded    what the ids of a file stand for
//! added      where added tokens of a file are in a text
//! normalize  normalization of text before it is split
//! nfc        its NFC
//! joins      where no merge can join two characters
//! model      the model of a file -> a vocabulary
//! refusal    why a tokenizer that was read cannot be used
//! hashing    the hash of a vocabulary
//! encoder    documents in a row -> ids
//! encoders   the parts of encoders, kept for reuse
//! ```

mod added;
mod builtin;
mod compiled;
mod decoded;
mod encode;
mod encoder;
mod encoders;
mod file;
mod hashing;
mod info;
mod joins;
mod model;
mod nfc;
mod normalize;
mod open;
mod openings;
mod refusal;
mod rules;
mod special;
mod splitter;
mod stored;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use shardmill_core::hash::Hash128;
use shardmill_core::simd::Level;
use shardmill_core::token::TokenId;

use crate::bpe::Vocabulary;
use crate::error::{Error, Result};
use crate::pretoken::{Cl100k, O200k, R50k, ends};

use builtin::Pattern;
use encoders::Encoders;
use open::Opened;
use rules::Rules;
use special::SpecialTokens;

pub use builtin::BUILTIN_NAMES;
pub use encoder::Encoder;
pub use info::TokenizerInfo;
pub use open::FileOptions;
pub use special::Special;

/// A vocabulary with its split pattern and special tokens; cheap to clone.
///
/// ```
/// use shardmill_tokenizer::Tokenizer;
///
/// let gpt2 = Tokenizer::by_name("gpt2")?;
/// let ids = gpt2.encode_ordinary("Every effort moves you");
/// assert_eq!(ids, [6109, 3626, 6100, 345]);
/// assert_eq!(gpt2.decode_bytes(&ids)?, b"Every effort moves you");
/// # Ok::<(), shardmill_tokenizer::Error>(())
/// ```
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
    encoders: Arc<Encoders>,
    end_of_text: Option<TokenId>,
}

struct Inner {
    name: String,
    n_vocab: u32,
    vocabulary: Arc<Vocabulary>,
    vocabulary_hash: OnceLock<Hash128>,
    rules: Rules,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tokenizer").field(&self.name()).finish()
    }
}

impl Tokenizer {
    /// The built-in tokenizer `name`; [`BUILTIN_NAMES`] lists the names.
    ///
    /// # Errors
    /// [`Error::Unknown`] lists the known names.
    pub fn by_name(name: &str) -> Result<Self> {
        let builtin = builtin::find(name).ok_or_else(|| Error::Unknown {
            name: name.to_owned(),
            known: BUILTIN_NAMES.join(", "),
        })?;
        let special = SpecialTokens::new(builtin.special_tokens());
        Ok(Self {
            inner: Arc::new(Inner {
                name: builtin.name.to_owned(),
                n_vocab: builtin.n_vocab,
                vocabulary: Arc::clone(builtin.vocabulary()),
                vocabulary_hash: builtin.vocabulary_hash.into(),
                rules: Rules::Builtin(builtin.pattern, Box::new(special)),
            }),
            encoders: Arc::default(),
            end_of_text: Some(builtin.end_of_text),
        })
    }

    /// The built-in tokenizer `name`, else that of a file; see [`Self::open`] for `options`.
    ///
    /// # Errors
    /// Those of [`Self::open`]; [`Error::Unknown`] if `name` is neither.
    pub fn find(name: &str, options: &FileOptions) -> Result<Self> {
        Self::by_name(name).or_else(|unknown| match Self::open(name, options) {
            // A word that is no path is more likely a misspelled name.
            Err(Error::File { .. }) if !name.contains(['/', '.']) && !Path::new(name).exists() => {
                Err(unknown)
            }
            opened => opened,
        })
    }

    /// The id of a token by its text, if it is a special or added token, or by the id's digits.
    pub fn token_id(&self, token: &str) -> Option<TokenId> {
        let named = self.special_tokens().find(|&(text, _)| text == token);
        let known = self
            .end_of_text_candidates()
            .iter()
            .find(|(text, _)| text == token);
        named
            .map(|(_, id)| id)
            .or_else(|| known.map(|&(_, id)| id))
            .or_else(|| {
                token
                    .parse()
                    .ok()
                    .filter(|&id| self.token_bytes(id).is_some())
            })
    }

    /// The tokenizer of a file or of a model's directory: `tokenizer.json`, `tekken.json`, a
    /// tiktoken rank file, a SentencePiece BPE model, or `vocab.json` with `merges.txt`. `name` is a
    /// path, or a Hub id such as `allenai/OLMo-2-1124-7B` that is in the local Hub cache.
    ///
    /// Its ids are exactly those of the file's own library, without the tokens that a
    /// post-processor adds, and without truncation.
    ///
    /// # Errors
    /// [`Error::File`] if the file is damaged, or uses something that cannot be done exactly:
    /// it names that, with its place in the file. [`Error::Io`] if it cannot be read.
    pub fn open(name: &str, options: &FileOptions) -> Result<Self> {
        open::open(name, options).map(Self::of)
    }

    /// As [`Self::open`], for a tokenizer whose file is in memory: one file of any format but
    /// `vocab.json`, which needs another. The tokenizer has the name `name`, and errors call it so.
    ///
    /// ```
    /// use shardmill_tokenizer::{FileOptions, Tokenizer};
    ///
    /// let file = br#"{"model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}"#;
    /// let tokenizer = Tokenizer::from_bytes("mine", file, &FileOptions::default())?;
    /// assert_eq!(tokenizer.encode_ordinary("abba"), [2, 1, 0]);
    ///
    /// let error = Tokenizer::from_bytes("mine", b"{}", &FileOptions::default()).unwrap_err();
    /// assert!(error.to_string().starts_with("mine: "));
    /// # Ok::<(), shardmill_tokenizer::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`], as for [`Self::open`].
    pub fn from_bytes(name: &str, bytes: &[u8], options: &FileOptions) -> Result<Self> {
        open::from_bytes(name, bytes, options).map(Self::of)
    }

    fn of(opened: Opened) -> Self {
        Self {
            end_of_text: opened.end_of_text,
            inner: Arc::new(Inner {
                name: opened.name,
                n_vocab: opened.n_vocab,
                vocabulary: Arc::new(opened.vocabulary),
                vocabulary_hash: OnceLock::new(),
                rules: Rules::File(Box::new(opened.file)),
            }),
            encoders: Arc::default(),
        }
    }

    /// This tokenizer with `id` at the end of documents, or without such a token.
    #[must_use]
    pub fn with_end_of_text(mut self, id: Option<TokenId>) -> Self {
        self.end_of_text = id;
        self
    }

    /// This tokenizer with the instructions of `level` instead of those of the fastest one, and with
    /// an empty cache. The ids are the same.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.encoders = Arc::new(Encoders::new(level));
        self
    }

    /// This tokenizer with an empty cache.
    #[must_use]
    pub fn with_empty_cache(&self) -> Self {
        Self {
            encoders: Arc::new(Encoders::new(self.encoders.level())),
            ..self.clone()
        }
    }

    /// The name that it was requested by, or of its file.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The largest id + 1, like tiktoken's `n_vocab`. Not every id below it is necessarily in use.
    pub fn n_vocab(&self) -> u32 {
        self.inner.n_vocab
    }

    /// The id of the token between documents, such as `<|endoftext|>`. A tokenizer file may have
    /// none, or several: then `None`, until [`Self::with_end_of_text`] chooses one.
    pub fn end_of_text(&self) -> Option<TokenId> {
        self.end_of_text
    }

    /// How text is split: the family of a built-in tokenizer, `r50k`, `cl100k` or `o200k`; for a
    /// file, what does it.
    pub fn pattern(&self) -> &str {
        match &self.inner.rules {
            Rules::Builtin(pattern, _) => pattern.name(),
            Rules::File(file) => file.splitter_name(),
        }
    }

    /// What the tokenizer's file is and says; `None` for a built-in one.
    pub fn info(&self) -> Option<&TokenizerInfo> {
        match &self.inner.rules {
            Rules::Builtin(..) => None,
            Rules::File(file) => Some(file.info()),
        }
    }

    /// The tokens of a file that are known to end documents, with their ids.
    pub fn end_of_text_candidates(&self) -> &[(String, TokenId)] {
        match &self.inner.rules {
            Rules::Builtin(..) => &[],
            Rules::File(file) => file.candidates(),
        }
    }

    /// How many spaces the decoder of the tokenizer's own library removes at the beginning of a
    /// text, because the tokenizer puts them there: 1 for Llama-2 and Mistral, 0 for most.
    pub fn leading_spaces(&self) -> u32 {
        match &self.inner.rules {
            Rules::Builtin(..) => 0,
            Rules::File(file) => file.leading_spaces(),
        }
    }

    /// What the tokenizer's file asks for and does not get, such as truncation: one line each.
    pub fn notes(&self) -> &[String] {
        match &self.inner.rules {
            Rules::Builtin(..) => &[],
            Rules::File(file) => file.notes(),
        }
    }

    /// The special tokens of a built-in tokenizer, or the added tokens of a file, with their ids,
    /// in order of id.
    pub fn special_tokens(&self) -> Box<dyn Iterator<Item = (&str, TokenId)> + '_> {
        match &self.inner.rules {
            Rules::Builtin(_, special) => Box::new(special.iter()),
            Rules::File(file) => Box::new(file.added_tokens()),
        }
    }

    /// The bytes of one token, or `None` if no token has that id.
    pub fn token_bytes(&self, id: TokenId) -> Option<&[u8]> {
        let bytes = match &self.inner.rules {
            Rules::Builtin(_, special) => match special.name_of(id) {
                Some(name) => name.as_bytes(),
                None => self.inner.vocabulary.view().token(id),
            },
            Rules::File(file) => file.token_bytes(id),
        };
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }

    /// The hash of the vocabulary: every id in use, in order, with the length of its bytes (both as
    /// little-endian `u32`) and the bytes; then the special tokens in the same way, in order of id.
    pub fn vocabulary_hash(&self) -> Hash128 {
        let hash = &self.inner.vocabulary_hash;
        *hash.get_or_init(|| self.hashed_vocabulary())
    }

    fn hashed_vocabulary(&self) -> Hash128 {
        let token = |id| Some((id, self.token_bytes(id)?));
        let tokens = (0..self.n_vocab()).filter_map(token);
        let special = self.special_tokens();
        hashing::of(tokens.chain(special.map(|(name, id)| (id, name.as_bytes()))))
    }

    /// The end of each pretoken of `text`, in bytes. Pretokens are the pieces that the split
    /// pattern cuts a text into before any bytes are merged. Every [`Level`] returns the same ends.
    /// For a tokenizer's file, `text` is taken as normalized, with spaces for word markers, and added
    /// tokens are not looked for.
    ///
    /// ```
    /// use shardmill_tokenizer::{Tokenizer, Level};
    ///
    /// let gpt2 = Tokenizer::by_name("gpt2")?;
    /// assert_eq!(gpt2.pretoken_ends("It's 1 effort", Level::detect()), [2, 4, 6, 13]);
    /// # Ok::<(), shardmill_tokenizer::Error>(())
    /// ```
    pub fn pretoken_ends(&self, text: &str, level: Level) -> Vec<usize> {
        match &self.inner.rules {
            Rules::Builtin(Pattern::R50k, _) => ends::<R50k>(level, text),
            Rules::Builtin(Pattern::Cl100k, _) => ends::<Cl100k>(level, text),
            Rules::Builtin(Pattern::O200k, _) => ends::<O200k>(level, text),
            Rules::File(file) => file.pretoken_ends(level, text),
        }
    }

    /// Where a text may be cut into parts that are encoded independently: the first such place at
    /// or after `from` in `bytes`, which may end in the middle of the text and have bytes that are
    /// not UTF-8. `None` if there is none.
    pub fn next_cut(&self, bytes: &[u8], from: usize) -> Option<usize> {
        match &self.inner.rules {
            Rules::Builtin(pattern, _) => pattern.next_cut(bytes, from),
            Rules::File(file) => file.next_cut(bytes, from),
        }
    }

    /// Whether a text may be cut before any space that follows a printable ASCII character.
    pub fn cuts_before_spaces(&self) -> bool {
        match &self.inner.rules {
            Rules::Builtin(..) => true,
            Rules::File(file) => file.cuts_before_spaces(),
        }
    }

    /// The text that `ids` stand for, with special tokens as their names, and without the
    /// [`leading_spaces`](Self::leading_spaces) that the tokenizer may have put before it. Each part
    /// that is not UTF-8 becomes U+FFFD, as in tiktoken's `decode`.
    ///
    /// # Errors
    /// Those of [`Self::decode_bytes`].
    ///
    /// ```
    /// let gpt2 = shardmill_tokenizer::Tokenizer::by_name("gpt2")?;
    /// assert_eq!(gpt2.decode(&[6109, 3626])?, "Every effort");
    /// # Ok::<(), shardmill_tokenizer::Error>(())
    /// ```
    pub fn decode(&self, ids: &[TokenId]) -> Result<String> {
        let bytes = self.decode_bytes(ids)?;
        let leading = bytes.iter().take(self.leading_spaces() as usize);
        let spaces = leading.take_while(|&&byte| byte == b' ').count();
        Ok(String::from_utf8_lossy(&bytes[spaces..]).into_owned())
    }

    /// The bytes that `ids` stand for, with special tokens as their names, and with the
    /// [`leading_spaces`](Self::leading_spaces) that the tokenizer may have put before the text.
    ///
    /// # Errors
    /// [`Error::Argument`] names the first id that is not a token of this tokenizer.
    pub fn decode_bytes(&self, ids: &[TokenId]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for (index, &id) in ids.iter().enumerate() {
            let token = self.token_bytes(id).ok_or_else(|| {
                let name = self.name();
                let what = format!("token {index} has id {id}, which is not in {name}");
                Error::Argument { what }
            })?;
            bytes.extend_from_slice(token);
        }
        Ok(bytes)
    }
}
