//! How the text of a tokenizer's file is split into pretokens.

use std::borrow::Cow;
use std::ops::Range;

use crate::definition::{Alphabet, Definition, Metaspace, Normalizer, PrefixScheme};
use crate::error::Result;
use crate::pretoken::{Chain, Family, Scratch, Stage, ends, recognize, with_scheme};
use crate::simd::Level;
use crate::token::TokenId;
use crate::tokenizer::encoders::Encoder;
use crate::tokenizer::joins::Joins;
use crate::tokenizer::model::Texts;
use crate::tokenizer::normalize::{replace, single};
use crate::tokenizer::refusal::unsupported;

/// How text is split.
#[derive(Debug)]
pub(super) enum Splitter {
    /// By masks. The automata say where a text may be cut.
    Family(Family, Chain),
    /// By automata.
    Chain(Chain),
    /// Not at all but where no merge can cross. Spaces take the place of word markers.
    Words {
        metaspace: Option<Metaspace>,
        joins: Joins,
    },
}

impl Splitter {
    /// `texts` are those of the model's tokens.
    pub(super) fn new(definition: &Definition, texts: &Texts) -> Result<Self> {
        let metaspace = definition.metaspace;
        let stages = stages(definition);
        if stages.is_empty() {
            let splits = metaspace.is_some_and(|metaspace| metaspace.split);
            match Joins::new(&definition.model, &texts.all(), splits) {
                Some(_) if first_may_move(definition) => {
                    return Err(unsupported(
                        "pre_tokenizer.prepend_scheme \"first\" after a normalizer that removes or \
                         joins characters is not supported",
                    ));
                }
                Some(joins) => return Ok(Self::Words { metaspace, joins }),
                None => {}
            }
        }
        if metaspace.is_some() {
            return Err(unsupported(if stages.is_empty() {
                "pre_tokenizer: Metaspace with a byte-level model is not supported"
            } else {
                "pre_tokenizer: Metaspace after another one is not supported"
            }));
        }
        let chain = Chain::new(&stages).map_err(|error| unsupported(error.to_string()))?;
        Ok(match recognize(&stages) {
            Some(family) => Self::Family(family, chain),
            None => Self::Chain(chain),
        })
    }

    /// What splits text.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Family(family, _) => family.name(),
            Self::Chain(_) => "general",
            Self::Words { .. } => "words",
        }
    }

    /// Whether something may be added at the beginning of a text that is not the document's.
    pub(super) fn has_prefix(&self) -> bool {
        match self {
            Self::Family(..) => false,
            // One of its steps may be a prefix.
            Self::Chain(_) => true,
            Self::Words { metaspace, .. } => {
                metaspace.is_some_and(|metaspace| metaspace.prepend == PrefixScheme::Always)
            }
        }
    }

    /// Whether a text may be cut between `x` and `y`, where they are next to each other.
    pub(super) fn is_cut(&self, x: char, y: char) -> bool {
        match self {
            Self::Family(_, chain) | Self::Chain(chain) => chain.is_cut(x, y),
            Self::Words { metaspace, joins } => {
                let spaced = |char| match metaspace {
                    Some(metaspace) if char == metaspace.replacement => ' ',
                    _ => char,
                };
                !joins.may_join(spaced(x), spaced(y))
            }
        }
    }

    /// The ends of the pretokens of `text`.
    pub(super) fn ends(&self, level: Level, text: &str) -> Vec<usize> {
        match self {
            Self::Family(family, _) => with_scheme!(*family, P => ends::<P>(level, text)),
            Self::Chain(chain) => chain.split(text, &mut Scratch::default()).ends.to_vec(),
            Self::Words { joins, .. } => {
                let mut ends = Vec::new();
                joins.ends(text, &mut ends);
                ends
            }
        }
    }

    /// Adds the ids of a part of a text that has no added tokens. `begins_gap` says whether it
    /// begins the document or follows an added token, `begins_document` whether it begins the
    /// document.
    pub(super) fn add(
        &self,
        encoder: &mut Encoder,
        text: &str,
        part: Range<usize>,
        begins_gap: bool,
        begins_document: bool,
        ids: &mut Vec<TokenId>,
    ) {
        let Encoder { bpe, pieces, ends } = encoder;
        let base = part.start;
        match self {
            Self::Family(family, _) => {
                with_scheme!(*family, P => bpe.add::<P>(text, part, ids));
            }
            Self::Chain(chain) => {
                let pieces = chain.split(&text[part], pieces);
                // Steps may have changed the text.
                bpe.finish(text, ids);
                bpe.encode_split(pieces.text, pieces.ends, ids);
            }
            Self::Words { metaspace, joins } => {
                ends.clear();
                let words = metaspace.map_or(Cow::Borrowed(&text[part.clone()]), |metaspace| {
                    space_words(metaspace, &text[part], begins_gap, begins_document)
                });
                joins.ends(&words, ends);
                match words {
                    Cow::Borrowed(_) => bpe.add_split(text, base, ends, ids),
                    Cow::Owned(words) => {
                        bpe.finish(text, ids);
                        bpe.encode_split(&words, ends, ids);
                    }
                }
            }
        }
    }
}

/// The word marker of a tokenizer that does not split text by patterns, if spaces can take its
/// place: the last step before merging replaces all of them by it.
pub(super) fn word_marker(definition: &Definition) -> Option<char> {
    let is_words = stages(definition).is_empty()
        && matches!(definition.model.alphabet, Alphabet::Characters { .. });
    if !is_words {
        return None;
    }
    match (definition.metaspace, definition.normalizers.last()) {
        (Some(metaspace), _) => Some(metaspace.replacement),
        (None, Some(Normalizer::Replace { from, to })) if from == " " => single(to),
        _ => None,
    }
}

/// The steps that can have an effect: a text that normalization replaces everywhere is never found
/// after it. Gemma's files have such a step.
fn stages(definition: &Definition) -> Vec<Stage> {
    let is_gone = |found: &str| match definition.normalizers.last() {
        Some(Normalizer::Replace { from, to }) => from == found && !to.contains(found),
        _ => false,
    };
    let has_effect = |stage: &&Stage| match stage {
        Stage::Literal { text, invert, .. } => *invert || single(text).is_none() || !is_gone(text),
        _ => true,
    };
    definition
        .stages
        .iter()
        .filter(has_effect)
        .cloned()
        .collect()
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

/// `text` with each word marker a space, and one before it if the scheme says so.
fn space_words(
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
    let spaced = replace(text, marker.encode_utf8(&mut utf8), " ");
    match (spaced, has_prefix) {
        (spaced, true) => {
            let rest = spaced.as_deref().unwrap_or(text);
            Cow::Owned(format!(" {rest}"))
        }
        (Some(spaced), false) => Cow::Owned(spaced),
        (None, false) => Cow::Borrowed(text),
    }
}
