//! AVX2, and the other instructions that every CPU since Haswell and Zen has.
#![allow(
    clippy::unused_self,
    reason = "taking `self` is how a method shows the proof that the CPU has the instructions"
)]

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _CMP_UNORD_Q, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_NTA, _MM_HINT_T0,
    _mm_loadu_si128, _mm_prefetch, _mm_sfence, _mm256_add_epi32, _mm256_add_ps, _mm256_addsub_ps,
    _mm256_and_si256, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps,
    _mm256_cvtepu16_epi32, _mm256_cvtph_ps, _mm256_cvtps_ph, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_movehdup_ps, _mm256_moveldup_ps, _mm256_movemask_epi8, _mm256_movemask_ps,
    _mm256_mul_ps, _mm256_or_si256, _mm256_packus_epi32, _mm256_permute_ps,
    _mm256_permute4x64_epi64, _mm256_set_m128i, _mm256_set1_epi8, _mm256_set1_epi32,
    _mm256_setr_epi8, _mm256_setr_epi32, _mm256_setr_epi64x, _mm256_shuffle_epi8,
    _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srli_epi16, _mm256_srli_epi32, _mm256_srlv_epi32,
    _mm256_storeu_ps, _mm256_storeu_si256, _mm256_stream_si256, _mm256_sub_ps,
};

use half::{bf16, f16};

use crate::simd::{
    BLOCK, Block, BlockKernel, Blocks, Kernel, LANES, Lines, Nibbles, PACKED, PACKED_BITS, Simd,
};

/// Proof that this CPU has AVX2, BMI1, BMI2, LZCNT, POPCNT, F16C and FMA; only detection creates
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::simd) struct Avx2(());

impl Avx2 {
    /// The proof, if the CPU has the features. The standard library queries the CPU once and caches
    /// the result.
    pub(in crate::simd) fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("fma");
        has_all.then_some(Self(()))
    }

    /// Runs `kernel` with these instructions.
    pub(in crate::simd) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists only where `detect` found every feature that `enter` enables.
        unsafe { enter(self, kernel) }
    }

    /// Runs `kernel` with these instructions.
    pub(in crate::simd) fn enter_blocks<K: BlockKernel>(self, kernel: K) -> K::Output {
        // SAFETY: as above.
        unsafe { enter_blocks(self, kernel) }
    }
}

/// The only function of a kernel that has the features enabled; everything else is inlined into it.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,f16c,fma")]
fn enter<K: Kernel>(token: Avx2, kernel: K) -> K::Output {
    let _fence = Fence;
    kernel.run(token)
}

/// [`enter`] for a kernel on blocks.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,f16c,fma")]
fn enter_blocks<K: BlockKernel>(token: Avx2, kernel: K) -> K::Output {
    kernel.run(token)
}

/// Orders streaming stores before whatever follows, including unwinding from a panic: another
/// thread may read the output as soon as the kernel has ended.
struct Fence;

impl Drop for Fence {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: SSE is in the baseline of x86-64.
        unsafe { _mm_sfence() };
    }
}

/// Sixteen elements as two times eight.
#[inline(always)]
fn halves<T>(from: &[T; LANES]) -> (&[T; 8], &[T; 8]) {
    let halves = from.as_chunks().0;
    (&halves[0], &halves[1])
}

/// Rounds two vectors to `f16` and packs them.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn round_f16([low, high]: [__m256; 2]) -> __m256i {
    // The instruction encodes the mode, so the thread's rounding mode does not matter.
    let low = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(low);
    let high = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(high);
    _mm256_set_m128i(high, low)
}

/// Rounds two vectors to `bf16` and packs them.
#[inline]
#[target_feature(enable = "avx2")]
fn round_bf16([low, high]: [__m256; 2]) -> __m256i {
    let rounded = [round_bits(low), round_bits(high)];
    // One test for sixteen lanes: NaN is rare, and blending always costs time.
    if _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_UNORD_Q>(low, high)) == 0 {
        pack(rounded)
    } else {
        pack([
            _mm256_or_si256(rounded[0], nan_lanes(low)),
            _mm256_or_si256(rounded[1], nan_lanes(high)),
        ])
    }
}

/// The rounded upper half of each lane's bits, in the lower half of the lane.
#[inline]
#[target_feature(enable = "avx2")]
fn round_bits(values: __m256) -> __m256i {
    let bits = _mm256_castps_si256(values);
    let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, bias))
}

