//! tokenizer.json of Hugging Face tokenizers: versions 1.0 and 2.0.
//!
//! What an oracle says is the rule: tokenizers 0.23 for 1.0, tokenizers 1.0 for 2.0.
//!
//! ```text
//! mod            the file as a whole
//! model          vocabulary, merges and flags of a BPE model, as they are in the file
//! merges         the merges of a model
//! build          a model's parts -> what they mean
//! added          added tokens, and the ids that they get
//! normalizer     normalizers
//! pre_tokenizer  pre-tokenizers
//! processor      post-processors and decoders
//! ```

mod added;
mod build;
mod merges;
mod model;
mod normalizer;
mod pre_tokenizer;
mod processor;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::definition::node::{Node, wrong};
use crate::definition::refusal::quoted;
use crate::definition::{
    Definition, Kind, Metaspace, Normalizer, Refusal, Source, TokenizerFormat,
};
use crate::pretoken::{Behavior, Stage};

pub(super) use build::{byte_token, model};
pub(super) use merges::PairReader;
pub(super) use model::{RawModel, VocabSeed};

pub(super) const FORMAT: TokenizerFormat = TokenizerFormat {
    kind: Kind::TokenizerJson,
    name: "tokenizer.json",
    library: "HF tokenizers 0.23",
    takes_pattern: false,
    looks,
    parse,
};

/// Which library's rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// Files of tokenizers before 1.0.
    One,
    Two,
}

/// Whether this is an object with a key that only tokenizer.json has.
fn looks(bytes: &[u8]) -> bool {
    first_key(bytes, |key| OWN_KEYS.contains(&key))
}

/// The keys that only tokenizer.json has.
const OWN_KEYS: [&str; 5] = [
    "added_tokens",
    "model",
    "normalizer",
    "post_processor",
    "pre_tokenizer",
];

/// Whether the bytes begin as an object that has a key for which `is_it` holds. Reads no further.
pub(super) fn first_key(bytes: &[u8], is_it: fn(&str) -> bool) -> bool {
    struct Keys<'f>(fn(&str) -> bool, &'f mut bool);
    impl<'de> Visitor<'de> for Keys<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                if (self.0)(&key) {
                    *self.1 = true;
                    return Err(A::Error::custom("found"));
                }
                map.next_value::<IgnoredAny>()?;
            }
            Ok(())
        }
    }
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return false;
    }
    let mut found = false;
    // How the reading ends does not matter.
    let _ = serde_json::Deserializer::from_slice(bytes).deserialize_map(Keys(is_it, &mut found));
    found
}

/// The parts of a file.
#[derive(Debug, Default)]
struct Parts<'a> {
    version: Option<&'a RawValue>,
    truncation: Option<&'a RawValue>,
    padding: Option<&'a RawValue>,
    added_tokens: Option<&'a RawValue>,
    normalizer: Option<&'a RawValue>,
    pre_tokenizer: Option<&'a RawValue>,
    post_processor: Option<&'a RawValue>,
    decoder: Option<&'a RawValue>,
    /// BOS and EOS by role, in some files of version 2.0: no effect on ids.
    role_to_token: Option<&'a RawValue>,
    model: Option<RawModel<'a>>,
}

/// Reads the parts, and keeps what is wrong with one.
struct TopLevel<'f> {
    file_bytes: usize,
    refusal: &'f mut Option<Refusal>,
}

impl<'de> Visitor<'de> for TopLevel<'_> {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts<'de>, A::Error> {
        let mut parts = Parts::default();
        let mut refuse = |refusal| {
            *self.refusal = Some(refusal);
            A::Error::custom("")
        };
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let part = match &*key {
                "version" => &mut parts.version,
                "truncation" => &mut parts.truncation,
                "padding" => &mut parts.padding,
                "added_tokens" => &mut parts.added_tokens,
                "normalizer" => &mut parts.normalizer,
                "pre_tokenizer" => &mut parts.pre_tokenizer,
                "post_processor" => &mut parts.post_processor,
                "decoder" => &mut parts.decoder,
                "role_to_token" => &mut parts.role_to_token,
                "model" if parts.model.is_none() => {
                    let mut refusal = None;
                    let seed = model::ModelSeed::new(self.file_bytes, &mut refusal);
                    let model = map.next_value_seed(seed);
                    if let Some(refusal) = refusal {
                        return Err(refuse(refusal));
                    }
                    parts.model = Some(model?);
                    continue;
                }
                "model" => return Err(refuse(Refusal::damaged_at("model", "is there twice"))),
                _ => return Err(refuse(Refusal::unsupported(key, "is not known"))),
            };
            if part.replace(map.next_value()?).is_some() {
                return Err(refuse(Refusal::damaged_at(key, "is there twice")));
            }
        }
        Ok(parts)
    }
}

