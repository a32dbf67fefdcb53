//! The model of a tokenizer file -> a vocabulary.

use std::collections::HashMap;

use crate::bpe::{self, CharIds, Image, Pairs, Ranked, Vocabulary};
use crate::definition::{Alphabet, Merges, Model, NO_BYTE, Use};
use crate::error::Result;
use crate::token::TokenId;
use crate::tokenizer::refusal::unsupported;

/// The longest token, in bytes, of a vocabulary whose merges have to be found in its tokens.
const LONGEST_SPLIT: usize = 1024;

/// A vocabulary with the ids of `model`.
pub(super) fn vocabulary(model: &Model) -> Result<Vocabulary> {
    let tokens: Vec<&[u8]> = (0..model.tokens.limit())
        .map(|id| model.tokens.bytes(id))
        .collect();
    let is_text = |id| model.tokens.usage(id) == Use::Text;
    if is_in_order_of_ids(model) {
        let list: Vec<_> = match &model.merges {
            Merges::List(list) => list.iter().map(|m| (m.left, m.right, m.merged)).collect(),
            Merges::Ranks => Vec::new(),
        };
        let pairs = match model.merges {
            Merges::List(_) => Pairs::Listed(&list),
            Merges::Ranks => Pairs::All,
        };
        if let Some(image) = bpe::build(&tokens, is_text, &pairs, model.whole_tokens) {
            return Ok(Vocabulary::of_ranks(image));
        }
    }
    let image = Image::of_tokens(&tokens, |id| model.whole_tokens && is_text(id));
    Ok(Vocabulary::of_list(image, ranked(model)?))
}

/// Whether the ids of `model` rise with the ranks of their merges, as [`bpe::build`] needs it. Most
/// tokenizers are like this, and merge fastest.
fn is_in_order_of_ids(model: &Model) -> bool {
    let has_all_bytes = matches!(model.alphabet, Alphabet::Bytes)
        && byte_ids(model).iter().all(|&id| id != bpe::NONE);
    if !has_all_bytes {
        return false;
    }
    let Merges::List(list) = &model.merges else {
        return true;
    };
    let is_text = |id| model.tokens.usage(id) == Use::Text;
    list.is_sorted_by_key(|merge| merge.merged)
        && list
            .windows(2)
            .all(|merges| merges[0].rank < merges[1].rank)
        && list.iter().all(|merge| {
            merge.merged > merge.left.max(merge.right)
                && [merge.left, merge.right, merge.merged]
                    .into_iter()
                    .all(is_text)
        })
}

/// The merges of `model`, one by one.
fn ranked(model: &Model) -> Result<Ranked> {
    let all;
    let list = match &model.merges {
        Merges::List(list) => list,
        Merges::Ranks => {
            all = all_pairs(model)?;
            &all
        }
    };
    let alphabet = match &model.alphabet {
        Alphabet::Bytes => bpe::Alphabet::Bytes(Box::new(byte_ids(model))),
        Alphabet::Characters { fallback } => bpe::Alphabet::Characters {
            ids: char_ids(model),
            bytes: fallback.clone().unwrap_or_else(|| Box::new([NO_BYTE; 256])),
        },
    };
    let unknown = model.unknown.map(|unknown| bpe::Unknown {
        id: unknown.id,
        is_fused: unknown.fuse,
    });
    Ok(Ranked::new(list.iter().copied(), alphabet, unknown))
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
fn byte_ids(model: &Model) -> [TokenId; 256] {
    let mut ids = [bpe::NONE; 256];
    for (id, bytes, usage) in model.tokens.iter() {
        if let (&[byte], Use::Text) = (bytes, usage) {
            ids[usize::from(byte)] = id;
        }
    }
    ids
}

fn char_ids(model: &Model) -> CharIds {
    let text = model
        .tokens
        .iter()
        .filter(|&(_, _, usage)| usage == Use::Text);
    let single = text.filter_map(|(id, bytes, _)| {
        let mut chars = std::str::from_utf8(bytes).ok()?.chars();
        let char = chars.next()?;
        chars.next().is_none().then_some((char, id))
    });
    CharIds::new(single)
}
