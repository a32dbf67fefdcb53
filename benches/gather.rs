//! Gather throughput per table type, output type, row length and CPU level, in bytes of output.
//!
//! One thread. Ids follow a Zipf-like law over GPT-2's vocabulary size or as many rows as fit
//! 256 MiB; sequences have 1024 positions. `ceiling/copy` is what `memcpy` makes of the same number
//! of bytes, `ceiling/fill` what a plain fill does: read every result as a share of these.
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops at the first surprise"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "ids are drawn by a rough formula"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};
use shardmill::{Dtype, Element, Gatherer, Level, Table};

const SEQ_LEN: usize = 1024;
const OUT_ELEMENTS: usize = 16 << 20;
const TABLE_BYTES: usize = 256 << 20;
const N_VOCAB: usize = 50_257;

/// A cache line: outputs start on one, as streaming stores want it.
const LINE_BYTES: usize = 64;
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

/// Pseudo-random bits (splitmix64).
fn bits(index: usize) -> u64 {
    let mut z = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number in [-2, 2) for each element.
fn values<E: Element>(count: usize, round: fn(f32) -> E) -> Vec<E> {
    let value = |index| f32::from((bits(index) >> 48) as u16) / 16384.0 - 2.0;
    (0..count).map(|index| round(value(index))).collect()
}

fn table(dtype: Dtype, rows: usize, dim: usize) -> Table {
    match dtype {
        Dtype::F32 => Table::from_vec(rows, dim, values(rows * dim, |value| value)),
        Dtype::F16 => Table::from_vec(rows, dim, values(rows * dim, f16::from_f32)),
        Dtype::BF16 => Table::from_vec(rows, dim, values(rows * dim, bf16::from_f32)),
    }
    .unwrap()
}

/// Ids whose frequency falls about as 1/rank, scattered over the table.
fn ids(count: usize, rows: usize) -> Vec<u32> {
    let rank = |index| {
        let uniform = (bits(index) >> 11) as f64 / (1_u64 << 53) as f64;
        (rows as f64).powf(uniform) as usize - 1
    };
    (0..count)
        .map(|index| (rank(index) * 7919 % rows) as u32)
        .collect()
}

/// Checks that `level` writes what the scalar level writes, then times it.
fn bench_level<E: Element>(
    c: &mut Criterion,
    (gatherer, dim, name): (&Gatherer, usize, &str),
    ids: &[u32],
    level: Level,
) {
    let gather = |level, out: &mut [E]| {
        gatherer
            .clone()
            .with_level(level)
            .gather_into(ids, SEQ_LEN, out)
            .unwrap();
    };
    let mut buffer = vec![Line([0; LINE_BYTES]); (ids.len() * dim * size_of::<E>()) / LINE_BYTES];
    let out: &mut [E] = bytemuck::cast_slice_mut(&mut buffer);
    gather(Level::scalar(), out);
    let expected = xxhash_rust::xxh3::xxh3_128(bytemuck::cast_slice(out));
    out.fill(E::zeroed());
    gather(level, out);
    let checksum = xxhash_rust::xxh3::xxh3_128(bytemuck::cast_slice(out));
    assert_eq!(
        checksum, expected,
        "{name} at {level} is not what the scalar level writes"
    );

    let mut group = c.benchmark_group("gather");
    group.throughput(Throughput::Bytes(size_of_val(out) as u64));
    let id = BenchmarkId::new(format!("{name}-{}-d{dim}", E::DTYPE.name()), level);
    group.bench_function(id, |b| b.iter(|| gather(level, black_box(&mut *out))));
    group.finish();
}

fn bench_gather(c: &mut Criterion) {
    for dim in [256, 768, 4096] {
        let rows = N_VOCAB.min(TABLE_BYTES / size_of::<f32>() / dim);
        let ids = ids(OUT_ELEMENTS / dim / SEQ_LEN * SEQ_LEN, rows);
        for dtype in Dtype::ALL {
            let position = table(Dtype::F32, SEQ_LEN, dim);
            let gatherer = Gatherer::new(table(dtype, rows, dim), Some(position)).unwrap();
            let gatherer = gatherer.with_threads(1);
            for level in Level::available() {
                let case = (&gatherer, dim, dtype.name());
                bench_level::<f32>(c, case, &ids, level);
                bench_level::<f16>(c, case, &ids, level);
                bench_level::<bf16>(c, case, &ids, level);
            }
        }
    }
}

fn bench_ceiling(c: &mut Criterion) {
    let from = values(OUT_ELEMENTS, |value| value);
    let mut to = vec![0.0_f32; OUT_ELEMENTS];
    let mut group = c.benchmark_group("ceiling");
    group.throughput(Throughput::Bytes(size_of_val(from.as_slice()) as u64));
    group.bench_function("copy", |b| {
        b.iter(|| black_box(&mut to).copy_from_slice(black_box(&from)));
    });
    group.bench_function("fill", |b| {
        b.iter(|| black_box(&mut to).fill(black_box(1.5)));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = bench_ceiling, bench_gather
}
criterion_main!(benches);
