//! vocab.json and merges.txt: byte-level BPE split as in GPT-2, as HF's `GPT2Tokenizer` reads them.

use serde::de::DeserializeSeed;

use crate::definition::patterns::GPT2;
use crate::definition::strings::{Strings, Texts};
use crate::definition::tokenizer_json::{PairReader, RawModel, VocabSeed, model, text};
use crate::definition::tokens::MergeList;
use crate::definition::{
    AddedToken, Cause, Decoding, Definition, Kind, Place, Refusal, Source, TokenizerFormat, Use,
};
use crate::pretoken::{Behavior, Stage, Syntax};

pub(super) const FORMAT: TokenizerFormat = TokenizerFormat {
    kind: Kind::VocabMerges,
    name: "vocab.json and merges.txt",
    library: "HF tokenizers 0.23",
    takes_pattern: false,
    looks,
    parse,
};

/// Whether this is an object whose first value is a number.
fn looks(bytes: &[u8]) -> bool {
    let Some(b'{') = bytes.trim_ascii_start().first() else {
        return false;
    };
    let mut values = serde_json::Deserializer::from_slice(bytes);
    let mut first = false;
    let _ = FirstValue(&mut first).deserialize(&mut values);
    first
}

/// Reads the first value of an object.
struct FirstValue<'f>(&'f mut bool);

impl<'de> DeserializeSeed<'de> for FirstValue<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> serde::de::Visitor<'de> for FirstValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if map.next_key::<serde::de::IgnoredAny>()?.is_some() {
            map.next_value::<u64>()?;
            *self.0 = true;
        }
        Ok(())
    }
}

fn parse(source: &Source<'_>) -> Result<Definition, Refusal> {
    let Some(lines) = source.merges else {
        return Err(Refusal::new(
            Cause::Incomplete,
            Place::File,
            "is a vocabulary only, and needs merges",
        )
        .hint("put merges.txt beside it"));
    };
    let vocab = vocabulary(source.bytes)?;
    let merges = merges(lines, &vocab)?;
    let model = model(RawModel::plain(vocab, merges), true)?;
    // The one token that GPT2Tokenizer knows without other files.
    let mut added = Vec::new();
    let end_of_text = model
        .tokens
        .iter()
        .find(|&(_, bytes, usage)| bytes == END_OF_TEXT.as_bytes() && usage != Use::None);
    if let Some((id, ..)) = end_of_text {
        added.push(AddedToken {
            content: END_OF_TEXT.to_owned(),
            id,
            special: true,
            normalized: false,
            single_word: false,
            lstrip: false,
            rstrip: false,
        });
    }
    Ok(Definition {
        kind: Kind::VocabMerges,
        normalizers: Vec::new(),
        stages: vec![Stage::Regex {
            pattern: GPT2.to_owned(),
            syntax: Syntax::Onig,
            behavior: Behavior::Isolated,
            invert: false,
        }],
        metaspace: None,
        model,
        added,
        added_in_normalized: false,
        decoding: Decoding::Bytes,
        bos: Vec::new(),
        eos: Vec::new(),
        notes: vec!["split as in GPT-2, which these files do not say".to_owned()],
    })
}

const END_OF_TEXT: &str = "<|endoftext|>";

fn vocabulary(bytes: &[u8]) -> Result<Strings, Refusal> {
    let text = text(bytes)?;
    let mut vocab = Texts::with_capacity(text.len() / 16, text.len() / 2);
    let mut refusal = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = VocabSeed {
        vocab: &mut vocab,
        refusal: &mut refusal,
    }
    .deserialize(&mut deserializer);
    if let Some(mut refusal) = refusal {
        refusal.place = Place::File;
        return Err(refusal);
    }
    read.and_then(|_| deserializer.end())
        .map_err(|error| Refusal::json(&error))?;
    vocab.index().map_err(Refusal::damaged)
}

/// The lines of merges.txt. HF's reader skips those that begin with `#version`, and blank ones are
/// no merges; the last line may be empty.
fn merges(bytes: &[u8], vocab: &Strings) -> Result<MergeList, Refusal> {
    let in_merges = |mut refusal: Refusal| {
        refusal.what = format!("of merges.txt: {}", refusal.what).into();
        refusal
    };
    let text = text(bytes).map_err(in_merges)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut merges = MergeList::default();
    let mut reader = PairReader::new(vocab, &mut merges);
    let in_line = |(entry, what)| in_merges(Refusal::line(entry as u64 + 1, what));
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if text.is_empty() {
            break;
        }
        reader.line(line).map_err(in_line)?;
    }
    reader.finish().map_err(in_line)?;
    Ok(merges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vocab: &str, merges: &str) -> Result<Definition, Refusal> {
        crate::definition::parse(&Source {
            bytes: vocab.as_bytes(),
            merges: Some(merges.as_bytes()),
            ..Source::default()
        })
    }

    #[test]
    fn both_files_make_a_model() {
        let definition = read(
            r#"{"a":0,"Ġ":1,"Ġa":2,"<|endoftext|>":3}"#,
            "#version: 0.2\nĠ a\n",
        )
        .unwrap();
        let tokens = &definition.model.tokens;
        assert_eq!(tokens.bytes(2), b" a");
        assert_eq!(definition.added[0].id, 3);
        assert_eq!(definition.kind, Kind::VocabMerges);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let message = |vocab, merges| read(vocab, merges).unwrap_err().to_string();
        assert_eq!(
            message(r#"{"a":0}"#, "a b\n"),
            "line 1: of merges.txt: \"b\" is not in the vocabulary"
        );
        assert_eq!(
            message(r#"{"a":0}"#, "#version\n\n"),
            "line 2: of merges.txt: \"\" is not two tokens with one space between"
        );
        assert!(message(r#"{"a":0,"b":0}"#, "").contains("have the same id 0"));
        let alone = Source {
            bytes: br#"{"a":0}"#,
            ..Source::default()
        };
        assert_eq!(
            crate::definition::parse(&alone).unwrap_err().to_string(),
            "is a vocabulary only, and needs merges"
        );
    }
}
