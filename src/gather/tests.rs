//! Compares the gatherer with a plain loop, bit for bit, at every level.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a test stops at the first surprise; random bits are cut to size, angles rounded to f32, and counts are small"
)]

use half::{bf16, f16};
use shardmill_core::dtype::{Dtype, Elements};
use shardmill_core::for_each_level;
use shardmill_core::simd::Level;

use super::lane::Lane;
use super::tile::{Tile, TileOrder};
use super::{Gatherer, Positions, Stores};
use crate::table::{Rope, RopeStyle, Table};

const TOKEN_ROWS: usize = 11;
const POSITION_ROWS: usize = 9;

/// Pseudo-random bits (xorshift64), the same on every run.
struct Bits(u64);

impl Bits {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A value of ordinary size or, one time in eight, a special case: zeros, subnormals of all
    /// three types, overflow, infinities, quiet and signaling NaN.
    fn value(&mut self) -> f32 {
        const SPECIAL: [u32; 16] = [
            0x0000_0000,
            0x8000_0000,
            0x0000_0001,
            0x807f_ffff,
            0x3300_0000,
            0x3300_0001,
            0x387f_e000,
            0x477f_efff,
            0x477f_f000,
            0x7f7f_ffff,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_1234,
            0xffc0_0000,
            0x7f80_0001,
            0xffa0_0000,
        ];
        let bits = self.next();
        if bits.is_multiple_of(8) {
            return f32::from_bits(SPECIAL[(bits >> 8) as usize % SPECIAL.len()]);
        }
        let exponent = 100 + (bits >> 8) as u32 % 50;
        f32::from_bits((bits >> 32) as u32 & 0x807f_ffff | exponent << 23)
    }

    fn values<E: Reference>(&mut self, count: usize) -> Vec<E> {
        (0..count)
            .map(|_| match self.next() {
                // What rounding never produces: a NaN of the type that is signaling or has a
                // payload.
                bits if bits.is_multiple_of(32) => E::nan((bits >> 32) as u32),
                _ => E::round(self.value()),
            })
            .collect()
    }

    fn table(&mut self, dtype: Dtype, rows: usize, dim: usize) -> Table {
        match dtype {
            Dtype::F32 => Table::from_vec(rows, dim, self.values::<f32>(rows * dim)),
            Dtype::F16 => Table::from_vec(rows, dim, self.values::<f16>(rows * dim)),
            Dtype::BF16 => Table::from_vec(rows, dim, self.values::<bf16>(rows * dim)),
        }
        .unwrap()
    }

    fn ids(&mut self, count: usize) -> Vec<u32> {
        (0..count)
            .map(|_| (self.next() % TOKEN_ROWS as u64) as u32)
            .collect()
    }
}

/// An element type for the plain loop, compared by bits.
trait Reference: Lane {
    fn bits(self) -> u32;
    fn canary() -> Self;
    /// One of the NaNs, selected by `bits`.
    fn nan(bits: u32) -> Self;
}

impl Reference for f32 {
    fn bits(self) -> u32 {
        self.to_bits()
    }
    fn canary() -> Self {
        Self::from_bits(0xdead_beef)
    }
    fn nan(bits: u32) -> Self {
        Self::from_bits(bits | 0x7f80_0001)
    }
}

impl Reference for f16 {
    fn bits(self) -> u32 {
        self.to_bits().into()
    }
    fn canary() -> Self {
        Self::from_bits(0xbeef)
    }
    fn nan(bits: u32) -> Self {
        Self::from_bits(bits as u16 | 0x7c01)
    }
}

impl Reference for bf16 {
    fn bits(self) -> u32 {
        self.to_bits().into()
    }
    fn canary() -> Self {
        Self::from_bits(0xbeef)
    }
    fn nan(bits: u32) -> Self {
        Self::from_bits(bits as u16 | 0x7f81)
    }
}

/// Element `index` of `table`, as `f32` and as raw bits.
fn element(table: &Table, index: usize) -> (f32, u32) {
    match table.elements() {
        Elements::F32(values) => (values[index], values[index].bits()),
        Elements::F16(values) => (values[index].to_f32_const(), values[index].bits()),
        Elements::BF16(values) => (values[index].widen(), values[index].bits()),
    }
}

/// The base of the wavelengths of rotary positions.
const BASE: f64 = 500.0;

