//! The bytes that end or interrupt a JSON string: quotes, backslashes and control characters. They are
//! found by vectors, 64 bytes at a time, and taken one by one.

use shardmill_core::simd::{BLOCK, Block, BlockKernel, Blocks, Level, Nibbles};

/// How many blocks are searched at once.
const BLOCKS: usize = 32;

const QUOTE: u8 = 1;
const BACKSLASH: u8 = 2;
const CONTROL: u8 = 4;

/// The classes of a byte are those that both of its nibbles have.
const NIBBLES: Nibbles = {
    let mut low = [CONTROL; 16];
    low[0x2] |= QUOTE;
    low[0xc] |= BACKSLASH;
    let mut high = [0; 16];
    high[0x0] = CONTROL;
    high[0x1] = CONTROL;
    high[0x2] = QUOTE;
    high[0x5] = BACKSLASH;
    Nibbles { low, high }
};

/// The special bytes of a line.
#[derive(Debug)]
pub(super) struct Specials<'a> {
    bytes: &'a [u8],
    level: Level,
    /// The part of the line that has been searched.
    start: usize,
    end: usize,
    /// A bit for each of its bytes.
    masks: [u64; BLOCKS],
}

impl<'a> Specials<'a> {
    pub(super) fn of(bytes: &'a [u8], level: Level) -> Self {
        Self {
            bytes,
            level,
            start: 0,
            end: 0,
            masks: [0; BLOCKS],
        }
    }

    /// The first special byte at or after `at`. Each call goes on from the one before.
    #[inline]
    pub(super) fn next(&mut self, mut at: usize) -> Option<usize> {
        loop {
            if at >= self.end {
                if at >= self.bytes.len() {
                    return None;
                }
                self.search(at);
            }
            let within = at - self.start;
            let mask = self.masks[within / BLOCK] >> (within % BLOCK);
            if mask != 0 {
                return Some(at + mask.trailing_zeros() as usize);
            }
            at = self.start + (within / BLOCK + 1) * BLOCK;
        }
    }

    /// Searches from `at` on.
    #[cold]
    fn search(&mut self, at: usize) {
        let rest = &self.bytes[at..];
        let part = &rest[..rest.len().min(BLOCKS * BLOCK)];
        self.start = at;
        self.end = at + part.len();
        let masks = &mut self.masks;
        self.level.dispatch_blocks(Search { part, masks });
    }
}

/// Finds the special bytes in at most [`BLOCKS`] blocks.
struct Search<'a> {
    part: &'a [u8],
    masks: &'a mut [u64; BLOCKS],
}

impl BlockKernel for Search<'_> {
    type Output = ();

    #[inline(always)]
    fn run<B: Blocks>(self, b: B) {
        let (blocks, rest) = self.part.as_chunks::<BLOCK>();
        for (mask, block) in self.masks.iter_mut().zip(blocks) {
            *mask = mask_of(b, block);
        }
        if !rest.is_empty() {
            // No special byte follows the end.
            let mut last = [b' '; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            self.masks[blocks.len()] = mask_of(b, &last);
        }
    }
}

#[inline(always)]
fn mask_of<B: Blocks>(b: B, block: &Block) -> u64 {
    let [quotes, backslashes, controls, ..] = b.classes(block, &NIBBLES);
    quotes | backslashes | controls
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// At every level, from any place on.
        #[test]
        fn special_bytes_are_found(
            bytes in prop::collection::vec(
                prop_oneof![8 => b' '..=0xff, 1 => any::<u8>()], 0..5000),
            from in 0_usize..300,
        ) {
            let is_special = |byte: u8| byte < 0x20 || matches!(byte, b'"' | b'\\');
            let expected = (from..bytes.len()).filter(|&at| is_special(bytes[at]));
            let expected: Vec<_> = expected.collect();
            for level in Level::available() {
                let mut specials = Specials::of(&bytes, level);
                let mut at = from;
                let found = std::iter::from_fn(|| {
                    let found = specials.next(at)?;
                    at = found + 1;
                    Some(found)
                });
                prop_assert_eq!(found.collect::<Vec<_>>(), &expected[..], "{}", level);
            }
        }
    }
}
