//! Tokenizers from files: what happens to a text before it is merged.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bpe::Vocabulary;
use crate::definition::{
    self, Decoding, Definition, Metaspace, Normalizer, PrefixScheme, Refusal, Source, Use,
};
use crate::error::{Error, Result};
use crate::hash::{Hash128, Hasher128};
use crate::pretoken::{Chain, Family, Scratch, Syntax, ends, recognize, with_scheme};
use crate::simd::Level;
use crate::token::TokenId;
use crate::tokenizer::added::{AddedTokens, Piece};
use crate::tokenizer::encoders::Encoder;
use crate::tokenizer::joins::Joins;
use crate::tokenizer::normalize::{is_nfc_border, normalize, replace};
use crate::tokenizer::refusal::unsupported;
use crate::tokenizer::{Special, SpecialFound, model};

/// What a tokenizer's file does not say itself.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FileOptions {
    /// For rank files: how text is split, as the name of a pattern or as a regular expression in
    /// the syntax of tiktoken.
    pub pattern: Option<String>,
    /// For rank files: special tokens and their ids.
    pub special_tokens: Vec<(String, TokenId)>,
}

/// What a tokenizer's file is and says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenizerInfo {
    /// The kind of file, such as `tokenizer.json`.
    pub kind: String,
    /// The hash of the file's bytes.
    pub file_hash: Hash128,
    /// The hash of everything in it that decides about ids: equal for files that differ only in
    /// layout, or in what has no effect.
    pub rules_hash: Hash128,
    /// The rules that ids follow if libraries differ, such as `HF tokenizers 0.23`.
    pub rules: String,
    /// What normalization does, with the version of Unicode if that matters; `none` without any.
    pub normalization: String,
}

/// A tokenizer that was read.
pub(super) struct Opened {
    pub(super) name: String,
    pub(super) n_vocab: u32,
    pub(super) end_of_text: Option<TokenId>,
    pub(super) vocabulary: Vocabulary,
    pub(super) file: File,
}

/// Reads the tokenizer that `name` says: a path, or a Hub id that is in the local cache.
pub(super) fn open(name: &str, options: &FileOptions) -> Result<Opened> {
    let refuse = |path: &Path, refusal: Refusal| Error::Tokenizer {
        path: path.to_owned(),
        what: refusal.to_string(),
        hint: refusal.hint.map(Cow::into_owned),
    };
    let located = definition::locate(name).map_err(|refusal| refuse(name.as_ref(), refusal))?;
    let path = &located.path;
    let read = |path: &Path| fs::read(path).map_err(Error::io(path, "cannot read"));
    let bytes = read(path)?;
    let merges = located.merges.as_deref().map(read).transpose()?;
    let named = options.pattern.as_deref().map(|pattern| {
        definition::pattern(pattern).map_or((pattern, Syntax::Fancy), |named| {
            (named.pattern, named.syntax)
        })
    });
    let source = Source {
        bytes: &bytes,
        merges: merges.as_deref(),
        pattern: named,
        special: &options.special_tokens,
    };
    let definition = definition::parse(&source).map_err(|refusal| refuse(path, refusal))?;
    let mut hasher = Hasher128::new();
    hasher.update(&bytes);
    hasher.update(merges.as_deref().unwrap_or_default());
    let file = File::new(&definition, hasher.finish()).map_err(|error| match error {
        Error::Tokenizer { what, hint, .. } => Error::Tokenizer {
            path: path.clone(),
            what,
            hint,
        },
        error => error,
    })?;
    let mut notes = definition.notes.clone();
    notes.extend(notes_beside(&definition, &located.names));
    let added = definition.added.iter().map(|token| token.id + 1);
    let candidates = definition::end_of_text_candidates(&definition);
    Ok(Opened {
        name: display_name(name, path),
        n_vocab: definition
            .model
            .tokens
            .limit()
            .max(added.max().unwrap_or(0)),
        end_of_text: match &candidates[..] {
            [(_, id)] => Some(*id),
            _ => None,
        },
        vocabulary: model::vocabulary(&definition.model),
        file: File {
            candidates,
            notes,
            ..file
        },
    })
}

