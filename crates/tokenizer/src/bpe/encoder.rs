//! Text -> ids.
//!
//! The encoders of an encoding cache up to 48 MiB each and another 60 MiB in total. An encoder's
//! working memory for scanning and merging is less than 1 MiB, plus the length of a pretoken of
//! many KB. All encoders share up to 7 MiB of their vocabulary's tables on huge pages. A text with
//! few distinct pretokens takes as little as a tenth of that.

use std::sync::Arc;
use std::vec::Drain;

use shardmill_core::simd::{Kernel, Level, Simd};
use shardmill_core::token::TokenId;

use crate::bpe::Vocabulary;
use crate::bpe::cache::{Key, MAX_CACHED_BYTES, Memory, Tables, View};
use crate::bpe::hash::{self, KEY_BYTES};
use crate::bpe::misses::{Misses, Place};
use crate::pretoken::{Ends, Masked, Scanner};

/// How many pretokens are found before the first of them is looked up: enough that its cache line
/// has arrived, few enough that it has not been evicted.
const BATCH: usize = 192;

/// How many ids are held back while some before them are missing. The more, the more misses can be
/// merged interleaved.
const HELD_BACK: usize = 5120;

/// A longer pretoken is encoded at once, so that it need not be copied.
const MAX_HELD_BYTES: usize = 4096;

/// Room for these and for those of the batch that exceeds them, or for those of a long pretoken.
const ROOM: usize = HELD_BACK + BATCH * KEY_BYTES;

/// As many more as a key can have, so that this many can be written at every place below [`ROOM`].
const IDS: usize = ROOM + KEY_BYTES;

const _: () = assert!(ROOM.is_power_of_two() && MAX_CACHED_BYTES <= ROOM);
const _: () = assert!(BATCH <= u8::MAX as usize, "places in a batch are bytes");

/// Encodes with one vocabulary, on one thread.
#[derive(Debug)]
pub(crate) struct Encoder {
    vocabulary: Arc<Vocabulary>,
    /// Whether `vocabulary` is the copy for long texts.
    is_near: bool,
    level: Level,
    memory: Arc<Memory>,
    /// The tables of `memory` when they were last fetched.
    tables: Arc<Tables>,
    ends: Ends,
    spans: Box<[Span; BATCH]>,
    /// Which of `spans` are too long for a key.
    long: Box<[u8; BATCH]>,
    found: Found,
    misses: Misses,
    /// Where documents end among the ids found and missing.
    marks: Vec<Place>,
    /// Where documents end in the caller's ids.
    document_ends: Vec<usize>,
    /// The number of bytes read that `memory` has not counted.
    read: usize,
    /// The ids of a long pretoken.
    long_ids: Vec<TokenId>,
}

/// The hash of a pretoken, and its key, if it is short enough to have one.
#[derive(Clone, Copy, Debug)]
struct Span {
    key: Key,
    hash: u64,
}

impl Span {
    #[inline(always)]
    fn of(key: Key) -> Self {
        let hash = key.hash();
        Self { key, hash }
    }

    /// The span of a pretoken that is too long for a key.
    const NONE: Self = Self {
        key: Key::NONE,
        hash: 0,
    };
}

/// The ids found since none were missing.
#[derive(Debug)]
struct Found {
    /// [`IDS`] of them.
    ids: Box<[TokenId]>,
    /// Up to [`ROOM`].
    count: usize,
}

impl Encoder {
    /// An encoder that shares `memory` with others of the same vocabulary.
    pub(crate) fn new(level: Level, vocabulary: &Arc<Vocabulary>, memory: &Arc<Memory>) -> Self {
        memory.join();
        Self {
            vocabulary: Arc::clone(vocabulary),
            is_near: false,
            level,
            memory: Arc::clone(memory),
            tables: memory.tables(),
            ends: Ends::new(),
            spans: Box::new([Span::NONE; BATCH]),
            long: Box::new([0; BATCH]),
            found: Found {
                ids: vec![0; IDS].into(),
                count: 0,
            },
            misses: Misses::new(level),
            marks: Vec::new(),
            document_ends: Vec::new(),
            read: 0,
            long_ids: Vec::new(),
        }
    }

    /// Makes the cache grow as suits `bytes` more of text. All encoders share the cache, so one of
    /// them is told.
    pub(crate) fn expect(&self, bytes: usize) {
        self.memory.expect(bytes);
    }

