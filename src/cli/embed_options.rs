//! How windows become embeddings: the options, and what the library makes of them.

use std::ffi::OsString;

use clap::Args;
use shardmill::{ArrayFormat, Dtype, EmbedConfig, Level, RopeStyle, ShuffleOrder};

use crate::cli::args::{ElementArgs, OutputArgs, WindowArgs, choice, level};
use crate::cli::human::parse_seed;

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
    #[command(flatten)]
    pub(crate) elements: ElementArgs,
    /// File format of the arrays; raw is the elements alone [default: npy]
    #[arg(long, value_parser = choice(ArrayFormat::ALL, ArrayFormat::name))]
    pub(crate) format: Option<ArrayFormat>,
    /// Vector instructions to use [default: the best available]; the output is the same
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub(crate) simd: Option<Level>,
}

/// How windows become embeddings.
pub(crate) fn embed_config(options: &EmbedOptions, output: &OutputArgs) -> EmbedConfig {
    let mut config = EmbedConfig::default();
    config.seq_len = options.windows.seq_len;
    config.stride = options.windows.stride;
    config.window = options.windows.window;
    config.tail = options.windows.tail;
    config.batch_size = options.batch_size;
    config.drop_last = options.drop_last;
    config.shuffle = options.shuffle.map(|seed| (seed, options.epoch));
    config.shuffle_order = options.shuffle_order;
    config.token_table.clone_from(&options.token_table);
    config.position_table.clone_from(&options.position_table);
    config.rope_style = options.rope_style;
    config.rope_base = options.rope_base;
    config.table_dtype = options.table_dtype;
    config.init_seed = options.init_seed;
    config.dim = options.dim;
    config.context_length = options.context_length;
    config.init_position_draw = options.init_position_draw;
    config.dtype = options.elements.dtype;
    config.array_format = options.format.unwrap_or_default();
    config.threads = output.threads.or(config.threads);
    config.level = options.simd.unwrap_or(config.level);
    config.durability = output.publish.durability;
    config.overwrite = output.publish.overwrite;
    config
}
