//! Steps and classes -> a table: in a state, the next character's class says what happens.
//!
//! A state is the list of steps at which a backtracking search could be, the preferred ones first.
//! Reading a class first follows all that needs no character, knowing what comes next, and so finds
//! whether a match ends before that character. If one does, the steps after it in the list are
//! dropped: the search would prefer this match to theirs.

use std::collections::HashMap;

use super::Refusal;
use super::cell::{Cell, START};
use super::cuts::Cuts;
use super::loops::Loops;
use super::nfa::{Nfa, Step, StepId};
use super::node::{Ahead, Node, Sets};
use super::partition::{ClassSet, Classes, partition};

/// More states than any real pattern needs.
const MAX_STATES: usize = 4096;
/// The most table cells, and the most steps followed to make them.
const MAX_CELLS: usize = 1 << 19;
const MAX_WORK: usize = 1 << 24;

/// Finds the matches of a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Dfa {
    pub(crate) classes: Classes,
    /// The cells of a row: one for each class, and one for the end of the text.
    pub(crate) width: usize,
    pub(crate) cells: Box<[Cell]>,
    /// The same, but where a match ends and another search begins at the same character, both are
    /// one step.
    pub(crate) fused: Box<[Cell]>,
    /// What is read in runs.
    pub(super) loops: Loops,
    /// Whether a match may begin at a byte: false for those that do not begin a character.
    pub(crate) may_begin: Box<[bool; 256]>,
    pub(crate) cuts: Cuts,
}

impl Dfa {
    pub(crate) fn new(node: &Node, sets: &Sets) -> Result<Self, Refusal> {
        let nfa = Nfa::new(node)?;
        let (classes, of_set) = partition(sets)?;
        let width = classes.count() + 1;
        let cells = Builder::new(&nfa, &of_set, width).build()?;
        if cells[START..width].iter().any(|cell| cell.is_match()) {
            return Err(Refusal::new("it can match the empty text".to_owned()));
        }
        let mut fused: Box<[Cell]> = cells
            .iter()
            .enumerate()
            .map(|(index, &cell)| {
                let class = index % width;
                let begin = cells[START + class];
                let is_end = class == classes.count();
                if is_end || !cell.is_stop() || !cell.is_match() || begin.is_stop() {
                    return cell;
                }
                Cell(begin.0 | Cell::CUT | Cell::MATCH)
            })
            .collect();
        let loops = Loops::mark(&mut fused, &classes, width);
        let mut may_begin = Box::new([false; 256]);
        for (byte, may_begin) in (0..=u8::MAX).zip(may_begin.iter_mut()) {
            *may_begin = classes.may_begin(byte, |class| !cells[START + class].is_stop());
        }
        let cuts = Cuts::new(&cells, width);
        Ok(Self {
            classes,
            width,
            cells: cells.into(),
            fused,
            loops,
            may_begin,
            cuts,
        })
    }

    #[cfg(test)]
    pub(crate) fn states(&self) -> usize {
        self.cells.len() / self.width
    }

    /// The class of the character at byte `pos`, and its length.
    #[inline(always)]
    pub(super) fn class(&self, text: &[u8], pos: usize) -> Option<(usize, usize)> {
        let first = *text.get(pos)?;
        if first < 0x80 {
            return Some((self.classes.of_ascii(first), 1));
        }
        // The text is UTF-8, so a lead byte is followed by its continuation bytes.
        let rest = |index: usize| {
            let byte = text.get(pos + index).copied().unwrap_or(0);
            u32::from(byte & 0x3f)
        };
        let lead = u32::from(first);
        let (code, len) = match first {
            0..0xe0 => ((lead & 0x1f) << 6 | rest(1), 2),
            0xe0..0xf0 => ((lead & 0x0f) << 12 | rest(1) << 6 | rest(2), 3),
            _ => (
                (lead & 0x07) << 18 | rest(1) << 12 | rest(2) << 6 | rest(3),
                4,
            ),
        };
        Some((self.classes.of_code_point(code.min(0x10_ffff)), len))
    }

