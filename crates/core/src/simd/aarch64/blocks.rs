//! [`Blocks`] with NEON.
#![allow(
    clippy::unused_self,
    reason = "taking `self` is how a method shows the proof that the CPU has the instructions"
)]

use std::arch::aarch64::{
    uint8x16_t, uint8x16x4_t, vandq_u8, vbslq_u8, vdupq_n_u8, vget_lane_u64, vgetq_lane_u64,
    vld1q_u8, vld4q_u8, vqtbl1q_u8, vreinterpret_u64_u8, vreinterpretq_u16_u8,
    vreinterpretq_u64_u8, vshlq_n_u8, vshrn_n_u16, vshrq_n_u8, vsliq_n_u8, vsriq_n_u8, vuzp1q_u8,
    vuzp2q_u8,
};

use crate::simd::{BLOCK, Block, Blocks, Nibbles};

use super::Neon;

impl Neon {
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
}
