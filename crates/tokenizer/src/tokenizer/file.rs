//! Tokenizers from files: what happens to a text before it is merged.

use shardmill_core::simd::Level;
use shardmill_core::token::TokenId;

use crate::definition::{AddedToken, Normalizer};
use crate::error::{Result, SpecialFound};
use crate::pretoken::{scalar_at, scalar_before};
use crate::tokenizer::Special;
use crate::tokenizer::added::{AddedTokens, Piece};
use crate::tokenizer::compiled::Head;
use crate::tokenizer::decoded::Decoded;
use crate::tokenizer::encoders::Parts;
use crate::tokenizer::info::TokenizerInfo;
use crate::tokenizer::joins::Joins;
use crate::tokenizer::normalize::{across_cut, adds_prefix, normalize};
use crate::tokenizer::refusal::unsupported;
use crate::tokenizer::splitter::Splitter;

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
    /// Bit `y` of entry `x`: whether a text may be cut between these ASCII characters.
    ascii_cuts: Box<[u128; 128]>,
    /// By id: what each token stands for.
    decoded: Decoded,
    /// By content: ids.
    added: Vec<(String, TokenId)>,
    /// [`Tokenizer::leading_spaces`](crate::Tokenizer::leading_spaces)
    leading_spaces: u32,
    /// Tokens that may end a document.
    candidates: Vec<(String, TokenId)>,
    notes: Vec<String>,
}

/// The text of an added token that is found in normalized text as it is, with spaces in place of
/// the word marker; empty if no such text has it.
fn as_normalized(content: &str, marker: Option<char>) -> String {
    match marker {
        Some(_) if content.contains(' ') => String::new(),
        Some(marker) => content.replace(marker, " "),
        None => content.to_owned(),
    }
}

/// Refuses an added token that normalization leaves empty: HF tokenizers finds it between any two
/// characters.
fn check_none_vanishes(added: &[AddedToken], normalizers: &[Normalizer]) -> Result<()> {
    let vanishes = |token: &&AddedToken| {
        let has_text = token.normalized && !token.content.is_empty();
        has_text && normalize(normalizers, &token.content, true).is_empty()
    };
    match added.iter().find(vanishes) {
        None => Ok(()),
        Some(token) => Err(unsupported(format!(
            "added_tokens: {:?}, of which normalization leaves nothing, is not supported",
            token.content
        ))),
    }
}

impl File {
    /// `notes` are for people.
    pub(super) fn new(
        head: Head,
        decoded: Decoded,
        joins: Option<Joins>,
        notes: Vec<String>,
    ) -> Result<Self> {
        let splitter = Splitter::new(&head, joins)?;
        let mut normalizers = head.normalizers;
        // Without a metaspace, the last step makes the markers.
        let marker = head.marker.filter(|_| head.metaspace.is_none());
        if let (Some(marker), Some(last)) = (marker, normalizers.last_mut()) {
            *last = Normalizer::Replace {
                from: marker.to_string(),
                to: " ".to_owned(),
            };
        }
        if !head.added_in_normalized {
            check_none_vanishes(&head.added, &normalizers)?;
        }
        let raw = AddedTokens::new(&head.added, |token| !token.normalized, str::to_owned)?;
        let normalized = AddedTokens::new(
            &head.added,
            |token| token.normalized,
            |content| {
                if head.added_in_normalized {
                    as_normalized(content, marker)
                } else {
                    normalize(&normalizers, content, true).into_owned()
                }
            },
        )?;
        let added = head
            .added
            .into_iter()
            .map(|token| (token.content, token.id));
        let mut file = Self {
            info: head.info,
            raw,
            normalizers,
            normalized,
            splitter,
            ascii_cuts: Box::new([0; 128]),
            decoded,
            added: added.collect(),
            leading_spaces: head.leading_spaces,
            candidates: head.candidates,
            notes,
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

    /// Whether each of these characters alone is in a pretoken.
    pub(super) fn keeps(&self, chars: impl Iterator<Item = char>) -> bool {
        self.splitter.keeps(chars)
    }

    /// What splits text.
    pub(super) fn splitter_name(&self) -> &'static str {
        self.splitter.name()
    }

    pub(super) fn added_tokens(&self) -> impl Iterator<Item = (&str, TokenId)> {
        self.added.iter().map(|(name, id)| (name.as_str(), *id))
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(super) fn leading_spaces(&self) -> u32 {
        self.leading_spaces
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
            let chars = scalar_before(bytes, at).zip(scalar_at(bytes, at));
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
        let Some((x_then, y_then)) = across_cut(&self.normalizers, x, y) else {
            return false;
        };
        self.raw.allows_cut(x, y, has_prefix)
            && self.normalized.allows_cut(x_then, y_then, has_prefix)
            && self.splitter.is_cut(x_then, y_then)
    }

    /// The ends of the pretokens of `text` as it would be after normalization, without looking for
    /// added tokens.
    pub(super) fn pretoken_ends(&self, level: Level, text: &str) -> Vec<usize> {
        self.splitter.ends(level, text)
    }

    /// [`Encoder::add`](crate::Encoder::add)
    pub(super) fn add(
        &self,
        parts: &mut Parts,
        text: &str,
        special: Special,
        begins: bool,
        ids: &mut Vec<TokenId>,
    ) -> std::result::Result<(), SpecialFound> {
        self.raw.split(text, special, |piece| {
            let (gap, at) = match piece {
                Piece::Token(id) => {
                    parts.bpe.add_id(id, ids);
                    return Ok(());
                }
                Piece::Text(gap, at) => (gap, at),
            };
            let begins = Begins {
                gap: begins || at > 0,
                document: begins && at == 0,
            };
            let gap = normalize(&self.normalizers, gap, begins.gap);
            self.add_gap(parts, &gap, special, begins, ids)
                .map_err(|found| SpecialFound {
                    offset: at,
                    ..found
                })
        })
    }

    /// Adds the ids of a normalized text between added tokens that are not normalized.
    fn add_gap(
        &self,
        parts: &mut Parts,
        text: &str,
        special: Special,
        begins: Begins,
        ids: &mut Vec<TokenId>,
    ) -> std::result::Result<(), SpecialFound> {
        self.normalized.split(text, special, |piece| {
            match piece {
                Piece::Token(id) => parts.bpe.add_id(id, ids),
                Piece::Text(piece, at) => {
                    let begins_gap = begins.gap || at > 0;
                    let begins_document = begins.document && at == 0;
                    (self.splitter).add(parts, piece, begins_gap, begins_document, ids);
                }
            }
            Ok(())
        })
    }
}

/// What a text between added tokens begins.
#[derive(Clone, Copy)]
struct Begins {
    /// Whether the document begins with it, or an added token is before it.
    gap: bool,
    document: bool,
}
