//! Measures the gather, by element types and dim.
//!
//! All outputs have the same number of elements, in sequences of 1024 positions. Every table has
//! 50257 rows, or as many as fit the same size. Ids are those of the given text modulo the rows,
//! repeated from its start if it is too short. Without a text, id frequencies fall off about as
//! 1/rank, and the ids are scattered over the table. Text repeats itself more than such ids do, and
//! repeated rows come from the caches, so each sample reports how many rows are distinct.

use std::collections::HashSet;

use serde::Serialize;
use shardmill_core::dtype::{Dtype, Element, with_element};
use shardmill_core::map::Buffer;
use shardmill_core::simd::scalar;

use super::{BenchConfig, Sample, elements};
use crate::error::Result;
use crate::gather::Gatherer;
use crate::progress::Stats;
use crate::table::Table;

pub(super) const SEQ_LEN: usize = 1024;
const MAX_ROWS: usize = 50_257;

/// What was gathered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GatherSpeed {
    /// Type of the token table; the position table is f32.
    pub table_dtype: Dtype,
    /// Type of the output.
    pub dtype: Dtype,
    /// Elements of a row.
    pub dim: usize,
    /// The number of distinct rows of the token table that were read.
    pub distinct_rows: usize,
}

/// How many samples [`measure`] takes.
pub(super) fn count(dims: &[usize], thread_counts: &[usize]) -> usize {
    Dtype::ALL.len() * Dtype::ALL.len() * dims.len() * thread_counts.len()
}

/// Measures every pair of types at every dim; `text_ids` are the ids of the text, if there is one.
pub(super) fn measure(
    config: &BenchConfig,
    text_ids: Option<&[u32]>,
    thread_counts: &[usize],
    stats: &Stats,
) -> Result<Vec<Sample<GatherSpeed>>> {
    let mut samples = Vec::new();
    let elements = elements(config.size_bytes)?;
    let mut out = Buffer::<f32>::zeroed(elements)?;
    let positions = table::<f32>(elements, |value| value)?;
    for table_dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let table = match table_dtype {
            Dtype::F32 => positions.clone(),
            Dtype::F16 => table(elements, scalar::round_f16)?,
            Dtype::BF16 => table(elements, scalar::round_bf16)?,
        };
        for &dim in &config.dims {
            let (rows, seq_len, ids) = batch(text_ids, elements, dim);
            let distinct_rows = ids.iter().collect::<HashSet<_>>().len();
            let position = positions.view(seq_len, dim)?;
            let gatherer = Gatherer::new(table.view(rows, dim)?, Some(position))?;
            let gatherer = gatherer.with_level(config.level);
            for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
                let what = GatherSpeed {
                    table_dtype,
                    dtype,
                    dim,
                    distinct_rows,
                };
                for &threads in thread_counts {
                    let gatherer = gatherer.clone().with_threads(threads);
                    let job = (&gatherer, &ids[..], seq_len);
                    let what = what.clone();
                    samples.push(with_element!(dtype, E => {
                        sample::<E>(what, threads, job, &mut out)?
                    }));
                    stats.advance(1);
                }
            }
        }
    }
    Ok(samples)
}

fn sample<E: Element>(
    what: GatherSpeed,
    threads: usize,
    (gatherer, ids, seq_len): (&Gatherer, &[u32], usize),
    out: &mut [f32],
) -> Result<Sample<GatherSpeed>> {
    let out = &mut bytemuck::cast_slice_mut::<f32, E>(out)[..ids.len() * gatherer.dim()];
    let bytes = size_of_val(out) as u64;
    Sample::take(what, threads, bytes, || {
        gatherer.gather_into(ids, seq_len, out)
    })
}

/// How many rows a table has, how long sequences are, and their ids, if `elements` are gathered as
/// rows of `dim`.
pub(super) fn batch(
    text_ids: Option<&[u32]>,
    elements: usize,
    dim: usize,
) -> (usize, usize, Vec<u32>) {
    let rows = MAX_ROWS.min(elements / dim);
    let mut ids = match text_ids {
        Some(text) => folded(text, elements / dim, rows),
        None => drawn(elements / dim, rows),
    };
    let seq_len = SEQ_LEN.min(ids.len());
    ids.truncate(ids.len() / seq_len * seq_len);
    (rows, seq_len, ids)
}

/// Elements in [-2, 2), as one row.
pub(super) fn table<E: Element>(elements: usize, round: fn(f32) -> E) -> Result<Table> {
    let mut values = Buffer::zeroed(elements)?;
    for (index, value) in values.iter_mut().enumerate() {
        let upper = u16::try_from(bits(index) >> 48).unwrap_or(0);
        *value = round(f32::from(upper) / 16384.0 - 2.0);
    }
    Table::from_buffer(1, elements, values)
}

/// Pseudo-random bits (splitmix64).
fn bits(index: usize) -> u64 {
    let mut z = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The first `count` ids of the repeated text, modulo `rows`.
fn folded(text: &[u32], count: usize, rows: usize) -> Vec<u32> {
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    let ids = text.iter().cycle().take(count);
    ids.map(|id| id % rows).collect()
}

/// Ids whose frequency falls off about as 1/rank, scattered over the table.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "ids are drawn by a rough formula"
)]
fn drawn(count: usize, rows: usize) -> Vec<u32> {
    let rank = |index| {
        let uniform = (bits(index) >> 11) as f64 / (1_u64 << 53) as f64;
        libm::pow(rows as f64, uniform) as usize - 1
    };
    (0..count)
        .map(|index| (rank(index) * 7919 % rows) as u32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_rows_and_few_are_frequent() {
        for rows in [1, 7, 50_257] {
            let ids = drawn(10_000, rows);
            assert!(ids.iter().all(|id| (*id as usize) < rows));
            let zeros = ids.iter().filter(|id| **id == 0).count();
            assert!(zeros > 10_000 / 20, "{rows}: {zeros}");
        }
    }
}
