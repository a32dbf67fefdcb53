//! Windows in their order -> ids -> rows -> a sink.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use shardmill_core::dtype::{Element, with_element};
use shardmill_core::map::Buffer;
use shardmill_core::show::{self, counted};
use shardmill_core::token::TokenId;

use crate::dataset::{EMBEDDINGS, MANIFEST, TokenStore, check_shards, read_manifest, verify};
use crate::embed::EmbedConfig;
use crate::embed::record::EmbedRecord;
use crate::embed::size::{check_room, shape, windows};
use crate::embed::tables::{TablePlan, to_usize};
use crate::error::{Error, Result};
use crate::gather::Gatherer;
use crate::outputs::{EMBED, OUTPUTS};
use crate::progress::Stats;
use crate::publish::claim::{Claim, claim};
use crate::publish::durability::Durability;
use crate::publish::json_file::write_json;
use crate::publish::lock::{Sharing, lock_existing};
use crate::publish::target::parent_of;
use crate::publish::terms::Terms;
use crate::sink::{ArrayLayout, ArraySink, Batch, Sink};
use crate::table::TableSpec;
use crate::threads::thread_pool;
use crate::window::{Order, WindowSet};

/// How many bytes of embeddings are gathered between two writes: few enough to stay in the cache.
const STEP_BYTES: usize = 4 << 20;

/// What [`embed`] did.
#[derive(Debug)]
pub struct EmbedOutcome {
    /// The record of the arrays.
    pub record: EmbedRecord,
    /// Whether the output already existed, exactly as requested, and was left as it is.
    pub was_there: bool,
    /// The number of tokens of the dataset that are an input of more than one window.
    pub repeated_tokens: u64,
    /// How long it took.
    pub time: Duration,
}

/// The windows of a dataset, with the tables that embed them.
#[derive(Debug)]
pub(super) struct Job<'a> {
    config: &'a EmbedConfig,
    windows: WindowSet<&'a TokenStore>,
    order: Order,
    tables: &'a TablePlan<'a>,
    record: EmbedRecord,
    seq_len: usize,
}

/// Embeds the windows of `store` into the directory `out`, which appears once it is complete.
///
/// `run` is what `run.json` will say about this run. If `out` already holds exactly the requested
/// output, it is left as it is.
///
/// # Errors
/// [`Error::NoRoom`] before any work if the disk is too small; otherwise those of
/// [`EmbedTables::open`](crate::embed::EmbedTables::open),
/// [`DocumentWindows::new`](crate::window::DocumentWindows::new) and [`Order::shuffled`]. After an
/// error, only what was visible before is visible.
///
/// ```no_run
/// use shardmill::{EmbedConfig, Stats, TokenStore, embed};
///
/// let store = TokenStore::open("out".as_ref())?;
/// let mut config = EmbedConfig::default();
/// config.windows.seq_len = 256;
/// config.init_seed = Some(123);
/// config.dim = Some(768);
/// let run = serde_json::json!({});
/// let done = embed(&store, &config, "embeddings".as_ref(), &run, &Stats::default())?;
/// println!("shape {:?}", done.record.shape());
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn embed(
    store: &TokenStore,
    config: &EmbedConfig,
    out: &Path,
    run: &serde_json::Value,
    stats: &Stats,
) -> Result<EmbedOutcome> {
    config.validate()?;
    check_output(store, config, out)?;
    let windows = windows(store, config)?;
    let tables = TablePlan::open(config, store.manifest().encoding.n_vocab)?;
    if !out.exists() {
        // The size of the output is already known; check it before reading tables from files.
        check_room_for(out, &windows, config, &tables)?;
    }
    let job = Job::new(windows, config, &tables)?;
    embed_with(&job, out, run, stats)
}

/// Refuses an output that does not fit on its disk or would be empty, before any table is read or
/// drawn.
pub(super) fn check_room_for(
    out: &Path,
    windows: &WindowSet<&TokenStore>,
    config: &EmbedConfig,
    tables: &TablePlan<'_>,
) -> Result<()> {
    let arrays = ArrayLayout {
        format: config.array_format,
        shape: shape(windows, config, tables.dim() as u64)?,
        dtype: config.dtype,
    };
    check_room(out, arrays)
}

