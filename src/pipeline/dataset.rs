//! The whole way from a corpus to a published dataset.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::corpus::{Corpus, Source};
use crate::encoding::Encoding;
use crate::hash::{Hash128, block_hashes};
use crate::pipeline::chunk::Piece;
use crate::pipeline::feed::Feed;
use crate::pipeline::plan::{Unit, units};
use crate::pipeline::worker::Worker;
use crate::pipeline::{Stats, TokenizeConfig};
use crate::shard::staging::Staging;
use crate::shard::temp_file::write_json;
use crate::shard::{
    EncodingInfo, FORMAT_VERSION, MANIFEST, Manifest, RUN, SourceInfo, TokenStore, Totals, verify,
};
use crate::{Error, Result};

/// What [`tokenize`] did.
#[derive(Debug)]
pub struct Outcome {
    /// The dataset's manifest.
    pub manifest: Manifest,
    /// Whether the output was there already, just as asked for, and was left as it is.
    pub was_there: bool,
    /// How long it took.
    pub time: Duration,
}

/// Tokenizes `corpus` into the directory `out`, which appears when it is complete.
///
/// `run` is what `run.json` is to say of this run, such as arguments and versions; it is part of
/// no hash. A dataset that is there already and holds exactly what is asked for is left as it is,
/// after its sources have been read and compared.
///
/// # Errors
/// Of several things that fail the first in corpus order is reported. Nothing is visible then but
/// what was before.
///
/// ```no_run
/// use shardmill::{Corpus, Encoding, Stats, TokenizeConfig, tokenize};
///
/// let corpus = Corpus::open(&["books/".into()], None)?;
/// let encoding = Encoding::by_name("gpt2")?;
/// let config = TokenizeConfig::default();
/// let run = serde_json::json!({"note": "first try"});
/// let done = tokenize(&corpus, &encoding, &config, "out".as_ref(), &run, &Stats::default())?;
/// println!("{} tokens", done.manifest.totals.tokens);
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn tokenize(
    corpus: &Corpus,
    encoding: &Encoding,
    config: &TokenizeConfig,
    out: &Path,
    run: &serde_json::Value,
    stats: &Stats,
) -> Result<Outcome> {
    config.validate(encoding)?;
    corpus.check_output(out)?;
    if let Some(there) = find_same(corpus, encoding, config, out, stats)? {
        return Ok(there);
    }
    let started = Instant::now();
    let staging = Staging::begin(out, config.overwrite, config.durability)?;
    let manifest = build(corpus, encoding, config, &staging, run, stats)?;
    staging.publish()?;
    Ok(Outcome {
        manifest,
        was_there: false,
        time: started.elapsed(),
    })
}

/// Fills `staging` with the dataset.
pub(crate) fn build(
    corpus: &Corpus,
    encoding: &Encoding,
    config: &TokenizeConfig,
    staging: &Staging,
    run: &serde_json::Value,
    stats: &Stats,
) -> Result<Manifest> {
    stats.begin(if corpus.has_stream() {
        0
    } else {
        corpus.total_bytes()
    });
    let feed = Feed::new(
        corpus,
        staging.path(),
        config.unit_size_bytes,
        config.token_dtype,
        config.durability,
        config.threads,
    )?;
    let worker = Worker {
        corpus,
        encoding,
        config,
    };
    thread_pool(config.threads)?.broadcast(|_| work(&feed, &worker, stats));
    let manifest = manifest(corpus, encoding, config, feed)?;
    write_json(staging.path(), MANIFEST, staging.durability(), &manifest)?;
    write_json(staging.path(), RUN, staging.durability(), run)?;
    Ok(manifest)
}

pub(crate) fn thread_pool(threads: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("shardmill-{index}"))
        .build()
        .map_err(|error| Error::Config {
            field: "--threads",
            what: format!("cannot start {threads} threads: {error}"),
        })
}

/// What each thread does.
fn work(feed: &Feed<'_>, worker: &Worker<'_>, stats: &Stats) {
    struct StopOthers<'a, 'b>(&'a Feed<'b>);
    impl Drop for StopOthers<'_, '_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.abort();
            }
        }
    }
    let _guard = StopOthers(feed);
    let mut encoder = worker.encoding.encoder();
    let mut mine = None;
    while let Some(task) = feed.next(mine) {
        mine = Some(task.unit.index);
        let outcome = match worker.encode(&mut encoder, task.chunk) {
            Ok(encoded) => {
                let bytes = encoded.pieces.iter().map(Piece::len_bytes).sum();
                let outcome = task.unit.put(task.number, encoded, worker.corpus);
                stats.advance(bytes);
                outcome
            }
            Err(error) => Err((task.number, error)),
        };
        feed.settle(task.unit.index, outcome);
    }
    worker.encoding.put_back(encoder);
}

