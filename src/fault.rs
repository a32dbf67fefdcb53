//! UNSAFE ROOM: faults that would end the program without a message.
//!
//! ```text
//! out of memory                  the default is an abort
//! a mapped file shrinks,         SIGBUS at the first byte that cannot be read
//! or its disk fails
//! a file-size limit              SIGXFSZ, before a write could return an error
//! ```
//!
//! The first two cannot be recovered from, so the program prints one line and exits with 3; the
//! next run removes what is left under temporary names. The last becomes an error of the write. The
//! library never installs these handlers: it may be part of a program that has its own.
//!
//! The allocator that reports the first also puts large blocks on huge pages.
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe, and so is to answer a signal"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ffi::{OsStr, c_int, c_void};
use std::fmt::{self, Write};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags, openat};
use shardmill::guard::is_guarded;
use shardmill::show;

/// Installs the handlers of this room.
pub(crate) fn watch() -> io::Result<()> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // It becomes an error.
        if is_guarded() {
            return;
        }
        // The standard library panics, and so aborts, if a starting thread finds no memory for the
        // alternate stack on which it would report its own stack overflow.
        if panic
            .payload_as_str()
            .is_some_and(|what| what.contains("alternative stack"))
        {
            out_of_memory(SIGNAL_STACK_BYTES);
        }
        hook(panic);
    }));
    // A write past the limit then fails with EFBIG. SAFETY: no handler is installed.
    unsafe { set_action(libc::SIGXFSZ, libc::SIG_IGN)? };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = unreadable;
    // SAFETY: `unreadable` takes no lock and no memory, and has the arguments of such a handler.
    unsafe { set_action(libc::SIGBUS, handler as libc::sighandler_t) }
}

/// The minimum size of a signal stack in bytes.
const SIGNAL_STACK_BYTES: usize = 8 << 10;

/// Makes `action` the only handler of `signal`. The previous handler is not called: Rust's own
/// handler, which on Linux reports stack overflows through another signal, would uninstall this
/// handler, and the next thread to fault would end the program without a message.
///
/// # Safety
/// `action` is `SIG_DFL`, `SIG_IGN`, or a handler that does nothing but what a handler may.
unsafe fn set_action(signal: c_int, action: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: the struct is plain numbers, for which zeros are valid: no flags, no signals.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = action;
    new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: it fills in the set that it is given.
    unsafe { libc::sigfillset(&raw mut new.sa_mask) };
    // SAFETY: by the caller's promise, the new action is valid; the old one is not requested.
    match unsafe { libc::sigaction(signal, &raw const new, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The system's allocator, with large blocks on huge pages. If it runs out of memory, the program
/// ends with a message.
pub(crate) struct Allocator;

// SAFETY: every call is forwarded to the system's allocator, and its result is returned.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= HUGE_PAGE_BYTES {
            return there(alloc_huge(layout), layout.size());
        }
        // SAFETY: the caller's promises are exactly those required here.
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

/// The usual size of a huge page.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Large memory, on huge pages if the system has them: one page fault instead of 512.
#[cold]
fn alloc_huge(layout: Layout) -> *mut u8 {
    let Ok(aligned) = layout.align_to(HUGE_PAGE_BYTES) else {
        return ptr::null_mut();
    };
    // SAFETY: the size is not zero. The system's allocator frees and grows memory whatever its
    // alignment.
    let block = unsafe { System.alloc(aligned) };
    #[cfg(target_os = "linux")]
    if !block.is_null() {
        let bytes = layout.size() / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
        // SAFETY: the pages are all in the new block. It is only a hint.
        unsafe { libc::madvise(block.cast(), bytes, libc::MADV_HUGEPAGE) };
    }
    block
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
    // The message fits in a line.
    let _ = writeln!(
        line,
        "shardmill: error: no memory for {bytes} more bytes; allow more, or use fewer threads"
    );
    if IS_ENDING.swap(true, Ordering::Acquire) {
        wait();
    }
    end(&line)
}

/// Whether a thread is printing the last line.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// The handler of SIGBUS. It runs on the faulting thread, on its signal stack, which is small.
extern "C" fn unreadable(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    if IS_ENDING.swap(true, Ordering::Acquire) {
        wait();
    }
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler with SA_SIGINFO.
    let info = unsafe { &*info };
    // Another process may send the signal, too; a fault has a code above 0.
    let is_fault = info.si_code > 0;
    // SAFETY: the kernel sets this field for a fault. Otherwise it is an arbitrary number, and
    // unused.
    let address = unsafe { info.si_addr() };
    // SAFETY: only the first of all threads gets here, and only once.
    let scan = unsafe { &mut *SCAN.0.get() };
    let found = scan.run(address.addr());
    // A fault at any other address is not due to a changed file.
    if !is_fault || matches!(found, Ok(None)) {
        // SAFETY: no handler is installed.
        let _ = unsafe { set_action(signal, libc::SIG_DFL) };
        if !is_fault {
            // SAFETY: allowed in handlers. The signal arrives when this handler returns.
            unsafe { libc::raise(signal) };
        }
        // A fault happens again, at the same place, and ends the program with a core dump.
        return;
    }
    // Without /proc, as on macOS, the message names no file, and a fault at any other address, such
    // as a stack overflow there, is reported in the same way.
    end(scan.say(found.ok().flatten()))
}

/// Prints the line and ends the program.
fn end(line: &Line) -> ! {
    // If stderr is closed, there is nothing more to do.
    let _ = rustix::io::write(io::stderr().as_fd(), line.get());
    signal_hook::low_level::exit(3)
}

/// Waits for the thread that ends the program.
fn wait() -> ! {
    loop {
        // SAFETY: takes no arguments and may be called in a handler.
        unsafe { libc::pause() };
    }
}

/// A line that needs no allocation; what does not fit is left out.
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

/// The working memory of the handler, because its stack has no room for it.
static SCAN: Scratch = Scratch(UnsafeCell::new(MapsScan::new()));

struct Scratch(UnsafeCell<MapsScan>);

// SAFETY: only the thread that set `IS_ENDING` uses it, and nothing ever resets that.
unsafe impl Sync for Scratch {}

/// Looks up the file at an address in the kernel's list of maps. A line of the list:
///
/// ```text
/// 7f0e03401000-7f0e09401000 r--s 00000000 00:1b 42                         /data/a.txt
/// ```
struct MapsScan {
    /// The current line of the list.
    map: Line,
    /// The message.
    line: Line,
}

impl MapsScan {
    const fn new() -> Self {
        Self {
            map: Line::new(),
            line: Line::new(),
        }
    }

    /// The offset in the file that this program has mapped at `address`; its line is then kept.
    /// `None` if there is no such map.
    fn run(&mut self, address: usize) -> rustix::io::Result<Option<usize>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let maps = openat(CWD, c"/proc/self/maps", flags, Mode::empty())?;
        let mut chunk = [0; 512];
        self.map.len = 0;
        loop {
            let read = match rustix::io::read(&maps, &mut chunk) {
                Err(rustix::io::Errno::INTR) => continue,
                read => read?,
            };
            if read == 0 {
                return Ok(None);
            }
            for &byte in &chunk[..read] {
                if byte != b'\n' {
                    self.map.push(&[byte]);
                    continue;
                }
                if let Some(offset) = offset_in(self.map.get(), address) {
                    return Ok(Some(offset));
                }
                self.map.len = 0;
            }
        }
    }

    /// The message about a byte that cannot be read: at `offset` of the file that was found.
    fn say(&mut self, offset: Option<usize>) -> &Line {
        let line = &mut self.line;
        line.push(b"shardmill: error: ");
        if let Some(offset) = offset {
            let path = show::name(OsStr::from_bytes(path_in(self.map.get())));
            // What does not fit is left out.
            let _ = write!(line, "{path}: byte {offset}: ");
        }
        line.push(
            b"cannot be read: the file became shorter, or its disk fails; run again when it is \
              whole\n",
        );
        line
    }
}

/// The path in a line of the list of maps.
fn path_in(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|&byte| byte == b'/');
    start.map_or(b"a mapped file", |start| &line[start..])
}

