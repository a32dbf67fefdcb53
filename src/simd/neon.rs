//! NEON, which is in the baseline of `AArch64`.
//!
//! So nothing need be entered: every function may use it.
#![allow(
    clippy::unused_self,
    reason = "taking `self` is how a method shows the proof that the CPU has the instructions"
)]

use std::arch::aarch64::{
    float32x4_t, float32x4x4_t, uint8x16_t, uint8x16x4_t, uint16x8_t, uint32x4_t, vaddhn_high_u32,
    vaddhn_u32, vaddq_f32, vandq_u8, vbslq_u8, vceqq_f32, vdupq_n_u8, vdupq_n_u32, vget_lane_u64,
    vget_low_u16, vgetq_lane_u64, vld1q_f32_x4, vld1q_u8, vld1q_u16, vld4q_u8, vmulq_f32,
    vornq_u16, vqtbl1q_u8, vreinterpret_u64_u8, vreinterpretq_f32_u32, vreinterpretq_u16_u8,
    vreinterpretq_u16_u32, vreinterpretq_u32_f32, vreinterpretq_u64_u8, vshll_high_n_u16,
    vshll_n_u16, vshlq_n_u8, vshlq_n_u32, vshrn_n_u16, vshrq_n_u8, vsliq_n_u8, vsraq_n_u32,
    vsriq_n_u8, vst1q_f32, vst1q_u16, vsubq_f32, vuzp1q_f32, vuzp1q_u8, vuzp1q_u16, vuzp2q_f32,
    vuzp2q_u8, vzip1q_f32, vzip2q_f32,
};
use std::arch::asm;

use half::{bf16, f16};

use super::{BLOCK, Block, Blocks, LANES, Lines, Nibbles, Simd, scalar};

/// Proof that this CPU has NEON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Neon(());

impl Neon {
    /// The proof, which exists wherever this compiles.
    pub(super) const fn baseline() -> Self {
        const { assert!(cfg!(target_feature = "neon")) };
        Self(())
    }

    /// Reads a block as four vectors: byte `4 * i + j` is in lane `i` of vector `j`. So the bits of
    /// four neighbors are put together without moving lanes.
    #[inline(always)]
    fn load_block(self, from: &Block) -> [uint8x16_t; 4] {
        const { assert!(BLOCK == size_of::<uint8x16x4_t>()) };
        // SAFETY: `self` proves NEON; 64 bytes lie at the address, which need not be aligned.
        let uint8x16x4_t(a, b, c, d) = unsafe { vld4q_u8(from.as_ptr()) };
        [a, b, c, d]
    }

    #[inline(always)]
    fn load_table(self, from: &[u8; 16]) -> uint8x16_t {
        // SAFETY: `self` proves NEON; 16 bytes lie at the address, which need not be aligned.
        unsafe { vld1q_u8(from.as_ptr()) }
    }
}

/// Sixteen elements as two times eight.
#[inline(always)]
fn halves<T>(from: &[T; LANES]) -> [&[T; 8]; 2] {
    let halves = from.as_chunks().0;
    [&halves[0], &halves[1]]
}

/// [`halves`] to write to.
#[inline(always)]
fn halves_mut<T>(to: &mut [T; LANES]) -> [&mut [T; 8]; 2] {
    let [low, high] = to.as_chunks_mut().0 else {
        unreachable!("sixteen is two times eight");
    };
    [low, high]
}

