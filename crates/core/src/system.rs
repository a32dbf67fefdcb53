//! UNSAFE ROOM: what each system has of its own: files without a name, writes past the page cache,
//! and writeback that is started and waited for. What a system lacks is left out; files are then
//! written as usual, and synced in the end. And what a process has used, which all of them tell.
#![allow(unsafe_code, reason = "a call has no safe wrapper")]

use std::time::Duration;

pub use each::{
    drop_cached, is_in_memory, nameless, set_direct, start_writeback, wait_for_writeback,
};

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// The CPU time of all its threads.
    pub cpu_time: Duration,
    /// How often a thread waited for something other than a CPU: its voluntary context switches.
    pub waits: u64,
}

/// What this process has used, by getrusage(2).
#[must_use]
pub fn used() -> Used {
    // SAFETY: the struct is plain numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: it fills in the struct that it is given, and keeps nothing of it.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0 {
        return Used::default();
    }
    let time = |time: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
        seconds + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    Used {
        cpu_time: time(usage.ru_utime) + time(usage.ru_stime),
        waits: u64::try_from(usage.ru_nvcsw).unwrap_or(0),
    }
}

#[cfg(target_os = "linux")]
mod each {
    use std::fs::File;
    use std::io;
    use std::num::NonZeroU64;
    use std::ops::Range;
    use std::os::fd::AsRawFd;
    use std::path::Path;

    use rustix::fs::{Advice, CWD, Mode, OFlags};
    use rustix::fs::{fadvise, fcntl_getfl, fcntl_setfl, fstatfs, openat};

    /// A new file in `directory` that has no name, if the file system has such files.
    pub fn nameless(directory: &Path) -> Option<File> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        openat(CWD, directory, flags, mode).map(File::from).ok()
    }

    /// Whether `file` is not backed by a disk.
    pub fn is_in_memory(file: &File) -> bool {
        const TMPFS: u64 = 0x0102_1994;
        const RAMFS: u64 = 0x8584_58f6;
        let found = fstatfs(file).map(|found| found.f_type);
        matches!(found.map(u64::try_from), Ok(Ok(TMPFS | RAMFS)))
    }

    /// Sets whether writes to `file` bypass the page cache.
    pub fn set_direct(file: &File, is_direct: bool) -> io::Result<()> {
        let mut flags = fcntl_getfl(file)?;
        flags.set(OFlags::DIRECT, is_direct);
        Ok(fcntl_setfl(file, flags)?)
    }

    /// Starts to write a range of the page cache to the disk.
    pub fn start_writeback(file: &File, range: Range<u64>) -> io::Result<()> {
        sync_range(file, range, libc::SYNC_FILE_RANGE_WRITE)
    }

    /// Waits until the disk has written a range.
    pub fn wait_for_writeback(file: &File, range: Range<u64>) -> io::Result<()> {
        let all = libc::SYNC_FILE_RANGE_WAIT_BEFORE
            | libc::SYNC_FILE_RANGE_WRITE
            | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        sync_range(file, range, all)
    }

    /// Removes a range that the disk has from the page cache.
    pub fn drop_cached(file: &File, range: Range<u64>) {
        let len = NonZeroU64::new(range.end - range.start);
        // Only a hint: the file is correct without it.
        let _ = fadvise(file, range.start, len, Advice::DontNeed);
    }

    fn sync_range(file: &File, range: Range<u64>, flags: libc::c_uint) -> io::Result<()> {
        let (Ok(start), Ok(len)) = (range.start.try_into(), (range.end - range.start).try_into())
        else {
            return Ok(());
        };
        // SAFETY: the descriptor is open as long as `file` is borrowed, and no memory is passed.
        if unsafe { libc::sync_file_range(file.as_raw_fd(), start, len, flags) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => sync_range(file, range, flags),
            // Not every sandbox and not every file supports the call; the final sync is enough.
            Some(libc::ENOSYS | libc::EINVAL | libc::ESPIPE | libc::EPERM) => Ok(()),
            _ => Err(error),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod each {
    use std::fs::File;
    use std::io;
    use std::ops::Range;
    use std::path::Path;

    /// There are no such files: `O_TMPFILE` is Linux's alone.
    pub fn nameless(_: &Path) -> Option<File> {
        None
    }

    /// macOS has no file system in memory, except on a disk image that it treats as a disk.
    pub fn is_in_memory(_: &File) -> bool {
        false
    }

    /// `F_NOCACHE`; fcntl(2) of macOS: "Turns data caching off/on. A non-zero value in arg turns data
    /// caching off." It asks for no alignment, so what is enough for `O_DIRECT` is enough here.
    #[cfg(target_vendor = "apple")]
    pub fn set_direct(file: &File, is_direct: bool) -> io::Result<()> {
        Ok(rustix::fs::fcntl_nocache(file, is_direct)?)
    }

    #[cfg(not(target_vendor = "apple"))]
    pub fn set_direct(_: &File, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Writeback cannot be started for a range: the final sync writes all that is left.
    pub fn start_writeback(_: &File, _: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    /// As above.
    pub fn wait_for_writeback(_: &File, _: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    /// The page cache is left to the system.
    pub fn drop_cached(_: &File, _: Range<u64>) {}
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_takes_cpu_time_and_sleep_is_a_wait() {
        let (started, before) = (Instant::now(), used());
        while started.elapsed() < Duration::from_millis(20) {}
        let worked = used();
        assert!(worked.cpu_time > before.cpu_time);
        std::thread::sleep(Duration::from_millis(1));
        assert!(used().waits > worked.waits);
    }
}
