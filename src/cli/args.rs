//! What was typed.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use shardmill::{
    ArrayFormat, BadRecords, Dtype, Durability, Eot, InvalidUtf8, Level, RopeStyle, ShuffleOrder,
    Special, Tail, TokenDtype, UnitShare, WindowKind,
};

use crate::cli::human::{parse_seed, parse_size};
use crate::cli::inputs::{CorpusArgs, SelectionArgs};
use crate::cli::{bench, embed, positions};

#[derive(Debug, Parser)]
#[command(
    name = "shardmill",
    version,
    about = "Corpus in, token shards and input embeddings out",
    after_help = "Examples:
  shardmill tokenize books/ --out books.shards
  shardmill info books.shards
  shardmill run notes.txt --out notes --seq-len 256 --init-seed 123 --dim 256

Exit codes: 0 ok, 1 bad input or data, 2 usage, 3 I/O or resources (worth a retry),
4 output locked by another run, 5 a check failed, 128 + n ended by signal n.",
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tokenize a corpus and embed its windows: the main job
    #[command(after_help = RUN_HELP)]
    Run(RunArgs),
    /// Turn a corpus into a dataset of token shards
    #[command(after_help = TOKENIZE_HELP)]
    Tokenize(TokenizeArgs),
    /// Turn the windows of a dataset into input embeddings
    #[command(after_help = EMBED_HELP)]
    Embed(EmbedArgs),
    /// Show the units that a corpus will be cut into
    #[command(after_help = "Example:
  shardmill plan books/ --unit-size 64MiB")]
    Plan(PlanArgs),
    /// Show how far a dataset is: published, or which units are done
    #[command(after_help = "Example:
  shardmill status out --json")]
    Status(StatusArgs),
    /// Check the units that several processes made, and publish the dataset
    #[command(after_help = FINISH_HELP)]
    Finish(FinishArgs),
    /// Show what is in a dataset, and how large its embeddings would be
    #[command(after_help = "Example:
  shardmill info out --seq-len 1024 --dim 768 --dtype bf16")]
    Info(InfoArgs),
    /// Check every checksum and every invariant of a dataset
    #[command(after_help = "Example:
  shardmill verify out && rsync -a out/ trainer:/data/out/")]
    Verify(VerifyArgs),
    /// Turn the ids of a dataset back into text
    #[command(after_help = "Examples:
  shardmill decode out | head
  shardmill decode out --document 3
  shardmill decode out --tokens 1000..1256 --json")]
    Decode(DecodeArgs),
    /// Write relative or absolute positions as an array
    #[command(after_help = positions::HELP)]
    Positions(positions::PositionsArgs),
    /// Measure this machine's ceilings, and how close to them shardmill comes
    #[command(after_help = bench::HELP)]
    Bench(bench::BenchArgs),
}

impl Command {
    /// Whether standard output is for one JSON object.
    pub(crate) fn prints_json(&self) -> bool {
        match self {
            Self::Run(args) => args.output.json,
            Self::Tokenize(args) => args.output.json,
            // Both on standard output is refused, and the reader there waits for embeddings.
            Self::Embed(args) => args.output.json && args.output.out != Path::new(embed::DASH),
            Self::Plan(args) => args.json,
            Self::Status(args) => args.json,
            Self::Finish(args) => args.json,
            Self::Info(args) => args.json,
            Self::Verify(args) => args.json,
            Self::Decode(args) => args.json,
            Self::Positions(args) => args.json,
            Self::Bench(args) => args.json,
        }
    }
}

const RUN_HELP: &str = "\
Writes the dataset to DIR and the embeddings to DIR/embeddings.

Examples:
  # weights as torch.manual_seed(123) and two torch.nn.Embedding would draw them
  shardmill run story.txt --out out --seq-len 256 --init-seed 123 --dim 256
  # a checkpoint's tables, in half precision
  shardmill run books/ --out out --token-table gpt2.safetensors#wte.weight \\
      --position-table gpt2.safetensors#wpe.weight --seq-len 1024 --dtype f16";