/// Lines as vectors.
#[inline(always)]
fn vectors_mut<E>(to: &mut Lines<E>) -> [&mut [E; LANES]; 2] {
    let [first, second] = to.0.as_chunks_mut().0 else {
        unreachable!("lines are two vectors");
    };
    [first, second]
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

/// [`prefetch`] for the cache lines of a `T`. Some CPUs have longer ones.
#[inline(always)]
fn prefetch_lines<const ONCE: bool, T>(from: *const T) {
    const LINE_BYTES: usize = 64;
    for offset in (0..size_of::<T>()).step_by(LINE_BYTES) {
        prefetch::<ONCE>(from.cast::<u8>().wrapping_add(offset));
    }
}

/// Widens eight `f16`. The intrinsic needs the type `f16` of the language, which is not stable.
#[inline]
#[target_feature(enable = "neon")]
fn widen_f16(bits: uint16x8_t) -> [float32x4_t; 2] {
    let [low, high]: [float32x4_t; 2];
    // SAFETY: the instructions are part of NEON, and write nothing but the registers and the flags
    // for inexact results and the like.
    unsafe {
        asm!(
            "fcvtl {low:v}.4s, {bits:v}.4h",
            "fcvtl2 {high:v}.4s, {bits:v}.8h",
            bits = in(vreg) bits,
            low = out(vreg) low,
            high = lateout(vreg) high,
            options(pure, nomem, nostack),
        );
    }
    [low, high]
}

/// Rounds eight lanes to `f16`, in the mode that Rust assumes, to nearest. As above.
#[inline]
#[target_feature(enable = "neon")]
fn round_f16([low, high]: [float32x4_t; 2]) -> uint16x8_t {
    let bits: uint16x8_t;
    // SAFETY: as above.
    unsafe {
        asm!(
            "fcvtn {bits:v}.4h, {low:v}.4s",
            "fcvtn2 {bits:v}.8h, {high:v}.4s",
            low = in(vreg) low,
            high = in(vreg) high,
            bits = out(vreg) bits,
            options(pure, nomem, nostack),
        );
    }
    bits
}

/// Widens eight `bf16`.
#[inline]
#[target_feature(enable = "neon")]
fn widen_bf16(bits: uint16x8_t) -> [float32x4_t; 2] {
    [
        vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_low_u16(bits))),
        vreinterpretq_f32_u32(vshll_high_n_u16::<16>(bits)),
    ]
}

/// Rounds eight lanes to `bf16`.
#[inline]
#[target_feature(enable = "neon")]
fn round_bf16([low, high]: [float32x4_t; 2]) -> uint16x8_t {
    let below_half = vdupq_n_u32(0x7fff);
    let rounded = vaddhn_u32(add_odd(low), below_half);
    let rounded = vaddhn_high_u32(rounded, add_odd(high), below_half);
    // A branch for NaN, which is rare, would take as many instructions.
    let are_numbers = vuzp1q_u16(
        vreinterpretq_u16_u32(vceqq_f32(low, low)),
        vreinterpretq_u16_u32(vceqq_f32(high, high)),
    );
    vornq_u16(rounded, are_numbers)
}

/// Adds 1 to the bits of each lane whose upper half is odd.
#[inline]
#[target_feature(enable = "neon")]
fn add_odd(values: float32x4_t) -> uint32x4_t {
    let bits = vreinterpretq_u32_f32(values);
    vsraq_n_u32::<31>(bits, vshlq_n_u32::<15>(bits))
}

/// Adds lane by lane.
#[inline]
#[target_feature(enable = "neon")]
fn add([a0, a1, a2, a3]: [float32x4_t; 4], [b0, b1, b2, b3]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    [
        vaddq_f32(a0, b0),
        vaddq_f32(a1, b1),
        vaddq_f32(a2, b2),
        vaddq_f32(a3, b3),
    ]
}

/// Subtracts lane by lane.
#[inline]
#[target_feature(enable = "neon")]
fn sub([a0, a1, a2, a3]: [float32x4_t; 4], [b0, b1, b2, b3]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    [
        vsubq_f32(a0, b0),
        vsubq_f32(a1, b1),
        vsubq_f32(a2, b2),
        vsubq_f32(a3, b3),
    ]
}

/// Multiplies lane by lane.
#[inline]
#[target_feature(enable = "neon")]
fn mul([a0, a1, a2, a3]: [float32x4_t; 4], [b0, b1, b2, b3]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    [
        vmulq_f32(a0, b0),
        vmulq_f32(a1, b1),
        vmulq_f32(a2, b2),
        vmulq_f32(a3, b3),
    ]
}