fn manifest(
    corpus: &Corpus,
    encoding: &Encoding,
    config: &TokenizeConfig,
    feed: Feed<'_>,
) -> Result<Manifest> {
    let mut sources = SourceHashes::default();
    let mut totals = Totals::default();
    let mut shards = Vec::new();
    for unit in feed.finish()? {
        for &(source, bytes, hash) in &unit.ranges {
            sources.push(corpus, source, bytes, hash);
        }
        totals.tokens += unit.totals.tokens;
        totals.documents += unit.totals.documents;
        totals.empty_documents += unit.totals.empty_documents;
        totals.source_bytes += unit.totals.source_bytes;
        totals.text_bytes += unit.totals.text_bytes;
        totals.invalid_sequences += unit.totals.invalid_sequences;
        shards.push(unit.info);
    }
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        encoding: EncodingInfo::of(encoding),
        settings: config.settings(),
        sources: sources.finish(),
        shards,
        totals,
        dataset_id: Hash128::of(b""),
    };
    Ok(manifest.with_id())
}

/// Joins the hashes of ranges, which come in corpus order, to those of sources.
#[derive(Default)]
struct SourceHashes {
    done: Vec<SourceInfo>,
    open: Option<(u32, SourceInfo, Vec<Hash128>)>,
}

impl SourceHashes {
    fn push(&mut self, corpus: &Corpus, index: u32, bytes: u64, hash: Hash128) {
        if self.open.as_ref().is_none_or(|&(open, _, _)| open != index) {
            self.close();
            let source: &Source = &corpus.sources()[index as usize];
            let info = SourceInfo {
                name: source.name(),
                format: source.format(),
                bytes: 0,
                hash,
            };
            self.open = Some((index, info, Vec::new()));
        }
        if let Some((_, info, hashes)) = &mut self.open {
            info.bytes += bytes;
            hashes.push(hash);
        }
    }

    fn close(&mut self) {
        if let Some((_, mut info, hashes)) = self.open.take() {
            info.hash = Hash128::of_hashes(&hashes);
            self.done.push(info);
        }
    }

    fn finish(mut self) -> Vec<SourceInfo> {
        self.close();
        self.done
    }
}

/// The dataset in `out` if it holds exactly what is asked for.
///
/// Settings, names and sizes are compared first, then every source is read and hashed, and the
/// dataset is verified.
pub(crate) fn find_same(
    corpus: &Corpus,
    encoding: &Encoding,
    config: &TokenizeConfig,
    out: &Path,
    stats: &Stats,
) -> Result<Option<Outcome>> {
    let started = Instant::now();
    if corpus.has_stream() || !out.join(MANIFEST).is_file() {
        return Ok(None);
    }
    // A damaged dataset is not what was asked for; replacing it needs --overwrite all the same.
    let Ok(store) = TokenStore::open(out) else {
        return Ok(None);
    };
    let found = store.manifest();
    let looks_same = found.encoding == EncodingInfo::of(encoding)
        && found.settings == config.settings()
        && found.sources.len() == corpus.len()
        && found
            .sources
            .iter()
            .zip(corpus.sources())
            .all(|(info, source)| {
                info.bytes == source.bytes().unwrap_or(0)
                    && info.format == source.format()
                    && info.name == source.name()
            });
    if !looks_same {
        return Ok(None);
    }
    stats.begin(corpus.total_bytes());
    let units = units(corpus, config.unit_size_bytes)?;
    let hashes = thread_pool(config.threads)?.install(|| source_hashes(corpus, &units, stats))?;
    let is_same = found
        .sources
        .iter()
        .map(|info| info.hash)
        .eq(hashes.into_iter().map(|info| info.hash))
        && verify(out, &Stats::default()).is_ok();
    Ok(is_same.then(|| Outcome {
        manifest: found.clone(),
        was_there: true,
        time: started.elapsed(),
    }))
}

/// The sources as a run over `units` would describe them.
fn source_hashes(corpus: &Corpus, units: &[Unit], stats: &Stats) -> Result<Vec<SourceInfo>> {
    let mut hashes = SourceHashes::default();
    for unit in units {
        let last = u32::from(unit.end.byte > 0) + unit.end.source;
        for index in unit.start.source..last {
            let source = &corpus.sources()[index as usize];
            let path = corpus.path(source);
            let opened = source.open(&path)?;
            let at = |byte: u64| {
                usize::try_from(byte)
                    .unwrap_or(usize::MAX)
                    .min(opened.len())
            };
            let start = if index == unit.start.source {
                at(unit.start.byte)
            } else {
                0
            };
            let end = if index == unit.end.source {
                at(unit.end.byte)
            } else {
                opened.len()
            };
            let hash = Hash128::of_hashes(&block_hashes(&opened[start..end], stats));
            hashes.push(corpus, index, (end - start) as u64, hash);
        }
    }
    Ok(hashes.finish())
}
