//! Cuts a unit into numbered chunks. One thread cuts at a time; another one waits for the lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::corpus::Corpus;
use crate::dataset::Unit;
use crate::error::Error;
use crate::pipeline::chunk::{Chunk, UnitCursor};
use crate::pipeline::stream::StreamCursor;

/// Numbers the chunks of a unit as they are cut.
#[derive(Debug)]
pub(super) struct UnitCuts(Mutex<State>);

#[derive(Debug)]
struct State {
    cursor: Cursor,
    next: u64,
    is_over: bool,
}

/// What a unit is cut from.
#[derive(Debug)]
pub(super) enum Cursor {
    Planned(Box<UnitCursor>, Unit),
    /// All units of a stream share it, one at a time.
    Stream(Arc<Mutex<StreamCursor>>),
}

/// What [`UnitCuts::next`] returns.
#[derive(Debug)]
pub(super) enum Cut {
    /// The chunk of this number.
    Chunk(u64, Chunk),
    /// The unit had this many chunks and this range. Only one thread is told so.
    Ends(u64, Unit),
    /// The chunk of this number cannot be cut. Only one thread is told so.
    Failed(u64, Error),
    /// Another thread has seen the end.
    Over,
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // If a thread panicked, the run ends when the pool returns.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UnitCuts {
    pub(super) fn new(cursor: Cursor) -> Self {
        Self(Mutex::new(State {
            cursor,
            next: 0,
            is_over: false,
        }))
    }

    /// Whether a thread is cutting, so that another would wait.
    pub(super) fn is_busy(&self) -> bool {
        self.0.try_lock().is_err()
    }

    /// Cuts the next chunk. While another thread cuts, calls `help` as long as it returns `true`, and
    /// then waits.
    pub(super) fn next(&self, corpus: &Corpus, mut help: impl FnMut() -> bool) -> Cut {
        while self.is_busy() && help() {}
        let mut state = lock(&self.0);
        if state.is_over {
            return Cut::Over;
        }
        let number = state.next;
        let (next, unit) = match &mut state.cursor {
            Cursor::Planned(cursor, unit) => (cursor.next(corpus), *unit),
            Cursor::Stream(cursor) => {
                let mut cursor = lock(cursor);
                (cursor.next(corpus), cursor.unit())
            }
        };
        if let Ok(Some(chunk)) = next {
            state.next += 1;
            return Cut::Chunk(number, chunk);
        }
        state.is_over = true;
        match next {
            Err(error) => Cut::Failed(number, error),
            Ok(_) => Cut::Ends(number, unit),
        }
    }
}
