//! The most that this machine can do.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;

use serde::Serialize;
use shardmill_core::map::Buffer;
use shardmill_core::simd::{Kernel, LANES, LINES_ELEMENTS, Level, Lines, Simd};

use super::{BenchConfig, Sample, elements, sample::shares, scratch, spawn};
use crate::error::{Error, Result};
use crate::gather::Stores;
use crate::progress::Stats;
use crate::sink::widen_pipe;

/// The size of one write in bytes.
const WRITE_BYTES: usize = 1 << 20;

/// A plain way to move bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "ceiling", rename_all = "snake_case")]
pub enum Ceiling {
    /// Vector stores past the caches: no output can be produced faster.
    StreamingStore,
    /// Vector stores through the caches.
    RegularStore,
    /// `memcpy`.
    Copy,
    /// Writes to a new file, into the system's cache.
    FileWrite,
    /// Writes to a new file, synced to the disk.
    FileSync,
    /// Writes to a pipe that another thread drains.
    Pipe,
}

impl Ceiling {
    /// All ceilings, in measuring order.
    pub const ALL: [Self; 6] = [
        Self::StreamingStore,
        Self::RegularStore,
        Self::Copy,
        Self::FileWrite,
        Self::FileSync,
        Self::Pipe,
    ];

    /// The ceiling's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StreamingStore => "streaming store",
            Self::RegularStore => "regular store",
            Self::Copy => "copy",
            Self::FileWrite => "file write",
            Self::FileSync => "file write, synced",
            Self::Pipe => "pipe",
        }
    }

    /// Whether it measures memory, and so depends on threads.
    const fn is_memory(self) -> bool {
        matches!(self, Self::StreamingStore | Self::RegularStore | Self::Copy)
    }
}

/// How many samples [`measure`] takes.
pub(super) fn count(thread_counts: &[usize]) -> usize {
    let of = |ceiling: Ceiling| {
        if ceiling.is_memory() {
            thread_counts.len()
        } else {
            1
        }
    };
    Ceiling::ALL.into_iter().map(of).sum()
}

pub(super) fn measure(
    config: &BenchConfig,
    thread_counts: &[usize],
    stats: &Stats,
) -> Result<Vec<Sample<Ceiling>>> {
    let elements = elements(config.size_bytes)?;
    let mut from = Buffer::zeroed(elements)?;
    let mut to = Buffer::zeroed(elements)?;
    store_all(config.level, Stores::Regular, 1, &mut from)?;
    let bytes = size_of_val(&*to) as u64;
    let half: &[u8] = bytemuck::cast_slice(&from[..elements / 2]);
    let mut samples = Vec::new();
    for ceiling in Ceiling::ALL {
        let counts = if ceiling.is_memory() {
            thread_counts
        } else {
            &[1]
        };
        for &threads in counts {
            let level = config.level;
            let mut stored = |stores| {
                Sample::take(ceiling, threads, bytes, || {
                    store_all(level, stores, threads, &mut to)
                })
            };
            samples.push(match ceiling {
                Ceiling::StreamingStore => stored(Stores::Streaming)?,
                Ceiling::RegularStore => stored(Stores::Regular)?,
                Ceiling::Copy => Sample::take(ceiling, threads, bytes, || {
                    copy_all(threads, &from, &mut to)
                })?,
                Ceiling::FileWrite => file(ceiling, &config.dir, half, false)?,
                Ceiling::FileSync => file(ceiling, &config.dir, half, true)?,
                Ceiling::Pipe => pipe(ceiling, half)?,
            });
            stats.advance(1);
        }
    }
    Ok(samples)
}

/// Fills `out` with a constant, using vector stores of `level` past or through the caches: nothing
/// that has to compute its output can be faster. Fills only the whole cache lines.
///
/// # Errors
/// [`Error::Threads`] if a thread cannot be started.
pub fn store_all(level: Level, stores: Stores, threads: usize, out: &mut [f32]) -> Result<()> {
    let (_, lines, _) = bytemuck::pod_align_to_mut::<f32, Lines<f32>>(out);
    let stream = stores != Stores::Regular;
    let mut rest = lines;
    thread::scope(|scope| {
        let mut parts: Vec<_> = shares(rest.len(), threads)
            .map(|share| rest.split_off_mut(..share).unwrap_or_default())
            .collect();
        let last = parts.pop();
        for lines in parts {
            spawn(scope, threads, move || {
                level.dispatch(StoreAll { lines, stream });
            })?;
        }
        if let Some(lines) = last {
            level.dispatch(StoreAll { lines, stream });
        }
        Ok(())
    })
}