/// Rotates pairs of lanes.
#[inline]
#[target_feature(enable = "neon")]
fn turn_pairs(
    [low, high]: [float32x4_t; 2],
    [low_angles, high_angles]: [float32x4_t; 2],
) -> [float32x4_t; 2] {
    let (a, b) = (vuzp1q_f32(low, high), vuzp2q_f32(low, high));
    let cosines = vuzp1q_f32(low_angles, high_angles);
    let sines = vuzp2q_f32(low_angles, high_angles);
    let first = vsubq_f32(vmulq_f32(a, cosines), vmulq_f32(b, sines));
    let second = vaddq_f32(vmulq_f32(b, cosines), vmulq_f32(a, sines));
    [vzip1q_f32(first, second), vzip2q_f32(first, second)]
}

/// The class bits of each byte.
#[inline]
#[target_feature(enable = "neon")]
fn class_bits(bytes: uint8x16_t, [low, high]: [uint8x16_t; 2]) -> uint8x16_t {
    // An index of 16 or more produces zero, so that the top bit must stay.
    let lower = vandq_u8(bytes, vdupq_n_u8(0x8f));
    let upper = vshrq_n_u8::<4>(bytes);
    vandq_u8(vqtbl1q_u8(low, lower), vqtbl1q_u8(high, upper))
}

/// Moves bit `BIT` of each byte to the top.
#[inline]
#[target_feature(enable = "neon")]
fn to_top<const BIT: u32>(bytes: uint8x16_t) -> uint8x16_t {
    match BIT {
        0 => vshlq_n_u8::<7>(bytes),
        1 => vshlq_n_u8::<6>(bytes),
        2 => vshlq_n_u8::<5>(bytes),
        3 => vshlq_n_u8::<4>(bytes),
        4 => vshlq_n_u8::<3>(bytes),
        5 => vshlq_n_u8::<2>(bytes),
        6 => vshlq_n_u8::<1>(bytes),
        _ => bytes,
    }
}

/// Bit `BIT` of each byte of a block.
#[inline]
#[target_feature(enable = "neon")]
fn mask<const BIT: u32>(block: [uint8x16_t; 4]) -> u64 {
    let [a, b, c, d] = block;
    let [a, b, c, d] = [
        to_top::<BIT>(a),
        to_top::<BIT>(b),
        to_top::<BIT>(c),
        to_top::<BIT>(d),
    ];
    // Each vector keeps its top bits, and those of the vector before come right below them.
    let ab = vsriq_n_u8::<1>(b, a);
    let cd = vsriq_n_u8::<1>(d, c);
    let nibbles = vsriq_n_u8::<2>(cd, ab);
    // From each pair of bytes, the nibble of the first one and then that of the second.
    let twice = vsriq_n_u8::<4>(nibbles, nibbles);
    let packed = vshrn_n_u16::<4>(vreinterpretq_u16_u8(twice));
    vget_lane_u64::<0>(vreinterpret_u64_u8(packed))
}

/// The masks of the classes.
#[inline]
#[target_feature(enable = "neon")]
fn class_masks([a, b, c, d]: [uint8x16_t; 4], tables: [uint8x16_t; 2]) -> [u64; 8] {
    masks([
        class_bits(a, tables),
        class_bits(b, tables),
        class_bits(c, tables),
        class_bits(d, tables),
    ])
}

/// Each bit of every byte of a block: its bits are transposed in three steps, for all masks at once.
#[inline]
#[target_feature(enable = "neon")]
fn masks([a, b, c, d]: [uint8x16_t; 4]) -> [u64; 8] {
    let [ab_even, ab_odd] = pairs(a, b);
    let [cd_even, cd_odd] = pairs(c, d);
    let [nibbles_04, nibbles_26] = nibbles(ab_even, cd_even);
    let [nibbles_15, nibbles_37] = nibbles(ab_odd, cd_odd);
    let [[m0, m1], [m4, m5]] = pack(nibbles_04, nibbles_15);
    let [[m2, m3], [m6, m7]] = pack(nibbles_26, nibbles_37);
    [m0, m1, m2, m3, m4, m5, m6, m7]
}

