//! UNSAFE ROOM: file maps, and memory on huge pages: tables, and buffers for output.
//!
//! Maps a file read-only and hands out its bytes. The file may change under the map, so callers
//! treat the bytes as untrusted input and check lengths again when they are done. Nothing in this
//! room knows what the bytes mean.
#![allow(
    unsafe_code,
    reason = "mapping a file is unsafe: another process may write to it"
)]

use std::alloc::Layout;
use std::fmt;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut, Range};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::dtype::Element;
use crate::show::{counted, name};

/// Opens a file for reading. A FIFO with this name does not block the program.
pub fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(openat(CWD, path, flags, Mode::empty())?.into())
}

/// Why a file cannot be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The system refused a call.
    #[error("{}: {what}: {source}", name(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done, such as "cannot open".
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// It is a directory, or something else that has no bytes of its own.
    #[error("{}: {what}", name(path))]
    NotAFile {
        /// What is there instead.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
}

/// There is not enough memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of memory: cannot allocate {}", counted(*needed_bytes, "byte"))]
pub struct OutOfMemory {
    /// The number of bytes that were requested.
    pub needed_bytes: u64,
}

/// A whole file, mapped read-only.
#[derive(Debug)]
pub struct Map {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<memmap2::Mmap>,
    path: PathBuf,
}

impl Map {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// Those of [`Self::from_file`], and if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, MapError> {
        let file = open_file(path).map_err(refused(path, "cannot open"))?;
        Self::from_file(&file, path)
    }

    /// Maps an open file; `path` is for messages.
    ///
    /// # Errors
    /// [`MapError::NotAFile`] if it is not a regular file; [`MapError::Io`] if the system refuses.
    pub fn from_file(file: &File, path: &Path) -> Result<Self, MapError> {
        let metadata = file
            .metadata()
            .map_err(refused(path, "cannot read its size"))?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() {
                "is a directory"
            } else {
                "is not a regular file"
            };
            return Err(MapError::NotAFile {
                path: path.to_owned(),
                what,
            });
        }
        let map = if metadata.len() == 0 {
            None
        } else {
            // SAFETY: the map is read-only and handed out as plain bytes, for which every value is
            // valid. A writer may change them between two reads: every reader of a map treats each
            // byte as untrusted input and keeps no invariant about it across reads.
            let map = unsafe { memmap2::Mmap::map(file) };
            Some(map.map_err(refused(path, "cannot map"))?)
        };
        Ok(Self {
            map,
            path: path.to_owned(),
        })
    }

    /// Tells the kernel that the bytes will be read from start to end.
    pub fn advise_sequential(&self) {
        if let Some(map) = &self.map {
            // Only a hint: if the kernel refuses it, reading still works.
            let _ = map.advise(memmap2::Advice::Sequential);
        }
    }

    /// Releases the memory of `range`. Its bytes stay readable: they are read from the file again.
    #[cfg(target_os = "linux")]
    pub fn release(&self, range: Range<usize>) {
        if let Some(map) = &self.map
            && range.end <= map.len()
            && range.start < range.end
        {
            // SAFETY: the map is shared with the file and never written to, so after this call its
            // pages are those of the file, as before; a change of the file is as harmless as at any
            // other time.
            let _ = unsafe {
                map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    range.start,
                    range.len(),
                )
            };
        }
    }

    /// Elsewhere, the memory is released with the map.
    #[cfg(not(target_os = "linux"))]
    pub fn release(&self, _: Range<usize>) {}

    /// The file that was mapped.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // A map begins on a page. The slice for an empty file must be aligned, too, or casts to
        // wider elements would panic.
        self.map
            .as_deref()
            .unwrap_or(bytemuck::must_cast_slice::<u64, u8>(&[]))
    }
}

/// Wraps a system error; for use with `map_err`.
fn refused(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> MapError {
    move |source| MapError::Io {
        path: path.to_owned(),
        what,
        source,
    }
}

/// The size of a huge page on x86-64, and of the usual huge page on Arm.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Items that start as zeros, in their own map: on huge pages, if the system has them and there are
/// enough items. Random reads then need no page table walks. Pages that are never touched take no
/// memory.
#[derive(Debug)]
pub struct Slab<T> {
    /// Raw, because items that are atomics may be written through a shared reference.
    map: memmap2::MmapRaw,
    /// The number of bytes of the map before the first item, so that a large slab begins on a huge
    /// page.
    start: usize,
    len: usize,
    /// Makes the slab `Send` and `Sync` only if its items are: a raw map always is.
    items: PhantomData<T>,
}

impl<T: bytemuck::Zeroable> Slab<T> {
    /// `len` items, all zero.
    ///
    /// # Errors
    /// [`OutOfMemory`] if memory runs out.
    pub fn zeroed(len: usize) -> Result<Self, OutOfMemory> {
        let needed_bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        Self::map(len).ok_or(OutOfMemory { needed_bytes })
    }

    /// Like [`Self::zeroed`], with memory for all items allocated now. Memory that is read before
    /// it is written, like hash tables, would otherwise be faulted in twice: first as a shared page
    /// of zeros, then as a copy of it, while the other threads of the process are interrupted.
    ///
    /// # Errors
    /// [`OutOfMemory`] if memory runs out.
    pub fn zeroed_now(len: usize) -> Result<Self, OutOfMemory> {
        let slab = Self::zeroed(len)?;
        // Kernels before Linux 5.14 do not support this.
        #[cfg(all(target_os = "linux", not(miri)))]
        let _ = slab.map.advise_range(
            memmap2::Advice::PopulateWrite,
            slab.start,
            size_of_val::<[T]>(&slab),
        );
        Ok(slab)
    }

    /// Returns the items for the rest of the program.
    pub fn leak(self) -> &'static mut [T]
    where
        T: 'static,
    {
        let mut slab = ManuallyDrop::new(self);
        let items: *mut [T] = &raw mut **slab;
        // SAFETY: as in `deref_mut`; the map is held permanently, and nothing else refers to it.
        unsafe { &mut *items }
    }

    fn map(len: usize) -> Option<Self> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        const { assert!(!std::mem::needs_drop::<T>(), "items are never dropped") };
        let bytes = Layout::array::<T>(len).ok()?.size();
        let is_huge = bytes >= HUGE_PAGE_BYTES;
        let room = if is_huge { HUGE_PAGE_BYTES } else { 1 };
        let map = memmap2::MmapMut::map_anon(bytes.checked_add(room)?).ok()?;
        let map = memmap2::MmapRaw::from(map);
        let start = if is_huge {
            map.as_ptr().align_offset(HUGE_PAGE_BYTES)
        } else {
            0
        };
        // Without huge pages, the slab is only slower.
        #[cfg(all(target_os = "linux", not(miri)))]
        let _ = map.advise(memmap2::Advice::HugePage);
        Some(Self {
            map,
            start,
            len,
            items: PhantomData,
        })
    }
}

