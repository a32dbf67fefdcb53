//! Vocabulary, merges and flags of a BPE model, as they are in the file.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::merges::{MergesSeed, PairReader, keep};
use crate::definition::Refusal;
use crate::definition::node::{Node, wrong};
use crate::definition::refusal::quoted;
use crate::definition::strings::{Strings, Texts};
use crate::definition::tokens::MergeList;

/// The model of a file. What its parts mean is decided in `build`.
#[derive(Debug)]
pub(in crate::definition) struct RawModel<'a> {
    pub(in crate::definition) vocab: Strings,
    pub(in crate::definition) merges: MergeList,
    /// What is not the vocabulary or the merges.
    settings: Vec<(&'static str, &'a RawValue)>,
    has_merges: bool,
    /// A field that a BPE model does not have.
    unknown: Option<String>,
    /// Whether the vocabulary is a list, as in Unigram models; `None` without a vocabulary.
    is_list: Option<bool>,
}

/// The fields of a BPE model, but the vocabulary and the merges.
const SETTINGS: [&str; 9] = [
    "type",
    "dropout",
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
    "byte_level",
];

impl RawModel<'_> {
    /// A model with only a vocabulary and merges.
    pub(in crate::definition) fn plain(vocab: Strings, merges: MergeList) -> Self {
        Self {
            vocab,
            merges,
            settings: Vec::new(),
            has_merges: true,
            unknown: None,
            is_list: Some(false),
        }
    }

    fn setting(&self, name: &'static str) -> Result<Option<Node>, Refusal> {
        let found = self.settings.iter().find(|(key, _)| *key == name);
        found
            .map(|(_, json)| Node::parse(json.get(), &path(name)))
            .transpose()
    }

    /// Refuses models that are not BPE, and what is missing or unknown in one that is.
    pub(super) fn check_type(&self) -> Result<(), Refusal> {
        if let Some(node) = self.setting("type")? {
            check_type(&node)?;
        } else {
            let guess = match (&self.unknown, self.is_list) {
                _ if self.has_merges => "BPE",
                (_, Some(true)) => "Unigram",
                (Some(key), _) if key == "max_input_chars_per_word" => "WordPiece",
                _ => "WordLevel",
            };
            check_type(&Node::Text(guess.to_owned()))?;
        }
        if let Some(key) = &self.unknown {
            return Err(Refusal::unsupported(path(key), "is not known"));
        }
        if self.is_list.is_none() {
            return Err(Refusal::damaged_at("model.vocab", "is missing"));
        }
        if !self.has_merges {
            return Err(Refusal::damaged_at("model.merges", "is missing"));
        }
        Ok(())
    }

    /// A text, with "" and null the same as none.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.setting(name)? {
            None | Some(Node::Null) => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(&path(name), "a string", &other)),
        }
    }

    /// A flag; null is false.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Refusal> {
        match self.setting(name)? {
            None | Some(Node::Null) => Ok(false),
            Some(Node::Bool(value)) => Ok(value),
            Some(other) => Err(wrong(&path(name), "true or false", &other)),
        }
    }

    /// Refuses what changes merging at random, or texts beside the vocabulary's.
    pub(super) fn check_plain(&self) -> Result<(), Refusal> {
        match self.setting("dropout")? {
            None | Some(Node::Null | Node::Integer(0) | Node::Number(0.0)) => {}
            Some(node @ (Node::Integer(_) | Node::Number(_))) => {
                let what = format!("{} is not supported", node.shown());
                return Err(Refusal::unsupported("model.dropout", what)
                    .hint("it drops merges at random; set it to null"));
            }
            Some(other) => return Err(wrong("model.dropout", "a number", &other)),
        }
        for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let Some(text) = self.text(name)?.filter(|text| !text.is_empty()) {
                return Err(Refusal::unsupported(
                    path(name),
                    format!("{} is not supported", quoted(&text)),
                ));
            }
        }
        Ok(())
    }

    /// In version 2.0: whether the vocabulary is byte-level.
    pub(super) fn byte_level(&self) -> Result<bool, Refusal> {
        match self.setting("byte_level")? {
            Some(Node::Bool(value)) => Ok(value),
            Some(other) => Err(wrong("model.byte_level", "true or false", &other)),
            None => Err(Refusal::damaged_at("model.byte_level", "is missing")),
        }
    }

    /// In version 1.0 there is no such field.
    pub(super) fn has_no_byte_level(&self) -> Result<(), Refusal> {
        match self.setting("byte_level")? {
            None => Ok(()),
            Some(_) => Err(Refusal::unsupported("model.byte_level", "is not known")),
        }
    }
}

