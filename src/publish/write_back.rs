//! Starts writeback while a file is still being written through the page cache.
//!
//! ```text
//! 0 ............ waited ............ begun ............ written
//!   on the disk,        the disk has         not yet given
//!   not in the cache    it to write          to the disk
//! ```
//!
//! The final sync then has little left to wait for, and a file of any length has at most
//! [`BEHIND_BYTES`] and one step in memory that are not on the disk.

use std::fs::File;
use std::io;

use shardmill_core::system::{drop_cached, start_writeback, wait_for_writeback};

/// Writeback is started each time this many bytes have been written.
const STEP_BYTES: u64 = 8 << 20;

/// How many bytes the disk may be behind.
const BEHIND_BYTES: u64 = 64 << 20;

/// The progress of writeback in a file that is written from start to end.
#[derive(Debug, Default)]
pub(super) struct WriteBack {
    begun: u64,
    waited: u64,
}

impl WriteBack {
    /// Called when the first `written` bytes of `file` have been written.
    ///
    /// # Errors
    /// If the disk could not write what it was given. This is reported once, and no later sync
    /// reports it.
    pub(super) fn advance(&mut self, file: &File, written: u64) -> io::Result<()> {
        if written - self.begun < STEP_BYTES {
            return Ok(());
        }
        start_writeback(file, self.begun..written)?;
        self.begun = written;
        let until = self.begun.saturating_sub(BEHIND_BYTES);
        if until > self.waited {
            wait_for_writeback(file, self.waited..until)?;
            drop_cached(file, self.waited..until);
            self.waited = until;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    #[test]
    fn the_disk_is_never_far_behind_and_the_file_is_whole() {
        let piece: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        let mut file = tempfile::tempfile().unwrap();
        let mut write_back = WriteBack::default();
        for n in 1..=80 {
            file.write_all(&piece).unwrap();
            let written = n << 20;
            write_back.advance(&file, written).unwrap();
            assert!(written - write_back.begun < STEP_BYTES);
            assert!(written - write_back.waited < BEHIND_BYTES + STEP_BYTES);
        }
        assert!(write_back.waited > 0);
        let mut found = vec![0; piece.len()];
        file.rewind().unwrap();
        for _ in 0..80 {
            file.read_exact(&mut found).unwrap();
            assert!(found == piece);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_cannot_be_synced_so_is_left_to_the_sync_in_the_end() {
        let (_reader, writer) = io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(writer));
        WriteBack::default().advance(&pipe, 1 << 30).unwrap();
    }
}
