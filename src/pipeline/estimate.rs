//! What a run will make, from a sample of its corpus.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::corpus::{Corpus, Source};
use crate::dataset::{DocRecord, Position, Split, TokenDtype, Unit};
use crate::error::Result;
use crate::pipeline::chunk::{Chunk, UnitCursor};
use crate::pipeline::piece::{Piece, next_unit_cut};
use crate::pipeline::plan::end_of;
use crate::pipeline::worker::Worker;
use crate::pipeline::{CHUNK_BYTES, TokenizeConfig};
use crate::threads::thread_pool;
use crate::tokenizer::Tokenizer;

/// At how many places of a corpus a chunk is tokenized.
const PLACES: u32 = 48;

/// A corpus of at most so many chunks is tokenized as a whole.
const WHOLE_CHUNKS: usize = 16;

/// In a normal distribution, 95 % lie within this many standard deviations of the mean.
const DEVIATIONS: f64 = 1.96;

/// What a run will make, as far as a sample tells.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The number of tokens.
    pub tokens: u64,
    /// How far the number of tokens may be from that, with 95 % confidence: 1.96 standard errors of
    /// the sample. 0 if the sample is all of the corpus; `None` if it is from one place only.
    pub tokens_error: Option<u64>,
    /// The number of documents.
    pub documents: u64,
    /// The size of the dataset in bytes.
    pub bytes: u64,
    /// The time that the run takes to tokenize, in seconds, if its threads have a core each and the
    /// disk keeps up.
    pub seconds: f64,
    /// The number of bytes in the sample, as they are stored.
    pub sample_bytes: u64,
}

/// A place of the corpus, and what is found there.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// How much of the corpus it stands for; all together are 1.
    weight: f64,
    stored_bytes: u64,
    tokens: u64,
    /// The number of documents that begin in it, and of those that are records or rows.
    documents: u64,
    records: u64,
    time: Duration,
}

/// Estimates what a run over `corpus` makes, by tokenizing about 1 MiB of text at each of 48 places that
/// are spread evenly over it, or all of it if that is at most 16 MiB. The same corpus has the same
/// places.
///
/// A compressed file is sampled at its start only.
///
/// ```
/// use shardmill::{Corpus, CorpusOptions, TokenizeConfig, Tokenizer, estimate};
///
/// let corpus = Corpus::open(&["fixtures/text".into()], &CorpusOptions::default())?;
/// let found = estimate(&corpus, &Tokenizer::by_name("gpt2")?, &TokenizeConfig::default())?;
/// assert_eq!(found.tokens_error, Some(0));
/// # Ok::<(), shardmill::Error>(())
/// ```
///
/// # Errors
/// Fails as the run would if it met the sample.
pub fn estimate(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    config: &TokenizeConfig,
) -> Result<Estimate> {
    config.validate(tokenizer)?;
    let worker = Worker::new(corpus, tokenizer, config);
    thread_pool(config.threads)?.install(|| {
        let whole = whole(&worker)?;
        let is_whole = whole.is_some();
        let samples = match whole {
            Some(samples) => samples,
            None => spread(&worker)?,
        };
        Ok(estimate_of(&samples, corpus, is_whole, config))
    })
}

/// What a sample is made of.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: Position,
    /// How much of the corpus it stands for.
    weight: f64,
}

/// The samples of a corpus of a few chunks: all of it.
fn whole(worker: &Worker<'_>) -> Result<Option<Vec<Sample>>> {
    let mut chunks = Vec::new();
    let mut cursor = cursor(worker, Position::default());
    while let Some(chunk) = cursor.next(worker.corpus)? {
        let bytes: u64 = chunk.pieces.iter().map(Piece::len_bytes).sum();
        if chunks.len() == WHOLE_CHUNKS || bytes > 2 * CHUNK_BYTES as u64 {
            return Ok(None);
        }
        chunks.push(chunk);
    }
    let samples = chunks
        .into_par_iter()
        .map(|chunk| sample(worker, chunk, 0.0));
    let samples: Vec<_> = samples.collect::<Result<_>>()?;
    let mut all = Sample {
        weight: 1.0,
        ..Sample::default()
    };
    for sample in samples {
        all.stored_bytes += sample.stored_bytes;
        all.tokens += sample.tokens;
        all.documents += sample.documents;
        all.records += sample.records;
        all.time += sample.time;
    }
    Ok(Some(vec![all]))
}

/// The samples of a larger corpus, one at each place.
fn spread(worker: &Worker<'_>) -> Result<Vec<Sample>> {
    let places = places(worker.corpus, worker.tokenizer)?;
    let samples = places.into_par_iter().map(|place| {
        let chunk = cursor(worker, place.start).next(worker.corpus)?;
        sample(worker, chunk.unwrap_or_default(), place.weight)
    });
    samples.collect()
}

/// Walks through the corpus from `start` on.
fn cursor(worker: &Worker<'_>, start: Position) -> UnitCursor {
    let end = end_of(worker.corpus);
    let tokenizer = Some(worker.tokenizer.clone());
    UnitCursor::new(
        Unit { start, end },
        tokenizer,
        &worker.config.settings.text_field,
    )
}

