//! An object read here and there, by several threads: in blocks, of which the last ones used are kept.
//! Blocks after one that was read in order are requested ahead.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::error::Result;
use crate::remote::object::Object;
use crate::remote::requests::Answer;

const BLOCK_BYTES: u64 = 2 << 20;

/// So many blocks are kept: 40 MiB.
const KEPT: usize = 20;

/// So many blocks are under way after one that was read in order.
const AHEAD: u64 = 4;

/// An object in blocks.
#[derive(Debug)]
pub(crate) struct Blocks {
    object: Arc<Object>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Each block with the time of its last use, counted in uses.
    blocks: HashMap<u64, (Arc<Block>, u64)>,
    uses: u64,
}

/// Its bytes, or where they will come from. Whoever needs it first waits for them.
#[derive(Debug)]
struct Block(Mutex<Content>);

#[derive(Debug)]
enum Content {
    Coming(Answer<Result<Vec<u8>>>),
    Here(Bytes),
    /// It could not be read; the next reader tries again.
    Failed,
}

impl Blocks {
    pub(crate) fn new(object: &Arc<Object>) -> Self {
        Self {
            object: Arc::clone(object),
            state: Mutex::default(),
        }
    }

    /// The size of the object.
    pub(crate) fn len(&self) -> u64 {
        self.object.bytes()
    }

    /// The bytes `range`, which lies in the object, without keeping them.
    #[cfg(any(feature = "arrow", feature = "parquet"))]
    pub(crate) fn read_once(&self, range: Range<u64>) -> Result<Bytes> {
        self.object.read(range).map(Bytes::from)
    }

    /// The bytes `range`, which lies in the object.
    #[cfg(any(feature = "arrow", feature = "parquet"))]
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start / BLOCK_BYTES == range.end.saturating_sub(1) / BLOCK_BYTES {
            return self.part(&range);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
        self.read_each(range, |part| bytes.extend_from_slice(part))?;
        Ok(bytes.into())
    }

    /// Calls `each` with the bytes `range`, which lies in the object, in parts.
    pub(crate) fn read_each(&self, range: Range<u64>, mut each: impl FnMut(&[u8])) -> Result<()> {
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min((start / BLOCK_BYTES + 1) * BLOCK_BYTES);
            each(&self.part(&(start..end))?);
            start = end;
        }
        Ok(())
    }

    /// The bytes `range`, which lies in one block.
    fn part(&self, range: &Range<u64>) -> Result<Bytes> {
        let index = range.start / BLOCK_BYTES;
        let bytes = self.block(index)?;
        let at = |byte: u64| usize::try_from(byte - index * BLOCK_BYTES).unwrap_or(usize::MAX);
        Ok(bytes.slice(at(range.start)..at(range.end)))
    }

    fn block(&self, index: u64) -> Result<Bytes> {
        let block = {
            let mut state = self.lock();
            let is_next = index
                .checked_sub(1)
                .is_some_and(|before| state.blocks.contains_key(&before));
            if is_next {
                let end = self.len().div_ceil(BLOCK_BYTES).min(index + 1 + AHEAD);
                for ahead in index + 1..end {
                    state.take(ahead, &self.object);
                }
            }
            state.take(index, &self.object)
        };
        let mut content = block.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*content, Content::Failed) {
            *content = Content::Coming(self.object.start(range_of(index, &self.object)));
        }
        if let Content::Coming(answer) = &*content {
            match answer.wait() {
                Ok(bytes) => *content = Content::Here(bytes.into()),
                Err(error) => {
                    *content = Content::Failed;
                    return Err(error);
                }
            }
        }
        match &*content {
            Content::Here(bytes) => Ok(bytes.clone()),
            Content::Coming(_) | Content::Failed => Ok(Bytes::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at any moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Block `index`, requested if it is not there. Of more than are kept, the one whose use is longest
    /// ago goes.
    fn take(&mut self, index: u64, object: &Arc<Object>) -> Arc<Block> {
        self.uses += 1;
        let uses = self.uses;
        if let Some((block, used)) = self.blocks.get_mut(&index) {
            *used = uses;
            return Arc::clone(block);
        }
        if self.blocks.len() >= KEPT {
            let oldest = self.blocks.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(&index, _)| index) {
                self.blocks.remove(&oldest);
            }
        }
        let coming = Content::Coming(object.start(range_of(index, object)));
        let block = Arc::new(Block(Mutex::new(coming)));
        self.blocks.insert(index, (Arc::clone(&block), uses));
        block
    }
}

/// The bytes of block `index`.
fn range_of(index: u64, object: &Object) -> Range<u64> {
    let start = index * BLOCK_BYTES;
    start..object.bytes().min(start + BLOCK_BYTES)
}
