//! The options that say how windows become embeddings, and their translation for the library.

use std::ffi::OsString;

use clap::Args;
use shardmill::sink::ArrayFormat;
use shardmill::table::RopeStyle;
use shardmill::window::{ShuffleOrder, WindowConfig};
use shardmill::{Dtype, EmbedConfig, Level};

use crate::cli::args::{ElementArgs, OutputArgs, WindowArgs, choice, level};
use crate::cli::human::parse_seed;

/// How windows become embeddings.
#[derive(Debug, Args)]
pub(crate) struct EmbedOptions {
    #[command(flatten, next_help_heading = "Windows")]
    pub(crate) windows: WindowArgs,
    #[command(flatten, next_help_heading = "Batches")]
    pub(crate) batches: BatchOptions,
    #[command(flatten, next_help_heading = "Tables")]
    pub(crate) tables: TableOptions,
    #[command(flatten, next_help_heading = "Embeddings")]
    pub(crate) arrays: ArrayOptions,
}

/// In which order, and how many at a time.
#[derive(Debug, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "these lines are help texts, where backticks would show"
)]
pub(crate) struct BatchOptions {
    /// Windows per batch
    #[arg(long, value_name = "N", default_value_t = WindowConfig::default().batch_size)]
    pub(crate) batch_size: u64,
    /// Drop the last batch if it is incomplete
    #[arg(long)]
    pub(crate) drop_last: bool,
    /// Shuffle the windows with this seed, which may be negative, as in PyTorch
    #[arg(long, value_name = "SEED", value_parser = parse_seed, allow_negative_numbers = true)]
    pub(crate) shuffle: Option<u64>,
    /// Epoch of the shuffle, counted from 0
    #[arg(long, value_name = "E", default_value_t = 0, requires = "shuffle")]
    pub(crate) epoch: u32,
    /// How to shuffle: like PyTorch's DataLoader(shuffle=True) after torch.manual_seed(SEED), or
    /// with a keyed permutation, which needs no memory
    #[arg(long, value_name = "HOW", default_value = "torch", value_parser = choice(ShuffleOrder::ALL, ShuffleOrder::name), requires = "shuffle")]
    pub(crate) shuffle_order: ShuffleOrder,
}

/// Which tables.
#[derive(Debug, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "these lines are help texts, where backticks would show"
)]
pub(crate) struct TableOptions {
    /// Token table: a .npy or .safetensors file, with #KEY if it holds several tables
    #[arg(long, value_name = "FILE[#KEY]")]
    pub(crate) token_table: Option<OsString>,
    /// Position table: a file as for --token-table, or sinusoidal, rope or none
    #[arg(long, value_name = "TABLE")]
    pub(crate) position_table: Option<OsString>,
    /// Which columns rope rotates together: neighbors (interleaved, as in RoFormer and GPT-J) or
    /// columns half a row apart (half, as in GPT-NeoX and Llama) [default: interleaved]
    #[arg(long, value_name = "STYLE", value_parser = choice(RopeStyle::ALL, RopeStyle::name))]
    pub(crate) rope_style: Option<RopeStyle>,
    /// Base (theta) of rope's angles [default: 10000]
    #[arg(long, value_name = "X")]
    pub(crate) rope_base: Option<f64>,
    /// Read 16-bit integers in .npy tables as bf16, for which .npy has no type
    #[arg(long, value_name = "DTYPE", value_parser = choice([Dtype::BF16], Dtype::name))]
    pub(crate) table_dtype: Option<Dtype>,
    /// Draw missing tables at random, as PyTorch does after torch.manual_seed(SEED)
    #[arg(long, value_name = "SEED", value_parser = parse_seed, allow_negative_numbers = true)]
    pub(crate) init_seed: Option<u64>,
    /// Embedding dimension of drawn tables
    #[arg(long, value_name = "N", requires = "init_seed")]
    pub(crate) dim: Option<usize>,
    /// Number of rows of the drawn position table [default: --seq-len]
    #[arg(long, value_name = "N", requires = "init_seed")]
    pub(crate) context_length: Option<usize>,
    /// Use the N-th drawn position table
    #[arg(long, value_name = "N", default_value_t = 1, requires = "init_seed")]
    pub(crate) init_position_draw: u32,
}

/// The arrays that are written.
#[derive(Debug, Args)]
pub(crate) struct ArrayOptions {
    #[command(flatten)]
    pub(crate) elements: ElementArgs,
    /// File format of the arrays; raw has no header [default: npy]
    #[arg(long, value_parser = choice(ArrayFormat::ALL, ArrayFormat::name))]
    pub(crate) format: Option<ArrayFormat>,
    /// SIMD level to use, which does not change the output [default: the best available]
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub(crate) simd: Option<Level>,
}

/// How windows become embeddings.
pub(crate) fn embed_config(options: &EmbedOptions, output: &OutputArgs) -> EmbedConfig {
    let EmbedOptions {
        windows,
        batches,
        tables,
        arrays,
    } = options;
    let mut config = EmbedConfig::default();
    config.windows.seq_len = windows.seq_len;
    config.windows.stride = windows.stride;
    config.windows.window = windows.window;
    config.windows.tail = windows.tail;
    config.windows.batch_size = batches.batch_size;
    config.windows.drop_last = batches.drop_last;
    config.windows.shuffle = batches.shuffle;
    config.windows.shuffle_order = batches.shuffle_order;
    config.windows.epoch = batches.epoch;
    config.token_table.clone_from(&tables.token_table);
    config.position_table.clone_from(&tables.position_table);
    config.rope_style = tables.rope_style;
    config.rope_base = tables.rope_base;
    config.table_dtype = tables.table_dtype;
    config.init_seed = tables.init_seed;
    config.dim = tables.dim;
    config.context_length = tables.context_length;
    config.init_position_draw = tables.init_position_draw;
    config.dtype = arrays.elements.dtype;
    config.array_format = arrays.format.unwrap_or_default();
    config.threads = output.threads.or(config.threads);
    config.level = arrays.simd.unwrap_or(config.level);
    config.durability = output.publish.durability;
    config.overwrite = output.publish.overwrite;
    config
}