/// Tokenizes `chunk`, which stands for `weight` of the corpus.
fn sample(worker: &Worker<'_>, chunk: Chunk, weight: f64) -> Result<Sample> {
    let stored_bytes = chunk.pieces.iter().map(Piece::stored_bytes).sum();
    let mut encoder = worker.tokenizer.encoder();
    let started = Instant::now();
    let encoded = worker.encode(&mut encoder, chunk)?;
    let time = started.elapsed();
    worker.tokenizer.put_back(encoder);
    let is_record = |source: u32| !is_one_document(&worker.corpus.sources()[source as usize]);
    let records = encoded
        .documents
        .iter()
        .filter(|document| is_record(document.source));
    Ok(Sample {
        weight,
        stored_bytes,
        tokens: encoded.ids.len() as u64,
        documents: encoded
            .documents
            .iter()
            .filter(|document| document.begins)
            .count() as u64,
        records: records.count() as u64,
        time,
    })
}

/// Where samples begin, in order, and what each stands for.
fn places(corpus: &Corpus, tokenizer: &Tokenizer) -> Result<Vec<Place>> {
    let total = corpus.total_bytes();
    let mut places: Vec<Place> = Vec::new();
    let mut sources = (0_u32..).zip(corpus.sources());
    let mut source = sources.next();
    let mut source_start = 0;
    for place in 0..PLACES {
        let at = u128::from(total) * u128::from(place) / u128::from(PLACES);
        let at = u64::try_from(at).unwrap_or(total);
        // The source that has this byte.
        while let Some((_, last)) = source
            && at >= source_start + last.bytes().unwrap_or(0)
        {
            source_start += last.bytes().unwrap_or(0);
            source = sources.next();
        }
        let Some((index, _)) = source else {
            break;
        };
        let byte = cut_after(corpus, tokenizer, index, at - source_start)?;
        let start = Position {
            source: index,
            byte,
        };
        let weight = 1.0 / f64::from(PLACES);
        match places.last_mut() {
            Some(last) if last.start == start => last.weight += weight,
            _ => places.push(Place { start, weight }),
        }
    }
    Ok(places)
}

/// The first allowed cut of source `index` at or after `byte`, or its start.
fn cut_after(corpus: &Corpus, tokenizer: &Tokenizer, index: u32, byte: u64) -> Result<u64> {
    let source = &corpus.sources()[index as usize];
    let is_small = source
        .bytes()
        .is_none_or(|bytes| bytes <= CHUNK_BYTES as u64);
    if byte == 0 || is_small || source.compression().is_some() {
        return Ok(0);
    }
    let format = source.format();
    if format.row().has_rows {
        let columnar = corpus.columns(index)?.columnar;
        return Ok(columnar.layout().next_cut(byte).unwrap_or(0));
    }
    let opened = source.open(&corpus.path(source))?;
    let target = usize::try_from(byte).unwrap_or(usize::MAX);
    let cut = next_unit_cut(format, tokenizer, &opened, target);
    Ok(cut.map_or(0, |cut| cut as u64))
}

/// Whether `source` is one document, whatever is in it.
fn is_one_document(source: &Source) -> bool {
    source.format().row().is_one_document
}

/// The estimate for a corpus: each sample's count for each stored byte, by
/// their weights.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "estimates need no more than 53 bits, and none is negative"
)]
fn estimate_of(
    samples: &[Sample],
    corpus: &Corpus,
    is_whole: bool,
    config: &TokenizeConfig,
) -> Estimate {
    let samples: Vec<_> = samples
        .iter()
        .filter(|sample| sample.stored_bytes > 0)
        .collect();
    let weights: f64 = samples.iter().map(|sample| sample.weight).sum();
    let total = corpus.total_bytes();
    // The mean for each stored byte, times all of them.
    let of = |count: &dyn Fn(&Sample) -> f64| {
        let shares = samples
            .iter()
            .map(|sample| sample.weight * count(sample) / sample.stored_bytes as f64);
        let mean = shares.sum::<f64>() / weights.max(f64::MIN_POSITIVE);
        mean * total as f64
    };
    let tokens = of(&|sample| sample.tokens as f64);
    let documents = if is_whole {
        samples.iter().map(|sample| sample.documents as f64).sum()
    } else {
        let texts = corpus
            .sources()
            .iter()
            .filter(|source| is_one_document(source));
        let share = config.settings.split.map_or(1.0, Split::share);
        of(&|sample| sample.records as f64) + share * texts.count() as f64
    };
    let id_bytes = match config.settings.token_dtype {
        TokenDtype::U16 => 2.0,
        TokenDtype::U32 => 4.0,
    };
    // The variance of a weighted mean of independent samples.
    let spread = samples.iter().map(|sample| {
        let share = sample.weight / weights;
        let found = sample.tokens as f64 / sample.stored_bytes as f64 * total as f64;
        (share * (found - tokens)).powi(2)
    });
    let count = samples.len() as f64;
    let error = (spread.sum::<f64>() * count / (count - 1.0)).sqrt();
    Estimate {
        tokens: tokens.round() as u64,
        tokens_error: match samples.len() {
            _ if is_whole => Some(0),
            0 | 1 => None,
            _ => Some((DEVIATIONS * error).ceil() as u64),
        },
        documents: documents.round() as u64,
        bytes: (tokens * id_bytes + documents * size_of::<DocRecord>() as f64).round() as u64,
        seconds: of(&|sample| sample.time.as_secs_f64()) / config.threads as f64,
        sample_bytes: samples.iter().map(|sample| sample.stored_bytes).sum(),
    }
}