/// Pairs of a bit of `a` and that bit of `b`: of bits 0, 2, 4 and 6, then of 1, 3, 5 and 7.
#[inline]
#[target_feature(enable = "neon")]
fn pairs(a: uint8x16_t, b: uint8x16_t) -> [uint8x16_t; 2] {
    let first = vdupq_n_u8(0b0101_0101);
    [
        vbslq_u8(first, a, vshlq_n_u8::<1>(b)),
        vbslq_u8(first, vshrq_n_u8::<1>(a), b),
    ]
}

/// Nibbles of a pair of `ab` and that pair of `cd`: of pairs 0 and 2, then of 1 and 3.
#[inline]
#[target_feature(enable = "neon")]
fn nibbles(ab: uint8x16_t, cd: uint8x16_t) -> [uint8x16_t; 2] {
    let first = vdupq_n_u8(0b0011_0011);
    [
        vbslq_u8(first, ab, vshlq_n_u8::<2>(cd)),
        vbslq_u8(first, vshrq_n_u8::<2>(ab), cd),
    ]
}

/// The lower nibbles of `a` and of `b`, then the upper ones.
#[inline]
#[target_feature(enable = "neon")]
fn pack(a: uint8x16_t, b: uint8x16_t) -> [[u64; 2]; 2] {
    let (even, odd) = (vuzp1q_u8(a, b), vuzp2q_u8(a, b));
    let lower = vreinterpretq_u64_u8(vsliq_n_u8::<4>(even, odd));
    let upper = vreinterpretq_u64_u8(vsriq_n_u8::<4>(odd, even));
    [
        [vgetq_lane_u64::<0>(lower), vgetq_lane_u64::<1>(lower)],
        [vgetq_lane_u64::<0>(upper), vgetq_lane_u64::<1>(upper)],
    ]
}

impl Neon {
    /// Reads eight elements of a 16-bit type.
    #[inline(always)]
    fn load_u16<E: crate::dtype::Element>(self, from: &[E; 8]) -> uint16x8_t {
        const { assert!(size_of::<E>() == 2) };
        // SAFETY: `self` proves NEON; 16 bytes lie at the address, which is aligned for an `E`.
        unsafe { vld1q_u16(from.as_ptr().cast()) }
    }

    /// Writes eight elements of a 16-bit type.
    #[inline(always)]
    fn store_u16<E: crate::dtype::Element>(self, bits: uint16x8_t, to: &mut [E; 8]) {
        const { assert!(size_of::<E>() == 2) };
        // SAFETY: `self` proves NEON; 16 bytes lie at the address, which is aligned for an `E`, and
        // every bit pattern is an `E`.
        unsafe { vst1q_u16(to.as_mut_ptr().cast(), bits) };
    }
}

/// Stores are regular ones: there are none past the caches, only pairs with a hint.
impl Simd for Neon {
    type F32x16 = [float32x4_t; 4];

