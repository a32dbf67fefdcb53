//! Between which classes a text may be cut, so that its parts are split as the whole is.
//!
//! Let a text be cut between `x` and `y`, the last character of the left part and the first of the
//! right part.
//!
//! 1. Sides are independent if, in every state after `x`, nothing follows on `y`, and a match ends
//!    before `y` exactly if it would at the end of the text. Then all searches that begin in the
//!    left part end there and find what they find in it alone. No pattern looks behind, so searches
//!    from `y` on find what they find in the right part alone. Hence matches are the same; only what
//!    is between matches may span the cut.
//! 2. A search that begins at a character of some classes surely matches: such a character is never
//!    outside of matches. One that no search can begin at, or that none can pass, is never in the
//!    according place. So it is known of what kinds, match or not, the pieces that end after `x` and
//!    begin at `y` can be.

use super::cell::{Cell, START};
use super::partition::ClassSet;

/// More passes over the states than any real pattern needs to find the ones that are not sure. After
/// that many, none is known to be sure, which is safe.
const MAX_ROUNDS: usize = 32;

/// What can be said of a character beside a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sides {
    /// It can be in a match.
    pub(crate) match_: bool,
    /// It can be outside of matches.
    pub(crate) gap: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Cuts {
    /// By the class of `x`: the classes of `y` that make sides independent.
    independent: Box<[ClassSet]>,
    /// By the class of `x`, the last before the cut.
    left: Box<[Sides]>,
    /// By the class of `y`, the first after the cut.
    right: Box<[Sides]>,
}

/// The kinds of pieces that can meet at a cut, as far as they are certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pairs {
    pub(crate) left: Sides,
    pub(crate) right: Sides,
}

impl Cuts {
    pub(crate) fn new(cells: &[Cell], width: usize) -> Self {
        let end = width - 1;
        let sure = sure_states(cells, width);
        // By state: the classes at which it ends as it does at the end of the text.
        let ends: Vec<ClassSet> = cells
            .chunks(width)
            .map(|row| {
                let mut ends = ClassSet::default();
                for (class, cell) in row[..end].iter().enumerate() {
                    if cell.is_stop() && cell.is_match() == row[end].is_match() {
                        ends.insert(class);
                    }
                }
                ends
            })
            .collect();
        let mut independent = vec![ClassSet::all(); end];
        let mut passed = vec![false; end];
        for row in cells.chunks(width) {
            for (class, cell) in row[..end].iter().enumerate() {
                if !cell.is_stop() {
                    independent[class].intersect(&ends[cell.row() / width]);
                    passed[class] = true;
                }
            }
        }
        let begins = &cells[START..end];
        let is_sure = |cell: &Cell| !cell.is_stop() && sure[cell.row() / width];
        let left = begins.iter().zip(passed).map(|(cell, passed)| Sides {
            match_: passed,
            gap: !is_sure(cell),
        });
        let right = begins.iter().map(|cell| Sides {
            match_: !cell.is_stop(),
            gap: !is_sure(cell),
        });
        Self {
            independent: independent.into(),
            left: left.collect(),
            right: right.collect(),
        }
    }

    /// What can meet at a cut between two classes, if its sides are independent.
    pub(crate) fn pairs(&self, left: usize, right: usize) -> Option<Pairs> {
        self.independent[left].contains(right).then(|| Pairs {
            left: self.left[left],
            right: self.right[right],
        })
    }

    /// Whether every character is in a match, in any text.
    pub(crate) fn covers_all(&self) -> bool {
        self.right.iter().all(|sides| !sides.gap)
    }
}

/// The states from which a match is found, whatever follows: those from which no path leads to where
/// nothing matches. A text ends, and so does each path.
fn sure_states(cells: &[Cell], width: usize) -> Vec<bool> {
    let mut sure = vec![true; cells.len() / width];
    for _ in 0..MAX_ROUNDS {
        let mut changed = false;
        for (state, row) in cells.chunks(width).enumerate().rev() {
            let is_sure =
                |cell: &Cell| cell.is_match() || !cell.is_stop() && sure[cell.row() / width];
            if sure[state] && !row.iter().all(is_sure) {
                sure[state] = false;
                changed = true;
            }
        }
        if !changed {
            return sure;
        }
    }
    sure.fill(false);
    sure
}
