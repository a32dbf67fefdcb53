//! AVX-512, for blocks of bytes.
//!
//! It is written as assembly, because the compiler must not know of it: it would also compute with
//! masks in registers of their own, and move them back and forth. The vector registers are those
//! that AVX2 lacks, so their upper halves need no clearing.

use std::arch::asm;
use std::arch::x86_64::_pdep_u64;
use std::mem::offset_of;

use super::avx2::Avx2;
use crate::simd::scalar;
use crate::simd::{BLOCK, Block, BlockKernel, Blocks, Nibbles};

/// Proof that this CPU has AVX-512 F, BW and VBMI2, besides AVX2; only detection creates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::simd) struct Avx512(Avx2);

impl Avx512 {
    /// The proof, if the CPU has the features.
    pub(in crate::simd) fn detect(avx2: Avx2) -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2");
        has_all.then_some(Self(avx2))
    }

    pub(in crate::simd) const fn avx2(self) -> Avx2 {
        self.0
    }

    /// Runs `kernel` with these instructions.
    pub(in crate::simd) fn enter_blocks<K: BlockKernel>(self, kernel: K) -> K::Output {
        // SAFETY: the proof has one of every feature that `enter_blocks` enables.
        unsafe { enter_blocks(self, kernel) }
    }
}

/// The only function of a kernel that has the features of AVX2 enabled; everything else is inlined
/// into it.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,f16c,fma")]
fn enter_blocks<K: BlockKernel>(token: Avx512, kernel: K) -> K::Output {
    kernel.run(token)
}

/// How many places [`Blocks::ones`] writes at least: few words have more pretokens.
const UNCONDITIONAL: usize = 32;

/// Vectors in memory.
#[repr(C, align(64))]
struct Constants {
    /// Each bit, in every byte.
    bits: [Block; 8],
    low_nibbles: Block,
    positions: Block,
}

#[expect(clippy::cast_possible_truncation, reason = "positions are below 64")]
static CONSTANTS: Constants = Constants {
    bits: {
        let mut bits = [[0; BLOCK]; 8];
        let mut bit = 0;
        while bit < 8 {
            bits[bit] = [1 << bit; BLOCK];
            bit += 1;
        }
        bits
    },
    low_nibbles: [0x0f; BLOCK],
    positions: {
        let mut positions = [0; BLOCK];
        let mut at = 0;
        while at < BLOCK {
            positions[at] = at as u8;
            at += 1;
        }
        positions
    },
};

