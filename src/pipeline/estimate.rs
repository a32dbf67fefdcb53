//! What a run will make, from a sample of its corpus.

use std::time::{Duration, Instant};

use rayon::prelude::*;
use shardmill_tokenizer::Tokenizer;

use crate::corpus::{Corpus, Source};
use crate::dataset::{DocRecord, Position, Split, TokenDtype, Unit};
use crate::error::Result;
use crate::pipeline::chunk::{Chunk, UnitCursor};
use crate::pipeline::cut_rules::CutRules;
use crate::pipeline::piece::Piece;
use crate::pipeline::plan::end_of;
use crate::pipeline::search::Search;
use crate::pipeline::worker::Worker;
use crate::pipeline::{CHUNK_BYTES, TokenizeConfig};
use crate::threads::thread_pool;

/// At how many places of a corpus a chunk is tokenized.
const PLACES: u32 = 48;

/// A corpus of at most so many chunks is tokenized as a whole.
const WHOLE_CHUNKS: usize = 16;

/// At one place, at most so many chunks are tokenized, and no chunk that has more text than this,
/// because it has no place to cut.
const MAX_CHUNKS: usize = 8;
const MAX_SAMPLE_BYTES: u64 = 256 << 20;

/// In a normal distribution, 95 % lie within this many standard deviations of the mean.
const DEVIATIONS: f64 = 1.96;

/// What a run will make, as far as a sample tells.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The number of tokens.
    pub tokens: u64,
    /// How far the number of tokens may be from that, with 95 % confidence: 1.96 standard errors of
    /// the sample. 0 if the sample is all of the corpus; `None` if half of the corpus is known from one
    /// place only, or some of it from none.
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
    /// The number of texts that begin in it, also of those that are left out.
    texts: u64,
    /// The size of the kept fields.
    field_bytes: u64,
    time: Duration,
}

/// Estimates what a run over `corpus` makes, by tokenizing about 1 MiB of text at each of 48 places that
/// are spread evenly over it, or all of it if that is at most 16 MiB. The same corpus has the same
/// places.
///
/// A compressed file and a row group are sampled at their starts only, and a record of more than 256 MiB
/// not at all.
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

/// Where a sample is taken.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: Position,
    /// How much of the corpus it stands for.
    weight: f64,
    /// Up to here, its source has been searched for the next.
    ahead: u64,
}

/// The samples of a corpus of a few chunks: all of it.
fn whole(worker: &Worker<'_>) -> Result<Option<Vec<Sample>>> {
    let mut chunks = Vec::new();
    let mut cursor = cursor(worker, Position::default());
    while let Some(chunk) = cursor.next(worker.corpus)? {
        if chunks.len() == WHOLE_CHUNKS || len_bytes(&chunk) > 2 * CHUNK_BYTES as u64 {
            return Ok(None);
        }
        chunks.push(chunk);
    }
    let samples = chunks.into_par_iter().map(|chunk| {
        let mut sample = Sample::default();
        sample.add(worker, chunk)?;
        Ok(sample)
    });
    samples.collect::<Result<_>>().map(Some)
}

/// The samples of a larger corpus, one at each place, except where there is too much text without a
/// place to cut.
fn spread(worker: &Worker<'_>) -> Result<Vec<Sample>> {
    let places = places(worker.corpus, &rules(worker))?;
    // A compressed source is read from its start. Blocks are decoded as a whole, so the share of
    // stored bytes is coarse in a single chunk.
    let chunks = (PLACES as usize / places.len().max(1)).clamp(1, MAX_CHUNKS);
    let samples = places.into_par_iter().map(|place| {
        let mut sample = Sample {
            weight: place.weight,
            ..Sample::default()
        };
        let mut cursor = cursor(worker, place.start);
        let source = &worker.corpus.sources()[place.start.source as usize];
        let chunks = if source.compression().is_some() {
            chunks
        } else {
            1
        };
        for _ in 0..chunks {
            let started = Instant::now();
            let Some(chunk) = cursor.next(worker.corpus)? else {
                break;
            };
            sample.time += started.elapsed();
            if len_bytes(&chunk) > MAX_SAMPLE_BYTES {
                return Ok(None);
            }
            sample.add(worker, chunk)?;
        }
        Ok(Some(sample))
    });
    let samples: Vec<Option<Sample>> = samples.collect::<Result<_>>()?;
    Ok(samples.into_iter().flatten().collect())
}

