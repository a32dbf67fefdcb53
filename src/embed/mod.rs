//! Dataset -> input embeddings: windows, gather, sink.
//!
//! ```text
//! tables   opens or draws the token and position tables
//! job      windows in their order -> ids -> rows -> a sink
//! size     how large the output will be
//! record   embed.json: what the arrays are
//! run      the main job: tokenize, then embed
//! ```
//!
//! Does not know how tokens were made or what a sink does with rows.

mod job;
mod record;
mod run;
mod size;
mod tables;

use std::ffi::OsString;

pub use job::{EmbedOutcome, embed, embed_to};
pub use record::{EmbedRecord, VerifiedEmbeddings, verify_embeddings};
pub use run::run;
pub use tables::EmbedTables;

use crate::dtype::Dtype;
use crate::error::{Error, Problem, Result};
use crate::pipeline::MAX_THREADS;
use crate::publish::durability::Durability;
use crate::simd::Level;
use crate::sink::ArrayFormat;
use crate::table::{RopeStyle, check_base};
use crate::window::{ShuffleOrder, Tail, WindowKind};

/// The name of rotary positions in the place of a position table.
const ROPE: &str = "rope";

/// How windows of a dataset become embeddings.
///
/// ```
/// let mut config = shardmill::EmbedConfig::default();
/// config.seq_len = 1024;
/// config.init_seed = Some(123);
/// config.dim = Some(768);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmbedConfig {
    /// Tokens in a window.
    pub seq_len: u64,
    /// Tokens from the start of a window to that of the next; `seq_len` if not given, so that
    /// windows neither overlap nor leave gaps.
    pub stride: Option<u64>,
    /// Whether windows keep to documents.
    pub window: WindowKind,
    /// What becomes of the ends of documents, where windows keep to them.
    pub tail: Tail,
    /// Windows in a batch.
    pub batch_size: u64,
    /// Whether a last batch that is not full is left out.
    pub drop_last: bool,
    /// Seed `.0` and pass `.1`, from 0, of an order other than that of the dataset.
    pub shuffle: Option<(u64, u32)>,
    /// How the seed and the pass of `shuffle` become an order.
    pub shuffle_order: ShuffleOrder,
    /// `FILE[#key]` of the token table; drawn with `init_seed` if not given.
    pub token_table: Option<OsString>,
    /// `FILE[#key]` of the position table, `sinusoidal`, `rope` or `none`; drawn with `init_seed`
    /// if not given.
    pub position_table: Option<OsString>,
    /// Which columns `rope` turns together; interleaved ones if not given.
    pub rope_style: Option<RopeStyle>,
    /// The base of the wavelengths of `rope`; [`ROTARY_BASE`](crate::table::ROTARY_BASE) if not given.
    pub rope_base: Option<f64>,
    /// The type of tables in files that do not name it.
    pub table_dtype: Option<Dtype>,
    /// Draws tables as PyTorch does after `torch.manual_seed`.
    pub init_seed: Option<u64>,
    /// Columns of drawn tables.
    pub dim: Option<usize>,
    /// Rows of the drawn position table; `seq_len` if not given.
    pub context_length: Option<usize>,
    /// Which of the position tables drawn one after another is taken, from 1.
    pub init_position_draw: u32,
    /// Element type of the output.
    pub dtype: Dtype,
    /// How the arrays are laid out in their files.
    pub array_format: ArrayFormat,
    /// Threads to use; the output does not depend on them.
    pub threads: usize,
    /// Vector instructions to use; the output does not depend on them.
    pub level: Level,
    /// Whether output is forced to the disk before it becomes visible.
    pub durability: Durability,
    /// Whether an output made earlier may be replaced.
    pub overwrite: bool,
}

impl Default for EmbedConfig {
    fn default() -> Self {
        Self {
            seq_len: 256,
            stride: None,
            window: WindowKind::default(),
            tail: Tail::default(),
            batch_size: 4,
            drop_last: false,
            shuffle: None,
            shuffle_order: ShuffleOrder::default(),
            token_table: None,
            position_table: None,
            rope_style: None,
            rope_base: None,
            table_dtype: None,
            init_seed: None,
            dim: None,
            context_length: None,
            init_position_draw: 1,
            dtype: Dtype::F32,
            array_format: ArrayFormat::default(),
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            level: Level::detect(),
            durability: Durability::default(),
            overwrite: false,
        }
    }
}

impl EmbedConfig {
    /// Tokens from the start of a window to that of the next.
    pub fn stride(&self) -> u64 {
        self.stride.unwrap_or(self.seq_len)
    }

    /// Checks that the settings are in range and do not contradict each other.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn validate(&self) -> Result<()> {
        let refuse = |field, what: Problem| Err(Error::config(field, what));
        if self.seq_len == 0 {
            return refuse("seq_len", "must be at least 1".into());
        }
        if self.stride() == 0 {
            return refuse("stride", "must be at least 1".into());
        }
        self.window.check_tail(self.tail)?;
        if self.batch_size == 0 {
            return refuse("batch_size", "must be at least 1".into());
        }
        if !(1..=MAX_THREADS).contains(&self.threads) {
            return refuse("threads", format!("must be from 1 to {MAX_THREADS}").into());
        }
        self.check_rope()?;
        match (self.init_seed, &self.token_table, &self.position_table) {
            (None, None, _) => refuse(
                "token_table",
                (
                    "is needed",
                    "give a file, or `init_seed` and `dim` to draw one",
                )
                    .into(),
            ),
            (None, Some(_), None) => refuse(
                "position_table",
                (
                    "is needed",
                    "give a file, sinusoidal, rope or none, or `init_seed` to draw one",
                )
                    .into(),
            ),
            (Some(_), Some(_), Some(_)) => refuse(
                "init_seed",
                (
                    "draws nothing when both tables are given",
                    "leave it or one of them out",
                )
                    .into(),
            ),
            (Some(_), None, _) if self.dim.is_none() => refuse(
                "dim",
                "is needed with `init_seed`: how many columns the tables have".into(),
            ),
            _ => Ok(()),
        }
    }

    /// Checks what rotary positions take.
    fn check_rope(&self) -> Result<()> {
        let refuse = |field, what| Err(Error::config(field, what));
        let name = self.position_table.as_ref();
        if name.is_none_or(|name| name != ROPE) {
            let given = [
                ("rope_style", self.rope_style.is_some()),
                ("rope_base", self.rope_base.is_some()),
            ];
            return match given.into_iter().find(|(_, is_given)| *is_given) {
                Some((field, _)) => {
                    refuse(field, "goes with `position_table` rope alone".to_owned())
                }
                None => Ok(()),
            };
        }
        if let Some(base) = self.rope_base {
            check_base("rope_base", base)?;
        }
        match self.dim {
            Some(dim) if !dim.is_multiple_of(2) => refuse(
                "dim",
                format!("is {dim}; rotary positions turn pairs of columns, so it is even"),
            ),
            _ => Ok(()),
        }
    }
}
