//! Tiles: the parts of an output that the threads fill, and the order inside one.
//!
//! A tile is a range of sequences by a range of positions. It owns its piece of each sequence's
//! output, so tiles are disjoint by construction.

/// From this many elements on, a position row is worth keeping in the L1 cache while the sequences
/// go by; below it the whole position table fits the L2 cache, and going through the output in
/// order is faster (measured at 256 and 768).
const POSITION_MAJOR_DIM: usize = 512;

/// In which order the rows of a tile are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Sequence after sequence.
    TokenMajor,
    /// Position after position, through all sequences.
    PositionMajor,
}

impl Order {
    /// The faster order for rows of `dim` elements.
    pub(super) const fn for_dim(dim: usize, has_positions: bool) -> Self {
        if has_positions && dim >= POSITION_MAJOR_DIM {
            Self::PositionMajor
        } else {
            Self::TokenMajor
        }
    }
}

/// How many rows ahead of the current one to prefetch, for rows of `row_bytes` in the table: about
/// as much memory as is on its way at once, and stays in L1 until it is used. Of 1 to 24 rows, this
/// rule is within 5 % of the best at 128 to 12288 elements (measured on Zen: with 4 rows in place
/// of 8, f32 rows of 256 take 14 % longer).
pub(super) const fn prefetch_rows(row_bytes: usize) -> usize {
    const BYTES: usize = 12 << 10;
    const MAX_ROWS: usize = 8;
    match BYTES / row_bytes {
        0 => 1,
        rows if rows > MAX_ROWS => MAX_ROWS,
        rows => rows,
    }
}

/// A part of the output: some positions of some sequences.
#[derive(Debug)]
pub(super) struct Tile<'a, E> {
    sequences: Vec<Piece<'a, E>>,
    first_position: usize,
    positions: usize,
}

/// A tile's share of one sequence.
#[derive(Debug)]
struct Piece<'a, E> {
    /// One id per position.
    ids: &'a [u32],
    /// One row per position.
    out: &'a mut [E],
}

/// Where a row lies in its tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    sequence: usize,
    position: usize,
}

impl<'a, E> Tile<'a, E> {
    /// The whole output: `ids.len() / seq_len` sequences of `seq_len` rows of `dim` elements.
    /// Nothing of it is empty.
    pub(super) fn whole(ids: &'a [u32], seq_len: usize, dim: usize, out: &'a mut [E]) -> Self {
        let ids = ids.chunks_exact(seq_len);
        let outs = out.chunks_exact_mut(seq_len * dim);
        let sequences = ids.zip(outs).map(|(ids, out)| Piece { ids, out }).collect();
        Self {
            sequences,
            first_position: 0,
            positions: seq_len,
        }
    }

    /// Cuts the tile into `parts` or fewer, about equal ones: along the order's outer axis, so
    /// that each part runs as the whole would, or along the other one where that is too short.
    pub(super) fn split(self, parts: usize, order: Order) -> Vec<Self> {
        let by_position = match order {
            Order::TokenMajor => self.sequences.len() < parts.min(self.positions),
            Order::PositionMajor => self.positions >= parts.min(self.sequences.len()),
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
            .map(|piece| piece.take(count))
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

    /// Every place of the tile, in order.
    #[inline]
    pub(super) fn visits(&self, order: Order) -> Visits {
        let (outer, inner) = match order {
            Order::TokenMajor => (self.sequences.len(), self.positions),
            Order::PositionMajor => (self.positions, self.sequences.len()),
        };
        Visits {
            order,
            inner_len: inner,
            left: outer * inner,
            outer: 0,
            inner: 0,
        }
    }

    /// The id at `place`.
    #[inline]
    pub(super) fn id(&self, place: Place) -> u32 {
        self.sequences[place.sequence].ids[place.position]
    }

    /// The position of `place` in its sequence.
    #[inline]
    pub(super) fn position(&self, place: Place) -> usize {
        self.first_position + place.position
    }

    /// The output row at `place`.
    #[inline]
    pub(super) fn row(&mut self, place: Place, dim: usize) -> &mut [E] {
        &mut self.sequences[place.sequence].out[place.position * dim..][..dim]
    }
}

impl<E> Piece<'_, E> {
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

/// Cuts `total` into `parts` shares that differ by one at most; none is empty.
fn shares(total: usize, parts: usize) -> impl Iterator<Item = usize> {
    let parts = parts.clamp(1, total.max(1));
    (0..parts).map(move |part| total / parts + usize::from(part < total % parts))
}

/// The places of a tile, in order.
#[derive(Clone, Debug)]
pub(super) struct Visits {
    order: Order,
    inner_len: usize,
    left: usize,
    outer: usize,
    inner: usize,
}

impl Visits {
    /// The places after the first `count`.
    #[inline]
    pub(super) fn after(&self, count: usize) -> Self {
        let count = count.min(self.left);
        let done = self.outer * self.inner_len + self.inner + count;
        let inner_len = self.inner_len.max(1);
        Self {
            left: self.left - count,
            outer: done / inner_len,
            inner: done % inner_len,
            ..*self
        }
    }
}

impl Iterator for Visits {
    type Item = Place;

    #[inline]
    fn next(&mut self) -> Option<Place> {
        self.left = self.left.checked_sub(1)?;
        let (outer, inner) = (self.outer, self.inner);
        self.inner += 1;
        if self.inner == self.inner_len {
            self.inner = 0;
            self.outer += 1;
        }
        Some(match self.order {
            Order::TokenMajor => Place {
                sequence: outer,
                position: inner,
            },
            Order::PositionMajor => Place {
                sequence: inner,
                position: outer,
            },
        })
    }
}