/// Like [`embed`], with windows and tables that are already open.
pub(super) fn embed_with(
    job: &Job<'_>,
    out: &Path,
    run: &serde_json::Value,
    stats: &Stats,
) -> Result<EmbedOutcome> {
    let started = Instant::now();
    let config = job.config;
    let outcome = |record, was_there, started: Instant| EmbedOutcome {
        record,
        was_there,
        repeated_tokens: job.repeated_tokens(),
        time: started.elapsed(),
    };
    let _dataset = hold_dataset(job.windows.store(), out)?;
    let terms = Terms {
        spares: Some((MANIFEST, "is a dataset, which embeddings do not replace")),
        nests: true,
        ..Terms::alone(&OUTPUTS, config.overwrite, config.durability)
    };
    let look = || {
        let found = job.record.found_in(out, config)?;
        if found.is_none() {
            check_room(out, job.record.layout())?;
        }
        Ok(found)
    };
    let mut staging = match claim(out, terms, look)? {
        Claim::There(record) => return Ok(outcome(record, true, started)),
        Claim::Mine(staging) => staging,
    };
    if staging.is_complete()
        && let Some(record) = job.record.found_in(staging.new_output(), config)?
    {
        // A run was killed before it published.
        staging.publish()?;
        return Ok(outcome(record, false, started));
    }
    check_whole(job.windows.store(), config.threads)?;
    staging.discard()?;
    let gatherer = job.gatherer()?;
    let started = Instant::now();
    let new = staging.new_output();
    let record = build(job, &gatherer, new, config.durability, stats)?;
    check_unchanged(job.windows.store(), config.threads)?;
    staging.complete(run)?;
    staging.publish()?;
    Ok(outcome(record, false, started))
}

/// Verifies the dataset before any rows are made, because rows of damaged ids would outlive the
/// damage.
fn check_whole(store: &TokenStore, threads: usize) -> Result<()> {
    let verify = || verify(store.path(), &Stats::default());
    thread_pool(threads)?.install(verify).map(|_| ())
}

/// Checks the hashes of the dataset again after its ids were read: what was verified is what was read only
/// if nothing wrote to it in between.
fn check_unchanged(store: &TokenStore, threads: usize) -> Result<()> {
    let check = || check_shards(store, &Stats::default());
    thread_pool(threads)?.install(check)
}

/// Locks a dataset while its embeddings are made for a directory inside it, so that a run that
/// would replace it must wait. `None` if `out` is elsewhere.
///
/// # Errors
/// [`Error::Output`] if `out` is inside another dataset.
fn hold_dataset(store: &TokenStore, out: &Path) -> Result<Option<File>> {
    let parent = parent_of(out);
    if out.file_name() != Some(OsStr::new(EMBEDDINGS)) || !parent.join(MANIFEST).is_file() {
        return Ok(None);
    }
    let real = parent.canonicalize();
    let real = real.map_err(Error::io(parent, "cannot open"))?;
    let lock = lock_existing(&real, Sharing::Shared)?;
    if read_manifest(&real)?.dataset_id != store.manifest().dataset_id {
        return Err(Error::output(
            out,
            (
                format!(
                    "lies in a dataset other than {}, or in one that replaced it",
                    show::name(store.path())
                ),
                "choose another `out`",
            ),
        ));
    }
    Ok(lock)
}

/// Embeds the windows of `store` into `sink`; the returned record lists no files.
///
/// # Errors
/// Those of [`embed`] and of the sink.
pub fn embed_to(
    store: &TokenStore,
    config: &EmbedConfig,
    sink: &mut impl Sink,
    stats: &Stats,
) -> Result<EmbedOutcome> {
    let started = Instant::now();
    let tables = TablePlan::open(config, store.manifest().encoding.n_vocab)?;
    let job = Job::new(windows(store, config)?, config, &tables)?;
    check_whole(store, config.threads)?;
    job.feed(&job.gatherer()?, sink, stats)?;
    check_unchanged(store, config.threads)?;
    Ok(EmbedOutcome {
        was_there: false,
        repeated_tokens: job.repeated_tokens(),
        record: job.record,
        time: started.elapsed(),
    })
}

/// Fills `directory` with the arrays and their record.
pub(super) fn build(
    job: &Job<'_>,
    gatherer: &Gatherer,
    directory: &Path,
    durability: Durability,
    stats: &Stats,
) -> Result<EmbedRecord> {
    let record = &job.record;
    let mut sink = ArraySink::create(directory, record.layout(), durability)?;
    job.feed(gatherer, &mut sink, stats)?;
    let record = record.clone().with_files(sink.finish()?);
    write_json(directory, EMBED, durability, &record)?;
    Ok(record)
}