/// `0xFFFF` in the lanes that are NaN, else 0.
#[inline]
#[target_feature(enable = "avx2")]
fn nan_lanes(values: __m256) -> __m256i {
    let mask = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(values, values));
    _mm256_srli_epi32::<16>(mask)
}

/// The lower halves of all lanes, in order.
#[inline]
#[target_feature(enable = "avx2")]
fn pack([low, high]: [__m256i; 2]) -> __m256i {
    // The instruction packs each 128-bit half on its own: quarters 0 2 1 3 put them in order.
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high))
}

/// Widens eight `f16`.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn widen_f16(bits: __m128i) -> __m256 {
    _mm256_cvtph_ps(bits)
}

/// Widens eight `bf16`.
#[inline]
#[target_feature(enable = "avx2")]
fn widen_bf16(bits: __m128i) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)))
}

/// Adds lane by lane.
#[inline]
#[target_feature(enable = "avx2")]
fn add(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
    [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])]
}

/// Subtracts lane by lane.
#[inline]
#[target_feature(enable = "avx2")]
fn sub(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
    [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])]
}

/// Multiplies lane by lane.
#[inline]
#[target_feature(enable = "avx2")]
fn mul(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
    [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])]
}

/// Rotates pairs of lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn turn_pairs(values: __m256, angles: __m256) -> __m256 {
    let own = _mm256_mul_ps(values, _mm256_moveldup_ps(angles));
    let partners = _mm256_permute_ps::<0b10_11_00_01>(values);
    // Even lanes are subtracted, odd ones added.
    _mm256_addsub_ps(own, _mm256_mul_ps(partners, _mm256_movehdup_ps(angles)))
}

/// The class bits of each byte.
#[inline]
#[target_feature(enable = "avx2")]
fn class_bits(bytes: __m256i, [low, high]: [__m256i; 2]) -> __m256i {
    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(0x0f));
    // An index of 0x80 or more produces zero.
    let high = _mm256_shuffle_epi8(high, upper);
    _mm256_and_si256(_mm256_shuffle_epi8(low, bytes), high)
}

/// Bit `BIT` of each byte.
#[inline]
#[target_feature(enable = "avx2")]
fn mask<const BIT: u32>(bytes: __m256i) -> u64 {
    // Bits that cross into a byte from its neighbor stay below its top bit.
    let shifted = match BIT {
        0 => _mm256_slli_epi16::<7>(bytes),
        1 => _mm256_slli_epi16::<6>(bytes),
        2 => _mm256_slli_epi16::<5>(bytes),
        3 => _mm256_slli_epi16::<4>(bytes),
        4 => _mm256_slli_epi16::<3>(bytes),
        5 => _mm256_slli_epi16::<2>(bytes),
        6 => _mm256_slli_epi16::<1>(bytes),
        _ => bytes,
    };
    u64::from(_mm256_movemask_epi8(shifted).cast_unsigned())
}

/// Bit `BIT` of each byte of both vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn masks<const BIT: u32>([low, high]: [__m256i; 2]) -> u64 {
    mask::<BIT>(low) | mask::<BIT>(high) << 32
}

/// The masks of the classes.
#[inline]
#[target_feature(enable = "avx2")]
fn class_masks([low, high]: [__m256i; 2], tables: [__m256i; 2]) -> [u64; 8] {
    let bits = [class_bits(low, tables), class_bits(high, tables)];
    [
        masks::<0>(bits),
        masks::<1>(bits),
        masks::<2>(bits),
        masks::<3>(bits),
        masks::<4>(bits),
        masks::<5>(bits),
        masks::<6>(bits),
        masks::<7>(bits),
    ]
}