impl Blocks for Avx512 {
    #[inline(always)]
    fn classes(self, block: &Block, nibbles: &Nibbles) -> [u64; 8] {
        let [m0, m1, m2, m3, m4, m5, m6, m7]: [u64; 8];
        // SAFETY: `self` proves the instructions. They read a block, two tables and the constants,
        // at addresses that need not be aligned, and write nothing but the registers.
        unsafe {
            asm!(
                "vmovdqu64 zmm16, [{block}]",
                "vbroadcasti32x4 zmm18, [{low}]",
                "vbroadcasti32x4 zmm19, [{high}]",
                "vpsrlw zmm17, zmm16, 4",
                "vpandd zmm17, zmm17, [rip + {constants} + {low_nibbles}]",
                // An index of 0x80 or more produces zero.
                "vpshufb zmm18, zmm18, zmm16",
                "vpshufb zmm19, zmm19, zmm17",
                "vpandd zmm16, zmm18, zmm19",
                "vptestmb k1, zmm16, [rip + {constants}]",
                "vptestmb k2, zmm16, [rip + {constants} + 64]",
                "vptestmb k3, zmm16, [rip + {constants} + 128]",
                "vptestmb k4, zmm16, [rip + {constants} + 192]",
                "kmovq {m0}, k1",
                "kmovq {m1}, k2",
                "kmovq {m2}, k3",
                "kmovq {m3}, k4",
                "vptestmb k1, zmm16, [rip + {constants} + 256]",
                "vptestmb k2, zmm16, [rip + {constants} + 320]",
                "vptestmb k3, zmm16, [rip + {constants} + 384]",
                "vptestmb k4, zmm16, [rip + {constants} + 448]",
                "kmovq {m4}, k1",
                "kmovq {m5}, k2",
                "kmovq {m6}, k3",
                "kmovq {m7}, k4",
                block = in(reg) block.as_ptr(),
                low = in(reg) nibbles.low.as_ptr(),
                high = in(reg) nibbles.high.as_ptr(),
                constants = sym CONSTANTS,
                low_nibbles = const offset_of!(Constants, low_nibbles),
                m0 = lateout(reg) m0,
                m1 = lateout(reg) m1,
                m2 = lateout(reg) m2,
                m3 = lateout(reg) m3,
                m4 = lateout(reg) m4,
                m5 = lateout(reg) m5,
                m6 = lateout(reg) m6,
                m7 = lateout(reg) m7,
                out("xmm16") _, out("xmm17") _, out("xmm18") _, out("xmm19") _,
                out("k1") _, out("k2") _, out("k3") _, out("k4") _,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        [m0, m1, m2, m3, m4, m5, m6, m7]
    }

    #[inline(always)]
    fn bits<const BIT: u32>(self, block: &Block) -> u64 {
        const { assert!(BIT < u8::BITS) };
        let mask: u64;
        // SAFETY: as above.
        unsafe {
            asm!(
                "vmovdqu64 zmm16, [{block}]",
                "vptestmb k1, zmm16, [rip + {constants} + 64 * {bit}]",
                "kmovq {mask}, k1",
                block = in(reg) block.as_ptr(),
                constants = sym CONSTANTS,
                bit = const BIT,
                mask = lateout(reg) mask,
                out("xmm16") _, out("k1") _,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        mask
    }

    #[inline(always)]
    fn ones(self, bits: u64, base: usize, to: &mut [usize; BLOCK]) {
        // SAFETY: `self` proves the instructions. They read the constants and write the first
        // places of `to`.
        unsafe {
            asm!(
                "kmovq k1, {bits}",
                "vmovdqa64 zmm16, [rip + {constants} + {positions}]",
                "vpbroadcastq zmm18, {base}",
                "vpcompressb zmm16{{k1}}{{z}}, zmm16",
                "vextracti32x4 xmm19, zmm16, 1",
                "vpmovzxbq zmm17, xmm16",
                "vpsrldq zmm16, zmm16, 8",
                "vpmovzxbq zmm16, xmm16",
                "vpaddq zmm17, zmm17, zmm18",
                "vpaddq zmm16, zmm16, zmm18",
                "vmovdqu64 [{to}], zmm17",
                "vmovdqu64 [{to} + 64], zmm16",
                "vpmovzxbq zmm17, xmm19",
                "vpsrldq zmm19, zmm19, 8",
                "vpmovzxbq zmm19, xmm19",
                "vpaddq zmm17, zmm17, zmm18",
                "vpaddq zmm19, zmm19, zmm18",
                "vmovdqu64 [{to} + 128], zmm17",
                "vmovdqu64 [{to} + 192], zmm19",
                bits = in(reg) bits,
                base = in(reg) base,
                to = in(reg) to.as_mut_ptr(),
                constants = sym CONSTANTS,
                positions = const offset_of!(Constants, positions),
                out("xmm16") _, out("xmm17") _, out("xmm18") _, out("xmm19") _, out("k1") _,
                options(nostack, preserves_flags),
            );
        }
        // SAFETY: `self` proves BMI2.
        let first = unsafe { _pdep_u64((1 << UNCONDITIONAL) - 1, bits) };
        scalar::more_ones(bits & !first, base, &mut to[UNCONDITIONAL..]);
    }
}

const _: () = assert!(size_of::<usize>() == size_of::<u64>() && UNCONDITIONAL == 32);
