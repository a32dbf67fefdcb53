//! Fills a tile of output rows: safe code, generic over [`Simd`].
//!
//! Visits the pieces of the tile's rows in order. `change.rs` does what each piece's position asks
//! for.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined into the entered function loses its instructions"
)]

use shardmill_core::simd::{Kernel, Simd};

use super::change::PerPosition;
use super::lane::Lane;
use super::row::Span;
use super::tile::{Tile, TileSpot};
use super::tuning::Tuning;

/// Fills one tile.
#[derive(Debug)]
pub(super) struct Gather<'a, 't, T, P, E> {
    /// Token rows, `dim` elements each; every id of the tile is one of them.
    pub(super) token: &'a [T],
    /// What each position does to a row, for every position of a sequence.
    pub(super) positions: P,
    /// Elements of a row.
    pub(super) dim: usize,
    /// Whether to write past the caches.
    pub(super) stream: bool,
    /// In which order to traverse the tile, and what to prefetch.
    pub(super) tuning: Tuning,
    /// The output and its ids.
    pub(super) tile: &'a mut Tile<'t, E>,
}

impl<T: Lane, P: PerPosition, E: Lane> Kernel for Gather<'_, '_, T, P, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            token,
            positions,
            dim,
            stream,
            tuning,
            tile,
        } = self;
        // The index in `token` of a spot's first element.
        let start = |tile: &Tile<E>, spot: TileSpot| tile.id(spot) as usize * dim + spot.column;
        let visits = tile.visits(tuning.order, dim, tuning.piece_elements);
        let mut ahead = visits.clone();
        for _ in 0..tuning.pieces_ahead {
            ahead.next();
        }
        for spot in visits {
            let row = &token[start(tile, spot)..][..spot.columns];
            // The last piece of a row may be shorter than this one, so the prefetch may go past its
            // row.
            let ahead = ahead.next().map(|ahead| start(tile, ahead));
            let ahead = ahead.and_then(|start| token.get(start..start + spot.columns));
            let position = tile.position(spot);
            let span = Span {
                row,
                ahead: ahead.unwrap_or(row),
                stream,
                out: tile.piece(spot, dim),
            };
            positions.fill(s, position, spot.column, span);
        }
    }
}
