//! The gatherer's conversions and sums against values that PyTorch printed (`fixtures/golden`), at
//! every level that this CPU has.

use half::{bf16, f16};
use shardmill::gather::Stores;
use shardmill::{Dtype, Element, Gatherer, Level, Table};

use super::support::{self, golden};

/// One hexadecimal number per list entry.
fn hex_list(list: &serde_json::Value) -> Vec<u32> {
    let numbers = list.as_array().unwrap().iter();
    numbers
        .map(|hex| u32::from_str_radix(hex.as_str().unwrap(), 16).unwrap())
        .collect()
}

/// Numbers of `digits` hexadecimal digits each, joined without a separator.
fn hex_row(row: &serde_json::Value, digits: usize) -> Vec<u32> {
    let row = row.as_str().unwrap().as_bytes().chunks(digits);
    row.map(|hex| u32::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap())
        .collect()
}

fn f32_row(row: &serde_json::Value) -> Vec<f32> {
    hex_row(row, 8).into_iter().map(f32::from_bits).collect()
}

/// SHA-256 of the little-endian bytes, as lower-case hexadecimal.
fn sha256<E: Element>(values: &[E]) -> String {
    support::sha256(bytemuck::cast_slice(values))
}

/// The patterns that the golden sweep went through.
fn sweep() -> Vec<f32> {
    (0..1_049_344_u32)
        .map(|k| f32::from_bits(k.wrapping_mul(4093)))
        .collect()
}

/// Every level with both kinds of stores.
fn settings() -> impl Iterator<Item = (Level, Stores)> {
    let stores = [Stores::Regular, Stores::Streaming];
    Level::available()
        .into_iter()
        .flat_map(move |level| stores.map(|stores| (level, stores)))
}

/// Converts `values` with every setting, as one row per `dim` elements, and passes each result to
/// `check`.
fn convert<T: Element, E: Element>(values: &[T], dim: usize, check: impl Fn(&[E], String)) {
    let rows = values.len() / dim;
    let ids: Vec<u32> = (0..).take(rows).collect();
    for (level, stores) in settings() {
        let table = Table::from_vec(rows, dim, values.to_vec()).unwrap();
        let gatherer = Gatherer::new(table, None)
            .unwrap()
            .with_level(level)
            .with_stores(stores);
        let mut out = vec![E::zeroed(); values.len()];
        gatherer.gather_into(&ids, 1, &mut out).unwrap();
        check(&out, format!("{level} {stores:?} dim {dim}"));
    }
}

fn f16_bits(values: &[f16]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits().into()).collect()
}

fn bf16_bits(values: &[bf16]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits().into()).collect()
}

/// PyTorch converted each pattern alone and within a tensor of 4096; both results are the same.
#[test]
fn every_listed_pattern_is_rounded_as_by_pytorch() {
    let golden = golden("rounding");
    let patterns: Vec<_> = hex_list(&golden["f32"])
        .into_iter()
        .map(f32::from_bits)
        .collect();
    let in_4096: Vec<_> = patterns
        .iter()
        .copied()
        .cycle()
        .take(patterns.len() * 64)
        .collect();
    for how in ["one_element", "in_4096"] {
        let to_f16 = hex_list(&golden[format!("f16_{how}")]);
        let to_bf16 = hex_list(&golden[format!("bf16_{how}")]);
        convert(&patterns, 1, |out, with| {
            assert_eq!(f16_bits(out), to_f16, "{with}");
        });
        convert(&patterns, 1, |out, with| {
            assert_eq!(bf16_bits(out), to_bf16, "{with}");
        });
        let (to_f16, to_bf16) = (to_f16.repeat(64), to_bf16.repeat(64));
        convert(&in_4096, 64, |out, with| {
            assert_eq!(f16_bits(out), to_f16, "{with}");
        });
        convert(&in_4096, 64, |out, with| {
            assert_eq!(bf16_bits(out), to_bf16, "{with}");
        });
    }
}

#[test]
fn every_16_bit_number_is_widened_as_by_pytorch() {
    let golden = &golden("rounding")["widen_all_65536"];
    let f16: Vec<_> = (0..=u16::MAX).map(f16::from_bits).collect();
    let bf16: Vec<_> = (0..=u16::MAX).map(bf16::from_bits).collect();
    for dim in [1, 256] {
        convert::<f16, f32>(&f16, dim, |out, with| {
            assert_eq!(sha256(out), golden["f16_to_f32"]["le_sha256"], "{with}");
        });
        convert::<bf16, f32>(&bf16, dim, |out, with| {
            assert_eq!(sha256(out), golden["bf16_to_f32"]["le_sha256"], "{with}");
        });
    }
}