/// What the file, and those beside it, would add to texts or call their end.
fn notes_beside(definition: &Definition, beside: &[PathBuf]) -> Vec<String> {
    let contents: Vec<_> = beside
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .collect();
    let contents: Vec<_> = contents.iter().map(Vec::as_slice).collect();
    let named = definition::names(&contents);
    let mut notes = Vec::new();
    for (what, ids) in [("before", &definition.bos), ("after", &definition.eos)] {
        if !ids.is_empty() {
            notes.push(format!(
                "its post-processor adds ids {ids:?} {what} a text; they are left out"
            ));
        }
    }
    if let Some(bos) = &named.bos {
        notes.push(format!("the files beside it call {bos:?} BOS"));
    }
    if let Some(eos) = &named.eos {
        notes.push(format!(
            "the files beside it call {eos:?} EOS, which may end a turn, not a document"
        ));
    }
    notes
}

/// The name of a tokenizer in manifests: a Hub id, or the file's name with its directory's.
fn display_name(name: &str, path: &Path) -> String {
    if !Path::new(name).exists() {
        return name.to_owned();
    }
    let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let part = |part: Option<&OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let directory = part(absolute.parent().and_then(Path::file_name));
    let file = part(absolute.file_name()).unwrap_or_default();
    directory.map_or(file.clone(), |directory| format!("{directory}/{file}"))
}

/// What happens to a text before it is merged.
#[derive(Debug)]
pub(super) struct File {
    info: TokenizerInfo,
    /// Found in the text as it is.
    raw: AddedTokens,
    normalizers: Vec<Normalizer>,
    /// Found in the text after normalization.
    normalized: AddedTokens,
    splitter: Splitter,
    /// The steps of splitting, which also say where a text may be cut.
    chain: Chain,
    /// Bit `y` of entry `x`: whether a text may be cut between these ASCII characters.
    ascii_cuts: Box<[u128; 128]>,
    /// By id: what each token stands for.
    decoded: Decoded,
    /// By content: ids.
    added: Vec<(String, TokenId)>,
    /// Tokens that may end a document.
    candidates: Vec<(String, TokenId)>,
    notes: Vec<String>,
}

/// How text is split.
#[derive(Debug)]
enum Splitter {
    /// By masks.
    Family(Family),
    /// By automata.
    Chain(Chain),
    /// Not at all but where no merge can cross, after spaces became word markers.
    Words {
        metaspace: Option<Metaspace>,
        joins: Joins,
    },
}

impl File {
    fn new(definition: &Definition, file_hash: Hash128) -> Result<Self> {
        let normalizers = definition.normalizers.clone();
        let raw = AddedTokens::new(&definition.added, |token| !token.normalized, str::to_owned)?;
        let normalized = AddedTokens::new(
            &definition.added,
            |token| token.normalized,
            |content| {
                if definition.added_in_normalized {
                    content.to_owned()
                } else {
                    normalize(&normalizers, content, true).into_owned()
                }
            },
        )?;
        let chain =
            Chain::new(&definition.stages).map_err(|error| unsupported(error.to_string()))?;
        let splitter = Splitter::new(definition, &chain)?;
        let mut file = Self {
            info: TokenizerInfo::of(definition, file_hash),
            raw,
            normalizers,
            normalized,
            splitter,
            chain,
            ascii_cuts: Box::new([0; 128]),
            decoded: Decoded::of(definition),
            added: definition
                .added
                .iter()
                .map(|token| (token.content.clone(), token.id))
                .collect(),
            candidates: Vec::new(),
            notes: Vec::new(),
        };
        for x in 0..128_u8 {
            for y in 0..128_u8 {
                let is_cut = file.is_cut(char::from(x), char::from(y));
                file.ascii_cuts[usize::from(x)] |= u128::from(is_cut) << y;
            }
        }
        Ok(file)
    }

    pub(super) fn info(&self) -> &TokenizerInfo {
        &self.info
    }

    /// What splits text.
    pub(super) fn splitter_name(&self) -> &str {
        match &self.splitter {
            Splitter::Family(family) => family.name(),
            Splitter::Chain(_) => "general",
            Splitter::Words { .. } => "words",
        }
    }

