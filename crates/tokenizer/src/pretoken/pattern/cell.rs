//! The cells of an automaton's table.

/// What happens on a class: flags, and the state that follows as the index of its row's first cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell(pub(super) u32);

impl Cell {
    /// A match ends before the character.
    pub(super) const MATCH: u32 = 1 << 31;
    /// No match contains the character: nothing follows.
    pub(super) const STOP: u32 = 1 << 30;
    /// A match ends before the character, is not surpassed, and the next search already begins.
    pub(super) const CUT: u32 = 1 << 29;

    /// The state that follows stays in the characters of [`Loops`](super::loops::Loops), and a match may
    /// end before each of them.
    pub(super) const ENDS_IN_RUN: u32 = 1 << 28;

    pub(super) fn new(next: Option<usize>, is_match: bool) -> Self {
        let row = next.map_or(Self::STOP, |row| u32::try_from(row).unwrap_or(Self::STOP));
        Self(row | if is_match { Self::MATCH } else { 0 })
    }

    #[inline(always)]
    pub(crate) fn is_match(self) -> bool {
        self.0 & Self::MATCH != 0
    }

    #[inline(always)]
    pub(crate) fn is_stop(self) -> bool {
        self.0 & Self::STOP != 0
    }

    #[inline(always)]
    pub(crate) fn is_cut(self) -> bool {
        self.0 & Self::CUT != 0
    }

    #[inline(always)]
    pub(super) fn ends_in_run(self) -> bool {
        self.0 & Self::ENDS_IN_RUN != 0
    }

    #[inline(always)]
    pub(crate) fn row(self) -> usize {
        (self.0 & (Self::ENDS_IN_RUN - 1)) as usize
    }
}

/// The row of the state in which a search begins.
pub(crate) const START: usize = 0;
