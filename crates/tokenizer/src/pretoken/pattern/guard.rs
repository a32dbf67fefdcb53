//! Keeps searches that fail late from taking quadratic time.
//!
//! `\s+$` reads a whole run of spaces before it fails, and does so again from each of them. So once
//! a search has read far beyond the match that it found, those that begin before that place
//! remember states from which no match is found, at a few places, and stop where a search before
//! them has failed in the same state.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};

use super::cell::START;
use super::dfa::Dfa;

/// How far a search may read beyond its match without being watched, in bytes.
const FAR: usize = 512;
/// States are remembered once in so many bytes.
const SAMPLE: usize = 16;

/// Which searches have failed. For one text.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Searches that begin before are watched.
    until: usize,
    /// Places and rows from which no match is found.
    failed: HashSet<(usize, usize), BuildHasherDefault<DefaultHasher>>,
}

impl Guard {
    #[inline(always)]
    pub(crate) fn is_on(&self, at: usize) -> bool {
        at < self.until
    }

    /// A search without a guard, whose match ends at `end`, has read up to `read`.
    #[inline(always)]
    pub(crate) fn note(&mut self, end: usize, read: usize) {
        if read - end > FAR {
            self.failed.clear();
            self.until = read;
        }
    }

    /// Like [`Dfa::attempt`].
    #[cold]
    pub(crate) fn attempt(&mut self, dfa: &Dfa, text: &[u8], at: usize) -> usize {
        let mut end = at;
        let mut row = START;
        let mut pos = at;
        let mut sampled = at;
        let mut passed = Vec::new();
        loop {
            if pos / SAMPLE != sampled / SAMPLE {
                sampled = pos;
                if self.failed.contains(&(pos, row)) {
                    break;
                }
                passed.push((pos, row));
            }
            let (cell, len) = dfa.cell(text, row, pos);
            if cell.is_match() {
                end = pos;
                passed.clear();
            }
            if cell.is_stop() {
                break;
            }
            row = cell.row();
            pos += len;
        }
        self.until = self.until.max(pos);
        self.failed.extend(passed);
        end
    }
}
