//! The tables of a run: opened from files, drawn, or computed.

use std::ffi::OsStr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shardmill_core::dtype::Dtype;
use shardmill_core::hash::Hash128;

use crate::embed::{EmbedConfig, ROPE};
use crate::error::{Error, Result};
use crate::gather::Gatherer;
use crate::hash::block_hashes;
use crate::progress::Stats;
use crate::table::{InitialTables, ROTARY_BASE, Rope, RopeStyle, Table, TableOptions, TableSpec};
use crate::threads::thread_pool;

/// The token table of a run, and its positions, if it has any.
#[derive(Clone, Debug)]
pub struct EmbedTables {
    token: Table,
    position: Option<Position>,
}

/// What positions do to token rows.
#[derive(Clone, Debug)]
enum Position {
    Add(Table),
    Turn(Rope),
}

/// The tables of a run before any is drawn, because drawing may take more time and memory than is
/// available. Tables in files are open; the sizes of the others are known and valid.
#[derive(Debug)]
pub(super) struct TablePlan<'a> {
    config: &'a EmbedConfig,
    seq_len: usize,
    /// The sizes and the seed of drawn tables.
    initial: InitialTables,
    /// `None` if it is drawn.
    token: Option<FileTable>,
    position: PositionPlan,
}

/// A table in a file.
#[derive(Debug)]
struct FileTable {
    spec: TableSpec,
    table: Table,
}

#[derive(Debug)]
enum PositionPlan {
    None,
    File(FileTable),
    Drawn,
    Sinusoidal,
    Rope { style: RopeStyle, base: f64 },
}

/// Describes a table, without its location.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableInfo {
    origin: Origin,
    rows: usize,
    dim: usize,
    dtype: Dtype,
}

/// Where a table comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Origin {
    /// A file: its name, the tensor's key, and the hash of the hashes of its 16 MiB blocks.
    File {
        name: String,
        key: Option<String>,
        hash: Hash128,
    },
    /// PyTorch's initial weights.
    Drawn { seed: u64, draw: u32 },
    /// sin and cos of the position.
    Sinusoidal,
    /// Angles by which rows are rotated.
    Rope { style: RopeStyle, base: f64 },
}

impl<'a> TablePlan<'a> {
    /// Opens the files of the tables that `config` asks for, for ids below `n_vocab`.
    ///
    /// # Errors
    /// Those of [`EmbedTables::open`].
    pub(super) fn open(config: &'a EmbedConfig, n_vocab: u32) -> Result<Self> {
        config.validate()?;
        let n_vocab = n_vocab as usize;
        let seq_len = to_usize("seq_len", config.windows.seq_len)?;
        let token = config
            .token_table
            .as_deref()
            .map(|name| FileTable::open(name, TableOptions::token(n_vocab), config))
            .transpose()?;
        let dim = match (&token, config.dim) {
            (Some(token), Some(dim)) if token.table.dim() != dim => {
                return Err(Error::config(
                    "dim",
                    format!(
                        "is {dim}, the token table has {} columns",
                        token.table.dim()
                    ),
                ));
            }
            (Some(token), _) => token.table.dim(),
            (None, dim) => dim.unwrap_or(0),
        };
        let context_length = config.context_length.unwrap_or(seq_len);
        let mut initial =
            InitialTables::new(config.init_seed.unwrap_or(0), n_vocab, dim, context_length);
        initial.position_draw = config.init_position_draw;
        let position = PositionPlan::open(config, seq_len, dim)?;
        if matches!(position, PositionPlan::Drawn) {
            check_context_length(context_length, seq_len)?;
        }
        if token.is_none() || matches!(position, PositionPlan::Drawn) {
            initial.validate()?;
        }
        Ok(Self {
            config,
            seq_len,
            initial,
            token,
            position,
        })
    }

    /// Columns of all tables.
    pub(super) fn dim(&self) -> usize {
        self.initial.dim
    }

    /// Describes the token table and the positions. This reads the files.
    ///
    /// # Errors
    /// [`Error::Threads`] if the threads that read them cannot start.
    pub(super) fn infos(&self) -> Result<(TableInfo, Option<TableInfo>)> {
        let threads = self.config.threads;
        let initial = &self.initial;
        let computed = |origin, rows| TableInfo {
            origin,
            rows,
            dim: self.dim(),
            dtype: Dtype::F32,
        };
        let drawn = |draw, rows| {
            let seed = initial.seed;
            computed(Origin::Drawn { seed, draw }, rows)
        };
        let token = match &self.token {
            Some(file) => file.info(threads)?,
            None => drawn(1, initial.n_vocab),
        };
        let position = match &self.position {
            PositionPlan::None => None,
            PositionPlan::File(file) => Some(file.info(threads)?),
            PositionPlan::Drawn => Some(drawn(initial.position_draw, initial.context_length)),
            PositionPlan::Sinusoidal => Some(computed(Origin::Sinusoidal, self.seq_len)),
            &PositionPlan::Rope { style, base } => {
                Some(computed(Origin::Rope { style, base }, self.seq_len))
            }
        };
        Ok((token, position))
    }

