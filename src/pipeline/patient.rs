//! Stream reads that end when their run ends.
//!
//! A read of a pipe waits for its writer, even if the run is over. So a stream is read only once it
//! has data; until then, the stream and the run are polled in turn.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::Error;

/// How often a run that waits for a stream checks whether it was stopped.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// A stream, and whether the run that reads it was stopped.
#[derive(Debug)]
pub(super) struct PatientReader {
    stream: File,
    is_stopped: Arc<AtomicBool>,
}

impl PatientReader {
    /// Reads the standard input of this process.
    pub(super) fn stdin(is_stopped: Arc<AtomicBool>) -> io::Result<Self> {
        let stream = io::stdin().as_fd().try_clone_to_owned()?.into();
        Ok(Self { stream, is_stopped })
    }

    /// Reads the FIFO or device at `path`.
    pub(super) fn open(path: &Path, is_stopped: Arc<AtomicBool>) -> io::Result<Self> {
        // Without this flag, opening a FIFO waits for a writer.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let stream = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)?;
        Ok(Self { stream, is_stopped })
    }

    /// Waits for bytes or the end of the stream.
    fn wait(&self) -> io::Result<()> {
        loop {
            if self.is_stopped.load(Ordering::Relaxed) {
                return Err(io::Error::other(Error::Stopped));
            }
            let mut streams = [PollFd::new(&self.stream, PollFlags::IN)];
            match poll(&mut streams, Some(&LOOK_EVERY)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Read for PatientReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait()?;
            match self.stream.read(buffer) {
                // Another reader of the same stream took the data.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// Whether reading a stream failed because the run was stopped.
pub(super) fn is_of_stop(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(Error::Stopped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_stopped_waits_for_no_writer() {
        let (reader, _writer) = io::pipe().unwrap();
        let mut reader = PatientReader {
            stream: std::os::fd::OwnedFd::from(reader).into(),
            is_stopped: Arc::default(),
        };
        let stop = Arc::clone(&reader.is_stopped);
        let waiting = std::thread::spawn(move || reader.read(&mut [0]));
        stop.store(true, Ordering::Relaxed);
        let error = waiting.join().unwrap().unwrap_err();
        assert!(is_of_stop(&error), "{error}");
    }

    #[test]
    fn all_bytes_of_a_stream_arrive() {
        use std::io::Write;
        let (reader, mut writer) = io::pipe().unwrap();
        let mut reader = PatientReader {
            stream: std::os::fd::OwnedFd::from(reader).into(),
            is_stopped: Arc::default(),
        };
        let bytes: Vec<u8> = (0..1_000_000)
            .map(|i: u32| i.to_le_bytes()[i as usize % 4])
            .collect();
        let sent = bytes.clone();
        let writing = std::thread::spawn(move || writer.write_all(&sent));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        writing.join().unwrap().unwrap();
        assert_eq!(read, bytes);
    }
}