const TOKENIZE_HELP: &str = "\
INPUT is a file, a directory (all files in it, at any depth), a glob in quotes, a FIFO, or - for
standard input. Links are followed, hidden files left out. Ids are those of tiktoken. DIR appears
when it is complete.

Examples:
  shardmill tokenize books/ web.jsonl --out out
  shardmill tokenize 'crawl/*.jsonl' --text-field body --encoding o200k_base --out out
  shardmill tokenize site/ --include '*.{md,txt}' --exclude drafts --out out
  zcat c4.json.gz | shardmill tokenize - --input-format jsonl --out out

Run the same command again to resume a run that was interrupted.";

const FINISH_HELP: &str = "\
Reads DIR.partial, not the inputs, and names any units that are missing.

Example, with any number of processes or machines that see the same files:
  shardmill tokenize books/ --out out --units 0/2
  shardmill tokenize books/ --out out --units 1/2
  shardmill finish out";

const EMBED_HELP: &str = "\
Writes embeddings.npy [n, seq_len, dim], inputs.npy and targets.npy [n, seq_len], and embed.json.
With --out - or a FIFO, the embeddings alone go there, without a header unless --format is given.
When writing to a pipe, one core is left for its reader unless --threads is given.

Examples:
  shardmill embed out --out emb --init-seed 123 --dim 256
  shardmill embed out --out emb --token-table wte.npy --position-table sinusoidal
  shardmill embed out --out emb --token-table wte.npy --position-table rope --rope-style half
  shardmill embed out --out emb --init-seed 123 --dim 256 --dtype bf16 --format safetensors
  shardmill embed out --out - --token-table wte.npy --position-table wpe.npy | ./trainer";

/// `--json`, and where output goes.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Directory to create
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Replace existing output
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Sync output to disk before it becomes visible
    #[arg(long, default_value = "full", value_parser = choice(Durability::ALL, Durability::name))]
    pub(crate) durability: Durability,
    /// Number of threads [default: all cores]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a corpus becomes tokens.
#[derive(Debug, Args)]
pub(crate) struct TokenizeOptions {
    /// Encoding, by its tiktoken name
    #[arg(long, value_name = "NAME", default_value = "gpt2")]
    pub(crate) encoding: String,
    /// Field of a JSON Lines record that holds the document
    #[arg(long, value_name = "FIELD", default_value = "text")]
    pub(crate) text_field: String,
    /// Where each document's end-of-text token goes
    #[arg(long, default_value = "after", value_parser = choice(Eot::ALL, Eot::name))]
    pub(crate) eot: Eot,
    /// How to encode the text of a special token: as text, as its own id, or not (an error)
    #[arg(long, default_value = "text", value_parser = choice(Special::ALL, Special::name))]
    pub(crate) special: Special,
    /// What to do with bytes that are not UTF-8, as in Python, and with lone surrogates in JSON
    #[arg(long, default_value = "strict", value_parser = choice(InvalidUtf8::ALL, InvalidUtf8::name))]
    pub(crate) invalid_utf8: InvalidUtf8,
    /// What to do with a JSON Lines record without a document: end the run, or leave the record
    /// out, count it, and list it in DIR/shard-*.bad.jsonl
    #[arg(long, value_name = "WHAT", default_value = "error", value_parser = choice(BadRecords::ALL, BadRecords::name))]
    pub(crate) bad_records: BadRecords,
    /// Integer type of the ids; u16 only for vocabularies up to 65536
    #[arg(long, default_value = "u32", value_parser = choice(TokenDtype::ALL, TokenDtype::name))]
    pub(crate) token_dtype: TokenDtype,
    /// Bytes of input per shard, such as 1.5GB
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub(crate) unit_size: u64,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    #[command(flatten)]
    pub(crate) corpus: CorpusArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Make only units whose index modulo N is I; run `finish` to publish
    #[arg(long, value_name = "I/N", value_parser = share)]
    pub(crate) units: Option<UnitShare>,
    /// Rebuild damaged shards of DIR and keep the others
    #[arg(long, conflicts_with = "units")]
    pub(crate) repair: bool,
    #[command(flatten)]
    pub(crate) tokenize: TokenizeOptions,
}

