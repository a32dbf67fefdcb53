//! UNSAFE ROOM: vector types and the CPU level.
//!
//! A [`Level`] says which instructions a kernel may use and holds the proof that this CPU has them.
//! A kernel is safe code, generic over [`Simd`], that [`Level::dispatch`] compiles once per level.
//! [`scalar`] is the specification: every other level produces the same bits. This room knows
//! nothing of tables, tokens or shapes.
//!
//! Enter a level once per tile, never per row: only code that the compiler inlines into the entered
//! function may use the level's instructions. So everything below it is `#[inline(always)]`, and
//! loops are plain `for` loops: a closure that is not inlined loses the instructions, and then
//! every intrinsic becomes a call (measured: up to 30 times slower).
//!
//! The AVX-512 level has its own instructions for blocks of bytes alone, and else those of AVX2. One
//! for all kernels was measured on Zen 4: text took 3 to 6 % more time, because its masks move
//! between two kinds of registers. The gather is limited by memory; only bf16 output gained, by a
//! tenth.
#![allow(
    unsafe_code,
    reason = "vector instructions are unsafe where the CPU may lack them"
)]
#![allow(
    clippy::inline_always,
    reason = "what is not inlined into the entered function loses its instructions"
)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod each_level;
pub mod scalar;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::fmt;
use std::str::FromStr;

use half::{bf16, f16};

use crate::show::name;

#[cfg(target_arch = "aarch64")]
use aarch64::Neon;
#[cfg(target_arch = "x86_64")]
use x86_64::{avx2::Avx2, avx512::Avx512};

/// A set of CPU instructions that kernels may use.
///
/// A value exists only if this CPU can run it. Every level produces the same bytes.
///
/// ```
/// # use shardmill_core::simd::Level;
/// let level = Level::detect();
/// assert!(Level::available().contains(&level));
/// assert_eq!("scalar".parse::<Level>()?, Level::scalar());
/// # Ok::<(), shardmill_core::simd::UnknownLevel>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Level(Tier);

/// The levels with their proofs, slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tier {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

impl Level {
    /// The fastest level that this CPU has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "aarch64")]
        return Self(Tier::Neon(Neon::baseline()));
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = Avx2::detect() {
            return Self(Avx512::detect(token).map_or(Tier::Avx2(token), Tier::Avx512));
        }
        #[cfg(not(target_arch = "aarch64"))]
        Self::scalar()
    }

    /// The level that every CPU has.
    pub const fn scalar() -> Self {
        Self(Tier::Scalar)
    }

    /// Every level that this CPU has, slowest first.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::scalar()];
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = Avx2::detect() {
            levels.push(Self(Tier::Avx2(token)));
            levels.extend(Avx512::detect(token).map(|token| Self(Tier::Avx512(token))));
        }
        #[cfg(target_arch = "aarch64")]
        levels.push(Self(Tier::Neon(Neon::baseline())));
        levels
    }

    /// `scalar`, `avx2`, `avx512` or `neon`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Tier::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Tier::Neon(_) => "neon",
        }
    }

    /// Runs `kernel`, compiled for this level.
    #[doc(hidden)]
    pub fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Tier::Scalar => kernel.run(scalar::Scalar),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(token) => token.enter(kernel),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512(token) => token.avx2().enter(kernel),
            #[cfg(target_arch = "aarch64")]
            Tier::Neon(token) => token.enter(kernel),
        }
    }

    /// Runs `kernel`, compiled for this level.
    #[doc(hidden)]
    pub fn dispatch_blocks<K: BlockKernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Tier::Scalar => kernel.run(scalar::Scalar),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(token) => token.enter_blocks(kernel),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512(token) => token.enter_blocks(kernel),
            #[cfg(target_arch = "aarch64")]
            Tier::Neon(token) => token.enter_blocks(kernel),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// This CPU has no level of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this CPU has no level '{}'; it has {known}", name(asked))]
pub struct UnknownLevel {
    asked: String,
    /// The names of those that it has.
    known: String,
}

impl FromStr for Level {
    type Err = UnknownLevel;

    /// Finds an available level by name, such as `avx2`; otherwise returns [`UnknownLevel`].
    fn from_str(name: &str) -> Result<Self, UnknownLevel> {
        let levels = Self::available();
        if let Some(level) = levels.iter().find(|level| level.name() == name) {
            return Ok(*level);
        }
        let known: Vec<_> = levels.iter().map(|level| level.name()).collect();
        Err(UnknownLevel {
            asked: name.to_owned(),
            known: known.join(", "),
        })
    }
}

/// A computation that [`Level::dispatch`] compiles for each level.
pub trait Kernel {
    /// What the computation returns.
    type Output;

    /// The computation. Mark it and everything it calls `#[inline(always)]`. Plain scalar loops may
    /// ignore `s` and still get the level's instructions, including `f32::mul_add` as one
    /// instruction.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// A [`Kernel`] that needs only the operations on blocks of bytes.
pub trait BlockKernel {
    /// What the computation returns.
    type Output;