    pub(super) fn added_tokens(&self) -> impl Iterator<Item = (&str, TokenId)> {
        self.added.iter().map(|(name, id)| (name.as_str(), *id))
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(super) fn candidates(&self) -> &[(String, TokenId)] {
        &self.candidates
    }

    pub(super) fn token_bytes(&self, id: TokenId) -> &[u8] {
        self.decoded.get(id)
    }

    /// [`Tokenizer::next_cut`](crate::Tokenizer::next_cut)
    pub(super) fn next_cut(&self, bytes: &[u8], from: usize) -> Option<usize> {
        (from.max(1)..bytes.len()).find(|&at| {
            let (x, y) = (bytes[at - 1], bytes[at]);
            if x.is_ascii() && y.is_ascii() {
                return self.allows_ascii(x, y);
            }
            let chars = char_before(bytes, at).zip(char_at(bytes, at));
            chars.is_some_and(|(x, y)| self.is_cut(x, y))
        })
    }

    pub(super) fn cuts_before_spaces(&self) -> bool {
        (b'!'..=b'~').all(|x| self.allows_ascii(x, b' '))
    }

    fn allows_ascii(&self, x: u8, y: u8) -> bool {
        self.ascii_cuts[usize::from(x)] >> y & 1 != 0
    }

    /// Whether a text with `x` and `y` next to each other may be cut between them.
    fn is_cut(&self, x: char, y: char) -> bool {
        let has_prefix = self.splitter.has_prefix() || adds_prefix(&self.normalizers);
        self.raw.allows_cut(x, y, has_prefix)
            && self.normalized.allows_cut(x, y, has_prefix)
            && is_cut(&self.normalizers, &self.splitter, &self.chain, x, y)
    }

    /// The ends of the pretokens of `text` as it would be after normalization, without looking for
    /// added tokens.
    pub(super) fn pretoken_ends(&self, level: Level, text: &str) -> Vec<usize> {
        match &self.splitter {
            Splitter::Family(family) => with_scheme!(*family, P => ends::<P>(level, text)),
            Splitter::Chain(chain) => chain.split(text, &mut Scratch::default()).ends.to_vec(),
            Splitter::Words { joins, .. } => {
                let mut ends = Vec::new();
                joins.ends(text, None, &mut ends);
                ends
            }
        }
    }

    /// [`Tokenizer::encode_into`](crate::Tokenizer::encode_into)
    pub(super) fn encode(
        &self,
        encoder: &mut Encoder,
        text: &str,
        special: Special,
        begins: bool,
        ids: &mut Vec<TokenId>,
    ) -> std::result::Result<(), SpecialFound> {
        self.raw.split(text, special, |piece| {
            let (gap, at) = match piece {
                Piece::Token(id) => {
                    ids.push(id);
                    return Ok(());
                }
                Piece::Text(gap, at) => (gap, at),
            };
            let gap_begins = begins || at > 0;
            let gap = normalize(&self.normalizers, gap, gap_begins);
            let found = self.normalized.split(&gap, special, |piece| {
                match piece {
                    Piece::Token(id) => ids.push(id),
                    Piece::Text(text, within) => {
                        let begins_document = begins && at == 0 && within == 0;
                        let begins_gap = gap_begins || within > 0;
                        self.encode_gap(encoder, text, begins_gap, begins_document, ids);
                    }
                }
                Ok(())
            });
            found.map_err(|found| SpecialFound {
                offset: at,
                ..found
            })
        })
    }

    /// Appends the ids of a text without added tokens.
    fn encode_gap(
        &self,
        encoder: &mut Encoder,
        text: &str,
        begins_gap: bool,
        begins_document: bool,
        ids: &mut Vec<TokenId>,
    ) {
        match &self.splitter {
            Splitter::Family(family) => {
                with_scheme!(*family, P => encoder.bpe.encode::<P>(text, ids));
            }
            Splitter::Chain(chain) => {
                let pieces = chain.split(text, &mut encoder.pieces);
                encoder.bpe.encode_split(pieces.text, pieces.ends, ids);
            }
            Splitter::Words { metaspace, joins } => {
                let text = metaspace.map_or(Cow::Borrowed(text), |metaspace| {
                    mark_words(metaspace, text, begins_gap, begins_document)
                });
                encoder.ends.clear();
                let splits_at = metaspace.filter(|metaspace| metaspace.split);
                let splits_at = splits_at.map(|metaspace| metaspace.replacement);
                joins.ends(&text, splits_at, &mut encoder.ends);
                encoder.bpe.encode_split(&text, &encoder.ends, ids);
            }
        }
    }
}

/// `text` with each space a word marker, and one before it if the scheme says so.
fn mark_words(
    metaspace: Metaspace,
    text: &str,
    begins_gap: bool,
    begins_document: bool,
) -> Cow<'_, str> {
    let marker = metaspace.replacement;
    let is_first = match metaspace.prepend {
        PrefixScheme::Always => begins_gap,
        PrefixScheme::First => begins_document,
        PrefixScheme::Never => false,
    };
    let has_prefix = is_first && !text.starts_with([' ', marker]);
    let mut utf8 = [0; 4];
    let marked = replace(text, " ", marker.encode_utf8(&mut utf8));
    match (marked, has_prefix) {
        (marked, true) => {
            let rest = marked.as_deref().unwrap_or(text);
            Cow::Owned(format!("{marker}{rest}"))
        }
        (Some(marked), false) => Cow::Owned(marked),
        (None, false) => Cow::Borrowed(text),
    }
}

