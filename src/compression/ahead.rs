//! Decodes parts of sources ahead of the thread that reads them, on threads that would only wait for
//! it.
//!
//! A part is a few whole frames or members, whose sizes their headers say. What no other thread has
//! begun when its turn comes, the reader decodes as it goes, so nothing waits if all are busy. So it
//! does with what cannot be cut in this way, has too much text, or is damaged, and finds where.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use crate::compression::{First, FirstOf, MakeDecoder};

/// A part has at least so many stored bytes, if there are more: fewer are not worth the handing over.
const PART_BYTES: usize = 256 << 10;

/// A frame or member of more stored bytes is not decoded ahead.
pub(super) const MAX_FIRST_BYTES: usize = 4 << 20;

/// Nor is a part of more text.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// The parts of all sources of a run.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// In order; those that are gone, or have been begun, are passed over.
    waiting: Mutex<VecDeque<Weak<Part>>>,
    /// How many more may be in memory.
    room: AtomicUsize,
    /// How many there were.
    #[cfg(test)]
    offered: AtomicUsize,
}

/// Room for a part. Gives it back when it is dropped.
#[derive(Debug)]
pub(super) struct Room(Arc<Ahead>);

/// Some stored bytes, and what becomes of them.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) stored: Vec<u8>,
    decoder: MakeDecoder,
    state: Mutex<State>,
    is_done: Condvar,
    room: Room,
}

#[derive(Debug)]
enum State {
    New,
    /// A thread is decoding it.
    Begun,
    /// Its text. `None` if the reader has it, or has to decode it.
    Done(Option<Vec<u8>>),
}

/// The decoded bytes of a part, some of which may have been handed out.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    taken: usize,
    /// It takes room as long as it is here.
    _part: Arc<Part>,
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it guards is always complete.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ahead {
    /// For a run on `threads` threads. On two, nothing is decoded ahead: there is more to encode than to
    /// decode, so the other one hardly waits.
    pub(crate) fn for_run(threads: usize) -> Arc<Self> {
        let room = if threads > 2 { threads - 1 } else { 0 };
        Arc::new(Self {
            waiting: Mutex::default(),
            room: AtomicUsize::new(room),
            #[cfg(test)]
            offered: AtomicUsize::new(0),
        })
    }

    /// Room for a part, if there is any.
    pub(super) fn room(self: &Arc<Self>) -> Option<Room> {
        let less = |room: usize| room.checked_sub(1);
        let taken = self
            .room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok().then(|| Room(Arc::clone(self)))
    }

    /// Decodes a part that no other thread has begun; returns whether there was one.
    pub(crate) fn help(&self) -> bool {
        let next = || lock(&self.waiting).pop_front();
        while let Some(part) = next() {
            if part.upgrade().is_some_and(|part| part.decode()) {
                return true;
            }
        }
        false
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.room.fetch_add(1, Ordering::Relaxed);
    }
}

impl Part {
    /// Lets other threads decode `stored`.
    pub(super) fn new(room: Room, decoder: MakeDecoder, stored: Vec<u8>) -> Arc<Self> {
        let part = Arc::new(Self {
            stored,
            decoder,
            state: Mutex::new(State::New),
            is_done: Condvar::new(),
            room,
        });
        #[cfg(test)]
        part.room.0.offered.fetch_add(1, Ordering::Relaxed);
        let mut waiting = lock(&part.room.0.waiting);
        waiting.retain(|part| part.strong_count() > 0);
        waiting.push_back(Arc::downgrade(&part));
        drop(waiting);
        part
    }

    /// Decodes it, unless a thread has begun to.
    fn decode(&self) -> bool {
        /// Ends the decoding, even by a panic: the reader waits for it.
        struct End<'a>(&'a Part, Option<Vec<u8>>);

        impl Drop for End<'_> {
            fn drop(&mut self) {
                *lock(&self.0.state) = State::Done(self.1.take());
                self.0.is_done.notify_all();
            }
        }

        let mut state = lock(&self.state);
        if !matches!(*state, State::New) {
            return false;
        }
        *state = State::Begun;
        drop(state);
        let mut end = End(self, None);
        end.1 = decode(self.decoder, &self.stored);
        true
    }

    /// The text, if other threads decode it; waits for it. `None` if the reader has to decode it, as no
    /// other thread will from now on.
    pub(super) fn text(self: &Arc<Self>) -> Option<Text> {
        let mut state = lock(&self.state);
        if matches!(*state, State::New) {
            *state = State::Done(None);
        }
        while matches!(*state, State::Begun) {
            drop(state);
            // This thread helps with what comes next meanwhile.
            let has_helped = self.room.0.help();
            state = lock(&self.state);
            if !has_helped && matches!(*state, State::Begun) {
                let woken = self.is_done.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
            }
        }
        let State::Done(text) = &mut *state else {
            return None;
        };
        Some(Text {
            bytes: text.take()?,
            taken: 0,
            _part: Arc::clone(self),
        })
    }
}

impl Text {
    /// Hands out up to `wanted` bytes; empty at the end.
    pub(super) fn take(&mut self, wanted: usize) -> &[u8] {
        let start = self.taken;
        self.taken = self.bytes.len().min(start + wanted);
        &self.bytes[start..self.taken]
    }
}

/// How many of `bytes` make the next part. [`First::Unfinished`] if more of them must be seen.
pub(super) fn part_of(bytes: &[u8], first: FirstOf, is_all: bool) -> First {
    let mut length = 0;
    while length < PART_BYTES {
        match first(&bytes[length..]) {
            First::Whole(more) => length += more,
            First::Unfinished if !is_all && bytes.len() - length < MAX_FIRST_BYTES => {
                return First::Unfinished;
            }
            _ if length == 0 => return First::Other,
            _ => break,
        }
    }
    First::Whole(length)
}

/// The text of `stored`; `None` if it is damaged or too much.
fn decode(decoder: MakeDecoder, stored: &[u8]) -> Option<Vec<u8>> {
    /// Most text becomes this many times shorter at least.
    const RATIO: usize = 4;
    let mut decoder = decoder().ok()?;
    let mut text = Vec::with_capacity(RATIO * stored.len());
    let mut taken = 0;
    while taken < stored.len() || !decoder.may_end() {
        if text.len() == text.capacity() {
            text.reserve(PART_BYTES);
        }
        let before = (taken, text.len());
        taken += decoder.decode(&stored[taken..], &mut text).ok()?;
        if before == (taken, text.len()) || text.len() > MAX_TEXT_BYTES {
            return None;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests;