fn parse(source: &Source<'_>) -> Result<Definition, Refusal> {
    let text = text(source.bytes)?;
    let mut refusal = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let visitor = TopLevel {
        file_bytes: text.len(),
        refusal: &mut refusal,
    };
    let parts = deserializer.deserialize_map(visitor);
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let parts = parts
        .and_then(|parts| deserializer.end().map(|()| parts))
        .map_err(|error| Refusal::json(&error))?;
    definition(parts)
}

/// The bytes as a text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    simdutf8::compat::from_utf8(bytes)
        .map_err(|error| Refusal::byte(error.valid_up_to(), "is not UTF-8"))
}

fn definition(parts: Parts<'_>) -> Result<Definition, Refusal> {
    let version = version(parts.version)?;
    if parts.role_to_token.is_some() && version == Version::One {
        return Err(Refusal::unsupported("role_to_token", "is not known"));
    }
    let mut notes = Vec::new();
    // The model comes first: a model of another type has its own kinds of other parts.
    let Some(model) = parts.model else {
        return Err(Refusal::damaged_at("model", "is missing"));
    };
    model.check_type()?;
    let (mut normalizers, marker) =
        normalizer::parse(node(parts.normalizer, "normalizer")?, version)?;
    let mut pre = pre_tokenizer::parse(node(parts.pre_tokenizer, "pre_tokenizer")?, version)?;
    if version == Version::Two {
        pre.is_byte_level = model.byte_level()?;
        if let Some(marker) = marker {
            pre.metaspace = Some(metaspace_of_two(marker, &mut pre.stages)?);
        }
        check_two(&normalizers, &pre)?;
    } else {
        model.has_no_byte_level()?;
    }
    normalizers.retain(|normalizer| *normalizer != Normalizer::Prepend(String::new()));
    let post = processor::post_processor(node(parts.post_processor, "post_processor")?, version)?;
    let decoder = node(parts.decoder, "decoder")?;
    let decoding = processor::decoding(decoder, pre.is_byte_level, &mut notes);
    for (part, name) in [(parts.truncation, "truncation"), (parts.padding, "padding")] {
        if node(part, name)? != Node::Null {
            notes.push(format!("{name} is not applied"));
        }
    }
    let added = added::parse(parts.added_tokens, &model.vocab, version)?;
    let model = build::model(model, pre.is_byte_level)?;
    Ok(Definition {
        kind: Kind::TokenizerJson,
        normalizers,
        stages: pre.stages,
        metaspace: pre.metaspace,
        model,
        added,
        added_in_normalized: false,
        decoding,
        bos: post.bos,
        eos: post.eos,
        notes,
    })
}

/// A part as a tree; a part that is not there is null.
fn node(part: Option<&RawValue>, path: &str) -> Result<Node, Refusal> {
    part.map_or(Ok(Node::Null), |part| Node::parse(part.get(), path))
}

fn version(part: Option<&RawValue>) -> Result<Version, Refusal> {
    match part.map(|part| Node::parse(part.get(), "version")) {
        // HF tokenizers takes it as 1.0.
        None => Ok(Version::One),
        Some(node) => match node? {
            Node::Text(text) if text == "1.0" => Ok(Version::One),
            Node::Text(text) if text == "2.0" => Ok(Version::Two),
            Node::Text(text) => Err(Refusal::unsupported(
                "version",
                format!("{} is not supported", quoted(&text)),
            )),
            other => Err(wrong("version", "a string", &other)),
        },
    }
}

/// In version 2.0, the word marker is a normalizer, and words are split by a literal.
fn metaspace_of_two(mut marker: Metaspace, stages: &mut Vec<Stage>) -> Result<Metaspace, Refusal> {
    match &stages[..] {
        [] => marker.split = false,
        [
            Stage::Literal {
                text,
                behavior: Behavior::MergedWithNext,
                invert: false,
            },
        ] if *text == marker.replacement.to_string() => {
            marker.split = true;
            stages.clear();
        }
        _ => {
            return Err(Refusal::unsupported(
                "pre_tokenizer",
                "after a MetaspaceNormalizer is not supported, unless it splits before the marker",
            ));
        }
    }
    Ok(marker)
}

/// What tokenizers 1.0 does otherwise than 0.23.
fn check_two(normalizers: &[Normalizer], pre: &pre_tokenizer::Pre) -> Result<(), Refusal> {
    if normalizers.contains(&Normalizer::Nfc) {
        let what = "\"NFC\" in a file of version 2.0 is not supported";
        return Err(Refusal::unsupported("normalizer.type", what)
            .hint("its Unicode version is newer; use the file of version 1.0"));
    }
    if pre.is_byte_level && pre.metaspace.is_some() {
        return Err(Refusal::unsupported(
            "model.byte_level",
            "with a MetaspaceNormalizer is not supported",
        ));
    }
    Ok(())
}
