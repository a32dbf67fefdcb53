//! Opens the tokenizer of a file.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use crate::bpe::Vocabulary;
use crate::definition::{self, Definition, Refusal, Source};
use crate::error::{Error, Result};
use crate::hash::Hasher128;
use crate::pretoken::Syntax;
use crate::token::TokenId;
use crate::tokenizer::file::File;
use crate::tokenizer::model::{self, Texts};
use crate::tokenizer::splitter::word_marker;

/// What a tokenizer's file does not say itself.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FileOptions {
    /// For rank files: how text is split, as the name of a pattern or as a regular expression in
    /// the syntax of tiktoken.
    pub pattern: Option<String>,
    /// For rank files: special tokens and their ids.
    pub special_tokens: Vec<(String, TokenId)>,
}

/// A tokenizer that was read.
pub(super) struct Opened {
    pub(super) name: String,
    pub(super) n_vocab: u32,
    pub(super) end_of_text: Option<TokenId>,
    pub(super) vocabulary: Vocabulary,
    pub(super) file: File,
}

/// Reads the tokenizer that `name` says: a path, or a Hub id that is in the local cache.
pub(super) fn open(name: &str, options: &FileOptions) -> Result<Opened> {
    let refuse = |path: &Path, refusal: Refusal| Error::Tokenizer {
        path: path.to_owned(),
        what: refusal.to_string(),
        hint: refusal.hint.map(Cow::into_owned),
    };
    let located = definition::locate(name).map_err(|refusal| refuse(name.as_ref(), refusal))?;
    let path = &located.path;
    let read = |path: &Path| fs::read(path).map_err(Error::io(path, "cannot read"));
    let bytes = read(path)?;
    let merges = located.merges.as_deref().map(read).transpose()?;
    let named = options.pattern.as_deref().map(|pattern| {
        definition::pattern(pattern).map_or((pattern, Syntax::Fancy), |named| {
            (named.pattern, named.syntax)
        })
    });
    let source = Source {
        bytes: &bytes,
        merges: merges.as_deref(),
        pattern: named,
        special: &options.special_tokens,
    };
    let definition = definition::parse(&source).map_err(|refusal| refuse(path, refusal))?;
    let mut hasher = Hasher128::new();
    hasher.update(&bytes);
    hasher.update(merges.as_deref().unwrap_or_default());
    let mut notes = definition.notes.clone();
    notes.extend(notes_beside(&definition, &located.names));
    let candidates = definition::end_of_text_candidates(&definition);
    let end_of_text = match &candidates[..] {
        [(_, id)] => Some(*id),
        _ => None,
    };
    let marker = word_marker(&definition);
    let texts = Texts::of(&definition.model, marker);
    let file_hash = hasher.finish();
    let made =
        File::new(&definition, marker, &texts, file_hash, candidates, notes).and_then(|file| {
            let (image, list) = model::vocabulary(&definition.model, &texts)?;
            Ok((file, Vocabulary::of_tables(&image, list)?))
        });
    let (file, vocabulary) = made.map_err(|error| match error {
        Error::Tokenizer { what, hint, .. } => Error::Tokenizer {
            path: path.clone(),
            what,
            hint,
        },
        error => error,
    })?;
    let added = definition.added.iter().map(|token| token.id + 1);
    Ok(Opened {
        name: display_name(name, path),
        n_vocab: definition
            .model
            .tokens
            .limit()
            .max(added.max().unwrap_or(0)),
        end_of_text,
        vocabulary,
        file,
    })
}

/// What the file, and those beside it, would add to texts or call their end.
fn notes_beside(definition: &Definition, beside: &[PathBuf]) -> Vec<String> {
    let contents: Vec<_> = beside
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .collect();
    let contents: Vec<_> = contents.iter().map(Vec::as_slice).collect();
    let named = definition::names(&contents);
    let mut notes = Vec::new();
    for (what, ids) in [("before", &definition.bos), ("after", &definition.eos)] {
        if !ids.is_empty() {
            notes.push(format!(
                "its post-processor adds ids {ids:?} {what} a text; they are left out"
            ));
        }
    }
    if let Some(bos) = &named.bos {
        notes.push(format!("the files beside it call {bos:?} BOS"));
    }
    if let Some(eos) = &named.eos {
        notes.push(format!(
            "the files beside it call {eos:?} EOS, which may end a turn, not a document"
        ));
    }
    notes
}

/// The name of a tokenizer in manifests: the file's, which is the same on every machine, or a Hub
/// id.
fn display_name(name: &str, path: &Path) -> String {
    match path.file_name() {
        Some(file) if Path::new(name).exists() => file.to_string_lossy().into_owned(),
        _ => name.to_owned(),
    }
}