fn len_bytes(chunk: &Chunk) -> u64 {
    chunk.pieces.iter().map(Piece::len_bytes).sum()
}

/// Walks through the corpus from `start` on.
fn cursor(worker: &Worker<'_>, start: Position) -> UnitCursor {
    let end = end_of(worker.corpus);
    UnitCursor::new(Unit { start, end }, rules(worker), worker.fields.clone())
}

fn rules(worker: &Worker<'_>) -> CutRules {
    CutRules::new(Some(worker.tokenizer), &worker.config.settings)
}

impl Sample {
    /// Tokenizes `chunk`.
    fn add(&mut self, worker: &Worker<'_>, chunk: Chunk) -> Result<()> {
        self.stored_bytes += chunk.pieces.iter().map(Piece::stored_bytes).sum::<u64>();
        let mut encoder = worker.tokenizer.encoder()?;
        let started = Instant::now();
        let encoded = worker.encode(&mut encoder, chunk)?;
        self.time += started.elapsed();
        self.tokens += encoded.ids.len() as u64;
        let (mut line, mut found) = (Vec::new(), Vec::new());
        for values in encoded.kept.documents() {
            line.clear();
            worker.fields.push_line(values, &mut found, &mut line);
            self.field_bytes += line.len() as u64;
        }
        let begins_text = |piece: &&Piece| piece.byte == 0 && piece.format.row().is_one_document;
        self.texts += encoded.pieces.iter().filter(begins_text).count() as u64;
        for document in encoded.documents.iter().filter(|document| document.begins) {
            let source = &worker.corpus.sources()[document.source as usize];
            self.documents += 1;
            self.records += u64::from(!is_one_document(source));
        }
        Ok(())
    }
}

/// Where samples begin, in order, and what each stands for.
fn places(corpus: &Corpus, rules: &CutRules) -> Result<Vec<Place>> {
    let total = corpus.total_bytes();
    let mut places: Vec<Place> = Vec::new();
    let mut sources = (0_u32..).zip(corpus.sources());
    let mut source = sources.next();
    let mut source_start = 0;
    for place in 0..PLACES {
        let at = |place: u32| u128::from(total) * u128::from(place) / u128::from(PLACES);
        let [at, next] = [at(place), at(place + 1)].map(|at| u64::try_from(at).unwrap_or(total));
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
        // Bytes are searched once, and by some formats only from a cut on.
        let last = places.last().filter(|last| last.start.source == index);
        let before = last.map_or(0, |last| last.start.byte);
        let ahead = last.map_or(0, |last| last.ahead);
        let byte = if at - source_start < ahead {
            ahead
        } else {
            cut_after(corpus, rules, index, before, at - source_start)?
        };
        let weight = 1.0 / f64::from(PLACES);
        // A record, or text without a place to cut, begins before this place and ends after the next
        // or with the source: the sample before has it.
        let size = source_bytes(corpus, index);
        let is_far = byte >= size || byte > next.saturating_sub(source_start);
        match places.last_mut() {
            Some(last) if last.start.source == index && (is_far || byte == last.start.byte) => {
                last.weight += weight;
                last.ahead = byte;
            }
            _ => places.push(Place {
                start: Position {
                    source: index,
                    byte: if is_far { 0 } else { byte },
                },
                weight,
                ahead: byte,
            }),
        }
    }
    Ok(places)
}

/// The first allowed cut of source `index` at or after `byte`, where `before` is an earlier one; the end
/// of the source if there is none. 0 if the source is read from its start.
fn cut_after(corpus: &Corpus, rules: &CutRules, index: u32, before: u64, byte: u64) -> Result<u64> {
    let source = &corpus.sources()[index as usize];
    let bytes = source_bytes(corpus, index);
    if byte == 0 || bytes <= CHUNK_BYTES as u64 || source.compression().is_some() {
        return Ok(0);
    }
    let cut = Search::open(corpus, index)?.next_cut(rules, before, byte)?;
    Ok(cut.unwrap_or(bytes))
}

/// The size of source `index`, a file.
fn source_bytes(corpus: &Corpus, index: u32) -> u64 {
    corpus.sources()[index as usize].bytes().unwrap_or(0)
}

