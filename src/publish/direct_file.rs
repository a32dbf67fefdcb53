//! Writes the bytes of a new file.
//!
//! ```text
//! cached    maker ── 256 KiB ──> page cache
//! to disk   maker ── copy ──> piece of 2 MiB ══> thread ── O_DIRECT ──> disk
//!                               ^── empty ───────┘
//! ```
//!
//! A file that must end up on the disk is written past the page cache, by a thread of its own. With
//! 4 GB of ids the kernel otherwise spends 3 to 8 s of CPU time on the pages. So direct writes cost
//! less than a file that is not forced to the disk at all, evict nothing else from memory, and
//! leave little for the final sync. Files of up to 256 KiB, and the end of each file, are written
//! as usual.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};

use shardmill_core::map::Slab;
use shardmill_core::system::{is_in_memory, set_direct};

use crate::publish::durability::Durability;
use crate::publish::write_back::WriteBack;

/// The maximum size of a write to the page cache, in bytes. A file in pieces of this size is
/// written four times as fast as in pieces of 1 MiB and more, for which the kernel allocates fresh
/// pages of that size.
const CACHED_BYTES: usize = 256 << 10;

/// The size of a write to the disk, in bytes: one huge page. A disk that reached 2.4 GB/s with `dd`
/// in pieces of this size reached 1.5 GB/s in pieces of 256 KiB.
const PIECE_BYTES: usize = 2 << 20;

/// The number of pieces in memory: one is filled while the other is written.
const PIECES: usize = 2;

/// A file that is written from start to end. After an error, every further write fails.
#[derive(Debug)]
pub(super) struct Output {
    file: Arc<File>,
    /// Bytes waiting to be written as usual, up to [`CACHED_BYTES`].
    buffer: Vec<u8>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Cached,
    ToDisk(Pieces),
    GivenUp,
}

impl Output {
    /// Writes to `file`, which is empty.
    pub(super) fn new(file: File, durability: Durability) -> Self {
        let way = match durability {
            Durability::Full if !is_in_memory(&file) => Way::ToDisk(Pieces::default()),
            Durability::Full | Durability::None => Way::Cached,
        };
        Self {
            file: Arc::new(file),
            buffer: Vec::new(),
            way,
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Writes `bytes`, possibly later.
    ///
    /// # Errors
    /// If these or earlier bytes could not be written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let taken = self.take(bytes);
        self.give_up_on_error(taken)
    }

    /// Writes all bytes that are still waiting.
    ///
    /// # Errors
    /// Those of [`Self::write`].
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let flushed = match &mut self.way {
            Way::Cached => write_cached(&self.file, &self.buffer),
            Way::ToDisk(pieces) => {
                write_cached(&self.file, &self.buffer).and_then(|()| pieces.finish(&self.file))
            }
            Way::GivenUp => Err(given_up()),
        };
        self.buffer.clear();
        self.give_up_on_error(flushed)
    }