impl Avx2 {
    #[inline(always)]
    fn load_ps(self, from: &[f32; 8]) -> __m256 {
        // SAFETY: `self` proves AVX; 32 bytes lie at the address, which need not be aligned.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    /// Reads eight elements of a 16-bit type.
    #[inline(always)]
    fn load_u16<E: crate::dtype::Element>(self, from: &[E; 8]) -> __m128i {
        const { assert!(size_of::<E>() == 2) };
        // SAFETY: 16 bytes lie at the address, which need not be aligned; SSE2 is in the baseline.
        unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_block(self, from: &Block) -> [__m256i; 2] {
        const { assert!(BLOCK == 2 * size_of::<__m256i>()) };
        let (low, high) = from.split_at(BLOCK / 2);
        // SAFETY: `self` proves AVX; 32 bytes lie at the address, which need not be aligned.
        let low = unsafe { _mm256_loadu_si256(low.as_ptr().cast()) };
        // SAFETY: as above.
        let high = unsafe { _mm256_loadu_si256(high.as_ptr().cast()) };
        [low, high]
    }

    /// Reads sixteen bytes into both halves.
    #[inline(always)]
    fn load_table(self, from: &[u8; 16]) -> __m256i {
        // SAFETY: 16 bytes lie at the address, which need not be aligned; SSE2 is in the baseline.
        let table = unsafe { _mm_loadu_si128(from.as_ptr().cast()) };
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_set_m128i(table, table) }
    }

    #[inline(always)]
    fn cast(self, values: __m256) -> __m256i {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_castps_si256(values) }
    }

    #[inline(always)]
    fn round_f16(self, values: [__m256; 2]) -> __m256i {
        // SAFETY: `self` proves AVX2 and F16C.
        unsafe { round_f16(values) }
    }

    #[inline(always)]
    fn round_bf16(self, values: [__m256; 2]) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { round_bf16(values) }
    }

    /// Writes sixteen elements of a 16-bit type.
    #[inline(always)]
    fn store_u16<E: crate::dtype::Element>(self, bits: __m256i, to: &mut [E; LANES]) {
        const { assert!(size_of::<E>() == 2) };
        // SAFETY: `self` proves AVX; 32 bytes lie at the address, which need not be aligned, and
        // every bit pattern is an `E`.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), bits) };
    }

    /// Writes all of `to` past the caches.
    #[inline(always)]
    fn stream<E: crate::dtype::Element>(self, bits: &[__m256i], to: &mut Lines<E>) {
        let to = to.0.chunks_exact_mut(size_of::<__m256i>() / size_of::<E>());
        for (bits, to) in bits.iter().zip(to) {
            // SAFETY: `self` proves AVX; 32 bytes lie at the address, which is a multiple of 32
            // from the start of `Lines`, and every bit pattern is an `E`; `Fence` orders the store.
            unsafe { _mm256_stream_si256(to.as_mut_ptr().cast(), *bits) };
        }
    }
}

/// Copies the bytes of each number to a lane, then shifts it to the start of the lane.
#[inline]
#[target_feature(enable = "avx2")]
fn unpack([low, high]: [u64; 2]) -> __m256i {
    let [low, high] = [low.cast_signed(), high.cast_signed()];
    let bytes = _mm256_setr_epi8(
        0, 1, 2, 3, 2, 3, 4, 5, 5, 6, 7, -1, 8, 9, 10, 11, //
        10, 11, 12, 13, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    );
    let lanes = _mm256_shuffle_epi8(_mm256_setr_epi64x(low, high, low, high), bytes);
    let numbers = _mm256_srlv_epi32(lanes, _mm256_setr_epi32(0, 4, 0, 0, 4, 0, 0, 0));
    _mm256_and_si256(numbers, _mm256_set1_epi32((1 << PACKED_BITS) - 1))
}

impl Simd for Avx2 {
    type F32x16 = [__m256; 2];

