//! Dataset -> batches for a trainer, made ahead of time.
//!
//! ```text
//! config    the settings of a loader
//! state     the position in a pass, to resume from later
//! ring      results made ahead by threads, in order, in reused buffers
//! fill      one batch: windows, documents, positions, embeddings
//! segments  which documents lie in a range of tokens
//! batch     the arrays of a batch
//! ```
//!
//! Knows windows, orders and the gather; does not know what is done with a batch. The contents of a
//! batch depend only on the dataset, the settings and the batch's number, not on threads or on how
//! far ahead it was made.

mod batch;
mod config;
mod fill;
mod ring;
mod segments;
mod state;

use std::sync::Arc;

pub use batch::{LoadedBatch, NO_DOCUMENT};
pub use config::LoaderConfig;
pub use state::LoaderState;

use crate::dataset::TokenStore;
use crate::error::{Error, Result};
use crate::gather::Gatherer;
use crate::window::{Batches, Rank};
use batch::{Buffers, Shape};
use fill::Filler;
use ring::Ring;
use segments::Segments;
use shardmill_core::show::counted;

/// An iterator over the batches of one pass over a dataset, made ahead by threads.
///
/// The buffers of a [`LoadedBatch`] are reused once it is dropped; if the caller keeps batches, the
/// loader allocates more. An error takes the place of the batch that it concerns, and is the last
/// item. A loader may be dropped at any time: it waits only for the batches that are being made.
///
/// # Order and processes
///
/// All processes traverse the same order. A step takes `world_size * batch_size` samples of it; of
/// these, process `rank` skips the first `rank` and takes every `world_size`-th from there. So the
/// samples of a step are the same for every `world_size` with the same product. At the end,
/// [`drop_last`](crate::window::WindowConfig::drop_last) leaves out an incomplete step, so that
/// every process has the same number of full batches; [`n_dropped`](Self::n_dropped) counts what is left out. Without
/// `drop_last`, nothing is left out, and some processes may have one row or one batch fewer than
/// others.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use shardmill::{Corpus, CorpusOptions, Tokenizer, Loader, LoaderConfig, TokenStore};
/// use shardmill::window::ShuffleOrder;
/// # use shardmill::{Stats, TokenizeConfig, tokenize};
/// # let directory = tempfile::tempdir()?;
/// # let out = directory.path().join("out");
/// # let corpus = Corpus::open(&["fixtures/text/the-verdict.txt".into()], &CorpusOptions::default())?;
/// # let encoding = Tokenizer::by_name("gpt2")?;
/// # let run = serde_json::json!({});
/// # tokenize(&corpus, &encoding, &TokenizeConfig::default(), &out, &run, &Stats::default())?;
///
/// let store = Arc::new(TokenStore::open(&out)?);
/// let mut config = LoaderConfig::default();
/// config.windows.batch_size = 8;
/// config.windows.shuffle = Some(123);
/// config.windows.shuffle_order = ShuffleOrder::Keyed;
///
/// let mut loader = Loader::new(&store, &config, None)?;
/// let batch = loader.next().expect("a batch")?;
/// assert_eq!(batch.inputs().len(), 8 * 256);
/// assert_eq!(batch.inputs()[1..256], batch.targets()[..255]);
/// assert_eq!(batch.cu_seqlens().last(), Some(&(8 * 256)));
///
/// // Later, or in another process: the rest of the same pass.
/// let saved = serde_json::to_string(batch.state_after())?;
/// let state = serde_json::from_str(&saved)?;
/// for batch in Loader::resume(&store, &config, None, &state)? {
///     let batch = batch?;
///     assert!(batch.rows() <= 8);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Loader {
    ring: Ring<Buffers>,
    filler: Arc<Filler>,
    shape: Shape,
    /// The start of this loader's part of the pass.
    begin: LoaderState,
    n_batches: u64,
    /// The number of batches returned so far.
    done: u64,
}

impl Loader {
    /// Begins a pass over `store`. With a `gatherer`, batches have embeddings; each of the loader's
    /// threads runs it on that one thread.
    ///
    /// # Errors
    /// [`Error::Config`] names a setting; [`Error::Input`] if there are no windows;
    /// [`Error::Shape`] if the gatherer's tables are too small; [`Error::Shard`] if document
    /// records are damaged; [`Error::Threads`] if threads cannot start.
    pub fn new(
        store: &Arc<TokenStore>,
        config: &LoaderConfig,
        gatherer: Option<Gatherer>,
    ) -> Result<Self> {
        config.validate()?;
        let begin = LoaderState::new(store, config);
        Self::begin(store, config, gatherer, begin)
    }

