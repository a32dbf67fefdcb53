//! What the units of a run share: where shards and receipts go, and the settings. Writes receipts.

use std::path::Path;

use shardmill_core::hash::Hash128;

use crate::corpus::Corpus;
use crate::dataset::{DoneUnit, Receipt, TokenDtype};
use crate::error::Result;
use crate::pipeline::TokenizeConfig;
use crate::pipeline::line_marks::LineMarks;
use crate::pipeline::resume::seen_sources;
use crate::pipeline::worker::Spare;
use crate::progress::Stats;
use crate::publish::durability::Durability;

/// Where shards go, and which job their receipts name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardSite<'a> {
    pub(crate) directory: &'a Path,
    /// Where receipts go.
    pub(crate) partial: &'a Path,
    pub(crate) dtype: TokenDtype,
    pub(crate) durability: Durability,
    pub(crate) config: &'a TokenizeConfig,
    pub(crate) line_marks: &'a LineMarks,
    /// Keeps the memory of written chunks for later ones.
    pub(crate) spare: &'a Spare,
    /// `None` if units get no receipts, because a stream cannot be read again.
    pub(crate) job_id: Option<Hash128>,
    pub(crate) stats: &'a Stats,
}

impl ShardSite<'_> {
    /// Writes the receipt of unit `index`, whose files have their final names.
    pub(crate) fn certify(
        &self,
        index: usize,
        done: DoneUnit,
        corpus: &Corpus,
    ) -> Result<DoneUnit> {
        let Some(job_id) = self.job_id else {
            return Ok(done);
        };
        let seen = seen_sources(corpus, &done)?;
        Receipt::new(job_id, index, done, seen).write(self.partial, self.durability)
    }
}
