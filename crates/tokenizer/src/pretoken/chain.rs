//! A list of [`Stage`]s, ready to split texts.
//!
//! Each stage splits every piece of the one before as a text of its own. Stages that remove or add
//! text rewrite it; the others only divide it. Where a text may be cut ([`Chain::is_cut`]) is
//! proved from the automata:
//!
//! 1. If a cut's sides are independent in a stage, the pieces of the parts are those of the whole,
//!    but that the last piece of the left part and the first of the right part may be one piece.
//! 2. If they are in all stages up to one that certainly divides the text there, the later stages
//!    see no difference.

use std::fmt;

use super::pattern::{Dfa, Pairs, Refusal, Sides};
use super::stage::{Behavior, Stage};
#[cfg(test)]
use super::utf8::{scalar_at, scalar_before};

#[cfg(test)]
mod tests;

/// Why a list of stages is not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChainError {
    /// The index of the stage.
    pub(crate) stage: usize,
    /// A sentence about its pattern.
    pub(crate) reason: String,
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, reason } = self;
        write!(f, "the pattern of stage {stage} is not supported: {reason}")
    }
}

impl std::error::Error for ChainError {}

#[derive(Clone, Debug)]
pub(crate) struct Chain {
    steps: Box<[Step]>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Pieces end where matches begin and end, and nowhere else.
    Isolate(Box<Dfa>),
    Split(Box<Dfa>, Behavior, /* inverted */ bool),
    PrefixSpace,
}

/// Memory that calls of [`Chain::split`] reuse.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    text: String,
    ends: Vec<usize>,
    /// What the next step makes of them.
    next_text: String,
    next_ends: Vec<usize>,
}

/// A text, rewritten if the stages say so, and where its pieces end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pieces<'s> {
    pub(crate) text: &'s str,
    /// In bytes; strictly increasing. The last is the length of the text, unless that is 0.
    pub(crate) ends: &'s [usize],
}