#[test]
fn the_sweep_is_rounded_to_f16_as_by_pytorch() {
    let (golden, patterns) = (&golden("rounding")["sweep"]["f16"], sweep());
    for dim in [1, 256] {
        convert::<f32, f16>(&patterns, dim, |out, with| {
            assert_eq!(sha256(out), golden["le_sha256"], "{with}");
            let hash = sha256(&without_nan_bits(out, &patterns, f16::from_bits(0x7e00)));
            assert_eq!(
                hash, golden["le_sha256_with_every_nan_replaced_by_7e00"],
                "{with}"
            );
        });
    }
}

#[test]
fn the_sweep_is_rounded_to_bf16_as_by_pytorch() {
    let (golden, patterns) = (&golden("rounding")["sweep"]["bf16"], sweep());
    for dim in [1, 256] {
        convert::<f32, bf16>(&patterns, dim, |out, with| {
            assert_eq!(sha256(out), golden["le_sha256"], "{with}");
            let hash = sha256(&without_nan_bits(out, &patterns, bf16::from_bits(0x7fc0)));
            assert_eq!(
                hash, golden["le_sha256_with_every_nan_replaced_by_7fc0"],
                "{with}"
            );
        });
    }
}

fn without_nan_bits<E: Element>(values: &[E], patterns: &[f32], nan: E) -> Vec<E> {
    let pairs = values.iter().zip(patterns);
    pairs
        .map(|(value, pattern)| if pattern.is_nan() { nan } else { *value })
        .collect()
}

/// Adds the position rows `0, 1, ..` to the token rows of `ids`, which are in the initial tables'
/// golden values, with every setting.
fn sum<E: Element>(ids: &[u32], positions: &str, check: impl Fn(&[E], String)) {
    let init = golden("init_notebook");
    let row = |id: &u32| f32_row(&init["token_rows"][id.to_string()]);
    let token: Vec<f32> = ids.iter().flat_map(row).collect();
    let rows = init[positions].as_array().unwrap();
    let position: Vec<f32> = rows.iter().flat_map(f32_row).collect();
    let table_ids: Vec<u32> = (0..).take(ids.len()).collect();
    for (level, stores) in settings() {
        let token = Table::from_vec(ids.len(), 256, token.clone()).unwrap();
        let position = Table::from_vec(rows.len(), 256, position.clone()).unwrap();
        let gatherer = Gatherer::new(token, Some(position)).unwrap();
        let gatherer = gatherer.with_level(level).with_stores(stores);
        let mut out = vec![E::zeroed(); ids.len() * 256];
        gatherer
            .gather_into(&table_ids, ids.len(), &mut out)
            .unwrap();
        check(&out, format!("{} {level} {stores:?}", E::DTYPE.name()));
    }
}

/// The first two rows of the notebook's first batch: ids 40 and 367.
#[test]
fn the_first_sums_are_pytorchs_in_every_type() {
    let golden = golden("sums_first_batch");
    let rows = |dtype: Dtype| {
        let rows = golden[dtype.name()].as_array().unwrap()[..2].iter();
        rows.flat_map(|row| hex_row(row, dtype.size_bytes() * 2))
            .collect::<Vec<_>>()
    };
    sum::<f32>(&[40, 367], "pos_second_rows", |out, with| {
        let bits: Vec<_> = out.iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, rows(Dtype::F32), "{with}");
    });
    sum::<f16>(&[40, 367], "pos_second_rows", |out, with| {
        assert_eq!(f16_bits(out), rows(Dtype::F16), "{with}");
    });
    sum::<bf16>(&[40, 367], "pos_second_rows", |out, with| {
        assert_eq!(bf16_bits(out), rows(Dtype::BF16), "{with}");
    });
}

#[test]
fn the_first_sum_with_the_first_position_table_is_pytorchs() {
    let golden = golden("sums_other");
    sum::<f32>(&[40], "pos_first_rows", |out, with| {
        let bits: Vec<_> = out.iter().map(|value| value.to_bits()).collect();
        assert_eq!(
            bits,
            hex_row(&golden["pos_first"]["row_0_0_f32"], 8),
            "{with}"
        );
    });
}
