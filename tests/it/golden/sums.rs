//! The notebook's first batch, token rows plus position rows, as PyTorch added and rounded them:
//! with f32 and 16-bit tables, at every level, with one thread and with several.

use std::fmt::Write as _;
use std::sync::LazyLock;

use half::{bf16, f16};
use serde_json::Value;
use shardmill::gather::Stores;
use shardmill::{Element, Gatherer, InitialTables, Level, Table};

use super::support::{flat_u32, golden, sha256};

const DIM: usize = 256;
const SEQ_LEN: usize = 4;
/// Copies of the batch in one call: enough output for several threads, even in 16 bits.
const COPIES: usize = 200;

/// The token table, and the first and second position table drawn.
static TABLES: LazyLock<[Table; 3]> = LazyLock::new(|| {
    let mut initial = InitialTables::new(123, 50257, DIM, SEQ_LEN);
    let (tokens, first) = initial.tables().unwrap();
    initial.position_draw = 2;
    [tokens, first, initial.position_table().unwrap()]
});

fn tokens() -> &'static Table {
    &TABLES[0]
}

fn first() -> &'static Table {
    &TABLES[1]
}

fn second() -> &'static Table {
    &TABLES[2]
}

fn batch() -> Vec<u32> {
    flat_u32(&golden("sums_first_batch")["ids"])
}

/// The first batch, which must be the same with every setting and in every copy.
fn sums<E: Element>(token: &Table, position: Option<&Table>) -> Vec<E> {
    let ids = batch();
    let gatherer = Gatherer::new(token.clone(), position.cloned()).unwrap();
    let mut first: Option<Vec<E>> = None;
    for level in Level::available() {
        for (threads, stores) in [
            (1, Stores::Auto),
            (1, Stores::Regular),
            (1, Stores::Streaming),
            (2, Stores::Regular),
            (7, Stores::Streaming),
        ] {
            let copies = if threads == 1 { 1 } else { COPIES };
            let gatherer = gatherer.clone().with_level(level).with_threads(threads);
            let mut out = vec![E::zeroed(); copies * ids.len() * DIM];
            gatherer
                .with_stores(stores)
                .gather_into(&ids.repeat(copies), SEQ_LEN, &mut out)
                .unwrap();
            let mut batches = out.chunks_exact(ids.len() * DIM);
            let expected = first.get_or_insert_with(|| batches.next().unwrap().to_vec());
            let expected: &[u8] = bytemuck::cast_slice(expected);
            for (copy, batch) in batches.enumerate() {
                let found: &[u8] = bytemuck::cast_slice(batch);
                assert!(
                    found == expected,
                    "{level} {threads} {stores:?} copy {copy}"
                );
            }
            let found: &[u8] = bytemuck::cast_slice(&out[..ids.len() * DIM]);
            assert!(found == expected, "{level} {threads} {stores:?}");
        }
    }
    first.unwrap()
}

fn hash<E: Element>(values: &[E]) -> String {
    sha256(bytemuck::cast_slice(values))
}

/// Bit patterns of one row, as the golden files write them.
fn hex<E: Element>(row: &[E]) -> String {
    let bytes: &[u8] = bytemuck::cast_slice(row);
    let mut hex = String::new();
    for element in bytes.chunks(size_of::<E>()) {
        for byte in element.iter().rev() {
            write!(hex, "{byte:02x}").unwrap();
        }
    }
    hex
}

/// Checks every row, and the hash of all rows.
fn check_rows<E: Element>(values: &[E], golden: &Value) {
    let name = E::DTYPE.name();
    let rows = golden[name].as_array().unwrap();
    assert_eq!(rows.len() * DIM, values.len());
    for (i, (row, expected)) in values.chunks(DIM).zip(rows).enumerate() {
        assert_eq!(hex(row), *expected, "{name} row {i}");
    }
    assert_eq!(hash(values), golden["le_sha256"][name]);
}

