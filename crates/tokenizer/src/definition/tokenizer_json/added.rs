//! Added tokens of tokenizer.json, and the ids that they get.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use shardmill_core::token::TokenId;

use super::Version;
use crate::definition::refusal::quoted;
use crate::definition::strings::Strings;
use crate::definition::{AddedToken, Cause, ID_LIMIT, Place, Refusal};

/// An added token as in the file. All fields are required.
#[expect(clippy::struct_excessive_bools, reason = "the flags of the files")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    id: u64,
    #[serde(borrow)]
    content: Cow<'a, str>,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

/// The added tokens in the order of the file, without those that have no effect.
pub(super) fn parse(
    json: Option<&RawValue>,
    vocab: &Strings,
    version: Version,
) -> Result<Vec<AddedToken>, Refusal> {
    let Some(json) = json else {
        return Ok(Vec::new());
    };
    let mut refusal = None;
    let rows = serde_json::Deserializer::from_str(json.get()).deserialize_seq(Rows(&mut refusal));
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let mut rows = rows.map_err(|_| Refusal::damaged_at("added_tokens", "is not an array"))?;
    if version == Version::Two {
        // Ids are given in the order of the file's ids.
        rows.sort_by_key(|(_, row)| row.id);
    }
    add(rows, vocab)
}

fn path(index: usize) -> String {
    format!("added_tokens[{index}]")
}

/// Gives ids as HF tokenizers does, whatever the file says: a text of the vocabulary has its id
/// there; each other one the next after as many as the vocabulary has texts. Where the file says
/// another id, it is refused.
fn add(rows: Vec<(usize, Row<'_>)>, vocab: &Strings) -> Result<Vec<AddedToken>, Refusal> {
    let mut added: Vec<AddedToken> = Vec::with_capacity(rows.len());
    let mut by_content: HashMap<String, usize> = HashMap::with_capacity(rows.len());
    let mut next = vocab.count() as u64;
    for (index, row) in rows {
        // HF tokenizers ignores it.
        if row.content.is_empty() {
            continue;
        }
        let in_vocab = vocab.find(row.content.as_bytes());
        let shown = || quoted(&row.content);
        let place = match by_content.entry(row.content.clone().into_owned()) {
            Entry::Occupied(known) => {
                let other = &added[*known.get()];
                // The same token again is ignored, too.
                if other.same_flags(&row) && u64::from(other.id) == row.id {
                    continue;
                }
                let what = format!("{} is there twice, not the same", shown());
                return Err(Refusal::unsupported(path(index), what));
            }
            Entry::Vacant(place) => place,
        };
        let id = if let Some(id) = in_vocab {
            u64::from(id)
        } else {
            next += 1;
            next - 1
        };
        if row.id != id {
            return Err(Refusal::unsupported(
                format!("{}.id", path(index)),
                format!(
                    "{} is not the id {id} that tokenizers gives to {}",
                    row.id,
                    shown()
                ),
            ));
        }
        let Some(id) = TokenId::try_from(id).ok().filter(|&id| id < ID_LIMIT) else {
            return Err(Refusal::unsupported(
                format!("{}.id", path(index)),
                format!("{id} is 524,288 or more"),
            ));
        };
        if in_vocab.is_none()
            && let Some(other) = vocab.get(id)
        {
            let other = quoted(&String::from_utf8_lossy(other));
            return Err(Refusal::unsupported(
                format!("{}.id", path(index)),
                format!("{id} of {} is that of {other} in the vocabulary", shown()),
            ));
        }
        place.insert(added.len());
        added.push(AddedToken {
            content: row.content.into_owned(),
            id,
            special: row.special,
            normalized: row.normalized,
            single_word: row.single_word,
            lstrip: row.lstrip,
            rstrip: row.rstrip,
        });
    }
    Ok(added)
}

impl AddedToken {
    fn same_flags(&self, row: &Row<'_>) -> bool {
        self.special == row.special
            && self.normalized == row.normalized
            && self.single_word == row.single_word
            && self.lstrip == row.lstrip
            && self.rstrip == row.rstrip
    }
}

/// Reads rows with their places in the list.
struct Rows<'f>(&'f mut Option<Refusal>);

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = Vec<(usize, Row<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(json) = seq.next_element::<&RawValue>()? {
            let index = rows.len();
            match serde_json::from_str(json.get()) {
                Ok(row) => rows.push((index, row)),
                Err(error) => {
                    *self.0 = Some(refuse(index, &error));
                    return Err(A::Error::custom(""));
                }
            }
        }
        Ok(rows)
    }
}

fn refuse(index: usize, error: &serde_json::Error) -> Refusal {
    let mut refusal = Refusal::json(error);
    refusal.place = Place::Path(path(index));
    if error.to_string().starts_with("unknown field") {
        refusal.cause = Cause::Unsupported;
    }
    refusal
}
