//! What a pattern says -> the steps of a backtracking search, in its order of preference.

use super::Refusal;
use super::node::{Ahead, Kind, Node, Repeat, SetId};

/// More steps than any real pattern needs.
const MAX_STEPS: usize = 20_000;

/// The index of a step.
pub(crate) type StepId = u32;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A character of the set, then another step.
    Char(SetId, StepId),
    /// Continues if this is what follows.
    Ahead(Ahead, StepId),
    /// Prefers the first.
    Split(StepId, StepId),
    Match,
}

#[derive(Debug)]
pub(crate) struct Nfa {
    pub(crate) steps: Vec<Step>,
    pub(crate) start: StepId,
}

impl Nfa {
    pub(crate) fn new(node: &Node) -> Result<Self, Refusal> {
        let mut nfa = Self {
            steps: vec![Step::Match],
            start: 0,
        };
        nfa.start = nfa.build(node, 0)?;
        Ok(nfa)
    }

    fn push(&mut self, step: Step) -> Result<StepId, Refusal> {
        let id = self.steps.len();
        if id == MAX_STEPS {
            return Err(Refusal::new(format!(
                "it needs more than {MAX_STEPS} steps"
            )));
        }
        self.steps.push(step);
        Ok(StepId::try_from(id).unwrap_or(StepId::MAX))
    }

    /// The first step of `node`, after which comes `next`.
    fn build(&mut self, node: &Node, next: StepId) -> Result<StepId, Refusal> {
        match node {
            Node::Set(set) => self.push(Step::Char(*set, next)),
            Node::Ahead(ahead) => self.push(Step::Ahead(*ahead, next)),
            Node::NotAhead(_, at) => Err(Refusal::at(*at, "lookahead of more than one character")),
            Node::Concat(nodes) => nodes
                .iter()
                .rev()
                .try_fold(next, |next, node| self.build(node, next)),
            Node::Alternation(nodes) => {
                let mut starts = Vec::with_capacity(nodes.len());
                for node in nodes {
                    starts.push(self.build(node, next)?);
                }
                let last = starts.pop().unwrap_or(next);
                starts
                    .into_iter()
                    .rev()
                    .try_fold(last, |rest, start| self.push(Step::Split(start, rest)))
            }
            Node::Repeat(repeat) => self.repeat(repeat, next),
        }
    }

    fn repeat(&mut self, repeat: &Repeat, next: StepId) -> Result<StepId, Refusal> {
        let node = &repeat.node;
        let split = |more, exit| match repeat.kind {
            Kind::Lazy => Step::Split(exit, more),
            Kind::Greedy | Kind::Possessive(_) => Step::Split(more, exit),
        };
        // Where a repetition ends that could continue.
        let exit = match repeat.kind {
            Kind::Possessive(set) => self.push(Step::Ahead(Ahead { set, end: true }, next))?,
            Kind::Greedy | Kind::Lazy => next,
        };
        let mut required = repeat.min;
        let mut start = match repeat.max {
            None => {
                let again = self.push(Step::Match)?;
                let body = self.build(node, again)?;
                self.steps[again as usize] = split(body, exit);
                if required > 0 {
                    required -= 1;
                    body
                } else {
                    again
                }
            }
            Some(max) => {
                let mut start = next;
                for _ in repeat.min..max {
                    let body = self.build(node, start)?;
                    start = self.push(split(body, exit))?;
                }
                start
            }
        };
        for _ in 0..required {
            start = self.build(node, start)?;
        }
        Ok(start)
    }
}