    /// The cell for what is at byte `pos`, a character or the end, and its length.
    #[inline(always)]
    pub(crate) fn cell(&self, text: &[u8], row: usize, pos: usize) -> (Cell, usize) {
        match self.class(text, pos) {
            Some((class, len)) => (self.cells[row + class], len),
            None => (self.cells[row + self.width - 1], 0),
        }
    }
}

struct Builder<'n> {
    nfa: &'n Nfa,
    of_set: &'n [ClassSet],
    width: usize,
    /// The steps of each state, and the other way around.
    states: Vec<Box<[StepId]>>,
    ids: HashMap<Box<[StepId]>, usize>,
    /// When a step was last seen, to follow each once.
    seen: Vec<usize>,
    round: usize,
    work: usize,
}

impl<'n> Builder<'n> {
    fn new(nfa: &'n Nfa, of_set: &'n [ClassSet], width: usize) -> Self {
        Self {
            nfa,
            of_set,
            width,
            states: Vec::new(),
            ids: HashMap::new(),
            seen: vec![0; nfa.steps.len()],
            round: 0,
            work: 0,
        }
    }

    fn build(mut self) -> Result<Vec<Cell>, Refusal> {
        let start = self.closure(&[self.nfa.start]);
        self.state(start)?;
        let mut cells = Vec::new();
        let mut state = 0;
        while state < self.states.len() {
            for class in 0..self.width {
                let (targets, is_match) = self.step(state, class);
                let next = self.closure(&targets);
                let next = if next.is_empty() {
                    None
                } else {
                    Some(self.state(next)?)
                };
                cells.push(Cell::new(next.map(|next| next * self.width), is_match));
            }
            if self.work > MAX_WORK {
                return Err(Refusal::new("it is too large".to_owned()));
            }
            state += 1;
        }
        Ok(cells)
    }

    fn state(&mut self, steps: Vec<StepId>) -> Result<usize, Refusal> {
        let steps = steps.into_boxed_slice();
        if let Some(&id) = self.ids.get(&steps) {
            return Ok(id);
        }
        let id = self.states.len();
        if id == MAX_STATES || (id + 1) * self.width > MAX_CELLS {
            return Err(Refusal::new(format!("it needs more than {id} states")));
        }
        self.work += steps.len() * 4;
        self.states.push(steps.clone());
        self.ids.insert(steps, id);
        Ok(id)
    }

    /// The steps that are reached from these without a character, in order of preference, up to a
    /// match, after which nothing matters. Lookahead is left for when the next class is known.
    fn closure(&mut self, from: &[StepId]) -> Vec<StepId> {
        self.round += 1;
        let mut closure = Vec::new();
        let mut stack: Vec<StepId> = from.iter().rev().copied().collect();
        while let Some(id) = stack.pop() {
            if !self.is_new(id) {
                continue;
            }
            match self.nfa.steps[id as usize] {
                Step::Split(first, second) => stack.extend([second, first]),
                Step::Match => {
                    closure.push(id);
                    break;
                }
                Step::Char(..) | Step::Ahead(..) => closure.push(id),
            }
        }
        closure
    }

    /// Where the steps of a state lead on a class, and whether they match before it.
    fn step(&mut self, state: usize, class: usize) -> (Vec<StepId>, bool) {
        self.round += 1;
        let end = self.width - 1;
        let mut targets = Vec::new();
        let mut stack: Vec<StepId> = self.states[state].iter().rev().copied().collect();
        while let Some(id) = stack.pop() {
            if !self.is_new(id) {
                continue;
            }
            match self.nfa.steps[id as usize] {
                Step::Split(first, second) => stack.extend([second, first]),
                Step::Match => return (targets, true),
                Step::Char(set, next) => {
                    if class != end && self.of_set[set as usize].contains(class) {
                        targets.push(next);
                    }
                }
                Step::Ahead(Ahead { set, end: at_end }, next) => {
                    let holds = if class == end {
                        at_end
                    } else {
                        self.of_set[set as usize].contains(class)
                    };
                    if holds {
                        stack.push(next);
                    }
                }
            }
        }
        (targets, false)
    }

    fn is_new(&mut self, id: StepId) -> bool {
        self.work += 1;
        let round = std::mem::replace(&mut self.seen[id as usize], self.round);
        round != self.round
    }
}