impl<'a> Job<'a> {
    pub(super) fn new(
        windows: WindowSet<&'a TokenStore>,
        config: &'a EmbedConfig,
        tables: &'a TablePlan<'a>,
    ) -> Result<Self> {
        let shape = shape(&windows, config, tables.dim() as u64)?;
        let order = config.windows.order(windows.len(), config.windows.epoch)?;
        Ok(Self {
            record: EmbedRecord::new(&windows, config, tables.infos()?, shape),
            config,
            windows,
            order,
            tables,
            seq_len: to_usize("seq_len", config.windows.seq_len)?,
        })
    }

    /// Tokens that are an input of more than one window.
    pub(super) fn repeated_tokens(&self) -> u64 {
        self.windows.n_repeated()
    }

    /// The gatherer of the rows; this draws its tables.
    pub(super) fn gatherer(&self) -> Result<Gatherer> {
        let gatherer = self.tables.tables()?.gatherer()?;
        Ok(gatherer
            .with_level(self.config.level)
            .with_threads(self.config.threads))
    }

    /// Passes all windows to `sink`, some at a time.
    fn feed(&self, gatherer: &Gatherer, sink: &mut impl Sink, stats: &Stats) -> Result<()> {
        sink.begin(self.record.shape(), self.config.dtype)?;
        with_element!(self.config.dtype, E => self.feed_as::<E>(gatherer, sink, stats))
    }

    fn feed_as<E: Element>(
        &self,
        gatherer: &Gatherer,
        sink: &mut impl Sink,
        stats: &Stats,
    ) -> Result<()> {
        let rows = self.record.shape()[0];
        let row_elements = self.seq_len.checked_mul(gatherer.dim());
        let row_elements = row_elements.ok_or_else(|| {
            Error::shape(format!(
                "a window of {} with {} has too many elements",
                counted(self.seq_len as u64, "row"),
                counted(gatherer.dim() as u64, "column")
            ))
        })?;
        let row_bytes = row_elements.saturating_mul(size_of::<E>());
        let step = (STEP_BYTES / row_bytes.max(1)).max(1) as u64;
        let step = usize::try_from(step.min(rows)).unwrap_or(1);
        stats.begin(rows.saturating_mul(row_bytes as u64));

        let mut inputs: Vec<TokenId> = vec![0; step * self.seq_len];
        let mut targets: Vec<TokenId> = vec![0; step * self.seq_len];
        let mut embeddings = Buffer::<E>::zeroed(step.saturating_mul(row_elements))?;
        let mut first = 0;
        while first < rows {
            if stats.is_stopped() {
                return Err(Error::Stopped);
            }
            let take = usize::try_from(rows - first).map_or(step, |rest| rest.min(step));
            let ids = take * self.seq_len;
            self.read(first, &mut inputs[..ids], &mut targets[..ids])?;
            let out = &mut embeddings[..take * row_elements];
            gatherer
                .gather_into(&inputs[..ids], self.seq_len, out)
                .map_err(|error| self.damaged(&error))?;
            sink.write(&Batch {
                inputs: &inputs[..ids],
                targets: &targets[..ids],
                embeddings: &*out,
                shape: [take, self.seq_len, gatherer.dim()],
            })?;
            stats.advance((take * row_bytes) as u64);
            first += take as u64;
        }
        Ok(())
    }

    /// The error for an id without a row: the tables have a row for every id, so the dataset is
    /// damaged.
    fn damaged(&self, error: &Error) -> Error {
        Error::shard(
            self.windows.store().path(),
            (error.problem(), "`verify` says what is damaged"),
        )
    }

    /// Reads the windows at places `first..` of the order.
    fn read(&self, first: u64, inputs: &mut [TokenId], targets: &mut [TokenId]) -> Result<()> {
        let rows = inputs
            .chunks_exact_mut(self.seq_len)
            .zip(targets.chunks_exact_mut(self.seq_len));
        for (place, (input, target)) in (first..).zip(rows) {
            self.windows.read(self.order.window(place), input, target)?;
        }
        Ok(())
    }
}

/// Refuses an output that would replace its own inputs.
fn check_output(store: &TokenStore, config: &EmbedConfig, out: &Path) -> Result<()> {
    let tables = [&config.token_table, &config.position_table];
    let tables = tables.into_iter().flatten().map(TableSpec::parse);
    let inputs = tables
        .map(|spec| spec.path().to_owned())
        .chain([store.path().to_owned()]);
    let real_out = out.canonicalize();
    for input in inputs {
        if let (Ok(out_path), Ok(input_path)) = (&real_out, input.canonicalize())
            && input_path.starts_with(out_path)
        {
            return Err(Error::output(
                out,
                (
                    format!("holds the input {}", show::name(&input)),
                    "choose another `out`",
                ),
            ));
        }
    }
    Ok(())
}
