//! The defaults, and that no tuning changes the output.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "pseudo-random numbers are small"
)]

use shardmill_core::dtype::{Dtype, Element, with_element};
use shardmill_core::map::Buffer;
use shardmill_core::simd::Level;

use super::{PositionHint, Shape, Tuning};
use crate::gather::lane::Lane;
use crate::gather::tile::TileOrder::{PositionMajor, TokenMajor};
use crate::gather::{Gatherer, Stores, has_whole_lines};
use crate::table::Table;

const TOKEN_ROWS: usize = 13;

fn shape(dim: usize, element_bytes: usize) -> Shape {
    Shape {
        dim,
        element_bytes,
        has_positions: true,
        has_pieces: true,
    }
}

#[test]
fn the_defaults_are_those_that_were_measured() {
    let default = |dim, bytes| {
        let tuning = Tuning::for_shape(shape(dim, bytes));
        let is_once = tuning.position_hint == PositionHint::Nta;
        assert_eq!(is_once, dim >= 512, "{dim}");
        (tuning.order, tuning.piece_elements, tuning.pieces_ahead)
    };
    assert_eq!(default(1, 2), (TokenMajor, 1, 16));
    assert_eq!(default(255, 4), (TokenMajor, 255, 12));
    assert_eq!(default(256, 4), (PositionMajor, 256, 12));
    assert_eq!(default(256, 2), (PositionMajor, 256, 16));
    assert_eq!(default(512, 4), (PositionMajor, 512, 6));
    assert_eq!(default(768, 4), (PositionMajor, 768, 4));
    assert_eq!(default(1024, 2), (PositionMajor, 1024, 6));
    assert_eq!(default(4096, 4), (PositionMajor, 1024, 3));
    let rows = Shape {
        has_pieces: false,
        ..shape(4096, 4)
    };
    let tuning = Tuning::for_shape(rows);
    assert_eq!((tuning.piece_elements, tuning.pieces_ahead), (4096, 1));
    let alone = Shape {
        has_positions: false,
        ..shape(4096, 4)
    };
    assert_eq!(Tuning::for_shape(alone).order, TokenMajor);
}

#[test]
fn candidates_are_the_default_and_others_once_each() {
    for dim in [1, 128, 768, 1024, 4096, 12288] {
        let candidates = Tuning::candidates(shape(dim, 4));
        assert_eq!(candidates[0], Tuning::for_shape(shape(dim, 4)));
        for (index, candidate) in candidates.iter().enumerate() {
            assert!(!candidates[..index].contains(candidate), "{candidate:?}");
            let is_row = candidate.piece_elements == dim;
            let is_piece = candidate.piece_elements < dim && candidate.piece_elements % 32 == 0;
            assert!(is_row || is_piece, "{candidate:?}");
            assert!(is_row || candidate.order == PositionMajor);
        }
        let rows = Shape {
            has_pieces: false,
            ..shape(dim, 4)
        };
        let mut candidates = Tuning::candidates(rows).into_iter();
        assert!(candidates.all(|candidate| candidate.piece_elements == dim));
    }
}

/// Numbers between -8 and 8 with a few different exponents; none is NaN.
fn number(index: usize) -> f32 {
    let bits = (index as u32).wrapping_mul(0x9e37_79b9);
    ((bits >> 9) as f32 / (1 << 19) as f32 - 8.0) / (1 + bits % 5) as f32
}

fn table(dtype: Dtype, rows: usize, dim: usize) -> Table {
    fn of<E: Lane>(rows: usize, dim: usize) -> Table {
        let values = (0..rows * dim).map(|index| E::round(number(index + rows)));
        Table::from_vec(rows, dim, values.collect()).unwrap()
    }
    with_element!(dtype, E => of::<E>(rows, dim))
}

/// Gathers `batch` sequences of `seq_len` by each of `tunings`, and compares with the scalar level.
fn check<E: Element + Lane>(
    gatherer: &Gatherer,
    [batch, seq_len]: [usize; 2],
    threads: usize,
    is_chosen: impl Fn(&Tuning) -> bool,
) {
    let dim = gatherer.dim();
    let ids: Vec<u32> = (0..batch * seq_len)
        .map(|index| (index * index % TOKEN_ROWS) as u32)
        .collect();
    let mut expected = Buffer::<E>::zeroed(ids.len() * dim).unwrap();
    let mut found = Buffer::<E>::zeroed(ids.len() * dim).unwrap();
    let scalar = gatherer.clone().with_level(Level::scalar());
    let scalar = scalar.with_threads(1).with_stores(Stores::Regular);
    scalar.gather_into(&ids, seq_len, &mut expected).unwrap();
    let shape = Shape {
        has_pieces: has_whole_lines(&found, dim),
        ..shape(dim, gatherer.token.dtype().size_bytes())
    };
    for tuning in Tuning::candidates(shape).into_iter().filter(is_chosen) {
        for stores in [Stores::Regular, Stores::Streaming] {
            let gatherer = gatherer.clone().with_tuning(Some(tuning));
            let gatherer = gatherer.with_threads(threads).with_stores(stores);
            bytemuck::cast_slice_mut::<E, u8>(&mut found).fill(0xff);
            gatherer.gather_into(&ids, seq_len, &mut found).unwrap();
            let [found, expected] = [&found, &expected].map(|of| bytemuck::cast_slice::<E, u8>(of));
            assert!(found == expected, "dim {dim}, {stores:?}, {tuning:?}");
        }
    }
}

/// Calls [`check`] for every pair of types.
fn check_types(
    dim: usize,
    counts: [usize; 2],
    threads: usize,
    is_chosen: impl Fn(&Tuning) -> bool + Copy,
) {
    for token in Dtype::ALL {
        let position = table(Dtype::F32, counts[1], dim);
        let gatherer = Gatherer::new(table(token, TOKEN_ROWS, dim), Some(position)).unwrap();
        for out in Dtype::ALL {
            with_element!(out, E => check::<E>(&gatherer, counts, threads, is_chosen));
        }
    }
}

#[test]
fn no_tuning_changes_the_output() {
    for dim in [1, 16, 48, 256, 260, 1040, 4096] {
        check_types(dim, [3, 5], 1, |_| true);
    }
}

#[test]
fn no_tuning_changes_the_output_of_threads() {
    // As many rows as three threads need; distances do not matter to them.
    for (dim, counts) in [
        (1, [40, 40_000]),
        (48, [40, 820]),
        (256, [16, 400]),
        (260, [400, 16]),
        (1040, [5, 310]),
        (4096, [130, 3]),
    ] {
        check_types(dim, counts, 3, |tuning| {
            tuning.pieces_ahead == 4 && tuning.position_hint != PositionHint::None
        });
    }
}

#[test]
fn tunings_of_rows_without_added_positions_change_nothing_either() {
    for dim in [48, 260, 4096] {
        for token in Dtype::ALL {
            let gatherer = Gatherer::new(table(token, TOKEN_ROWS, dim), None).unwrap();
            check::<f32>(&gatherer, [3, 5], 1, |_| true);
            check::<half::f16>(&gatherer, [3, 5], 1, |_| true);
        }
    }
}
