//! What a dataset holds: its sources, the lengths of its documents, its most frequent tokens.
//!
//! ```text
//! mod         what a report says
//! scan        reads every shard once, checks and counts it
//! buckets     counts of numbers of any size in bounded memory
//! sources     which sources have the most tokens
//! vocabulary  which ids occur, and how often
//! ```
//!
//! Memory does not grow with the dataset: each thread has a count for each id and two lists of
//! buckets, and all share three sums for each source and a few words for each 16 MiB of ids. Knows
//! nothing of pages; `page` shows a report.

mod buckets;
mod scan;
mod sources;
mod vocabulary;

use serde::Serialize;
use shardmill_core::hash::Hash128;
use shardmill_tokenizer::Tokenizer;

use crate::dataset::{
    BadRecord, EncodingInfo, Settings, Shuffled, TokenStore, Totals, first_bad_records,
};
use crate::error::{Error, Result};
use crate::progress::Stats;

pub use buckets::{Bar, Distribution};
pub use sources::{SourceShare, SourceSums, Sources};
pub(crate) use vocabulary::TO_COVER;
pub use vocabulary::{Coverage, TokenUse, VocabularyUse};

/// How many sources a report names.
const SOURCES: usize = 20;
/// How many of the most frequent tokens it lists.
const TOKENS: usize = 50;
/// How many of the records that were left out it lists.
const BAD_RECORDS: usize = 10;

/// The width of the bars of [`Report::density`], and where the last one begins.
const DENSITY_STEP: usize = 25;
const DENSITY_END: u64 = 1200;

/// What a dataset holds. The same for the same dataset and tokenizer, whatever the machine and the
/// number of threads.
///
/// ```no_run
/// use shardmill::{Report, Stats, TokenStore, Tokenizer};
///
/// let store = TokenStore::open("out".as_ref())?;
/// let gpt2 = Tokenizer::by_name("gpt2")?;
/// let report = Report::of(&store, Some(&gpt2), &Stats::default())?;
/// println!("half of the documents have at most {} tokens", report.lengths.median);
/// for token in report.vocabulary.most_frequent.iter().take(3) {
///     println!("{} occurs {} times", token.id, token.count);
/// }
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The dataset.
    pub dataset_id: Hash128,
    /// The version of its format.
    pub format_version: u32,
    /// What its ids mean.
    pub encoding: EncodingInfo,
    /// The settings that shape its bytes.
    pub settings: Settings,
    /// How its documents were shuffled, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shuffled: Option<Shuffled>,
    /// Its sums.
    pub totals: Totals,
    /// The number of its shards.
    pub shards: u64,
    /// Its sources.
    pub sources: Sources,
    /// The lengths of its documents in tokens, with the tokens that begin and end them. The bars are
    /// 0 and the powers of two.
    pub lengths: Distribution,
    /// Bytes of text per token, in hundredths, of each document that has text. The bars are quarters
    /// of a byte. `None` without a tokenizer.
    pub density: Option<Distribution>,
    /// How it uses its vocabulary.
    pub vocabulary: VocabularyUse,
    /// The first records that it leaves out; [`Totals::bad_records`] counts all.
    pub bad_records: Vec<BadRecord>,
}

impl Report {
    /// Reads all of `store`, in parallel on rayon's current threads, and checks what it reads as
    /// [`verify`](crate::verify) does. Without the dataset's `tokenizer`, the report has ids, but no
    /// bytes. `stats` counts bytes of files.
    ///
    /// # Errors
    /// [`Error::Config`] if `tokenizer` has other tokens than the dataset, [`Error::Shard`] if a
    /// file is damaged, [`Error::Stopped`] after [`Stats::stop`].
    pub fn of(store: &TokenStore, tokenizer: Option<&Tokenizer>, stats: &Stats) -> Result<Self> {
        let manifest = store.manifest();
        let encoding = &manifest.encoding;
        let is_other = |tokenizer: &Tokenizer| {
            tokenizer.vocabulary_hash() != encoding.vocabulary_hash
                || tokenizer.n_vocab() != encoding.n_vocab
        };
        if tokenizer.is_some_and(is_other) {
            let what = format!(
                "has other tokens than {}, which the dataset was made with",
                encoding.name
            );
            return Err(Error::config("tokenizer", what));
        }
        let counted = scan::scan(store, tokenizer, stats)?;
        let powers: Vec<u64> = (0..u64::BITS).map(|bit| 1 << bit).collect();
        let quarters: Vec<u64> = (0..=DENSITY_END).step_by(DENSITY_STEP).collect();
        let has_density = tokenizer.is_some();
        Ok(Self {
            dataset_id: manifest.dataset_id,
            format_version: manifest.format_version,
            encoding: encoding.clone(),
            settings: manifest.settings.clone(),
            shuffled: manifest.shuffled,
            totals: manifest.totals,
            shards: manifest.shards.len() as u64,
            sources: counted.sources.largest(&manifest.sources, SOURCES),
            lengths: counted.lengths.distribution(&[&[0], &powers[..]].concat()),
            density: has_density.then(|| counted.density.distribution(&quarters)),
            vocabulary: VocabularyUse::of(&counted.ids, encoding.n_vocab, tokenizer, TOKENS),
            bad_records: first_bad_records(store.path(), &manifest.shards, BAD_RECORDS)?,
        })
    }
}
