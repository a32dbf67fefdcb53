//! The model of a tokenizer file -> a vocabulary.

use std::collections::HashMap;

use shardmill_core::token::TokenId;

use crate::bpe::{self, CharIds, Image, Ranked};
use crate::definition::{Alphabet, Merges, Model, NO_BYTE, Use};
use crate::error::Result;
use crate::tokenizer::refusal::unsupported;

/// The longest token, in bytes, of a vocabulary whose merges have to be found in its tokens.
const LONGEST_SPLIT: usize = 1024;

/// The texts that become ids, as an encoder sees them.
#[derive(Debug)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// By id.
    ends: Vec<usize>,
}

impl Texts {
    /// With a `marker`, spaces take its place in the text, so that none is left with another
    /// meaning: a token with a space of its own is in no text.
    pub(super) fn of(model: &Model, marker: Option<char>) -> Self {
        let tokens = &model.tokens;
        let mut texts = Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(tokens.limit() as usize),
        };
        for id in 0..tokens.limit() {
            let bytes = tokens.bytes(id);
            let is_text = tokens.usage(id) == Use::Text;
            match marker.zip(std::str::from_utf8(bytes).ok()) {
                _ if !is_text => {}
                Some((marker, text)) if !text.contains(' ') => {
                    for (i, part) in text.split(marker).enumerate() {
                        texts.bytes.extend((i > 0).then_some(b' '));
                        texts.bytes.extend_from_slice(part.as_bytes());
                    }
                }
                Some(_) => {}
                None => texts.bytes.extend_from_slice(bytes),
            }
            texts.ends.push(texts.bytes.len());
        }
        texts
    }

    /// By id; empty for what no text becomes.
    pub(super) fn all(&self) -> Vec<&[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        let spans = starts.zip(&self.ends);
        spans
            .map(|(&start, &end)| &self.bytes[start..end])
            .collect()
    }
}

/// The tables of `model`, whose texts are `texts`; and a list of its merges, if the tables cannot
/// express them.
pub(super) fn vocabulary(model: &Model, texts: &Texts) -> Result<(Image, Option<Ranked>)> {
    let texts = texts.all();
    let has_all_bytes = matches!(model.alphabet, Alphabet::Bytes)
        && byte_ids(&texts).iter().all(|&id| id != bpe::NONE);
    let is_ranks = matches!(model.merges, Merges::Ranks);
    if is_ranks
        && has_all_bytes
        && model.whole_tokens
        && let Some(image) = Image::of_ranks(&texts, |_| true)
    {
        return Ok((image, None));
    }
    let all;
    let merges = match &model.merges {
        Merges::List(list) => list,
        Merges::Ranks => {
            all = all_pairs(model)?;
            &all
        }
    };
    let alphabet = match &model.alphabet {
        Alphabet::Bytes => bpe::Alphabet::Bytes(Box::new(byte_ids(&texts))),
        Alphabet::Characters { fallback } => bpe::Alphabet::Characters {
            ids: char_ids(&texts),
            bytes: fallback.clone().unwrap_or_else(|| Box::new([NO_BYTE; 256])),
        },
    };
    let mut sorted;
    let by_rank = if merges.is_sorted_by_key(|merge| merge.rank) {
        merges
    } else {
        sorted = merges.clone();
        sorted.sort_by_key(|merge| merge.rank);
        &sorted
    };
    // What spells characters out, or is only decoded, takes no part in merges.
    let is_plain = |merge: &bpe::Merge| {
        let mut ids = [merge.left, merge.right, merge.merged].into_iter();
        ids.all(|id| model.tokens.usage(id) == Use::Text)
    };
    if by_rank.iter().all(is_plain) {
        let list = bpe::List {
            texts: &texts,
            merges: by_rank,
            alphabet: &alphabet,
            whole_tokens: model.whole_tokens,
        };
        if let Some(image) = Image::of_list(&list) {
            return Ok((image, None));
        }
    }
    let unknown = model.unknown.map(|unknown| bpe::Unknown {
        id: unknown.id,
        is_fused: unknown.fuse,
    });
    let image = Image::of_tokens(&texts, |_| model.whole_tokens);
    let ranked = Ranked::new(merges.iter().copied(), alphabet, unknown);
    Ok((image, Some(ranked)))
}

/// Every two tokens whose bytes together are a token, with its id as their rank.
fn all_pairs(model: &Model) -> Result<Vec<bpe::Merge>> {
    let text = |&(_, _, usage): &(_, _, _)| usage == Use::Text;
    let tokens = || model.tokens.iter().filter(text);
    let ids: HashMap<&[u8], TokenId> = tokens().map(|(id, bytes, _)| (bytes, id)).collect();
    let mut pairs = Vec::new();
    for (merged, bytes, _) in tokens() {
        if bytes.len() > LONGEST_SPLIT {
            let what = format!("a token of {} bytes is not supported here", bytes.len());
            return Err(unsupported(what));
        }
        for at in 1..bytes.len() {
            let (left, right) = bytes.split_at(at);
            if let (Some(&left), Some(&right)) = (ids.get(left), ids.get(right)) {
                let rank = merged;
                pairs.push(bpe::Merge {
                    left,
                    right,
                    merged,
                    rank,
                });
            }
        }
    }
    Ok(pairs)
}

/// The id of each byte that is a token.
fn byte_ids(texts: &[&[u8]]) -> [TokenId; 256] {
    let mut ids = [bpe::NONE; 256];
    for (id, text) in (0..).zip(texts) {
        if let [byte] = **text {
            ids[usize::from(byte)] = id;
        }
    }
    ids
}

fn char_ids(texts: &[&[u8]]) -> CharIds {
    let single = (0..).zip(texts).filter_map(|(id, text)| {
        let mut chars = std::str::from_utf8(text).ok()?.chars();
        let char = chars.next()?;
        chars.next().is_none().then_some((char, id))
    });
    CharIds::new(single)
}