/// The offset of `address` in its file, if this line of the list of maps contains it and is one of
/// this program's own maps: those are shared, while programs and libraries are mapped as private
/// copies.
fn offset_in(line: &[u8], address: usize) -> Option<usize> {
    let line =
        std::str::from_utf8(line.get(..line.iter().position(|&byte| byte == b'/')?)?).ok()?;
    let mut fields = line.split(' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let hex = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    let is_shared = fields.next()?.ends_with('s');
    let offset = hex(fields.next()?)?;
    (is_shared && (start..end).contains(&address)).then(|| address - start + offset)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_line_of_the_list_of_maps_gives_the_offset() {
        let line = b"7f00-8f00 r--s 00001000 00:1b 42                         /data/a b.txt";
        assert_eq!(offset_in(line, 0x7f10), Some(0x1010));
        assert_eq!(offset_in(line, 0x8f00), None);
        assert_eq!(offset_in(line, 0x7eff), None);
        assert_eq!(offset_in(b"7f00-8f00 rw-p 00000000 00:00 0 ", 0x7f10), None);
        let program = b"7f00-8f00 r--p 00001000 00:1b 42                         /bin/program";
        assert_eq!(offset_in(program, 0x7f10), None);
    }

    #[test]
    fn a_map_of_a_file_is_found_and_a_map_of_the_program_is_not() {
        let mut scan = MapsScan::new();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        // SAFETY: the bytes are never read.
        let map = unsafe { memmap2::Mmap::map(&File::open(&path).unwrap()) }.unwrap();
        assert_eq!(scan.run(map.as_ptr().addr() + 7), Ok(Some(7)));
        assert_eq!(path_in(scan.map.get()), path.as_os_str().as_encoded_bytes());
        let line = String::from_utf8(scan.say(Some(7)).get().to_vec()).unwrap();
        let start = format!(
            "shardmill: error: {}: byte 7: cannot be read",
            path.display()
        );
        assert!(
            line.starts_with(&start) && line.ends_with("whole\n"),
            "{line}"
        );
        let program = Line::push as fn(&mut Line, &[u8]);
        assert_eq!(scan.run(program as usize), Ok(None));
        assert_eq!(scan.run((&raw const scan).addr()), Ok(None));
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