/// Column `column` of the row whose columns are `value`, rotated by the angle of `position`.
fn turned(
    style: RopeStyle,
    value: impl Fn(usize) -> f32,
    dim: usize,
    position: usize,
    column: usize,
) -> f32 {
    let (pair, is_second, partner) = match style {
        RopeStyle::Interleaved => (column / 2, column % 2 == 1, column ^ 1),
        RopeStyle::Half => {
            let half = dim / 2;
            (column % half, column >= half, (column + half) % dim)
        }
    };
    let rate = libm::pow(BASE, -((2 * pair) as f64) / dim as f64);
    let angle = position as f64 * rate;
    let (cosine, sine) = (libm::cos(angle) as f32, libm::sin(angle) as f32);
    let (own, partner) = (value(column) * cosine, value(partner) * sine);
    if is_second {
        own + partner
    } else {
        own - partner
    }
}

/// The specification. `None` if both addends are NaN, or a rotated element is, so that only
/// NaN-ness is guaranteed.
fn expected<E: Reference>(gatherer: &Gatherer, ids: &[u32], seq_len: usize) -> Vec<Option<u32>> {
    let dim = gatherer.dim();
    let mut bits = Vec::with_capacity(ids.len() * dim);
    for (index, id) in ids.iter().enumerate() {
        for column in 0..dim {
            let (token, own_bits) = element(&gatherer.token, *id as usize * dim + column);
            bits.push(match &gatherer.positions {
                Positions::None if gatherer.token.dtype() == E::DTYPE => Some(own_bits),
                Positions::None => Some(E::round(token).bits()),
                Positions::Added(added) => {
                    let (position, _) = element(&added.table, index % seq_len * dim + column);
                    let both_nan = token.is_nan() && position.is_nan();
                    (!both_nan).then(|| E::round(token + position).bits())
                }
                Positions::Turned(rope) => {
                    let row = *id as usize * dim;
                    let value = |column| element(&gatherer.token, row + column).0;
                    let turned = turned(rope.style(), value, dim, index % seq_len, column);
                    (!turned.is_nan()).then(|| E::round(turned).bits())
                }
            });
        }
    }
    bits
}

/// Gathers into the middle of a guarded buffer that starts `offset` elements past a cache line.
fn gather_guarded<E: Reference>(
    gatherer: &Gatherer,
    (ids, seq_len): (&[u32], usize),
    offset: usize,
    expected: &[Option<u32>],
) {
    const GUARD: usize = 64;
    let mut buffer = vec![E::canary(); expected.len() + 3 * GUARD];
    let start = GUARD + buffer[GUARD..].as_ptr().align_offset(64) + offset;
    let end = start + expected.len();
    gatherer
        .gather_into(ids, seq_len, &mut buffer[start..end])
        .unwrap();
    for (index, (value, expected)) in buffer[start..end].iter().zip(expected).enumerate() {
        match expected {
            Some(expected) => assert!(
                value.bits() == *expected,
                "element {index}: {:08x}, expected {expected:08x}; offset {offset}, {gatherer:?}",
                value.bits()
            ),
            None => assert!(
                value.widen().is_nan(),
                "element {index} is {value:?}, not NaN"
            ),
        }
    }
    let is_canary = |value: &E| value.bits() == E::canary().bits();
    assert!(
        buffer[..start].iter().all(is_canary),
        "written before the output"
    );
    assert!(
        buffer[end..].iter().all(is_canary),
        "written after the output"
    );
}

/// How often the same output is made: with these thread counts, at these offsets past a cache line.
struct Runs<'a> {
    threads: &'a [usize],
    offsets: &'a [usize],
}

fn check_output_type<E: Reference>(gatherer: &Gatherer, ids: &[u32], seq_len: usize, runs: &Runs) {
    let expected = expected::<E>(gatherer, ids, seq_len);
    for stores in [Stores::Regular, Stores::Streaming] {
        for &threads in runs.threads {
            let gatherer = gatherer.clone().with_threads(threads).with_stores(stores);
            for &offset in runs.offsets {
                gather_guarded::<E>(&gatherer, (ids, seq_len), offset, &expected);
            }
        }
    }
}

