//! Measures the settings of the gather that depend on the processor against each other.
//!
//! Every shape is gathered from an f32 table, with positions added, in sequences of 1024. In each of
//! a few rounds all settings take their turn, so that whatever else the machine does spreads over
//! them. The first round does not count. The fastest of many settings owes some of its rate to
//! luck, so the fastest few and the default meet again, in more rounds that count alone.

use std::time::{Duration, Instant};

use serde::Serialize;
use shardmill_core::dtype::{Dtype, Element, with_element};
use shardmill_core::map::Buffer;
use shardmill_core::simd::Level;

use super::gather::{SEQ_LEN, batch, table};
use super::{Sample, check_sizes, elements, thread_counts};
use crate::error::Result;
use crate::gather::{Gatherer, Shape, Tuning, has_whole_lines};
use crate::progress::Stats;
use crate::threads::one_each_cpu;

/// Rounds that count, over all settings.
const ROUNDS: usize = 3;

/// The number of settings that meet the default again, and the rounds in which they do.
const FINALISTS: usize = 3;
const FINAL_ROUNDS: usize = 9;

/// What to measure.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TuningConfig {
    /// Everything is measured on one thread and on this many.
    pub threads: usize,
    /// Lengths of the rows to gather.
    pub dims: Vec<usize>,
    /// The number of bytes that are gathered as f32; should exceed the caches.
    pub size_bytes: u64,
}

impl Default for TuningConfig {
    /// ```
    /// let config = shardmill::bench::TuningConfig::default();
    /// assert_eq!(config.dims, [128, 256, 768, 1024, 4096]);
    /// ```
    fn default() -> Self {
        Self {
            threads: one_each_cpu(),
            dims: vec![128, 256, 768, 1024, 4096],
            size_bytes: 128 << 20,
        }
    }
}

/// One way to gather.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GatherSetting {
    /// Type of the output; the tables are f32.
    pub dtype: Dtype,
    /// Elements of a row.
    pub dim: usize,
    /// `token_major` if sequence by sequence, `position_major` if position by position.
    pub order: &'static str,
    /// The number of elements of a row that are filled at once.
    pub piece_elements: usize,
    /// How many pieces ahead token rows are prefetched.
    pub pieces_ahead: usize,
    /// How position rows are prefetched: `none`, `nta` or `t0`.
    pub position_hint: &'static str,
    /// Whether this is what the program uses.
    pub is_default: bool,
}

/// All settings for one shape, on one number of threads.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TunedShape {
    /// The default's rate as a share of the best: 1 if the default is the best.
    pub share: f64,
    /// The default, in the final rounds.
    pub default: Sample<GatherSetting>,
    /// The setting with the shortest median time of the final rounds.
    pub best: Sample<GatherSetting>,
    /// Every setting in the first rounds, the default first.
    pub samples: Vec<Sample<GatherSetting>>,
}

/// What [`measure_tuning`] measured.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TuningReport {
    /// Vector instructions that were used.
    pub level: String,
    /// The larger thread count.
    pub threads: usize,
    /// By dim, type of the output and number of threads.
    pub shapes: Vec<TunedShape>,
}

impl TuningReport {
    /// The shape whose default loses most.
    pub fn worst(&self) -> Option<&TunedShape> {
        let shapes = self.shapes.iter();
        shapes.min_by(|a, b| a.share.total_cmp(&b.share))
    }
}

/// Measures every setting of every shape; `stats` counts the shapes.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) if a setting is out of range;
/// [`Error::Memory`](crate::Error::Memory), because up to three times `size_bytes` are needed.
///
/// ```no_run
/// use shardmill::Stats;
/// use shardmill::bench::{TuningConfig, measure_tuning};
///
/// let report = measure_tuning(&TuningConfig::default(), &Stats::default())?;
/// println!("{:?}", report.worst());
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn measure_tuning(config: &TuningConfig, stats: &Stats) -> Result<TuningReport> {
    check_sizes(config.threads, &config.dims, config.size_bytes)?;
    let dtypes = [Dtype::F32, Dtype::F16];
    let thread_counts = thread_counts(config.threads);
    stats.begin((config.dims.len() * dtypes.len() * thread_counts.len()) as u64);
    let elements = elements(config.size_bytes)?;
    let mut out = Buffer::<f32>::zeroed(elements)?;
    let tokens = table::<f32>(elements, |value| value)?;
    // They are apart from the tokens, whose rows would otherwise be in the caches as positions.
    let longest = config.dims.iter().max().copied().unwrap_or(1);
    let positions = table::<f32>((SEQ_LEN * longest).min(elements), |value| value)?;
    let level = Level::detect();
    let mut shapes = Vec::new();
    for &dim in &config.dims {
        let (rows, seq_len, ids) = batch(None, elements, dim);
        let position = positions.view(seq_len, dim)?;
        let gatherer = Gatherer::new(tokens.view(rows, dim)?, Some(position))?.with_level(level);
        for dtype in dtypes {
            for &threads in &thread_counts {
                let gatherer = gatherer.clone().with_threads(threads);
                let job = (&gatherer, &ids[..], seq_len);
                let shape = with_element!(dtype, E => tuned::<E>(threads, job, &mut out)?);
                shapes.push(shape);
                stats.advance(1);
            }
        }
    }
    Ok(TuningReport {
        level: level.to_string(),
        threads: config.threads,
        shapes,
    })
}

