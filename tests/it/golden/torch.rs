//! Checks tables, windows and orders against values from PyTorch, NumPy and tiktoken.

use std::ops::Range;

use serde_json::Value;
use shardmill::table::TorchGenerator;
use shardmill::{Elements, InitialTables, Order, Table, Windows};

use super::support::{golden, sha256, verdict_path};

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let object = value.as_object().unwrap();
    assert!(!object.is_empty());
    object.iter().map(|(key, value)| (key.as_str(), value))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn int(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn ints(value: &Value) -> Vec<u64> {
    list(value).iter().map(int).collect()
}

fn size(text: &str) -> usize {
    text.parse().unwrap()
}

/// Bit patterns, as the golden files write them.
fn hex(values: &[f32]) -> String {
    let words = values.iter().map(|x| format!("{:08x}", x.to_bits()));
    words.collect::<Vec<_>>().concat()
}

fn table_hex(table: &Table) -> String {
    match table.elements() {
        Elements::F32(values) => hex(values),
        _ => panic!("an f32 table"),
    }
}

fn row_hex(table: &Table, i: usize) -> String {
    let mut row = vec![0.0; table.dim()];
    table.row_to_f32(i, &mut row);
    hex(&row)
}

fn sha256_u32(values: impl IntoIterator<Item = u32>) -> String {
    sha256(
        &values
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<u8>>(),
    )
}

/// The first `n` windows of an order.
fn places(order: &Order, n: u64) -> Vec<u64> {
    (0..n).map(|i| order.window(i)).collect()
}

fn order_sha256(order: &Order, n: u64) -> String {
    sha256_u32(
        places(order, n)
            .into_iter()
            .map(|i| u32::try_from(i).unwrap()),
    )
}

/// The tokens of `range`.
fn slice(tokens: &[u32], range: Range<u64>) -> &[u32] {
    &tokens[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
}

fn verdict() -> Vec<u32> {
    let text = std::fs::read_to_string(verdict_path()).unwrap();
    tiktoken_rs::r50k_base().unwrap().encode_ordinary(&text)
}

#[test]
fn raw_draws() {
    for (seed, draws) in entries(&golden("init_small")["generator"]) {
        let new = || TorchGenerator::new(seed.parse().unwrap());
        let mut generator = new();
        let uniforms: [f32; 8] = std::array::from_fn(|_| generator.uniform_f32());
        assert_eq!(hex(&uniforms), draws["rand_f32"]);
        let mut generator = new();
        for expected in list(&draws["rand_f64"]) {
            assert_eq!(
                format!("{:016x}", generator.uniform_f64().to_bits()),
                *expected
            );
        }
        let mut generator = new();
        for expected in list(&draws["random_int64"]) {
            assert_eq!(generator.random_int63().to_string(), *expected);
        }
        let mut generator = new();
        for expected in list(&draws["random_int32"]) {
            // PyTorch keeps 31 bits for an int32.
            assert_eq!(u64::from(generator.next_u32() & 0x7fff_ffff), int(expected));
        }
    }
}

#[test]
fn normals_and_the_state_after_them() {
    for (seed, by_len) in entries(&golden("init_small")["normal"]) {
        for (len, expected) in entries(by_len) {
            let mut generator = TorchGenerator::new(seed.parse().unwrap());
            let mut values = vec![0.0; size(len)];
            generator.fill_normal(&mut values);
            assert_eq!(hex(&values), expected["f32"], "seed {seed}, n {len}");
            let next = hex(&[generator.uniform_f32()]);
            assert_eq!(next, expected["next_uniform_f32"], "seed {seed}, n {len}");
        }
    }
}

#[test]
fn the_second_normal_waits_for_the_next_short_call() {
    let golden = &golden("init_small")["two_calls_seed0"];
    let mut generator = TorchGenerator::new(0);
    let calls = ints(&golden["calls"]);
    assert_eq!(calls.len(), list(&golden["f32"]).len());
    for (len, expected) in calls.into_iter().zip(list(&golden["f32"])) {
        let mut values = vec![0.0; usize::try_from(len).unwrap()];
        generator.fill_normal(&mut values);
        assert_eq!(hex(&values), *expected);
    }
}

#[test]
fn small_embeddings() {
    for (name, expected) in entries(&golden("init_small")["embedding"]) {
        let (seed, shape) = name.strip_prefix("seed").unwrap().split_once('_').unwrap();
        let (rows, dim) = shape.split_once('x').unwrap();
        let mut generator = TorchGenerator::new(seed.parse().unwrap());
        let table = generator.embedding(size(rows), size(dim)).unwrap();
        assert_eq!(table_hex(&table), *expected, "{name}");
    }
}

#[test]
fn the_tables_of_the_notebook() {
    let golden = golden("init_notebook");
    let mut initial = InitialTables::new(int(&golden["seed"]), 50257, 256, 4);
    let (tokens, first) = initial.tables().unwrap();
    assert_eq!(sha256(tokens.bytes()), golden["token_weight_f32le_sha256"]);
    for (row, expected) in entries(&golden["token_rows"]) {
        assert_eq!(row_hex(&tokens, size(row)), *expected, "row {row}");
    }
    initial.position_draw = 2;
    let second = initial.position_table().unwrap();
    for (table, name) in [(first, "pos_first"), (second, "pos_second")] {
        assert_eq!(
            sha256(table.bytes()),
            golden[format!("{name}_f32le_sha256")]
        );
        let rows = list(&golden[format!("{name}_rows")]);
        assert_eq!(rows.len(), 4);
        for (i, expected) in rows.iter().enumerate() {
            assert_eq!(row_hex(&table, i), *expected, "{name} {i}");
        }
    }
}

#[test]
fn a_table_drawn_alone_is_the_same() {
    let initial = InitialTables::new(123, 50257, 256, 4);
    let (tokens, positions) = initial.tables().unwrap();
    assert!(initial.token_table().unwrap().bytes() == tokens.bytes());
    assert_eq!(initial.position_table().unwrap().bytes(), positions.bytes());
}

#[test]
fn the_sinusoidal_table() {
    let golden = &golden("positional")["sinusoidal"];
    let rows = usize::try_from(int(&golden["L"])).unwrap();
    let dim = usize::try_from(int(&golden["d"])).unwrap();
    let table = Table::sinusoidal(rows, dim).unwrap();
    assert_eq!(table_hex(&table), golden["f32_rounded_from_f64"]);

    let exact = list(&golden["f64_row_major"]).iter();
    let exact: Vec<f64> = exact.map(|value| value.as_f64().unwrap()).collect();
    #[expect(clippy::cast_possible_truncation, reason = "the rounding in question")]
    let rounded: Vec<f32> = exact.iter().map(|value| *value as f32).collect();
    assert_eq!(table_hex(&table), hex(&rounded));
    // The common snippet computes in f32 throughout: close, but not equal.
    let snippet = golden["f32_usual_torch_code"].as_str().unwrap().as_bytes();
    assert_ne!(table_hex(&table).as_bytes(), snippet);
    for (bits, exact) in snippet.as_chunks::<8>().0.iter().zip(exact) {
        let bits = u32::from_str_radix(str::from_utf8(bits).unwrap(), 16).unwrap();
        assert!((f64::from(f32::from_bits(bits)) - exact).abs() < 1e-6);
    }
}

#[test]
fn randperm() {
    let golden = golden("shuffle");
    for (name, expected) in entries(&golden["randperm"]).chain(entries(&golden["randperm_large"])) {
        let (n, seed) = name.strip_prefix('n').unwrap().split_once("_seed").unwrap();
        let n = n.parse().unwrap();
        let mut generator = TorchGenerator::new(seed.parse().unwrap());
        let order = Order::torch_randperm(n, &mut generator).unwrap();
        if expected.is_array() {
            assert_eq!(places(&order, n), ints(expected), "{name}");
            continue;
        }
        assert_eq!(order_sha256(&order, n), expected["u32le_sha256"], "{name}");
        if let Some(first) = expected.get("first_8") {
            assert_eq!(places(&order, 8), ints(first), "{name}");
        }
    }
}

#[test]
fn random_sampler() {
    let golden = golden("shuffle");
    let sampler = &golden["random_sampler_generator_123"];
    let order = |n| Order::random_sampler(n, &mut TorchGenerator::new(123)).unwrap();
    assert_eq!(places(&order(20), 20), ints(&sampler["n20"]));
    assert_eq!(sampler["n1029_equals_randperm"], true);
    assert_eq!(
        places(&order(1029), 1029),
        ints(&golden["randperm"]["n1029_seed123"])
    );
}

#[test]
fn data_loader_with_its_own_generator() {
    let golden = &golden("shuffle")["dataloader_generator_123"];
    let mut generator = TorchGenerator::new(123);
    // Both passes were abandoned after their first batch.
    for name in ["n20_epoch1", "n20_epoch2"] {
        let order = Order::data_loader_with_generator(20, &mut generator, 0).unwrap();
        assert_eq!(places(&order, 20), ints(&golden[name]), "{name}");
    }
}

#[test]
fn data_loader_with_the_global_seed() {
    let golden = &golden("shuffle")["dataloader_global_seed_123"];
    let mut generator = TorchGenerator::new(123);
    for (epoch, name) in [(0, "n20_epoch1"), (1, "n20_epoch2")] {
        let order = Order::data_loader(20, &mut generator).unwrap();
        assert_eq!(places(&order, 20), ints(&golden[name]), "{name}");
        assert_eq!(Order::data_loader_epoch(20, 123, epoch).unwrap(), order);
    }
    assert_eq!(
        hex(&[generator.uniform_f32()]),
        golden["next_uniform_after_f32"]
    );
    let order = Order::data_loader_epoch(1029, 123, 0).unwrap();
    assert_eq!(
        order_sha256(&order, 1029),
        golden["n1029_epoch1_u32le_sha256"]
    );
    assert_eq!(places(&order, 16), ints(&golden["n1029_epoch1_first_16"]));
}

#[test]
fn windows_and_batch_counts() {
    let tokens = verdict();
    let golden = golden("windows");
    for case in list(&golden["cases"]) {
        let n_tokens = tokens.len() as u64;
        let seq_len = int(&case["max_length"]);
        let windows = Windows::new(n_tokens, seq_len, int(&case["stride"])).unwrap();
        assert_eq!(windows.len(), int(&case["windows"]), "{case}");
        let last = windows.len().checked_sub(1).map(|i| windows.start(i));
        assert_eq!(last, case["last_start"].as_u64());
        if let Some(expected) = case.get("inputs_u32le_sha256") {
            assert_eq!(
                sha256_u32(ids(&tokens, &windows, Windows::inputs)),
                *expected
            );
            let expected = &case["targets_u32le_sha256"];
            assert_eq!(
                sha256_u32(ids(&tokens, &windows, Windows::targets)),
                *expected
            );
        }
        for (name, expected) in entries(&case["batches"]) {
            let name = name.strip_prefix("batch_").unwrap();
            let (batch_size, drop_last) = match name.strip_suffix("_drop_last") {
                Some(batch_size) => (batch_size, true),
                None => (name, false),
            };
            let batches = windows
                .batches(batch_size.parse().unwrap(), drop_last)
                .unwrap();
            assert_eq!(batches.len(), int(&expected["batches"]), "{name} {case}");
            let rows = batches
                .len()
                .checked_sub(1)
                .map_or(0..0, |b| batches.rows(b));
            assert_eq!(
                rows.end - rows.start,
                int(&expected["last_batch_rows"]),
                "{name}"
            );
        }
    }
    for case in list(&golden["short_streams"]) {
        let [n_tokens, seq_len, stride] = ["tokens", "max_length", "stride"].map(|k| int(&case[k]));
        let windows = Windows::new(n_tokens, seq_len, stride).unwrap();
        let starts: Vec<u64> = (0..windows.len()).map(|i| windows.start(i)).collect();
        assert_eq!(starts, ints(&case["starts"]), "{case}");
        assert_eq!(windows.is_empty(), starts.is_empty());
    }
}

/// The tokens of all windows, concatenated.
fn ids<'a>(
    tokens: &'a [u32],
    windows: &'a Windows,
    part: fn(&Windows, u64) -> Range<u64>,
) -> impl Iterator<Item = u32> + 'a {
    (0..windows.len()).flat_map(move |i| slice(tokens, part(windows, i)).iter().copied())
}

