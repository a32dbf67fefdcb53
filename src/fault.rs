//! UNSAFE ROOM: faults that would end the program without a word.
//!
//! ```text
//! memory that is not there       the default is an abort
//! a mapped file became shorter,  SIGBUS at the first byte that cannot be read
//! or its disk fails
//! a file-size limit              SIGXFSZ, before a write could return an error
//! ```
//!
//! Of the first two nothing can be undone, so the program says one line and ends with 3: what lies
//! under temporary names is for the next run to remove. The last becomes an error of the write.
//! The library never does this: it may live in a program with handlers of its own.
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe, and so is to answer a signal"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shardmill::show;
use signal_hook::consts::{SIGBUS, SIGXFSZ};

/// Answers the faults of this room from now on.
pub(crate) fn watch() -> io::Result<()> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // The standard library panics, and so aborts, where a thread that starts finds no memory for
        // the stack on which it would tell an overflow of its own.
        if panic
            .payload_as_str()
            .is_some_and(|what| what.contains("alternative stack"))
        {
            out_of_memory(SIGNAL_STACK_BYTES);
        }
        hook(panic);
    }));
    // Whatever a handler does, a write beyond the limit then fails with EFBIG.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    // SAFETY: the handler takes no lock and no memory: it reads one file into its own stack, writes
    // one line and ends the program.
    unsafe {
        signal_hook_registry::register_sigaction(SIGBUS, |info| unreadable(address(info)))?;
    }
    Ok(())
}

/// Bytes of the stack for a signal, at the least.
const SIGNAL_STACK_BYTES: usize = 8 << 10;

/// Which address could not be read.
fn address(info: &libc::siginfo_t) -> usize {
    // SAFETY: the kernel fills this field in for SIGBUS.
    let address = unsafe { info.si_addr() };
    address.addr()
}

/// The system's allocator; where that has nothing, the program ends with a line.
pub(crate) struct Allocator;

// SAFETY: all is done by the system's allocator, and what it gives is handed on.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that are asked for here.
        there(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        there(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as above.
        there(unsafe { System.realloc(block, layout, bytes) }, bytes)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "a test and a call that never comes")]
fn there(block: *mut u8, bytes: usize) -> *mut u8 {
    if block.is_null() {
        out_of_memory(bytes);
    }
    block
}

#[cold]
fn out_of_memory(bytes: usize) -> ! {
    let mut line = Line::new();
    // A line has room for it.
    let _ = writeln!(
        line,
        "shardmill: error: no memory for {bytes} more bytes; allow more, or use fewer --threads"
    );
    end(&line)
}

fn unreadable(address: usize) {
    let mut line = Line::new();
    line.push(b"shardmill: error: ");
    let mut scan = MapsScan::new(address);
    // Without /proc the line names no file.
    let offset = scan.run().ok().flatten();
    if let Some(offset) = offset {
        let _ = write!(line, "{}", show::name(OsStr::from_bytes(scan.path())));
        let _ = write!(line, ": byte {offset}: ");
    }
    line.push(
        b"cannot be read: the file became shorter, or its disk fails; run again when it is whole\n",
    );
    end(&line)
}

/// Says the line and ends the program; of several threads that come here, the first does.
fn end(line: &Line) -> ! {
    static ENDING: AtomicBool = AtomicBool::new(false);
    if !ENDING.swap(true, Ordering::Relaxed) {
        // If stderr is gone there is nobody left to tell.
        let _ = rustix::io::write(io::stderr().as_fd(), line.get());
        signal_hook::low_level::exit(3);
    }
    loop {
        std::thread::yield_now();
    }
}

/// A line that takes no memory; what is too much is left out.
struct Line {
    bytes: [u8; 4096 + 256],
    len: usize,
}

impl Line {
    const fn new() -> Self {
        Self {
            bytes: [0; 4096 + 256],
            len: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = &mut self.bytes[self.len..];
        let len = bytes.len().min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
        self.len += len;
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// Looks in the kernel's list of maps for the file at an address. A line of it:
///
/// ```text
/// 7f0e03401000-7f0e09401000 r--s 00000000 00:1b 42                         /data/a.txt
/// ```
struct MapsScan {
    address: usize,
    line: Line,
}

impl MapsScan {
    fn new(address: usize) -> Self {
        Self {
            address,
            line: Line::new(),
        }
    }

    /// The offset in the file, whose name is then in [`Self::path`].
    fn run(&mut self) -> io::Result<Option<usize>> {
        let mut maps = File::open("/proc/self/maps")?;
        let mut chunk = [0; 1024];
        loop {
            let read = maps.read(&mut chunk)?;
            if read == 0 {
                return Ok(None);
            }
            for &byte in &chunk[..read] {
                if byte != b'\n' {
                    self.line.push(&[byte]);
                    continue;
                }
                if let Some(offset) = offset_in(self.line.get(), self.address) {
                    return Ok(Some(offset));
                }
                self.line.len = 0;
            }
        }
    }

    /// The path in the line that was found.
    fn path(&self) -> &[u8] {
        let line = self.line.get();
        let start = line.iter().position(|&byte| byte == b'/');
        start.map_or(b"a mapped file", |start| &line[start..])
    }
}

/// Where in its file `address` is, if this line of the list of maps has it.
fn offset_in(line: &[u8], address: usize) -> Option<usize> {
    let line =
        std::str::from_utf8(line.get(..line.iter().position(|&byte| byte == b'/')?)?).ok()?;
    let mut fields = line.split(' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let hex = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    let offset = hex(fields.nth(1)?)?;
    (start..end)
        .contains(&address)
        .then(|| address - start + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_of_maps_gives_the_offset() {
        let line = b"7f00-8f00 r--s 00001000 00:1b 42                         /data/a b.txt";
        assert_eq!(offset_in(line, 0x7f10), Some(0x1010));
        assert_eq!(offset_in(line, 0x8f00), None);
        assert_eq!(offset_in(line, 0x7eff), None);
        assert_eq!(offset_in(b"7f00-8f00 rw-p 00000000 00:00 0 ", 0x7f10), None);
    }

    #[test]
    fn this_program_is_found_in_its_own_list_of_maps() {
        let mut scan = MapsScan::new(Line::push as fn(&mut Line, &[u8]) as usize);
        assert!(scan.run().unwrap().is_some());
        let this = std::env::current_exe().unwrap();
        assert_eq!(scan.path(), this.as_os_str().as_encoded_bytes());
    }

    #[test]
    fn a_line_keeps_what_fits() {
        let mut line = Line::new();
        for _ in 0..1000 {
            line.push(b"0123456789");
        }
        assert_eq!(line.get().len(), line.bytes.len());
    }
}
