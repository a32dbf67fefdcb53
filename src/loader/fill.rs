//! Fills the buffers of one batch.

use std::ops::Range;
use std::sync::Arc;

use shardmill_core::dtype::{Dtype, Element, with_element};

use crate::dataset::TokenStore;
use crate::error::Result;
use crate::gather::Gatherer;
use crate::loader::batch::{Buffers, NO_DOCUMENT};
use crate::loader::segments::Segments;
use crate::window::{Order, Rank, WindowSet};

/// Everything that a batch depends on, except its number.
#[derive(Debug)]
pub(super) struct Filler {
    pub(super) windows: WindowSet<Arc<TokenStore>>,
    pub(super) segments: Segments,
    pub(super) order: Order,
    pub(super) rank: Rank,
    /// The places of all batches of all processes, and the number of places in a step.
    pub(super) places: Range<u64>,
    pub(super) step: u64,
    pub(super) gatherer: Option<Gatherer>,
    pub(super) dtype: Dtype,
    pub(super) restart_positions: bool,
}

impl Filler {
    /// The places of all processes in step `number`.
    pub(super) fn step(&self, number: u64) -> Range<u64> {
        let start = self.places.start + number * self.step;
        start..start + self.step.min(self.places.end - start)
    }

    /// The number of batches of this process. The last step may have no place for it.
    pub(super) fn n_batches(&self) -> u64 {
        let places = self.places.end - self.places.start;
        let steps = places.div_ceil(self.step);
        match steps.checked_sub(1) {
            Some(last) if self.rank.of(self.step(last)).next().is_none() => last,
            _ => steps,
        }
    }

    /// Fills `buffers` with batch `number` of this process.
    pub(super) fn fill(&self, number: u64, buffers: &mut Buffers) -> Result<()> {
        buffers.rows = 0;
        buffers.cu_seqlens.clear();
        buffers.cu_seqlens.push(0);
        for place in self.rank.of(self.step(number)) {
            self.fill_row(self.order.window(place), buffers)?;
        }
        let Some(gatherer) = &self.gatherer else {
            return Ok(());
        };
        with_element!(self.dtype, E => self.gather::<E>(gatherer, buffers))
    }

    /// Adds window `window` as the next row.
    fn fill_row(&self, window: u64, buffers: &mut Buffers) -> Result<()> {
        let seq_len = buffers.seq_len;
        let first = buffers.rows * seq_len;
        let row = first..first + seq_len;
        let origin = self.windows.read(
            window,
            &mut buffers.inputs[row.clone()],
            &mut buffers.targets[row.clone()],
        )?;
        let mut at = first;
        let mut add = |document: u64, tokens: usize| {
            buffers.documents[at..at + tokens].fill(document);
            at += tokens;
            // Ends of rows, and tokens of a batch, fit in i32: the settings were checked.
            buffers
                .cu_seqlens
                .push(i32::try_from(at).unwrap_or(i32::MAX));
        };
        if let Some(document) = origin.document {
            add(document, origin.inputs);
            if origin.inputs < seq_len {
                add(NO_DOCUMENT, seq_len - origin.inputs);
            }
        } else {
            let tokens = origin.start..origin.start + seq_len as u64;
            // A part of a window is no longer than the window.
            let add = |document, tokens| add(document, usize::try_from(tokens).unwrap_or(0));
            self.segments.walk(self.windows.store(), tokens, add)?;
        }
        buffers.windows[buffers.rows] = window;
        buffers.rows += 1;
        self.fill_positions(first, buffers);
        Ok(())
    }

    /// The positions of the row whose ids begin at `first`.
    fn fill_positions(&self, first: usize, buffers: &mut Buffers) {
        let row = first..first + buffers.seq_len;
        if !self.restart_positions {
            for (position, place) in buffers.positions[row].iter_mut().zip(0..) {
                *position = place;
            }
            return;
        }
        for part in parts(&buffers.cu_seqlens).rev() {
            if part.start < first {
                break;
            }
            for (position, place) in buffers.positions[part].iter_mut().zip(0..) {
                *position = place;
            }
        }
    }

    /// Fills the embeddings.
    fn gather<E: Element>(&self, gatherer: &Gatherer, buffers: &mut Buffers) -> Result<()> {
        let (seq_len, dim) = (buffers.seq_len, gatherer.dim());
        let inputs = &buffers.inputs[..buffers.rows * seq_len];
        let out: &mut [E] = bytemuck::cast_slice_mut(&mut buffers.embeddings);
        if !self.restart_positions {
            return gatherer.gather_into(inputs, seq_len, &mut out[..inputs.len() * dim]);
        }
        for part in parts(&buffers.cu_seqlens) {
            let out = &mut out[part.start * dim..part.end * dim];
            gatherer.gather_into(&inputs[part.clone()], part.len(), out)?;
        }
        Ok(())
    }
}

/// The inputs between two cuts.
fn parts(cu_seqlens: &[i32]) -> impl DoubleEndedIterator<Item = Range<usize>> {
    let index = |end: i32| end.unsigned_abs() as usize;
    cu_seqlens
        .windows(2)
        .map(move |ends| index(ends[0])..index(ends[1]))
}
