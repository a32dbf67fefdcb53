//! The merges of a model: pairs of texts of its vocabulary.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use shardmill_core::token::TokenId;

use crate::definition::Refusal;
use crate::definition::refusal::quoted;
use crate::definition::strings::{NOT_FOUND, Strings};
use crate::definition::tokens::{Merge, MergeList};

/// How many merges are looked up at once.
const BATCH: usize = 32;

/// Adds merges that are given by texts.
#[derive(Debug)]
pub(in crate::definition) struct PairReader<'v> {
    vocab: &'v Strings,
    merges: &'v mut MergeList,
    /// How many entries were read, with those that are no merges.
    entries: usize,
    rank: u32,
    /// Those that are not looked up yet: both texts, one after the other.
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
    /// Most merges make the token of the merge before, or the token after it.
    guess: TokenId,
    is_strings: Option<bool>,
}

/// A merge whose texts are not looked up yet.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    /// Where both texts begin, where the second one does, and where it ends.
    at: [usize; 3],
    entry: usize,
}

/// What is wrong with a merge, and which entry it is.
pub(in crate::definition) type Wrong = (usize, String);

impl<'v> PairReader<'v> {
    pub(in crate::definition) fn new(vocab: &'v Strings, merges: &'v mut MergeList) -> Self {
        Self {
            vocab,
            merges,
            entries: 0,
            rank: 0,
            bytes: Vec::new(),
            waiting: Vec::with_capacity(BATCH),
            guess: 0,
            is_strings: None,
        }
    }

    /// Adds an entry of the form `a b`; `#version` is no merge, wherever it is.
    pub(in crate::definition) fn line(&mut self, line: &str) -> Result<(), Wrong> {
        if line.starts_with("#version") {
            self.entries += 1;
            return Ok(());
        }
        let bytes = line.as_bytes();
        let mut spaces = memchr::memchr_iter(b' ', bytes);
        if let (Some(at), None) = (spaces.next(), spaces.next()) {
            self.pair(&bytes[..at], &bytes[at + 1..])
        } else {
            let what = "is not two tokens with one space between";
            Err((self.entries, format!("{} {what}", quoted(line))))
        }
    }

    fn pair(&mut self, left: &[u8], right: &[u8]) -> Result<(), Wrong> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(left);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(right);
        let end = self.bytes.len();
        self.waiting.push(Waiting {
            at: [start, middle, end],
            entry: self.entries,
        });
        self.entries += 1;
        if self.waiting.len() == BATCH {
            self.finish()?;
        }
        Ok(())
    }

    /// Adds the merges that wait.
    pub(in crate::definition) fn finish(&mut self) -> Result<(), Wrong> {
        let count = self.waiting.len();
        self.waiting.resize(BATCH, Waiting::default());
        let Some(waiting) = self.waiting.first_chunk::<BATCH>() else {
            return Ok(());
        };
        let lefts = waiting.map(|Waiting { at, .. }| (at[0], at[1]));
        let rights = waiting.map(|Waiting { at, .. }| (at[1], at[2]));
        let lefts = self.vocab.find_all(&self.bytes, &lefts);
        let rights = self.vocab.find_all(&self.bytes, &rights);
        for (i, &Waiting { at, entry }) in waiting[..count].iter().enumerate() {
            let (left, right) = (lefts[i], rights[i]);
            let joined = &self.bytes[at[0]..at[2]];
            let is = |id| self.vocab.get(id) == Some(joined);
            let merged = if is(self.guess) {
                self.guess
            } else if is(self.guess + 1) {
                self.guess + 1
            } else {
                self.vocab.find(joined).unwrap_or(NOT_FOUND)
            };
            for (id, text) in [
                (left, &self.bytes[at[0]..at[1]]),
                (right, &self.bytes[at[1]..at[2]]),
                (merged, joined),
            ] {
                if id == NOT_FOUND {
                    let text = quoted(&String::from_utf8_lossy(text));
                    return Err((entry, format!("{text} is not in the vocabulary")));
                }
            }
            self.guess = merged;
            let rank = self.rank;
            self.rank += 1;
            let merge = Merge {
                left,
                right,
                merged,
                rank,
            };
            let added = self.merges.push(merge);
            added.map_err(|refusal| (entry, refusal.what.into_owned()))?;
        }
        self.waiting.clear();
        self.bytes.clear();
        Ok(())
    }

    /// All entries of a list have one form.
    fn check_form(&mut self, is_string: bool) -> Result<(), Wrong> {
        if *self.is_strings.get_or_insert(is_string) == is_string {
            Ok(())
        } else {
            let what = "has another form than the entries before";
            Err((self.entries, what.to_owned()))
        }
    }
}

/// Reads a list of merges.
pub(super) struct MergesSeed<'v, 'f> {
    pub(super) reader: PairReader<'v>,
    pub(super) refusal: &'f mut Option<Refusal>,
}

impl<'de> DeserializeSeed<'de> for MergesSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for MergesSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of merges")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut refuse = |(entry, what): Wrong| {
            let path = format!("model.merges[{entry}]");
            keep(self.refusal, Refusal::damaged_at(path, what))
        };
        while let Some(added) = seq.next_element_seed(Entry(&mut self.reader))? {
            added.map_err(&mut refuse)?;
        }
        self.reader.finish().map_err(refuse)
    }
}

/// Reads one merge: `"a b"` or `["a", "b"]`.
struct Entry<'r, 'v>(&'r mut PairReader<'v>);

impl<'de> DeserializeSeed<'de> for Entry<'_, '_> {
    type Value = Result<(), Wrong>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_, '_> {
    type Value = Result<(), Wrong>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a merge, as \"a b\" or [\"a\", \"b\"]")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.check_form(true).and_then(|()| self.0.line(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        use std::borrow::Cow;
        let left = seq.next_element_seed(Borrowed)?;
        let right = seq.next_element_seed(Borrowed)?;
        let (Some(left), Some(right), None) = (left, right, seq.next_element_seed(Borrowed)?)
        else {
            return Ok(Err((self.0.entries, "is not two tokens".to_owned())));
        };
        let (left, right): (Cow<'_, str>, Cow<'_, str>) = (left, right);
        let (left, right) = (left.as_bytes(), right.as_bytes());
        Ok(self
            .0
            .check_form(false)
            .and_then(|()| self.0.pair(left, right)))
    }
}

/// A string, borrowed if it has no escapes: serde's own `Cow` always copies.
struct Borrowed;

impl<'de> DeserializeSeed<'de> for Borrowed {
    type Value = std::borrow::Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Borrowed {
    type Value = std::borrow::Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(text.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.to_owned().into())
    }
}

/// Keeps what is wrong, and ends the reading.
pub(super) fn keep<E: de::Error>(place: &mut Option<Refusal>, refusal: Refusal) -> E {
    *place = Some(refusal);
    E::custom("")
}