    /// Resumes a pass over `store` at `state`, in its epoch. The batches are those that the loader
    /// that saved the state would have returned.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and [`Error::Config`] if the state belongs to another dataset
    /// or to settings with other samples.
    pub fn resume(
        store: &Arc<TokenStore>,
        config: &LoaderConfig,
        gatherer: Option<Gatherer>,
        state: &LoaderState,
    ) -> Result<Self> {
        config.validate()?;
        state.check(&LoaderState::new(store, config))?;
        Self::begin(store, config, gatherer, state.clone())
    }

    fn begin(
        store: &Arc<TokenStore>,
        config: &LoaderConfig,
        gatherer: Option<Gatherer>,
        begin: LoaderState,
    ) -> Result<Self> {
        let gatherer = gatherer.map(|gatherer| gatherer.with_threads(1));
        let seq_len = usize::try_from(config.windows.seq_len).unwrap_or(usize::MAX);
        if let Some(gatherer) = &gatherer {
            gatherer.check_tables(store.manifest().encoding.n_vocab, seq_len)?;
        }
        let windows = config.windows.open(Arc::clone(store), config.threads)?;
        windows.check_not_empty()?;
        let order = config.windows.order(windows.len(), begin.epoch())?;
        let step = config
            .windows
            .batch_size
            .saturating_mul(config.world_size.into());
        let places = places(&begin, windows.len(), step, config.windows.drop_last)?;
        let shape = Shape {
            // A batch never has more rows than there are windows.
            rows: usize::try_from(config.windows.batch_size.min(windows.len()))
                .unwrap_or(usize::MAX),
            seq_len,
            embeddings: gatherer
                .as_ref()
                .map(|gatherer| (gatherer.dim(), config.dtype)),
        };
        let filler = Arc::new(Filler {
            segments: Segments::new(store),
            windows,
            order,
            rank: Rank::new(config.rank, config.world_size)?,
            places,
            step,
            gatherer,
            dtype: config.dtype,
            restart_positions: config.restart_positions,
        });
        let n_batches = filler.n_batches();
        let buffers = (0..=config.depth).map(|_| Buffers::new(shape));
        let buffers = buffers.collect::<Result<Vec<_>>>()?;
        let work = Arc::clone(&filler);
        let ring = Ring::start(
            n_batches,
            buffers,
            config.threads,
            move |number, buffers| work.fill(number, buffers),
        );
        Ok(Self {
            ring: ring.map_err(Error::io(store.path(), "cannot start a thread to read it"))?,
            filler,
            shape,
            begin,
            n_batches,
            done: 0,
        })
    }

    /// The number of batches of this process in this loader, including those already returned.
    pub fn n_batches(&self) -> u64 {
        self.n_batches
    }

    /// The number of windows of the dataset.
    pub fn n_windows(&self) -> u64 {
        self.filler.windows.len()
    }

    /// The number of windows at the end of the pass that
    /// [`drop_last`](crate::window::WindowConfig::drop_last) leaves out.
    pub fn n_dropped(&self) -> u64 {
        self.n_windows() - self.filler.places.end
    }

    /// The number of tokens of the dataset that are in no window.
    pub fn n_left_out_tokens(&self) -> u64 {
        self.filler.windows.left_out().1
    }

    /// The number of tokens of the dataset that are an input of more than one window.
    pub fn n_repeated_tokens(&self) -> u64 {
        self.filler.windows.n_repeated()
    }

    /// The state from which a loader resumes after the batches returned so far.
    pub fn state(&self) -> LoaderState {
        let next = match self.done.checked_sub(1) {
            None => self.filler.places.start,
            Some(last) => self.filler.step(last).end,
        };
        self.begin.clone().with_next_sample(next)
    }
}

impl Iterator for Loader {
    type Item = Result<LoadedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let shape = self.shape;
        let lent = self.ring.next(|| Buffers::new(shape))?;
        Some(lent.map(|buffers| {
            self.done += 1;
            LoadedBatch::new(buffers, self.state())
        }))
    }
}

impl std::iter::FusedIterator for Loader {}

/// The places of a pass, from `begin` on.
fn places(
    begin: &LoaderState,
    n_windows: u64,
    step: u64,
    drop_last: bool,
) -> Result<std::ops::Range<u64>> {
    let first = begin.next_sample();
    let Some(rest) = n_windows.checked_sub(first) else {
        return Err(Error::config(
            "state",
            format!("is at sample {first}, the dataset has {n_windows}"),
        ));
    };
    let batches = Batches::new(rest, step, drop_last)?;
    if first == 0 && batches.is_empty() {
        return Err(Error::config(
            "drop_last",
            format!(
                "would drop everything: {} cannot fill a step of {step}",
                counted(n_windows, "window")
            ),
        ));
    }
    Ok(first..first + batches.n_rows())
}