    #[inline(always)]
    fn unpack(self, packed: [u64; 2], to: &mut [u32; PACKED]) {
        // SAFETY: `self` proves AVX2.
        let numbers = unsafe { unpack(packed) };
        // SAFETY: `self` proves AVX; 32 bytes lie at the address, which need not be aligned.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), numbers) };
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32; LANES]) -> Self::F32x16 {
        let (low, high) = halves(from);
        [self.load_ps(low), self.load_ps(high)]
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16; LANES]) -> Self::F32x16 {
        let (low, high) = halves(from);
        // SAFETY: `self` proves AVX2 and F16C.
        let low = unsafe { widen_f16(self.load_u16(low)) };
        // SAFETY: as above.
        let high = unsafe { widen_f16(self.load_u16(high)) };
        [low, high]
    }

    #[inline(always)]
    fn load_bf16(self, from: &[bf16; LANES]) -> Self::F32x16 {
        let (low, high) = halves(from);
        // SAFETY: `self` proves AVX2.
        let low = unsafe { widen_bf16(self.load_u16(low)) };
        // SAFETY: as above.
        let high = unsafe { widen_bf16(self.load_u16(high)) };
        [low, high]
    }

    #[inline(always)]
    fn add(self, a: Self::F32x16, b: Self::F32x16) -> Self::F32x16 {
        // SAFETY: `self` proves AVX2.
        unsafe { add(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::F32x16, b: Self::F32x16) -> Self::F32x16 {
        // SAFETY: `self` proves AVX2.
        unsafe { sub(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::F32x16, b: Self::F32x16) -> Self::F32x16 {
        // SAFETY: `self` proves AVX2.
        unsafe { mul(a, b) }
    }

    #[inline(always)]
    fn turn_pairs(self, values: Self::F32x16, angles: Self::F32x16) -> Self::F32x16 {
        // SAFETY: `self` proves AVX2.
        let low = unsafe { turn_pairs(values[0], angles[0]) };
        // SAFETY: as above.
        let high = unsafe { turn_pairs(values[1], angles[1]) };
        [low, high]
    }

    #[inline(always)]
    fn store_f32(self, [low, high]: Self::F32x16, to: &mut [f32; LANES]) {
        let (to_low, to_high) = to.split_at_mut(8);
        // SAFETY: `self` proves AVX; half of 64 bytes lies at the address, alignment is not needed.
        unsafe { _mm256_storeu_ps(to_low.as_mut_ptr(), low) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(to_high.as_mut_ptr(), high) };
    }

    #[inline(always)]
    fn store_f16(self, values: Self::F32x16, to: &mut [f16; LANES]) {
        self.store_u16(self.round_f16(values), to);
    }

    #[inline(always)]
    fn store_bf16(self, values: Self::F32x16, to: &mut [bf16; LANES]) {
        self.store_u16(self.round_bf16(values), to);
    }

    #[inline(always)]
    fn stream_f32(self, [first, second]: [Self::F32x16; 2], to: &mut Lines<f32>) {
        let bits = [
            self.cast(first[0]),
            self.cast(first[1]),
            self.cast(second[0]),
            self.cast(second[1]),
        ];
        self.stream(&bits, to);
    }

    #[inline(always)]
    fn stream_f16(self, [first, second]: [Self::F32x16; 2], to: &mut Lines<f16>) {
        self.stream(&[self.round_f16(first), self.round_f16(second)], to);
    }

    #[inline(always)]
    fn stream_bf16(self, [first, second]: [Self::F32x16; 2], to: &mut Lines<bf16>) {
        self.stream(&[self.round_bf16(first), self.round_bf16(second)], to);
    }

    #[inline(always)]
    fn prefetch<T, const N: usize>(self, from: &[T; N]) {
        prefetch::<_MM_HINT_T0, [T; N]>(from);
    }

    #[inline(always)]
    fn prefetch_after<const ONCE: bool, T, const N: usize>(self, from: &[T; N], elements: usize) {
        let from = from.as_ptr().wrapping_add(elements).cast();
        if ONCE {
            prefetch::<_MM_HINT_NTA, [T; N]>(from);
        } else {
            prefetch::<_MM_HINT_T0, [T; N]>(from);
        }
    }
}

impl Blocks for Avx2 {
    #[inline(always)]
    fn classes(self, block: &Block, nibbles: &Nibbles) -> [u64; 8] {
        let tables = [
            self.load_table(&nibbles.low),
            self.load_table(&nibbles.high),
        ];
        // SAFETY: `self` proves AVX2.
        unsafe { class_masks(self.load_block(block), tables) }
    }

    #[inline(always)]
    fn bits<const BIT: u32>(self, block: &Block) -> u64 {
        // SAFETY: `self` proves AVX2.
        unsafe { masks::<BIT>(self.load_block(block)) }
    }
}

/// Prefetches the cache lines of a `T` at `from`, which may be any address.
#[inline(always)]
fn prefetch<const HINT: i32, T>(from: *const T) {
    const LINE_BYTES: usize = 64;
    for offset in (0..size_of::<T>()).step_by(LINE_BYTES) {
        let address = from.cast::<i8>().wrapping_add(offset);
        // SAFETY: SSE is part of x86-64, and a prefetch reads nothing, whatever the address.
        unsafe { _mm_prefetch::<HINT>(address) };
    }
}