impl<T: bytemuck::Zeroable> Deref for Slab<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        let first = self.map.as_ptr().wrapping_add(self.start).cast();
        // SAFETY: `len` items fit in the map from `start` on, which is the beginning of a page, so
        // aligned, and the map is held as long as `self`. The items started as zeros, which are
        // valid for every `T`, and only items are written.
        unsafe { std::slice::from_raw_parts(first, self.len) }
    }
}

impl<T: bytemuck::Zeroable> DerefMut for Slab<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        let first = self.map.as_mut_ptr().wrapping_add(self.start).cast();
        // SAFETY: as in `deref`; `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(first, self.len) }
    }
}

/// Elements for output that is filled repeatedly: page-aligned, and on huge pages if the system has
/// them. They start as zeros.
///
/// Fresh memory costs more than writing to it: each page is faulted in and zeroed first. So keep a
/// buffer and pass it to every call that fills one.
///
/// ```
/// # use shardmill_core::map::Buffer;
/// let mut out = Buffer::<f32>::zeroed(4)?;
/// out[1..3].fill(0.5);
/// assert_eq!(out[..], [0.0, 0.5, 0.5, 0.0]);
/// # Ok::<(), shardmill_core::map::OutOfMemory>(())
/// ```
pub struct Buffer<E>(Slab<E>);

impl<E: Element> Buffer<E> {
    /// `len` zeros.
    ///
    /// # Errors
    /// [`OutOfMemory`] if memory runs out.
    pub fn zeroed(len: usize) -> Result<Self, OutOfMemory> {
        Ok(Self(Slab::zeroed(len)?))
    }

    /// The bytes of the elements.
    pub fn into_bytes(self) -> Slab<u8> {
        let Slab {
            map, start, len, ..
        } = self.0;
        Slab {
            map,
            start,
            // All of them are in the map.
            len: len * size_of::<E>(),
            items: PhantomData,
        }
    }
}

impl<E: Element> Deref for Buffer<E> {
    type Target = [E];

    #[inline]
    fn deref(&self) -> &[E] {
        &self.0
    }
}

impl<E: Element> DerefMut for Buffer<E> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.0
    }
}

/// Shows length and type; never the elements.
impl<E: Element> fmt::Debug for Buffer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len())
            .field("dtype", &E::DTYPE)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_bytes_are_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let bytes: Vec<u8> = (0..=250).cycle().take(100_000).collect();
        std::fs::write(&path, &bytes).unwrap();
        let map = Map::open(&path).unwrap();
        assert!(*map == bytes[..]);
        // Whole pages, parts of some, all of it, nothing, and more than there is.
        for (start, end) in [
            (4096, 8192),
            (5, 70_001),
            (0, 100_000),
            (9, 9),
            (1, 100_001),
        ] {
            map.release(start..end);
            assert!(*map == bytes[..], "{start} to {end}");
        }
    }

    #[test]
    fn a_slab_begins_as_zeros_and_keeps_what_is_put_in() {
        for len in [0, 1, 1000, 1 << 20] {
            let mut slab = Slab::<[u64; 3]>::zeroed(len).unwrap();
            assert!(slab.len() == len && slab.iter().all(|item| *item == [0; 3]));
            if let Some(last) = slab.last_mut() {
                *last = [1, 2, 3];
            }
            let put = slab.iter().filter(|item| **item == [1, 2, 3]).count();
            assert_eq!(put, usize::from(!slab.is_empty()));
        }
    }

    #[test]
    fn large_buffers_begin_on_a_huge_page_and_all_on_a_page() {
        for len in [0, 1, 1000, 1 << 20, (1 << 20) + 1] {
            let mut buffer = Buffer::<half::f16>::zeroed(len).unwrap();
            assert_eq!(buffer.len(), len);
            let boundary = if len < 1 << 20 { 4096 } else { HUGE_PAGE_BYTES };
            assert!(buffer.as_ptr().addr().is_multiple_of(boundary));
            buffer.fill(half::f16::ONE);
            let bytes = buffer.into_bytes();
            assert!(bytes.len() == 2 * len && bytes.as_chunks().0.iter().all(|b| *b == [0, 0x3c]));
        }
    }

    #[test]
    fn a_buffer_beyond_memory_is_an_error() {
        for len in [usize::MAX, usize::MAX / 4, 1 << 60] {
            let error = Buffer::<f32>::zeroed(len).unwrap_err();
            assert_eq!(error.needed_bytes, (len as u64).saturating_mul(4));
        }
    }
}
