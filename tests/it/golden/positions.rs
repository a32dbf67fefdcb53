//! Checks position arrays against values from Python, NumPy and PyTorch.

use serde_json::Value;
use shardmill::gather::Stores;
use shardmill::table::{PositionScheme, ROTARY_BASE, Rope, RopeStyle, alibi_slopes};
use shardmill::{Gatherer, Level, Table};

use super::support::golden;

fn uint(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// The elements of the array, four bytes each.
fn elements<T>(scheme: &PositionScheme, from_le_bytes: fn([u8; 4]) -> T) -> Vec<T> {
    let mut npy = Vec::new();
    scheme.write_npy(&mut npy).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    let words = npy[start..].as_chunks().0.iter();
    words.map(|word| from_le_bytes(*word)).collect()
}

/// The integers of a list of lists, concatenated.
fn integers(rows: &Value) -> Vec<i32> {
    match rows {
        Value::Array(rows) => rows.iter().flat_map(integers).collect(),
        number => vec![i32::try_from(number.as_i64().unwrap()).unwrap()],
    }
}

fn bits(value: &Value) -> Vec<u32> {
    let hex = value.as_str().unwrap().as_bytes().as_chunks::<8>().0;
    hex.iter()
        .map(|hex| u32::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn t5_buckets() {
    let golden = &golden("positional")["t5_relative_buckets"];
    let t5 = |query_len, key_len, bidirectional| PositionScheme::T5 {
        query_len,
        query_start: Some(0),
        key_len,
        num_buckets: u32::try_from(uint(&golden["num_buckets"])).unwrap(),
        max_distance: u32::try_from(uint(&golden["max_distance"])).unwrap(),
        bidirectional,
    };
    for (direction, bidirectional) in [("bidirectional", true), ("causal", false)] {
        let square = elements(&t5(16, 16, bidirectional), i32::from_le_bytes);
        assert_eq!(square, integers(&golden[&format!("L16_{direction}")]));
        // Query 300 sees keys 0 to 600 at the distances -300 to 300.
        let wide = elements(&t5(301, 601, bidirectional), i32::from_le_bytes);
        let expected = integers(&golden[&format!("rel_from_-300_to_300_{direction}")]);
        assert_eq!(wide[300 * 601..], expected, "{direction}");
    }
}

#[test]
fn alibi_slopes_of_any_number_of_heads() {
    let golden = &golden("positional")["alibi"]["slopes"];
    for heads in 1..=16_u32 {
        let golden = &golden[heads.to_string()];
        let slopes = alibi_slopes(heads);
        #[expect(clippy::cast_possible_truncation, reason = "the rounding in question")]
        let rounded: Vec<_> = slopes
            .iter()
            .map(|slope| (*slope as f32).to_bits())
            .collect();
        assert_eq!(rounded, bits(&golden["f32_of_closed_form"]), "{heads}");
        let paper = golden["f64_paper_code"].as_array().unwrap();
        assert_eq!(slopes.len(), paper.len());
        // The paper's code multiplies repeatedly and rounds each time.
        for (slope, paper) in slopes.iter().zip(paper) {
            let paper = paper.as_f64().unwrap();
            assert!(
                (slope - paper).abs() <= 1e-14 * paper,
                "{heads}: {slope:e} {paper:e}"
            );
        }
    }
}

#[test]
fn alibi_biases() {
    let golden = &golden("positional")["alibi"]["bias_L8_first_4_of_8_heads"];
    let alibi = |bidirectional| PositionScheme::Alibi {
        query_len: 8,
        query_start: None,
        key_len: 8,
        heads: 8,
        bidirectional,
    };
    let causal = elements(&alibi(false), f32::from_le_bytes);
    let both = elements(&alibi(true), f32::from_le_bytes);
    assert_eq!((causal.len(), both.len()), (8 * 64, 8 * 64));
    let heads = golden.as_array().unwrap();
    let rows = heads.iter().flat_map(|head| head.as_array().unwrap());
    let expected: Vec<_> = rows.flat_map(|row| row.as_array().unwrap()).collect();
    assert_eq!(expected.len(), 4 * 64);
    for (n, expected) in expected.into_iter().enumerate() {
        let (head, query, key) = (n / 64, n / 8 % 8, n % 8);
        #[expect(clippy::cast_possible_truncation, reason = "the one rounding")]
        let value = expected
            .as_f64()
            .map_or(f32::NEG_INFINITY, |bias| bias as f32);
        assert_eq!(causal[n].to_bits(), value.to_bits(), "{head} {query} {key}");
        // Without a direction, a key after the query counts like one before it.
        let mirrored = head * 64 + query.max(key) * 8 + query.min(key);
        assert_eq!(both[n].to_bits(), causal[mirrored].to_bits());
    }
}

#[test]
fn shaw_indices() {
    let golden = &golden("positional")["shaw_clipped_L8_k3"]["index"];
    let shaw = PositionScheme::Shaw {
        query_len: 8,
        query_start: None,
        key_len: 8,
        clip_distance: 3,
    };
    assert_eq!(elements(&shaw, i32::from_le_bytes), integers(golden));
}

#[test]
fn sinusoidal_rows_and_rotary_angles() {
    let golden = &golden("positional")["sinusoidal"];
    let (seq_len, dim) = (uint(&golden["L"]), uint(&golden["d"]));
    let sinusoidal = PositionScheme::Sinusoidal {
        seq_len,
        dim,
        base: ROTARY_BASE,
    };
    let expected = bits(&golden["f32_rounded_from_f64"]);
    assert_eq!(elements(&sinusoidal, u32::from_le_bytes), expected);

    // The angles are the same: each sine and cosine are swapped.
    let rope = PositionScheme::Rope {
        seq_len,
        dim,
        base: ROTARY_BASE,
    };
    let swapped: Vec<_> = expected
        .as_chunks()
        .0
        .iter()
        .flat_map(|&[sin, cos]| [cos, sin])
        .collect();
    assert_eq!(elements(&rope, u32::from_le_bytes), swapped);
}

#[test]
fn rows_turned_by_rotary_positions() {
    let golden = &golden("positional")["rope"];
    let rows = usize::try_from(uint(&golden["L"])).unwrap();
    let dim = usize::try_from(uint(&golden["d"])).unwrap();
    let values: Vec<_> = bits(&golden["x_f32"])
        .into_iter()
        .map(f32::from_bits)
        .collect();
    let ids: Vec<u32> = (0..).take(rows).collect();
    for style in RopeStyle::ALL {
        let name = match style {
            RopeStyle::Interleaved => "interleaved",
            RopeStyle::Half => "half_split",
        };
        let exact = golden[format!("{name}_f64")].as_array().unwrap();
        let exact: Vec<_> = exact.iter().map(|value| value.as_f64().unwrap()).collect();
        for (level, stores) in Level::available()
            .into_iter()
            .flat_map(|level| [Stores::Regular, Stores::Streaming].map(|stores| (level, stores)))
        {
            let table = Table::from_vec(rows, dim, values.clone()).unwrap();
            let rope = Rope::new(style, rows, dim, ROTARY_BASE).unwrap();
            let gatherer = Gatherer::new(table, None).unwrap().with_rope(rope).unwrap();
            let gatherer = gatherer.with_level(level).with_stores(stores);
            let mut out = vec![0.0_f32; values.len()];
            gatherer.gather_into(&ids, rows, &mut out).unwrap();
            for (n, value) in out.iter().enumerate() {
                // Two products and a sum, each rounded, of numbers below 4.
                let distance = (f64::from(*value) - exact[n]).abs();
                assert!(distance < 4e-7, "{name} {n}: {value} {}", exact[n]);
            }
            // Position 0 rotates by an angle of 0.
            assert_eq!(out[..dim], values[..dim]);
        }
    }
    // The usual PyTorch code does the same operations, on angles computed in f32.
    let torch = bits(&golden["half_split_f32_usual_torch_code"]);
    let exact = golden["half_split_f64"].as_array().unwrap();
    for (torch, exact) in torch.into_iter().zip(exact) {
        let distance = f64::from(f32::from_bits(torch)) - exact.as_f64().unwrap();
        assert!(distance.abs() < 4e-7);
    }
}

/// T5's bucket as in the usual code, with a logarithm, for a key `distance` after its query.
fn t5_bucket(distance: i32, num_buckets: i32, max_distance: i32, bidirectional: bool) -> i32 {
    let (count, first, magnitude) = if bidirectional {
        let half = num_buckets / 2;
        (half, if distance > 0 { half } else { 0 }, distance.abs())
    } else {
        (num_buckets, 0, (-distance).max(0))
    };
    let exact = count / 2;
    if magnitude < exact {
        return first + magnitude;
    }
    let log = |of: i32| (f64::from(of) / f64::from(exact)).ln();
    // A tie belongs to the range that begins there.
    let range = log(magnitude) / log(max_distance) * f64::from(count - exact) + 1e-9;
    let ranges = (1..count - exact).filter(|k| f64::from(*k) <= range);
    first + exact + i32::try_from(ranges.count()).unwrap()
}

#[test]
fn the_last_query_is_at_the_last_key_unless_a_start_is_given() {
    for (queries, keys) in [(1, 5), (1, 1), (3, 70), (6, 6), (5, 2), (4_u8, 100_u8)] {
        for query_start in [None, Some(0), Some(2), Some(60), Some(-3)] {
            let first = query_start.unwrap_or(i32::from(keys) - i32::from(queries));
            let row = |query| (0..i32::from(keys)).map(move |key| key - (first + query));
            let distances: Vec<_> = (0..i32::from(queries)).flat_map(row).collect();
            let (query_len, key_len) = (queries.into(), keys.into());
            let case = format!("{queries} {query_start:?} {keys}");
            for bidirectional in [false, true] {
                let t5 = PositionScheme::T5 {
                    query_len,
                    query_start,
                    key_len,
                    num_buckets: 16,
                    max_distance: 40,
                    bidirectional,
                };
                let bucket = |d: &i32| t5_bucket(*d, 16, 40, bidirectional);
                let expected: Vec<_> = distances.iter().map(bucket).collect();
                assert_eq!(elements(&t5, i32::from_le_bytes), expected, "t5 {case}");

                let alibi = PositionScheme::Alibi {
                    query_len,
                    query_start,
                    key_len,
                    heads: 2,
                    bidirectional,
                };
                let mut expected = Vec::new();
                // The slopes of two heads are 2^-4 and 2^-8.
                for slope in [0.0625_f32, 0.003_906_25] {
                    for &distance in &distances {
                        expected.push(if distance > 0 && !bidirectional {
                            f32::NEG_INFINITY
                        } else {
                            -slope * f32::from(i16::try_from(distance.abs()).unwrap())
                        });
                    }
                }
                assert_eq!(
                    elements(&alibi, f32::from_le_bytes),
                    expected,
                    "alibi {case}"
                );
            }
            let shaw = PositionScheme::Shaw {
                query_len,
                query_start,
                key_len,
                clip_distance: 5,
            };
            let expected: Vec<_> = distances.iter().map(|d| (*d).clamp(-5, 5) + 5).collect();
            assert_eq!(elements(&shaw, i32::from_le_bytes), expected, "shaw {case}");
        }
    }
}

#[test]
fn a_step_of_decoding_is_the_last_row_of_the_whole() {
    let alibi = |query_len, key_len| PositionScheme::Alibi {
        query_len,
        query_start: None,
        key_len,
        heads: 1,
        bidirectional: false,
    };
    for key_len in 1..40 {
        let whole = elements(&alibi(key_len, key_len), f32::from_le_bytes);
        let step = elements(&alibi(1, key_len), f32::from_le_bytes);
        let last = usize::try_from(key_len * (key_len - 1)).unwrap();
        assert_eq!(step, whole[last..], "{key_len}");
    }
}