impl Chain {
    pub(crate) fn new(stages: &[Stage]) -> Result<Self, ChainError> {
        let steps = stages.iter().enumerate().map(|(stage, step)| {
            Step::new(step).map_err(|refusal| ChainError {
                stage,
                reason: refusal.to_string(),
            })
        });
        Ok(Self {
            steps: steps.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn split<'s>(&self, text: &'s str, scratch: &'s mut Scratch) -> Pieces<'s> {
        scratch.ends.clear();
        if !text.is_empty() {
            scratch.ends.push(text.len());
        }
        let mut is_rewritten = false;
        for step in &self.steps {
            let Scratch {
                text: rewritten,
                ends,
                next_text,
                next_ends,
            } = scratch;
            let text = if is_rewritten {
                rewritten.as_str()
            } else {
                text
            };
            next_text.clear();
            next_ends.clear();
            let rewrites = step.run(text, ends, next_text, next_ends);
            std::mem::swap(ends, next_ends);
            if rewrites {
                std::mem::swap(rewritten, next_text);
                is_rewritten = true;
            }
        }
        Pieces {
            text: if is_rewritten { &scratch.text } else { text },
            ends: &scratch.ends,
        }
    }

    /// Whether a text with `left` and `right` next to each other may be cut between them: the
    /// pieces of its parts, each split as a text of its own, are then the pieces of the whole.
    pub(crate) fn is_cut(&self, left: char, right: char) -> bool {
        for step in &self.steps {
            match step.divides(left, right) {
                Divides::No => return false,
                Divides::Perhaps => {}
                Divides::Yes => return true,
            }
        }
        false
    }

    #[cfg(test)]
    /// The first place at or after `from` where `bytes` may be cut, between two whole characters.
    pub(crate) fn next_cut(&self, bytes: &[u8], from: usize) -> Option<usize> {
        (from.max(1)..bytes.len()).find(|&at| {
            let chars = scalar_before(bytes, at).zip(scalar_at(bytes, at));
            chars.is_some_and(|(left, right)| self.is_cut(left, right))
        })
    }

    #[cfg(test)]
    /// Whether a text may be cut before any space that follows a printable ASCII character.
    pub(crate) fn allows_rule_a(&self) -> bool {
        ('!'..='~').all(|left| self.is_cut(left, ' '))
    }
}

/// Whether a step divides a text at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Divides {
    /// Not known, and what is on one side may matter on the other.
    No,
    /// Not known, but the sides are independent.
    Perhaps,
    Yes,
}

impl Step {
    fn new(stage: &Stage) -> Result<Self, Refusal> {
        let (dfa, behavior, invert) = match stage {
            Stage::Regex {
                pattern,
                syntax,
                behavior,
                invert,
            } => (Dfa::of_pattern(pattern, *syntax)?, *behavior, *invert),
            Stage::Literal {
                text,
                behavior,
                invert,
            } => (Dfa::of_literal(text)?, *behavior, *invert),
            Stage::Digits { individual: true } => (Dfa::of_digits()?, Behavior::Isolated, false),
            Stage::Digits { individual: false } => (Dfa::of_digits()?, Behavior::Contiguous, false),
            Stage::Punctuation { behavior } => (Dfa::of_punctuation()?, *behavior, false),
            Stage::PrefixSpace => return Ok(Self::PrefixSpace),
        };
        let dfa = Box::new(dfa);
        // To remove what is between matches means nothing if there is nothing.
        let removes_nothing = behavior == Behavior::Removed && invert && dfa.cuts.covers_all();
        Ok(if behavior == Behavior::Isolated || removes_nothing {
            Self::Isolate(dfa)
        } else {
            Self::Split(dfa, behavior, invert)
        })
    }

    /// Splits each piece. Returns whether the text was rewritten, as `next_text`.
    fn run(
        &self,
        text: &str,
        ends: &[usize],
        next_text: &mut String,
        next_ends: &mut Vec<usize>,
    ) -> bool {
        let mut start = 0;
        let pieces = ends.iter().map(|&end| {
            let piece = (start, &text[start..end]);
            start = end;
            piece
        });
        match self {
            Self::Isolate(dfa) => {
                pieces.for_each(|(start, piece)| dfa.ends(piece.as_bytes(), start, next_ends));
                false
            }
            Self::Split(dfa, Behavior::Removed, invert) => {
                for (_, piece) in pieces {
                    let mut start = 0;
                    dfa.pieces(piece.as_bytes(), |end, is_match| {
                        if is_match == *invert {
                            next_text.push_str(&piece[start..end]);
                            next_ends.push(next_text.len());
                        }
                        start = end;
                    });
                }
                true
            }
            Self::Split(dfa, behavior, invert) => {
                for (start, piece) in pieces {
                    let mut last = None;
                    dfa.pieces(piece.as_bytes(), |end, is_match| {
                        let is_match = is_match != *invert;
                        if let Some((end, last)) = last
                            && divides(*behavior, last, is_match)
                        {
                            next_ends.push(start + end);
                        }
                        last = Some((end, is_match));
                    });
                    next_ends.extend(last.map(|(end, _)| start + end));
                }
                false
            }
            Self::PrefixSpace => {
                for (_, piece) in pieces {
                    if !piece.starts_with(' ') {
                        next_text.push(' ');
                    }
                    next_text.push_str(piece);
                    next_ends.push(next_text.len());
                }
                true
            }
        }
    }

    fn divides(&self, left: char, right: char) -> Divides {
        let (dfa, behavior, invert) = match self {
            Self::Isolate(dfa) => (dfa, Behavior::Isolated, false),
            Self::Split(dfa, behavior, invert) => (dfa, *behavior, *invert),
            // The right part must not begin with a space that it does not have in the whole.
            Self::PrefixSpace if right == ' ' => return Divides::Perhaps,
            Self::PrefixSpace => return Divides::No,
        };
        let classes = &dfa.classes;
        let pairs = dfa
            .cuts
            .pairs(classes.of_char(left), classes.of_char(right));
        let Some(Pairs { left, right }) = pairs else {
            return Divides::No;
        };
        let kinds = |Sides { match_, gap }| [(true, match_), (false, gap)];
        let all = kinds(left)
            .into_iter()
            .flat_map(|left| kinds(right).map(|right| (left.0, right.0, left.1 && right.1)));
        let is_certain = all.filter(|(_, _, is_possible)| *is_possible).all(
            // What is between matches is one piece.
            |(left, right, _)| {
                (left || right) && divides(behavior, left != invert, right != invert)
            },
        );
        if is_certain {
            Divides::Yes
        } else {
            Divides::Perhaps
        }
    }
}

/// Whether two neighbors are two pieces, if these are matches or not.
fn divides(behavior: Behavior, left: bool, right: bool) -> bool {
    match behavior {
        Behavior::Isolated | Behavior::Removed => true,
        Behavior::Contiguous => left != right,
        Behavior::MergedWithPrevious => left || !right,
        Behavior::MergedWithNext => !left || right,
    }
}