    /// Draws the tables that are not in files.
    ///
    /// # Errors
    /// [`Error::Memory`] if memory runs out.
    pub(super) fn tables(&self) -> Result<EmbedTables> {
        let token = match &self.token {
            Some(file) => file.table.clone(),
            None => self.initial.token_table()?,
        };
        let position = match &self.position {
            PositionPlan::None => None,
            PositionPlan::File(file) => Some(Position::Add(file.table.clone())),
            PositionPlan::Drawn => Some(Position::Add(self.initial.position_table()?)),
            PositionPlan::Sinusoidal => {
                Some(Position::Add(Table::sinusoidal(self.seq_len, self.dim())?))
            }
            &PositionPlan::Rope { style, base } => {
                let rope = Rope::new(style, self.seq_len, self.dim(), base)?;
                Some(Position::Turn(rope))
            }
        };
        Ok(EmbedTables { token, position })
    }
}

impl PositionPlan {
    fn open(config: &EmbedConfig, seq_len: usize, dim: usize) -> Result<Self> {
        let name = match config.position_table.as_deref() {
            None => return Ok(Self::Drawn),
            Some(name) if name == "none" => return Ok(Self::None),
            Some(name) if name == "sinusoidal" => return Ok(Self::Sinusoidal),
            Some(name) if name == ROPE => {
                let base = config.rope_base.unwrap_or(ROTARY_BASE);
                Rope::check(dim, base)?;
                return Ok(Self::Rope {
                    style: config.rope_style.unwrap_or_default(),
                    base,
                });
            }
            Some(name) => name,
        };
        let file = FileTable::open(name, TableOptions::position(seq_len), config)?;
        if file.table.dim() != dim {
            return Err(Error::shape(format!(
                "the token table has {dim} columns and the position table {}; they must agree",
                file.table.dim()
            )));
        }
        Ok(Self::File(file))
    }
}

impl FileTable {
    fn open(name: &OsStr, options: TableOptions, config: &EmbedConfig) -> Result<Self> {
        let spec = TableSpec::parse(name);
        let table = Table::open(&spec, &options.with_table_dtype(config.table_dtype))?;
        Ok(Self { spec, table })
    }

    fn info(&self, threads: usize) -> Result<TableInfo> {
        let Self { spec, table } = self;
        let hashes =
            thread_pool(threads)?.install(|| block_hashes(table.bytes(), &Stats::default()));
        let file = spec.path().file_name().map_or(spec.path(), Path::new);
        Ok(TableInfo {
            origin: Origin::File {
                name: file.to_string_lossy().into_owned(),
                key: spec.key().map(str::to_owned),
                hash: Hash128::of_hashes(&hashes),
            },
            rows: table.rows(),
            dim: table.dim(),
            dtype: table.dtype(),
        })
    }
}

impl EmbedTables {
    /// Opens or draws the tables that `config` asks for, for ids below `n_vocab`.
    ///
    /// # Errors
    /// [`Error::Config`] if settings are missing or contradict each other; [`Error::Table`] if a
    /// file is not a table or is too short; [`Error::Shape`] if the tables' `dim` differs;
    /// [`Error::Memory`] if there is not enough memory to draw a table.
    pub fn open(config: &EmbedConfig, n_vocab: u32) -> Result<Self> {
        TablePlan::open(config, n_vocab)?.tables()
    }

    /// A gatherer of these tables.
    pub(super) fn gatherer(&self) -> Result<Gatherer> {
        let token = self.token.clone();
        match self.position.clone() {
            None => Gatherer::new(token, None),
            Some(Position::Add(table)) => Gatherer::new(token, Some(table)),
            Some(Position::Turn(rope)) => Gatherer::new(token, None)?.with_rope(rope),
        }
    }

    /// Columns of both tables.
    pub fn dim(&self) -> usize {
        self.token.dim()
    }
}

fn check_context_length(context_length: usize, seq_len: usize) -> Result<()> {
    if context_length < seq_len {
        return Err(Error::config(
            "context_length",
            format!("is {context_length}, windows have {seq_len} positions"),
        ));
    }
    Ok(())
}

pub(super) fn to_usize(field: &'static str, value: u64) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::config(field, "is beyond what memory can hold"))
}
