//! What a pattern says, independent of dialect: the output of the parser.

use std::collections::HashMap;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::Refusal;

/// More distinct sets than any real pattern has.
const MAX_SETS: usize = 1024;

/// A set of characters, by its index in [`Sets`].
pub(crate) type SetId = u32;

/// The distinct sets of characters of a pattern.
#[derive(Debug, Default)]
pub(crate) struct Sets {
    all: Vec<ClassUnicode>,
    ids: HashMap<u64, Vec<SetId>>,
}

impl Sets {
    pub(crate) fn intern(&mut self, set: ClassUnicode) -> Result<SetId, Refusal> {
        let same = self.ids.entry(digest(set.ranges())).or_default();
        if let Some(&id) = same.iter().find(|&&id| self.all[id as usize] == set) {
            return Ok(id);
        }
        if self.all.len() == MAX_SETS {
            return Err(Refusal::new(format!(
                "it has more than {MAX_SETS} distinct sets of characters"
            )));
        }
        let id = SetId::try_from(self.all.len()).unwrap_or(SetId::MAX);
        same.push(id);
        self.all.push(set);
        Ok(id)
    }

    pub(crate) fn get(&self, id: SetId) -> &ClassUnicode {
        &self.all[id as usize]
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &ClassUnicode> {
        self.all.iter()
    }

    pub(crate) fn complement(&mut self, id: SetId) -> Result<SetId, Refusal> {
        let mut set = self.get(id).clone();
        set.negate();
        self.intern(set)
    }

    fn union(&mut self, left: SetId, right: SetId) -> Result<SetId, Refusal> {
        let mut set = self.get(left).clone();
        set.union(self.get(right));
        self.intern(set)
    }
}

fn digest(ranges: &[ClassUnicodeRange]) -> u64 {
    let ends = ranges.iter().flat_map(|range| [range.start(), range.end()]);
    ends.fold(ranges.len() as u64, |digest, end| {
        (digest ^ u64::from(end)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Set(SetId),
    /// Matches the empty text if what follows is as it says.
    Ahead(Ahead),
    /// Like [`Node::Ahead`], if the node does not match what follows; at a byte of the pattern.
    NotAhead(Box<Self>, usize),
    Concat(Vec<Self>),
    Alternation(Vec<Self>),
    Repeat(Box<Repeat>),
}

/// That a character of the set follows or, if `end`, nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) set: SetId,
    pub(crate) end: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) node: Node,
    pub(crate) min: u32,
    pub(crate) max: Option<u32>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Greedy,
    Lazy,
    /// Of a single set. It ends early only before a character that is not in the set: this is
    /// the other set. So it has one way to match, as a possessive repetition has.
    Possessive(SetId),
}

impl Node {
    pub(crate) fn empty() -> Self {
        Self::Concat(Vec::new())
    }

    /// Whether it may match the empty text.
    pub(crate) fn is_nullable(&self) -> bool {
        match self {
            Self::Set(_) => false,
            Self::Ahead(_) | Self::NotAhead(..) => true,
            Self::Concat(nodes) => nodes.iter().all(Self::is_nullable),
            Self::Alternation(nodes) => nodes.iter().any(Self::is_nullable),
            Self::Repeat(repeat) => repeat.min == 0 || repeat.node.is_nullable(),
        }
    }

    /// The set of a node that matches one character.
    pub(crate) fn as_set(&self, sets: &mut Sets) -> Result<Option<SetId>, Refusal> {
        let Self::Alternation(nodes) = self else {
            return Ok(match self {
                Self::Set(set) => Some(*set),
                _ => None,
            });
        };
        let mut union = None;
        for node in nodes {
            let Some(set) = node.as_set(sets)? else {
                return Ok(None);
            };
            union = Some(match union {
                Some(union) => sets.union(union, set)?,
                None => set,
            });
        }
        Ok(union)
    }

    /// What must follow for this node to match there, if that depends on one character only.
    pub(crate) fn as_ahead(&self, sets: &mut Sets) -> Result<Option<Ahead>, Refusal> {
        match self {
            Self::Set(set) => Ok(Some(Ahead {
                set: *set,
                end: false,
            })),
            Self::Ahead(ahead) => Ok(Some(*ahead)),
            Self::Repeat(repeat) if repeat.min == 1 => repeat.node.as_ahead(sets),
            Self::Alternation(nodes) => {
                let mut union: Option<Ahead> = None;
                for node in nodes {
                    let Some(ahead) = node.as_ahead(sets)? else {
                        return Ok(None);
                    };
                    union = Some(match union {
                        Some(union) => Ahead {
                            set: sets.union(union.set, ahead.set)?,
                            end: union.end || ahead.end,
                        },
                        None => ahead,
                    });
                }
                Ok(union)
            }
            Self::NotAhead(..) | Self::Concat(_) | Self::Repeat(_) => Ok(None),
        }
    }

    /// Drops `(?!R)` after a greedy `R+` or `R*` at the very end of a match: a search that prefers
    /// more repetitions stops only where `R` does not match, so the lookahead always holds.
    pub(crate) fn drop_implied(&mut self) {
        match self {
            Self::Alternation(nodes) => nodes.iter_mut().for_each(Self::drop_implied),
            Self::Concat(nodes) => {
                if let [.., Self::Repeat(repeat), Self::NotAhead(node, _)] = nodes.as_slice()
                    && repeat.max.is_none()
                    && repeat.kind == Kind::Greedy
                    && repeat.node == **node
                {
                    nodes.pop();
                }
                if let Some(last) = nodes.last_mut() {
                    last.drop_implied();
                }
            }
            _ => {}
        }
    }
}
