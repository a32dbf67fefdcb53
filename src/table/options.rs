//! How to open a table of any file format.

use shardmill_core::dtype::Dtype;

/// How to open a table.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TableOptions {
    /// Keys to look for if none is given and the file holds several tensors. A tensor is found by
    /// its whole name, or by the end of its name after a dot if only one tensor has that end.
    pub default_keys: Vec<String>,
    /// The type of 16-bit elements in files that do not name it: a `.npy` of `<u2`, `|V2` or `<V2`
    /// is read as bf16 only if this says so.
    pub table_dtype: Option<Dtype>,
    /// A table with fewer rows is refused.
    pub min_rows: usize,
}

impl TableOptions {
    /// Options for a token table of at least `n_vocab` rows, which GPT-2 checkpoints call
    /// `wte.weight`.
    pub fn token(n_vocab: usize) -> Self {
        Self {
            default_keys: vec!["wte.weight".to_owned()],
            min_rows: n_vocab,
            ..Self::default()
        }
    }

    /// Options for a position table of at least `seq_len` rows, which GPT-2 checkpoints call
    /// `wpe.weight`.
    pub fn position(seq_len: usize) -> Self {
        Self {
            default_keys: vec!["wpe.weight".to_owned()],
            min_rows: seq_len,
            ..Self::default()
        }
    }

    /// Sets [`table_dtype`](Self::table_dtype).
    #[must_use]
    pub fn with_table_dtype(mut self, dtype: Option<Dtype>) -> Self {
        self.table_dtype = dtype;
        self
    }
}