    /// Whether it holds tables that have been replaced.
    pub(crate) fn is_behind(&self) -> bool {
        self.memory.is_newer(&self.tables)
    }

    /// Adds the ids of `text`. They are all in `ids` only after [`Self::finish`]; up to then, more
    /// texts may be added, and `ids` is always the same.
    pub(crate) fn add<P: Masked>(&mut self, text: &str, ids: &mut Vec<TokenId>) {
        let mut scanner = Scanner::<P>::new();
        let mut ends = std::mem::replace(&mut self.ends, Ends::empty());
        let text = text.as_bytes();
        let mut start = 0;
        while scanner.next(self.level, text, &mut ends) {
            for ends in ends.get().chunks(BATCH) {
                start = self.batch(text, start, ends, ids);
            }
        }
        self.ends = ends;
    }

    /// Adds the ids of the pieces of `text` that end at `ends`, which increase up to its end; as
    /// [`Self::add`] does.
    pub(crate) fn add_split(&mut self, text: &str, ends: &[usize], ids: &mut Vec<TokenId>) {
        let mut start = 0;
        for ends in ends.chunks(BATCH) {
            start = self.batch(text.as_bytes(), start, ends, ids);
        }
    }

    /// Adds an id between texts.
    pub(crate) fn add_id(&mut self, id: TokenId, ids: &mut Vec<TokenId>) {
        self.make_room(1, ids);
        self.found.push(&[id]);
    }

    /// Ends a document: [`Self::finish`] returns how many ids there are up to here.
    pub(crate) fn end_document(&mut self) {
        self.marks.push(Place {
            found: self.found.count,
            misses: self.misses.len(),
        });
    }

    /// Appends all ids that were added and are not in `ids` yet; returns where the documents end in
    /// `ids` that ended since the last call.
    pub(crate) fn finish(&mut self, ids: &mut Vec<TokenId>) -> Drain<'_, usize> {
        self.fill_in(ids);
        self.document_ends.drain(..)
    }

    /// Forgets all ids that were added since [`Self::finish`].
    pub(crate) fn discard(&mut self) {
        self.found.count = 0;
        self.misses.clear();
        self.marks.clear();
        self.document_ends.clear();
    }

    /// Finds the ids of the pretokens that end at `ends`, the first of which begins at `start`;
    /// returns the end of the last one.
    fn batch(
        &mut self,
        text: &[u8],
        start: usize,
        ends: &[usize],
        ids: &mut Vec<TokenId>,
    ) -> usize {
        self.make_room(ends.len() * KEY_BYTES, ids);
        let (found, long_count) = self.level.dispatch(Find {
            text,
            start,
            ends,
            spans: &mut self.spans,
            long: &mut self.long,
            short: self.tables.short(),
        });
        let range = |i: usize| if i == 0 { start } else { ends[i - 1] }..ends[i];
        // So few bytes are left that all remaining pretokens are short.
        for i in found..ends.len() {
            self.spans[i] = Span::of(Key::new(&text[range(i)]));
        }
        let long = self.long[..long_count].iter().map(|&i| usize::from(i));
        let long = long.filter(|&i| range(i).len() <= MAX_CACHED_BYTES);
        for i in long.clone() {
            self.spans[i].hash = hash::of_long(&text[range(i)]);
            self.tables.prefetch_long(self.spans[i].hash);
        }
        for i in long {
            // Their lines have arrived by now, and say where the ids are.
            self.tables.prefetch_long_ids(self.spans[i].hash);
        }
        let mut done = self.look_up(0, ends.len());
        while done < ends.len() {
            self.uncommon(self.spans[done], &text[range(done)], ids);
            // Needed before each look-up, for every pretoken that is left.
            self.make_room((ends.len() - done - 1) * KEY_BYTES, ids);
            done = self.look_up(done + 1, ends.len());
        }
        let end = ends.last().copied().unwrap_or(start);
        self.read += end - start;
        end
    }

    /// Finds the ids of the spans from `from` on, up to one that is not cached; returns its index,
    /// or `until`.
    fn look_up(&mut self, from: usize, until: usize) -> usize {
        let look_up = LookUp {
            spans: &self.spans[from..until],
            short: self.tables.short(),
            found: &mut self.found,
        };
        from + self.level.dispatch(look_up)
    }

    /// Handles a pretoken that is long or not cached.
    #[cold]
    fn uncommon(&mut self, span: Span, bytes: &[u8], ids: &mut Vec<TokenId>) {
        let Span { key, hash } = span;
        if key == Key::NONE && bytes.len() <= MAX_CACHED_BYTES {
            self.long_ids.clear();
            if self.tables.get_long(bytes, hash, &mut self.long_ids) {
                self.make_room(self.long_ids.len(), ids);
                self.found.push(&self.long_ids);
                return;
            }
        }
        if bytes.len() > MAX_HELD_BYTES {
            self.fill_in(ids);
            self.misses.encode(&self.vocabulary.view(), bytes, ids);
            return;
        }
        self.vocabulary.prefetch(hash);
        self.misses.push(self.found.count, bytes, key, hash);
        if self.misses.is_full() {
            self.fill_in(ids);
        }
    }

    /// Makes room for `more` ids.
    fn make_room(&mut self, more: usize, ids: &mut Vec<TokenId>) {
        if self.found.count + more > ROOM {
            self.fill_in(ids);
        }
    }

    /// Appends all found ids, together with the missing ones.
    fn fill_in(&mut self, ids: &mut Vec<TokenId>) {
        if self.memory.is_newer(&self.tables) {
            self.tables = self.memory.tables();
        }
        if !self.is_near && self.tables.is_large() {
            self.vocabulary = self.vocabulary.nearer();
            self.is_near = true;
        }
        let tables = &*self.tables;
        let found = &self.found.ids[..self.found.count];
        let mut added = 0;
        let remember = |bytes: &[u8], key: Key, hash: u64, ids: &[TokenId]| {
            if bytes.len() <= MAX_CACHED_BYTES && !ids.is_empty() {
                added += tables.remember(bytes, key, hash, ids);
            }
        };
        self.misses.find(&self.vocabulary.view());
        let before = ids.len();
        let ends = self.misses.ids_before(&self.marks);
        self.document_ends.extend(ends.map(|end| before + end));
        self.marks.clear();
        self.misses.append(found, ids, remember);
        self.memory
            .added(tables, std::mem::take(&mut self.read), added);
        self.found.count = 0;
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.memory.leave();
    }
}

