//! Options that several commands share, each written once. Knows no command.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use shardmill::tokenizer::{BUILTIN_NAMES, FileOptions};
use shardmill::window::{Tail, WindowConfig, WindowKind};
use shardmill::{Dtype, Durability, Level, TokenId, Tokenizer, show};

use crate::cli::failure::Failure;

/// What standard output gets.
#[derive(Debug, Args)]
pub(crate) struct StdoutArgs {
    /// Print the result or the error to standard output as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The dataset to read.
#[derive(Debug, Args)]
pub(crate) struct DatasetArgs {
    /// Dataset directory
    #[arg(value_name = "DATASET")]
    pub(crate) dir: PathBuf,
}

/// The dataset, whether or not it is published yet.
#[derive(Debug, Args)]
pub(crate) struct DirArgs {
    /// Dataset directory, as given to --out
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// Where output goes, and how it is made.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Output directory to create
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) publish: PublishArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadsArgs,
}

impl OutputArgs {
    /// Refuses standard output, where a dataset cannot go.
    pub(crate) fn check_dataset(&self) -> Result<(), Failure> {
        if self.out == Path::new("-") {
            return Err(Failure::Usage {
                option: "--out",
                what: "a dataset is a directory and cannot go to standard output; name one, or \
                       ./- for one of this name"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

/// How output is published.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// Replace existing output
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Sync output to disk before it becomes visible
    #[arg(long, value_name = "LEVEL", default_value = "full", value_parser = choice(Durability::ALL, Durability::name))]
    pub(crate) durability: Durability,
}

/// How many threads to use.
#[derive(Debug, Args)]
pub(crate) struct ThreadsArgs {
    /// Number of threads [default: all cores]
    #[arg(long = "threads", value_name = "N")]
    pub(crate) count: Option<usize>,
}

impl ThreadsArgs {
    /// The given number of threads, or `default`.
    pub(crate) fn or(&self, default: usize) -> usize {
        self.count.unwrap_or(default)
    }
}

/// Which tokenizer, for what needs no more than its name or file.
#[derive(Debug, Args)]
pub(crate) struct TokenizerArgs {
    #[arg(long = "tokenizer", alias = "encoding", value_name = "NAME|PATH", default_value = "gpt2", help = known_tokenizers())]
    pub(crate) name: String,
}

/// Help that lists the built-in tokenizers.
fn known_tokenizers() -> String {
    format!(
        "Tokenizer: {}; a tokenizer.json, tekken.json, tiktoken or SentencePiece file; a model's \
         directory; or a Hub id that is in the local cache",
        BUILTIN_NAMES.join(", ")
    )
}

/// What a tokenizer's file does not say itself.
#[derive(Debug, Args)]
pub(crate) struct TokenizerFileArgs {
    /// How text is split, for a tiktoken file: the name of a pattern or a regular expression
    #[arg(long, value_name = "NAME|REGEX")]
    pub(crate) pattern: Option<String>,
    /// Special tokens of a tiktoken file: a JSON object of their texts and ids
    #[arg(long, value_name = "FILE")]
    pub(crate) special_tokens: Option<PathBuf>,
}

impl TokenizerFileArgs {
    /// Opens the tokenizer `name`.
    pub(crate) fn open(&self, name: &str) -> Result<Tokenizer, Failure> {
        let mut options = FileOptions::default();
        options.cache = cache_directory();
        options.pattern.clone_from(&self.pattern);
        if let Some(path) = &self.special_tokens {
            options.special_tokens = special_tokens(path)?;
        }
        if options.pattern.is_none() && options.special_tokens.is_empty() {
            return Ok(Tokenizer::find(name, &options)?);
        }
        Ok(Tokenizer::open(name, &options)?)
    }
}

/// Where compiled tokenizers are kept, by the XDG Base Directory Specification.
pub(crate) fn cache_directory() -> Option<PathBuf> {
    let path = |key| env::var_os(key).map(PathBuf::from);
    let home = || Some(path("HOME")?.join(".cache"));
    let base = path("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(home).filter(|path| path.is_absolute())?;
    Some(base.join("shardmill"))
}

/// A list of special tokens is not longer.
const MOST_SPECIAL_BYTES: u64 = 16 << 20;

/// The special tokens in a JSON file.
fn special_tokens(path: &Path) -> Result<Vec<(String, TokenId)>, Failure> {
    let refuse = |what: String| Failure::Usage {
        option: "--special-tokens",
        what: format!("{}: {what}", show::name(path)),
    };
    let metadata = std::fs::metadata(path);
    let metadata = metadata.map_err(|error| refuse(format!("cannot read: {error}")))?;
    if !metadata.is_file() || metadata.len() > MOST_SPECIAL_BYTES {
        return Err(refuse("is not a regular file of at most 16 MiB".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|error| refuse(format!("cannot read: {error}")))?;
    let found: BTreeMap<String, TokenId> = serde_json::from_slice(&bytes)
        .map_err(|error| refuse(format!("is not a JSON object of texts and ids: {error}")))?;
    Ok(found.into_iter().collect())
}

/// What embeddings are made of.
#[derive(Debug, Args)]
pub(crate) struct ElementArgs {
    /// Element type of the embeddings
    #[arg(long, value_name = "DTYPE", default_value = "f32", value_parser = choice(Dtype::ALL, Dtype::name))]
    pub(crate) dtype: Dtype,
}

/// Which windows.
#[derive(Debug, Args)]
pub(crate) struct WindowArgs {
    /// Tokens per window
    #[arg(long, value_name = "N", default_value_t = WindowConfig::default().seq_len)]
    pub(crate) seq_len: u64,
    /// Tokens from the start of one window to the start of the next [default: --seq-len]
    #[arg(long, value_name = "N")]
    pub(crate) stride: Option<u64>,
    /// Let windows cross document boundaries (stream), or keep each within one document (documents)
    #[arg(long, value_name = "KIND", default_value = "stream", value_parser = choice(WindowKind::ALL, WindowKind::name))]
    pub(crate) window: WindowKind,
    /// How to handle a document's last, incomplete window: drop and count it, or pad it with
    /// end-of-text tokens, whose targets are -100; needs --window documents
    #[arg(long, value_name = "HOW", default_value = "drop", value_parser = choice(Tail::ALL, Tail::name))]
    pub(crate) tail: Tail,
}

/// A parser that accepts the names of `values` and lists them in help and errors.
pub(crate) fn choice<T, const N: usize>(
    values: [T; N],
    name: impl Fn(T) -> &'static str + Clone + Send + Sync + 'static,
) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(values.map(&name)).map(move |typed| {
        let found = values.iter().copied().find(|&value| name(value) == typed);
        // The parser accepts only these names.
        found.unwrap_or(values[0])
    })
}

/// The level with that name, if this CPU has it.
pub(crate) fn level(typed: &str) -> Result<Level, String> {
    let available = Level::available();
    let names: Vec<_> = available.iter().map(ToString::to_string).collect();
    let mut found = available.into_iter();
    let found = found.find(|level| level.to_string() == typed);
    found.ok_or_else(|| format!("this CPU has {}", names.join(", ")))
}
