//! One buffer of a record batch: its bytes, wherever they are.

use std::io::{self, BufReader, Read};
use std::ops::Range;

use bytes::Bytes;
use shardmill_core::show::{count, counted};

use crate::columnar::arrow::Fault;
use crate::columnar::arrow::stored::{Reader, Stored};
use crate::error::Error;
use crate::guard::guarded;

/// How the buffers of a record batch are compressed, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Lz4,
    Zstd,
}

/// Buffers that say they are longer are checked against what a codec can do.
const SMALL_BYTES: u64 = 1 << 20;

/// So much is decompressed at once.
const STEP_BYTES: usize = 64 << 10;

/// A window of zstd that is larger is refused: it is held in memory.
const WINDOW_LOG: u32 = 26;

/// At most so much is decompressed as a whole, of the values of one slice together.
pub(super) const WHOLE_BYTES: u64 = 64 << 20;

/// The bytes of a buffer.
#[derive(Clone)]
pub(super) struct Buffer {
    /// How many there are.
    pub(super) length: u64,
    bytes: Source,
}

enum Source {
    Whole(Bytes),
    /// Of an object: the range, and some of its bytes, with the place of the first.
    Object(Stored, Range<u64>, u64, Bytes),
    /// Compressed bytes, which can only be read in order.
    Stream(Box<Stream>),
}

/// A decoder, and what it made last.
struct Stream {
    decoder: Box<dyn Read + Send + Sync>,
    /// Where in the buffer `window` begins.
    start: u64,
    window: Vec<u8>,
}

impl Clone for Source {
    /// A stream cannot be read twice, so its copy is empty; only whole buffers are copied.
    fn clone(&self) -> Self {
        match self {
            Self::Whole(bytes) => Self::Whole(bytes.clone()),
            Self::Object(stored, range, start, bytes) => {
                Self::Object(stored.clone(), range.clone(), *start, bytes.clone())
            }
            Self::Stream(_) => Self::Whole(Bytes::new()),
        }
    }
}

impl Codec {
    /// At most so many bytes are stored as one: lz4 has up to 255 of a length in each byte, and zstd a
    /// block of 128 KiB in four bytes.
    fn max_ratio(self) -> u64 {
        match self {
            Self::Lz4 => 255,
            Self::Zstd => (128 << 10) / 4,
        }
    }

    fn decoder(self, reader: Reader) -> Result<Box<dyn Read + Send + Sync>, Fault> {
        Ok(match self {
            Self::Lz4 => {
                let reader = BufReader::with_capacity(STEP_BYTES, reader);
                Box::new(lz4_flex::frame::FrameDecoder::new(reader))
            }
            Self::Zstd => {
                let reader = BufReader::with_capacity(STEP_BYTES, reader);
                let decoder = zstd::Decoder::with_buffer(reader).and_then(|mut decoder| {
                    decoder.window_log_max(WINDOW_LOG)?;
                    Ok(decoder)
                });
                Box::new(decoder.map_err(undecodable)?)
            }
        })
    }
}

fn undecodable(error: io::Error) -> Fault {
    let said = match error.downcast::<Error>() {
        Ok(error) => return Fault::Error(error),
        Err(error) => error.to_string(),
    };
    if said.contains("too much memory") {
        let what = format!(
            "needs a window of more than {} MiB",
            (1 << WINDOW_LOG) >> 20
        );
        let hint = "write smaller record batches, or with a lower level of zstd";
        return Fault::Problem((what, hint).into());
    }
    Fault::damaged("cannot be decompressed")
}

impl Buffer {
    pub(super) fn empty() -> Self {
        Self {
            length: 0,
            bytes: Source::Whole(Bytes::new()),
        }
    }

    /// The bytes `range` of a file, as they are.
    pub(super) fn plain(stored: &Stored, range: Range<u64>) -> Result<Self, Fault> {
        let length = range.end - range.start;
        let bytes = match stored {
            Stored::Whole(_) => Source::Whole(stored.get(range)?),
            Stored::Object(_) => Source::Object(stored.clone(), range, 0, Bytes::new()),
        };
        Ok(Self { length, bytes })
    }

    /// The buffer that is compressed to the bytes `range` of a file: its length, or -1 if it is stored as
    /// it is, and the compressed bytes.
    pub(super) fn compressed(
        stored: &Stored,
        range: Range<u64>,
        codec: Codec,
    ) -> Result<Self, Fault> {
        if range.is_empty() {
            return Ok(Self::empty());
        }
        let start = range.start + 8;
        if start > range.end {
            return Err(Fault::damaged("has a compressed buffer without its length"));
        }
        let length = stored.get(range.start..start)?;
        let length = length.first_chunk().copied().unwrap_or_default();
        let length = i64::from_le_bytes(length);
        if length == -1 {
            return Self::plain(stored, start..range.end);
        }
        let stored_bytes = range.end - start;
        let longest = stored_bytes.saturating_mul(codec.max_ratio());
        let Ok(length) = u64::try_from(length) else {
            return Err(Fault::damaged(format!("has a buffer of {length} bytes")));
        };
        if length > longest.max(SMALL_BYTES) {
            return Err(Fault::damaged(format!(
                "has a buffer of {} that says it stands for {}",
                counted(stored_bytes, "byte"),
                count(length)
            )));
        }
        let decoder = codec.decoder(stored.reader(start..range.end))?;
        Ok(Self {
            length,
            bytes: Source::Stream(Box::new(Stream {
                decoder,
                start: 0,
                window: Vec::new(),
            })),
        })
    }