impl Found {
    fn push(&mut self, ids: &[TokenId]) {
        self.ids[self.count..][..ids.len()].copy_from_slice(ids);
        self.count += ids.len();
    }
}

/// Finds the keys and hashes of a batch and prefetches their lines; pretokens that are too long for
/// a key are only listed. Stops before a short pretoken at the end of the text, where a key cannot
/// be read at once: without a call in it, the loop keeps everything in registers.
struct Find<'a> {
    text: &'a [u8],
    start: usize,
    ends: &'a [usize],
    spans: &'a mut [Span; BATCH],
    long: &'a mut [u8; BATCH],
    short: View<'a>,
}

impl Kernel for Find<'_> {
    /// How many pretokens were processed, and how many of them are too long.
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (usize, usize) {
        let Self {
            text, ends, short, ..
        } = self;
        let mut start = self.start;
        let mut long_count = 0;
        for (i, (span, &end)) in (0..).zip(self.spans.iter_mut().zip(ends)) {
            if end - start <= KEY_BYTES {
                let Some(&bytes) = text[start..].first_chunk() else {
                    return (usize::from(i), long_count);
                };
                *span = Span::of(Key::of(bytes, end - start));
                short.prefetch(span.hash);
            } else {
                *span = Span::NONE;
                self.long[long_count] = i;
                long_count += 1;
            }
            start = end;
        }
        (ends.len(), long_count)
    }
}

/// Finds the ids of the first of `spans`, up to one that is long or not cached.
struct LookUp<'a> {
    spans: &'a [Span],
    short: View<'a>,
    found: &'a mut Found,
}

impl Kernel for LookUp<'_> {
    /// The number of these spans.
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> usize {
        let Self {
            spans,
            short,
            found,
        } = self;
        let Found { ids, count } = found;
        let Some(ids) = ids.first_chunk_mut::<IDS>() else {
            unreachable!("there is room for ids");
        };
        let mut end = *count;
        let mut done = spans.len();
        for (i, span) in spans.iter().enumerate() {
            let found = ids[end % ROOM..]
                .first_chunk_mut()
                .and_then(|to| short.get(span.key, span.hash, s, to));
            let Some(more) = found else {
                done = i;
                break;
            };
            end += more;
        }
        *count = end;
        done
    }
}