/// Measures one shape.
fn tuned<E: Element>(
    threads: usize,
    (gatherer, ids, seq_len): (&Gatherer, &[u32], usize),
    out: &mut [f32],
) -> Result<TunedShape> {
    let dim = gatherer.dim();
    let out = &mut bytemuck::cast_slice_mut::<f32, E>(out)[..ids.len() * dim];
    let bytes = size_of_val(out) as u64;
    let tunings = Tuning::candidates(Shape {
        dim,
        element_bytes: size_of::<f32>(),
        has_positions: true,
        has_pieces: has_whole_lines(out, dim),
    });
    let gatherers: Vec<_> = tunings
        .iter()
        .map(|&tuning| gatherer.clone().with_tuning(Some(tuning)))
        .collect();
    let once = |index: usize| gatherers[index].gather_into(ids, seq_len, out);
    let sample = |index: usize, times| {
        let setting = GatherSetting {
            dtype: E::DTYPE,
            dim,
            order: tunings[index].order.name(),
            piece_elements: tunings[index].piece_elements,
            pieces_ahead: tunings[index].pieces_ahead,
            position_hint: tunings[index].position_hint.name(),
            is_default: index == 0,
        };
        Sample::of(setting, threads, bytes, times)
    };
    final_of(tunings.len(), once, sample)
}

/// Measures `count` settings, of which the first is the default: first all of them, then the
/// fastest and the default.
fn final_of(
    count: usize,
    mut once: impl FnMut(usize) -> Result<()>,
    sample: impl Fn(usize, Vec<Duration>) -> Sample<GatherSetting>,
) -> Result<TunedShape> {
    let mut measured = |settings: &[usize], rounds| -> Result<Vec<_>> {
        let times = interleaved(settings, rounds, &mut once)?;
        let pairs = settings.iter().zip(times);
        Ok(pairs.map(|(&index, times)| sample(index, times)).collect())
    };
    let all: Vec<_> = (0..count).collect();
    let samples = measured(&all, ROUNDS)?;
    let mut finalists = all;
    let default = finalists.remove(0);
    finalists.sort_by(|&a, &b| samples[a].min_seconds.total_cmp(&samples[b].min_seconds));
    finalists.truncate(FINALISTS);
    finalists.insert(0, default);
    let finals = measured(&finalists, FINAL_ROUNDS)?;
    let default = finals[0].clone();
    let best = finals
        .into_iter()
        .min_by(|a, b| a.median_seconds.total_cmp(&b.median_seconds))
        .unwrap_or_else(|| default.clone());
    Ok(TunedShape {
        share: best.median_seconds / default.median_seconds,
        default,
        best,
        samples,
    })
}

/// The times of each setting, one for each round after a warm-up.
fn interleaved(
    settings: &[usize],
    rounds: usize,
    mut once: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<Vec<Duration>>> {
    let mut times = vec![Vec::with_capacity(rounds); settings.len()];
    for round in 0..=rounds {
        for (&setting, times) in settings.iter().zip(&mut times) {
            let started = Instant::now();
            once(setting)?;
            if round > 0 {
                times.push(started.elapsed());
            }
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn sample(index: usize, times: Vec<Duration>) -> Sample<GatherSetting> {
        let setting = GatherSetting {
            dtype: Dtype::F32,
            dim: 1,
            order: "token_major",
            piece_elements: 1,
            pieces_ahead: index,
            position_hint: "none",
            is_default: index == 0,
        };
        Sample::of(setting, 1, 1, times)
    }

    #[test]
    fn settings_are_interleaved_and_the_first_round_does_not_count() {
        let mut order = Vec::new();
        let times = interleaved(&[0, 2, 1], 2, |index| {
            order.push(index);
            Ok(())
        });
        assert_eq!(order, [0, 2, 1].repeat(3));
        assert!(times.unwrap().iter().all(|times| times.len() == 2));
        assert!(interleaved(&[0], 1, |_| Err(Error::shape("no"))).is_err());
    }

    #[test]
    fn the_fastest_meet_the_default_again() {
        let mut calls = [0; 6];
        let shape = final_of(
            6,
            |index| {
                calls[index] += 1;
                // The third setting is fast until it counts.
                let is_lucky = index == 2 && calls[2] <= ROUNDS + 1;
                let millis = [4, 20, 10, 2, 20, 8][index];
                std::thread::sleep(Duration::from_millis(if is_lucky { 1 } else { millis }));
                Ok(())
            },
            sample,
        );
        let shape = shape.unwrap();
        let few = ROUNDS + 1;
        let many = few + FINAL_ROUNDS + 1;
        assert_eq!(calls, [many, few, many, many, few, many]);
        assert_eq!(shape.samples.len(), 6);
        assert!(shape.default.what.is_default);
        assert_eq!(shape.best.what.pieces_ahead, 3);
        assert!((0.2..0.9).contains(&shape.share), "{shape:?}");
    }

    #[test]
    fn a_default_that_is_the_best_has_a_share_of_one() {
        let once = |index| {
            std::thread::sleep(Duration::from_millis(1 + 4 * index as u64));
            Ok(())
        };
        let shape = final_of(2, once, sample).unwrap();
        assert!(shape.best.what.is_default);
        assert!((shape.share - 1.0).abs() < f64::EPSILON);
    }
}
