//! Tiles: the parts of an output that the threads fill, and the order inside one.
//!
//! A tile is a range of sequences by a range of positions. It owns its piece of each sequence's
//! output, so tiles are disjoint by construction.

use shardmill_core::choice;

choice! {
    /// The order in which the rows of a tile are filled.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum TileOrder {
        /// Sequence by sequence.
        TokenMajor = "token_major",
        /// Position by position; for each position, piece by piece of the row, through all
        /// sequences.
        PositionMajor = "position_major",
    }
}

/// A part of the output: some positions of some sequences.
#[derive(Debug)]
pub(super) struct Tile<'a, E> {
    sequences: Vec<Share<'a, E>>,
    first_position: usize,
    positions: usize,
}

/// A tile's share of one sequence.
#[derive(Debug)]
struct Share<'a, E> {
    /// One id per position.
    ids: &'a [u32],
    /// One row per position.
    out: &'a mut [E],
}

/// The location of a piece of a row in its tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileSpot {
    sequence: usize,
    position: usize,
    /// First column.
    pub(super) column: usize,
    /// How many columns.
    pub(super) columns: usize,
}

impl<'a, E> Tile<'a, E> {
    /// The whole output: `ids.len() / seq_len` sequences of `seq_len` rows of `dim` elements.
    /// No dimension may be 0.
    pub(super) fn whole(ids: &'a [u32], seq_len: usize, dim: usize, out: &'a mut [E]) -> Self {
        let ids = ids.chunks_exact(seq_len);
        let outs = out.chunks_exact_mut(seq_len * dim);
        let sequences = ids.zip(outs).map(|(ids, out)| Share { ids, out }).collect();
        Self {
            sequences,
            first_position: 0,
            positions: seq_len,
        }
    }

    /// Cuts the tile into at most `parts` parts of about equal size: along the order's outer axis,
    /// so that each part runs as the whole would, or along the other axis if the outer one is too
    /// short.
    pub(super) fn split(self, parts: usize, order: TileOrder) -> Vec<Self> {
        let by_position = match order {
            TileOrder::TokenMajor => self.sequences.len() < parts.min(self.positions),
            TileOrder::PositionMajor => self.positions >= parts.min(self.sequences.len()),
        };
        if by_position {
            self.split_positions(parts)
        } else {
            self.split_sequences(parts)
        }
    }

    fn split_sequences(mut self, parts: usize) -> Vec<Self> {
        let (total, first_position, positions) =
            (self.sequences.len(), self.first_position, self.positions);
        let mut sequences = self.sequences.drain(..);
        shares(total, parts)
            .map(|share| {
                let sequences = sequences.by_ref().take(share).collect();
                Self {
                    sequences,
                    first_position,
                    positions,
                }
            })
            .collect()
    }

    fn split_positions(self, parts: usize) -> Vec<Self> {
        let mut rest = self;
        shares(rest.positions, parts)
            .map(|share| rest.take_positions(share))
            .collect()
    }

    /// Splits off the first `count` positions.
    fn take_positions(&mut self, count: usize) -> Self {
        let sequences = self
            .sequences
            .iter_mut()
            .map(|share| share.take(count))
            .collect();
        let taken = Self {
            sequences,
            first_position: self.first_position,
            positions: count,
        };
        self.first_position += count;
        self.positions -= count;
        taken
    }

    /// Every spot of the tile, in order, if rows of `dim` are filled in pieces of `piece_elements`.
    #[inline]
    pub(super) fn visits(&self, order: TileOrder, dim: usize, piece_elements: usize) -> Visits {
        let (outer, inner) = match order {
            TileOrder::TokenMajor => (self.sequences.len(), self.positions),
            TileOrder::PositionMajor => (self.positions, self.sequences.len()),
        };
        Visits {
            order,
            inner_len: inner,
            dim,
            piece_elements,
            left: outer * inner * dim.div_ceil(piece_elements),
            outer: 0,
            column: 0,
            inner: 0,
        }
    }

    /// The id at `spot`.
    #[inline]
    pub(super) fn id(&self, spot: TileSpot) -> u32 {
        self.sequences[spot.sequence].ids[spot.position]
    }

    /// The position of `spot` in its sequence.
    #[inline]
    pub(super) fn position(&self, spot: TileSpot) -> usize {
        self.first_position + spot.position
    }

    /// The output at `spot`, in rows of `dim` elements.
    #[inline]
    pub(super) fn piece(&mut self, spot: TileSpot, dim: usize) -> &mut [E] {
        let start = spot.position * dim + spot.column;
        &mut self.sequences[spot.sequence].out[start..][..spot.columns]
    }
}

impl<E> Share<'_, E> {
    /// Splits off the first `count` positions.
    fn take(&mut self, count: usize) -> Self {
        let dim = self.out.len() / self.ids.len().max(1);
        let (ids, ids_rest) = self.ids.split_at(count);
        let (out, out_rest) = std::mem::take(&mut self.out).split_at_mut(count * dim);
        self.ids = ids_rest;
        self.out = out_rest;
        Self { ids, out }
    }
}

/// Cuts `total` into up to `parts` shares that differ by at most one; none is empty.
fn shares(total: usize, parts: usize) -> impl Iterator<Item = usize> {
    let parts = parts.clamp(1, total.max(1));
    (0..parts).map(move |part| total / parts + usize::from(part < total % parts))
}

/// The spots of a tile, in order.
#[derive(Clone, Debug)]
pub(super) struct Visits {
    order: TileOrder,
    inner_len: usize,
    dim: usize,
    piece_elements: usize,
    left: usize,
    outer: usize,
    column: usize,
    inner: usize,
}

impl Iterator for Visits {
    type Item = TileSpot;

    #[inline]
    fn next(&mut self) -> Option<TileSpot> {
        self.left = self.left.checked_sub(1)?;
        let (outer, column, inner) = (self.outer, self.column, self.inner);
        self.inner += 1;
        if self.inner == self.inner_len {
            self.inner = 0;
            self.column += self.piece_elements;
            if self.column >= self.dim {
                self.column = 0;
                self.outer += 1;
            }
        }
        let (sequence, position) = match self.order {
            TileOrder::TokenMajor => (outer, inner),
            TileOrder::PositionMajor => (inner, outer),
        };
        Some(TileSpot {
            sequence,
            position,
            column,
            columns: self.piece_elements.min(self.dim - column),
        })
    }
}