    /// The same, to be read anywhere, which takes memory off `budget` unless the bytes are mapped.
    pub(super) fn whole(self, budget: &mut u64) -> Result<Self, Fault> {
        if let Source::Whole(_) = self.bytes {
            return Ok(self);
        }
        let Some(left) = budget.checked_sub(self.length) else {
            let what = format!(
                "needs more than {} MiB of its values at once",
                WHOLE_BYTES >> 20
            );
            let hint = "write it without compression, or without views and dictionaries";
            return Err(Fault::Problem((what, hint).into()));
        };
        *budget = left;
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let bytes = match self.bytes {
            Source::Whole(bytes) => bytes,
            Source::Object(stored, range, ..) => stored.get(range)?,
            Source::Stream(mut stream) => {
                stream.window.reserve_exact(length);
                stream.get(0, length, self.length)?;
                stream.window.into()
            }
        };
        Ok(Self {
            length: self.length,
            bytes: Source::Whole(bytes),
        })
    }

    /// The same, to be read anywhere. Takes memory off `budget` if it is compressed.
    pub(super) fn random(self, budget: &mut u64) -> Result<Self, Fault> {
        match self.bytes {
            Source::Stream(_) => self.whole(budget),
            Source::Whole(_) | Source::Object(..) => Ok(self),
        }
    }

    /// The `length` bytes from `at` on. Of a stream, what lies before was not asked for since.
    pub(super) fn get(&mut self, at: u64, length: usize) -> Result<&[u8], Fault> {
        let short = || Fault::damaged("has a buffer that ends before its values");
        let end = at.checked_add(length as u64);
        let end = end.filter(|end| *end <= self.length).ok_or_else(short)?;
        match &mut self.bytes {
            Source::Whole(bytes) => {
                let start = usize::try_from(at).map_err(|_| short())?;
                bytes
                    .get(start..)
                    .and_then(|rest| rest.get(..length))
                    .ok_or_else(short)
            }
            Source::Object(stored, range, start, window) => {
                if at < *start || end > *start + window.len() as u64 {
                    let ahead = self.length.min(at.saturating_add(STEP_BYTES as u64 * 4));
                    *window = stored.get(range.start + at..range.start + end.max(ahead))?;
                    *start = at;
                }
                let from = usize::try_from(at - *start).map_err(|_| short())?;
                window.get(from..from + length).ok_or_else(short)
            }
            Source::Stream(stream) => stream.get(at, length, self.length),
        }
    }
}

impl Stream {
    fn get(&mut self, at: u64, length: usize, whole: u64) -> Result<&[u8], Fault> {
        let Some(before) = at.checked_sub(self.start) else {
            return Err(Fault::damaged("has offsets that go back"));
        };
        // What is before it, and in the window.
        let mut before = usize::try_from(before).unwrap_or(usize::MAX);
        let is_here = |window: &Vec<u8>, before: usize| {
            window
                .len()
                .checked_sub(before)
                .is_some_and(|rest| rest >= length)
        };
        while !is_here(&self.window, before) {
            let dropped = before.min(self.window.len());
            self.window.drain(..dropped);
            self.start += dropped as u64;
            before -= dropped;
            let here = self.window.len();
            let left = whole - self.start - here as u64;
            let step = usize::try_from(left).unwrap_or(usize::MAX);
            // A long value takes no more than twice its memory.
            let step = step.min(STEP_BYTES.max(if before == 0 { length - here } else { 0 }));
            let step = step.min(STEP_BYTES * 16);
            self.window.resize(here + step, 0);
            let (decoder, into) = (&mut self.decoder, &mut self.window[here..]);
            // A decoder may panic if the data contradicts itself.
            let read = guarded(|| read_full(decoder, into));
            let read = read.unwrap_or_else(|| Err(io::Error::other("it contradicts itself")));
            let read = read.map_err(undecodable)?;
            self.window.truncate(here + read);
            if read < step {
                return Err(Fault::damaged("has a buffer that is shorter than it says"));
            }
        }
        Ok(&self.window[before..before + length])
    }
}

/// Reads until `buffer` is full, or there is no more; returns how much.
fn read_full(decoder: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match decoder.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
