//! Gather throughput per table type, output type, row length and CPU level, in bytes of output.
//!
//! One thread, 128 MiB of output as f32 in a reused buffer on huge pages. Ids follow a Zipf-like
//! law over GPT-2's vocabulary size, or as many rows as fit in 128 MiB; sequences have 1024
//! positions. The table at the end shows each median next to the streaming store of the same run:
//! read every result as a share of it. `table/` has the same rows in a mapped file, on small pages
//! and on huge ones.
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
    reason = "ids are drawn by a rough formula, and rates have few digits"
)]
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group,
    measurement::WallTime,
};
use half::{bf16, f16};
use shardmill::bench::store_all;
use shardmill::gather::Stores;
use shardmill::table::{Rope, RopeStyle, TableOptions, TableSpec};
use shardmill::{Buffer, Dtype, Element, Gatherer, Hash128, Level, Table};

const SEQ_LEN: usize = 1024;
const OUT_ELEMENTS: usize = 32 << 20;
const TABLE_BYTES: usize = 128 << 20;
const N_VOCAB: usize = 50_257;

thread_local! {
    /// The results: name and bytes per second.
    static RATES: RefCell<Vec<(String, f64)>> = const { RefCell::new(Vec::new()) };
}

/// Times `once`, which produces `bytes`, and keeps the median.
fn measure(group: &mut BenchmarkGroup<WallTime>, id: &str, bytes: usize, mut once: impl FnMut()) {
    group.throughput(Throughput::Bytes(bytes as u64));
    let mut times = Vec::new();
    group.bench_function(BenchmarkId::from_parameter(id), |b| {
        b.iter_custom(|n| {
            let total = (0..n).map(|_| {
                let started = Instant::now();
                once();
                let time = started.elapsed();
                times.push(time);
                time
            });
            total.sum()
        });
    });
    times.sort_unstable();
    if let Some(median) = times.get(times.len() / 2) {
        let rate = bytes as f64 / median.as_secs_f64();
        RATES.with_borrow_mut(|rates| rates.push((id.to_owned(), rate)));
    }
}

/// Pseudo-random bits (splitmix64).
fn bits(index: usize) -> u64 {
    let mut z = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Numbers in [-2, 2) that repeat after a million.
fn values<E: Element>(count: usize, round: fn(f32) -> E) -> Vec<E> {
    let value = |index| f32::from((bits(index) >> 48) as u16) / 16384.0 - 2.0;
    let million: Vec<E> = (0..1 << 20).map(|index| round(value(index))).collect();
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let take = million.len().min(count - values.len());
        values.extend_from_slice(&million[..take]);
    }
    values
}

fn table(dtype: Dtype, rows: usize, dim: usize) -> Table {
    match dtype {
        Dtype::F32 => Table::from_vec(rows, dim, values(rows * dim, |value| value)),
        Dtype::F16 => Table::from_vec(rows, dim, values(rows * dim, f16::from_f32)),
        Dtype::BF16 => Table::from_vec(rows, dim, values(rows * dim, bf16::from_f32)),
    }
    .and_then(|table| table.to_huge_pages())
    .unwrap()
}

/// Ids whose frequency falls off about as 1/rank, scattered over the table.
fn ids(count: usize, rows: usize) -> Vec<u32> {
    let rank = |index| {
        let uniform = (bits(index) >> 11) as f64 / (1_u64 << 53) as f64;
        (rows as f64).powf(uniform) as usize - 1
    };
    (0..count)
        .map(|index| (rank(index) * 7919 % rows) as u32)
        .collect()
}

/// Times `levels`, and checks that each writes what the scalar level writes.
fn bench_type<E: Element>(
    group: &mut BenchmarkGroup<WallTime>,
    (gatherer, name, levels): (&Gatherer, &str, &[Level]),
    ids: &[u32],
    out: &mut Buffer<f32>,
) {
    let out = &mut bytemuck::cast_slice_mut::<f32, E>(out)[..ids.len() * gatherer.dim()];
    let gather = |level, out: &mut [E]| {
        gatherer
            .clone()
            .with_level(level)
            .gather_into(ids, SEQ_LEN, out)
            .unwrap();
    };
    let checksum = |out: &[E]| Hash128::of(bytemuck::cast_slice(out));
    gather(Level::scalar(), out);
    let expected = checksum(out);
    for &level in levels {
        let id = format!(
            "{name} to {}, dim {}, {level}",
            E::DTYPE.name(),
            gatherer.dim()
        );
        out.fill(E::zeroed());
        measure(group, &id, size_of_val(out), || {
            gather(level, black_box(&mut *out));
        });
        // A filter may have excluded it.
        if RATES.with_borrow(|rates| rates.iter().any(|(name, _)| *name == id)) {
            assert_eq!(
                checksum(out),
                expected,
                "{id} is not what the scalar level writes"
            );
        }
    }
}

