//! NEON, which is in the baseline of `AArch64`: every function may use it.
//!
//! ```text
//! mod     the proof, how a kernel is entered, and prefetches
//! blocks  operations on blocks of bytes
//! floats  operations on sixteen `f32`, and packed numbers
//! ```

mod blocks;
mod floats;

use std::arch::asm;

use super::{BlockKernel, Kernel};

/// Proof that this CPU has NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Neon(());

impl Neon {
    /// The proof, which exists wherever this compiles.
    pub(super) const fn baseline() -> Self {
        const { assert!(cfg!(target_feature = "neon")) };
        Self(())
    }

    /// Runs `kernel` with these instructions.
    pub(super) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        enter(self, kernel)
    }

    /// Runs `kernel` with these instructions.
    pub(super) fn enter_blocks<K: BlockKernel>(self, kernel: K) -> K::Output {
        enter_blocks(self, kernel)
    }
}

/// A kernel is one function, as at the other levels, so that `.ci/check-kernels` finds it.
#[inline(never)]
fn enter<K: Kernel>(token: Neon, kernel: K) -> K::Output {
    kernel.run(token)
}

/// [`enter`] for a kernel on blocks.
#[inline(never)]
fn enter_blocks<K: BlockKernel>(token: Neon, kernel: K) -> K::Output {
    kernel.run(token)
}

/// Prefetches the cache line at `from`, which may be any address. If `ONCE`, it is used soon and
/// then never again.
#[inline(always)]
pub(super) fn prefetch<const ONCE: bool>(from: *const u8) {
    if cfg!(miri) {
        return;
    }
    // SAFETY: a prefetch is part of every `AArch64` CPU and reads nothing, whatever the address.
    unsafe {
        asm!(
            // 0 is pldl1keep, 1 is pldl1strm.
            "prfm #{hint}, [{from}]",
            hint = const ONCE as u8,
            from = in(reg) from,
            options(readonly, nostack, preserves_flags),
        );
    }
}

/// [`prefetch`] of the line at `offset` from `from`. With one register for each, the compiler reads at
/// `from` without computing either from the other.
#[inline(always)]
fn prefetch_at<const ONCE: bool>(from: *const u8, offset: usize) {
    if cfg!(miri) {
        return;
    }
    // SAFETY: as above.
    unsafe {
        asm!(
            "prfm #{hint}, [{from}, {offset}]",
            hint = const ONCE as u8,
            from = in(reg) from,
            offset = in(reg) offset,
            options(readonly, nostack, preserves_flags),
        );
    }
}

/// [`prefetch`] for the cache lines of a `T`, `bytes` after `from`. Some CPUs have longer ones.
#[inline(always)]
fn prefetch_lines<const ONCE: bool, T>(from: *const T, bytes: usize) {
    const LINE_BYTES: usize = 64;
    for offset in (0..size_of::<T>()).step_by(LINE_BYTES) {
        prefetch_at::<ONCE>(from.cast(), bytes.wrapping_add(offset));
    }
}
