//! `state.json`: what DIR.partial is. Nothing is guessed from other files.
//!
//! | written    | is                                                           | is written                          |
//! | ---------- | ------------------------------------------------------------ | ----------------------------------- |
//! | `making`   | `new` is being filled; units with a receipt are finished     | before anything else in DIR.partial |
//! | `complete` | `new` is a whole output; its `run.json` has the same `run_id` | after all of `new` is synced        |
//! | `replaced` | the output with `run_id` is in place; what it replaced, here, is not needed | after the exchange is synced |
//!
//! `complete` is written before the renames that publish, so it is still found if a run is killed
//! between them. Which rename came last follows from the `run_id`: the output has it in its
//! `run.json`, wherever it lies.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use serde::{Deserialize, Serialize};
use shardmill_core::hash::{Hash128, Hasher128};

use crate::error::{Error, Result};
use crate::publish::durability::Durability;
use crate::publish::inventory::{MAX_STATE_BYTES, NEW, OLD, RUN, STATE, is_unbegun};
use crate::publish::json_file::{read_json, write_json};

/// `run.json` has the arguments of a command, which are at most some MB.
const MAX_RUN_BYTES: u64 = 64 << 20;

/// Identifies the run that made an output: random, so that no two outputs have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RunId(Hash128);

impl RunId {
    pub(crate) fn random() -> Self {
        let mut hasher = Hasher128::new();
        for _ in 0..2 {
            // The standard library seeds its hashers from the system.
            let random = RandomState::new().build_hasher().finish();
            hasher.update(&random.to_le_bytes());
        }
        Self(hasher.finish())
    }

    /// The id in the `run.json` of the output `directory`; `None` if none can be read.
    pub(super) fn of(directory: &Path) -> Option<Self> {
        #[derive(Deserialize)]
        struct Run {
            run_id: RunId,
        }
        let is_dir = fs::symlink_metadata(directory).is_ok_and(|found| found.is_dir());
        let run = || read_json::<Run>(&directory.join(RUN), "record of a run", MAX_RUN_BYTES);
        is_dir.then(run)?.ok()?.map(|run| run.run_id)
    }
}

/// The contents of `state.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum State {
    Making,
    Complete {
        run_id: RunId,
    },
    /// The ids of the output that is in place, and of what it replaced, if that had one.
    Replaced {
        run_id: RunId,
        replaced: Option<RunId>,
    },
}

impl State {
    /// Writes the state into `partial`, replacing an existing one.
    pub(super) fn write(self, partial: &Path, durability: Durability) -> Result<()> {
        write_json(partial, STATE, durability, &self)
    }
}

/// The progress of DIR.partial, from its state and the location of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was begun.
    Empty,
    /// An output is being made, or was when a run ended early.
    Making,
    /// An output is complete but not in its place.
    Complete,
    /// Like `Complete`, and what was in its place has been moved to `old`.
    Displaced,
    /// The output is, or was, in its place; what is left here is not needed.
    Published,
    /// The state is damaged, or does not match the files.
    Unknown,
}

/// The stage of `partial`, which belongs to the output `out`.
///
/// # Errors
/// [`Error::Output`] if it has no state and is not empty: no run made it.
pub(crate) fn stage(out: &Path, partial: &Path) -> Result<Stage> {
    let written = match read_json::<State>(&partial.join(STATE), "state", MAX_STATE_BYTES) {
        Ok(Some(state)) => state,
        Ok(None) if is_unbegun(partial)? => return Ok(Stage::Empty),
        Ok(None) => {
            return Err(Error::output(
                partial,
                (
                    format!("is in the way: it has no {STATE}, so no run of this version made it"),
                    "move it elsewhere",
                ),
            ));
        }
        Err(error @ Error::Io { .. }) => return Err(error),
        Err(_) => return Ok(Stage::Unknown),
    };
    let run_id = match written {
        // A link in place of `new` would become the output.
        State::Making if fs::symlink_metadata(partial.join(NEW)).is_ok_and(|new| !new.is_dir()) => {
            return Ok(Stage::Unknown);
        }
        State::Making => return Ok(Stage::Making),
        State::Replaced { run_id, .. } | State::Complete { run_id } => run_id,
    };
    let [new, old] = [NEW, OLD].map(|name| partial.join(name));
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    // An output that is removed file by file loses its id at some point. One with another id is not
    // the one that was replaced.
    let is_the_replaced = |path: &Path| match written {
        State::Replaced { replaced, .. } => RunId::of(path).is_none_or(|id| Some(id) == replaced),
        _ => true,
    };
    let is_published = RunId::of(out) == Some(run_id);
    Ok(
        if is_published && is_the_replaced(&new) && is_the_replaced(&old) {
            Stage::Published
        } else if matches!(written, State::Complete { .. }) && RunId::of(&new) == Some(run_id) {
            if is_there(&old) && !is_there(out) {
                Stage::Displaced
            } else {
                Stage::Complete
            }
        } else if is_there(&new) || is_there(&old) {
            Stage::Unknown
        } else {
            // It was published, and has since been moved or removed.
            Stage::Published
        },
    )
}