impl Splitter {
    fn new(definition: &Definition, chain: &Chain) -> Result<Self> {
        let metaspace = definition.metaspace;
        if let Some(family) = recognize(&definition.stages)
            && metaspace.is_none()
        {
            return Ok(Self::Family(family));
        }
        if !definition.stages.is_empty() {
            if metaspace.is_some() {
                return Err(unsupported(
                    "pre_tokenizer: Metaspace after another one is not supported",
                ));
            }
            return Ok(Self::Chain(chain.clone()));
        }
        let marker = metaspace.map_or('▁', |metaspace| metaspace.replacement);
        match Joins::new(&definition.model, marker) {
            Some(_) if first_may_move(definition) => Err(unsupported(
                "pre_tokenizer.prepend_scheme \"first\" after a normalizer that removes or joins \
                 characters is not supported",
            )),
            Some(joins) => Ok(Self::Words { metaspace, joins }),
            None if metaspace.is_none() => Ok(Self::Chain(chain.clone())),
            None => Err(unsupported(
                "pre_tokenizer: Metaspace with a byte-level model is not supported",
            )),
        }
    }

    /// Whether something is added at the beginning of a text.
    fn has_prefix(&self) -> bool {
        match self {
            Self::Family(_) => false,
            Self::Chain(_) => true,
            Self::Words { metaspace, .. } => {
                metaspace.is_some_and(|metaspace| metaspace.prepend == PrefixScheme::Always)
            }
        }
    }
}

/// Whether a word marker belongs before the first piece only if normalization left its place in the
/// text alone, and it may not: HF tokenizers look at the place before normalization.
fn first_may_move(definition: &Definition) -> bool {
    let is_first = definition
        .metaspace
        .is_some_and(|metaspace| metaspace.prepend == PrefixScheme::First);
    let moves = |step: &Normalizer| match step {
        Normalizer::Nfc | Normalizer::Prepend(_) => false,
        Normalizer::Strip { .. } => true,
        Normalizer::Replace { from, to } => from.len() != 1 || single(to).is_none(),
    };
    is_first && definition.normalizers.iter().any(moves)
}

fn adds_prefix(normalizers: &[Normalizer]) -> bool {
    let is_prefix = |step: &Normalizer| matches!(step, Normalizer::Prepend(_));
    normalizers.iter().any(is_prefix)
}

/// Whether a text without added tokens may be cut between `x` and `y`.
fn is_cut(
    normalizers: &[Normalizer],
    splitter: &Splitter,
    chain: &Chain,
    x: char,
    y: char,
) -> bool {
    let (mut x, mut y) = (x, y);
    for step in normalizers {
        let is_apart = match step {
            Normalizer::Nfc => is_nfc_border(y),
            Normalizer::Prepend(_) => true,
            // It strips at every cut.
            Normalizer::Strip { .. } => false,
            Normalizer::Replace { from, to } => {
                // Only one character by one is known to be independent of what is beside it.
                match (single(from), single(to)) {
                    (Some(from), Some(to)) => {
                        let replaced = |char| if char == from { to } else { char };
                        (x, y) = (replaced(x), replaced(y));
                        true
                    }
                    _ => false,
                }
            }
        };
        if !is_apart {
            return false;
        }
    }
    match splitter {
        Splitter::Family(_) | Splitter::Chain(_) => chain.is_cut(x, y),
        Splitter::Words { metaspace, joins } => {
            let marker = metaspace.map(|metaspace| metaspace.replacement);
            let marked = |char| {
                if char == ' ' {
                    marker.unwrap_or(' ')
                } else {
                    char
                }
            };
            !joins.may_join(marked(x), marked(y))
        }
    }
}

fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let char = chars.next();
    char.filter(|_| chars.next().is_none())
}

impl TokenizerInfo {
    fn of(definition: &Definition, file_hash: Hash128) -> Self {
        let has_nfc = definition.normalizers.contains(&Normalizer::Nfc);
        let normalization = match (has_nfc, definition.normalizers.len()) {
            (_, 0) => "none",
            (true, 1) => "NFC of Unicode 9.0",
            (true, _) => "NFC of Unicode 9.0, and others",
            (false, _) => "replacements",
        };
        let rules = match definition.kind {
            definition::Kind::TokenizerJson | definition::Kind::VocabMerges => "HF tokenizers 0.23",
            definition::Kind::Tiktoken => "tiktoken",
            definition::Kind::Tekken => "mistral-common",
            definition::Kind::SentencePiece => "SentencePiece",
        };
        Self {
            kind: definition.kind.name().to_owned(),
            file_hash,
            rules_hash: rules_hash(definition),
            rules: rules.to_owned(),
            normalization: normalization.to_owned(),
        }
    }
}

/// The hash of everything that decides about ids.
fn rules_hash(definition: &Definition) -> Hash128 {
    let Definition {
        normalizers,
        stages,
        metaspace,
        model,
        added,
        ..
    } = definition;
    let (alphabet, unknown) = (&model.alphabet, &model.unknown);
    let mut bytes = format!(
        "{normalizers:?} {stages:?} {metaspace:?} {added:?} {alphabet:?} {unknown:?} {}",
        model.whole_tokens
    )
    .into_bytes();
    for (id, token, usage) in model.tokens.iter() {
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&(token.len() as u64).to_le_bytes());
        bytes.push(usage as u8);
        bytes.extend_from_slice(token);
    }
    if let definition::Merges::List(list) = &model.merges {
        for merge in list {
            for part in [merge.left, merge.right, merge.merged, merge.rank] {
                bytes.extend_from_slice(&part.to_le_bytes());
            }
        }
    }
    let mut hasher = Hasher128::new();
    hasher.update(&bytes);
    hasher.finish()
}

/// The bytes of tokens, by id.
#[derive(Debug, Default)]
struct Decoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Decoded {
    /// Added tokens stand for their text; others for their bytes, with word markers as spaces.
    fn of(definition: &Definition) -> Self {
        let marker = match definition.decoding {
            Decoding::Words { marker, .. } | Decoding::Metaspace { marker, .. } => Some(marker),
            Decoding::Bytes | Decoding::Other => None,
        };
        let added: HashMap<TokenId, &str> = definition
            .added
            .iter()
            .map(|token| (token.id, token.content.as_str()))
            .collect();
        let tokens = &definition.model.tokens;
        let limit = added
            .keys()
            .map(|id| id + 1)
            .max()
            .unwrap_or(0)
            .max(tokens.limit());
        let mut decoded = Self::default();
        for id in 0..limit {
            let bytes = tokens.bytes(id);
            if let Some(content) = added.get(&id) {
                decoded.bytes.extend_from_slice(content.as_bytes());
            } else if let Some(marker) = marker
                && tokens.usage(id) == Use::Text
                && let Ok(text) = std::str::from_utf8(bytes)
            {
                decoded.bytes.extend(text.replace(marker, " ").bytes());
            } else {
                decoded.bytes.extend_from_slice(bytes);
            }
            decoded.ends.push(decoded.bytes.len());
        }
        decoded
    }

    fn get(&self, id: TokenId) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else {
            return &[];
        };
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..end]
    }
}

/// The character that ends at `at`, if the bytes there are UTF-8.
fn char_before(bytes: &[u8], at: usize) -> Option<char> {
    let lengths = 1..=at.min(4);
    let texts = lengths.map(|len| std::str::from_utf8(&bytes[at - len..at]));
    let mut found = texts.filter_map(|text| single(text.ok()?));
    found.next()
}

/// The character that begins at `at`, if the bytes there are UTF-8.
fn char_at(bytes: &[u8], at: usize) -> Option<char> {
    let lengths = 1..=(bytes.len() - at).min(4);
    let texts = lengths.map(|len| std::str::from_utf8(&bytes[at..at + len]));
    let mut found = texts.filter_map(|text| single(text.ok()?));
    found.next()
}
