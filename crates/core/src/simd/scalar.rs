//! The specification: what every level computes, one element at a time.

use half::{bf16, f16};

use super::{
    BLOCK, Block, Blocks, LANES, Lines, Nibbles, PACKED, PACKED_A_WORD, PACKED_BITS, Simd,
};

/// Exponent bits of an `f32` infinity, and of an `f16` one.
const INFINITY_F32: u32 = 0x7f80_0000;
const INFINITY_F16: u32 = 0x7c00;
/// The bit that makes an `f32` NaN a quiet one.
const QUIET_F32: u32 = 0x0040_0000;
/// The smallest normal `f16`.
const SMALLEST_NORMAL_F16: u32 = 0x0400;
/// 2^16, 2^-14 and 2^-1 as `f32` bits. Below 2^-14 an `f16` is subnormal: a multiple of 2^-24,
/// which is the last place of an `f32` in [1/2, 1).
const OVERFLOW: u32 = 0x4780_0000;
const SMALLEST_NORMAL: u32 = 0x3880_0000;
const HALF: u32 = 0x3f00_0000;
/// The difference of the two formats' exponent biases, in `f32` exponent position.
const REBIAS: u32 = (127 - 15) << 23;

/// Widens an `f16` exactly. A signaling NaN becomes quiet and keeps its sign and payload.
///
/// Here and below, every case is computed and one is selected: without branches, the compiler
/// vectorizes the code with whatever instructions are available.
#[inline(always)]
pub fn widen_f16(value: f16) -> f32 {
    let bits = u32::from(value.to_bits());
    let sign = (bits & 0x8000) << 16;
    let magnitude = (bits & 0x7fff) << 13;
    // A subnormal: the low bits of a number in [2^-14, 2^-13), minus its leading one.
    let above = f32::from_bits(magnitude.wrapping_add(SMALLEST_NORMAL));
    let subnormal = (above - f32::from_bits(SMALLEST_NORMAL)).to_bits();
    let normal = magnitude.wrapping_add(REBIAS);
    let is_nan = magnitude > INFINITY_F16 << 13;
    let special = magnitude | INFINITY_F32 | if is_nan { QUIET_F32 } else { 0 };
    let finite = if magnitude < SMALLEST_NORMAL_F16 << 13 {
        subnormal
    } else {
        normal
    };
    let wide = if magnitude < INFINITY_F16 << 13 {
        finite
    } else {
        special
    };
    f32::from_bits(sign | wide)
}

/// Widens a `bf16` exactly: it is the upper half of the `f32`.
#[inline(always)]
pub fn widen_bf16(value: bf16) -> f32 {
    f32::from_bits(u32::from(value.to_bits()) << 16)
}

/// Rounds to nearest, ties to even, like the F16C instruction and PyTorch: 65520 and above become
/// infinity, subnormals are kept, and a NaN keeps its sign and the top ten bits of its payload.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "all that is cast lies in the lower 16 bits"
)]
pub fn round_f16(value: f32) -> f16 {
    let bits = value.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let nan = 0x7e00 | (magnitude >> 13 & 0x03ff);
    // The addition rounds to a multiple of 2^-24, which ends up in the low bits.
    let rounded = f32::from_bits(magnitude) + f32::from_bits(HALF);
    let subnormal = rounded.to_bits().wrapping_sub(HALF);
    // A carry out of the fraction goes into the exponent, and from there to infinity.
    let rebiased = magnitude.wrapping_sub(REBIAS);
    let normal = rebiased.wrapping_add(0x0fff + (magnitude >> 13 & 1)) >> 13;
    let finite = if magnitude < SMALLEST_NORMAL {
        subnormal
    } else {
        normal
    };
    let special = if magnitude > INFINITY_F32 {
        nan
    } else {
        INFINITY_F16
    };
    let narrow = if magnitude < OVERFLOW {
        finite
    } else {
        special
    };
    f16::from_bits((bits >> 16 & 0x8000 | narrow) as u16)
}

/// Rounds to nearest, ties to even. Every NaN becomes `0xFFFF`, as in PyTorch's vector code; its
/// scalar code produces `0x7FC0`.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "all that is cast lies in the lower 16 bits"
)]
pub fn round_bf16(value: f32) -> bf16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let is_nan = bits & 0x7fff_ffff > INFINITY_F32;
    bf16::from_bits(if is_nan { 0xffff } else { rounded } as u16)
}

/// [`Simd::unpack`].
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "masked to the bits of a number"
)]
pub(super) fn unpack(packed: [u64; 2], to: &mut [u32; PACKED]) {
    let (numbers, _) = to.as_chunks_mut::<PACKED_A_WORD>();
    for (word, numbers) in packed.into_iter().zip(numbers) {
        for (i, number) in (0..).zip(numbers) {
            *number = (word >> (i * PACKED_BITS)) as u32 & ((1 << PACKED_BITS) - 1);
        }
    }
}

/// The level that every CPU has.
#[derive(Clone, Copy, Debug)]
pub struct Scalar;