#[test]
fn the_first_batch_in_every_type() {
    let golden = golden("sums_first_batch");
    assert_eq!(golden["shape"], serde_json::json!([8, SEQ_LEN, DIM]));
    assert_eq!(
        golden["ids"],
        super::support::golden("batches")["drop_last_false"]["first"][0]
    );
    check_rows(&sums::<f32>(tokens(), Some(second())), &golden);
    check_rows(&sums::<f16>(tokens(), Some(second())), &golden);
    check_rows(&sums::<bf16>(tokens(), Some(second())), &golden);
}

fn check_hashes(position: Option<&Table>, golden: &Value) {
    let golden = &golden["le_sha256"];
    assert_eq!(hash(&sums::<f32>(tokens(), position)), golden["f32"]);
    assert_eq!(hash(&sums::<f16>(tokens(), position)), golden["f16"]);
    assert_eq!(hash(&sums::<bf16>(tokens(), position)), golden["bf16"]);
}

#[test]
fn with_the_first_position_table() {
    let golden = &golden("sums_other")["pos_first"];
    check_hashes(Some(first()), golden);
    let sums = sums::<f32>(tokens(), Some(first()));
    let row = |b: usize, t: usize| hex(&sums[(b * SEQ_LEN + t) * DIM..][..DIM]);
    assert_eq!(row(0, 0), golden["row_0_0_f32"]);
    assert_eq!(row(7, 3), golden["row_7_3_f32"]);
}

#[test]
fn without_positions() {
    check_hashes(None, &golden("sums_other")["token_only"]);
}

/// The table rounded to another type, by the gatherer.
fn rounded<E: Element>(table: &Table) -> Table {
    let ids: Vec<u32> = (0..).take(table.rows()).collect();
    let mut values = vec![E::zeroed(); table.rows() * DIM];
    Gatherer::new(table.clone(), None)
        .unwrap()
        .gather_into(&ids, 1, &mut values)
        .unwrap();
    Table::from_vec(table.rows(), DIM, values).unwrap()
}

/// Checks the sums of tables of type `T`, in `T` and in f32, and how many differ from the sum of
/// f32 tables, rounded once.
fn check_16_bit_tables<T: Element>() {
    let (golden, name) = (golden("sums_other"), T::DTYPE.name());
    let token = rounded::<T>(tokens());
    let position = rounded::<T>(second());
    assert_eq!(token.dtype(), T::DTYPE);

    let narrow = sums::<T>(&token, Some(&position));
    let key = format!("{name}_pos_second");
    // PyTorch got the same bits both ways.
    let added_in_16_bit = &golden["tables_rounded_to_16_bit_first_then_added_in_16_bit"];
    let added_in_f32 = &golden["tables_rounded_to_16_bit_added_in_f32_then_rounded"];
    assert_eq!(hash(&narrow), added_in_16_bit[&key]);
    assert_eq!(hash(&narrow), added_in_f32[&key]);
    let wide = sums::<f32>(&token, Some(&position));
    let key = format!("f32_from_{name}_pos_second");
    assert_eq!(hash(&wide), added_in_f32[&key]);

    let once = sums::<T>(tokens(), Some(second()));
    let differ = hex_elements(&narrow)
        .zip(hex_elements(&once))
        .filter(|(a, b)| a != b)
        .count() as u64;
    let key = format!("{name}_values_that_differ_from_the_f32_table_sum_rounded_once");
    assert_eq!(differ, golden["counts"][&key]);
}

fn hex_elements<E: Element>(values: &[E]) -> impl Iterator<Item = &[u8]> {
    bytemuck::cast_slice::<E, u8>(values).chunks(size_of::<E>())
}

#[test]
fn with_tables_of_f16() {
    check_16_bit_tables::<f16>();
}

#[test]
fn with_tables_of_bf16() {
    check_16_bit_tables::<bf16>();
}

#[test]
fn tables_are_rounded_as_the_half_crate_rounds() {
    let shardmill::Elements::F32(values) = TABLES[0].elements() else {
        panic!("an f32 table");
    };
    let to_f16: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
    let to_bf16: Vec<bf16> = values.iter().map(|value| bf16::from_f32(*value)).collect();
    assert!(rounded::<f16>(tokens()).bytes() == bytemuck::cast_slice::<f16, u8>(&to_f16));
    assert!(rounded::<bf16>(tokens()).bytes() == bytemuck::cast_slice::<bf16, u8>(&to_bf16));
}
