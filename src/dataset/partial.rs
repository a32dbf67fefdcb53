//! Which finished units in DIR.partial belong to a plan, and what happens to the others.

use std::collections::HashSet;

use crate::dataset::{EMBEDDINGS, MANIFEST, Manifest, Plan};
use crate::error::{Error, Result};
use crate::publish::durability::sync_directory;
use crate::publish::inventory::{RUN, Room};
use crate::publish::json_file::open_regular;
use crate::publish::staging::Staging;
use crate::publish::target::create_output;
use crate::publish::temp_file::link_or_copy;

/// Returns whether some finished unit in the directory is also valid for the new plan.
pub(crate) type Holds<'a> = &'a dyn Fn(&Staging) -> Result<bool>;

impl Staging {
    /// Makes the directory belong to `plan`. Units of the same job that have a receipt stay. If
    /// sizes differ, it is the same job only if `holds` says that a finished unit is still valid,
    /// because other files may have the same names.
    ///
    /// # Errors
    /// [`Error::Output`] names the first difference if the directory holds finished work of another
    /// plan and the caller does not allow discarding it.
    pub(crate) fn adopt(&mut self, plan: &Plan, holds: Holds<'_>) -> Result<()> {
        let found = Plan::read(self.partial());
        if let Ok(Some(found)) = &found
            && self.is_same_job(found, plan, holds)?
        {
            self.reopen()?;
            self.take_charge();
            self.tidy()?;
            if found == plan {
                return Ok(());
            }
            // The content changed: other sizes or cuts mean other units. Receipts tell which units
            // are unchanged.
        } else {
            self.check_discard(&match found {
                Ok(Some(found)) => found.difference(plan).unwrap_or_default(),
                Ok(None) => "they have no plan.json".to_owned(),
                Err(error) => error.problem(),
            })?;
            self.discard()?;
        }
        plan.write(self.partial(), self.durability())?;
        sync_directory(self.partial(), self.durability())
    }

    fn is_same_job(&self, found: &Plan, plan: &Plan, holds: Holds<'_>) -> Result<bool> {
        if found.plan_id == plan.plan_id {
            return Ok(true);
        }
        let may_be = found.job_id() == plan.job_id() && !self.is_complete();
        Ok(may_be && holds(self)?)
    }

    /// Like [`Self::adopt`], for one of several processes that share the directory: what is there
    /// may be in use, so it stays.
    pub(crate) fn join(&mut self, plan: &Plan, holds: Holds<'_>) -> Result<()> {
        while !self.try_join(plan, holds)? {}
        self.take_charge();
        Ok(())
    }

    /// Whether the plan in the directory was `plan`; if not, it may be now, so try again.
    fn try_join(&mut self, plan: &Plan, holds: Holds<'_>) -> Result<bool> {
        let found = Plan::read(self.partial());
        match &found {
            Ok(Some(found)) if found == plan => return Ok(true),
            Ok(Some(found)) if found.plan_id == plan.plan_id => {
                return Err(Error::output(
                    self.partial(),
                    (
                        "has a plan for inputs of the same sizes and other contents",
                        "give all processes the same inputs, or run `tokenize` alone to make again \
                         what changed",
                    ),
                ));
            }
            // If several processes start at once, one writes the plan and all read it.
            Ok(None)
                if !self.is_complete() && self.inventory().receipts(self.partial())?.is_empty() =>
            {
                plan.write_new(self.partial(), self.durability())?;
                sync_directory(self.partial(), self.durability())?;
                return Ok(false);
            }
            _ => {}
        }
        // Only a process that is alone may remove what is there.
        self.while_alone(|staging| staging.adopt(plan, holds))?;
        Ok(false)
    }

    /// Removes everything from the new output except the dataset of `manifest` and its embeddings.
    pub(crate) fn keep_dataset(&self, manifest: &Manifest) -> Result<()> {
        let files: HashSet<&str> = manifest
            .shards
            .iter()
            .flat_map(|shard| shard.files().map(|file| file.name))
            .chain([MANIFEST, RUN, EMBEDDINGS])
            .collect();
        self.inventory()
            .clear_but(self.new_output(), Room::Output, |name| files.contains(name))
    }

    /// Links or copies the embeddings in `from`, which belong to the same dataset, into the new
    /// output.
    pub(crate) fn keep_embeddings(&self, from: &std::path::Path) -> Result<()> {
        let old = from.join(EMBEDDINGS);
        if !old.is_dir() {
            return Ok(());
        }
        let new = self.new_output().join(EMBEDDINGS);
        create_output(&new)?;
        self.inventory().each_entry(&old, Room::Output, |entry| {
            link_or_copy(&old, &new, entry.name, self.durability())?;
            // The run that made the file may not have synced it. A pipe in a file's place must not
            // block.
            let path = new.join(entry.name);
            match open_regular(&path) {
                Ok(Some(file)) => self.durability().sync(&file, &path),
                Err(error @ Error::Io { .. }) => Err(error),
                Ok(None) | Err(_) => Ok(()),
            }
        })?;
        sync_directory(&new, self.durability())
    }
}
