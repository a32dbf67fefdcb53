//! Opens the tokenizer of a file.

use std::borrow::Cow;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use shardmill_core::hash::{Hash128, Hasher128};
use shardmill_core::map;
use shardmill_core::token::TokenId;

use crate::bpe::Vocabulary;
use crate::definition::{self, Refusal, Source};
use crate::error::{Error, Result};
use crate::pretoken::Syntax;
use crate::tokenizer::compiled::{Compiled, Head};
use crate::tokenizer::file::File;
use crate::tokenizer::refusal::unsupported;
use crate::tokenizer::stored;

/// What a tokenizer's file does not say itself.
///
/// ```
/// use shardmill_tokenizer::{FileOptions, Tokenizer};
///
/// # let dir = std::env::temp_dir().join(format!("shardmill-file-options-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let path = dir.join("bytes.tiktoken");
/// # let base64 = |byte: u8| {
/// #     let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// #     let (a, b) = (digits[usize::from(byte >> 2)], digits[usize::from(byte & 3) << 4]);
/// #     format!("{}{}== {byte}\n", char::from(a), char::from(b))
/// # };
/// # std::fs::write(&path, (0..=255).map(base64).collect::<String>())?;
/// # let path = path.to_str().unwrap();
/// // A file with a rank for each of the 256 bytes.
/// let mut options = FileOptions::default();
/// options.pattern = Some("gpt2".to_owned());
/// options.special_tokens = vec![("<|end|>".to_owned(), 256)];
/// let tokenizer = Tokenizer::open(path, &options)?;
/// assert_eq!(tokenizer.encode_ordinary("abc"), [97, 98, 99]);
/// assert_eq!(tokenizer.token_id("<|end|>"), Some(256));
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FileOptions {
    /// For rank files: how text is split, as the name of a pattern or as a regular expression in
    /// the syntax of tiktoken.
    pub pattern: Option<String>,
    /// For rank files: special tokens and their ids.
    pub special_tokens: Vec<(String, TokenId)>,
    /// A directory for compiled tokenizers, which open several times faster. It is created if
    /// needed, and never needed for the same ids: what is in it is used if it was compiled from the
    /// same bytes with the same options by this version of this crate, and is not damaged.
    pub cache: Option<PathBuf>,
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
    let located = definition::locate(name).map_err(|refusal| at(name, refused(refusal)))?;
    let path = &located.path;
    let read_all = || {
        check(options)?;
        let paths = std::iter::once(path).chain(&located.merges);
        let hash = || hash_of_files(paths.map(PathBuf::as_path)).ok();
        let read_and_compile = || {
            let bytes = read(path)?;
            let merges = located.merges.as_deref().map(read).transpose()?;
            compile(&bytes, merges.as_deref(), options)
        };
        let compiled = kept(hash, options).map_or_else(read_and_compile, Ok)?;
        finish(display_name(name, path), compiled, &located.names, options)
    };
    read_all().map_err(|error| at(path, error))
}

/// Reads the tokenizer whose file has the content `bytes`. Messages call it `name`.
pub(super) fn from_bytes(name: &str, bytes: &[u8], options: &FileOptions) -> Result<Opened> {
    let read_all = || {
        check(options)?;
        check_length(bytes.len() as u64)?;
        let kept = kept(|| Some(hash_of(bytes, None)), options);
        let compiled = kept.map_or_else(|| compile(bytes, None, options), Ok)?;
        finish(name.to_owned(), compiled, &[], options)
    };
    read_all().map_err(|error| at(name, error))
}

/// Why a file is not used; [`at`] says which.
fn refused(refusal: Refusal) -> Error {
    Error::File {
        path: PathBuf::new(),
        what: refusal.to_string(),
        hint: refusal.hint.map(Cow::into_owned),
    }
}

/// What is wrong with the file `path`.
fn at(path: impl AsRef<Path>, error: Error) -> Error {
    match error {
        Error::File { what, hint, .. } => Error::File {
            path: path.as_ref().to_owned(),
            what,
            hint,
        },
        error => error,
    }
}

fn check(options: &FileOptions) -> Result<()> {
    let pattern = options.pattern.as_deref();
    pattern.map_or(Ok(()), |pattern| {
        definition::check_pattern(pattern).map_err(refused)
    })
}

fn key(file_hash: Hash128, options: &FileOptions) -> Hash128 {
    stored::key(
        file_hash,
        options.pattern.as_deref(),
        &options.special_tokens,
    )
}

