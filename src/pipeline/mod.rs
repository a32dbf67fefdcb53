//! Corpus -> shards: in parallel, in order.
//!
//! ```text
//! plan        cuts the corpus into units; each becomes one shard
//! search      where a source may be cut
//! feed        which thread works on which chunk: of its own unit, or of the earliest; and who waits
//! cut_rules   where a unit or a chunk may end
//! cuts        cuts a unit, for one thread at a time
//! chunk       unit -> chunks of about 1 MiB: whole documents, or a piece of one
//! stream      cuts a corpus that has a stream, as it is read; `patient` waits for data
//! reader      reads a source from its start, a piece at a time
//! rows        reads a file with columns, a piece at a time
//! piece       a range of a source, with its bytes
//! reserve     when threads beyond the CPUs work
//! worker      chunk -> documents -> ids, on every thread
//! commit      puts a unit's chunks in order, writes and hashes their ids, and writes its receipt
//! site        what all units of a run have in common
//! lanes       whose turn it is on which chunk
//! ledger      the records of a unit, and the hashes of its input
//! range_hash  the hash of a source's range
//! line_marks  the line number of a left-out record
//! join        finished units -> the manifest
//!
//! dataset     a whole run, from claiming the output to publishing it
//! found       whether the output already exists
//! resume      reuses what an earlier run finished
//! finish      publishes what several processes made
//! repair      remakes damaged shards
//! inputs      whether a dataset was made from these inputs
//! status      reports progress
//! estimate    what a run will make, from a sample
//! outcome     what a run returns
//! ```
//!
//! The number of threads affects only which thread works on which chunk: cuts, ids and files depend on the inputs and the
//! settings alone. Of several errors, the first in corpus order is reported: work before a failed
//! chunk continues, work after it stops.

mod chunk;
mod commit;
mod cut_rules;
mod cuts;
mod dataset;
mod estimate;
mod feed;
mod finish;
mod found;
mod inputs;
mod join;
mod lanes;
mod ledger;
mod line_marks;
mod outcome;
mod patient;
mod piece;
mod plan;
mod range_hash;
mod reader;
mod repair;
mod reserve;
mod resume;
mod rows;
mod search;
mod site;
mod status;
mod stream;
mod worker;

pub(crate) use dataset::build;
pub use dataset::tokenize;
pub use estimate::{Estimate, estimate};
pub use finish::{UnitShare, UnitsOutcome, finish, tokenize_units};
pub(crate) use found::find_same;
pub use inputs::verify_inputs;
pub use outcome::{Outcome, TakenOver};
pub use plan::plan;
pub use repair::repair;
pub use status::{Partial, Status, status};

use shardmill_tokenizer::Tokenizer;

use crate::dataset::{Eot, ID_KEY, Settings, Split};
use crate::error::{Error, Problem, Result};
use crate::publish::durability::Durability;
use crate::threads::{check_threads, one_each_cpu};

/// How many bytes of text make one parallel step.
const CHUNK_BYTES: usize = 1 << 20;

/// At most so many fields are kept: each takes a byte for every document, however short.
const MAX_KEPT: usize = 256;

/// The name of a field may have so many dots at most: for each, the rest of a record is read once more.
const MAX_DOTS: usize = 64;

/// How a corpus is tokenized.
///
/// ```
/// let mut config = shardmill::TokenizeConfig::default();
/// config.settings.eot = shardmill::dataset::Eot::None;
/// config.threads = 4;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenizeConfig {
    /// What shapes the output; the manifest records it.
    pub settings: Settings,
    /// How many threads to use; the output does not depend on this. Those beyond the CPUs rest while
    /// these are fully used.
    pub threads: usize,
    /// Whether output is forced to the disk before it becomes visible.
    pub durability: Durability,
    /// Whether an existing output may be replaced.
    pub overwrite: bool,
}

impl Default for TokenizeConfig {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            threads: one_each_cpu(),
            durability: Durability::default(),
            overwrite: false,
        }
    }
}

impl TokenizeConfig {
    /// Checks the names of fields.
    fn check_fields(&self) -> Result<()> {
        let fields = self.settings.fields();
        for (name, setting) in fields.names() {
            if name.is_empty() && setting != "text_field" {
                return Err(Error::config(setting, "names a field without a name"));
            }
            let dots = memchr::memchr_iter(b'.', name.as_bytes()).count();
            if dots > MAX_DOTS {
                let what = format!("has {dots} dots, and may have {MAX_DOTS} at most");
                return Err(Error::config(setting, what));
            }
        }
        let keys: Vec<_> = self.settings.field_keys().collect();
        if keys.len() > MAX_KEPT {
            let what = format!(
                "names {} fields, and {MAX_KEPT} can be kept at most",
                keys.len()
            );
            return Err(Error::config("keep_fields", what));
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].contains(key) {
                let what = match self.settings.id_field.as_deref() {
                    Some(id) if *key == ID_KEY && id != *key => {
                        format!("names '{key}', which is what '{id}' is kept as")
                    }
                    _ => format!("names '{key}' twice"),
                };
                return Err(Error::config("keep_fields", what));
            }
        }
        Ok(())
    }

    /// Checks that the settings are in range and fit `encoding`.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn validate(&self, tokenizer: &Tokenizer) -> Result<()> {
        let refuse = |field, what: Problem| Err(Error::config(field, what));
        if self.settings.unit_size_bytes == 0 {
            return refuse("unit_size_bytes", "must be at least 1 byte".into());
        }
        check_threads(self.threads)?;
        self.check_fields()?;
        if u64::from(tokenizer.n_vocab()) > self.settings.token_dtype.max_vocab() {
            return refuse(
                "token_dtype",
                (
                    format!(
                        "{} has {} ids, which do not fit {}",
                        tokenizer.name(),
                        tokenizer.n_vocab(),
                        self.settings.token_dtype.name()
                    ),
                    "use u32",
                )
                    .into(),
            );
        }
        if self.settings.eot != Eot::None && tokenizer.end_of_text().is_none() {
            let candidates = tokenizer.end_of_text_candidates();
            let what = if candidates.is_empty() {
                "has no token that is known to end documents".to_owned()
            } else {
                let names = candidates.iter().map(|(text, id)| format!("{text} ({id})"));
                let names: Vec<_> = names.collect();
                format!(
                    "has several tokens that may end documents: {}",
                    names.join(", ")
                )
            };
            let what = format!("{} {what}", tokenizer.name());
            return refuse(
                "end_of_text",
                (what, "choose one, or use `eot` none").into(),
            );
        }
        if let Some(split) = self.settings.split
            && !(1..Split::WHOLE).contains(&split.validation_millionths)
        {
            let what = format!("holds out {} of a million", split.validation_millionths);
            return refuse("split", (what, "hold out some, but not all").into());
        }
        if let Some((min, max)) = self.settings.min_tokens.zip(self.settings.max_tokens)
            && min > max
        {
            let what = format!("{min} is more than `max_tokens`, {max}");
            return refuse("min_tokens", what.into());
        }
        if let Some(bos) = self.settings.bos
            && tokenizer.token_bytes(bos).is_none()
        {
            let what = format!("{bos} is no id of {}", tokenizer.name());
            return refuse("bos", what.into());
        }
        Ok(())
    }
}
