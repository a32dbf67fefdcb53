//! A tokenizer's file, compiled: all that encoding and decoding need.

use std::thread;

use serde::{Deserialize, Serialize};
use shardmill_core::hash::Hash128;
use shardmill_core::token::TokenId;

use crate::bpe::Vocabulary;
use crate::definition::{
    self, AddedToken, Alphabet, Decoding, Definition, Metaspace, Normalizer, PrefixScheme, Use,
};
use crate::error::{Error, Result};
use crate::pretoken::Stage;
use crate::tokenizer::decoded::Decoded;
use crate::tokenizer::info::TokenizerInfo;
use crate::tokenizer::joins::Joins;
use crate::tokenizer::model::{self, Texts};
use crate::tokenizer::normalize::single;
use crate::tokenizer::refusal::unsupported;

/// A tokenizer's file, compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) head: Head,
    pub(super) decoded: Decoded,
    /// Where texts are cut that no pattern splits.
    pub(super) joins: Option<Joins>,
    pub(super) vocabulary: Vocabulary,
}

/// What is small.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) info: TokenizerInfo,
    pub(super) n_vocab: u32,
    pub(super) normalizers: Vec<Normalizer>,
    /// Without those that have no effect.
    pub(super) stages: Vec<Stage>,
    pub(super) metaspace: Option<Metaspace>,
    /// The word marker whose place spaces take in the text that is merged.
    pub(super) marker: Option<char>,
    pub(super) added: Vec<AddedToken>,
    pub(super) added_in_normalized: bool,
    /// How many spaces the file's own decoder removes at the beginning of a text.
    pub(super) leading_spaces: u32,
    /// Tokens that may end a document.
    pub(super) candidates: Vec<(String, TokenId)>,
    /// What the file's own post-processor puts before and after a text.
    pub(super) bos: Vec<TokenId>,
    pub(super) eos: Vec<TokenId>,
    pub(super) notes: Vec<String>,
}

impl Compiled {
    pub(super) fn of(definition: &Definition, file_hash: Hash128) -> Result<Self> {
        let model = &definition.model;
        let stages = stages(definition);
        let marker = word_marker(definition, &stages);
        let texts = Texts::of(model, marker);
        let joins = || {
            if !stages.is_empty() {
                return None;
            }
            let split = definition.metaspace.filter(|metaspace| metaspace.split);
            let split = split.map(|metaspace| marker.map_or(metaspace.replacement, |_| ' '));
            Joins::new(model, &texts.all(), split)
        };
        let (vocabulary, (joins, decoded, info)) = thread::scope(|scope| {
            let vocabulary = scope.spawn(|| {
                let (image, list) = model::vocabulary(model, &texts)?;
                Ok::<_, Error>(Vocabulary::of_tables(&image, list)?)
            });
            let info = TokenizerInfo::of(definition, file_hash);
            let rest = (joins(), Decoded::of(definition), info);
            let vocabulary = vocabulary.join();
            (
                vocabulary.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                rest,
            )
        });
        if joins.is_some() && first_may_move(definition) {
            return Err(unsupported(
                "pre_tokenizer.prepend_scheme \"first\" after a normalizer that removes or joins \
                 characters is not supported",
            ));
        }
        let added = definition.added.iter().map(|token| token.id + 1);
        Ok(Self {
            vocabulary: vocabulary?,
            decoded,
            joins,
            head: Head {
                info,
                n_vocab: model.tokens.limit().max(added.max().unwrap_or(0)),
                normalizers: definition.normalizers.clone(),
                stages,
                metaspace: definition.metaspace,
                marker,
                added: definition.added.clone(),
                added_in_normalized: definition.added_in_normalized,
                leading_spaces: match definition.decoding {
                    Decoding::Words { strip, .. } => strip,
                    Decoding::Metaspace { drop_in_first, .. } => u32::from(drop_in_first),
                    Decoding::Bytes | Decoding::Other => 0,
                },
                candidates: definition::end_of_text_candidates(definition),
                bos: definition.bos.clone(),
                eos: definition.eos.clone(),
                notes: definition.notes.clone(),
            },
        })
    }
}

/// The word marker of a tokenizer that does not split text by patterns, if spaces can take its
/// place: the last step before merging replaces all of them by it.
fn word_marker(definition: &Definition, stages: &[Stage]) -> Option<char> {
    let model = &definition.model;
    if !stages.is_empty() || !matches!(model.alphabet, Alphabet::Characters { .. }) {
        return None;
    }
    // A marker is no white space.
    let strips = |token: &AddedToken| token.normalized && (token.lstrip || token.rstrip);
    let marker = match (definition.metaspace, definition.normalizers.last()) {
        (Some(metaspace), _) => metaspace.replacement,
        (None, Some(Normalizer::Replace { from, to }))
            if from == " " && !definition.added.iter().any(strips) =>
        {
            single(to)?
        }
        _ => return None,
    };
    // One that is no token is spelled out, unlike a space.
    let mut utf8 = [0; 4];
    let bytes = marker.encode_utf8(&mut utf8).as_bytes();
    let mut tokens = model.tokens.iter();
    let is_token = tokens.any(|(_, token, usage)| usage == Use::Text && token == bytes);
    is_token.then_some(marker)
}

/// The steps that can have an effect: a text that normalization replaces everywhere is never found
/// after it. Gemma's files have such a step.
fn stages(definition: &Definition) -> Vec<Stage> {
    let is_gone = |found: &str| match definition.normalizers.last() {
        Some(Normalizer::Replace { from, to }) => from == found && !to.contains(found),
        _ => false,
    };
    let has_effect = |stage: &&Stage| match stage {
        Stage::Literal { text, invert, .. } => *invert || single(text).is_none() || !is_gone(text),
        _ => true,
    };
    definition
        .stages
        .iter()
        .filter(has_effect)
        .cloned()
        .collect()
}

/// Whether a word marker belongs before the first piece only if normalization left its place in the
/// text alone, and it may not: HF tokenizers look at the place before normalization.
fn first_may_move(definition: &Definition) -> bool {
    let is_first = definition
        .metaspace
        .is_some_and(|metaspace| metaspace.prepend == PrefixScheme::First);
    let moves = |step: &Normalizer| match step {
        Normalizer::Nfc | Normalizer::Prepend(_) => false,
        Normalizer::Strip { .. } => true,
        Normalizer::Replace { from, to } => from.len() != 1 || single(to).is_none(),
    };
    is_first && definition.normalizers.iter().any(moves)
}
