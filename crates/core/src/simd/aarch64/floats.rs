//! [`Simd`] with NEON.
#![allow(
    clippy::unused_self,
    reason = "taking `self` is how a method shows the proof that the CPU has the instructions"
)]

use std::arch::aarch64::{
    float32x4_t, float32x4x4_t, uint16x8_t, uint32x4_t, vaddhn_high_u32, vaddhn_u32, vaddq_f32,
    vandq_u32, vceqq_f32, vcombine_u64, vcreate_u64, vdupq_n_u32, vget_low_u16, vld1q_f32_x4,
    vld1q_s32, vld1q_u8, vld1q_u16, vmulq_f32, vornq_u16, vqtbl1q_u8, vreinterpretq_f32_u32,
    vreinterpretq_u8_u64, vreinterpretq_u16_u32, vreinterpretq_u32_f32, vreinterpretq_u32_u8,
    vshll_high_n_u16, vshll_n_u16, vshlq_n_u32, vshlq_u32, vsraq_n_u32, vst1q_f32, vst1q_u16,
    vst1q_u32, vsubq_f32, vuzp1q_f32, vuzp1q_u16, vuzp2q_f32, vzip1q_f32, vzip2q_f32,
};
use std::arch::asm;

use half::{bf16, f16};

use crate::simd::{LANES, Lines, PACKED, PACKED_BITS, Simd};

use super::{Neon, prefetch_lines};

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

/// Copies the bytes of each number to a lane, then shifts it to the start of the lane.
#[inline]
#[target_feature(enable = "neon")]
fn unpack([low, high]: [u64; 2]) -> [uint32x4_t; 2] {
    // An index of 16 or more produces zero.
    const BYTES: [[u8; 16]; 2] = [
        [0, 1, 2, 3, 2, 3, 4, 5, 5, 6, 7, 16, 8, 9, 10, 11],
        [
            10, 11, 12, 13, 13, 14, 15, 16, 16, 16, 16, 16, 16, 16, 16, 16,
        ],
    ];
    const SHIFTS: [[i32; 4]; 2] = [[0, -4, 0, 0], [-4, 0, 0, 0]];
    let words = vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)));
    let number = vdupq_n_u32((1 << PACKED_BITS) - 1);
    [0, 1].map(|i| {
        // SAFETY: 16 bytes lie at the address.
        let bytes = unsafe { vld1q_u8(BYTES[i].as_ptr()) };
        // SAFETY: as above.
        let shifts = unsafe { vld1q_s32(SHIFTS[i].as_ptr()) };
        let lanes = vreinterpretq_u32_u8(vqtbl1q_u8(words, bytes));
        vandq_u32(vshlq_u32(lanes, shifts), number)
    })
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
    fn unpack(self, packed: [u64; 2], to: &mut [u32; PACKED]) {
        // SAFETY: `self` proves NEON.
        let numbers = unsafe { unpack(packed) };
        for (numbers, to) in numbers.into_iter().zip(to.as_chunks_mut::<4>().0) {
            // SAFETY: `self` proves NEON; 16 bytes lie at the address, which is aligned for `u32`.
            unsafe { vst1q_u32(to.as_mut_ptr(), numbers) };
        }
    }

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
        prefetch_lines::<false, _>(from, 0);
    }

    #[inline(always)]
    fn prefetch_after<const ONCE: bool, T, const N: usize>(self, from: &[T; N], elements: usize) {
        prefetch_lines::<ONCE, _>(from, elements.wrapping_mul(size_of::<T>()));
    }
}