/// What is kept of a file, if anything.
fn kept(file_hash: impl FnOnce() -> Option<Hash128>, options: &FileOptions) -> Option<Compiled> {
    let dir = options.cache.as_ref()?;
    stored::load(dir, key(file_hash()?, options))
}

/// Compiles a file, and keeps that if it should.
fn compile(bytes: &[u8], merges: Option<&[u8]>, options: &FileOptions) -> Result<Compiled> {
    let pattern = options.pattern.as_deref().map(|pattern| {
        definition::pattern(pattern).map_or((pattern, Syntax::Fancy), |named| {
            (named.pattern, named.syntax)
        })
    });
    let source = Source {
        bytes,
        merges,
        pattern,
        special: &options.special_tokens,
    };
    let definition = definition::parse(&source).map_err(refused)?;
    let file_hash = hash_of(bytes, merges);
    let compiled = Compiled::of(&definition, file_hash)?;
    if let Some(dir) = &options.cache {
        stored::store(dir, key(file_hash, options), &compiled);
    }
    Ok(compiled)
}

fn finish(
    name: String,
    compiled: Compiled,
    beside: &[PathBuf],
    options: &FileOptions,
) -> Result<Opened> {
    let Compiled {
        head,
        decoded,
        joins,
        vocabulary,
    } = compiled;
    let n_vocab = head.n_vocab;
    let mut notes = head.notes.clone();
    notes.extend(notes_beside(&head, beside));
    let end_of_text = match &head.candidates[..] {
        [(_, id)] => Some(*id),
        _ => None,
    };
    let file = File::new(head, decoded, joins, notes)?;
    let mut typical = (' '..='~').chain("\t\n\u{e9}\u{401}\u{4e2d}\u{1f600}\u{301}".chars());
    if options.pattern.is_some() && !file.keeps(&mut typical) {
        return Err(unsupported(
            "has a split pattern that leaves some characters out, whose text would be lost",
        ));
    }
    Ok(Opened {
        name,
        n_vocab,
        end_of_text,
        vocabulary,
        file,
    })
}

/// A longer file is no tokenizer.
const MOST_BYTES: u64 = 1 << 28;

/// Opens a regular file for reading.
fn open_file(path: &Path) -> Result<fs::File> {
    let file = map::open_file(path).map_err(Error::io(path, "cannot read"))?;
    let metadata = (file.metadata()).map_err(Error::io(path, "cannot read its size"))?;
    if !metadata.is_file() {
        return Err(unsupported("is not a regular file"));
    }
    check_length(metadata.len())?;
    Ok(file)
}

fn check_length(len: u64) -> Result<()> {
    if len > MOST_BYTES {
        return Err(unsupported(
            "is more than 256 MiB, too large for a tokenizer",
        ));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let file = open_file(path)?;
    let len = file.metadata().map_or(0, |metadata| metadata.len());
    // Two more, so that the end is found without growing.
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0) + 2);
    let done = file.take(MOST_BYTES).read_to_end(&mut bytes);
    done.map_err(Error::io(path, "cannot read"))?;
    Ok(bytes)
}

/// The hash of a file, and of the merges that belong to it.
fn hash_of(bytes: &[u8], merges: Option<&[u8]>) -> Hash128 {
    let mut hasher = Hasher128::new();
    hasher.update(bytes);
    hasher.update(merges.unwrap_or_default());
    hasher.finish()
}

/// The hash of files, one after the other, without holding them in memory.
fn hash_of_files<'p>(paths: impl Iterator<Item = &'p Path>) -> Result<Hash128> {
    let mut hasher = Hasher128::new();
    let mut buffer = vec![0; 1 << 20];
    for path in paths {
        let mut file = open_file(path)?;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hasher.update(&buffer[..n]),
                Err(error) => return Err(Error::io(path, "cannot read")(error)),
            }
        }
    }
    Ok(hasher.finish())
}

/// What the file, and those beside it, would add to texts or call their end.
fn notes_beside(head: &Head, beside: &[PathBuf]) -> Vec<String> {
    let contents: Vec<_> = beside.iter().filter_map(|path| read(path).ok()).collect();
    let contents: Vec<_> = contents.iter().map(Vec::as_slice).collect();
    let named = definition::names(&contents);
    let mut notes = Vec::new();
    for (what, ids) in [("before", &head.bos), ("after", &head.eos)] {
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