#[test]
fn the_batches_of_the_notebook() {
    let tokens = verdict();
    let golden = golden("batches");
    let windows = Windows::new(
        tokens.len() as u64,
        int(&golden["max_length"]),
        int(&golden["stride"]),
    );
    let windows = windows.unwrap();
    assert_eq!(windows.len(), int(&golden["windows"]));
    for (name, drop_last) in [("drop_last_false", false), ("drop_last_true", true)] {
        let golden_batches = &golden[name];
        let batches = windows
            .batches(int(&golden["batch_size"]), drop_last)
            .unwrap();
        assert_eq!(batches.len(), int(&golden_batches["batches"]));
        for (b, which) in [(0, "first"), (1, "second"), (batches.len() - 1, "last")] {
            let expected = list(&golden_batches[which]);
            assert_eq!(expected.len(), 2);
            for (part, expected) in [Windows::inputs, Windows::targets]
                .into_iter()
                .zip(expected)
            {
                let rows = batches
                    .rows(b)
                    .map(|i| slice(&tokens, part(&windows, i)).to_vec());
                let rows: Vec<Vec<u32>> = rows.collect();
                assert_eq!(
                    serde_json::to_value(rows).unwrap(),
                    *expected,
                    "{name} {which}"
                );
            }
        }
    }
}
