//! The tables of a run: opened from files, drawn, or computed.

use std::ffi::OsStr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::embed::{EmbedConfig, ROPE};
use crate::hash::{Hash128, block_hashes};
use crate::threads::thread_pool;
use crate::{
    Dtype, Error, Gatherer, InitialTables, ROTARY_BASE, Result, Rope, RopeStyle, Stats, Table,
    TableOptions, TableSpec,
};

/// The token table of a run, and its positions if it has any.
#[derive(Clone, Debug)]
pub struct EmbedTables {
    token: Table,
    position: Option<Position>,
    pub(super) token_info: TableInfo,
    pub(super) position_info: Option<TableInfo>,
}

/// What positions do to token rows.
#[derive(Clone, Debug)]
enum Position {
    Add(Table),
    Turn(Rope),
}

/// What a table is, without where it lay.
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
    /// A file, by its name, the tensor's key and the hash of the 16 MiB blocks' hashes.
    File {
        name: String,
        key: Option<String>,
        hash: Hash128,
    },
    /// PyTorch's initial weights.
    Drawn { seed: u64, draw: u32 },
    /// sin and cos of the position.
    Sinusoidal,
    /// Angles by which rows are turned.
    Rope { style: RopeStyle, base: f64 },
}

impl EmbedTables {
    /// Opens or draws the tables that `config` asks for, for ids below `n_vocab`.
    ///
    /// # Errors
    /// [`Error::Config`] where settings are missing or contradict each other; [`Error::Table`]
    /// where a file is no table or too short; [`Error::Shape`] where the tables' `dim` differs.
    pub fn open(config: &EmbedConfig, n_vocab: u32) -> Result<Self> {
        config.validate()?;
        let n_vocab = n_vocab as usize;
        let seq_len = to_usize("--seq-len", config.seq_len)?;
        let from_file = config
            .token_table
            .as_deref()
            .map(|name| open(name, TableOptions::token(n_vocab), config))
            .transpose()?;
        let dim = match (&from_file, config.dim) {
            (Some((table, _)), Some(dim)) if table.dim() != dim => {
                return Err(Error::Config {
                    field: "--dim",
                    what: format!("is {dim}, the token table has {} columns", table.dim()),
                });
            }
            (Some((table, _)), _) => table.dim(),
            (None, dim) => dim.unwrap_or(0),
        };
        let context_length = config.context_length.unwrap_or(seq_len);
        let mut initial =
            InitialTables::new(config.init_seed.unwrap_or(0), n_vocab, dim, context_length);
        initial.position_draw = config.init_position_draw;
        let (token, token_info) = match from_file {
            Some(found) => found,
            None => drawn(initial.token_table()?, &initial, 1),
        };
        let position = match config.position_table.as_deref() {
            Some(name) if name == "none" => None,
            Some(name) if name == "sinusoidal" => {
                let table = Table::sinusoidal(seq_len, dim)?;
                let info = TableInfo::new(&table, Origin::Sinusoidal);
                Some((Position::Add(table), info))
            }
            Some(name) if name == ROPE => Some(turned(config, seq_len, dim)?),
            Some(name) => {
                let (table, info) = open(name, TableOptions::position(seq_len), config)?;
                Some((Position::Add(table), info))
            }
            None => {
                check_context_length(context_length, seq_len)?;
                let table = initial.position_table()?;
                let (table, info) = drawn(table, &initial, initial.position_draw);
                Some((Position::Add(table), info))
            }
        };
        if let Some((Position::Add(table), _)) = &position
            && table.dim() != dim
        {
            return Err(Error::Shape {
                what: format!(
                    "the token table has {dim} columns and the position table {}; they must agree",
                    table.dim()
                ),
            });
        }
        let (position, position_info) = position.unzip();
        Ok(Self {
            token,
            position,
            token_info,
            position_info,
        })
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

impl TableInfo {
    fn new(table: &Table, origin: Origin) -> Self {
        Self {
            origin,
            rows: table.rows(),
            dim: table.dim(),
            dtype: table.dtype(),
        }
    }
}

fn check_context_length(context_length: usize, seq_len: usize) -> Result<()> {
    if context_length < seq_len {
        return Err(Error::Config {
            field: "--context-length",
            what: format!("is {context_length}, windows have {seq_len} positions"),
        });
    }
    Ok(())
}

pub(super) fn to_usize(field: &'static str, value: u64) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::Config {
        field,
        what: "is beyond what memory can hold".to_owned(),
    })
}

fn open(name: &OsStr, options: TableOptions, config: &EmbedConfig) -> Result<(Table, TableInfo)> {
    let spec = TableSpec::parse(name);
    let table = Table::open(&spec, &options.with_table_dtype(config.table_dtype))?;
    let pool = thread_pool(config.threads)?;
    let hashes = pool.install(|| block_hashes(table.bytes(), &Stats::default()));
    let file = spec.path().file_name().map_or(spec.path(), Path::new);
    let origin = Origin::File {
        name: file.to_string_lossy().into_owned(),
        key: spec.key().map(str::to_owned),
        hash: Hash128::of_hashes(&hashes),
    };
    let info = TableInfo::new(&table, origin);
    Ok((table, info))
}

/// Rotary positions for rows of `dim` columns.
fn turned(config: &EmbedConfig, seq_len: usize, dim: usize) -> Result<(Position, TableInfo)> {
    let style = config.rope_style.unwrap_or_default();
    let base = config.rope_base.unwrap_or(ROTARY_BASE);
    let info = TableInfo {
        origin: Origin::Rope { style, base },
        rows: seq_len,
        dim,
        dtype: Dtype::F32,
    };
    let rope = Rope::new(style, seq_len, dim, base)?;
    Ok((Position::Turn(rope), info))
}

fn drawn(table: Table, initial: &InitialTables, draw: u32) -> (Table, TableInfo) {
    let origin = Origin::Drawn {
        seed: initial.seed,
        draw,
    };
    let info = TableInfo::new(&table, origin);
    (table, info)
}
