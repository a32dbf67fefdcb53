//! Measures the serial parts of tokenizing: what one thread at a time can do for all, or for a
//! unit. They limit how many threads are of use, and show on one thread already.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use shardmill_tokenizer::{FileOptions, Tokenizer};

use super::scratch;
use crate::corpus::{Corpus, CorpusOptions};
use crate::error::{Error, Result};
use crate::pipeline::{TokenizeConfig, tokenize};
use crate::progress::Stats;
use crate::publish::durability::Durability;
use crate::times::Part;

/// The numbers of threads for which limits are computed.
const THREADS: [u32; 3] = [16, 64, 192];

/// What to measure.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SerialConfig {
    /// A file or directory to tokenize.
    pub input: PathBuf,
    /// The encoding to tokenize with.
    pub encoding: String,
    /// The directory to write a dataset in. It is removed at the end.
    pub dir: PathBuf,
    /// How often the input is tokenized. The fastest run counts.
    pub repetitions: usize,
}

impl SerialConfig {
    /// Measures with `input`, in the current directory.
    ///
    /// ```
    /// let config = shardmill::bench::SerialConfig::new("books/");
    /// assert_eq!(config.repetitions, 5);
    /// ```
    pub fn new(input: impl Into<PathBuf>) -> Self {
        Self {
            input: input.into(),
            encoding: "gpt2".to_owned(),
            dir: PathBuf::from("."),
            repetitions: 5,
        }
    }
}

/// What [`measure_serial`] measured, on one thread. Times per gigabyte of input are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SerialReport {
    /// The size of the input.
    pub bytes: u64,
    /// The number of files of the input.
    pub files: u64,
    /// The encoding.
    pub encoding: String,
    /// How often the input was tokenized.
    pub repetitions: usize,
    /// All work in the thread pool.
    pub work: f64,
    /// Of this, documents to ids.
    pub encode: f64,
    /// Under the lock that all threads share.
    pub feed_lock: f64,
    /// Under the lock that the threads of a unit share.
    pub unit_lock: f64,
    /// Cutting a unit into chunks, on one thread for each unit.
    pub cut: f64,
    /// Writing the ids of a unit, likewise.
    pub write: f64,
    /// Hashing the ids of a unit, likewise.
    pub hash: f64,
    /// Writing the records of a unit and hashing its input, likewise.
    pub ledger: f64,
    /// Creating and completing the files of units.
    pub unit_files: f64,
    /// Seconds outside the thread pool, from opening the corpus to publishing the dataset.
    pub outside_seconds: f64,
    /// What follows for several numbers of threads.
    pub limits: Vec<ThreadLimit>,
}

/// What the serial parts allow on some number of threads of this speed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ThreadLimit {
    /// The number of threads.
    pub threads: u32,
    /// The maximum rate in GB/s, on a corpus of enough units.
    pub gb_per_second: f64,
    /// That rate as a share of what the threads could do without serial parts.
    pub share: f64,
    /// The number of units that must be made at the same time.
    pub units: u64,
}

/// Tokenizes the input on one thread, and measures the parts of it.
///
/// # Errors
/// Those of [`Corpus::open`] and [`tokenize`]; [`Error::Input`] if the input is empty or a stream,
/// or `dir` is not a directory; [`Error::Config`] if `repetitions` is 0.
///
/// ```no_run
/// use shardmill::bench::{SerialConfig, measure_serial};
///
/// let report = measure_serial(&SerialConfig::new("books/"))?;
/// println!("{:?}", report.limits);
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn measure_serial(config: &SerialConfig) -> Result<SerialReport> {
    if config.repetitions == 0 {
        return Err(Error::config("repetitions", "must be at least 1"));
    }
    let dir = std::fs::metadata(&config.dir).map_err(Error::io(&config.dir, "cannot open"))?;
    if !dir.is_dir() {
        return Err(Error::input(&config.dir, "is not a directory"));
    }
    // This run reads the input into memory.
    once(config)?;
    let mut fastest = once(config)?;
    for _ in 1..config.repetitions {
        let run = once(config)?;
        if run.total < fastest.total {
            fastest = run;
        }
    }
    Ok(fastest.report(config.repetitions))
}

/// One run.
struct Run {
    bytes: u64,
    files: u64,
    encoding: String,
    stats: Stats,
    total: Duration,
}