/// Which windows.
#[derive(Debug, Args)]
pub(crate) struct WindowArgs {
    /// Tokens in a window
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) seq_len: u64,
    /// Tokens from the start of one window to the start of the next [default: seq-len]
    #[arg(long, value_name = "N")]
    pub(crate) stride: Option<u64>,
    /// Whether windows may cross the ends of documents, or stay within one
    #[arg(long, value_name = "KIND", default_value = "stream", value_parser = choice(WindowKind::ALL, WindowKind::name))]
    pub(crate) window: WindowKind,
    /// How to handle a document's last, incomplete window: drop (and count) it, or pad it with
    /// end-of-text, whose targets are -100; needs --window documents
    #[arg(long, value_name = "WHAT", default_value = "drop", value_parser = choice(Tail::ALL, Tail::name))]
    pub(crate) tail: Tail,
}

/// How windows become embeddings.
#[derive(Debug, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "these lines are help texts, where backticks would show"
)]
pub(crate) struct EmbedOptions {
    #[command(flatten)]
    pub(crate) windows: WindowArgs,
    /// Windows in a batch
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) batch_size: u64,
    /// Drop the last batch if it is not full
    #[arg(long)]
    pub(crate) drop_last: bool,
    /// Shuffle windows with this seed, which may be negative as in PyTorch
    #[arg(long, value_name = "SEED", value_parser = parse_seed, allow_negative_numbers = true)]
    pub(crate) shuffle: Option<u64>,
    /// Pass over the shuffled windows, counted from 0
    #[arg(long, value_name = "E", default_value_t = 0, requires = "shuffle")]
    pub(crate) epoch: u32,
    /// How to shuffle windows: like PyTorch's DataLoader(shuffle=True) after
    /// torch.manual_seed(SEED), or by a permutation that needs no memory
    #[arg(long, value_name = "HOW", default_value = "torch", value_parser = choice(ShuffleOrder::ALL, ShuffleOrder::name), requires = "shuffle")]
    pub(crate) shuffle_order: ShuffleOrder,
    /// Token table: .npy, or .safetensors, with #KEY if it holds several
    #[arg(long, value_name = "FILE[#KEY]")]
    pub(crate) token_table: Option<OsString>,
    /// Position table: a file like the token table, sinusoidal, rope, or none
    #[arg(long, value_name = "FILE[#KEY]|sinusoidal|rope|none")]
    pub(crate) position_table: Option<OsString>,
    /// Which columns rope rotates together: neighbors (RoFormer, GPT-J), or those half a row apart
    /// (GPT-NeoX, Llama) [default: interleaved]
    #[arg(long, value_parser = choice(RopeStyle::ALL, RopeStyle::name))]
    pub(crate) rope_style: Option<RopeStyle>,
    /// Ratio of rope's longest wavelength to its shortest [default: 10000]
    #[arg(long, value_name = "X")]
    pub(crate) rope_base: Option<f64>,
    /// Read 16-bit integer tables as bf16, for which .npy has no type
    #[arg(long, value_parser = choice([Dtype::BF16], Dtype::name))]
    pub(crate) table_dtype: Option<Dtype>,
    /// Draw tables that are not given, as PyTorch does after torch.manual_seed(SEED)
    #[arg(long, value_name = "SEED", value_parser = parse_seed, allow_negative_numbers = true)]
    pub(crate) init_seed: Option<u64>,
    /// Columns of drawn tables
    #[arg(long, value_name = "N", requires = "init_seed")]
    pub(crate) dim: Option<usize>,
    /// Rows of the drawn position table [default: seq-len]
    #[arg(long, value_name = "N", requires = "init_seed")]
    pub(crate) context_length: Option<usize>,
    /// Take the N-th position table drawn
    #[arg(long, value_name = "N", default_value_t = 1, requires = "init_seed")]
    pub(crate) init_position_draw: u32,
    /// Element type of the embeddings
    #[arg(long, default_value = "f32", value_parser = choice(Dtype::ALL, Dtype::name))]
    pub(crate) dtype: Dtype,
    /// File format of the arrays; raw is the elements alone [default: npy]
    #[arg(long, value_parser = choice(ArrayFormat::ALL, ArrayFormat::name))]
    pub(crate) format: Option<ArrayFormat>,
    /// Vector instructions to use [default: the best available]; the output is the same
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub(crate) simd: Option<Level>,
}