fn bench_types(
    group: &mut BenchmarkGroup<WallTime>,
    case: (&Gatherer, &str, &[Level]),
    ids: &[u32],
    out: &mut Buffer<f32>,
) {
    bench_type::<f32>(group, case, ids, out);
    bench_type::<f16>(group, case, ids, out);
    bench_type::<bf16>(group, case, ids, out);
}

fn shape(dim: usize) -> (usize, Vec<u32>) {
    let rows = N_VOCAB.min(TABLE_BYTES / size_of::<f32>() / dim);
    (rows, ids(OUT_ELEMENTS / dim / SEQ_LEN * SEQ_LEN, rows))
}

fn bench_gather(c: &mut Criterion) {
    let mut out = Buffer::zeroed(OUT_ELEMENTS).unwrap();
    let mut group = c.benchmark_group("gather");
    group.sampling_mode(SamplingMode::Flat);
    for dim in [256, 768, 4096] {
        let (rows, ids) = shape(dim);
        let levels = Level::available();
        for dtype in Dtype::ALL {
            let position = table(Dtype::F32, SEQ_LEN, dim);
            let gatherer = Gatherer::new(table(dtype, rows, dim), Some(position)).unwrap();
            let gatherer = gatherer.with_threads(1);
            bench_types(
                &mut group,
                (&gatherer, dtype.name(), &levels),
                &ids,
                &mut out,
            );
        }
    }
    let (rows, ids) = shape(768);
    for style in RopeStyle::ALL {
        let rope = Rope::new(style, SEQ_LEN, 768, 10_000.0).unwrap();
        let gatherer = Gatherer::new(table(Dtype::F32, rows, 768), None).unwrap();
        let gatherer = gatherer.with_rope(rope).unwrap().with_threads(1);
        let name = format!("f32, rope {}", style.name());
        bench_types(
            &mut group,
            (&gatherer, &name, &[Level::detect()]),
            &ids,
            &mut out,
        );
    }
}

/// One table in three kinds of memory.
fn bench_tables(c: &mut Criterion) {
    let mut out = Buffer::zeroed(OUT_ELEMENTS).unwrap();
    let mut group = c.benchmark_group("table");
    group.sampling_mode(SamplingMode::Flat);
    let dir = tempfile::tempdir().unwrap();
    for dim in [256, 768] {
        let (rows, ids) = shape(dim);
        let small = Table::from_vec(rows, dim, values(rows * dim, |value| value)).unwrap();
        let path = dir.path().join("table.npy");
        small
            .write_npy(std::fs::File::create(&path).unwrap())
            .unwrap();
        let mapped = Table::open(&TableSpec::parse(&path), &TableOptions::default()).unwrap();
        let huge = mapped.to_huge_pages().unwrap();
        for (name, table) in [
            ("mapped", mapped),
            ("small pages", small),
            ("huge pages", huge),
        ] {
            let position = self::table(Dtype::F32, SEQ_LEN, dim);
            let gatherer = Gatherer::new(table, Some(position))
                .unwrap()
                .with_threads(1);
            let name = format!("f32 table {name}");
            let case = (&gatherer, &*name, &[Level::detect()][..]);
            bench_type::<f32>(&mut group, case, &ids, &mut out);
        }
    }
}

fn bench_ceiling(c: &mut Criterion) {
    let mut from = Buffer::<f32>::zeroed(OUT_ELEMENTS).unwrap();
    from.fill(1.5);
    let mut to = Buffer::<f32>::zeroed(OUT_ELEMENTS).unwrap();
    let bytes = size_of_val(&*from);
    let mut group = c.benchmark_group("ceiling");
    group.sampling_mode(SamplingMode::Flat);
    for level in Level::available().into_iter().rev() {
        for (name, stores) in [
            ("streaming", Stores::Streaming),
            ("regular", Stores::Regular),
        ] {
            measure(&mut group, &format!("{name} store, {level}"), bytes, || {
                store_all(level, stores, 1, black_box(&mut to)).unwrap();
            });
        }
    }
    measure(&mut group, "copy", bytes, || {
        black_box(&mut *to).copy_from_slice(black_box(&from));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200));
    targets = bench_ceiling, bench_gather, bench_tables
}

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // From the fastest level, which is measured first; a filter may have excluded it.
    RATES.with_borrow(|rates| {
        let ceiling = rates.iter().find(|(id, _)| id.starts_with("streaming"));
        println!("\nGB/s by the median, and the share of the streaming store");
        for (id, rate) in rates {
            let share = ceiling.map(|(_, ceiling)| format!("{:>4.0} %", 100.0 * rate / ceiling));
            println!("{id:<50}{:>6.1}{}", rate / 1e9, share.unwrap_or_default());
        }
    });
}
