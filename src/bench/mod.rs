//! Measures this machine's ceilings, and how close tokenizing and gathering come to them.
//!
//! A rate means little without the rate that the machine could reach, so one run measures plain
//! stores, a copy, a file and a pipe along with the two hot loops. This is part of the library
//! because the criterion benches measure against the same ceilings. The program only prints.
//!
//! ```text
//! sample     one warm-up, then repetitions: median, least and most
//! ceiling    stores, copy, file, pipe
//! text       text to tokenize, if none is given
//! tokenize   bytes of text a second, on a first pass
//! gather     bytes of output a second, by types and dim
//! serial     what limits the number of threads that are of use
//! tuning     the settings of the gather that depend on the processor
//! ```
//!
//! Buffers are larger than the caches, touched before the clock starts, and on huge pages. Work
//! that is measured on several threads is split into one part per thread. This room does not know
//! how the results are shown.

mod ceiling;
mod gather;
mod sample;
mod serial;
mod text;
mod tokenize;
mod tuning;

use std::path::{Path, PathBuf};
use std::thread::{self, Scope, ScopedJoinHandle};

use serde::Serialize;
use shardmill_core::simd::Level;
use shardmill_tokenizer::{FileOptions, Tokenizer};

use crate::error::{Error, Result};
use crate::progress::Stats;
use crate::threads::{check_threads, one_each_cpu};

pub use ceiling::{Ceiling, store_all};
pub use gather::GatherSpeed;
pub use sample::Sample;
pub use serial::{SerialConfig, SerialReport, ThreadLimit, measure_serial};
pub use tokenize::TokenizeSpeed;
pub use tuning::{GatherSetting, TunedShape, TuningConfig, TuningReport, measure_tuning};

/// What is written in `dir` while something is measured, by this process.
fn scratch(dir: &Path) -> PathBuf {
    dir.join(format!(".shardmill-bench-{}", std::process::id()))
}

/// Starts one of `threads` threads. With fewer, the rate would belong to another thread count.
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    threads: usize,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    thread::Builder::new()
        .spawn_scoped(scope, work)
        .map_err(|error| Error::Threads {
            threads,
            what: error.to_string(),
        })
}

/// What to measure.
///
/// ```
/// let mut config = shardmill::bench::BenchConfig::default();
/// config.threads = 2;
/// config.dims = vec![768];
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BenchConfig {
    /// Everything is measured on one thread and on this many.
    pub threads: usize,
    /// The vector instructions to use.
    pub level: Level,
    /// The directory to write the file in.
    pub dir: PathBuf,
    /// The encoding to tokenize with.
    pub encoding: String,
    /// The file to tokenize, up to 64 MiB of it, and whose ids are gathered; if `None`, generated
    /// text and drawn ids.
    pub input: Option<PathBuf>,
    /// Lengths of the rows to gather.
    pub dims: Vec<usize>,
    /// The number of bytes that are stored, copied, and gathered as f32; should exceed the caches.
    /// Half as many go to the file and through the pipe.
    pub size_bytes: u64,
}

impl Default for BenchConfig {
    fn default() -> Self {
        Self {
            threads: one_each_cpu(),
            level: Level::detect(),
            dir: PathBuf::from("."),
            encoding: "gpt2".to_owned(),
            input: None,
            dims: vec![256, 768, 4096],
            size_bytes: 128 << 20,
        }
    }
}

impl BenchConfig {
    /// Checks that the settings are in range.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting, [`Error::UnknownTokenizer`] lists the encodings.
    pub fn validate(&self) -> Result<()> {
        check_sizes(self.threads, &self.dims, self.size_bytes)?;
        Tokenizer::find(&self.encoding, &FileOptions::default())?;
        Ok(())
    }
}

/// Checks that the settings of that name are in range.
fn check_sizes(threads: usize, dims: &[usize], size_bytes: u64) -> Result<()> {
    const MAX_DIM: usize = 1 << 16;
    const MIN_SIZE_BYTES: u64 = 1 << 20;
    const MAX_SIZE_BYTES: u64 = 1 << 40;
    let refuse = |field, what: String| Err(Error::config(field, what));
    check_threads(threads)?;
    if dims.is_empty() || !dims.iter().all(|dim| (1..=MAX_DIM).contains(dim)) {
        return refuse("dims", format!("must be from 1 to {MAX_DIM} each"));
    }
    if !(MIN_SIZE_BYTES..=MAX_SIZE_BYTES).contains(&size_bytes) {
        return refuse("size_bytes", "must be from 1MiB to 1TiB".to_owned());
    }
    Ok(())
}

/// The number of f32 elements in `size_bytes`.
fn elements(size_bytes: u64) -> Result<usize> {
    usize::try_from(size_bytes / 4).map_err(|_| Error::Memory {
        needed_bytes: size_bytes,
    })
}

/// One thread, and `threads`, if that is more.
fn thread_counts(threads: usize) -> Vec<usize> {
    let mut counts = vec![1, threads];
    counts.dedup();
    counts
}

/// What [`measure`] measured.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct BenchReport {
    /// Vector instructions that were used.
    pub level: String,
    /// The larger thread count.
    pub threads: usize,
    /// The machine's ceilings.
    pub ceilings: Vec<Sample<Ceiling>>,
    /// Tokenizing.
    pub tokenize: Vec<Sample<TokenizeSpeed>>,
    /// Gathering.
    pub gather: Vec<Sample<GatherSpeed>>,
}

impl BenchReport {
    /// The sample of a ceiling on `threads` threads.
    pub fn ceiling(&self, ceiling: Ceiling, threads: usize) -> Option<&Sample<Ceiling>> {
        self.ceilings
            .iter()
            .find(|sample| sample.what == ceiling && sample.threads == threads)
    }
}

/// Measures everything; `stats` counts the samples.
///
/// # Errors
/// Those of [`BenchConfig::validate`]; [`Error::Io`] if the file or the pipe cannot be written or
/// the input cannot be read; [`Error::Memory`], because about five times `size_bytes` are needed.
///
/// ```no_run
/// use shardmill::Stats;
/// use shardmill::bench::{BenchConfig, measure};
///
/// let report = measure(&BenchConfig::default(), &Stats::default())?;
/// println!("{report:?}");
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn measure(config: &BenchConfig, stats: &Stats) -> Result<BenchReport> {
    config.validate()?;
    let encoding = Tokenizer::find(&config.encoding, &FileOptions::default())?;
    let input = config.input.as_deref().map(text::read).transpose()?;
    let thread_counts = thread_counts(config.threads);
    let samples = ceiling::count(&thread_counts)
        + thread_counts.len()
        + gather::count(&config.dims, &thread_counts);
    stats.begin(samples as u64);
    let ceilings = ceiling::measure(config, &thread_counts, stats)?;
    let ids = input.as_deref().map(|text| encoding.encode_ordinary(text));
    let text = input.unwrap_or_else(text::generate);
    Ok(BenchReport {
        level: config.level.to_string(),
        threads: config.threads,
        ceilings,
        tokenize: tokenize::measure(&encoding, &text, &thread_counts, stats)?,
        gather: gather::measure(config, ids.as_deref(), &thread_counts, stats)?,
    })
}
