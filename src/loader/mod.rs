//! Dataset -> batches for a trainer, made ahead of time.
//!
//! ```text
//! config    what is asked for
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
use crate::show::counted;
use crate::window::{Batches, Rank, WindowSet};
use batch::{Buffers, Shape};
use fill::Filler;
use ring::Ring;
use segments::Segments;

/// The batches of one pass over a dataset, made ahead by threads.
///
/// It iterates over [`LoadedBatch`]es, whose buffers are used again once they are dropped; whoever
/// keeps batches makes the loader allocate more. An error comes in the place of the batch that it
/// concerns, and is the last item. A loader may be dropped at any time: it waits for the batches that
/// are being made, and no longer.
///
/// # Order and processes
///
/// All processes go through one order. A step takes `world_size * batch_size` samples of it; of
/// these, process `rank` takes the first but `rank` and every `world_size`-th after it. So the
/// samples of a step are the same for every `world_size` with the same product. At the end,
/// [`drop_last`](LoaderConfig::drop_last) leaves out what is no whole step, and every process has
/// the same number of full batches; [`n_dropped`](Self::n_dropped) counts it. Without it nothing is
/// left out, and some processes have one row less than others, or one batch less.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use shardmill::{Corpus, CorpusOptions, Encoding, Loader, LoaderConfig, TokenStore};
/// use shardmill::window::ShuffleOrder;
/// # use shardmill::{Stats, TokenizeConfig, tokenize};
/// # let directory = tempfile::tempdir()?;
/// # let out = directory.path().join("out");
/// # let corpus = Corpus::open(&["fixtures/text/the-verdict.txt".into()], &CorpusOptions::default())?;
/// # let encoding = Encoding::by_name("gpt2")?;
/// # let run = serde_json::json!({});
/// # tokenize(&corpus, &encoding, &TokenizeConfig::default(), &out, &run, &Stats::default())?;
///
/// let store = Arc::new(TokenStore::open(&out)?);
/// let mut config = LoaderConfig::default();
/// config.batch_size = 8;
/// config.shuffle = Some(123);
/// config.shuffle_order = ShuffleOrder::Keyed;
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
    /// The beginning of this loader's part of the pass.
    begin: LoaderState,
    n_batches: u64,
    /// Batches that were given out.
    done: u64,
}

impl Loader {
    /// Begins a pass over `store`. With a `gatherer` batches have embeddings; it is used with one
    /// thread for each of the loader's.
    ///
    /// # Errors
    /// [`Error::Config`] names a setting; [`Error::Input`] where there is no window;
    /// [`Error::Shape`] where the gatherer's tables are too small; [`Error::Shard`] where document
    /// records are damaged; [`Error::Threads`] where threads cannot start.
    pub fn new(
        store: &Arc<TokenStore>,
        config: &LoaderConfig,
        gatherer: Option<Gatherer>,
    ) -> Result<Self> {
        config.validate()?;
        let begin = LoaderState::new(store, config);
        Self::begin(store, config, gatherer, begin)
    }

    /// Goes on with a pass over `store` at `state`, in its epoch. The batches are those that the
    /// loader whose state it is would have given.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and [`Error::Config`] where the state is that of another
    /// dataset or of settings that give other samples.
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
        let seq_len = usize::try_from(config.seq_len).unwrap_or(usize::MAX);
        if let Some(gatherer) = &gatherer {
            gatherer.check_tables(store.manifest().encoding.n_vocab, seq_len)?;
        }
        let sizes = (config.seq_len, config.stride());
        let windows = WindowSet::new(
            Arc::clone(store),
            sizes,
            config.window,
            config.tail,
            config.threads,
        )?;
        windows.check_not_empty()?;
        let order = config.order(windows.len(), begin.epoch())?;
        let step = config.batch_size.saturating_mul(config.world_size.into());
        let places = places(&begin, windows.len(), step, config.drop_last)?;
        let shape = Shape {
            // A batch of more rows than there are windows is never full.
            rows: usize::try_from(config.batch_size.min(windows.len())).unwrap_or(usize::MAX),
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

    /// Batches of this process from here on, with those that were given out by this loader.
    pub fn n_batches(&self) -> u64 {
        self.n_batches
    }

    /// Windows of the dataset.
    pub fn n_windows(&self) -> u64 {
        self.filler.windows.len()
    }

    /// Windows at the end of the pass that [`drop_last`](LoaderConfig::drop_last) leaves out.
    pub fn n_dropped(&self) -> u64 {
        self.n_windows() - self.filler.places.end
    }

    /// Tokens of the dataset that are in no window.
    pub fn n_left_out_tokens(&self) -> u64 {
        self.filler.windows.left_out().1
    }

    /// Tokens of the dataset that are an input of more than one window.
    pub fn n_repeated_tokens(&self) -> u64 {
        self.filler.windows.n_repeated()
    }

    /// The state from which a loader goes on after the batches that were given out.
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

/// The places of a pass from `begin` on.
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