fn once(config: &SerialConfig) -> Result<Run> {
    let out = Removed(scratch(&config.dir));
    let encoding = Tokenizer::find(&config.encoding, &FileOptions::default())?;
    let settings = TokenizeConfig {
        threads: 1,
        durability: Durability::None,
        ..TokenizeConfig::default()
    };
    let stats = Stats::timed();
    let started = Instant::now();
    let inputs = [config.input.clone().into_os_string()];
    let corpus = Corpus::open(&inputs, &CorpusOptions::default())?;
    let refuse = |what: &str, hint: &str| Err(Error::input(&config.input, (what, hint)));
    if corpus.has_stream() {
        return refuse(
            "is a stream, which cannot be read several times",
            "give a file",
        );
    }
    if corpus.total_bytes() == 0 {
        return refuse("is empty", "give about 100 MB of text");
    }
    tokenize(
        &corpus,
        &encoding,
        &settings,
        &out.0,
        &serde_json::json!({}),
        &stats,
    )?;
    Ok(Run {
        bytes: corpus.total_bytes(),
        files: corpus.len() as u64,
        encoding: encoding.name().to_owned(),
        stats,
        total: started.elapsed(),
    })
}

/// A directory that is removed in the end.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // What remains of a failed run is next to it. Either may not be there.
        let partial = self.0.with_extension("partial");
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::fs::remove_dir_all(partial);
    }
}

impl Run {
    #[expect(clippy::cast_precision_loss, reason = "a rate of a few digits")]
    fn report(&self, repetitions: usize) -> SerialReport {
        let gigabytes = self.bytes as f64 / 1e9;
        let of = |part| self.stats.time_of(part).as_secs_f64() / gigabytes;
        let outside = self.total.saturating_sub(self.stats.time_of(Part::Pool));
        let times = SerialReport {
            bytes: self.bytes,
            files: self.files,
            encoding: self.encoding.clone(),
            repetitions,
            work: of(Part::Pool),
            encode: of(Part::Encode),
            feed_lock: of(Part::Feed),
            unit_lock: of(Part::Unit),
            cut: of(Part::Cut),
            write: of(Part::Write),
            hash: of(Part::Hash),
            ledger: of(Part::Ledger),
            unit_files: of(Part::Files),
            outside_seconds: outside.as_secs_f64(),
            limits: Vec::new(),
        };
        // The lanes of a unit run at the same time.
        let longest = times.cut.max(times.write).max(times.hash).max(times.ledger);
        let per_unit = times.unit_lock + longest;
        let limit = |threads| ThreadLimit::of(threads, times.work, per_unit, times.feed_lock);
        SerialReport {
            limits: THREADS.map(limit).to_vec(),
            ..times
        }
    }
}

impl ThreadLimit {
    /// What follows from the seconds per gigabyte of all work, of what one thread at a time does
    /// for a unit, and of what one thread at a time does for all.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive number"
    )]
    fn of(threads: u32, work: f64, per_unit: f64, feed_lock: f64) -> Self {
        let alone = work / f64::from(threads);
        let seconds = alone.max(feed_lock);
        Self {
            threads,
            gb_per_second: 1.0 / seconds,
            share: alone / seconds,
            units: (per_unit / seconds).ceil() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_from_the_serial_parts() {
        let limit = ThreadLimit::of(16, 4.0, 0.5, 0.001);
        assert!(
            (limit.gb_per_second - 4.0).abs() < 1e-9 && limit.units == 2,
            "{limit:?}"
        );
        assert!((limit.share - 1.0).abs() < 1e-9);
        // The lock that all threads share is the limit.
        let limit = ThreadLimit::of(192, 1.92, 0.5, 0.02);
        assert!(
            (limit.gb_per_second - 50.0).abs() < 1e-9 && limit.units == 25,
            "{limit:?}"
        );
        assert!((limit.share - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_parts_are_measured_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("a.txt");
        std::fs::write(
            &input,
            "It was a bright cold day in April.\n".repeat(100_000),
        )
        .unwrap();
        let mut config = SerialConfig::new(&input);
        config.dir = dir.path().to_owned();
        config.repetitions = 1;
        let report = measure_serial(&config).unwrap();
        assert_eq!((report.bytes, report.files), (3_500_000, 1));
        let parts = report.encode
            + report.feed_lock
            + report.unit_lock
            + report.cut
            + report.write
            + report.hash
            + report.ledger
            + report.unit_files;
        assert!(parts > 0.0 && parts <= report.work, "{report:?}");
        let all = [
            report.encode,
            report.feed_lock,
            report.write,
            report.hash,
            report.ledger,
        ];
        assert!(all.iter().all(|&part| part > 0.0), "{report:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        config.repetitions = 0;
        assert!(measure_serial(&config).unwrap_err().is_usage());
    }
}