    #[inline(always)]
    fn load_f32(self, from: &[f32; LANES]) -> Self::F32x16 {
        // SAFETY: `self` proves NEON; 64 bytes lie at the address, which is aligned for `f32`.
        let float32x4x4_t(a, b, c, d) = unsafe { vld1q_f32_x4(from.as_ptr()) };
        [a, b, c, d]
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16; LANES]) -> Self::F32x16 {
        let [low, high] = halves(from);
        // SAFETY: `self` proves NEON.
        let [a, b] = unsafe { widen_f16(self.load_u16(low)) };
        // SAFETY: as above.
        let [c, d] = unsafe { widen_f16(self.load_u16(high)) };
        [a, b, c, d]
    }

    #[inline(always)]
    fn load_bf16(self, from: &[bf16; LANES]) -> Self::F32x16 {
        let [low, high] = halves(from);
        // SAFETY: `self` proves NEON.
        let [a, b] = unsafe { widen_bf16(self.load_u16(low)) };
        // SAFETY: as above.
        let [c, d] = unsafe { widen_bf16(self.load_u16(high)) };
        [a, b, c, d]
    }

    #[inline(always)]
    fn add(self, a: Self::F32x16, b: Self::F32x16) -> Self::F32x16 {
        // SAFETY: `self` proves NEON.
        unsafe { add(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::F32x16, b: Self::F32x16) -> Self::F32x16 {
        // SAFETY: `self` proves NEON.
        unsafe { sub(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::F32x16, b: Self::F32x16) -> Self::F32x16 {
        // SAFETY: `self` proves NEON.
        unsafe { mul(a, b) }
    }

    #[inline(always)]
    fn turn_pairs(self, values: Self::F32x16, angles: Self::F32x16) -> Self::F32x16 {
        let [[a, b, c, d], [angles_a, angles_b, angles_c, angles_d]] = [values, angles];
        // SAFETY: `self` proves NEON.
        let [a, b] = unsafe { turn_pairs([a, b], [angles_a, angles_b]) };
        // SAFETY: as above.
        let [c, d] = unsafe { turn_pairs([c, d], [angles_c, angles_d]) };
        [a, b, c, d]
    }

    #[inline(always)]
    fn store_f32(self, values: Self::F32x16, to: &mut [f32; LANES]) {
        for (values, to) in values.into_iter().zip(to.as_chunks_mut::<4>().0) {
            // SAFETY: `self` proves NEON; 16 bytes lie at the address, which is aligned for `f32`.
            unsafe { vst1q_f32(to.as_mut_ptr(), values) };
        }
    }

    #[inline(always)]
    fn store_f16(self, [a, b, c, d]: Self::F32x16, to: &mut [f16; LANES]) {
        let [low, high] = halves_mut(to);
        // SAFETY: `self` proves NEON.
        self.store_u16(unsafe { round_f16([a, b]) }, low);
        // SAFETY: as above.
        self.store_u16(unsafe { round_f16([c, d]) }, high);
    }

    #[inline(always)]
    fn store_bf16(self, [a, b, c, d]: Self::F32x16, to: &mut [bf16; LANES]) {
        let [low, high] = halves_mut(to);
        // SAFETY: `self` proves NEON.
        self.store_u16(unsafe { round_bf16([a, b]) }, low);
        // SAFETY: as above.
        self.store_u16(unsafe { round_bf16([c, d]) }, high);
    }

    #[inline(always)]
    fn stream_f32(self, [first, second]: [Self::F32x16; 2], to: &mut Lines<f32>) {
        let [to_first, to_second] = vectors_mut(to);
        self.store_f32(first, to_first);
        self.store_f32(second, to_second);
    }

    #[inline(always)]
    fn stream_f16(self, [first, second]: [Self::F32x16; 2], to: &mut Lines<f16>) {
        let [to_first, to_second] = vectors_mut(to);
        self.store_f16(first, to_first);
        self.store_f16(second, to_second);
    }

    #[inline(always)]
    fn stream_bf16(self, [first, second]: [Self::F32x16; 2], to: &mut Lines<bf16>) {
        let [to_first, to_second] = vectors_mut(to);
        self.store_bf16(first, to_first);
        self.store_bf16(second, to_second);
    }

    #[inline(always)]
    fn prefetch<T, const N: usize>(self, from: &[T; N]) {
        prefetch_lines::<false, [T; N]>(from);
    }

    #[inline(always)]
    fn prefetch_after<const ONCE: bool, T, const N: usize>(self, from: &[T; N], elements: usize) {
        prefetch_lines::<ONCE, [T; N]>(from.as_ptr().wrapping_add(elements).cast());
    }
}

impl Blocks for Neon {
    #[inline(always)]
    fn classes(self, block: &Block, nibbles: &Nibbles) -> [u64; 8] {
        let tables = [
            self.load_table(&nibbles.low),
            self.load_table(&nibbles.high),
        ];
        // SAFETY: `self` proves NEON.
        unsafe { class_masks(self.load_block(block), tables) }
    }

    #[inline(always)]
    fn bits<const BIT: u32>(self, block: &Block) -> u64 {
        // SAFETY: `self` proves NEON.
        unsafe { mask::<BIT>(self.load_block(block)) }
    }

    #[inline(always)]
    fn ones(self, bits: u64, base: usize, to: &mut [usize; BLOCK]) {
        scalar::ones(bits, base, to);
    }
}
