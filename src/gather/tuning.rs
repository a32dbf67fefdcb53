//! What of the gather depends on the processor: in which order rows are filled and what is
//! prefetched meanwhile. No choice changes the output.
//!
//! The defaults were measured on two processors: Zen, with 1 MiB of L2, and a Xeon with 2 MiB of L2
//! and a large and slow L3. `bench gather-tuning` measures them against [`Tuning::candidates`].

use shardmill_core::choice;

use super::tile::TileOrder;

/// A position row of at least this many elements stays in the L1 cache across all sequences. In
/// order of the output, the whole position table has to come from the L2 cache, once for each
/// sequence. On the Xeon that takes about three times as long on one thread; on Zen, rows of 256
/// take the same time to 16 % longer. Shorter rows change too often for that.
const POSITION_MAJOR_DIM: usize = 256;

/// Position rows of at least this many elements are prefetched as what is used once. Shorter ones,
/// in either order, are used again soon: the Xeon then drops them from its caches, and rows of 128
/// take twice as long.
const ONCE_DIM: usize = 512;

/// In position-major order, longer rows are filled in pieces of this many elements: 4 KiB of a
/// position row stay in the L1 cache along with the token rows that are being fetched; 16 KiB do
/// not. On Zen 3, rows of 4096 are 1.17 times as fast from f32 to f16, 1.03 times from 16 bits to
/// f32, and the same from f32 to f32. If pieces are not whole cache lines, their edges cost more
/// than that: 0.65 to 0.9 times as fast. With pieces of 256, the Xeon is up to 25 % faster at 4096,
/// and Zen takes up to 35 % longer from 16 bits to 16 bits.
const PIECE_ELEMENTS: usize = 1024;

/// How many elements ahead position rows are prefetched, for pieces of any length: one piece, by
/// default. It is part of the instructions of the inner loop.
pub(super) const POSITION_ELEMENTS_AHEAD: usize = PIECE_ELEMENTS;

choice! {
    /// How position rows are prefetched.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum PositionHint {
        /// Not at all.
        None = "none",
        /// As what is used once: past the outer caches, where the processor can do that.
        Nta = "nta",
        /// Into all caches.
        T0 = "t0",
    }
}

/// What the tuning of a call depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Elements of a row.
    pub(crate) dim: usize,
    /// The size of an element of the token table.
    pub(crate) element_bytes: usize,
    /// Whether there are position rows.
    pub(crate) has_positions: bool,
    /// Whether rows may be filled piece by piece.
    pub(crate) has_pieces: bool,
}

/// How rows are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// The order in which to traverse a tile.
    pub(crate) order: TileOrder,
    /// The number of elements of a row to fill at once. If a row has more, they are a multiple of
    /// 32: whole cache lines of any type.
    pub(crate) piece_elements: usize,
    /// How many pieces ahead of the current one token rows are prefetched.
    pub(crate) pieces_ahead: usize,
    /// How position rows that are added are prefetched.
    pub(crate) position_hint: PositionHint,
}

impl Tuning {
    /// The default.
    pub(crate) const fn for_shape(shape: Shape) -> Self {
        let Shape {
            dim,
            element_bytes,
            has_positions,
            has_pieces,
        } = shape;
        let order = if has_positions && dim >= POSITION_MAJOR_DIM {
            TileOrder::PositionMajor
        } else {
            TileOrder::TokenMajor
        };
        let piece_elements = match order {
            TileOrder::PositionMajor if has_pieces && dim > PIECE_ELEMENTS => PIECE_ELEMENTS,
            _ => dim,
        };
        Self {
            order,
            piece_elements,
            pieces_ahead: prefetch_pieces(piece_elements * element_bytes),
            // The hardware prefetcher loses the row where a piece of it ends, and it fills the
            // outer caches with the row, where token rows are of more use. Without this prefetch,
            // rows of 12288 take 6 to 19 % longer on Zen 4, rows of 4096 to f16 up to 12 % longer,
            // and others the same.
            position_hint: if dim < ONCE_DIM {
                PositionHint::T0
            } else {
                PositionHint::Nta
            },
        }
    }

    /// The same, for rows that may not be filled piece by piece.
    pub(crate) const fn in_whole_rows(self, dim: usize) -> Self {
        Self {
            piece_elements: dim,
            ..self
        }
    }

    /// The default, and all that could be better on some processor: either order, pieces of 256 to
    /// 2048 elements in position-major order, 1 to 24 pieces ahead but at most 64 KiB, and each
    /// hint.
    pub(crate) fn candidates(shape: Shape) -> Vec<Self> {
        const PIECES: [usize; 4] = [256, 512, 1024, 2048];
        const AHEAD: [usize; 6] = [1, 2, 4, 8, 16, 24];
        const MAX_AHEAD_BYTES: usize = 64 << 10;
        let shorter = PIECES
            .into_iter()
            .filter(|&piece| shape.has_pieces && piece < shape.dim);
        let in_rows = TileOrder::ALL.map(|order| (order, shape.dim));
        let in_pieces = shorter.map(|piece| (TileOrder::PositionMajor, piece));
        let mut candidates = vec![Self::for_shape(shape)];
        for (order, piece_elements) in in_rows.into_iter().chain(in_pieces) {
            let piece_bytes = piece_elements * shape.element_bytes;
            let is_near = |ahead: &usize| *ahead == 1 || ahead * piece_bytes <= MAX_AHEAD_BYTES;
            for pieces_ahead in AHEAD.into_iter().filter(is_near) {
                for position_hint in PositionHint::ALL {
                    let candidate = Self {
                        order,
                        piece_elements,
                        pieces_ahead,
                        position_hint,
                    };
                    if candidate != candidates[0] {
                        candidates.push(candidate);
                    }
                }
            }
        }
        candidates
    }
}

/// How many pieces ahead of the current one to prefetch, for pieces of `piece_bytes` in the table:
/// about as much memory as can be in flight at once and stays in L1 until it is used. Compared with
/// any distance of 1 to 24 rows on Zen, 12 KiB are within 5 % of the best at 128 to 12288 elements.
const fn prefetch_pieces(piece_bytes: usize) -> usize {
    const BYTES: usize = 12 << 10;
    const MAX_PIECES: usize = 16;
    match BYTES / piece_bytes {
        0 => 1,
        pieces if pieces > MAX_PIECES => MAX_PIECES,
        pieces => pieces,
    }
}

#[cfg(test)]
mod tests;