/// Stores one vector everywhere.
struct StoreAll<'a> {
    lines: &'a mut [Lines<f32>],
    stream: bool,
}

impl Kernel for StoreAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // The bytes must differ, or the compiler would call `memset`, which uses its own methods.
        let values = s.load_f32(&[1.234_567_9; LANES]);
        if self.stream {
            for lines in self.lines {
                s.stream_f32([values, values], lines);
            }
        } else {
            for lines in self.lines {
                for part in lines.0.as_chunks_mut().0 {
                    s.store_f32(values, part);
                }
            }
        }
    }
}

const _: () = assert!(LINES_ELEMENTS.is_multiple_of(LANES));

fn copy_all(threads: usize, from: &[f32], to: &mut [f32]) -> Result<()> {
    let share = from.len().div_ceil(threads);
    thread::scope(|scope| {
        let mut parts = from.chunks(share).zip(to.chunks_mut(share));
        let last = parts.next_back();
        for (from, to) in parts {
            spawn(scope, threads, || to.copy_from_slice(from))?;
        }
        if let Some((from, to)) = last {
            to.copy_from_slice(from);
        }
        Ok(())
    })
}

/// A new file in `dir` that is already unlinked, so that nothing is left behind.
fn nameless_file(dir: &Path) -> Result<File> {
    let path = scratch(dir);
    let file = File::create_new(&path).map_err(Error::io(&path, "cannot create"))?;
    std::fs::remove_file(&path).map_err(Error::io(&path, "cannot remove"))?;
    Ok(file)
}

fn file(ceiling: Ceiling, dir: &Path, bytes: &[u8], sync: bool) -> Result<Sample<Ceiling>> {
    let mut file = nameless_file(dir)?;
    Sample::take(ceiling, 1, bytes.len() as u64, || {
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| {
                bytes
                    .chunks(WRITE_BYTES)
                    .try_for_each(|piece| file.write_all(piece))
            })
            .and_then(|()| if sync { file.sync_data() } else { Ok(()) });
        written.map_err(Error::io(dir, "cannot write a file here"))
    })
}

fn pipe(ceiling: Ceiling, bytes: &[u8]) -> Result<Sample<Ceiling>> {
    Sample::take(ceiling, 1, bytes.len() as u64, || {
        through_pipe(bytes).map_err(Error::io("pipe", "cannot write"))
    })
}

fn through_pipe(bytes: &[u8]) -> io::Result<()> {
    let (mut reader, mut writer) = io::pipe()?;
    widen_pipe(&writer);
    thread::scope(|scope| {
        let read = thread::Builder::new().spawn_scoped(scope, move || -> io::Result<()> {
            let mut buffer = vec![0; WRITE_BYTES];
            while reader.read(&mut buffer)? > 0 {}
            Ok(())
        })?;
        let written = writer.write_all(bytes);
        drop(writer);
        // The reader never panics; if it did, nothing would have been read.
        let read = read
            .join()
            .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        written.and(read)
    })
}

#[cfg(test)]
mod tests {
    use shardmill_core::for_each_level;

    use super::*;

    fn every_whole_line_is_stored(level: Level) {
        for (stores, threads) in [
            (Stores::Streaming, 1),
            (Stores::Streaming, 3),
            (Stores::Regular, 1),
            (Stores::Regular, 5),
        ] {
            let mut out = Buffer::zeroed(37 * LINES_ELEMENTS).unwrap();
            store_all(level, stores, threads, &mut out).unwrap();
            assert!(
                out.iter()
                    .all(|value| value.to_bits() == 1.234_567_9_f32.to_bits())
            );
        }
        store_all(level, Stores::Streaming, 2, &mut []).unwrap();
    }

    for_each_level!(every_whole_line_is_stored);

    #[test]
    fn copies_and_pipes_carry_all() {
        let from: Vec<_> = (0..10_000_u16).map(f32::from).collect();
        for threads in [1, 3] {
            let mut to = vec![0.0; from.len()];
            copy_all(threads, &from, &mut to).unwrap();
            assert_eq!(from, to);
        }
        through_pipe(&vec![1; 3 << 20]).unwrap();
    }

    #[test]
    fn a_file_leaves_nothing_and_a_missing_directory_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = nameless_file(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        drop(file);
        let error = nameless_file(&dir.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("cannot create"), "{error}");
    }
}
