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

use shardmill_core::dtype::Dtype;
use shardmill_core::simd::Level;

use crate::error::{Error, Problem, Result};
use crate::publish::durability::Durability;
use crate::sink::ArrayFormat;
use crate::table::{RopeStyle, check_base};
use crate::threads::{check_threads, one_each_cpu};
use crate::window::WindowConfig;

/// The name that selects rotary positions instead of a position table.
const ROPE: &str = "rope";

/// How windows of a dataset become embeddings.
///
/// ```
/// let mut config = shardmill::EmbedConfig::default();
/// config.windows.seq_len = 1024;
/// config.init_seed = Some(123);
/// config.dim = Some(768);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmbedConfig {
    /// Which windows, and in what order and batches.
    pub windows: WindowConfig,
    /// `FILE[#key]` of the token table; drawn with `init_seed` if `None`.
    pub token_table: Option<OsString>,
    /// `FILE[#key]` of the position table, `sinusoidal`, `rope` or `none`; drawn with `init_seed`
    /// if `None`.
    pub position_table: Option<OsString>,
    /// Which columns `rope` rotates together; interleaved ones if `None`.
    pub rope_style: Option<RopeStyle>,
    /// The base of the wavelengths of `rope`; [`ROTARY_BASE`](crate::table::ROTARY_BASE) if `None`.
    pub rope_base: Option<f64>,
    /// The element type of tables in files that do not name it.
    pub table_dtype: Option<Dtype>,
    /// The seed for drawing tables as PyTorch does after `torch.manual_seed`.
    pub init_seed: Option<u64>,
    /// Columns of drawn tables.
    pub dim: Option<usize>,
    /// Rows of the drawn position table; `seq_len` if `None`.
    pub context_length: Option<usize>,
    /// Which of several successively drawn position tables to use, from 1.
    pub init_position_draw: u32,
    /// Element type of the output.
    pub dtype: Dtype,
    /// How the arrays are laid out in their files.
    pub array_format: ArrayFormat,
    /// How many threads to use; the output does not depend on this.
    pub threads: usize,
    /// Which vector instructions to use; the output does not depend on this.
    pub level: Level,
    /// Whether output is forced to the disk before it becomes visible.
    pub durability: Durability,
    /// Whether an existing output may be replaced.
    pub overwrite: bool,
}

impl Default for EmbedConfig {
    fn default() -> Self {
        Self {
            windows: WindowConfig::default(),
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
            threads: one_each_cpu(),
            level: Level::detect(),
            durability: Durability::default(),
            overwrite: false,
        }
    }
}

impl EmbedConfig {
    /// Checks that the settings are in range and do not contradict each other.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn validate(&self) -> Result<()> {
        let refuse = |field, what: Problem| Err(Error::config(field, what));
        self.windows.validate()?;
        check_threads(self.threads)?;
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

    /// Checks the settings of rotary positions.
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