/// Whether `source` is one document, whatever is in it.
fn is_one_document(source: &Source) -> bool {
    source.format().row().is_one_document
}

/// The estimate for a corpus: each sample's count for each stored byte, by their weights.
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
    let total = corpus.total_bytes();
    let weights: f64 = samples.iter().map(|sample| sample.weight).sum();
    // The sum if the samples are all of the corpus, else the weighted mean for each stored byte, times
    // all of them.
    let of = |count: &dyn Fn(&Sample) -> f64| {
        if is_whole {
            return samples.iter().map(count).sum::<f64>();
        }
        let shares = samples.iter().map(|sample| {
            let bytes = sample.stored_bytes.max(1) as f64;
            sample.weight * count(sample) / bytes
        });
        shares.sum::<f64>() / weights.max(f64::MIN_POSITIVE) * total as f64
    };
    let tokens = of(&|sample| sample.tokens as f64);
    let documents = if is_whole {
        of(&|sample| sample.documents as f64)
    } else {
        let sources = corpus.sources().iter();
        let texts = sources.filter(|source| is_one_document(source)).count();
        of(&|sample| sample.records as f64) + text_share(samples, config) * texts as f64
    };
    let field_bytes = of(&|sample| sample.field_bytes as f64);
    let id_bytes = match config.settings.token_dtype {
        TokenDtype::U16 => 2.0,
        TokenDtype::U32 => 4.0,
    };
    Estimate {
        tokens: tokens.round() as u64,
        tokens_error: if is_whole {
            Some(0)
        } else {
            let error = standard_error(samples, weights);
            error.map(|error| (DEVIATIONS * error * total as f64).ceil() as u64)
        },
        documents: documents.round() as u64,
        bytes: (tokens * id_bytes + documents * size_of::<DocRecord>() as f64 + field_bytes).round()
            as u64,
        seconds: of(&|sample| sample.time.as_secs_f64()).max(0.0) / config.threads as f64,
        sample_bytes: samples.iter().map(|sample| sample.stored_bytes).sum(),
    }
}

/// The share of texts that the dataset has.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn text_share(samples: &[Sample], config: &TokenizeConfig) -> f64 {
    if !config.settings.limits().are_set() {
        return config.settings.split.map_or(1.0, Split::share);
    }
    let sum = |count: fn(&Sample) -> u64| samples.iter().map(count).sum::<u64>() as f64;
    sum(|sample| sample.documents - sample.records) / sum(|sample| sample.texts).max(1.0)
}

/// The standard error of the weighted mean of tokens for each stored byte; `None` if half of the corpus
/// is known from one place only, or some of it from none.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn standard_error(samples: &[Sample], weights: f64) -> Option<f64> {
    let is_known = weights > 0.99 && samples.iter().all(|sample| sample.weight <= 0.5 * weights);
    if !is_known || samples.len() < 2 {
        return None;
    }
    let rates = samples.iter().map(|sample| {
        let rate = sample.tokens as f64 / sample.stored_bytes.max(1) as f64;
        (sample.weight / weights, rate)
    });
    let mean: f64 = rates.clone().map(|(share, rate)| share * rate).sum();
    let variance: f64 = rates
        .map(|(share, rate)| (share * (rate - mean)).powi(2))
        .sum();
    let count = samples.len() as f64;
    Some((variance * count / (count - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::CorpusOptions;
    use crate::dataset::Settings;

    /// Also of a record with which its source ends.
    #[test]
    fn no_place_is_at_the_end_of_its_source() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.jsonl", "b.jsonl", "c.jsonl"] {
            let record = format!("{{\"text\":\"{}\"}}\n", "a ".repeat(CHUNK_BYTES));
            std::fs::write(dir.path().join(name), record).unwrap();
        }
        let corpus = Corpus::open(&[dir.path().into()], &CorpusOptions::default()).unwrap();
        let gpt2 = Tokenizer::by_name("gpt2").unwrap();
        let rules = CutRules::new(Some(&gpt2), &Settings::default());
        let places = places(&corpus, &rules).unwrap();
        let starts = places.iter().map(|place| place.start);
        let sources = 0..3;
        assert!(starts.eq(sources.map(|source| Position { source, byte: 0 })));
        let weights: f64 = places.iter().map(|place| place.weight).sum();
        assert!((weights - 1.0).abs() < 1e-9, "{weights}");
    }
}