/// Bit `BIT` of each byte.
#[inline(always)]
fn bits<const BIT: u32>(block: &Block) -> u64 {
    let mut mask = 0;
    for (i, eight) in (0..).zip(block.as_chunks().0) {
        let ones = u64::from_le_bytes(*eight) >> BIT & 0x0101_0101_0101_0101;
        // Moves bit 8j to bit 56 + j; no two products overlap, so nothing carries.
        mask |= (ones.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * i);
    }
    mask
}

impl Simd for Scalar {
    const IS_PLAIN: bool = true;
    type F32x16 = [f32; LANES];

    #[inline(always)]
    fn load_f32(self, from: &[f32; LANES]) -> Self::F32x16 {
        *from
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16; LANES]) -> Self::F32x16 {
        from.map(widen_f16)
    }

    #[inline(always)]
    fn load_bf16(self, from: &[bf16; LANES]) -> Self::F32x16 {
        from.map(widen_bf16)
    }

    #[inline(always)]
    fn add(self, mut a: Self::F32x16, b: Self::F32x16) -> Self::F32x16 {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
        a
    }

    #[inline(always)]
    fn sub(self, mut a: Self::F32x16, b: Self::F32x16) -> Self::F32x16 {
        for (a, b) in a.iter_mut().zip(b) {
            *a -= b;
        }
        a
    }

    #[inline(always)]
    fn mul(self, mut a: Self::F32x16, b: Self::F32x16) -> Self::F32x16 {
        for (a, b) in a.iter_mut().zip(b) {
            *a *= b;
        }
        a
    }

    #[inline(always)]
    fn turn_pairs(self, mut values: Self::F32x16, angles: Self::F32x16) -> Self::F32x16 {
        let pairs = values.as_chunks_mut::<2>().0;
        for (pair, [cosine, sine]) in pairs.iter_mut().zip(angles.as_chunks().0) {
            let [a, b] = *pair;
            *pair = [a * cosine - b * sine, b * cosine + a * sine];
        }
        values
    }

    #[inline(always)]
    fn store_f32(self, values: Self::F32x16, to: &mut [f32; LANES]) {
        *to = values;
    }

    #[inline(always)]
    fn store_f16(self, values: Self::F32x16, to: &mut [f16; LANES]) {
        *to = values.map(round_f16);
    }

    #[inline(always)]
    fn store_bf16(self, values: Self::F32x16, to: &mut [bf16; LANES]) {
        *to = values.map(round_bf16);
    }

    #[inline(always)]
    fn stream_f32(self, values: [Self::F32x16; 2], to: &mut Lines<f32>) {
        for (values, to) in values.into_iter().zip(to.0.as_chunks_mut().0) {
            self.store_f32(values, to);
        }
    }

    #[inline(always)]
    fn stream_f16(self, values: [Self::F32x16; 2], to: &mut Lines<f16>) {
        for (values, to) in values.into_iter().zip(to.0.as_chunks_mut().0) {
            self.store_f16(values, to);
        }
    }

    #[inline(always)]
    fn stream_bf16(self, values: [Self::F32x16; 2], to: &mut Lines<bf16>) {
        for (values, to) in values.into_iter().zip(to.0.as_chunks_mut().0) {
            self.store_bf16(values, to);
        }
    }

    #[inline(always)]
    fn prefetch<T, const N: usize>(self, _from: &[T; N]) {}

    #[inline(always)]
    fn prefetch_after<const ONCE: bool, T, const N: usize>(self, _from: &[T; N], _elements: usize) {
    }
}

impl Blocks for Scalar {
    #[inline(always)]
    fn classes(self, block: &Block, nibbles: &Nibbles) -> [u64; 8] {
        let mut classes = [0; BLOCK];
        for (class, &byte) in classes.iter_mut().zip(block) {
            if byte < 0x80 {
                let [low, high] = [byte & 15, byte >> 4].map(usize::from);
                *class = nibbles.low[low] & nibbles.high[high];
            }
        }
        [
            bits::<0>(&classes),
            bits::<1>(&classes),
            bits::<2>(&classes),
            bits::<3>(&classes),
            bits::<4>(&classes),
            bits::<5>(&classes),
            bits::<6>(&classes),
            bits::<7>(&classes),
        ]
    }

    #[inline(always)]
    fn bits<const BIT: u32>(self, block: &Block) -> u64 {
        bits::<BIT>(block)
    }
}

/// How many places [`Blocks::ones`] writes at least: a word has 14 pretokens on average, and a CPU
/// could not predict their actual number.
const UNCONDITIONAL: usize = 16;

/// [`Blocks::ones`]
#[inline(always)]
pub(super) fn ones(mut bits: u64, base: usize, to: &mut [usize; BLOCK]) {
    for place in &mut to[..UNCONDITIONAL] {
        *place = base + bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
    }
    more_ones(bits, base, &mut to[UNCONDITIONAL..]);
}

/// [`ones`], however many there are.
#[inline(always)]
pub(super) fn more_ones(mut bits: u64, base: usize, to: &mut [usize]) {
    for place in to {
        if bits == 0 {
            break;
        }
        *place = base + bits.trailing_zeros() as usize;
        bits &= bits - 1;
    }
}