    /// As [`Kernel::run`].
    fn run<B: Blocks>(self, b: B) -> Self::Output;
}

/// Prefetches `slice[index]`, or nothing useful if there is no such item. Only a hint.
#[inline(always)]
pub fn prefetch<T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch of any address is harmless.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(slice.as_ptr().wrapping_add(index).cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    aarch64::prefetch::<false>(slice.as_ptr().wrapping_add(index).cast());
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (slice, index);
}

/// The number of bits of a packed number.
pub const PACKED_BITS: u32 = 20;

/// How many of them a word holds.
pub const PACKED_A_WORD: usize = 3;

/// How many numbers [`Simd::unpack`] writes: two more than two words hold.
pub const PACKED: usize = 2 * PACKED_A_WORD + 2;

/// The number of lanes of a [`Simd::F32x16`].
pub const LANES: usize = 16;

/// The number of elements of a [`Lines`].
pub const LINES_ELEMENTS: usize = 2 * LANES;

/// Two vectors of elements on whole cache lines. Streaming stores accept nothing less: a line that
/// is partly written, or also written by regular stores, costs a round trip to memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Lines<E>(pub [E; LINES_ELEMENTS]);

// SAFETY: it wraps an array of zeroable elements.
unsafe impl<E: bytemuck::Zeroable> bytemuck::Zeroable for Lines<E> {}

// SAFETY: it is an array of plain elements without padding: an `Element` has 2 or 4 bytes, so the
// array has 64 or 128, a multiple of the alignment.
unsafe impl<E: crate::dtype::Element> bytemuck::Pod for Lines<E> {}

/// The number of bytes of a [`Block`].
pub const BLOCK: usize = 64;

/// As many bytes as a mask has bits.
pub type Block = [u8; BLOCK];

/// Up to eight classes of ASCII bytes: byte `b` is in class `k` if bit `k` of
/// `low[b & 15] & high[b >> 4]` is set. Bytes from 0x80 on are in none.
#[derive(Clone, Copy, Debug)]
pub struct Nibbles {
    /// By the lower half of a byte.
    pub low: [u8; 16],
    /// By the upper half.
    pub high: [u8; 16],
}

/// The vector operations on blocks of bytes.
///
/// A value of an implementing type proves that the CPU has the instructions, so the methods are
/// safe. All of them are bit-equal to [`scalar`].
pub trait Blocks: Copy {
    /// One mask per class: bit `i` says whether byte `i` is in it.
    fn classes(self, block: &Block, nibbles: &Nibbles) -> [u64; 8];
    /// Bit `BIT` of each byte.
    fn bits<const BIT: u32>(self, block: &Block) -> u64;
    /// Writes `base` plus the position of each one of `bits`, lowest first; what follows in `to` is
    /// meaningless.
    #[inline(always)]
    fn ones(self, bits: u64, base: usize, to: &mut [usize; BLOCK]) {
        scalar::ones(bits, base, to);
    }
}

/// The vector operations of the kernels, on sixteen `f32` lanes. As [`Blocks`].
pub trait Simd: Copy {
    /// Whether vectors are plain arrays. If so, the compiler generates better code for a loop over
    /// single elements than for one over such vectors (measured: two to six times as fast).
    const IS_PLAIN: bool = false;

    /// Sixteen `f32`.
    type F32x16: Copy;

    /// Writes the numbers of two words, each with [`PACKED_A_WORD`], the first lowest; what follows
    /// in `to` is meaningless.
    #[inline(always)]
    fn unpack(self, packed: [u64; 2], to: &mut [u32; PACKED]) {
        scalar::unpack(packed, to);
    }

    /// Reads sixteen `f32`.
    fn load_f32(self, from: &[f32; LANES]) -> Self::F32x16;
    /// Reads and widens sixteen `f16`.
    fn load_f16(self, from: &[f16; LANES]) -> Self::F32x16;
    /// Reads and widens sixteen `bf16`.
    fn load_bf16(self, from: &[bf16; LANES]) -> Self::F32x16;

    /// Adds lane by lane.
    fn add(self, a: Self::F32x16, b: Self::F32x16) -> Self::F32x16;
    /// Subtracts lane by lane.
    fn sub(self, a: Self::F32x16, b: Self::F32x16) -> Self::F32x16;
    /// Multiplies lane by lane. The product is rounded: no addition is fused with it.
    fn mul(self, a: Self::F32x16, b: Self::F32x16) -> Self::F32x16;
    /// Rotates each pair of lanes `(a, b)` by the angle whose cosine and sine `(c, s)` are in the
    /// same lanes of `angles`: `(a*c - b*s, b*c + a*s)`, with every operation rounded.
    fn turn_pairs(self, values: Self::F32x16, angles: Self::F32x16) -> Self::F32x16;

    /// Writes the lanes.
    fn store_f32(self, values: Self::F32x16, to: &mut [f32; LANES]);
    /// Rounds to nearest, ties to even, and writes the lanes.
    fn store_f16(self, values: Self::F32x16, to: &mut [f16; LANES]);
    /// Rounds to nearest, ties to even, and writes the lanes; NaN becomes `0xFFFF`.
    fn store_bf16(self, values: Self::F32x16, to: &mut [bf16; LANES]);

    /// [`Self::store_f32`] twice, past the caches: for output that is not read soon.
    fn stream_f32(self, values: [Self::F32x16; 2], to: &mut Lines<f32>);
    /// [`Self::store_f16`] twice, past the caches.
    fn stream_f16(self, values: [Self::F32x16; 2], to: &mut Lines<f16>);
    /// [`Self::store_bf16`] twice, past the caches.
    fn stream_bf16(self, values: [Self::F32x16; 2], to: &mut Lines<bf16>);

    /// Prefetches the cache lines of `from`. Only a hint.
    fn prefetch<T, const N: usize>(self, from: &[T; N]);
    /// Prefetches the cache lines at `elements` after `from`, whether they exist or not. If `ONCE`,
    /// they are used soon and then never again, so they should not evict others. Only a hint.
    fn prefetch_after<const ONCE: bool, T, const N: usize>(self, from: &[T; N], elements: usize);
}
