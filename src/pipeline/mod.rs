//! Corpus -> shards: in parallel, in order.
//!
//! ```text
//! plan     cuts the corpus into units; each becomes one shard
//! feed     hands out chunks of about 1 MiB from the open units, earliest first
//! worker   chunk -> documents -> ids, on every thread
//! commit   puts a unit's chunks in order, writes and hashes them, and writes its receipt
//! join     finished units -> the manifest
//! ```
//!
//! Around that: `found` checks whether the output already exists, `resume` reuses what an earlier
//! run finished, `finish` publishes what several processes made, `repair` remakes damaged shards,
//! and `status` reports progress.
//!
//! Threads decide only who works on which chunk: cuts, ids and files depend on the inputs and the
//! settings alone. Of several errors, the first in corpus order is reported: work before a failed
//! chunk continues, work after it stops.

mod chunk;
mod commit;
mod dataset;
mod feed;
mod finish;
mod found;
mod inputs;
mod join;
mod line_marks;
mod outcome;
mod patient;
mod plan;
mod repair;
mod resume;
mod status;
mod stream;
mod worker;

pub(crate) use dataset::build;
pub use dataset::tokenize;
pub use finish::{UnitShare, UnitsOutcome, finish, tokenize_units};
pub(crate) use found::find_same;
pub use inputs::verify_inputs;
pub use outcome::{Outcome, TakenOver};
pub use plan::plan;
pub use repair::repair;
pub use status::{Partial, Status, status};

use crate::dataset::{Eot, Settings, TokenDtype};
use crate::document::{BadRecords, InvalidUtf8};
use crate::encoding::{Encoding, Special};
use crate::error::{Error, Problem, Result};
use crate::publish::durability::Durability;

/// No machine has this many CPUs; a larger number is a typo.
pub(crate) const MAX_THREADS: usize = 1024;

/// How many bytes of text make one parallel step.
const CHUNK_BYTES: usize = 1 << 20;

/// How a corpus is tokenized.
///
/// ```
/// let mut config = shardmill::TokenizeConfig::default();
/// config.eot = shardmill::dataset::Eot::None;
/// config.threads = 4;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenizeConfig {
    /// The field of a JSON Lines record that holds the document.
    pub text_field: String,
    /// Where end-of-text tokens go.
    pub eot: Eot,
    /// What to do with the text of special tokens.
    pub special: Special,
    /// What to do with bytes that are not UTF-8, and with halves of surrogate pairs in JSON.
    pub invalid_utf8: InvalidUtf8,
    /// What to do with JSON Lines records that hold no document.
    pub bad_records: BadRecords,
    /// The integer type of the ids in shard files.
    pub token_dtype: TokenDtype,
    /// The number of corpus bytes after which a unit, and so a shard, ends at the next allowed cut.
    pub unit_size_bytes: u64,
    /// How many threads to use; the output does not depend on this.
    pub threads: usize,
    /// Whether output is forced to the disk before it becomes visible.
    pub durability: Durability,
    /// Whether an existing output may be replaced.
    pub overwrite: bool,
}

impl Default for TokenizeConfig {
    fn default() -> Self {
        Self {
            text_field: "text".to_owned(),
            eot: Eot::default(),
            special: Special::default(),
            invalid_utf8: InvalidUtf8::default(),
            bad_records: BadRecords::default(),
            token_dtype: TokenDtype::default(),
            unit_size_bytes: 256 << 20,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            durability: Durability::default(),
            overwrite: false,
        }
    }
}

impl TokenizeConfig {
    /// Checks that the settings are in range and fit `encoding`.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting.
    pub fn validate(&self, encoding: &Encoding) -> Result<()> {
        let refuse = |field, what: Problem| Err(Error::config(field, what));
        if self.unit_size_bytes == 0 {
            return refuse("unit_size_bytes", "must be at least 1 byte".into());
        }
        if !(1..=MAX_THREADS).contains(&self.threads) {
            return refuse("threads", format!("must be from 1 to {MAX_THREADS}").into());
        }
        if u64::from(encoding.n_vocab()) > self.token_dtype.max_vocab() {
            return refuse(
                "token_dtype",
                (
                    format!(
                        "{} has {} ids, which do not fit {}",
                        encoding.name(),
                        encoding.n_vocab(),
                        self.token_dtype.name()
                    ),
                    "use u32",
                )
                    .into(),
            );
        }
        Ok(())
    }

    /// The settings that shape the bytes.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            text_field: self.text_field.clone(),
            eot: self.eot,
            special: self.special,
            invalid_utf8: self.invalid_utf8,
            bad_records: self.bad_records,
            token_dtype: self.token_dtype,
            unit_size_bytes: self.unit_size_bytes,
        }
    }
}