fn path(name: &str) -> String {
    format!("model.{name}")
}

fn check_type(node: &Node) -> Result<(), Refusal> {
    match node {
        Node::Text(kind) if kind == "BPE" => Ok(()),
        Node::Text(kind) => Err(Refusal::unsupported(
            "model.type",
            format!("{} is not supported", quoted(kind)),
        )),
        other => Err(wrong("model.type", "a string", other)),
    }
}

/// Reads a model. What is wrong with it is kept, because serde's errors have no place for it.
pub(super) struct ModelSeed<'f> {
    file_bytes: usize,
    refusal: &'f mut Option<Refusal>,
}

impl<'f> ModelSeed<'f> {
    pub(super) fn new(file_bytes: usize, refusal: &'f mut Option<Refusal>) -> Self {
        Self {
            file_bytes,
            refusal,
        }
    }
}

impl<'de> DeserializeSeed<'de> for ModelSeed<'_> {
    type Value = RawModel<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ModelSeed<'_> {
    type Value = RawModel<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object model")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut model = RawModel::plain(
            Texts::default().index().map_err(A::Error::custom)?,
            MergeList::default(),
        );
        model.has_merges = false;
        model.is_list = None;
        // Merges that come before the vocabulary.
        let mut early: Option<&RawValue> = None;
        let refusal = self.refusal;
        let twice = |key: &str| Refusal::damaged_at(path(key), "is there twice");
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if let Some(name) = SETTINGS.into_iter().find(|name| *name == key) {
                let value: &RawValue = map.next_value()?;
                let is_twice = model.settings.iter().any(|(other, _)| *other == name);
                let checked = match name {
                    _ if is_twice => Err(twice(name)),
                    // Before a vocabulary that cannot be read.
                    "type" => Node::parse(value.get(), "model.type").and_then(|n| check_type(&n)),
                    _ => Ok(()),
                };
                checked.map_err(|what| keep(refusal, what))?;
                model.settings.push((name, value));
                continue;
            }
            match &*key {
                "vocab" if model.is_list.is_some() => return Err(keep(refusal, twice(&key))),
                "merges" if model.has_merges => return Err(keep(refusal, twice(&key))),
                "vocab" => {
                    let bytes = self.file_bytes;
                    let mut vocab = Texts::with_capacity(bytes / 28, bytes / 4);
                    let is_list = map.next_value_seed(VocabSeed {
                        vocab: &mut vocab,
                        refusal,
                    })?;
                    let in_vocab = |what| Refusal::damaged_at("model.vocab", what);
                    model.vocab = vocab
                        .index()
                        .map_err(|what| keep(refusal, in_vocab(what)))?;
                    model.is_list = Some(is_list);
                }
                "merges" if model.is_list == Some(false) => {
                    model.has_merges = true;
                    let reader = PairReader::new(&model.vocab, &mut model.merges);
                    map.next_value_seed(MergesSeed { reader, refusal })?;
                }
                "merges" => {
                    model.has_merges = true;
                    early = Some(map.next_value()?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    // This one tells model types apart.
                    if model.unknown.is_none() || key == "max_input_chars_per_word" {
                        model.unknown = Some(key.into_owned());
                    }
                }
            }
        }
        if let (Some(early), Some(false)) = (early, model.is_list) {
            let reader = PairReader::new(&model.vocab, &mut model.merges);
            MergesSeed { reader, refusal }
                .deserialize(&mut serde_json::Deserializer::from_str(early.get()))
                .map_err(A::Error::custom)?;
        }
        Ok(model)
    }
}

/// Reads a vocabulary. Returns whether it is a list, which is not read.
pub(in crate::definition) struct VocabSeed<'v, 'f> {
    pub(in crate::definition) vocab: &'v mut Texts,
    pub(in crate::definition) refusal: &'f mut Option<Refusal>,
}

impl<'de> DeserializeSeed<'de> for VocabSeed<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for VocabSeed<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tokens and their ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while let Some(start) = map.next_key_seed(Key(self.vocab))? {
            let id: u64 = map.next_value()?;
            self.vocab
                .commit(start, id)
                .map_err(|what| keep(self.refusal, Refusal::damaged_at("model.vocab", what)))?;
        }
        Ok(false)
    }
}

/// Stores a key of a vocabulary, and returns where it begins.
struct Key<'v>(&'v mut Texts);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_str<E>(self, text: &str) -> Result<usize, E> {
        let bytes = self.0.end();
        let start = bytes.len();
        bytes.extend_from_slice(text.as_bytes());
        Ok(start)
    }
}