    /// Stops all writing to the file.
    pub(super) fn give_up(&mut self) {
        if let Way::ToDisk(pieces) = mem::replace(&mut self.way, Way::GivenUp) {
            pieces.give_up();
        }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Way::ToDisk(pieces) = &mut self.way
            && pieces.has_begun()
        {
            return pieces.write(&self.file, bytes);
        }
        if self.buffer.len() + bytes.len() > CACHED_BYTES {
            let buffer = &mut self.buffer;
            match &mut self.way {
                Way::Cached => {
                    write_cached(&self.file, buffer)?;
                    buffer.clear();
                    if bytes.len() > CACHED_BYTES {
                        return write_cached(&self.file, bytes);
                    }
                }
                Way::ToDisk(pieces) => {
                    pieces.write(&self.file, &mem::take(buffer))?;
                    return pieces.write(&self.file, bytes);
                }
                Way::GivenUp => return Err(given_up()),
            }
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn give_up_on_error(&mut self, outcome: io::Result<()>) -> io::Result<()> {
        if outcome.is_err() {
            self.give_up();
        }
        outcome
    }
}

fn given_up() -> io::Error {
    io::Error::other("an earlier write failed")
}

fn write_cached(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    bytes
        .chunks(CACHED_BYTES)
        .try_for_each(|chunk| file.write_all(chunk))
}

/// The pieces of a file on their way to the disk.
#[derive(Debug, Default)]
struct Pieces {
    /// The piece being filled, and how far it is filled; `None` before the first byte.
    piece: Option<Slab<u8>>,
    filled: usize,
    /// The thread that writes them; `None` until the first piece is full.
    writer: Option<Writer>,
}

impl Pieces {
    fn has_begun(&self) -> bool {
        self.piece.is_some()
    }

    fn write(&mut self, file: &Arc<File>, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let piece = match &mut self.piece {
                Some(piece) => piece,
                none => none.insert(new_piece()?),
            };
            let room = &mut piece[self.filled..];
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
            // The last piece stays here until more bytes follow.
            if self.filled == PIECE_BYTES && !bytes.is_empty() {
                self.hand_over(file)?;
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, file: &Arc<File>) -> io::Result<()> {
        let Some(full) = self.piece.take() else {
            return Ok(());
        };
        self.filled = 0;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(Writer::start(Arc::clone(file))?),
        };
        match writer.exchange(full) {
            Some(empty) => {
                self.piece = Some(empty?);
                Ok(())
            }
            // The writer ended early; its result says why.
            None => Err(self.end().err().unwrap_or(io::ErrorKind::Other.into())),
        }
    }

    /// Waits for the pieces that the writer has.
    fn end(&mut self) -> io::Result<()> {
        self.writer.take().map_or(Ok(()), Writer::end)
    }

    fn finish(&mut self, file: &File) -> io::Result<()> {
        self.end()?;
        let filled = mem::take(&mut self.filled);
        let rest = self.piece.take();
        write_cached(file, &rest.as_deref().unwrap_or_default()[..filled])
    }

    fn give_up(self) {
        if let Some(Writer { full, thread, .. }) = self.writer {
            drop(full);
            // Its result no longer matters.
            let _ = thread.join();
        }
    }
}

fn new_piece() -> io::Result<Slab<u8>> {
    Slab::zeroed(PIECE_BYTES).map_err(|_| io::ErrorKind::OutOfMemory.into())
}

/// A thread that writes full pieces and returns them.
#[derive(Debug)]
struct Writer {
    full: SyncSender<Slab<u8>>,
    empty: Receiver<Slab<u8>>,
    pieces: usize,
    thread: JoinHandle<io::Result<()>>,
}

impl Writer {
    fn start(file: Arc<File>) -> io::Result<Self> {
        let (full, to_write) = mpsc::sync_channel(PIECES - 1);
        let (written, empty) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("shardmill-disk".to_owned())
            .spawn(move || write_pieces(&file, &to_write, &written))?;
        Ok(Self {
            full,
            empty,
            pieces: 1,
            thread,
        })
    }

    /// Exchanges a full piece for an empty one; `None` if the thread has ended.
    fn exchange(&mut self, full: Slab<u8>) -> Option<io::Result<Slab<u8>>> {
        self.full.send(full).ok()?;
        if self.pieces < PIECES {
            self.pieces += 1;
            return Some(new_piece());
        }
        self.empty.recv().ok().map(Ok)
    }

    fn end(self) -> io::Result<()> {
        drop(self.full);
        match self.thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn write_pieces(
    file: &File,
    to_write: &Receiver<Slab<u8>>,
    written: &Sender<Slab<u8>>,
) -> io::Result<()> {
    let mut is_direct = set_direct(file, true).is_ok();
    // If the file system cannot bypass the page cache, or accepts the flag and caches anyway, the
    // pages are dropped as they reach the disk.
    let mut write_back = WriteBack::default();
    let mut written_bytes = 0;
    for piece in to_write {
        write_piece(file, &piece, &mut is_direct)?;
        written_bytes += piece.len() as u64;
        write_back.advance(file, written_bytes)?;
        // The other end may have no more bytes to write.
        let _ = written.send(piece);
    }
    if is_direct {
        set_direct(file, false)?;
    }
    Ok(())
}

fn write_piece(mut file: &File, mut piece: &[u8], is_direct: &mut bool) -> io::Result<()> {
    while !piece.is_empty() {
        let most = if *is_direct {
            PIECE_BYTES
        } else {
            CACHED_BYTES
        };
        match file.write(&piece[..piece.len().min(most)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => piece = &piece[len..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The file system accepts the flag but not the write, or a short write left the rest
            // misaligned with the disk's blocks.
            Err(error) if *is_direct && is_refusal(&error) => {
                set_direct(file, false)?;
                *is_direct = false;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::iter;

    use super::*;

    fn read(file: &File) -> Vec<u8> {
        let mut file = file.try_clone().unwrap();
        file.rewind().unwrap();
        let mut found = Vec::new();
        file.read_to_end(&mut found).unwrap();
        found
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..251).cycle().take(len).collect()
    }

    fn ways() -> [Way; 2] {
        [Way::Cached, Way::ToDisk(Pieces::default())]
    }

    #[test]
    fn all_bytes_arrive_in_order() {
        let piece = PIECE_BYTES;
        let ends = [
            0,
            1,
            CACHED_BYTES,
            piece - 1,
            piece,
            piece + 1,
            5 * piece + 7,
        ];
        for (len, step) in ends.into_iter().flat_map(|len| {
            let steps = [4096, CACHED_BYTES + 1, piece + 3, 4 * piece];
            iter::repeat(len).zip(steps)
        }) {
            let expected = bytes(len);
            for way in ways() {
                let what = format!("{len} bytes, {step} at a time, {way:?}");
                let mut output = Output {
                    file: Arc::new(tempfile::tempfile().unwrap()),
                    buffer: Vec::new(),
                    way,
                };
                for part in expected.chunks(step) {
                    output.write(part).unwrap();
                }
                output.flush().unwrap();
                assert!(read(output.file()) == expected, "{what}");
                // Writing continues after that.
                output.write(b"more").unwrap();
                output.flush().unwrap();
                output.flush().unwrap();
                assert!(
                    read(output.file()) == [&expected, &b"more"[..]].concat(),
                    "{what}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_written_is_an_error_of_a_write_or_of_the_flush() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty");
        File::create(&path).unwrap();
        for len in [1, PIECE_BYTES + 1, 6 * PIECE_BYTES] {
            for way in ways() {
                let mut output = Output {
                    file: Arc::new(File::open(&path).unwrap()),
                    buffer: Vec::new(),
                    way,
                };
                let written = output.write(&bytes(len));
                assert!(written.and_then(|()| output.flush()).is_err(), "{len}");
                // And the error is never forgotten.
                assert!(output.flush().is_err(), "{len}");
                assert!(
                    output
                        .write(&bytes(len))
                        .and_then(|()| output.flush())
                        .is_err()
                );
            }
        }
    }

    #[test]
    fn a_piece_that_does_not_fit_the_blocks_of_the_disk_goes_through_the_cache() {
        let file = tempfile::tempfile().unwrap();
        (&file).write_all(b"x").unwrap();
        let mut is_direct = set_direct(&file, true).is_ok();
        let piece = bytes(PIECE_BYTES);
        write_piece(&file, &piece, &mut is_direct).unwrap();
        write_piece(&file, &piece, &mut is_direct).unwrap();
        assert!(read(&file)[1..] == [&piece[..], &piece[..]].concat());
    }

    #[test]
    fn a_disk_is_told_from_memory() {
        for directory in ["/dev/shm", env!("CARGO_MANIFEST_DIR")] {
            let stat = std::process::Command::new("stat")
                .args(["-f", "-c", "%T", directory])
                .output();
            let kind = String::from_utf8(stat.unwrap().stdout).unwrap();
            let Ok(directory) = File::open(directory) else {
                continue;
            };
            let is_memory = ["tmpfs", "ramfs"].contains(&kind.trim());
            assert_eq!(is_in_memory(&directory), is_memory, "{kind}");
        }
    }
}
