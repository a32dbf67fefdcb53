//! UNSAFE ROOM: file maps, and memory on huge pages.
//!
//! Maps a file read-only and hands out its bytes. The file may change under the map: callers treat
//! the bytes as untrusted input and check lengths again when they are done. Nothing in this room
//! knows what the bytes mean.
#![allow(
    unsafe_code,
    reason = "mapping a file is unsafe: another process may write to it"
)]

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A whole file, mapped read-only.
#[derive(Debug)]
pub(crate) struct Map {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<memmap2::Mmap>,
    path: PathBuf,
}

impl Map {
    /// Maps the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "cannot open"))?;
        Self::from_file(&file, path)
    }

    /// Maps an open file; `path` is for messages.
    pub(crate) fn from_file(file: &File, path: &Path) -> Result<Self> {
        let metadata = file
            .metadata()
            .map_err(Error::io(path, "cannot read its size"))?;
        if metadata.is_dir() {
            return Err(Error::Input {
                path: path.to_owned(),
                what: "is a directory".to_owned(),
            });
        }
        let map = if metadata.len() == 0 {
            None
        } else {
            // SAFETY: the map is read-only and handed out as plain bytes, of which no value is
            // invalid. A writer may change them between two reads: every reader of a map takes
            // each byte as untrusted input and keeps no invariant about it across reads.
            let map = unsafe { memmap2::Mmap::map(file) };
            Some(map.map_err(Error::io(path, "cannot map"))?)
        };
        Ok(Self {
            map,
            path: path.to_owned(),
        })
    }

    /// Tells the kernel that the bytes will be read from start to end.
    pub(crate) fn advise_sequential(&self) {
        if let Some(map) = &self.map {
            // Only a hint: where the kernel refuses it, reading works as well.
            let _ = map.advise(memmap2::Advice::Sequential);
        }
    }

    /// The file that was mapped.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // A map begins on a page. What stands for an empty file must be aligned as well, or casts
        // to wider elements would panic.
        self.map
            .as_deref()
            .unwrap_or(bytemuck::must_cast_slice::<u64, u8>(&[]))
    }
}

/// As many zeros, on huge pages where the system has them and the table is large enough: random
/// reads of it then find their addresses without a walk through page tables.
pub(crate) fn zeros_on_huge_pages<T: bytemuck::Zeroable + Clone>(len: usize) -> Vec<T> {
    const HUGE_PAGE: usize = 2 << 20;
    // Not touched yet: an allocation of this size comes from the system.
    let mut zeros: Vec<T> = bytemuck::allocation::zeroed_vec(len);
    let bytes = zeros.as_mut_ptr_range();
    let start = (bytes.start as usize).next_multiple_of(HUGE_PAGE);
    let end = bytes.end as usize / HUGE_PAGE * HUGE_PAGE;
    #[cfg(target_os = "linux")]
    if start < end {
        let first = zeros
            .as_mut_ptr()
            .wrapping_byte_add(start - bytes.start as usize);
        // SAFETY: the pages lie inside the vector's memory, and the advice does not change what is
        // in them.
        let advised = unsafe {
            rustix::mm::madvise(first.cast(), end - start, rustix::mm::Advice::LinuxHugepage)
        };
        // Without it the table is slower, nothing else.
        let _ = advised;
    }
    zeros
}
