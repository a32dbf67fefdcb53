//! The progress of an output: published, or which of its units are done.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use shardmill_core::hash::Hash128;

use crate::dataset::{MANIFEST, Plan, Receipt, TokenStore};
use crate::error::{Error, Result};
use crate::outputs::OUTPUTS;
use crate::publish::inventory::NEW;
use crate::publish::lock::is_locked;
use crate::publish::state::{Stage, stage};
use crate::publish::target::places;

/// The progress of the dataset in a directory.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The id of the complete dataset, if there is one.
    pub dataset_id: Option<Hash128>,
    /// What is being made next to it, or was left by a run that ended early.
    pub partial: Option<Partial>,
    /// The same, if it is not made in units: by [`shuffle`](crate::shuffle::shuffle) or
    /// [`embed`](crate::embed()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_units: Option<WithoutUnits>,
}

/// The progress of a run whose output is not made in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct WithoutUnits {
    /// Whether the output is complete and waits to be published.
    pub is_complete: bool,
    /// Whether a run holds the directory's lock.
    pub is_locked: bool,
}

/// The progress of the units of a plan, by their indices.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Partial {
    /// The plan that the units belong to.
    pub plan_id: Hash128,
    /// The number of units.
    pub units: u64,
    /// Units with a receipt.
    pub done: Vec<u64>,
    /// Units that a run is currently writing.
    pub running: Vec<u64>,
    /// All others.
    pub missing: Vec<u64>,
    /// The size of the corpus in bytes.
    pub total_bytes: u64,
    /// The number of corpus bytes in units that are done.
    pub done_bytes: u64,
    /// Whether the output is complete and waits to be published.
    pub is_complete: bool,
    /// Whether a run holds the directory's lock.
    pub is_locked: bool,
}

/// Returns the progress of the dataset `out`. Receipts are read, but shards are not.
///
/// # Errors
/// [`Error::Shard`] if nothing is there, or a manifest or plan is damaged.
///
/// ```no_run
/// let status = shardmill::status("out".as_ref())?;
/// if let Some(partial) = status.partial {
///     println!("{} of {} units done", partial.done.len(), partial.units);
/// }
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn status(out: &Path) -> Result<Status> {
    let (out, partial) = places(out)?;
    let manifest = out.join(MANIFEST);
    let is_there = match manifest.try_exists() {
        // A plain file at `out` is not a dataset.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => false,
        found => found.map_err(Error::io(&manifest, "cannot open"))?,
    };
    let dataset_id = if is_there {
        Some(TokenStore::open(&out)?.manifest().dataset_id)
    } else {
        None
    };
    let stage = match fs::symlink_metadata(&partial) {
        Ok(_) => stage(&out, &partial)?,
        Err(_) => Stage::Empty,
    };
    let is_making = !matches!(stage, Stage::Empty | Stage::Published);
    let plan = if is_making {
        Plan::read(&partial)?
    } else {
        None
    };
    let without_units = if is_making && plan.is_none() {
        Some(WithoutUnits {
            is_complete: stage != Stage::Making,
            is_locked: is_locked(&partial)?,
        })
    } else {
        None
    };
    let partial = plan
        .map(|plan| partial_status(&partial, &plan, stage))
        .transpose()?;
    if dataset_id.is_none() && partial.is_none() && without_units.is_none() {
        return Err(Error::shard(
            out,
            "is no dataset, and no run is making one there",
        ));
    }
    Ok(Status {
        dataset_id,
        partial,
        without_units,
    })
}

pub(super) fn partial_status(partial: &Path, plan: &Plan, stage: Stage) -> Result<Partial> {
    let is_locked = is_locked(partial)?;
    let written = if is_locked {
        OUTPUTS.units_being_written(&partial.join(NEW))?
    } else {
        // Any temporary files are left over from a killed run.
        BTreeSet::new()
    };
    let mut status = Partial {
        plan_id: plan.plan_id,
        units: plan.units.len() as u64,
        done: Vec::new(),
        running: Vec::new(),
        missing: Vec::new(),
        total_bytes: plan.total_bytes(),
        done_bytes: 0,
        is_complete: stage != Stage::Making,
        is_locked,
    };
    let job_id = plan.job_id();
    for (index, unit) in plan.units.iter().enumerate() {
        let list = if matches!(Receipt::read(partial, plan, job_id, index), Ok(Some(_))) {
            status.done_bytes += plan.unit_bytes(unit);
            &mut status.done
        } else if written.contains(&index) {
            &mut status.running
        } else {
            &mut status.missing
        };
        list.push(index as u64);
    }
    Ok(status)
}