#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    /// Directory of the dataset
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) embed: EmbedOptions,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) corpus: CorpusArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten, next_help_heading = "Tokens")]
    pub(crate) tokenize: TokenizeOptions,
    #[command(flatten, next_help_heading = "Embeddings")]
    pub(crate) embed: EmbedOptions,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Directory of the dataset
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: PathBuf,
    #[command(flatten)]
    pub(crate) windows: WindowArgs,
    /// Columns of the embeddings
    #[arg(long, value_name = "N", default_value_t = 768)]
    pub(crate) dim: u64,
    /// Element type of the embeddings
    #[arg(long, default_value = "f32", value_parser = choice(Dtype::ALL, Dtype::name))]
    pub(crate) dtype: Dtype,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) corpus: CorpusArgs,
    #[command(flatten)]
    pub(crate) tokenize: TokenizeOptions,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Directory of the dataset, as given to --out
    #[arg(value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FinishArgs {
    /// Directory of the dataset, as given to --out
    #[arg(value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// Replace existing output
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Sync output to disk before it becomes visible
    #[arg(long, default_value = "full", value_parser = choice(Durability::ALL, Durability::name))]
    pub(crate) durability: Durability,
    /// Number of threads [default: all cores]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Directory of the dataset, or of embeddings
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: PathBuf,
    /// Also read these inputs and compare them with those that the dataset was made from
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    pub(crate) inputs: Vec<OsString>,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// Directory of the dataset
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: PathBuf,
    /// Only this document, counted from 0
    #[arg(long, value_name = "I", conflicts_with_all = ["documents", "tokens"])]
    pub(crate) document: Option<u64>,
    /// Only these documents, counted from 0; the end is exclusive
    #[arg(long, value_name = "FIRST..END", value_parser = range, conflicts_with = "tokens")]
    pub(crate) documents: Option<Range<u64>>,
    /// Only these tokens, counted from 0 over all shards; the end is exclusive
    #[arg(long, value_name = "FIRST..END", value_parser = range)]
    pub(crate) tokens: Option<Range<u64>>,
    /// Include the documents' end-of-text tokens, by name
    #[arg(long)]
    pub(crate) keep_special: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// A parser that takes the names of `values` and lists them in help and errors.
pub(crate) fn choice<T, const N: usize>(
    values: [T; N],
    name: impl Fn(T) -> &'static str + Clone + Send + Sync + 'static,
) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(values.map(&name)).map(move |typed| {
        let found = values.iter().copied().find(|&value| name(value) == typed);
        // The parser lets only these names through.
        found.unwrap_or(values[0])
    })
}

pub(crate) fn level(typed: &str) -> Result<Level, String> {
    let available = Level::available();
    let names: Vec<_> = available.iter().map(ToString::to_string).collect();
    available
        .into_iter()
        .find(|level| level.to_string() == typed)
        .ok_or_else(|| format!("this CPU has {}", names.join(", ")))
}

fn share(typed: &str) -> Result<UnitShare, String> {
    let parsed = typed
        .split_once('/')
        .and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
    parsed
        .and_then(|(index, of)| UnitShare::new(index, of).ok())
        .ok_or_else(|| "a part is I/N with I from 0 to N - 1, such as 0/2".to_owned())
}

fn range(typed: &str) -> Result<Range<u64>, String> {
    let parsed = typed
        .split_once("..")
        .and_then(|(start, end)| Some(start.parse::<u64>().ok()?..end.parse::<u64>().ok()?));
    parsed
        .filter(|range| range.start <= range.end)
        .ok_or_else(|| "a range is FIRST..END, such as 0..10".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ranges_are_first_and_end() {
        assert_eq!(range("3..7"), Ok(3..7));
        for bad in ["", "3", "7..3", "..3", "a..b", "-1..2"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