fn check_dim(level: Level, dim: usize, token: Dtype, position: Option<Dtype>) {
    let mut bits = Bits((dim as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let position = position.map(|dtype| bits.table(dtype, POSITION_ROWS, dim));
    let token = bits.table(token, TOKEN_ROWS, dim);
    let gatherer = Gatherer::new(token, position).unwrap().with_level(level);
    check_batches(&gatherer, &mut bits);
}

fn check_batches(gatherer: &Gatherer, bits: &mut Bits) {
    let runs = Runs {
        threads: &[1],
        offsets: &[0, 1, 5],
    };
    for (batch, seq_len) in [(1, 1), (3, 5), (9, 7)] {
        let ids = bits.ids(batch * seq_len);
        check_output_types(gatherer, &ids, seq_len, &runs);
    }
}

fn check_output_types(gatherer: &Gatherer, ids: &[u32], seq_len: usize, runs: &Runs) {
    check_output_type::<f32>(gatherer, ids, seq_len, runs);
    check_output_type::<f16>(gatherer, ids, seq_len, runs);
    check_output_type::<bf16>(gatherer, ids, seq_len, runs);
}

fn check_threads(gatherer: &Gatherer, batch: usize, seq_len: usize, bits: &mut Bits) {
    let ids = bits.ids(batch * seq_len);
    let runs = Runs {
        threads: &[0, 2, 7],
        // With the second, parts of the output meet within a line.
        offsets: &[0, 3],
    };
    check_output_types(gatherer, &ids, seq_len, &runs);
}

/// Row lengths: all short ones, and typical ones of models.
fn dims() -> impl Iterator<Item = usize> {
    (1..=260).chain([768, 1600, 4096, 12288])
}

fn sums_are_the_plain_loops(level: Level) {
    for dim in dims() {
        for (index, token) in Dtype::ALL.into_iter().enumerate() {
            // The position table's type cycles, so that every pair of types occurs.
            check_dim(level, dim, token, Some(Dtype::ALL[(index + dim) % 3]));
        }
    }
}

fn rows_without_positions_are_converted_or_copied(level: Level) {
    for dim in dims() {
        for token in Dtype::ALL {
            check_dim(level, dim, token, None);
        }
    }
}

fn an_output_may_begin_anywhere_in_a_line(level: Level) {
    // A line has 32 elements of the smallest type.
    let offsets: Vec<usize> = (0..32).collect();
    let runs = Runs {
        threads: &[1],
        offsets: &offsets,
    };
    for dim in [1, 7, 16, 31, 32, 33, 48, 64, 97, 130] {
        for token in Dtype::ALL {
            for position in [None, Some(Dtype::F32)] {
                let mut bits = Bits(dim as u64);
                let position = position.map(|dtype| bits.table(dtype, POSITION_ROWS, dim));
                let token = bits.table(token, TOKEN_ROWS, dim);
                let gatherer = Gatherer::new(token, position).unwrap().with_level(level);
                let ids = bits.ids(10);
                check_output_types(&gatherer, &ids, 5, &runs);
            }
        }
    }
}

fn rows_are_turned_by_the_angles(level: Level) {
    for dim in dims().filter(|dim| dim.is_multiple_of(2)) {
        for (style, token) in RopeStyle::ALL
            .into_iter()
            .zip(Dtype::ALL.into_iter().cycle().skip(dim / 2))
        {
            let mut bits = Bits((dim as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let token = bits.table(token, TOKEN_ROWS, dim);
            let rope = Rope::new(style, POSITION_ROWS, dim, BASE).unwrap();
            let gatherer = Gatherer::new(token, None).unwrap().with_rope(rope).unwrap();
            check_batches(&gatherer.with_level(level), &mut bits);
        }
    }
}

fn threads_do_not_change_turned_rows(level: Level) {
    for (style, batch, seq_len, dim) in [
        (RopeStyle::Interleaved, 5, 300, 768),
        (RopeStyle::Half, 5, 300, 768),
        (RopeStyle::Half, 1500, 3, 256),
    ] {
        let mut bits = Bits(7);
        let token = bits.table(Dtype::BF16, TOKEN_ROWS, dim);
        let rope = Rope::new(style, seq_len, dim, BASE).unwrap();
        let gatherer = Gatherer::new(token, None).unwrap().with_rope(rope).unwrap();
        check_threads(&gatherer.with_level(level), batch, seq_len, &mut bits);
    }
}

fn threads_do_not_change_the_output(level: Level) {
    let shapes = [
        (5, 300, 768),
        (1, 2000, 800),
        (3, 200, 1600),
        (2000, 1, 768),
        (1500, 3, 255),
    ];
    for ((batch, seq_len, dim), token) in shapes.into_iter().zip(Dtype::ALL.into_iter().cycle()) {
        let mut bits = Bits(7);
        let position = bits.table(Dtype::F32, seq_len, dim);
        let token = bits.table(token, TOKEN_ROWS, dim);
        let gatherer = Gatherer::new(token, Some(position)).unwrap();
        check_threads(&gatherer.with_level(level), batch, seq_len, &mut bits);
    }
}

for_each_level!(
    sums_are_the_plain_loops,
    rows_without_positions_are_converted_or_copied,
    an_output_may_begin_anywhere_in_a_line,
    rows_are_turned_by_the_angles,
    threads_do_not_change_the_output,
    threads_do_not_change_turned_rows,
);

/// Numbers the output through the tiles and checks that each element got its own number.
#[test]
fn tiles_cover_the_output_once_in_either_order() {
    const DIM: usize = 5;
    for (batch, seq_len, parts) in [(1, 1, 4), (3, 5, 2), (5, 3, 7), (1, 9, 4), (9, 1, 4)] {
        for (order, piece) in [
            (TileOrder::TokenMajor, DIM),
            (TileOrder::PositionMajor, DIM),
            (TileOrder::PositionMajor, 2),
        ] {
            let ids: Vec<u32> = (0..).take(batch * seq_len).collect();
            let mut out = vec![u32::MAX; ids.len() * DIM];
            let tiles = Tile::whole(&ids, seq_len, DIM, &mut out).split(parts, order);
            assert!(tiles.len() <= parts);
            for mut tile in tiles {
                for spot in tile.visits(order, DIM, piece) {
                    let id = tile.id(spot);
                    assert_eq!(tile.position(spot), id as usize % seq_len);
                    assert!(spot.columns <= piece);
                    let numbers = id * 10 + u32::try_from(spot.column).unwrap()..;
                    for (out, number) in tile.piece(spot, DIM).iter_mut().zip(numbers) {
                        assert_eq!(*out, u32::MAX);
                        *out = number;
                    }
                }
            }
            let expected = ids.iter().flat_map(|id| id * 10..id * 10 + 5);
            assert!(out.iter().copied().eq(expected), "{order:?} {piece}");
        }
    }
}

/// Gathers from 3 token rows and 2 position rows of 4 elements and expects to be refused.
fn refusal(ids: &[u32], seq_len: usize, out_len: usize) -> String {
    let token = Table::from_vec(3, 4, vec![1.0_f32; 12]).unwrap();
    let position = Table::from_vec(2, 4, vec![f16::ONE; 8]).unwrap();
    let mut out = vec![-1.0_f32; out_len];
    let gatherer = Gatherer::new(token, Some(position)).unwrap();
    let error = gatherer.gather_into(ids, seq_len, &mut out).unwrap_err();
    let untouched = (-1.0_f32).to_bits();
    assert!(out.iter().all(|value| value.to_bits() == untouched));
    error.to_string()
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_written() {
    let cases = [
        (
            refusal(&[0, 1, 2], 2, 12),
            "3 ids are not whole sequences of 2",
        ),
        (refusal(&[0, 1], 0, 8), "2 ids are not whole sequences of 0"),
        (
            refusal(&[0, 1], 2, 7),
            "the output has 7 elements; 2 ids with rows of 4 need 2 x 4",
        ),
        (
            refusal(&[0, 1, 2], 3, 12),
            "the position table has 2 rows; sequences of 3 need as many",
        ),
        (
            refusal(&[0, 3, 9], 1, 12),
            "id 3 at index 1 is not a row of the token table, which has 3",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(message, expected);
    }
    let token = Table::from_vec(3, 4, vec![1.0_f32; 12]).unwrap();
    let position = Table::from_vec(2, 3, vec![1.0_f32; 6]).unwrap();
    let error = Gatherer::new(token, Some(position)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the token table's rows have 4 elements and the position table's 3"
    );
}

#[test]
fn rotary_positions_that_do_not_fit_are_refused() {
    let table = |dim| Table::from_vec(1, dim, vec![1.0_f32; dim]).unwrap();
    let rope = || Rope::new(RopeStyle::Half, 2, 4, BASE).unwrap();
    let refusal = |gatherer: crate::error::Result<Gatherer>| gatherer.unwrap_err().to_string();
    let other = Gatherer::new(table(6), None).unwrap().with_rope(rope());
    assert_eq!(
        refusal(other),
        "the token table's rows have 6 elements and the rotary positions' 4"
    );
    let both = Gatherer::new(table(4), Some(table(4))).unwrap();
    assert_eq!(
        refusal(both.with_rope(rope())),
        "rotary positions take the place of a position table; give one of the two"
    );
    let gatherer = Gatherer::new(table(4), None)
        .unwrap()
        .with_rope(rope())
        .unwrap();
    let error = gatherer.gather_into(&[0; 3], 3, &mut [0.0_f32; 12]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the rotary positions have 2 rows; sequences of 3 need as many"
    );
}

#[test]
fn no_ids_give_no_output() {
    let token = Table::from_vec(3, 4, vec![1.0_f32; 12]).unwrap();
    let gatherer = Gatherer::new(token, None).unwrap();
    for seq_len in [0, 1, 5] {
        gatherer.gather_into::<f32>(&[], seq_len, &mut []).unwrap();
    }
}
