//! How the text of a tokenizer's file is split into pretokens.

use std::borrow::Cow;

use shardmill_core::simd::Level;
use shardmill_core::token::TokenId;

use crate::definition::{Metaspace, PrefixScheme};
use crate::error::Result;
use crate::pretoken::{Chain, Family, Scratch, ends, recognize, with_scheme};
use crate::tokenizer::compiled::Head;
use crate::tokenizer::encoders::Parts;
use crate::tokenizer::joins::Joins;
use crate::tokenizer::normalize::replace;
use crate::tokenizer::refusal::unsupported;

/// How text is split.
#[derive(Debug)]
pub(super) enum Splitter {
    /// By masks. The automata say where a text may be cut.
    Family(Family, Chain),
    /// By automata.
    Chain(Chain),
    /// Not at all but where no merge can cross.
    Words {
        marking: Option<Marking>,
        joins: Joins,
    },
}

/// Spaces and word markers become one of both before text is merged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marking {
    metaspace: Metaspace,
    from: char,
    to: char,
}

impl Marking {
    /// Spaces take the place of markers if they can.
    fn of(metaspace: Metaspace, marker: Option<char>) -> Self {
        let (from, to) = match marker {
            Some(marker) => (marker, ' '),
            None => (' ', metaspace.replacement),
        };
        Self {
            metaspace,
            from,
            to,
        }
    }
}

impl Splitter {
    /// `joins` says where text is cut that no pattern splits.
    pub(super) fn new(head: &Head, joins: Option<Joins>) -> Result<Self> {
        let marking = head
            .metaspace
            .map(|metaspace| Marking::of(metaspace, head.marker));
        if let Some(joins) = joins {
            return Ok(Self::Words { marking, joins });
        }
        if marking.is_some() {
            return Err(unsupported(if head.stages.is_empty() {
                "pre_tokenizer: Metaspace with a byte-level model is not supported"
            } else {
                "pre_tokenizer: Metaspace after another one is not supported"
            }));
        }
        let chain = Chain::new(&head.stages).map_err(|error| unsupported(error.to_string()))?;
        Ok(match recognize(&head.stages) {
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
            Self::Words { marking, .. } => {
                marking.is_some_and(|marking| marking.metaspace.prepend == PrefixScheme::Always)
            }
        }
    }

    /// Whether a text may be cut between `x` and `y`, where they are next to each other.
    pub(super) fn is_cut(&self, x: char, y: char) -> bool {
        match self {
            Self::Family(_, chain) | Self::Chain(chain) => chain.is_cut(x, y),
            Self::Words { marking, joins } => {
                let marked = |char| match marking {
                    Some(marking) if char == marking.from => marking.to,
                    _ => char,
                };
                !joins.may_join(marked(x), marked(y))
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

    /// Whether each of these characters alone is in a pretoken.
    pub(super) fn keeps(&self, mut chars: impl Iterator<Item = char>) -> bool {
        let Self::Chain(chain) = self else {
            return true;
        };
        let mut scratch = Scratch::default();
        chars.all(|char| {
            let mut utf8 = [0; 4];
            let text: &str = char.encode_utf8(&mut utf8);
            chain.split(text, &mut scratch).text.len() >= text.len()
        })
    }

    /// Adds the ids of a text that has no added tokens. `begins_gap` says whether it begins the
    /// document or follows an added token, `begins_document` whether it begins the document.
    pub(super) fn add(
        &self,
        parts: &mut Parts,
        text: &str,
        begins_gap: bool,
        begins_document: bool,
        ids: &mut Vec<TokenId>,
    ) {
        let Parts { bpe, pieces, ends } = parts;
        match self {
            Self::Family(family, _) => {
                with_scheme!(*family, P => bpe.add::<P>(text, ids));
            }
            Self::Chain(chain) => {
                let pieces = chain.split(text, pieces);
                bpe.add_split(pieces.text, pieces.ends, ids);
            }
            Self::Words { marking, joins } => {
                ends.clear();
                let words = marking.map_or(Cow::Borrowed(text), |marking| {
                    mark_words(marking, text, begins_gap, begins_document)
                });
                joins.ends(&words, ends);
                bpe.add_split(&words, ends, ids);
            }
        }
    }
}

/// `text` with all spaces and word markers alike, and one before it if the scheme says so.
fn mark_words(
    marking: Marking,
    text: &str,
    begins_gap: bool,
    begins_document: bool,
) -> Cow<'_, str> {
    let Marking {
        metaspace,
        from,
        to,
    } = marking;
    let is_first = match metaspace.prepend {
        PrefixScheme::Always => begins_gap,
        PrefixScheme::First => begins_document,
        PrefixScheme::Never => false,
    };
    let has_prefix = is_first && !text.starts_with([from, to]);
    let (mut from_utf8, mut to_utf8) = ([0; 4], [0; 4]);
    let marked = replace(
        text,
        from.encode_utf8(&mut from_utf8),
        to.encode_utf8(&mut to_utf8),
    );
    match (marked, has_prefix) {
        (marked, true) => {
            let rest = marked.as_deref().unwrap_or(text);
            Cow::Owned(format!("{to}{rest}"))
        }
        (Some(marked), false) => Cow::Owned(marked),
        (None, false) => Cow::Borrowed(text),
    }
}
