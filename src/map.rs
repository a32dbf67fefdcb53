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
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
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

/// A table that begins as zeros, on huge pages where the system has them and it is large enough:
/// random reads then find their addresses without a walk through page tables. Pages that are never
/// touched take no memory.
#[derive(Debug)]
pub(crate) struct Table<T> {
    map: memmap2::MmapMut,
    len: usize,
    items: PhantomData<T>,
}

impl<T: bytemuck::Zeroable + Copy> Table<T> {
    /// `len` items, all zero.
    pub(crate) fn zeroed(len: usize) -> Self {
        let layout = std::alloc::Layout::array::<T>(len).expect("a table fits the address space");
        Self::try_zeroed(len).unwrap_or_else(|| std::alloc::handle_alloc_error(layout))
    }

    /// `len` items, all zero; `None` where there is no memory for them.
    pub(crate) fn try_zeroed(len: usize) -> Option<Self> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        let layout = std::alloc::Layout::array::<T>(len).ok()?;
        let map = memmap2::MmapMut::map_anon(layout.size().max(1)).ok()?;
        // Without huge pages the table is slower, nothing else.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Some(Self {
            len,
            map,
            items: PhantomData,
        })
    }
}

impl<T: bytemuck::Zeroable + Copy> Deref for Table<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` items fit the map, which begins on a page, so aligned, and is held as long
        // as `self`. They began as zeros, of which every `T` may be made, and only items are written.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.len) }
    }
}

impl<T: bytemuck::Zeroable + Copy> DerefMut for Table<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_begins_as_zeros_and_keeps_what_is_put_in() {
        for len in [0, 1, 1000, 1 << 20] {
            let mut table = Table::<[u64; 3]>::zeroed(len);
            assert!(table.len() == len && table.iter().all(|item| *item == [0; 3]));
            if let Some(last) = table.last_mut() {
                *last = [1, 2, 3];
            }
            let put = table.iter().filter(|item| **item == [1, 2, 3]).count();
            assert_eq!(put, usize::from(!table.is_empty()));
        }
    }

    #[test]
    fn a_table_that_no_memory_holds_is_none() {
        for len in [1 << 60, usize::MAX] {
            assert!(Table::<u32>::try_zeroed(len).is_none());
        }
    }
}
